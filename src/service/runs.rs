//! Runs by hand, and orders to runs.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::alert::Fate;
use crate::domain::decide::calls::outcome_of;
use crate::domain::event::{Event, RunStarted};
use crate::domain::id::{ContainmentId, IncidentId, RunId, StreamId};
use crate::domain::inputs::{GivenInputs, WrongInput, bind};
use crate::domain::playbook::{Playbook, Trigger};
use crate::domain::run::StepKey;
use crate::domain::signal::Signal;
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::Value;
use crate::playbook::library::{Prepared, diagnosed};
use crate::scheduler::ends::EndOfRun;
use crate::scheduler::run::{SchedulerError, Start};
use crate::service::again::{RunAgain, RunOn};
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::idempotency::{IdempotencyKey, Used};
use crate::service::unchanged::OnlyIf;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch};

/// A run that a person or a program asks for.
pub struct RunOrder {
    /// The playbook's name.
    pub playbook: String,
    /// What it runs on.
    pub on: RunOn,
    /// Inputs by name.
    pub inputs: GivenInputs,
    /// Who asks.
    pub by: String,
    /// The run that this does once more.
    pub again: Option<RunAgain>,
    /// The same key never starts a second run.
    pub idempotency: Option<IdempotencyKey>,
    /// Whether whoever asks waits for the end.
    pub waits: bool,
}

/// What a person says of an uncertain step.
pub struct Settled {
    /// Which step.
    pub step: StepKey,
    /// Whether it happened.
    pub happened: bool,
    /// Who says so.
    pub by: String,
    /// How they know.
    pub note: Option<String>,
}

/// A run that was asked for.
pub struct StartedRun {
    /// The run.
    pub run: RunId,
    /// Whether its idempotency key started it before, so that nothing was started now.
    pub repeated: bool,
    /// Its end, when the order waits for it.
    pub end: Option<EndOfRun>,
}

/// The code of the answer to a key that has started a run already.
const KEY_USED: &str = "idempotency-key-used";

/// What a start that failed is told as.
pub(super) fn key_used(error: SchedulerError) -> ServiceError {
    match error {
        SchedulerError::Store(StoreError::Taken { .. }) => key_of_gone_run(),
        error => error.into(),
    }
}

fn key_of_gone_run() -> ServiceError {
    let message = "this Idempotency-Key has started a run already, which is no longer on record; send a new key for a new run";
    ServiceError::new(Sort::Refused, KEY_USED, message)
}

