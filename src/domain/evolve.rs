//! `evolve`: the one transition table. It folds an event into the state of a
//! run and does nothing else; recovery is this, over the run's entries.

use std::sync::Arc;

use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event, Verdict};
use crate::domain::id::ContainmentId;
use crate::domain::incident::IncidentChange;
use crate::domain::outcome::Outcome;
use crate::domain::run::{
    Approval, Containment, Hold, Question, RunState, Shared, Stage, StepEnd, StepKey, StepState,
};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

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
        | Event::ScheduleArmed { .. }
        | Event::ScheduleFired { .. }
        | Event::ScheduleQueued { .. }
        | Event::ScheduleSkipped { .. }
        | Event::ScheduleDisarmed => Err("it belongs to another kind of stream".to_owned()),
        Event::IncidentChanged { change } => {
            merge(&mut state.incident, change);
            Ok(())
        }
        Event::RunStarted(started) => {
            if state.started.is_some() {
                return Err("the run has begun already".to_owned());
            }
            state.inputs = Shared::new(started.inputs.clone());
            state.started = Some(((**started).clone(), at));
            Ok(())
        }
        Event::RunEnding { end, why, disposition } => {
            state.ending = Some((*end, why.clone()));
            state.disposition = disposition.or(state.disposition);
            Ok(())
        }
        Event::RunEnded { end } => {
            state.ended = Some((*end, at));
            Ok(())
        }
        Event::StepStarted { .. }
        | Event::StepExpanded { .. }
        | Event::StepSlept { .. }
        | Event::StepEnded { .. }
        | Event::StepUncertain { .. }
        | Event::StepSettled { .. } => apply_step(state, event, at),
        Event::AttemptStarted { .. }
        | Event::AttemptEnded { .. }
        | Event::AttemptLost { .. }
        | Event::AttemptDue { .. } => apply_attempt(state, event, at),
        Event::ApprovalRequested { .. }
        | Event::ApprovalGiven { .. }
        | Event::ApprovalEscalated { .. }
        | Event::ApprovalClosed { .. } => apply_approval(state, event),
        Event::QuestionAsked { .. } | Event::QuestionAnswered { .. } | Event::QuestionSilent { .. } => {
            apply_question(state, event)
        }
        Event::ContainmentAccepted { .. }
        | Event::ContainmentVerified { .. }
        | Event::ContainmentExtended { .. }
        | Event::UndoRequested { .. }
        | Event::ContainmentLifted { .. }
        | Event::UndoRefused { .. } => apply_containment(state, event),
    }
}

fn apply_step(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    match event {
        Event::StepStarted { key, input } => {
            let step = begin(state, key, at)?;
            step.input = Shared::new(input.clone());
        }
        Event::StepExpanded { key, items } => {
            let step = begin(state, key, at)?;
            step.items = Some(Arc::new(items.iter().cloned().map(Shared::new).collect()));
            step.stage = Stage::Open;
        }
        Event::StepSlept { key, until } => live(state, key)?.stage = Stage::Sleeping { until: *until },
        Event::StepEnded { key, end, output, why } => {
            if !state.steps.contains_key(key) {
                begin(state, key, at)?;
            }
            let step = live(state, key)?;
            step.stage = Stage::Ended(*end);
            step.ended_at = Some(at);
            step.why.clone_from(why);
            match output {
                Some(output) => step.output = Shared::new(output.clone()),
                None if *end == StepEnd::Succeeded => {
                    if let Some(acted) = &step.acted {
                        step.output = acted.clone();
                    }
                }
                None => {}
            }
            state.active.remove(key);
        }
        Event::StepUncertain { key, what } => {
            live(state, key)?.stage = Stage::Uncertain { what: what.clone() };
        }
        Event::StepSettled { key, .. } => live(state, key)?.stage = Stage::Ready,
        other => return Err(format!("{other:?} is no event of a step")),
    }
    Ok(())
}

fn apply_attempt(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    let (key, phase) = match event {
        Event::AttemptStarted { key, phase, .. }
        | Event::AttemptEnded { key, phase, .. }
        | Event::AttemptLost { key, phase, .. }
        | Event::AttemptDue { key, phase, .. } => (key, *phase),
        other => return Err(format!("{other:?} is no event of an attempt")),
    };
    let step = known(state, key)?;
    match event {
        Event::AttemptStarted { attempt, .. } => {
            step.attempts.insert(phase, *attempt);
            if phase == Phase::Act {
                // A new act begins a new look.
                step.attempts.remove(&Phase::Verify);
                step.phase_since.remove(&Phase::Verify);
            }
            step.phase_since.entry(phase).or_insert(at);
            set_stage(state, key, phase, Stage::InFlight { phase, attempt: *attempt, since: at })?;
        }
        Event::AttemptEnded { outcome, .. } => {
            match outcome {
                Outcome::Succeeded { output, .. } => {
                    let output = Shared::new(output.clone());
                    match phase {
                        Phase::Capture => step.captured = Some(output),
                        Phase::Act => step.acted = Some(output),
                        Phase::Verify | Phase::UndoCheck | Phase::UndoVerify => step.observed = Some(output),
                        Phase::Announce | Phase::Undo => {}
                    }
                    step.failure = None;
                }
                Outcome::Failed { failure, .. } => step.failure = Some(failure.clone()),
            }
            settle_stage(state, key, phase)?;
        }
        Event::AttemptLost { .. } => settle_stage(state, key, phase)?,
        Event::AttemptDue { at, .. } => set_stage(state, key, phase, Stage::Due { phase, at: *at })?,
        _ => {}
    }
    Ok(())
}

