//! What a run may have done that its entries do not say, when the journal was read
//! from a backup.

use crate::domain::playbook::{Body, Effect, Step, StepIx};
use crate::domain::run::{RunState, Stage, StepKey};

/// Steps that are named; past it their number is.
const NAMED_MAX: usize = 12;

/// Why the run is held, and which of its steps it may have done after the backup.
pub fn why_held(state: &RunState) -> String {
    let playbook = &state.plan.playbook;
    let steps = playbook.steps.iter().enumerate();
    let open = steps.filter(|(ix, _)| !is_over(state, *ix));
    let acts: Vec<String> = open.filter_map(|(_, step)| act(step)).collect();
    let unknown = "the journal was read from a backup, and what this run did after it is not on record";
    let named = acts.get(..NAMED_MAX).unwrap_or(&acts).join(", ");
    match acts.len() {
        0 => format!("{unknown}; none of the steps that were left changes anything"),
        count if count > NAMED_MAX => {
            format!("{unknown}. It may have done: {named} and {} more", count - NAMED_MAX)
        }
        _ => format!("{unknown}. It may have done: {named}"),
    }
}

/// Whether nothing of the step was left: it, or what it stands in, had ended.
fn is_over(state: &RunState, ix: StepIx) -> bool {
    let steps = &state.plan.playbook.steps;
    let around = std::iter::successors(Some(ix), |ix| steps.get(*ix).and_then(|step| step.parent));
    let ended = |ix: StepIx| {
        let state = steps.get(ix).and_then(|step| state.steps.get(&StepKey::root(&step.id)));
        state.is_some_and(|step| matches!(step.stage, Stage::Ended(_)))
    };
    around.into_iter().any(ended)
}

/// What a step does to the world, if it does anything.
fn act(step: &Step) -> Option<String> {
    let does = match &step.body {
        Body::Perform(action) if action.effect != Effect::Read => action.operation.as_str(),
        Body::Call(call) => call.playbook.as_str(),
        Body::Undo(_) => "undo",
        _ => return None,
    };
    Some(format!("{} ({does})", step.id))
}
