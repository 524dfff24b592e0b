//! Where a step stands: in which section of the playbook, in which blocks, and
//! in which loops. A [`StepKey`] and the playbook tell all of it.
//!
//! ```text
//! level 0  each          the loop as a whole             key  tell
//! level 1  each[3]       one item; with `repeat` its turns as a whole
//! level 2  each[3.0]     the first turn of that item
//! ```

use crate::domain::playbook::{Playbook, Section, Step, StepIx};
use crate::domain::run::StepKey;

/// What a key names of its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All items of its `for_each`.
    Loop,
    /// All turns of its `repeat`.
    Turns,
    /// The step itself: once, for one item, or one turn.
    Body,
}

/// How many loops and repeats of its own a step has.
pub fn own_loops(step: &Step) -> usize {
    usize::from(step.for_each.is_some()) + usize::from(step.repeat.is_some())
}

/// How many loops and repeats stand around a step, its own not counted.
pub fn loops_around(playbook: &Playbook, ix: StepIx) -> usize {
    ancestors(playbook, ix).map(|ix| own_loops(&playbook.steps[ix])).sum()
}

/// The blocks around a step, the innermost first.
pub fn ancestors(playbook: &Playbook, ix: StepIx) -> impl Iterator<Item = StepIx> {
    std::iter::successors(playbook.steps[ix].parent, |ix| playbook.steps[*ix].parent)
}

/// What this key names of the step at `ix`.
pub fn part(playbook: &Playbook, ix: StepIx, key: &StepKey) -> Part {
    let step = &playbook.steps[ix];
    let level = key.at.len().saturating_sub(loops_around(playbook, ix));
    match (level, step.for_each.is_some(), step.repeat.is_some()) {
        (0, true, _) => Part::Loop,
        (0, false, true) | (1, true, true) => Part::Turns,
        _ => Part::Body,
    }
}

/// Whether this key names one item or one turn of the step's own loop.
pub fn is_item(playbook: &Playbook, ix: StepIx, key: &StepKey) -> bool {
    key.at.len() > loops_around(playbook, ix)
}

/// What `key` stands directly inside: its own loop, or the block around it;
/// none at the top of a section.
pub fn container_of(playbook: &Playbook, key: &StepKey) -> Option<StepKey> {
    let (ix, step) = playbook.step(&key.id)?;
    if is_item(playbook, ix, key) {
        let (_, outer) = key.at.split_last()?;
        return Some(StepKey::within(outer, &key.id));
    }
    let block = &playbook.steps[step.parent?];
    Some(StepKey::within(&key.at, &block.id))
}

/// The section of the playbook that a step stands in.
pub fn section_of(playbook: &Playbook, ix: StepIx) -> Section {
    let root = ancestors(playbook, ix).last().unwrap_or(ix);
    if playbook.on_failure.contains(&root) {
        Section::OnFailure
    } else if playbook.finally.contains(&root) {
        Section::Finally
    } else {
        Section::Main
    }
}

/// Whether a step stands inside a block, at any depth, or is the block itself.
pub fn stands_in(playbook: &Playbook, ix: StepIx, block: StepIx) -> bool {
    ix == block || ancestors(playbook, ix).any(|around| around == block)
}
