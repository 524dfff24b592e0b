//! `evolve`: the one transition table. It folds an event into the state of a
//! run and does nothing else; recovery is this, over the run's entries.
//!
//! ```text
//! evolve.rs       the run, its steps and attempts
//! people.rs       approvals and questions
//! containment.rs  what is contained, watched and lifted
//! inside.rs       what blocks and loops gather of the steps inside them
//! ```

mod containment;
mod inside;
mod people;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event, SetAside};
use crate::domain::incident::IncidentChange;
use crate::domain::outcome::{FailureClass, Outcome};
use crate::domain::run::{RunState, Shared, Stage, StepEnd, StepKey, StepState};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use containment::{apply_containment, held, set_watch};
use inside::{ended, forget_turn_before, gathered, inside, names_turns};
use people::{apply_approval, apply_question, ask_also};

/// An entry that cannot follow the ones before it: the record was changed or
/// the code has a mistake. The run is set aside; the others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} cannot follow: {why}")]
pub struct Corrupt {
    /// The entry's number in the run.
    pub seq: u64,
    /// What does not fit.
    pub why: String,
}

/// Folds the run's next entry into its state.
///
/// # Errors
/// `Corrupt` when the entry is not the next one or cannot follow.
pub fn evolve(state: &mut RunState, entry: &Entry) -> Result<(), Corrupt> {
    let corrupt = |why: String| Corrupt { seq: entry.seq, why };
    if entry.seq != state.seq + 1 {
        return Err(corrupt(format!("entry {} is missing", state.seq + 1)));
    }
    state.owed_since = None;
    apply(state, &entry.event, entry.at).map_err(corrupt)?;
    state.seq = entry.seq;
    Ok(())
}

/// Applies one event. The arms are the transition table, in the order of `Event`.
fn apply(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    match event {
        Event::AlertReceived { .. }
        | Event::AlertTriaged { .. }
        | Event::IncidentOpened { .. }
        | Event::UndoOrdered(_)
        | Event::AlertsMoved(_)
        | Event::AlertsCame { .. }
        | Event::ExceptionMade(_)
        | Event::ExceptionEnded { .. }
        | Event::Erased(_)
        | Event::ScheduleArmed { .. }
        | Event::ScheduleFired { .. }
        | Event::ScheduleQueued { .. }
        | Event::ScheduleSkipped { .. }
        | Event::ScheduleDisarmed
        | Event::PollAdvanced(_)
        | Event::JournalRestored(_) => Err("it belongs to another kind of stream".to_owned()),
        Event::IncidentChanged { .. }
        | Event::RunStarted(_)
        | Event::RunQueued { .. }
        | Event::RunAdmitted {}
        | Event::RunEnding { .. }
        | Event::RunEnded { .. }
        | Event::RunCutShort { .. }
        | Event::RunQuarantined(_)
        | Event::RunReleased { .. }
        | Event::TurnCut {} => apply_run(state, event, at),
        Event::StepStarted { .. }
        | Event::StepExpanded { .. }
        | Event::StepSlept { .. }
        | Event::StepCalled { .. }
        | Event::CallCancelled { .. }
        | Event::StepOverdue { .. }
        | Event::StepEnded { .. }
        | Event::StepUncertain { .. }
        | Event::StepSettled { .. } => apply_step(state, event, at),
        Event::AttemptStarted { .. }
        | Event::AttemptBegan { .. }
        | Event::AttemptEnded { .. }
        | Event::AttemptLost { .. }
        | Event::AttemptDue { .. } => apply_attempt(state, event, at),
        Event::ApprovalRequested { .. }
        | Event::ApprovalGiven { .. }
        | Event::ApprovalEscalated { .. }
        | Event::ApprovalClosed { .. } => apply_approval(state, event),
        Event::QuestionAsked { .. }
        | Event::QuestionReminded { .. }
        | Event::QuestionAnswered { .. }
        | Event::QuestionSilent { .. } => apply_question(state, event, at),
        Event::ContainmentAccepted { .. }
        | Event::ContainmentVerified { .. }
        | Event::ContainmentDrifted { .. }
        | Event::ContainmentExpiring { .. }
        | Event::ContainmentExtended { .. }
        | Event::UndoRequested { .. }
        | Event::ContainmentLifted { .. }
        | Event::UndoRefused { .. } => apply_containment(state, event, at),
    }
}

