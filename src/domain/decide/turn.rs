//! One turn of a run: a signal comes in, events are decided one after another,
//! and each is folded into the state at once, so that what follows sees it.

use std::sync::Arc;

use crate::domain::approval::{Approval, Verdict};
use crate::domain::event::{Entry, Event, RunStarted};
use crate::domain::evolve::evolve;
use crate::domain::id::{RunId, StreamId};
use crate::domain::plan::Plan;
use crate::domain::planted::{Bug, planted};
use crate::domain::playbook::{Step, StepIx};
use crate::domain::run::{RunState, StepEnd, StepKey, StepState};
use crate::domain::signal::{Refusal, Signal};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// Events one run may hold. Past it a run fails instead of growing without
/// end. A loop that suspends 10,000 accounts writes some twenty entries an item.
pub const EVENTS_PER_RUN_MAX: u64 = 300_000;

/// Events after which a turn starts nothing more; what follows is decided in
/// the next. One record of the journal takes 32,000, and what is under way may
/// add some thousands.
pub const EVENTS_PER_TURN_MAX: usize = 4_000;

/// What follows from a signal, and why not.
///
/// # Errors
/// `Refusal` when the signal makes no sense in this state; then nothing is to be journalled.
pub fn decide(state: &RunState, signal: &Signal, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    let mut scratch = state.clone();
    take(&mut scratch, signal, now)
}

/// Like [`decide`], with the events folded into `state` already. After an error
/// the state is to be thrown away and read again.
///
/// # Errors
/// As for [`decide`].
pub fn take(state: &mut RunState, signal: &Signal, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    turn(state, signal, now, false)
}

/// Like [`take`], for a process that is about to stop: what has happened is
/// recorded, and nothing new begins. What could begin is owed, at once.
///
/// # Errors
/// As for [`decide`].
pub fn take_last(state: &mut RunState, signal: &Signal, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    turn(state, signal, now, true)
}

fn turn(state: &mut RunState, signal: &Signal, now: Timestamp, last: bool) -> Result<Vec<Event>, Refusal> {
    let run = match (signal, &state.started) {
        (Signal::Start(started) | Signal::Queue { started, .. } | Signal::Hold { started, .. }, None) => {
            started.run
        }
        (Signal::Start(_) | Signal::Queue { .. } | Signal::Hold { .. }, Some(_)) => {
            return Err(Refusal::new("run-started", "this run has begun already"));
        }
        (_, Some((started, _))) => started.run,
        (_, None) => return Err(Refusal::new("run-unknown", "this run has not begun")),
    };
    let plan = state.plan.clone();
    let mut turn = Turn { state, plan, run, now, events: Vec::new(), last, cut: false };
    turn.hear(signal)?;
    turn.advance()?;
    Ok(turn.events)
}

/// One turn.
pub struct Turn<'a> {
    pub(super) state: &'a mut RunState,
    pub(super) plan: Arc<Plan>,
    pub(super) run: RunId,
    pub(super) now: Timestamp,
    pub(super) events: Vec<Event>,
    /// Whether nothing new may begin, because the process is about to stop.
    pub(super) last: bool,
    /// Whether something that could be done now was left for the next turn.
    pub(super) cut: bool,
}

impl Turn<'_> {
    /// Whether this turn has grown so long that nothing more starts in it.
    /// Whoever asks leaves something undone, so the next turn is owed.
    pub(super) fn is_full(&mut self) -> bool {
        let full = self.last || self.events.len() >= EVENTS_PER_TURN_MAX;
        self.cut |= full && !planted(Bug::CutTurnIsNotOwed);
        full
    }

    /// Records an event and folds it in.
    pub(super) fn record(&mut self, event: Event) -> Result<(), Refusal> {
        let entry = Entry { stream: StreamId::Run(self.run), seq: self.state.seq + 1, at: self.now, event };
        evolve(self.state, &entry).map_err(|corrupt| {
            Refusal::new("cannot-follow", format!("this is a mistake in Quell, please report it: {corrupt}"))
        })?;
        self.events.push(entry.event);
        Ok(())
    }

    /// The playbook's step behind a key.
    pub(super) fn spec<'p>(&self, plan: &'p Plan, key: &StepKey) -> Result<(StepIx, &'p Step), Refusal> {
        plan.playbook
            .step(&key.id)
            .ok_or_else(|| Refusal::new("step-unknown", format!("this run has no step `{key}`")))
    }

    /// The state of a step that has begun.
    pub(super) fn step(&self, key: &StepKey) -> Result<&StepState, Refusal> {
        self.state
            .steps
            .get(key)
            .ok_or_else(|| Refusal::new("step-unknown", format!("step `{key}` of this run has not begun")))
    }

    /// How the run began.
    pub(super) fn started(&self) -> Result<&RunStarted, Refusal> {
        match &self.state.started {
            Some((started, _)) => Ok(started),
            None => Err(Refusal::new("run-unknown", "this run has not begun")),
        }
    }

    /// Ends a step. An approval that it still waits for is withdrawn with it. An
    /// output that is nothing is recorded as none: the journal knows one of the two.
    pub(super) fn end_step(
        &mut self,
        key: &StepKey,
        end: StepEnd,
        output: Option<Value>,
        why: Option<String>,
    ) -> Result<(), Refusal> {
        let approval = self.state.steps.get(key).and_then(|step| step.approval);
        if let Some(approval) = approval {
            let open = |asked: &Approval| !asked.closed;
            if self.state.approvals.get(&approval).is_some_and(open) {
                self.record(Event::ApprovalClosed { approval, verdict: Verdict::Withdrawn })?;
            }
        }
        let output = output.filter(|output| !output.is_null());
        self.record(Event::StepEnded { key: key.clone(), end, output, why })
    }

    pub(super) fn fail_step(&mut self, key: &StepKey, why: impl Into<String>) -> Result<(), Refusal> {
        self.end_step(key, StepEnd::Failed, None, Some(why.into()))
    }
}
