//! What may start now: order, blocks, and the sections of a run to its end.
//! Loops and repeats are in `loops.rs`, what is cut off in `cut.rs`.

use crate::domain::decide::turn::{EVENTS_PER_RUN_MAX, Turn};
use crate::domain::event::{Event, RunEnd};
use crate::domain::nesting::{Part, part};
use crate::domain::playbook::{Body, Section, StepIx};
use crate::domain::run::{Stage, StepEnd, StepKey};
use crate::domain::signal::Refusal;

impl Turn<'_> {
    /// Decides all that follows by itself, until nothing more does.
    pub(super) fn advance(&mut self) -> Result<(), Refusal> {
        if self.state.queued.is_some() {
            return Ok(());
        }
        loop {
            let before = self.events.len();
            if self.state.ended.is_none() && self.state.quarantined.is_none() {
                if self.state.seq > EVENTS_PER_RUN_MAX && self.state.ending.is_none() {
                    let why = format!("it grew past {EVENTS_PER_RUN_MAX} events");
                    self.record(Event::RunEnding { end: RunEnd::Failed, why, disposition: None })?;
                }
                if self.state.ending.is_some() {
                    self.close()?;
                } else {
                    self.advance_main()?;
                }
            }
            self.advance_undo()?;
            if self.events.len() == before {
                break;
            }
        }
        if self.cut {
            self.record(Event::TurnCut {})?;
        }
        Ok(())
    }

    fn advance_main(&mut self) -> Result<(), Refusal> {
        if self.fail_main()? {
            return Ok(());
        }
        let plan = self.plan.clone();
        let all_ended = self.advance_children(&plan.playbook.roots, &[], Section::Main)?;
        if self.state.ending.is_some() || self.fail_main()? {
            return Ok(());
        }
        if all_ended && self.state.active.is_empty() {
            self.record(Event::RunEnding {
                end: RunEnd::Succeeded,
                why: "every step has ended".to_owned(),
                disposition: None,
            })?;
        }
        Ok(())
    }

    /// Whether a step has failed the run, which then is on its way to its end.
    fn fail_main(&mut self) -> Result<bool, Refusal> {
        let Some((key, why)) = self.state.broken.get(&Section::Main) else {
            return Ok(false);
        };
        let why = format!("step `{key}` failed: {why}");
        self.record(Event::RunEnding { end: RunEnd::Failed, why, disposition: None })?;
        Ok(true)
    }

    /// Starts the steps of one block that may start and moves on those that are
    /// open. True when all have ended. Stops as soon as one of them has failed
    /// what they stand in: nothing after a failure starts.
    pub(super) fn advance_children(
        &mut self,
        children: &[StepIx],
        at: &[u32],
        section: Section,
    ) -> Result<bool, Refusal> {
        let plan = self.plan.clone();
        let mut all_ended = true;
        for &ix in children {
            let spec = &plan.playbook.steps[ix];
            let key = StepKey::within(at, &spec.id);
            if self.is_cut(ix, &key, section) {
                return Ok(false);
            }
            match self.state.steps.get(&key).map(|step| &step.stage) {
                None => {
                    let ready = spec
                        .needs
                        .iter()
                        .all(|&need| self.has_ended(&StepKey::within(at, &plan.playbook.steps[need].id)));
                    if ready && !self.is_full() {
                        self.start(ix, &key)?;
                    }
                }
                Some(Stage::Open | Stage::Ready) => self.advance_open(ix, &key, section)?,
                Some(_) => {}
            }
            all_ended &= self.has_ended(&key);
        }
        // What failed last is seen by whoever asks next.
        Ok(all_ended)
    }

    pub(super) fn has_ended(&self, key: &StepKey) -> bool {
        matches!(self.state.steps.get(key).map(|step| &step.stage), Some(Stage::Ended(_)))
    }

    /// A loop, a block or an `undo` step that waits for what stands inside it.
    pub(super) fn advance_open(
        &mut self,
        ix: StepIx,
        key: &StepKey,
        section: Section,
    ) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        if let Some((child, why)) = self.step(key)?.broken.clone() {
            return self.fail_container(ix, key, &child, &why);
        }
        match part(&plan.playbook, ix, key) {
            Part::Loop => return self.advance_loop(ix, key, section),
            Part::Turns => return self.advance_turns(ix, key, section),
            Part::Body => {}
        }
        match &plan.playbook.steps[ix].body {
            Body::Block(children) => {
                let all_ended = self.advance_children(children, &key.at, section)?;
                if let Some((child, why)) = self.step(key)?.broken.clone() {
                    return self.fail_container(ix, key, &child, &why);
                }
                if all_ended {
                    self.end_step(key, StepEnd::Succeeded, None, None)?;
                }
                Ok(())
            }
            Body::Undo(targets) => self.advance_undo_step(key, targets),
            _ => Ok(()),
        }
    }

    /// The run is ending: cancels what the main steps wait for, waits for what
    /// is in flight, runs `on_failure` and `finally`, and ends.
    fn close(&mut self) -> Result<(), Refusal> {
        let Some((end, _)) = self.state.ending.clone() else {
            return Ok(());
        };
        if !self.cancel_section(Section::Main)? {
            return Ok(());
        }
        // One that was called off before anything began has nothing to tidy up.
        if end == RunEnd::Cancelled && self.state.steps.is_empty() {
            return self.record(Event::RunEnded { end });
        }
        if end == RunEnd::Failed && !self.run_section(Section::OnFailure)? {
            return Ok(());
        }
        if !self.run_section(Section::Finally)? {
            return Ok(());
        }
        // What was to be tidied up and was not is no success.
        let untidy = self.state.broken.contains_key(&Section::Finally);
        let end = if untidy && end == RunEnd::Succeeded { RunEnd::Failed } else { end };
        self.record(Event::RunEnded { end })
    }

    /// Moves on one of the sections at a run's end; true when it is over.
    fn run_section(&mut self, section: Section) -> Result<bool, Refusal> {
        if self.state.cut_short || self.state.broken.contains_key(&section) {
            return self.cancel_section(section);
        }
        let plan = self.plan.clone();
        let all_ended = self.advance_children(plan.playbook.roots_of(section), &[], section)?;
        if self.state.broken.contains_key(&section) {
            return self.cancel_section(section);
        }
        Ok(all_ended && !self.is_busy(section))
    }

    /// A person wants the run over.
    pub(super) fn cancelled(&mut self, by: &str, why: Option<&str>) -> Result<(), Refusal> {
        if self.state.ended.is_some() || self.state.cut_short {
            return Err(Refusal::new("run-ended", "this run has ended or is ending already"));
        }
        if self.state.quarantined.is_some() {
            self.record(Event::RunReleased { by: by.to_owned(), why: Some("to be cancelled".to_owned()) })?;
        }
        if self.state.ending.is_none() {
            let why =
                why.map_or_else(|| format!("cancelled by {by}"), |why| format!("cancelled by {by}: {why}"));
            return self.record(Event::RunEnding { end: RunEnd::Cancelled, why, disposition: None });
        }
        if !self.is_busy(Section::OnFailure) && !self.is_busy(Section::Finally) {
            return Err(Refusal::new(
                "run-ending",
                "this run is ending already; it waits for what is in flight, which cannot be called back",
            ));
        }
        self.record(Event::RunCutShort { by: by.to_owned(), why: why.map(str::to_owned) })
    }
}
