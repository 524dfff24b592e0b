//! Exceptions: which hold, whose they are, and how much they kept quiet.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Fate, Suppression};
use crate::domain::event::{Entry, Event};
use crate::domain::exception::Exception;
use crate::domain::id::{ExceptionId, IncidentId, StreamId};
use crate::domain::time::Timestamp;
use crate::projection::fold::{Page, Projection, page};
use crate::projection::marks::Marks;
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// One exception in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExceptionRow {
    /// Its id.
    pub id: ExceptionId,
    /// What it says.
    #[serde(flatten)]
    pub exception: Exception,
    /// When it was made.
    pub made_at: Timestamp,
    /// When a person ended it before its time.
    pub ended_at: Option<Timestamp>,
    /// How many alerts it kept from having any effect.
    pub suppressed: u64,
    /// When it did so last.
    pub last_at: Option<Timestamp>,
}

impl ExceptionRow {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.exception.until
    }
}

/// All exceptions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exceptions {
    rows: Rows<ExceptionId, ExceptionRow>,
    /// Those that nobody has ended; their time may be over.
    open: Marks<ExceptionId, Exception>,
}

impl Exceptions {
    /// The row of one.
    pub fn get(&self, id: ExceptionId) -> Option<Cow<'_, ExceptionRow>> {
        self.rows.get(id)
    }

    /// Those that hold at `now`, the oldest first.
    pub fn holding(&self, now: Timestamp) -> impl Iterator<Item = (ExceptionId, &Exception)> {
        self.open.iter().filter(move |(_, it)| now < it.until).map(|(id, it)| (*id, it))
    }

    /// The newest first, from before `before`; `now` gives those alone that hold then.
    pub fn list(
        &self,
        now: Option<Timestamp>,
        before: Option<ExceptionId>,
        limit: usize,
    ) -> Page<ExceptionRow> {
        page(self.rows.newest(before), limit, |row| now.is_none_or(|now| row.holds(now)))
    }
}

impl Projection for Exceptions {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("exceptions", &mut self.rows), ("exceptions.open", &mut self.open)]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        match (&entry.event, entry.stream) {
            (Event::ExceptionMade(exception), StreamId::Exception(id)) => {
                // Those whose time is over are looked at no more.
                let over: Vec<ExceptionId> =
                    self.open.iter().filter(|(_, it)| it.until <= entry.at).map(|(id, _)| *id).collect();
                over.iter().for_each(|id| drop(self.open.clear(id)));
                self.open.set(id, (**exception).clone());
                let row = ExceptionRow {
                    id,
                    exception: (**exception).clone(),
                    made_at: entry.at,
                    ended_at: None,
                    suppressed: 0,
                    last_at: None,
                };
                self.rows.insert(id, row);
            }
            (Event::ExceptionEnded { .. }, StreamId::Exception(id)) => {
                self.open.clear(&id);
                if let Some(row) = self.rows.get_mut(id) {
                    row.ended_at = Some(entry.at);
                }
            }
            (Event::AlertTriaged { fate: Fate::Suppressed { by }, .. }, StreamId::Alert(_)) => {
                if let Suppression::Exception { exception, .. } = by
                    && let Some(row) = self.rows.get_mut(*exception)
                {
                    row.suppressed += 1;
                    row.last_at = row.last_at.max(Some(entry.at));
                }
            }
            _ => {}
        }
    }
}