impl Service {
    /// A playbook of the library.
    ///
    /// # Errors
    /// When there is none of this name; says which is meant.
    pub fn playbook(&self, name: &str) -> Result<Arc<Prepared>, ServiceError> {
        let library = Arc::clone(&self.library.read());
        library.playbooks.get(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = library.playbooks.keys().map(String::as_str).collect();
            ServiceError::new(
                Sort::Absent,
                "playbook-unknown",
                format!("there is no playbook `{}`; there are: {}", name.escape_debug(), names.join(", ")),
            )
        })
    }

    /// Whether a playbook has no mistake by what is configured here, and every
    /// mistake with its place.
    pub fn check_playbook(&self, file: &str, text: &str) -> (bool, Value) {
        diagnosed(file, text, &self.around)
    }

    /// Starts a run by hand. Durable when it returns.
    ///
    /// # Errors
    /// When the playbook or its inputs are wrong, or the journal does not take it.
    pub async fn start_run(&self, order: RunOrder) -> Result<StartedRun, ServiceError> {
        let waits = order.waits;
        let wait_for = |run| waits.then(|| self.scheduler.ends.wait(run));
        let started = |run, repeated| StartedRun { run, repeated, end: wait_for(run) };
        if let Some(key) = &order.idempotency
            && let Some(run) = self.run_behind(key).await?
        {
            return Ok(started(run, true));
        }
        let prepared = self.playbook(&order.playbook)?;
        let playbook = &prepared.plan.playbook;
        let inputs = bound_inputs(playbook, &order.inputs)?;
        needs_alert(playbook, !matches!(order.on, RunOn::Nothing))?;
        let (again, requesters) = match order.again {
            Some(RunAgain { run, requesters }) => (Some(run), requesters),
            None => (None, Vec::new()),
        };
        let ulid = self.fresh();
        let run = RunId::new(ulid);
        let incident = IncidentId::derived(ulid, "incident");
        let begun = RunStarted {
            run,
            plan: prepared.plan_digest,
            playbook: playbook.name.clone(),
            version: playbook.version,
            incident,
            alert: None,
            inputs,
            by: order.by,
            requesters,
            parent: None,
            again,
        };
        let keys = order.idempotency.as_ref().map(IdempotencyKey::unique_keys).unwrap_or_default();
        // Who waits is there before the run begins, so that its end is not missed.
        let started_run = StartedRun { run, repeated: false, end: wait_for(run) };
        let result = match order.on {
            RunOn::Alert(alert) => self.start_on_alert(*alert, begun, &prepared, keys).await,
            RunOn::Stored(alert) => self.start_on_stored(alert, begun, &prepared, keys).await,
            RunOn::Nothing => self.start_bare(begun, &prepared, keys).await,
        };
        let receipt = match (result, &order.idempotency) {
            // Somebody with the same key was faster.
            (Err(error), Some(key)) if error.code == KEY_USED => {
                let run = self.run_behind(key).await?.ok_or(error)?;
                return Ok(started(run, true));
            }
            (result, _) => result?,
        };
        self.shown(Some(&receipt)).await;
        Ok(started_run)
    }

    /// The run that was started with this key, if one was.
    ///
    /// # Errors
    /// When the key was used for another content, or its run is on record no more.
    async fn run_behind(&self, key: &IdempotencyKey) -> Result<Option<RunId>, ServiceError> {
        let Used::Same(stream) = self.used(key).await? else { return Ok(None) };
        self.caught_up().await;
        let views = self.views.read();
        let run = match stream {
            StreamId::Incident(incident) => {
                views.incidents.get(incident).and_then(|row| row.runs.first().copied())
            }
            StreamId::Alert(alert) => match views.alerts.get(alert).and_then(|row| row.fate.clone()) {
                Some(Fate::RunStarted { runs, .. }) => runs.first().copied(),
                _ => None,
            },
            StreamId::Run(run) => Some(run),
            _ => None,
        };
        run.map(Some).ok_or_else(key_of_gone_run)
    }

    /// How a run ended, waiting for it no longer than `within`; nothing while it goes on.
    ///
    /// # Errors
    /// When the run's record cannot be read.
    pub async fn outcome_within(
        &self,
        run: RunId,
        end: &mut EndOfRun,
        within: Duration,
    ) -> Result<Option<Value>, ServiceError> {
        // It may have ended before anybody waited.
        self.caught_up().await;
        if self.views.read().runs.get(run).is_some_and(|row| row.end.is_some()) {
            return Ok(outcome_of(&self.scheduler.replay(run).await?));
        }
        Ok(tokio::time::timeout(within, end.outcome()).await.ok().flatten())
    }

    async fn start_bare(
        &self,
        mut started: RunStarted,
        prepared: &Prepared,
        keys: Vec<String>,
    ) -> Result<crate::store::journal::Receipt, ServiceError> {
        let before = self.incident_before(started.again)?;
        let opened = open_without_alert(started.incident, &prepared.plan.playbook.title, self.now());
        started.incident = before.unwrap_or(started.incident);
        let batch = Batch {
            appends: if before.is_some() { Vec::new() } else { vec![opened] },
            blobs: prepared.blobs(),
            keys,
            ..Batch::default()
        };
        let urgency = Urgency::of_run(&started.by, None);
        let _room = self.scheduler.room_for(1, urgency)?;
        let start = Start { started, plan: Arc::clone(&prepared.plan), alert: None, urgency, held: None };
        self.scheduler.start(vec![start], batch).await.map_err(key_used)
    }

    /// Ends a run.
    ///
    /// # Errors
    /// When it has ended already or is unknown.
    pub async fn cancel(
        &self,
        run: RunId,
        by: &str,
        why: Option<String>,
        only_if: &OnlyIf,
    ) -> Result<(), ServiceError> {
        self.tell(run, Signal::Cancel { by: by.to_owned(), why }, only_if).await
    }

    /// Lets a containment hold longer, counted from its end as it is now. Gives
    /// the new end.
    ///
    /// # Errors
    /// When it no longer holds, or would hold longer than a person may extend.
    pub async fn extend(
        &self,
        containment: ContainmentId,
        hold: Duration,
        by: &str,
        only_if: &OnlyIf,
    ) -> Result<Option<Timestamp>, ServiceError> {
        let run = self.run_of_containment(containment)?;
        self.tell(run, Signal::Extend { containment, hold, by: by.to_owned() }, only_if).await?;
        Ok(self.views.read().containments.get(containment).and_then(|row| row.until))
    }

    /// Says what happened to an uncertain step.
    ///
    /// # Errors
    /// When the step is not uncertain.
    pub async fn settle(&self, run: RunId, settled: Settled, only_if: &OnlyIf) -> Result<(), ServiceError> {
        let Settled { step, happened, by, note } = settled;
        self.tell(run, Signal::Settle { key: step, happened, by, note }, only_if).await
    }

    /// Lets a run that was set aside go on from where it stood.
    ///
    /// # Errors
    /// When it is not set aside, or is unknown.
    pub async fn release(
        &self,
        run: RunId,
        by: &str,
        why: Option<String>,
        only_if: &OnlyIf,
    ) -> Result<(), ServiceError> {
        self.tell(run, Signal::Release { by: by.to_owned(), why }, only_if).await
    }

    /// The run that made a containment.
    ///
    /// # Errors
    /// When there is none of this id.
    pub fn run_of_containment(&self, containment: ContainmentId) -> Result<RunId, ServiceError> {
        let views = self.views.read();
        views
            .containments
            .get(containment)
            .map(|row| row.run)
            .ok_or_else(|| ServiceError::absent("containment", &containment))
    }
}

