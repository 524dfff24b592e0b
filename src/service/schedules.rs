//! Schedules: armed and disarmed as playbooks come and go, and fired when due.
//!
//! A firing and the start of its run are one batch of the journal, guarded by
//! the number of the schedule's last entry and by a unique key for the moment
//! it was due. A stop before the batch leaves the firing due; a stop after it
//! finds it done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Map;
use tokio::task::JoinHandle;
use ulid::Ulid;

use crate::domain::event::{Event, RunStarted};
use crate::domain::expr::scope::Scope;
use crate::domain::firing::{Policy, Ruling, SkipReason, decide, waits};
use crate::domain::id::{IncidentId, RunId, ScheduleId, StreamId};
use crate::domain::inputs::bind;
use crate::domain::playbook::Trigger;
use crate::domain::schedule::{Missed, Overlap, ScheduleSpec, Times};
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::Value;
use crate::playbook::library::Prepared;
use crate::projection::schedules::{LastFiring, ScheduleRow};
use crate::scheduler::run::{SchedulerError, Start};
use crate::service::error::ServiceError;
use crate::service::house::Service;
use crate::service::runs::open_without_alert;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch, Receipt};

/// The longest sleep between two looks at the clock. A wall clock may be set
/// forward while we sleep; firings are on time for as long as this takes.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);

/// How long to wait after the journal did not take a firing (disk full, say).
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Firings to come that are shown of each schedule.
pub const NEXT_SHOWN: usize = 3;

/// A schedule as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct ScheduleView {
    /// Its id.
    pub id: ScheduleId,
    /// The playbook's name.
    pub playbook: String,
    /// The cron expression.
    pub cron: String,
    /// The zone whose clock counts.
    pub timezone: String,
    /// For firings that nobody was there for.
    pub missed: Missed,
    /// For firings while a run goes on.
    pub overlap: Overlap,
    /// What became of the last firing.
    pub last: Option<LastFiring>,
    /// Firings that started a run, and those that started none.
    pub fired: u64,
    /// Firings that started no run.
    pub skipped: u64,
    /// Runs of it that go on.
    pub running: usize,
    /// The firing that waits for the end of a run.
    pub queued: Option<Timestamp>,
    /// The next firings.
    pub next: Vec<Timestamp>,
}

/// A schedule of a playbook of the library.
struct Known {
    id: ScheduleId,
    spec: ScheduleSpec,
    times: Times,
    prepared: Arc<Prepared>,
}

impl Known {
    fn policy(&self) -> Policy {
        Policy { missed: self.spec.missed, overlap: self.spec.overlap }
    }
}

/// When schedules are to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookAgain {
    /// The next firing.
    pub at: Option<Timestamp>,
    /// A firing waits for the end of a run.
    pub when_a_run_ends: bool,
}

impl Service {
    /// The schedules of the library, by id.
    fn known_schedules(&self) -> BTreeMap<ScheduleId, Known> {
        let library = Arc::clone(&self.library.read());
        let mut known = BTreeMap::new();
        for prepared in library.playbooks.values() {
            let playbook = &prepared.plan.playbook;
            for trigger in &playbook.triggers {
                let Trigger::Schedule(spec) = trigger else { continue };
                match spec.times() {
                    Ok(times) => {
                        let id = spec.id(&playbook.name);
                        let (spec, prepared) = (spec.clone(), Arc::clone(prepared));
                        known.insert(id, Known { id, spec, times, prepared });
                    }
                    // `check` lets none of these through.
                    Err(error) => {
                        tracing::error!(playbook = %playbook.name, %error, "a schedule is left out")
                    }
                }
            }
        }
        known
    }

    /// All schedules as people see them, by playbook.
    pub fn schedules(&self) -> Vec<ScheduleView> {
        let (known, now) = (self.known_schedules(), self.now());
        let views = self.views.read();
        let mut shown: Vec<ScheduleView> = known
            .into_values()
            .map(|Known { id, spec, times, prepared }| {
                let row = views.schedules.get(id);
                let counted = row.map_or(now, |row| row.counting.decided.max(now));
                ScheduleView {
                    id,
                    playbook: prepared.plan.playbook.name.clone(),
                    missed: spec.missed,
                    overlap: spec.overlap,
                    last: row.and_then(|row| row.last.clone()),
                    fired: row.map_or(0, |row| row.fired),
                    skipped: row.map_or(0, |row| row.skipped),
                    running: views.schedules.live(id),
                    queued: row.and_then(|row| row.counting.queued),
                    next: times.after(counted).take(NEXT_SHOWN).collect(),
                    cron: spec.cron,
                    timezone: spec.timezone,
                }
            })
            .collect();
        shown.sort_by(|a, b| (&a.playbook, a.id).cmp(&(&b.playbook, b.id)));
        shown
    }

