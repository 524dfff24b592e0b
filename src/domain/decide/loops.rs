//! Loops and repeats: which item or turn comes next, and when it is over.

use crate::domain::decide::turn::Turn;
use crate::domain::event::Event;
use crate::domain::playbook::{OnError, Section, StepIx};
use crate::domain::run::{Stage, StepEnd, StepKey};
use crate::domain::signal::Refusal;
use crate::domain::value::size_of;

/// Steps of one run that may be under way at the same time, those of nested
/// loops together. Each holds its input and a call; a run of 2,000 takes some
/// tens of megabytes. A loop with nothing under way always starts one more.
pub const STEPS_UNDER_WAY_MAX: usize = 2_000;

/// Bytes that the outputs of one loop may take together. They stay in memory
/// for as long as the run, and expressions copy them.
pub const LOOP_OUTPUT_BYTES_MAX: usize = 16 << 20;

impl Turn<'_> {
    pub(super) fn advance_loop(
        &mut self,
        ix: StepIx,
        key: &StepKey,
        section: Section,
    ) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let spec = &plan.playbook.steps[ix];
        let at_once = spec.for_each.as_ref().map_or(1, |looped| looped.at_once);
        self.advance_items(ix, key, section)?;
        loop {
            let step = self.step(key)?;
            if let Some((child, why)) = step.broken.clone() {
                return self.fail_container(ix, key, &child, &why);
            }
            let total = step.items.as_ref().map_or(0, |items| items.len());
            let (begun, open) = (step.begun as usize, (step.begun - step.over) as usize);
            if begun == total {
                return if open == 0 { self.end_loop(key, total) } else { Ok(()) };
            }
            let crowded = open > 0 && self.state.active.len() >= STEPS_UNDER_WAY_MAX;
            if open >= at_once || crowded || self.is_cut(ix, key, section) || self.is_full() {
                return Ok(());
            }
            self.start(ix, &key.item(step_index(begun)))?;
        }
    }

    /// Moves on the items that are open.
    fn advance_items(&mut self, ix: StepIx, key: &StepKey, section: Section) -> Result<(), Refusal> {
        let level = key.at.len() + 1;
        let of_this = |other: &&StepKey| other.id == key.id && other.at.starts_with(&key.at);
        let open: Vec<StepKey> = self
            .state
            .active
            .range(key.item(0)..)
            .take_while(of_this)
            .filter(|other| other.at.len() == level)
            .cloned()
            .collect();
        for item in open {
            let stage = self.state.steps.get(&item).map(|step| &step.stage);
            if matches!(stage, Some(Stage::Ready | Stage::Open)) {
                self.advance_open(ix, &item, section)?;
            }
        }
        Ok(())
    }

    fn end_loop(&mut self, key: &StepKey, total: usize) -> Result<(), Refusal> {
        let output = |index: usize| self.state.steps.get(&key.item(step_index(index)));
        let bytes: usize = (0..total).filter_map(output).map(|step| size_of(step.output.value())).sum();
        if bytes > LOOP_OUTPUT_BYTES_MAX {
            let why = format!(
                "its {total} outputs take {bytes} bytes together; at most {LOOP_OUTPUT_BYTES_MAX} are kept. Let each item give less, for example by a block that ends with `set`"
            );
            return self.fail_step(key, why);
        }
        self.end_step(key, StepEnd::Succeeded, None, None)
    }

    /// A `repeat`: the first turn, the next, or the end.
    pub(super) fn advance_turns(
        &mut self,
        ix: StepIx,
        key: &StepKey,
        section: Section,
    ) -> Result<(), Refusal> {
        let begun = self.step(key)?.begun;
        let Some(last) = begun.checked_sub(1) else {
            return self.next_turn(ix, key, section);
        };
        let turn = key.item(last);
        if !self.has_ended(&turn) {
            if matches!(self.state.steps.get(&turn).map(|step| &step.stage), Some(Stage::Ready | Stage::Open))
            {
                self.advance_open(ix, &turn, section)?;
            }
            if !self.has_ended(&turn) {
                return Ok(());
            }
        }
        if let Some((child, why)) = self.step(key)?.broken.clone() {
            return self.fail_container(ix, key, &child, &why);
        }
        self.after_turn(ix, key, &turn)
    }

    pub(super) fn next_turn(&mut self, ix: StepIx, key: &StepKey, section: Section) -> Result<(), Refusal> {
        if self.is_cut(ix, key, section) || self.is_full() {
            return Ok(());
        }
        let begun = self.step(key)?.begun;
        self.start(ix, &key.item(begun))
    }

    /// A turn has ended: does it hold now, is there another, or was that all?
    fn after_turn(&mut self, ix: StepIx, key: &StepKey, turn: &StepKey) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let spec = &plan.playbook.steps[ix];
        let Some(repeat) = &spec.repeat else { return Ok(()) };
        let step = self.step(turn)?;
        let Stage::Ended(end) = step.stage else { return Ok(()) };
        let names = self.names(turn).with_output(&spec.id, step.output.clone(), end);
        let scope = names.scope();
        let why = match repeat.until.eval_bool(&scope) {
            Ok(true) => return self.end_step(key, StepEnd::Succeeded, None, None),
            Ok(false) => {
                let seen: Vec<String> = repeat
                    .until
                    .trace(&scope)
                    .into_iter()
                    .map(|(path, value)| format!("{path} = {}", value.unwrap_or_default()))
                    .collect();
                format!("`{}` did not hold: {}", repeat.until.source(), seen.join(", "))
            }
            // A turn that failed and need not succeed gave nothing to ask about.
            Err(error) if end != StepEnd::Succeeded && spec.on_error == OnError::Continue => {
                format!("`{}` could not be decided: {error}", repeat.until.source())
            }
            Err(error) => {
                return self.fail_step(key, format!("its `until` could not be decided: {error}"));
            }
        };
        let begun = self.step(key)?.begun;
        if begun >= repeat.times {
            return self.fail_step(key, format!("after {begun} turns {why}"));
        }
        self.record(Event::StepSlept { key: key.clone(), until: self.now.after(repeat.every) })
    }
}

/// Items and turns are numbered by what a key holds.
fn step_index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
