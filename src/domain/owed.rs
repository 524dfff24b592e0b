//! `commands`: what a run asks of the shell now. A function of the state alone,
//! so that a run that was read again after a crash asks for the same.

use std::time::Duration;

use serde_json::json;

use crate::domain::command::{Command, Perform, Phase};
use crate::domain::id::ContainmentId;
use crate::domain::kept::{fields_of, with_leave, with_left};
use crate::domain::planted::{Bug, planted};
use crate::domain::playbook::{Body, Step};
use crate::domain::run::{
    Containment, Hold, Question, RECHECKS, RunState, Shared, Stage, StepKey, StepState, WARN_BEFORE_MOST,
    WARN_HOLD_LEAST,
};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// The rules by which [`commands`] asks, as a number. Raise it whenever a state that
/// an older version left may ask for something else or at another time: what is
/// kept of where runs rest then counts no more, and they are replayed.
pub const RULES: u32 = 2;

/// Whether a run that asks for this only waits, and until when.
pub fn rests(commands: &[Command]) -> Option<Option<Timestamp>> {
    commands.iter().try_fold(None, |wake, command| {
        match command {
            Command::WakeAt(at) => Some(Some(*at)),
            Command::Perform(_) | Command::Follow(_) | Command::CancelChild(_) => None::<Option<Timestamp>>,
        }
        .map(|found| found.or(wake))
    })
}

