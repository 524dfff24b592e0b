//! What is contained: accepted, verified, watched, lifted.

use crate::domain::command::Phase;
use crate::domain::event::Event;
use crate::domain::evolve::{known, live};
use crate::domain::id::ContainmentId;
use crate::domain::run::{Containment, Hold, RunState, Stage, StepEnd, StepKey};
use crate::domain::time::Timestamp;

pub(super) fn apply_containment(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    match event {
        Event::ContainmentAccepted { key, containment, changed, until, .. } => {
            let accepted = state.containments.len() as u64 + 1;
            let step = live(state, key)?;
            step.containment = Some(*containment);
            step.unheard = None;
            let held = accepted_now(key, *changed, *until, accepted);
            state.containments.insert(*containment, held);
        }
        Event::ContainmentVerified { containment } => {
            look_anew(state, *containment)?;
            let held = held(state, *containment)?;
            match held.verified_at {
                None => held.verified_at = Some(at),
                Some(_) => held.rechecked = held.rechecked.saturating_add(1),
            }
            held.drifted = None;
            held.hold = Hold::Verified;
        }
        Event::ContainmentDrifted { containment, what } => {
            look_anew(state, *containment)?;
            let held = held(state, *containment)?;
            held.rechecked = held.rechecked.saturating_add(1);
            held.drifted = Some(what.clone());
        }
        Event::ContainmentExpiring { containment, until } => {
            held(state, *containment)?.warned = Some(*until);
        }
        Event::ContainmentExtended { containment, until, .. } => {
            held(state, *containment)?.until = Some(*until);
        }
        Event::UndoRequested { containment, anyway, .. } => {
            let held = held(state, *containment)?;
            held.hold = Hold::Lifting;
            held.undo = None;
            held.why = None;
            held.anyway = *anyway;
            held.checked = None;
            held.restored = 0;
            // A second try begins with a fresh look and fresh counts.
            let key = held.key.clone();
            let step = known(state, &key)?;
            for phase in [Phase::UndoCheck, Phase::Undo, Phase::UndoVerify] {
                step.attempts.remove(&phase);
                step.phase_since.remove(&phase);
                step.lost.remove(&phase);
            }
        }
        Event::ContainmentLifted { containment, .. } => {
            let held = held(state, *containment)?;
            held.hold = Hold::Lifted;
            held.undo = None;
            let key = held.key.clone();
            let step = known(state, &key)?;
            if let Stage::Ended(StepEnd::Succeeded) = step.stage {
                step.stage = Stage::Ended(StepEnd::Undone);
            }
        }
        Event::UndoRefused { containment, why, .. } => {
            let held = held(state, *containment)?;
            held.hold = Hold::Stuck;
            held.undo = None;
            held.why = Some(why.clone());
        }
        other => return Err(format!("{other:?} is no event of a containment")),
    }
    Ok(())
}

/// Looking again and warning stand in the containment, beside its way back.
pub(super) fn set_watch(
    state: &mut RunState,
    key: &StepKey,
    phase: Phase,
    stage: Option<Stage>,
) -> Result<(), String> {
    let containment = known(state, key)?.containment.ok_or("the step contained nothing")?;
    let held = held(state, containment)?;
    match phase {
        Phase::Recheck => held.recheck = stage,
        _ => held.warn = stage,
    }
    Ok(())
}

pub(super) fn held(state: &mut RunState, id: ContainmentId) -> Result<&mut Containment, String> {
    state.containments.get_mut(&id).ok_or_else(|| format!("there is no containment {id}"))
}

/// The next look at a containment counts its tries from one.
fn look_anew(state: &mut RunState, containment: ContainmentId) -> Result<(), String> {
    let key = held(state, containment)?.key.clone();
    let step = known(state, &key)?;
    step.attempts.remove(&Phase::Recheck);
    step.lost.remove(&Phase::Recheck);
    Ok(())
}

/// A containment that was accepted just now.
fn accepted_now(key: &StepKey, changed: bool, until: Option<Timestamp>, accepted: u64) -> Containment {
    Containment {
        key: key.clone(),
        hold: Hold::Accepted,
        changed,
        until,
        accepted,
        undo: None,
        anyway: false,
        checked: None,
        restored: 0,
        verified_at: None,
        rechecked: 0,
        recheck: None,
        warned: None,
        warn: None,
        drifted: None,
        why: None,
    }
}
