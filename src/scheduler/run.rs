//! One signal of one run: decide, append (durable), dispatch.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::domain::alert::Alert;
use crate::domain::command::Command;
use crate::domain::decide::turn::{take, take_last};
use crate::domain::event::RunStarted;
use crate::domain::evolve::Corrupt;
use crate::domain::id::{RunId, StreamId};
use crate::domain::owed::{RULES, commands, rests};
use crate::domain::plan::Plan;
use crate::domain::planted::{Bug, planted};
use crate::domain::queue::{Limits, Queue};
use crate::domain::run::RunState;
use crate::domain::signal::{Refusal, Signal};
use crate::domain::urgency::Urgency;
use crate::domain::value::Digest;
use crate::failpoint::pass;
use crate::scheduler::admission::default_limits;
use crate::scheduler::ends::Ends;
use crate::scheduler::plans::Plans;
use crate::scheduler::replay::replay;
use crate::scheduler::slot::{Slot, Slots};
use crate::scheduler::timer::Timer;
use crate::scheduler::troubles::Troubles;
use crate::step::world::World;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch, Journal, Receipt, Rest};

/// Attempts carried out at the same time in this process. Each holds a socket
/// and some tens of kilobytes; peers have limits of their own beside this.
pub const ATTEMPTS_AT_ONCE_MAX: usize = 1024;

/// Beside these, attempts that somebody's access or a critical alert hangs on:
/// calls of a slow system that wait for their turn must not hold them up.
pub const URGENT_ATTEMPTS_AT_ONCE_MAX: usize = 256;

/// The code of a signal that names an entry which is no longer the run's last.
pub const RUN_MOVED: &str = "run-moved";

/// Why a signal was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// It makes no sense in the state the run is in.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many runs wait for their turn; nothing was stored.
    #[error(
        "{waiting} runs wait for their turn and no more are taken now; nothing of this was stored. Send it again a little later"
    )]
    Crowded {
        /// How many wait.
        waiting: usize,
    },
    /// The run's own record does not add up; it is set aside.
    #[error("run {run} is set aside, its record does not add up: {corrupt}; the other runs go on")]
    Quarantined {
        /// Which run.
        run: RunId,
        /// What does not fit.
        corrupt: Corrupt,
    },
    /// Something that the run's entries name is not in the journal.
    #[error("the {what} {digest} is {why}; the store is damaged, restore a backup")]
    Content {
        /// A plan or an alert.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Missing or unreadable.
        why: String,
    },
}

impl SchedulerError {
    /// Whether it failed for want of space alone: nothing was written, and the
    /// same is taken when there is space again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Store(StoreError::Full))
    }

    pub(super) fn missing(what: &'static str, digest: Digest) -> Self {
        Self::Content { what, digest, why: "missing".to_owned() }
    }

    pub(super) fn unreadable(what: &'static str, digest: Digest, error: &dyn std::fmt::Display) -> Self {
        Self::Content { what, digest, why: format!("unreadable ({error})") }
    }
}

/// A run to start.
pub struct Start {
    /// How it begins.
    pub started: RunStarted,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Its alert.
    pub alert: Option<Arc<Alert>>,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Why it is set aside as it begins; it waits in no queue then.
    pub held: Option<String>,
}

/// The only writer.
pub struct Scheduler {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) world: Arc<World>,
    pub(super) plans: Plans,
    pub(super) slots: Slots,
    pub(super) timer: Timer,
    /// What keeps runs from moving and stands in no journal.
    pub troubles: Troubles,
    pub(super) queue: Mutex<Queue<RunId>>,
    pub(super) attempts: Semaphore,
    pub(super) urgent_attempts: Semaphore,
    pub(super) stopping: AtomicBool,
    /// Callers that wait for the ends of runs.
    pub ends: Ends,
}

impl Scheduler {
    /// A scheduler over a journal, acting on a world. Nothing moves until
    /// [`Scheduler::recover`] and [`Scheduler::keep_time`] are called.
    pub fn new(journal: Arc<dyn Journal>, world: Arc<World>) -> Arc<Self> {
        Self::with_limits(journal, world, default_limits())
    }