/// What the run asks for now: the attempts whose intents are durable, and the
/// earliest time at which it wants to be woken.
pub fn commands(state: &RunState) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut wake: Option<Timestamp> = None;
    let mut wake_at = |at: Timestamp| wake = Some(wake.map_or(at, |earlier| earlier.min(at)));
    // A run that is set aside does nothing at its times: asking to be woken
    // would be asking for ever. What it holds is lifted all the same.
    let goes_on = state.quarantined.is_none();
    if goes_on {
        state.owed_since.into_iter().chain(state.deadline()).for_each(&mut wake_at);
    }
    for key in &state.active {
        let (Some(step), Some((_, spec))) = (state.steps.get(key), state.plan.playbook.step(&key.id)) else {
            continue;
        };
        match &step.stage {
            Stage::InFlight { phase, attempt, .. } => {
                commands.push(perform(state, key, step, spec, *phase, *attempt));
            }
            // Of a journal that was read from a backup: it may have begun already.
            Stage::Calling { .. } if !goes_on && state.restored.is_some() => {}
            Stage::Calling { child, cancelled } => {
                commands.push(Command::Follow((**child).clone()));
                commands.extend(cancelled.then_some(Command::CancelChild(child.run)));
            }
            _ => {}
        }
        if goes_on {
            waits(state, step, spec).into_iter().flatten().for_each(&mut wake_at);
        }
    }
    for held in state.containments.values() {
        for (phase, stage) in [(Phase::Recheck, &held.recheck), (Phase::Warn, &held.warn)] {
            let spec = state.plan.playbook.step(&held.key.id);
            if let (Some(Stage::InFlight { attempt, .. }), Some(step), Some((_, spec))) =
                (stage, state.steps.get(&held.key), spec)
            {
                commands.push(perform(state, &held.key, step, spec, phase, *attempt));
            }
        }
        watch_times(state, held).into_iter().flatten().for_each(&mut wake_at);
        match (&held.undo, held.hold) {
            (Some(Stage::InFlight { phase, attempt, .. }), Hold::Lifting) => {
                let spec = state.plan.playbook.step(&held.key.id);
                if let (Some(step), Some((_, spec))) = (state.steps.get(&held.key), spec) {
                    commands.push(perform(state, &held.key, step, spec, *phase, *attempt));
                }
            }
            (Some(Stage::Due { at, .. }), Hold::Lifting) => wake_at(*at),
            (_, Hold::Accepted | Hold::Verified) if !planted(Bug::TimeBoxIsForgotten) => {
                held.until.into_iter().for_each(&mut wake_at);
            }
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
    let open_question = || state.questions.get(&step.question?).filter(|asked| !asked.closed);
    let own = match &step.stage {
        Stage::Due { phase: Phase::Announce, at } => {
            open_approval().map_or(Some(*at), |until| Some(until.min(*at)))
        }
        Stage::Due { phase: Phase::Remind, at } => {
            open_question().map_or(Some(*at), |asked| Some(asked.until.min(*at)))
        }
        Stage::Due { at, .. } => Some(*at),
        Stage::Sleeping { until } => Some(*until),
        Stage::Asking(id) => state
            .questions
            .get(id)
            .map(|asked| next_reminder(asked, spec).map_or(asked.until, |at| at.min(asked.until))),
        Stage::InFlight { phase: Phase::Remind, .. } => open_question().map(|asked| asked.until),
        Stage::Approving(_) | Stage::InFlight { phase: Phase::Announce, .. } => open_approval(),
        _ => None,
    };
    let looks = matches!(step.stage, Stage::Due { phase: Phase::Verify | Phase::Reconcile, .. });
    let waiting = matches!(
        step.stage,
        Stage::Due { .. }
            | Stage::Sleeping { .. }
            | Stage::Asking(_)
            | Stage::Approving(_)
            | Stage::Calling { cancelled: false, .. }
    ) || (matches!(step.stage, Stage::Open | Stage::Ready) && step.broken.is_none());
    let deadline = spec.within.filter(|_| waiting && !looks).map(|within| step.since.after(within));
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
    let question = step.question.and_then(|id| state.questions.get(&id));
    let held = step.containment.and_then(|id| state.containments.get(&id));
    let acts = matches!(&spec.body, Body::Perform(_));
    let purpose = match phase {
        _ if phase.undoes() => "undo".to_owned(),
        Phase::Announce if acts => "announce".to_owned(),
        Phase::Remind => format!("remind/{}", question.map_or(0, |asked| asked.reminded)),
        Phase::Warn => format!("warn/{}", held.and_then(|held| held.warned).map_or(0, Timestamp::millis)),
        _ => "do".to_owned(),
    };
    let purpose = if planted(Bug::KeyNamesTheAttempt) { format!("{purpose}/{attempt}") } else { purpose };
    let about = match phase {
        Phase::Remind => question.map_or(
            Value::Null,
            |asked| json!({ "to": asked.remind, "asked": asked.asked, "until": asked.until }),
        ),
        Phase::Warn => held.map_or(Value::Null, |held| json!({ "until": held.until })),
        _ => Value::Null,
    };
    Command::Perform(Perform {
        key: key.clone(),
        phase,
        attempt,
        idempotency_key: format!("{run}/{key}/{purpose}"),
        input: step.input.value().clone(),
        captured: captured(step, held, phase),
        acted: step.acted.as_ref().map(|acted| acted.value().clone()),
        about,
        timeout: timeout(step, spec),
        tells_begin: step.begun_parts.contains_key(&phase),
    })
}

/// The state before, as this part needs it.
fn captured(step: &StepState, held: Option<&Containment>, phase: Phase) -> Option<Value> {
    let captured = step.captured.as_ref()?.value();
    let Some(held) = held.filter(|_| phase.undoes()) else {
        return Some(captured.clone());
    };
    if phase == Phase::UndoCheck {
        // Where nothing was written, we left it as it was.
        let left = step.left.as_ref().map(Shared::value);
        return Some(with_left(captured, left.or_else(|| captured.get("state").filter(|_| !held.changed))));
    }
    let looked = held.checked.as_ref().filter(|_| !held.anyway);
    Some(with_leave(captured, &looked.map(|look| fields_of(look.value())).unwrap_or_default()))
}

/// A look at a containment as before lifting it, for a person who wants to
/// know what lifting would do. No intent stands behind it, and none is needed:
/// it only reads.
pub fn look_before_lifting(state: &RunState, id: ContainmentId) -> Option<Perform> {
    let held = state.containments.get(&id)?;
    let step = state.steps.get(&held.key)?;
    let (_, spec) = state.plan.playbook.step(&held.key.id)?;
    match perform(state, &held.key, step, spec, Phase::UndoCheck, 0) {
        Command::Perform(perform) => Some(perform),
        _ => None,
    }
}

/// When the next reminder of an open question is due.
pub fn next_reminder(asked: &Question, spec: &Step) -> Option<Timestamp> {
    let Body::Perform(action) = &spec.body else { return None };
    let reminder = action.question.as_ref()?.reminders.get(asked.reminded as usize)?;
    Some(asked.since.after(reminder.after))
}

/// When a containment that holds is looked at again, and when people are told
/// that it is about to be lifted.
pub fn watch_times(state: &RunState, held: &Containment) -> [Option<Timestamp>; 2] {
    if held.hold != Hold::Verified || !held.changed {
        return [None, None];
    }
    let spec = state.plan.playbook.step(&held.key.id).and_then(|(_, step)| match &step.body {
        Body::Perform(action) => action.containment.as_ref(),
        _ => None,
    });
    let due = |stage: &Option<Stage>| match stage {
        Some(Stage::Due { at, .. }) => Some(*at),
        _ => None,
    };
    let recheck = match &held.recheck {
        Some(_) => due(&held.recheck),
        None if spec.is_some_and(|spec| spec.verify_within.is_some()) => {
            let next = RECHECKS.get(usize::from(held.rechecked));
            held.verified_at.zip(next).map(|(at, after)| at.after(*after))
        }
        None => None,
    };
    let warn = match &held.warn {
        Some(_) => due(&held.warn),
        None => {
            let hold = spec.and_then(|spec| spec.hold).filter(|hold| *hold >= WARN_HOLD_LEAST);
            held.until
                .zip(hold)
                .filter(|(until, _)| held.warned != Some(*until))
                .map(|(until, hold)| until.before((hold / 4).min(WARN_BEFORE_MOST)))
        }
    };
    [recheck, warn]
}

/// How long an attempt may take: what the step says, and never past its `within`.
fn timeout(step: &StepState, spec: &Step) -> Duration {
    let (Stage::InFlight { phase, since, .. }, Some(within)) = (&step.stage, spec.within) else {
        return spec.timeout;
    };
    // What was sent is looked after also when the time for sending is over.
    if matches!(phase, Phase::Verify | Phase::Reconcile) {
        return spec.timeout;
    }
    step.since.after(within).since(*since).min(spec.timeout).max(TIMEOUT_LEAST)
}

/// An attempt that is made at all gets this long.
const TIMEOUT_LEAST: Duration = Duration::from_millis(100);
