//! What blocks and loops gather of the steps inside them, and what a run
//! forgets of steps that nobody can name any more: a loop over 10,000 items
//! keeps one output an item, not ten thousand states.

use crate::domain::nesting::{Part, ancestors, container_of, is_item, part, section_of, stands_in};
use crate::domain::playbook::{Body, OnError, Playbook, StepIx};
use crate::domain::run::{RunState, Shared, Stage, StepEnd, StepKey, StepState};
use crate::domain::value::Value;

/// What the loop, repeat or block that `key` stands directly inside holds.
/// None for what stands in a block, whose steps are not counted, or in nothing.
pub(super) fn inside<'a>(state: &'a mut RunState, key: &StepKey) -> Option<&'a mut StepState> {
    let playbook = &state.plan.playbook;
    let (ix, _) = playbook.step(&key.id)?;
    if !is_item(playbook, ix, key) {
        return None;
    }
    let around = container_of(playbook, key)?;
    state.steps.get_mut(&around)
}

/// Whether this key names all turns of a `repeat`.
pub(super) fn names_turns(state: &RunState, key: &StepKey) -> bool {
    let playbook = &state.plan.playbook;
    playbook.step(&key.id).is_some_and(|(ix, _)| part(playbook, ix, key) == Part::Turns)
}

/// What a step that succeeded gives when its last event does not say: what its
/// act answered, the outputs of the steps in a block, the items of a loop in
/// order, the last turn of a repeat.
pub(super) fn gathered(state: &RunState, key: &StepKey) -> Option<Shared> {
    let playbook = &state.plan.playbook;
    let (ix, spec) = playbook.step(&key.id)?;
    let output = |key: &StepKey| state.steps.get(key).map(|step| step.output.clone()).unwrap_or_default();
    let step = state.steps.get(key)?;
    match part(playbook, ix, key) {
        Part::Loop => {
            let items = (0..step.begun).map(|index| output(&key.item(index)).value().clone()).collect();
            Some(Shared::new(Value::Array(items)))
        }
        Part::Turns => Some(output(&key.item(step.begun.checked_sub(1)?))),
        Part::Body => match &spec.body {
            Body::Block(children) => {
                let of = |child: &StepIx| {
                    let id = &playbook.steps[*child].id;
                    (id.to_string(), output(&StepKey::within(&key.at, id)).value().clone())
                };
                Some(Shared::new(Value::Object(children.iter().map(of).collect())))
            }
            _ => step.acted.clone(),
        },
    }
}

/// A step has ended: its loop counts it, what it stands in may fail with it,
/// and what was inside it is forgotten.
pub(super) fn ended(state: &mut RunState, key: &StepKey, end: StepEnd, why: &str) {
    let plan = state.plan.clone();
    let playbook = &plan.playbook;
    let Some((ix, spec)) = playbook.step(&key.id) else {
        return;
    };
    if let Some(around) = inside(state, key) {
        around.over = around.over.saturating_add(1);
    }
    if end == StepEnd::Failed && spec.on_error == OnError::Fail {
        let broken = (key.clone(), why.to_owned());
        match container_of(playbook, key) {
            Some(around) => {
                if let Some(around) = state.steps.get_mut(&around) {
                    around.broken.get_or_insert(broken);
                }
            }
            None => {
                state.broken.entry(section_of(playbook, ix)).or_insert(broken);
            }
        }
    }
    forget_inside(state, playbook, ix, key);
    let in_loop = is_item(playbook, ix, key) || ancestors(playbook, ix).any(|ix| is_looped(playbook, ix));
    if let Some(step) = state.steps.get_mut(key).filter(|_| in_loop) {
        slim(step);
    }
}

fn is_looped(playbook: &Playbook, ix: StepIx) -> bool {
    playbook.steps[ix].for_each.is_some() || playbook.steps[ix].repeat.is_some()
}

/// Forgets the steps inside a loop, a repeat or one of their items that has
/// ended: its output says what they gave, and no expression can name them now.
/// What holds a containment, or was asked of people, is kept: it can still be
/// undone or answered.
fn forget_inside(state: &mut RunState, playbook: &Playbook, ix: StepIx, key: &StepKey) {
    let looped = is_looped(playbook, ix) || ancestors(playbook, ix).any(|ix| is_looped(playbook, ix));
    if !looped {
        return;
    }
    let kept = |step: &StepState| {
        step.containment.is_some()
            || step.approval.is_some()
            || step.question.is_some()
            || step.stage == Stage::Ended(StepEnd::Uncertain)
    };
    for (inner, spec) in playbook.steps.iter().enumerate().skip(ix) {
        if !stands_in(playbook, inner, ix) || (inner == ix && part(playbook, ix, key) == Part::Body) {
            continue;
        }
        let first = StepKey::within(&key.at, &spec.id);
        let gone: Vec<StepKey> = state
            .steps
            .range(first..)
            .take_while(|(other, _)| other.id == spec.id && other.at.starts_with(&key.at))
            .filter(|(other, step)| *other != key && !kept(step))
            .map(|(other, _)| other.clone())
            .collect();
        for gone in gone {
            state.steps.remove(&gone);
        }
    }
}

/// What an item that has ended no longer needs: its output is all that is asked for.
fn slim(step: &mut StepState) {
    if step.containment.is_some() {
        return;
    }
    step.input = Shared::default();
    step.captured = None;
    step.acted = None;
    step.observed = None;
    step.failure = None;
    step.unheard = None;
    step.attempts.clear();
    step.phase_since.clear();
}

/// A further turn of a repeat has begun: the one before it is forgotten.
pub(super) fn forget_turn_before(state: &mut RunState, key: &StepKey) {
    let playbook = &state.plan.playbook;
    let is_turn = playbook
        .step(&key.id)
        .is_some_and(|(ix, spec)| spec.repeat.is_some() && part(playbook, ix, key) == Part::Body);
    let Some((&turn, outer)) = key.at.split_last() else {
        return;
    };
    if let Some(before) = turn.checked_sub(1).filter(|_| is_turn) {
        let before = StepKey::within(outer, &key.id).item(before);
        let kept = state.steps.get(&before).is_some_and(|step| step.containment.is_some());
        if !kept {
            state.steps.remove(&before);
        }
    }
}
