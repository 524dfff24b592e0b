//! Polls: from where each source is asked next, and what came of it so far.

use serde::{Deserialize, Serialize};

use crate::domain::event::{Entry, Event};
use crate::domain::id::{IncidentId, PollId, StreamId};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::projection::fold::Projection;
use crate::projection::marks::Marks;
use crate::projection::shelf::Table;

/// One poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PollRow {
    /// The number of the last entry of its stream.
    pub seq: u64,
    /// The source.
    pub source: String,
    /// Where the next page begins.
    pub cursor: Value,
    /// Since when.
    pub moved_at: Timestamp,
    /// Pages that were taken and moved it.
    pub pages: u64,
    /// Alerts that were new in them.
    pub taken: u64,
}

/// All polls that ever took a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Polls {
    rows: Marks<PollId, PollRow>,
}

impl Polls {
    /// The row of one poll.
    pub fn get(&self, id: PollId) -> Option<&PollRow> {
        self.rows.get(&id)
    }
}

impl Projection for Polls {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("polls", &mut self.rows)]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        let (StreamId::Poll(id), Event::PollAdvanced(page)) = (entry.stream, &entry.event) else {
            return;
        };
        let row = self.rows.get_or(id, || PollRow {
            seq: 0,
            source: page.source.clone(),
            cursor: Value::Null,
            moved_at: entry.at,
            pages: 0,
            taken: 0,
        });
        row.pages = row.pages.saturating_add(1);
        row.taken = row.taken.saturating_add(u64::from(page.taken));
        if entry.seq > row.seq {
            row.seq = entry.seq;
            row.cursor = page.cursor.clone();
            row.moved_at = entry.at;
        }
    }
}