    /// One schedule as people see it.
    ///
    /// # Errors
    /// When no playbook has one of this id.
    pub fn schedule(&self, id: ScheduleId) -> Result<ScheduleView, ServiceError> {
        let mut all = self.schedules().into_iter();
        all.find(|view| view.id == id).ok_or_else(|| ServiceError::absent("schedule", &id))
    }

    /// Fires schedules when they are due, for as long as the handle is not aborted.
    pub fn keep_schedules(self: &Arc<Self>) -> JoinHandle<()> {
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let mut seen = service.seen.clone();
            loop {
                seen.mark_unchanged();
                let again = match service.rule_on_schedules().await {
                    Ok(again) => again,
                    Err(error) => {
                        tracing::error!(%error, "schedules could not be looked after; they are looked at again");
                        tokio::time::sleep(TRY_AGAIN).await;
                        continue;
                    }
                };
                let wait = again.at.map_or(LOOK_AT_CLOCK, |at| at.since(service.now()).min(LOOK_AT_CLOCK));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    changed = seen.changed(), if again.when_a_run_ends => {
                        if changed.is_err() {
                            return;
                        }
                    }
                }
            }
        })
    }

    /// Arms new schedules, disarms those that no playbook has any more, and
    /// rules on every firing that is due. Everything is durable when it returns.
    ///
    /// # Errors
    /// When the journal does not take it: what is left is due still.
    pub async fn rule_on_schedules(&self) -> Result<LookAgain, ServiceError> {
        self.caught_up().await;
        let known = self.known_schedules();
        let gone: Vec<(ScheduleId, u64)> = {
            let views = self.views.read();
            let armed = views.schedules.armed().filter(|(id, _)| !known.contains_key(id));
            armed.map(|(id, row)| (id, row.seq)).collect()
        };
        for (id, seq) in gone {
            self.record(id, seq, self.now(), Event::ScheduleDisarmed).await?;
        }
        let mut again = LookAgain { at: None, when_a_run_ends: false };
        let mut failed = None;
        for schedule in known.values() {
            // What one schedule meets does not hold up the others.
            if let Err(error) = self.rule_on(schedule, &mut again).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(again), Err)
    }

    async fn rule_on(&self, schedule: &Known, again: &mut LookAgain) -> Result<(), ServiceError> {
        loop {
            let now = self.now();
            let (row, live) = {
                let views = self.views.read();
                (views.schedules.get(schedule.id).cloned(), views.schedules.live(schedule.id))
            };
            let Some(row) = row.filter(|row| row.counting.armed) else {
                // Counting starts now: what was due before somebody wrote it is nobody's.
                let seq = self.views.read().schedules.get(schedule.id).map_or(0, |row| row.seq);
                let armed = Event::ScheduleArmed {
                    playbook: schedule.prepared.plan.playbook.name.clone(),
                    cron: schedule.spec.cron.clone(),
                    timezone: schedule.spec.timezone.clone(),
                    from: now,
                };
                self.record(schedule.id, seq, now, armed).await?;
                continue;
            };
            let Some(ruling) = decide(&schedule.times, schedule.policy(), &row.counting, live, now) else {
                again.when_a_run_ends |= waits(&schedule.times, &row.counting, now);
                let next = schedule.times.next_after(row.counting.decided.max(now));
                again.at = again.at.into_iter().chain(next).min();
                return Ok(());
            };
            self.carry_out(schedule, &row, ruling, now).await?;
        }
    }

    async fn carry_out(
        &self,
        schedule: &Known,
        row: &ScheduleRow,
        ruling: Ruling,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        let event = match ruling {
            Ruling::Fire { due } => {
                let why = match self.fire(schedule, row.seq, due, now).await {
                    Ok(receipt) => {
                        self.shown(Some(&receipt)).await;
                        return Ok(());
                    }
                    Err(Unfired::Skip(why)) => why,
                    Err(Unfired::Error(error)) => return Err(error),
                };
                Event::ScheduleSkipped { first: due, last: due, count: 1, why }
            }
            Ruling::Queue { due } => Event::ScheduleQueued { due },
            Ruling::Skip { first, last, count, why } => Event::ScheduleSkipped { first, last, count, why },
        };
        self.record(schedule.id, row.seq, now, event).await
    }

    /// One entry of a schedule, shown when it returns.
    async fn record(
        &self,
        id: ScheduleId,
        after: u64,
        at: Timestamp,
        event: Event,
    ) -> Result<(), ServiceError> {
        let append = Append { stream: StreamId::Schedule(id), after, at, events: vec![event] };
        let batch = Batch { appends: vec![append], ..Batch::default() };
        let receipt = self.journal.append(batch).await?;
        self.shown(Some(&receipt)).await;
        Ok(())
    }

    /// Why the run of a firing is held: it was due before the journal was read from a
    /// backup, and the server before may have started a run for it.
    fn fired_before_restore(&self, due: Timestamp) -> Option<String> {
        let views = self.views.read();
        let restore = views.attention.last_restore().filter(|restore| due <= restore.at)?;
        Some(format!(
            "it was due at {}, before the journal was read from a backup at {}: the server before may have run it",
            due.to_minute(),
            restore.at.to_minute()
        ))
    }

    /// Starts the run of a firing, together with the entry that says so.
    async fn fire(
        &self,
        schedule: &Known,
        after: u64,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<Receipt, Unfired> {
        let playbook = &schedule.prepared.plan.playbook;
        let inputs = bind(&playbook.inputs, &inputs_at(&schedule.spec, due)?.into()).map_err(|wrong| {
            Unfired::Skip(SkipReason::CannotStart(format!("the playbook `{}`: {wrong}", playbook.name)))
        })?;
        // The id follows from the schedule and the moment, and sorts by when the run started.
        let (moment, millis) = (due.to_string(), u64::try_from(now.millis()).unwrap_or(0));
        let run = RunId::derived(Ulid::from_parts(millis, schedule.id.ulid().random()), &moment);
        let incident = IncidentId::derived(run.ulid(), "incident");
        let started = RunStarted {
            run,
            plan: schedule.prepared.plan_digest,
            playbook: playbook.name.clone(),
            version: playbook.version,
            incident,
            alert: None,
            inputs,
            by: "schedule".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        let fired = Event::ScheduleFired { due, run };
        let batch = Batch {
            appends: vec![
                Append { stream: StreamId::Schedule(schedule.id), after, at: now, events: vec![fired] },
                open_without_alert(incident, &playbook.title, now),
            ],
            blobs: schedule.prepared.blobs(),
            keys: vec![format!("schedule/{}/{moment}", schedule.id)],
            ..Batch::default()
        };
        // What the calendar wants is not turned away: a schedule has its own ways
        // with a run that goes on.
        let urgency = Urgency::of_run(&started.by, None);
        let held = self.fired_before_restore(due);
        let start = Start { started, plan: Arc::clone(&schedule.prepared.plan), alert: None, urgency, held };
        self.scheduler.start(vec![start], batch).await.map_err(|error| match error {
            SchedulerError::Store(StoreError::Taken { .. }) => Unfired::Skip(SkipReason::Repeated),
            SchedulerError::Refused(refusal) => Unfired::Skip(SkipReason::CannotStart(refusal.message)),
            other => Unfired::Error(other.into()),
        })
    }
}

/// Why a firing started no run.
enum Unfired {
    /// It never will.
    Skip(SkipReason),
    /// It was not taken; it is due still.
    Error(ServiceError),
}

/// The inputs of the run that was due then.
fn inputs_at(spec: &ScheduleSpec, due: Timestamp) -> Result<Map<String, Value>, Unfired> {
    let Some(inputs) = &spec.inputs else { return Ok(Map::new()) };
    let due = Value::from(due.to_string());
    match inputs.render(&Scope::new().with("due", &due)) {
        Ok(Value::Object(inputs)) => Ok(inputs),
        Ok(_) => Err(Unfired::Skip(SkipReason::CannotStart("its inputs are no map".to_owned()))),
        Err(error) => Err(Unfired::Skip(SkipReason::CannotStart(error.to_string()))),
    }
}
