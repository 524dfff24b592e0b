//! Runs of other playbooks that a step begins and waits for.

use serde_json::{Map, json};

use crate::domain::command::Child;
use crate::domain::decide::turn::Turn;
use crate::domain::event::{Event, RunEnd};
use crate::domain::id::RunId;
use crate::domain::inputs::{GivenInputs, bind};
use crate::domain::playbook::{PlaybookCall, StepIx};
use crate::domain::run::{RunState, Stage, StepEnd, StepKey};
use crate::domain::signal::{Refusal, Signal};
use crate::domain::value::{Value, size_of};

/// Runs that may stand above one another. Loops of playbooks are refused when
/// the library is read; this holds for plans of any origin.
pub const CALL_DEPTH_MAX: u32 = 5;

impl Turn<'_> {
    /// A `playbook` step: its inputs are worked out, and the run it waits for is named.
    pub(super) fn begin_call(&mut self, call: &PlaybookCall, key: &StepKey) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let Some(callee) = plan.playbooks.get(&call.playbook) else {
            return self.fail_step(key, format!("the plan holds no playbook `{}`", call.playbook));
        };
        let depth = self.started()?.parent.as_ref().map_or(0, |parent| parent.depth);
        if depth >= CALL_DEPTH_MAX {
            return self.fail_step(key, format!("more than {CALL_DEPTH_MAX} playbooks call one another"));
        }
        let given = match call.with.render(&self.names(key).scope()) {
            Ok(Value::Object(given)) => given,
            Ok(_) => Map::new(),
            Err(error) => return self.fail_step(key, format!("its inputs could not be computed: {error}")),
        };
        let input = Value::Object(given.clone());
        if let Some(why) = self.not_as_approved(key, &input) {
            return self.fail_step(key, why);
        }
        let inputs = match bind(&callee.inputs, &GivenInputs::from(given)) {
            Ok(inputs) => inputs,
            Err(wrong) => return self.fail_step(key, format!("the playbook `{}`: {wrong}", call.playbook)),
        };
        let child = Child {
            key: key.clone(),
            run: RunId::derived(self.run.ulid(), &key.to_string()),
            plan: callee.plan,
            playbook: call.playbook.clone(),
            version: callee.version,
            inputs,
        };
        if !self.state.steps.contains_key(key) {
            self.record(Event::StepStarted { key: key.clone(), input })?;
        }
        self.record(Event::StepCalled { key: key.clone(), child })
    }

    /// The run that a step waits for has ended.
    pub(super) fn child_ended(
        &mut self,
        key: &StepKey,
        run: RunId,
        end: RunEnd,
        why: &str,
        output: &Value,
    ) -> Result<(), Refusal> {
        let Some(step) = self.state.steps.get(key) else { return Ok(()) };
        let Stage::Calling { child, .. } = &step.stage else { return Ok(()) };
        if child.run != run {
            return Ok(());
        }
        if let Some((_, why)) = step.broken.clone() {
            return self.fail_step(key, why);
        }
        match end {
            RunEnd::Succeeded => self.end_step(key, StepEnd::Succeeded, Some(output.clone()), None),
            RunEnd::Cancelled if self.is_cut_off(key) => {
                self.end_step(key, StepEnd::Cancelled, None, Some(why.to_owned()))
            }
            RunEnd::Failed | RunEnd::Cancelled => self.fail_step(key, format!("{run}: {why}")),
        }
    }

    /// The run that a step waits for is no longer wanted; its end is waited for.
    pub(super) fn cancel_call(&mut self, key: &StepKey) -> Result<(), Refusal> {
        match self.step(key)?.stage {
            Stage::Calling { cancelled: false, .. } => self.record(Event::CallCancelled { key: key.clone() }),
            _ => Ok(()),
        }
    }
}

/// Bytes of outputs that a run hands to the step that called it. They are
/// journalled once more there, and stay in its memory.
pub const CALL_OUTPUT_BYTES_MAX: usize = 256 << 10;

/// How a run ended, with the outputs of its outermost steps; nothing while it goes on.
pub fn outcome_of(state: &RunState) -> Option<Value> {
    let (started, _) = state.started.as_ref()?;
    let (end, _) = state.ended.as_ref()?;
    let why = state.ending.as_ref().map(|(_, why)| why.as_str()).unwrap_or_default();
    let playbook = &state.plan.playbook;
    let output = |ix: &StepIx| {
        let id = &playbook.steps[*ix].id;
        Some((id.to_string(), state.steps.get(&StepKey::root(id))?.output.value().clone()))
    };
    let outputs: Map<String, Value> = playbook.roots.iter().filter_map(output).collect();
    Some(json!({
        "run": started.run, "end": end, "why": why, "disposition": state.disposition, "steps": outputs,
    }))
}

/// What the step that waits for this run is told, once the run has ended.
pub fn end_for_parent(state: &RunState) -> Option<(RunId, Signal)> {
    let (started, _) = state.started.as_ref()?;
    let (parent, (end, _)) = (started.parent.as_ref()?, state.ended.as_ref()?);
    let why = state.ending.as_ref().map(|(_, why)| why.clone()).unwrap_or_default();
    let output = outcome_of(state)?;
    let bytes = size_of(&output);
    let signal = |end, why, output| Signal::ChildEnded {
        key: parent.step.clone(),
        run: started.run,
        end,
        why,
        output,
    };
    if *end == RunEnd::Succeeded && bytes > CALL_OUTPUT_BYTES_MAX {
        let why =
            format!("its outputs take {bytes} bytes, and at most {CALL_OUTPUT_BYTES_MAX} are handed on");
        return Some((parent.run, signal(RunEnd::Failed, why, Value::Null)));
    }
    Some((parent.run, signal(*end, why, output)))
}
