//! What an approval is about: the digest that binds it, and what a yes for a block
//! lets the steps in it do.

use serde_json::json;

use crate::domain::approval::Covered;
use crate::domain::decide::turn::Turn;
use crate::domain::playbook::{Body, Effect, Step, StepIx};
use crate::domain::run::StepKey;
use crate::domain::signal::Refusal;
use crate::domain::value::{Digest, Value, digest};

impl Turn<'_> {
    /// What an approval binds: plan, step, input, the target as it was found, and
    /// of a block what its steps will do.
    pub(super) fn binds(&self, spec: &Step, key: &StepKey, covers: &[Covered]) -> Result<Digest, Refusal> {
        let step = self.step(key)?;
        let operation = match &spec.body {
            Body::Perform(action) => action.operation.as_str(),
            _ => "",
        };
        let mut bound = json!({
            "plan": self.started()?.plan, "step": key, "operation": operation,
            "input": step.input.value(), "target": step.captured.as_ref().map(|state| state.value().clone()),
        });
        if !covers.is_empty() {
            bound["covers"] = json!(covers);
        }
        Ok(digest(bound.to_string().as_bytes()))
    }

    /// What the steps of a block will do to the world when it is approved, in order,
    /// as far as it is known now. Reading is left out: a yes is not needed for it.
    pub(super) fn covers(&self, spec: &Step, key: &StepKey) -> Result<Vec<Covered>, Refusal> {
        let Body::Block(inside) = &spec.body else {
            return Ok(Vec::new());
        };
        let mut covers = Vec::new();
        self.cover(inside, key, &mut covers);
        Ok(covers)
    }

    fn cover(&self, steps: &[StepIx], block: &StepKey, covers: &mut Vec<Covered>) {
        let plan = self.plan.clone();
        for spec in steps.iter().map(|ix| &plan.playbook.steps[*ix]) {
            let (operation, input) = match &spec.body {
                Body::Perform(action) if action.effect == Effect::Read => continue,
                Body::Perform(action) => {
                    let key = StepKey::within(&block.at, &spec.id);
                    let input = match spec.for_each {
                        Some(_) => None,
                        None => action.input.render(&self.names(&key).scope()).ok(),
                    };
                    (action.operation.clone(), input)
                }
                Body::Call(call) => (format!("playbook.{}", call.playbook), None),
                Body::Undo(_) => ("undo".to_owned(), None),
                Body::Block(inside) => {
                    self.cover(inside, block, covers);
                    continue;
                }
                Body::Compute(_) | Body::Wait(_) | Body::WaitUntil(_) => continue,
            };
            covers.push(Covered { step: spec.id.to_string(), operation, input });
        }
    }

    /// What stands in the way of a step whose block was approved: its input is not
    /// the one that people saw.
    pub(super) fn not_as_approved(&self, key: &StepKey, input: &Value) -> Option<String> {
        let approvals = self.around(key).into_iter().filter_map(|block| {
            let asked = self.state.approvals.get(&self.state.steps.get(&block)?.approval?)?;
            Some((block, asked))
        });
        approvals
            .flat_map(|(block, asked)| asked.covers.iter().map(move |covered| (block.clone(), covered)))
            .filter(|(_, covered)| *covered.step == *key.id)
            .find(|(_, covered)| covered.input.as_ref().is_some_and(|seen| seen != input))
            .map(|(block, _)| {
                format!("its input is no longer what was approved with `{block}`; nothing was done. Run the playbook again to be asked anew")
            })
    }
}
