//! Carries out one attempt and signals its outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::domain::approval::Approval;
use crate::domain::command::{OnTurn, Perform, Phase};
use crate::domain::event::RunStarted;
use crate::domain::id::{ApprovalId, RunId};
use crate::domain::nesting::container_of;
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::run::RunState;
use crate::domain::signal::Signal;
use crate::domain::urgency::Urgency;
use crate::failpoint::pass_with;
use crate::scheduler::run::{Scheduler, SchedulerError};
use crate::step::kind::{carry_out, kind};
use crate::step::world::{Call, Done};

/// What an attempt may take beyond its own timeout before it is given up as
/// unknown. Its calls wait for their turn at the connector, some minutes each at
/// the most, and a call that only waits must never count as one that was sent.
const GRACE: Duration = Duration::from_secs(30 * 60);

/// Everything an attempt needs, apart from the run's state.
struct Attempt {
    started: Arc<RunStarted>,
    plan: Arc<crate::domain::plan::Plan>,
    alert: Option<Arc<crate::domain::alert::Alert>>,
    approval: Option<(ApprovalId, Approval)>,
    perform: Perform,
}

impl Scheduler {
    /// Starts a worker for one attempt whose intent is durable.
    pub(super) fn carry_out(self: &Arc<Self>, run: RunId, state: &RunState, perform: Perform) {
        let Some((started, _)) = &state.started else {
            return;
        };
        // The step's own approval, or that of the block around it.
        let playbook = &state.plan.playbook;
        let mut around = std::iter::successors(Some(perform.key.clone()), |key| container_of(playbook, key));
        let approval = around.find_map(|key| state.steps.get(&key)?.approval);
        let attempt = Attempt {
            started: Arc::new(started.clone()),
            plan: Arc::clone(&state.plan),
            alert: state.alert.as_ref().map(|(alert, _)| Arc::clone(alert)),
            approval: approval.and_then(|id| Some((id, state.approvals.get(&id)?.clone()))),
            perform,
        };
        let scheduler = Arc::clone(self);
        tokio::spawn(async move {
            let done = scheduler.perform(run, &attempt).await;
            scheduler.report(run, attempt.perform, done).await;
        });
    }

    async fn perform(self: &Arc<Self>, run: RunId, attempt: &Attempt) -> Done {
        let perform = &attempt.perform;
        pass_with("attempt.begins", || perform.phase.to_string());
        let run_urgency = Urgency::of_run(&attempt.started.by, attempt.alert.as_deref());
        let places = match run_urgency.of_phase(perform.phase) {
            Urgency::Access | Urgency::Critical => &self.urgent_attempts,
            _ => &self.attempts,
        };
        let Ok(_place) = places.acquire().await else {
            return Outcome::called_off("the server is stopping").into();
        };
        let Some((_, step)) = attempt.plan.playbook.step(&perform.key.id) else {
            return Outcome::from(Failure::new(
                FailureClass::Permanent,
                "step-unknown",
                "the plan has no such step",
            ))
            .into();
        };
        let Some(kind) = kind(&step.kind) else {
            let message =
                format!("this version of Quell has no step kind `{}`; run a version that has it", step.kind);
            return Outcome::from(Failure::new(FailureClass::Permanent, "kind-unknown", message)).into();
        };
        let begin = Begin { scheduler: self, run, perform, recorded: OnceCell::new() };
        let tells = perform.phase.tells() || perform.phase == Phase::Warn;
        if perform.tells_begin && !tells && !kind.begins_at_connector() && !begin.has_turn().await {
            return Outcome::called_off("the journal did not take that it begins").into();
        }
        let call = Call {
            started: &attempt.started,
            plan: &attempt.plan,
            alert: attempt.alert.as_deref(),
            step,
            perform,
            approval: attempt.approval.as_ref().map(|(id, approval)| (*id, approval)),
            on_turn: perform.tells_begin.then_some(&begin as &dyn OnTurn),
        };
        let work = AssertUnwindSafe(carry_out(kind, &call, &self.world)).catch_unwind();
        match tokio::time::timeout(perform.timeout + GRACE, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => {
                lost("a mistake in Quell stopped this attempt; please report it with the server's log")
            }
            Err(_) => lost("it did not end in time"),
        }
    }

    /// Signals the outcome. While the disk is full the outcome is kept here and
    /// the attempt stays held, so that nobody takes it for lost; it is recorded
    /// when there is space. When the process ends before, or the journal stops,
    /// the outcome is lost with the process, and recovery treats it so.
    async fn report(self: &Arc<Self>, run: RunId, perform: Perform, done: Done) {
        pass_with("attempt.done", || perform.phase.to_string());
        let held = (perform.key.clone(), perform.phase, perform.attempt);
        let signal = Signal::Performed {
            key: perform.key,
            phase: perform.phase,
            attempt: perform.attempt,
            outcome: done.outcome,
        };
        loop {
            self.until_space().await;
            let slot = self.slots.get(run);
            let mut slot = slot.lock().await;
            let result = self.hear(run, &mut slot, &signal, None, done.blobs.clone()).await;
            let is_full = result.as_ref().is_err_and(SchedulerError::is_full);
            if !is_full {
                slot.held.remove(&held);
            }
            match self.settle(run, &mut slot, result) {
                Err(_) if is_full => {}
                Err(error) => {
                    tracing::error!(%run, step = %held.0, %error, "an outcome could not be recorded");
                    return;
                }
                Ok(_) => return,
            }
        }
    }
}

/// Puts on record, once, that an attempt has its turn.
struct Begin<'a> {
    scheduler: &'a Arc<Scheduler>,
    run: RunId,
    perform: &'a Perform,
    recorded: OnceCell<bool>,
}

impl OnTurn for Begin<'_> {
    fn has_turn(&self) -> BoxFuture<'_, bool> {
        let record = || async {
            let Perform { key, phase, attempt, .. } = self.perform;
            let signal = Signal::Began { key: key.clone(), phase: *phase, attempt: *attempt };
            let recorded = self.scheduler.signal(self.run, signal).await;
            recorded
                .inspect_err(|error| tracing::error!(run = %self.run, %error, "a call was not made"))
                .is_ok()
        };
        async move { *self.recorded.get_or_init(record).await }.boxed()
    }
}

fn lost(message: &str) -> Done {
    Outcome::from(Failure::new(FailureClass::Unknown, "outcome-unknown", message)).into()
}