/// The attempt is over; what follows is decided in the same breath.
fn settle_stage(state: &mut RunState, key: &StepKey, phase: Phase) -> Result<(), String> {
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
    if !phase.undoes() {
        live(state, key)?.stage = stage;
        return Ok(());
    }
    let containment = known(state, key)?.containment.ok_or("the step contained nothing")?;
    held(state, containment)?.undo = Some(stage);
    Ok(())
}

fn apply_approval(state: &mut RunState, event: &Event) -> Result<(), String> {
    match event {
        Event::ApprovalRequested { key, approval, by, binds, until, if_silent } => {
            let step = live(state, key)?;
            step.approval = Some(*approval);
            step.stage = Stage::Approving(*approval);
            let asked = Approval {
                key: key.clone(),
                by: by.clone(),
                binds: *binds,
                until: *until,
                if_silent: *if_silent,
                escalated: false,
                given: Vec::new(),
                closed: false,
            };
            state.approvals.insert(*approval, asked);
        }
        Event::ApprovalGiven { approval, by, counts_for, approve, .. } => {
            let asked = state.approvals.get_mut(approval).ok_or("nobody asked for this approval")?;
            if *approve {
                asked.given.push((by.clone(), counts_for.clone()));
            }
        }
        Event::ApprovalEscalated { approval, until } => {
            let asked = state.approvals.get_mut(approval).ok_or("nobody asked for this approval")?;
            asked.escalated = true;
            asked.until = *until;
        }
        Event::ApprovalClosed { approval, verdict } => {
            let asked = state.approvals.get_mut(approval).ok_or("nobody asked for this approval")?;
            asked.closed = true;
            let key = asked.key.clone();
            if *verdict == Verdict::Approved {
                live(state, &key)?.stage = Stage::Ready;
            }
        }
        other => return Err(format!("{other:?} is no event of an approval")),
    }
    Ok(())
}

fn apply_question(state: &mut RunState, event: &Event) -> Result<(), String> {
    match event {
        Event::QuestionAsked { key, question, asked, until, .. } => {
            live(state, key)?.stage = Stage::Asking(*question);
            let asked = Question { key: key.clone(), asked: asked.clone(), until: *until, closed: false };
            state.questions.insert(*question, asked);
        }
        Event::QuestionAnswered { question, .. } | Event::QuestionSilent { question, .. } => {
            state.questions.get_mut(question).ok_or("nobody asked this question")?.closed = true;
        }
        other => return Err(format!("{other:?} is no event of a question")),
    }
    Ok(())
}

fn apply_containment(state: &mut RunState, event: &Event) -> Result<(), String> {
    match event {
        Event::ContainmentAccepted { key, containment, changed, until, .. } => {
            let accepted = state.containments.len() as u64 + 1;
            live(state, key)?.containment = Some(*containment);
            let held = Containment {
                key: key.clone(),
                hold: Hold::Accepted,
                changed: *changed,
                until: *until,
                accepted,
                undo: None,
                why: None,
            };
            state.containments.insert(*containment, held);
        }
        Event::ContainmentVerified { containment } => held(state, *containment)?.hold = Hold::Verified,
        Event::ContainmentExtended { containment, until, .. } => {
            held(state, *containment)?.until = Some(*until);
        }
        Event::UndoRequested { containment, .. } => {
            let held = held(state, *containment)?;
            held.hold = Hold::Lifting;
            held.undo = None;
            held.why = None;
            // A second try begins with a fresh look and fresh counts.
            let key = held.key.clone();
            let step = known(state, &key)?;
            for phase in [Phase::UndoCheck, Phase::Undo, Phase::UndoVerify] {
                step.attempts.remove(&phase);
                step.phase_since.remove(&phase);
            }
        }
        Event::ContainmentLifted { containment } => {
            let held = held(state, *containment)?;
            held.hold = Hold::Lifted;
            held.undo = None;
            let key = held.key.clone();
            let step = known(state, &key)?;
            if let Stage::Ended(StepEnd::Succeeded) = step.stage {
                step.stage = Stage::Ended(StepEnd::Undone);
            }
        }
        Event::UndoRefused { containment, why } => {
            let held = held(state, *containment)?;
            held.hold = Hold::Stuck;
            held.undo = None;
            held.why = Some(why.clone());
        }
        other => return Err(format!("{other:?} is no event of a containment")),
    }
    Ok(())
}

fn begin<'a>(state: &'a mut RunState, key: &StepKey, at: Timestamp) -> Result<&'a mut StepState, String> {
    if state.steps.contains_key(key) {
        return Err(format!("step `{key}` has begun already"));
    }
    state.active.insert(key.clone());
    Ok(state.steps.entry(key.clone()).or_insert_with(|| StepState::begun(at)))
}

/// A step that has begun.
fn known<'a>(state: &'a mut RunState, key: &StepKey) -> Result<&'a mut StepState, String> {
    state.steps.get_mut(key).ok_or_else(|| format!("step `{key}` has not begun"))
}

/// A step that has begun and not ended.
fn live<'a>(state: &'a mut RunState, key: &StepKey) -> Result<&'a mut StepState, String> {
    let step = known(state, key)?;
    match step.stage {
        Stage::Ended(_) => Err(format!("step `{key}` has ended already")),
        _ => Ok(step),
    }
}

fn held(state: &mut RunState, id: ContainmentId) -> Result<&mut Containment, String> {
    state.containments.get_mut(&id).ok_or_else(|| format!("there is no containment {id}"))
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
            attempts: std::collections::BTreeMap::new(),
            phase_since: std::collections::BTreeMap::new(),
            captured: None,
            acted: None,
            observed: None,
            output: Shared::new(Value::Null),
            failure: None,
            why: None,
            approval: None,
            containment: None,
        }
    }
}
