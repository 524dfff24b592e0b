//! How many runs ever ended how. A view of its own, because what retention erases
//! stays counted here, and because a fold of what is left counts less.

use crate::domain::event::{Entry, Event, RunEnd};
use crate::domain::id::IncidentId;
use crate::projection::fold::Projection;
use crate::projection::marks::Marks;
use crate::projection::shelf::Table;

/// Counts that only rise, until all views are folded anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunEnds(Marks<RunEnd, u64>);

impl RunEnds {
    /// How many ended so.
    pub fn count(&self, end: RunEnd) -> u64 {
        self.0.get(&end).copied().unwrap_or(0)
    }
}

impl Projection for RunEnds {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("run_ends", &mut self.0)]
    }

    fn apply(&mut self, entry: &Entry, _: Option<IncidentId>) {
        if let Event::RunEnded { end } = &entry.event {
            let count = self.0.get_or(*end, || 0);
            *count = count.saturating_add(1);
        }
    }
}
