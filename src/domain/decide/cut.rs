//! What is cut off: a run, a section or a block ends, and what is inside it is
//! cancelled or waited for.

use crate::domain::command::Phase;
use crate::domain::decide::turn::Turn;
use crate::domain::nesting::{Part, container_of, part, section_of, stands_in};
use crate::domain::playbook::{Body, Section, StepIx};
use crate::domain::run::{Stage, StepEnd, StepKey};
use crate::domain::signal::Refusal;

/// Parts of a step that come once something was, or may have been, sent.
const SENT: [Phase; 3] = [Phase::Act, Phase::Verify, Phase::Reconcile];

impl Turn<'_> {
    /// Whether nothing new may start at `key`: the section is over, or
    /// something that the step stands in has failed.
    pub(super) fn is_cut(&self, ix: StepIx, key: &StepKey, section: Section) -> bool {
        let over = match section {
            Section::Main => self.state.ending.is_some(),
            Section::OnFailure | Section::Finally => self.state.cut_short,
        };
        if over || self.state.broken.contains_key(&section) {
            return true;
        }
        let playbook = &self.plan.playbook;
        // At the top of a section nothing else can have failed.
        if playbook.steps[ix].parent.is_none() && key.at.is_empty() {
            return false;
        }
        let around = std::iter::successors(container_of(playbook, key), |key| container_of(playbook, key));
        around
            .filter_map(|around| self.state.steps.get(&around))
            .any(|step| step.broken.is_some() || matches!(step.stage, Stage::Ended(_)))
    }

    /// The same for a step that has begun.
    pub(super) fn is_cut_off(&self, key: &StepKey) -> bool {
        let playbook = &self.plan.playbook;
        playbook.step(&key.id).is_none_or(|(ix, _)| self.is_cut(ix, key, section_of(playbook, ix)))
    }

    /// A block or loop fails with what failed inside it: what waits there is
    /// cancelled, what is in flight is waited for.
    pub(super) fn fail_container(
        &mut self,
        ix: StepIx,
        key: &StepKey,
        child: &StepKey,
        why: &str,
    ) -> Result<(), Refusal> {
        for inner in self.active_inside(ix, key) {
            self.cancel_step(&inner)?;
        }
        if !self.active_inside(ix, key).is_empty() {
            return Ok(());
        }
        let why = if child == key { why.to_owned() } else { format!("`{child}` failed: {why}") };
        self.fail_step(key, why)
    }

    /// What is under way inside a block, a loop, or one item of it.
    fn active_inside(&self, ix: StepIx, key: &StepKey) -> Vec<StepKey> {
        let playbook = &self.plan.playbook;
        let own = part(playbook, ix, key) != Part::Body;
        let holds = own || matches!(playbook.steps[ix].body, Body::Block(_));
        if !holds {
            return Vec::new();
        }
        let inside = |other: &&StepKey| {
            other.at.starts_with(&key.at)
                && *other != key
                && playbook
                    .step(&other.id)
                    .is_some_and(|(inner, _)| (own || inner != ix) && stands_in(playbook, inner, ix))
        };
        self.state.active.iter().filter(inside).cloned().collect()
    }

    /// Whether steps of this section are under way.
    pub(super) fn is_busy(&self, section: Section) -> bool {
        let playbook = &self.plan.playbook;
        let here =
            |key: &StepKey| playbook.step(&key.id).is_none_or(|(ix, _)| section_of(playbook, ix) == section);
        self.state.active.iter().any(here)
    }

    /// Cancels what a section waits for; true when nothing of it is under way.
    pub(super) fn cancel_section(&mut self, section: Section) -> Result<bool, Refusal> {
        let plan = self.plan.clone();
        let playbook = &plan.playbook;
        let here =
            |key: &&StepKey| playbook.step(&key.id).is_none_or(|(ix, _)| section_of(playbook, ix) == section);
        let active: Vec<StepKey> = self.state.active.iter().filter(here).cloned().collect();
        for key in &active {
            self.cancel_step(key)?;
        }
        Ok(!self.is_busy(section))
    }

    /// Ends a step that is not touching the world. A containment that was
    /// accepted is first looked at to its end: nobody may be left half suspended.
    fn cancel_step(&mut self, key: &StepKey) -> Result<(), Refusal> {
        let Some(step) = self.state.steps.get(key) else {
            return Ok(());
        };
        // Nothing is left undone of what is only waited for.
        let waited_for = match &step.stage {
            Stage::Ended(_) | Stage::Due { phase: Phase::Verify, .. } => true,
            Stage::InFlight { phase, .. } => !phase.tells(),
            Stage::Calling { cancelled, .. } => *cancelled,
            Stage::Open | Stage::Ready | Stage::Sleeping { .. } => self.holds_active(key),
            _ => false,
        };
        if waited_for || self.is_full() {
            return Ok(());
        }
        let step = self.step(key)?;
        let end = match &step.stage {
            Stage::Calling { .. } => return self.cancel_call(key),
            Stage::Due { phase: Phase::Act, .. } if self.may_have_contained(key)? => {
                return self.attempt(key, Phase::Verify);
            }
            Stage::Uncertain { .. } => StepEnd::Uncertain,
            // Of a run that was set aside: what was sent may have happened, whether
            // sending or looking was lost.
            Stage::Ready
                if step.containment.is_none() && SENT.iter().any(|it| step.lost.contains_key(it)) =>
            {
                StepEnd::Uncertain
            }
            Stage::Due { phase: Phase::Reconcile, .. } => StepEnd::Uncertain,
            Stage::Due { phase: Phase::Act, .. } if self.may_have_acted(key)? => StepEnd::Uncertain,
            _ => StepEnd::Cancelled,
        };
        self.end_step(key, end, None, Some("what it belongs to ended before it did".to_owned()))
    }

    /// Whether a loop or block still has steps inside it that have not ended.
    fn holds_active(&self, key: &StepKey) -> bool {
        let found = self.plan.playbook.step(&key.id);
        found.is_some_and(|(ix, _)| !self.active_inside(ix, key).is_empty())
    }

    /// The blocks and loops around a step that approvals may stand on, the
    /// innermost first.
    pub(super) fn around(&self, key: &StepKey) -> Vec<StepKey> {
        let playbook = &self.plan.playbook;
        std::iter::successors(container_of(playbook, key), |key| container_of(playbook, key)).collect()
    }
}
