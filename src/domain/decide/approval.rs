//! What an approval is about: the digest that binds it, and what a yes for a block
//! lets the steps in it do.

use serde_json::{Map, json};

use crate::domain::approval::Covered;
use crate::domain::decide::turn::Turn;
use crate::domain::expr::template::Template;
use crate::domain::nesting::stands_in;
use crate::domain::playbook::{Body, Compute, Effect, Step, StepIx};
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
        let (block, _) = self.spec(&self.plan, key)?;
        let mut covers = Vec::new();
        self.cover(block, inside, key, &mut covers);
        Ok(covers)
    }

    fn cover(&self, block: StepIx, steps: &[StepIx], key: &StepKey, covers: &mut Vec<Covered>) {
        for spec in steps.iter().map(|ix| &self.plan.playbook.steps[*ix]) {
            let (operation, input) = match &spec.body {
                Body::Perform(action) if action.effect == Effect::Read => continue,
                Body::Perform(action) => (action.operation.clone(), Some(&action.input)),
                Body::Call(call) => (format!("playbook.{}", call.playbook), Some(&call.with)),
                Body::Undo(_) => ("undo".to_owned(), None),
                Body::Block(inside) => {
                    self.cover(block, inside, key, covers);
                    continue;
                }
                Body::Compute(_) | Body::Wait(_) | Body::WaitUntil(_) => continue,
            };
            // Each item of a loop hands over something else.
            let once = input.filter(|_| spec.for_each.is_none());
            let key = StepKey::within(&key.at, &spec.id);
            let input = once.and_then(|input| self.known(input, block, &key));
            covers.push(Covered { step: spec.id.to_string(), operation, input });
        }
    }

    /// What is known now of what a step in a block will hand over: of a map the
    /// entries that no step in the block and no clock has a say in.
    fn known(&self, input: &Template, block: StepIx, key: &StepKey) -> Option<Value> {
        let names = self.names(key);
        let scope = names.scope();
        let render = |source: &Value| {
            let template = Template::parse(source).ok()?;
            if self.is_settled(&template, block) { template.render(&scope).ok() } else { None }
        };
        let Value::Object(fields) = input.source() else {
            return render(input.source()).filter(|known| !known.is_null());
        };
        let known = fields.iter().filter_map(|(name, source)| Some((name.clone(), render(source)?)));
        let known: Map<String, Value> = known.collect();
        (fields.is_empty() || !known.is_empty()).then_some(Value::Object(known))
    }

    /// Whether what a template names is not changed by the approved block itself
    /// or by time going on. What changes it from elsewhere stops the step.
    fn is_settled(&self, template: &Template, block: StepIx) -> bool {
        let playbook = &self.plan.playbook;
        let is_inside = |id: &String| playbook.step(id).is_none_or(|(ix, _)| stands_in(playbook, ix, block));
        let changes_incident = || {
            let changes = |step: &Step| matches!(step.body, Body::Compute(Compute::Incident(_)));
            let mut steps = playbook.steps.iter().enumerate();
            steps.any(|(ix, step)| changes(step) && stands_in(playbook, ix, block))
        };
        template.references().paths.iter().all(|path| match path.first().map(String::as_str) {
            Some("now") => false,
            Some("incident") => !changes_incident(),
            // A name that is worked out may be any.
            Some("steps" | "outcome") => path.get(1).is_some_and(|id| !is_inside(id)),
            _ => true,
        })
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
            .find(|(_, covered)| covered.input.as_ref().is_some_and(|seen| !agrees(seen, input)))
            .map(|(block, _)| {
                format!("its input is no longer what was approved with `{block}`; nothing was done. Run the playbook again to be asked anew")
            })
    }
}

/// Whether an input is what was seen of it: of a map, in the entries that were known.
fn agrees(seen: &Value, input: &Value) -> bool {
    match (seen, input) {
        (Value::Object(seen), Value::Object(input)) => {
            seen.iter().all(|(name, value)| input.get(name) == Some(value))
        }
        _ => seen == input,
    }
}