fn apply_run(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    match event {
        Event::IncidentChanged { change } => merge(&mut state.incident, change),
        Event::RunStarted(started) => {
            if state.started.is_some() {
                return Err("the run has begun already".to_owned());
            }
            state.inputs = Shared::new(started.inputs.clone());
            let restored = started.parent.as_ref().is_some_and(|parent| parent.restored);
            state.restored = restored.then(BTreeSet::new);
            state.started = Some(((**started).clone(), at));
        }
        Event::RunQueued { urgency } => state.queued = Some(*urgency),
        Event::RunAdmitted {} => state.queued = None,
        Event::RunEnding { end, why, disposition } => {
            state.queued = None;
            state.ending = Some((*end, why.clone()));
            state.disposition = disposition.or(state.disposition);
        }
        Event::RunEnded { end } => state.ended = Some((*end, at)),
        Event::RunCutShort { .. } => state.cut_short = true,
        Event::RunQuarantined(SetAside { why, restored }) => {
            state.quarantined = Some(why.clone());
            if *restored {
                state.restored = Some(BTreeSet::new());
                let open = state.steps.iter_mut().filter(|(key, _)| state.active.contains(*key));
                open.for_each(|(_, step)| look_anew(step));
            }
        }
        Event::RunReleased { .. } => {
            state.quarantined = None;
            state.steps.values_mut().flat_map(|step| step.lost.values_mut()).for_each(|times| *times = 0);
        }
        Event::TurnCut {} => state.owed_since = Some(at),
        other => return Err(format!("{other:?} is no event of a run")),
    }
    Ok(())
}

fn apply_step(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    match event {
        Event::StepStarted { key, input } => {
            let turns = names_turns(state, key);
            let step = begin(state, key, at)?;
            step.input = Shared::new(input.clone());
            if turns {
                step.stage = Stage::Open;
            }
        }
        Event::StepExpanded { key, items } => {
            let step = begin(state, key, at)?;
            step.items = Some(Arc::new(items.iter().cloned().map(Shared::new).collect()));
            step.stage = Stage::Open;
        }
        Event::StepSlept { key, until } => live(state, key)?.stage = Stage::Sleeping { until: *until },
        Event::StepCalled { key, child } => {
            live(state, key)?.stage = Stage::Calling { child: Arc::new(child.clone()), cancelled: false };
        }
        Event::CallCancelled { key } => match &mut live(state, key)?.stage {
            Stage::Calling { cancelled, .. } => *cancelled = true,
            _ => return Err(format!("step `{key}` waits for no run")),
        },
        Event::StepOverdue { key, why } => {
            let step = live(state, key)?;
            step.broken.get_or_insert((key.clone(), why.clone()));
        }
        Event::StepEnded { key, end, output, why } => {
            if !state.steps.contains_key(key) {
                begin(state, key, at)?;
            }
            let given = match output {
                Some(output) => Some(Shared::new(output.clone())),
                None if *end == StepEnd::Succeeded => gathered(state, key),
                None => None,
            };
            let step = live(state, key)?;
            step.stage = Stage::Ended(*end);
            step.ended_at = Some(at);
            step.why.clone_from(why);
            if let Some(given) = given {
                step.output = given;
            }
            state.active.remove(key);
            ended(state, key, *end, why.as_deref().unwrap_or_default());
        }
        Event::StepUncertain { key, what } => {
            live(state, key)?.stage = Stage::Uncertain { what: what.clone() };
        }
        Event::StepSettled { key, happened, .. } => {
            let step = live(state, key)?;
            step.stage = Stage::Ready;
            if !happened {
                step.unheard = None;
            }
        }
        other => return Err(format!("{other:?} is no event of a step")),
    }
    Ok(())
}

