//! Once a step has failed what it stands in, nothing in there begins.

use std::collections::BTreeMap;

use quell::domain::command::Phase;
use quell::domain::event::{Event, RunEnd};
use quell::domain::nesting::{container_of, section_of};
use quell::domain::playbook::{OnError, Playbook, Section};
use quell::domain::run::{RunState, StepEnd, StepKey};

/// What has failed each section, block and loop of a run.
#[derive(Default)]
pub struct Failures {
    failed: BTreeMap<(Section, Option<StepKey>), StepKey>,
    pub count: usize,
}

impl Failures {
    /// Hears what is recorded next; `state` is what stood before it.
    pub fn hear(&mut self, playbook: &Playbook, state: &RunState, event: &Event) -> Result<(), String> {
        let begins = match event {
            Event::StepStarted { key, .. } | Event::StepExpanded { key, .. } => Some(key),
            Event::AttemptStarted { key, phase: Phase::Act | Phase::Capture, attempt: 1, .. } => Some(key),
            Event::StepEnded { key, end: StepEnd::Succeeded, .. } if !state.steps.contains_key(key) => {
                Some(key)
            }
            _ => None,
        };
        if let Some(key) = begins {
            let (ix, _) = playbook.step(&key.id).ok_or("no such step")?;
            let mut around = vec![(section_of(playbook, ix), None)];
            let chain = std::iter::successors(container_of(playbook, key), |key| container_of(playbook, key));
            around.extend(chain.map(|key| (section_of(playbook, ix), Some(key))));
            if let Some(failed) = around.iter().find_map(|place| self.failed.get(place)) {
                return Err(format!("{key} begins after {failed} had failed what it stands in"));
            }
        }
        if let Event::StepEnded { key, end: StepEnd::Failed, .. } = event {
            let (ix, spec) = playbook.step(&key.id).ok_or("no such step")?;
            if spec.on_error == OnError::Fail {
                let place = (section_of(playbook, ix), container_of(playbook, key));
                self.count += 1;
                self.failed.entry(place).or_insert_with(|| key.clone());
            }
        }
        if let Event::RunEnding { end, .. } = event
            && *end != RunEnd::Failed
            && let Some(key) = self.failed.get(&(Section::Main, None))
        {
            return Err(format!("{key} failed the run, and it ends as {end:?}"));
        }
        Ok(())
    }
}
