//! Investigations as lists show them.
//!
//! A change of an incident may stand in its own stream or in the stream of a
//! run that made it; both count, in the order they come in.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::domain::alert::Fate;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{AlertId, IncidentId, RunId, StreamId};
use crate::domain::incident::{Disposition, IncidentChange, Status};
use crate::domain::time::Timestamp;
use crate::domain::value::truncate_text;
use crate::projection::fold::{Page, Projection, ROW_TEXT_BYTES_MAX, page};
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// Notes that a row keeps; older ones stay in the journal.
pub const NOTES_MAX: usize = 50;

/// Tags, alerts and runs that a row keeps of each, so that a storm of alerts
/// about one thing stays one small row.
pub const LINKS_MAX: usize = 200;

/// One note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// When it was written.
    pub at: Timestamp,
    /// The text, cut to a line or two.
    pub text: String,
}

/// One incident in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentRow {
    /// Its id.
    pub id: IncidentId,
    /// One line.
    pub title: String,
    /// 0 to 100.
    pub severity: u8,
    /// Where it stands.
    pub status: Status,
    /// How it ended.
    pub disposition: Option<Disposition>,
    /// Whose it is.
    pub assignee: Option<String>,
    /// Whom it is about.
    pub subject: Option<String>,
    /// Tags, in the order they were added.
    pub tags: Vec<String>,
    /// The newest notes, the oldest of them first.
    pub notes: VecDeque<Note>,
    /// Alerts that belong to it.
    pub alerts: Vec<AlertId>,
    /// Runs that belong to it.
    pub runs: Vec<RunId>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Which incidents a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Only those that stand there.
    pub status: Option<Status>,
    /// Only those that are not closed.
    pub open: bool,
    /// Only those at least this severe.
    pub severity_min: Option<u8>,
    /// Only those of this person.
    pub assignee: Option<String>,
    /// Only those about this person, in any case.
    pub subject: Option<String>,
}

/// All incidents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Incidents {
    rows: Rows<IncidentId, IncidentRow>,
}

impl Incidents {
    /// The row of one incident.
    pub fn get(&self, id: IncidentId) -> Option<Cow<'_, IncidentRow>> {
        self.rows.get(id)
    }

    /// Forgets one that was erased.
    pub fn forget(&mut self, id: IncidentId) {
        self.rows.remove(id);
    }

    /// The newest first, from before `before`.
    pub fn list(
        &self,
        filter: &IncidentFilter,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Page<IncidentRow> {
        let subject = filter.subject.as_ref().map(|subject| subject.to_lowercase());
        let keep = |row: &IncidentRow| {
            filter.status.is_none_or(|status| status == row.status)
                && !(filter.open && row.status == Status::Closed)
                && filter.severity_min.is_none_or(|least| row.severity >= least)
                && filter.assignee.as_ref().is_none_or(|who| row.assignee.as_ref() == Some(who))
                && subject.as_ref().is_none_or(|subject| {
                    row.subject.as_ref().is_some_and(|of| of.to_lowercase() == *subject)
                })
        };
        page(self.rows.newest(before), limit, keep)
    }

    /// The row, made empty when its opening was not seen yet.
    fn row(&mut self, id: IncidentId, at: Timestamp) -> &mut IncidentRow {
        let row = self.rows.get_or(id, || IncidentRow {
            id,
            title: String::new(),
            severity: 0,
            status: Status::Open,
            disposition: None,
            assignee: None,
            subject: None,
            tags: Vec::new(),
            notes: VecDeque::new(),
            alerts: Vec::new(),
            runs: Vec::new(),
            opened_at: at,
            updated_at: at,
        });
        row.updated_at = row.updated_at.max(at);
        row
    }
}

impl IncidentRow {
    fn change(&mut self, change: &IncidentChange, at: Timestamp) {
        self.severity = change.severity.unwrap_or(self.severity);
        self.status = change.status.unwrap_or(self.status);
        self.disposition = change.disposition.or(self.disposition);
        if change.assignee.is_some() {
            self.assignee = change.assignee.clone();
        }
        for tag in &change.tags {
            link(&mut self.tags, tag.clone());
        }
        if let Some(note) = &change.note {
            if self.notes.len() == NOTES_MAX {
                self.notes.pop_front();
            }
            let text = truncate_text(note, ROW_TEXT_BYTES_MAX).into_owned();
            self.notes.push_back(Note { at, text });
        }
    }
}

/// Adds what is not there yet, up to [`LINKS_MAX`].
fn link<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < LINKS_MAX && !list.contains(&item) {
        list.push(item);
    }
}

impl Projection for Incidents {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("incidents", &mut self.rows)]
    }

    fn apply(&mut self, entry: &Entry, incident: Option<IncidentId>) {
        let at = entry.at;
        match (&entry.event, entry.stream) {
            (Event::IncidentOpened { title, severity, alert, subject }, StreamId::Incident(id)) => {
                let row = self.row(id, at);
                row.title = truncate_text(title, ROW_TEXT_BYTES_MAX).into_owned();
                row.severity = row.severity.max(*severity);
                row.subject = subject.clone();
                row.opened_at = at;
                if let Some(alert) = alert {
                    link(&mut row.alerts, *alert);
                }
            }
            (Event::IncidentChanged { change }, StreamId::Incident(id)) => {
                self.row(id, at).change(change, at)
            }
            (Event::IncidentChanged { change }, StreamId::Run(_)) => {
                if let Some(id) = incident {
                    self.row(id, at).change(change, at);
                }
            }
            (Event::AlertTriaged { fate: Fate::RunStarted { runs, incident } }, StreamId::Alert(alert)) => {
                let row = self.row(*incident, at);
                link(&mut row.alerts, alert);
                runs.iter().for_each(|run| link(&mut row.runs, *run));
            }
            (Event::RunStarted(started), StreamId::Run(run)) => {
                let row = self.row(started.incident, at);
                link(&mut row.runs, run);
                if let Some(alert) = started.alert {
                    link(&mut row.alerts, alert.id);
                }
            }
            (Event::RunEnding { disposition: Some(disposition), .. }, StreamId::Run(_)) => {
                if let Some(id) = incident {
                    self.row(id, at).disposition = Some(*disposition);
                }
            }
            _ => {}
        }
    }
}