/// Refuses a run by hand that could only fail: a playbook that starts on alerts
/// and takes no inputs has nothing to run on without an alert.
///
/// # Errors
/// When the alert is missing.
pub(super) fn needs_alert(playbook: &Playbook, has_alert: bool) -> Result<(), ServiceError> {
    let on_alert = |trigger: &Trigger| matches!(trigger, Trigger::Alert(_));
    let only_on_alerts = !playbook.triggers.is_empty() && playbook.triggers.iter().all(on_alert);
    if has_alert || !only_on_alerts || !playbook.inputs.is_empty() {
        return Ok(());
    }
    Err(ServiceError::new(
        Sort::Wrong,
        "alert-needed",
        format!(
            "the playbook `{}` runs on an alert; give one: --alert FILE, or --alert ID of one on record (`alert`, `alert_id` over the API). Nothing was started",
            playbook.name
        ),
    ))
}

/// The incident of a run that has no alert.
pub(super) fn open_without_alert(incident: IncidentId, title: &str, at: Timestamp) -> Append {
    let opened = Event::IncidentOpened { title: title.to_owned(), severity: 50, alert: None, subject: None };
    Append { stream: StreamId::Incident(incident), after: 0, at, events: vec![opened] }
}

/// The inputs as the playbook declares them, from what a caller gives.
///
/// # Errors
/// `input-wrong`: one is unknown, missing or of another type.
pub(super) fn bound_inputs(playbook: &Playbook, given: &GivenInputs) -> Result<Value, ServiceError> {
    bind(&playbook.inputs, given).map_err(|wrong| {
        let how = match &wrong {
            WrongInput::Missing { name, .. } => {
                format!("; give it: --input {name}=… (`inputs` over the API)")
            }
            _ => String::new(),
        };
        let message = format!("the playbook `{}`: {wrong}{how}. Nothing was started", playbook.name);
        ServiceError::new(Sort::Wrong, "input-wrong", message)
    })
}
