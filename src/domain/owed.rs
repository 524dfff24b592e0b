//! `commands`: what a run asks of the shell now. A function of the state alone,
//! so that a run that was read again after a crash asks for the same.

use std::time::Duration;

use crate::domain::command::{Command, Perform, Phase};
use crate::domain::playbook::{Body, Step};
use crate::domain::run::{Hold, RunState, Stage, StepKey, StepState};
use crate::domain::time::Timestamp;

/// What the run asks for now: the attempts whose intents are durable, and the
/// earliest time at which it wants to be woken.
pub fn commands(state: &RunState) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut wake: Option<Timestamp> = None;
    let mut wake_at = |at: Timestamp| wake = Some(wake.map_or(at, |earlier| earlier.min(at)));
    state.owed_since.into_iter().chain(state.deadline()).for_each(&mut wake_at);
    for key in &state.active {
        let (Some(step), Some((_, spec))) = (state.steps.get(key), state.plan.playbook.step(&key.id)) else {
            continue;
        };
        if let Stage::InFlight { phase, attempt, .. } = step.stage {
            commands.push(perform(state, key, step, spec, phase, attempt));
        }
        waits(state, step, spec).into_iter().flatten().for_each(&mut wake_at);
    }
    for held in state.containments.values() {
        match (&held.undo, held.hold) {
            (Some(Stage::InFlight { phase, attempt, .. }), Hold::Lifting) => {
                let spec = state.plan.playbook.step(&held.key.id);
                if let (Some(step), Some((_, spec))) = (state.steps.get(&held.key), spec) {
                    commands.push(perform(state, &held.key, step, spec, *phase, *attempt));
                }
            }
            (Some(Stage::Due { at, .. }), Hold::Lifting) => wake_at(*at),
            (_, Hold::Accepted | Hold::Verified) => held.until.into_iter().for_each(&mut wake_at),
            _ => {}
        }
    }
    commands.extend(wake.map(Command::WakeAt));
    commands
}

/// The times a step waits for.
fn waits(state: &RunState, step: &StepState, spec: &Step) -> [Option<Timestamp>; 2] {
    let open_approval = || {
        let asked = state.approvals.get(&step.approval?)?;
        (!asked.closed).then_some(asked.until)
    };
    let own = match &step.stage {
        Stage::Due { phase: Phase::Announce, at } => {
            open_approval().map_or(Some(*at), |until| Some(until.min(*at)))
        }
        Stage::Due { at, .. } => Some(*at),
        Stage::Sleeping { until } => Some(*until),
        Stage::Asking(id) => state.questions.get(id).map(|asked| asked.until),
        Stage::Approving(_) | Stage::InFlight { phase: Phase::Announce, .. } => open_approval(),
        _ => None,
    };
    let waiting = matches!(
        step.stage,
        Stage::Due { .. } | Stage::Sleeping { .. } | Stage::Asking(_) | Stage::Approving(_)
    ) || (matches!(step.stage, Stage::Open | Stage::Ready) && step.broken.is_none());
    let deadline = spec.within.filter(|_| waiting).map(|within| step.since.after(within));
    [own, deadline]
}

fn perform(
    state: &RunState,
    key: &StepKey,
    step: &StepState,
    spec: &Step,
    phase: Phase,
    attempt: u32,
) -> Command {
    let run = state.started.as_ref().map(|(started, _)| started.run.to_string()).unwrap_or_default();
    let direction = if phase.undoes() { "undo" } else { "do" };
    let announces = phase == Phase::Announce;
    let acts = matches!(&spec.body, Body::Perform(_));
    let purpose = if announces && acts { "announce" } else { direction };
    Command::Perform(Perform {
        key: key.clone(),
        phase,
        attempt,
        idempotency_key: format!("{run}/{key}/{purpose}"),
        input: step.input.value().clone(),
        captured: step.captured.as_ref().map(|captured| captured.value().clone()),
        acted: step.acted.as_ref().map(|acted| acted.value().clone()),
        timeout: timeout(step, spec),
    })
}

/// How long an attempt may take: what the step says, and never past its `within`.
fn timeout(step: &StepState, spec: &Step) -> Duration {
    let (Stage::InFlight { since, .. }, Some(within)) = (&step.stage, spec.within) else {
        return spec.timeout;
    };
    step.since.after(within).since(*since).min(spec.timeout).max(TIMEOUT_LEAST)
}

/// An attempt that is made at all gets this long.
const TIMEOUT_LEAST: Duration = Duration::from_millis(100);
