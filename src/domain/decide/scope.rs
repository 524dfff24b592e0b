//! What expressions see: the names that the playbook language promises.

use serde_json::json;

use crate::domain::decide::turn::Turn;
use crate::domain::expr::scope::Scope;
use crate::domain::nesting::{ancestors, is_item, loops_around};
use crate::domain::playbook::StepIx;
use crate::domain::run::{RunState, Shared, Stage, StepEnd, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// The item and index that `key` runs for: those of the innermost loop around
/// it. What stands for a whole loop runs for the item of the loop outside it.
fn item_of(state: &RunState, key: &StepKey) -> Option<(Shared, u32)> {
    let playbook = &state.plan.playbook;
    let (ix, step) = playbook.step(&key.id)?;
    let own = step.for_each.is_some() && is_item(playbook, ix, key);
    let looped = |ix: &StepIx| playbook.steps[*ix].for_each.is_some();
    let holder = if own { ix } else { ancestors(playbook, ix).find(looped)? };
    let depth = loops_around(playbook, holder);
    let index = *key.at.get(depth)?;
    let container = StepKey::within(key.at.get(..depth)?, &playbook.steps[holder].id);
    let items = state.steps.get(&container)?.items.as_ref()?;
    Some((items.get(index as usize)?.clone(), index))
}

/// Everything that expressions of one step may name, put together once.
pub struct Names {
    steps: Vec<(String, Shared)>,
    outcomes: Value,
    run: Value,
    incident: Value,
    now: Value,
    item: Option<(Shared, Value)>,
    alert: Option<Shared>,
    inputs: Shared,
}

impl Names {
    /// What the step `key` sees at `now`.
    pub fn of(state: &RunState, key: &StepKey, now: Timestamp) -> Names {
        let playbook = &state.plan.playbook;
        let mut steps = Vec::new();
        let mut outcomes = serde_json::Map::new();
        for (ix, step) in playbook.steps.iter().enumerate() {
            let depth = loops_around(playbook, ix);
            let Some(at) = key.at.get(..depth) else {
                continue;
            };
            let Some(seen) = state.steps.get(&StepKey::within(at, &step.id)) else {
                continue;
            };
            if let Stage::Ended(end) = seen.stage {
                outcomes.insert(step.id.to_string(), Value::from(end.name()));
                steps.push((step.id.to_string(), seen.output.clone()));
            }
        }
        let run = state.started.as_ref().map_or(Value::Null, |(started, at)| {
            json!({
                "id": started.run, "playbook": started.playbook, "version": started.version,
                "by": started.by, "started_at": at, "posture": playbook.posture,
            })
        });
        let incident = state.started.as_ref().map_or(Value::Null, |(started, _)| {
            let known = &state.incident;
            json!({
                "id": started.incident, "severity": known.severity, "status": known.status,
                "disposition": known.disposition, "assignee": known.assignee, "tags": known.tags,
            })
        });
        Names {
            steps,
            outcomes: Value::Object(outcomes),
            run,
            incident,
            now: Value::from(now.to_string()),
            item: item_of(state, key).map(|(item, index)| (item, Value::from(index))),
            alert: state.alert.as_ref().map(|(_, shared)| shared.clone()),
            inputs: state.inputs.clone(),
        }
    }

    /// The same with the output of one more step: what `until` sees of its own.
    pub fn with_output(mut self, id: &str, output: Shared, end: StepEnd) -> Names {
        self.steps.retain(|(known, _)| known != id);
        self.steps.push((id.to_owned(), output));
        if let Value::Object(outcomes) = &mut self.outcomes {
            outcomes.insert(id.to_owned(), Value::from(end.name()));
        }
        self
    }

    /// As the expressions take it.
    pub fn scope(&self) -> Scope<'_> {
        let mut scope = Scope::new()
            .with_map("steps", self.steps.iter().map(|(id, output)| (id.as_str(), output.root())))
            .with("outcome", &self.outcomes)
            .with("run", &self.run)
            .with("incident", &self.incident)
            .with("now", &self.now)
            .with_root("inputs", self.inputs.root());
        if let Some(alert) = &self.alert {
            scope = scope.with_root("alert", alert.root());
        }
        if let Some((item, index)) = &self.item {
            scope = scope.with_root("item", item.root()).with("index", index);
        }
        scope
    }
}

impl Turn<'_> {
    /// What the step `key` sees now.
    pub(super) fn names(&self, key: &StepKey) -> Names {
        Names::of(self.state, key, self.now)
    }
}
