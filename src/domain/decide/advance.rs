//! What may start now: order, loops, blocks, and the end of the run.

use crate::domain::command::Phase;
use crate::domain::decide::scope::{is_item, loops_around};
use crate::domain::decide::turn::{EVENTS_PER_RUN_MAX, Turn};
use crate::domain::event::{Event, RunEnd};
use crate::domain::playbook::{Body, OnError, StepIx};
use crate::domain::run::{Hold, Stage, StepEnd, StepKey};
use crate::domain::signal::Refusal;
use crate::domain::value::Value;

impl Turn<'_> {
    /// Decides all that follows by itself, until nothing more does.
    pub(super) fn advance(&mut self) -> Result<(), Refusal> {
        loop {
            let before = self.events.len();
            if self.state.ended.is_none() {
                if self.state.seq > EVENTS_PER_RUN_MAX && self.state.ending.is_none() {
                    let why = format!("it grew past {EVENTS_PER_RUN_MAX} events");
                    self.record(Event::RunEnding { end: RunEnd::Failed, why, disposition: None })?;
                }
                if self.state.ending.is_some() {
                    self.close()?;
                } else {
                    self.advance_root()?;
                }
            }
            self.advance_undo()?;
            if self.events.len() == before {
                return Ok(());
            }
        }
    }

    fn advance_root(&mut self) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let roots = &plan.playbook.roots;
        if let Some((key, why)) = self.failed_among(roots, &[])? {
            let why = format!("step `{key}` failed: {why}");
            return self.record(Event::RunEnding { end: RunEnd::Failed, why, disposition: None });
        }
        let all_ended = self.advance_children(roots, &[])?;
        if all_ended && self.state.active.is_empty() && self.state.ending.is_none() {
            self.record(Event::RunEnding {
                end: RunEnd::Succeeded,
                why: "every step has ended".to_owned(),
                disposition: None,
            })?;
        }
        Ok(())
    }

    /// Starts the steps of one block that may start and moves on those that are
    /// open. True when all have ended.
    fn advance_children(&mut self, children: &[StepIx], at: &[u32]) -> Result<bool, Refusal> {
        let plan = self.plan.clone();
        let mut all_ended = true;
        for &ix in children {
            if self.state.ending.is_some() {
                return Ok(false);
            }
            let spec = &plan.playbook.steps[ix];
            let key = StepKey::within(at, &spec.id);
            match self.state.steps.get(&key).map(|step| step.stage.clone()) {
                None => {
                    let ready = spec
                        .needs
                        .iter()
                        .all(|&need| self.has_ended(&StepKey::within(at, &plan.playbook.steps[need].id)));
                    if ready {
                        self.start(ix, &key)?;
                    }
                    all_ended &= self.has_ended(&key);
                }
                Some(Stage::Ended(_)) => {}
                Some(Stage::Open) => {
                    self.advance_loop(ix, &key)?;
                    all_ended &= self.has_ended(&key);
                }
                Some(Stage::Ready) => {
                    self.advance_open(ix, &key)?;
                    all_ended &= self.has_ended(&key);
                }
                Some(_) => all_ended = false,
            }
        }
        Ok(all_ended)
    }

    pub(super) fn has_ended(&self, key: &StepKey) -> bool {
        matches!(self.state.steps.get(key).map(|step| &step.stage), Some(Stage::Ended(_)))
    }

    /// A block, or an `undo` step, that waits for what stands inside it.
    fn advance_open(&mut self, ix: StepIx, key: &StepKey) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        match &plan.playbook.steps[ix].body {
            Body::Block(children) => {
                if let Some((child, why)) = self.failed_among(children, &key.at)? {
                    return self.fail_container(key, children, &child, &why);
                }
                if self.advance_children(children, &key.at)? {
                    let output = self.outputs(children, &key.at);
                    self.end_step(key, StepEnd::Succeeded, Some(output), None)?;
                }
                Ok(())
            }
            Body::Undo(targets) => self.advance_undo_step(key, targets),
            _ => Ok(()),
        }
    }

    fn advance_loop(&mut self, ix: StepIx, key: &StepKey) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let spec = &plan.playbook.steps[ix];
        let total = self.step(key)?.items.as_ref().map_or(0, |items| items.len());
        let at_once = spec.for_each.as_ref().map_or(1, |looped| looped.at_once);
        let mut open = 0;
        let mut ended = 0;
        let mut failed: Option<(StepKey, String)> = None;
        for index in 0..total {
            let item = key.item(u32::try_from(index).unwrap_or(u32::MAX));
            match self.state.steps.get(&item).map(|step| step.stage.clone()) {
                None if open >= at_once || failed.is_some() => break,
                None => self.start(ix, &item)?,
                Some(Stage::Ready) => self.advance_open(ix, &item)?,
                Some(_) => {}
            }
            if self.has_ended(&item) {
                ended += 1;
                if failed.is_none() {
                    failed = self.failure_of(ix, &item);
                }
            } else if self.state.steps.contains_key(&item) {
                open += 1;
            }
            if self.state.ending.is_some() {
                return Ok(());
            }
        }
        if let Some((item, why)) = failed {
            if open == 0 {
                return self.fail_step(key, format!("`{item}` failed: {why}"));
            }
        } else if ended == total {
            let outputs = (0..total)
                .map(|index| {
                    self.state.steps[&key.item(u32::try_from(index).unwrap_or(u32::MAX))]
                        .output
                        .value()
                        .clone()
                })
                .collect();
            self.end_step(key, StepEnd::Succeeded, Some(Value::Array(outputs)), None)?;
        }
        Ok(())
    }

    /// The first of these steps whose failure its block must answer for.
    fn failed_among(&self, children: &[StepIx], at: &[u32]) -> Result<Option<(StepKey, String)>, Refusal> {
        Ok(children.iter().find_map(|&ix| {
            let key = StepKey::within(at, &self.plan.playbook.steps[ix].id);
            self.failure_of(ix, &key)
        }))
    }

    fn failure_of(&self, ix: StepIx, key: &StepKey) -> Option<(StepKey, String)> {
        let step = self.state.steps.get(key)?;
        let fails = step.stage == Stage::Ended(StepEnd::Failed)
            && self.plan.playbook.steps[ix].on_error == OnError::Fail;
        fails.then(|| (key.clone(), step.why.clone().unwrap_or_default()))
    }

    /// A block fails with its step: what waits inside it is cancelled, what is
    /// in flight is waited for.
    fn fail_container(
        &mut self,
        key: &StepKey,
        children: &[StepIx],
        child: &StepKey,
        why: &str,
    ) -> Result<(), Refusal> {
        let inside = self.active_inside(children, &key.at);
        for inner in &inside {
            self.cancel_step(inner)?;
        }
        if self.active_inside(children, &key.at).is_empty() {
            self.fail_step(key, format!("`{child}` failed: {why}"))?;
        }
        Ok(())
    }

    fn active_inside(&self, children: &[StepIx], at: &[u32]) -> Vec<StepKey> {
        let playbook = &self.plan.playbook;
        let below = |ix: StepIx| {
            let mut next = Some(ix);
            while let Some(ix) = next {
                if children.contains(&ix) {
                    return true;
                }
                next = playbook.steps[ix].parent;
            }
            false
        };
        let inside = |key: &&StepKey| {
            key.at.starts_with(at) && playbook.step(&key.id).is_some_and(|(ix, _)| below(ix))
        };
        self.state.active.iter().filter(inside).cloned().collect()
    }

    /// What a block gives to later steps: each inner step's output by its id.
    fn outputs(&self, children: &[StepIx], at: &[u32]) -> Value {
        let mut map = serde_json::Map::new();
        for &ix in children {
            let id = &self.plan.playbook.steps[ix].id;
            let output =
                self.state.steps.get(&StepKey::within(at, id)).map(|step| step.output.value().clone());
            map.insert(id.to_string(), output.unwrap_or_default());
        }
        Value::Object(map)
    }

    /// The run is ending: cancels what waits, waits for what is in flight, and
    /// ends when nothing is left.
    fn close(&mut self) -> Result<(), Refusal> {
        let active: Vec<StepKey> = self.state.active.iter().cloned().collect();
        for key in &active {
            self.cancel_step(key)?;
        }
        if self.state.active.is_empty()
            && let Some((end, _)) = self.state.ending.clone()
        {
            self.record(Event::RunEnded { end })?;
        }
        Ok(())
    }

    /// Ends a step that is not touching the world. A containment that was
    /// accepted is first looked at to its end: nobody may be left half suspended.
    fn cancel_step(&mut self, key: &StepKey) -> Result<(), Refusal> {
        let step = self.step(key)?;
        let end = match &step.stage {
            Stage::Ended(_) => return Ok(()),
            Stage::InFlight { phase, .. } if *phase != Phase::Announce => return Ok(()),
            Stage::Due { phase: Phase::Verify, .. } => return Ok(()),
            Stage::Due { phase: Phase::Act, .. } if self.may_have_contained(key)? => {
                return self.attempt(key, Phase::Verify);
            }
            Stage::Open | Stage::Ready if self.holds_active(key) => return Ok(()),
            Stage::Uncertain { .. } => StepEnd::Uncertain,
            _ => StepEnd::Cancelled,
        };
        self.end_step(key, end, None, Some("the run ended before it did".to_owned()))
    }

    /// Whether a loop or block still has steps inside it that have not ended.
    fn holds_active(&self, key: &StepKey) -> bool {
        let playbook = &self.plan.playbook;
        let Some((ix, spec)) = playbook.step(&key.id) else {
            return false;
        };
        if spec.for_each.is_some() && !is_item(playbook, ix, key) {
            return self.state.active.iter().any(|other| {
                other.at.len() > loops_around(playbook, ix)
                    && other.at.starts_with(&key.at)
                    && other != key
                    && self.stands_in(other, ix)
            });
        }
        match &spec.body {
            Body::Block(children) => !self.active_inside(children, &key.at).is_empty(),
            _ => false,
        }
    }

    fn stands_in(&self, key: &StepKey, container: StepIx) -> bool {
        let playbook = &self.plan.playbook;
        let mut next = playbook.step(&key.id).map(|(ix, _)| ix);
        while let Some(ix) = next {
            if ix == container {
                return true;
            }
            next = playbook.steps[ix].parent;
        }
        false
    }

    /// Lifts what is on its way back, one at a time, the latest containment first.
    fn advance_undo(&mut self) -> Result<(), Refusal> {
        let lifting = || self.state.containments.values().filter(|held| held.hold == Hold::Lifting);
        let busy = lifting().any(|held| matches!(held.undo, Some(Stage::InFlight { .. } | Stage::Ready)));
        if busy {
            return Ok(());
        }
        let next = lifting().filter(|held| held.undo.is_none()).max_by_key(|held| held.accepted);
        let Some(key) = next.map(|held| held.key.clone()) else {
            return Ok(());
        };
        self.attempt(&key, Phase::UndoCheck)
    }
}