fn apply_attempt(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    let (key, phase) = match event {
        Event::AttemptStarted { key, phase, .. }
        | Event::AttemptBegan { key, phase, .. }
        | Event::AttemptEnded { key, phase, .. }
        | Event::AttemptLost { key, phase, .. }
        | Event::AttemptDue { key, phase, .. } => (key, *phase),
        other => return Err(format!("{other:?} is no event of an attempt")),
    };
    let step = known(state, key)?;
    match event {
        Event::AttemptStarted { attempt, begin_follows, .. } => {
            step.attempts.insert(phase, *attempt);
            if *begin_follows {
                step.begun_parts.insert(phase, false);
            }
            if phase == Phase::Act {
                act_anew(step);
            }
            step.phase_since.entry(phase).or_insert(at);
            if let Some(acted) = state.restored.as_mut().filter(|_| phase == Phase::Act) {
                acted.insert(key.clone());
            }
            set_stage(state, key, phase, Stage::InFlight { phase, attempt: *attempt, since: at })?;
        }
        Event::AttemptBegan { .. } => {
            step.begun_parts.insert(phase, true);
        }
        Event::AttemptEnded { outcome, .. } => {
            step.lost.remove(&phase);
            step.begun_parts.remove(&phase);
            if phase == Phase::Act {
                hear_of_act(step, outcome);
            }
            if outcome.not_begun() {
                not_tried(step, phase);
            }
            match outcome {
                // Why the system is asked stays known while it is asked.
                _ if phase == Phase::Reconcile => {}
                Outcome::Failed { failure, .. } => step.failure = Some(failure.clone()),
                Outcome::Succeeded { .. } => step.failure = None,
            }
            if let Outcome::Succeeded { output, .. } = outcome {
                learn(state, key, phase, Shared::new(output.clone()))?;
            }
            settle_attempt(state, key, phase)?;
        }
        Event::AttemptLost { waited: true, .. } => {
            step.begun_parts.remove(&phase);
            not_tried(step, phase);
            settle_attempt(state, key, phase)?;
        }
        Event::AttemptLost { .. } => {
            step.begun_parts.remove(&phase);
            *step.lost.entry(phase).or_default() += 1;
            if phase == Phase::Act {
                step.unheard = Some("the server stopped while it was sent".to_owned());
            }
            settle_stage(state, key, phase)?;
        }
        Event::AttemptDue { at, .. } => set_stage(state, key, phase, Stage::Due { phase, at: *at })?,
        _ => {}
    }
    Ok(())
}

/// A new act begins a new look.
fn act_anew(step: &mut StepState) {
    step.left = None;
    if step.phase_since.contains_key(&Phase::Reconcile) {
        // The system was asked, and it was certain that the act before did not happen.
        step.unheard = None;
    }
    look_anew(step);
}

/// Looks so far say nothing of what may have happened since.
fn look_anew(step: &mut StepState) {
    step.looks = 0;
    for look in [Phase::Verify, Phase::Reconcile] {
        step.attempts.remove(&look);
        step.phase_since.remove(&look);
    }
}

/// Nothing was tried, so it does not count as a try. Acts are counted on: an
/// earlier one may have happened unheard.
fn not_tried(step: &mut StepState, phase: Phase) {
    if phase != Phase::Act {
        step.attempts.entry(phase).and_modify(|tried| *tried = tried.saturating_sub(1));
    }
}

/// The attempt is over; lifting that has not begun is open again.
fn settle_attempt(state: &mut RunState, key: &StepKey, phase: Phase) -> Result<(), String> {
    let step = known(state, key)?;
    let untouched = step.attempts.get(&phase).is_none_or(|tried| *tried == 0);
    if phase == Phase::UndoCheck && untouched {
        // The order among those to be lifted is decided anew.
        let containment = step.containment.ok_or("the step contained nothing")?;
        held(state, containment)?.undo = None;
        return Ok(());
    }
    settle_stage(state, key, phase)
}

/// What is known of whether the step's act happened. A refusal is about one
/// attempt: of those before it, it says nothing.
fn hear_of_act(step: &mut StepState, outcome: &Outcome) {
    match outcome {
        Outcome::Succeeded { .. } => step.unheard = None,
        Outcome::Failed { failure, .. } if failure.class == FailureClass::Unknown => {
            step.unheard = Some(format!("it was sent, and its outcome is unknown ({})", failure.message));
        }
        Outcome::Failed { .. } => {}
    }
}

/// Takes in what an attempt that succeeded gave.
fn learn(state: &mut RunState, key: &StepKey, phase: Phase, output: Shared) -> Result<(), String> {
    let step = known(state, key)?;
    match phase {
        Phase::Capture => step.captured = Some(output),
        Phase::Act => step.acted = Some(output),
        Phase::Reconcile => step.looks += 1,
        Phase::Verify => {
            step.looks += 1;
            step.left = step.left.take().or_else(|| how_left(output.value()));
            step.observed = Some(output);
        }
        Phase::UndoCheck => {
            let containment = step.containment;
            step.observed = Some(output.clone());
            if let Some(containment) = containment {
                let restored = output.value().get("state").and_then(Value::as_str) == Some("restored");
                let held = held(state, containment)?;
                held.restored = if restored { held.restored + 1 } else { 0 };
                held.checked = Some(output);
            }
        }
        Phase::UndoVerify => {
            let containment = step.containment;
            step.observed = Some(output.clone());
            if let Some(containment) = containment {
                let restored = output.value().get("holds").and_then(Value::as_bool) == Some(true);
                let held = held(state, containment)?;
                held.restored = if restored { held.restored + 1 } else { 0 };
            }
        }
        Phase::Undo => {
            if let Some(containment) = step.containment {
                held(state, containment)?.restored = 0;
            }
        }
        Phase::Recheck => step.observed = Some(output),
        Phase::Remind => {
            if let Some(question) = step.question {
                ask_also(state, question, output.value());
            }
        }
        Phase::Announce | Phase::Warn => {}
    }
    Ok(())
}