    /// A scheduler with limits of its own.
    pub fn with_limits(journal: Arc<dyn Journal>, world: Arc<World>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            journal,
            world,
            plans: Plans::default(),
            slots: Slots::default(),
            timer: Timer::default(),
            troubles: Troubles::default(),
            queue: Mutex::new(Queue::new(limits)),
            attempts: Semaphore::new(ATTEMPTS_AT_ONCE_MAX),
            urgent_attempts: Semaphore::new(URGENT_ATTEMPTS_AT_ONCE_MAX),
            stopping: AtomicBool::new(false),
            ends: Ends::default(),
        })
    }

    /// Keeps a plan in memory, so that starting a run need not read it.
    pub fn keep_plan(&self, digest: Digest, plan: Arc<Plan>) {
        self.plans.keep(digest, plan);
    }

    /// The frozen plan with this digest.
    ///
    /// # Errors
    /// When the journal does not hold it or it cannot be read.
    pub async fn plan(&self, digest: Digest) -> Result<Arc<Plan>, SchedulerError> {
        self.plans.get(&*self.journal, digest).await
    }

    /// Starts runs together with other facts (the alert, the incident), all or
    /// nothing, and gives the receipt once that is durable. A run that others
    /// go before is recorded as started and queued, and begins in its turn.
    ///
    /// # Errors
    /// When a run cannot begin or the journal does not take it.
    pub async fn start(
        self: &Arc<Self>,
        starts: Vec<Start>,
        mut batch: Batch,
    ) -> Result<Receipt, SchedulerError> {
        let now = (self.world.now)();
        let mut begun = Vec::with_capacity(starts.len());
        let mut refused = None;
        for start in starts {
            let (run, urgency) = (start.started.run, start.urgency);
            let known = self.queue.lock().knows(run);
            let begins = start.held.is_none() && self.may_begin(run, &start.started.playbook, urgency);
            let started = Box::new(start.started);
            let signal = match start.held {
                Some(why) => Signal::Hold { started, why },
                None if begins => Signal::Start(started),
                None => Signal::Queue { started, urgency },
            };
            let mut state = RunState::new(start.plan, start.alert);
            let events = take(&mut state, &signal, now);
            if state.queued.is_none() {
                batch.rests.extend(rest(run, &state, false));
            }
            begun.push((run, state, known));
            match events {
                Ok(events) => {
                    batch.appends.push(Append { stream: StreamId::Run(run), after: 0, at: now, events });
                }
                Err(refusal) => refused = Some(refusal),
            }
        }
        let appended = match refused {
            Some(refusal) => Err(refusal.into()),
            None => {
                pass("run.decided");
                self.journal.append(batch).await.map_err(SchedulerError::from)
            }
        };
        let receipt = appended.inspect_err(|_| {
            // One that was there before keeps its place.
            begun.iter().filter(|(_, _, known)| !known).for_each(|(run, _, _)| self.leave(*run));
        })?;
        pass("run.kept");
        for (run, state, _) in begun {
            if let (Some(urgency), Some((started, _))) = (state.queued, &state.started) {
                self.wait_for_turn(run, &started.playbook, urgency);
                continue;
            }
            let slot = self.slots.get(run);
            let mut slot = slot.lock().await;
            self.tell_parent(&state, &receipt);
            slot.state = Some(state);
            self.dispatch(run, &mut slot);
        }
        Ok(receipt)
    }

    /// Tells a run something. Done when what follows is durable.
    ///
    /// # Errors
    /// When the run refuses it, is damaged, or the journal does not take it.
    pub async fn signal(
        self: &Arc<Self>,
        run: RunId,
        signal: Signal,
    ) -> Result<Option<Receipt>, SchedulerError> {
        self.signal_after(run, signal, None).await
    }

    /// Like [`Scheduler::signal`], and only while `after` is the number of the run's
    /// last entry.
    ///
    /// # Errors
    /// As [`Scheduler::signal`], and [`RUN_MOVED`] when the run has gone on since.
    pub async fn signal_after(
        self: &Arc<Self>,
        run: RunId,
        signal: Signal,
        after: Option<u64>,
    ) -> Result<Option<Receipt>, SchedulerError> {
        let slot = self.slots.get(run);
        let mut slot = slot.lock().await;
        let result = self.hear(run, &mut slot, &signal, after, Vec::new()).await;
        self.settle(run, &mut slot, result)
    }

    pub(super) fn settle(
        self: &Arc<Self>,
        run: RunId,
        slot: &mut Slot,
        result: Result<Option<Receipt>, SchedulerError>,
    ) -> Result<Option<Receipt>, SchedulerError> {
        self.troubles.note(run, &result, (self.world.now)());
        if let Err(error) = &result {
            // What was decided and not journalled must not be seen again.
            slot.state = None;
            if slot.held.is_empty() {
                self.slots.release(run, slot);
                if !error.is_full() {
                    self.rest(run);
                }
            }
        } else {
            if let (Ok(Some(receipt)), Some(state)) = (&result, &slot.state) {
                self.tell_parent(state, receipt);
            }
            self.dispatch(run, slot);
        }
        result
    }

    /// One turn, with the slot locked.
    pub(super) async fn hear(
        self: &Arc<Self>,
        run: RunId,
        slot: &mut Slot,
        signal: &Signal,
        only_after: Option<u64>,
        blobs: Vec<(Digest, Vec<u8>)>,
    ) -> Result<Option<Receipt>, SchedulerError> {
        if slot.state.is_none() {
            slot.state = Some(self.load(run, slot).await?);
            slot.was_read = true;
        }
        let Some(state) = &mut slot.state else {
            return Ok(None);
        };
        let after = state.seq;
        if only_after.is_some_and(|seen| seen != after) {
            return Err(Refusal::new(RUN_MOVED, format!("{run} has gone on since")).into());
        }
        let now = (self.world.now)();
        let events =
            if self.is_stopping() { take_last(state, signal, now) } else { take(state, signal, now) }?;
        if events.is_empty() {
            return Ok(None);
        }
        pass("signal.decided");
        let rests = rest(run, state, slot.was_read).into_iter().collect();
        if planted(Bug::ActsBeforeTheJournal) {
            self.dispatch(run, slot);
        }
        let appends = vec![Append { stream: StreamId::Run(run), after, at: now, events }];
        Ok(Some(self.journal.append(Batch { appends, blobs, rests, ..Batch::default() }).await?))
    }

    /// Reads a run from the journal. Attempts in flight that no worker of this
    /// process holds are lost, and what follows from that is journalled here; it
    /// may be the run's end, for which a step of another run waits.
    async fn load(self: &Arc<Self>, run: RunId, slot: &Slot) -> Result<RunState, SchedulerError> {
        let mut state = self.replay(run).await?;
        let orphans: Vec<Signal> = commands(&state)
            .into_iter()
            .filter_map(|command| match command {
                Command::Perform(perform) => Some((perform.key, perform.phase, perform.attempt)),
                Command::WakeAt(_) | Command::Follow(_) | Command::CancelChild(_) => None,
            })
            .filter(|held| !slot.held.contains(held) && !planted(Bug::LostAttemptsAreResent))
            .map(|(key, phase, attempt)| Signal::Lost { key, phase, attempt })
            .collect();
        for signal in orphans {
            let (after, now) = (state.seq, (self.world.now)());
            let events = take(&mut state, &signal, now)?;
            if !events.is_empty() {
                let appends = vec![Append { stream: StreamId::Run(run), after, at: now, events }];
                let receipt = self.journal.append(Batch { appends, ..Batch::default() }).await?;
                self.tell_parent(&state, &receipt);
            }
        }
        Ok(state)
    }

    /// The state that a run's entries add up to.
    ///
    /// # Errors
    /// When the run is unknown, its record does not add up, or cannot be read.
    pub async fn replay(&self, run: RunId) -> Result<RunState, SchedulerError> {
        replay(&*self.journal, &self.plans, run).await
    }

    /// Hands out what the run asks for now, and forgets a run that only waits.
    fn dispatch(self: &Arc<Self>, run: RunId, slot: &mut Slot) {
        let Some(state) = &slot.state else { return };
        let mut wake = None;
        for command in commands(state) {
            match command {
                Command::WakeAt(at) => wake = Some(at),
                Command::Follow(child) => {
                    if slot.followed.insert((child.run, false)) {
                        self.follow(state, child);
                    }
                }
                Command::CancelChild(child) => {
                    if slot.followed.insert((child, true)) {
                        self.cancel_child(child);
                    }
                }
                Command::Perform(perform) => {
                    let held = (perform.key.clone(), perform.phase, perform.attempt);
                    if slot.held.insert(held) {
                        self.carry_out(run, state, perform);
                    }
                }
            }
        }
        self.timer.set(run, wake);
        self.keep_place(run, state, slot.held.is_empty());
        if slot.held.is_empty() {
            self.slots.release(run, slot);
        }
    }

    /// How many runs are in memory and how many wait for a time.
    pub fn load_now(&self) -> (usize, usize) {
        (self.slots.len(), self.timer.len())
    }
}

/// Where a run rests after a turn, to be kept with it; none of a run that is over.
/// Of a run that goes on nothing is kept: what was before counts no more.
fn rest(run: RunId, state: &RunState, was_read: bool) -> Option<(RunId, Option<Rest>)> {
    let owed = commands(state);
    match rests(&owed) {
        Some(wake) if !owed.is_empty() || state.ended.is_none() => {
            Some((run, Some(Rest { seq: state.seq, wake, rules: RULES })))
        }
        Some(_) => was_read.then_some((run, None)),
        None => None,
    }
}
