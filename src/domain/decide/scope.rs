//! What expressions see: the names that the playbook language promises.

use serde_json::json;

use crate::domain::decide::turn::Turn;
use crate::domain::expr::scope::Scope;
use crate::domain::playbook::{Playbook, StepIx};
use crate::domain::run::{RunState, Shared, Stage, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// How many loops stand around a step, its own not counted.
pub fn loops_around(playbook: &Playbook, ix: StepIx) -> usize {
    let mut depth = 0;
    let mut parent = playbook.steps[ix].parent;
    while let Some(ix) = parent {
        depth += usize::from(playbook.steps[ix].for_each.is_some());
        parent = playbook.steps[ix].parent;
    }
    depth
}

/// Whether this key names one item of the step's own loop.
pub fn is_item(playbook: &Playbook, ix: StepIx, key: &StepKey) -> bool {
    playbook.steps[ix].for_each.is_some() && key.at.len() > loops_around(playbook, ix)
}

/// The item and index that `key` runs for: those of the innermost loop around it.
fn item_of(state: &RunState, key: &StepKey) -> Option<(Shared, u32)> {
    let playbook = &state.plan.playbook;
    let (ix, step) = playbook.step(&key.id)?;
    let (&index, outer) = key.at.split_last()?;
    let mut holder = Some(ix);
    if step.for_each.is_none() {
        holder = step.parent;
        while let Some(ix) = holder {
            if playbook.steps[ix].for_each.is_some() {
                break;
            }
            holder = playbook.steps[ix].parent;
        }
    }
    let looped = &playbook.steps[holder?];
    let container = StepKey::within(outer, &looped.id);
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