/// How a target was left, by a look that saw the act hold.
fn how_left(look: &Value) -> Option<Shared> {
    let holds = look.get("holds").and_then(Value::as_bool) == Some(true);
    let read = look.get("read").filter(|read| read.as_object().is_some_and(|read| !read.is_empty()));
    read.filter(|_| holds).cloned().map(Shared::new)
}

/// The attempt is over; what follows is decided in the same breath.
fn settle_stage(state: &mut RunState, key: &StepKey, phase: Phase) -> Result<(), String> {
    if phase == Phase::Remind {
        // Reminding runs beside the wait for an answer.
        let step = live(state, key)?;
        let question = step.question.ok_or("nothing was asked")?;
        step.stage = Stage::Asking(question);
        return Ok(());
    }
    if phase.watches() {
        return set_watch(state, key, phase, None);
    }
    if phase == Phase::Announce {
        // Announcing runs beside the wait for approval.
        let step = live(state, key)?;
        let approval = step.approval.ok_or("nothing was announced")?;
        step.stage = Stage::Approving(approval);
        return Ok(());
    }
    set_stage(state, key, phase, Stage::Ready)
}

/// The way there stands in the step, the way back in its containment.
fn set_stage(state: &mut RunState, key: &StepKey, phase: Phase, stage: Stage) -> Result<(), String> {
    if phase.watches() {
        return set_watch(state, key, phase, Some(stage));
    }
    if !phase.undoes() {
        live(state, key)?.stage = stage;
        return Ok(());
    }
    let containment = known(state, key)?.containment.ok_or("the step contained nothing")?;
    held(state, containment)?.undo = Some(stage);
    Ok(())
}

fn begin<'a>(state: &'a mut RunState, key: &StepKey, at: Timestamp) -> Result<&'a mut StepState, String> {
    if state.steps.contains_key(key) {
        return Err(format!("step `{key}` has begun already"));
    }
    if let Some(around) = inside(state, key) {
        around.begun = around.begun.saturating_add(1);
        if let Stage::Sleeping { .. } = around.stage {
            // The pause between two turns is over.
            around.stage = Stage::Open;
        }
    }
    forget_turn_before(state, key);
    state.active.insert(key.clone());
    Ok(state.steps.entry(key.clone()).or_insert_with(|| StepState::begun(at)))
}

/// A step that has begun.
pub(super) fn known<'a>(state: &'a mut RunState, key: &StepKey) -> Result<&'a mut StepState, String> {
    state.steps.get_mut(key).ok_or_else(|| format!("step `{key}` has not begun"))
}

/// A step that has begun and not ended.
pub(super) fn live<'a>(state: &'a mut RunState, key: &StepKey) -> Result<&'a mut StepState, String> {
    let step = known(state, key)?;
    match step.stage {
        Stage::Ended(_) => Err(format!("step `{key}` has ended already")),
        _ => Ok(step),
    }
}

/// Adds a change to what is known of the incident.
fn merge(incident: &mut IncidentChange, change: &IncidentChange) {
    incident.severity = change.severity.or(incident.severity);
    incident.status = change.status.or(incident.status);
    incident.disposition = change.disposition.or(incident.disposition);
    incident.assignee = change.assignee.clone().or_else(|| incident.assignee.take());
    incident.note = change.note.clone().or_else(|| incident.note.take());
    for tag in &change.tags {
        if !incident.tags.contains(tag) {
            incident.tags.push(tag.clone());
        }
    }
}

impl StepState {
    /// A step that has just begun.
    fn begun(at: Timestamp) -> Self {
        Self {
            since: at,
            ended_at: None,
            stage: Stage::Ready,
            input: Shared::new(Value::Null),
            items: None,
            begun: 0,
            over: 0,
            broken: None,
            attempts: std::collections::BTreeMap::new(),
            phase_since: std::collections::BTreeMap::new(),
            captured: None,
            acted: None,
            observed: None,
            left: None,
            output: Shared::new(Value::Null),
            failure: None,
            why: None,
            approval: None,
            question: None,
            containment: None,
            unheard: None,
            looks: 0,
            lost: std::collections::BTreeMap::new(),
            begun_parts: std::collections::BTreeMap::new(),
        }
    }
}
