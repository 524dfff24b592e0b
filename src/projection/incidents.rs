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
use crate::domain::incident::{Disposition, IncidentChange, Move, MoveKind, Status};
use crate::domain::time::Timestamp;
use crate::domain::triage::{News, Sighting};
use crate::domain::value::truncate_text;
use crate::projection::fold::{Page, Projection, ROW_TEXT_BYTES_MAX, page};
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// Notes that a row keeps; older ones stay in the journal.
pub const NOTES_MAX: usize = 50;

/// Tags, alerts and runs that a row keeps of each, so that a storm of alerts
/// about one thing stays one small row.
pub const LINKS_MAX: usize = 200;

/// Merges that are followed from an old id on; none of them leads in a circle, and
/// nobody merges that often.
const MERGES_MAX: usize = 100;

/// The tag of an incident of which the detector says that a finding has ended.
pub const ENDED_TAG: &str = "ended-at-detector";

/// One note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// When it was written.
    pub at: Timestamp,
    /// The text, cut to a line or two.
    pub text: String,
    /// The person who wrote it; absent when a playbook did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
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
    /// Alerts that belong to it, the first [`LINKS_MAX`].
    pub alerts: Vec<AlertId>,
    /// How many alerts belong to it.
    #[serde(default)]
    pub alert_count: u64,
    /// The severity of the most severe of them, 0 to 100.
    #[serde(default)]
    pub alert_severity: u8,
    /// When the last of them came.
    #[serde(default)]
    pub last_alert_at: Option<Timestamp>,
    /// Runs that belong to it.
    pub runs: Vec<RunId>,
    /// Whether a person set its severity.
    #[serde(default)]
    pub severity_by_person: bool,
    /// Whether a person said how it ended; a run does not change that.
    #[serde(default)]
    pub disposition_by_person: bool,
    /// Incidents that share something with it.
    #[serde(default)]
    pub related: Vec<IncidentId>,
    /// The incident that all of it belongs to now.
    #[serde(default)]
    pub merged_into: Option<IncidentId>,
    /// The incidents that it was merged or split with: what one of them wrote may be
    /// another's by now, so retention takes all of them or none.
    #[serde(default)]
    pub bound: Vec<IncidentId>,
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
    /// Alerts past the first [`LINKS_MAX`] of an incident.
    more: Rows<(IncidentId, AlertId), ()>,
}

impl Incidents {
    /// The row of one incident.
    pub fn get(&self, id: IncidentId) -> Option<Cow<'_, IncidentRow>> {
        self.rows.get(id)
    }

    /// Forgets one that was erased.
    pub fn forget(&mut self, id: IncidentId) {
        self.rows.remove(id);
        let more: Vec<AlertId> = self.more.newest_of(id, None).collect();
        more.into_iter().for_each(|alert| self.more.remove((id, alert)));
    }

    /// Every alert of an incident.
    pub fn alerts_of(&self, id: IncidentId) -> Vec<AlertId> {
        let named = self.rows.get(id).map(|row| row.alerts.clone()).unwrap_or_default();
        named.into_iter().chain(self.more.newest_of(id, None)).collect()
    }

    /// The incident that an id stands for now: where it was merged into, and so on.
    pub fn current(&self, mut id: IncidentId) -> IncidentId {
        for _ in 0..MERGES_MAX {
            match self.rows.get(id).and_then(|row| row.merged_into) {
                Some(into) => id = into,
                None => break,
            }
        }
        id
    }

    fn link_alert(&mut self, id: IncidentId, alert: AlertId, at: Timestamp) {
        let row = self.row(id, at);
        if row.alerts.contains(&alert) {
            return;
        }
        if row.alerts.len() < LINKS_MAX {
            row.alerts.push(alert);
        } else {
            self.more.insert((id, alert), ());
        }
    }

    /// What an alert is to its incident.
    fn came(&mut self, id: IncidentId, alert: AlertId, fate: &Fate, seen: Option<&Sighting>, at: Timestamp) {
        self.link_alert(id, alert, at);
        let row = self.row(id, at);
        row.alert_count += 1;
        row.last_alert_at = row.last_alert_at.max(Some(at));
        fate.runs().iter().for_each(|run| link(&mut row.runs, *run));
        if let Some(subject) = seen.and_then(|seen| seen.subject.as_ref()).filter(|_| row.subject.is_none()) {
            row.subject = Some(subject.clone());
        }
        // What a person set lower stays, until something worse comes than they knew of.
        let severity = seen.map_or(0, |seen| seen.severity);
        if severity > row.alert_severity {
            row.alert_severity = severity;
            row.severity = row.severity.max(severity);
        }
        if let Fate::Joined { reopens: true, .. } = fate {
            row.status = Status::Open;
        }
        if let Fate::Joined { news: News::Ended, .. } = fate {
            link(&mut row.tags, ENDED_TAG.to_owned());
        }
    }

    fn moved(&mut self, from: IncidentId, moved: &Move, at: Timestamp) {
        for alert in &moved.alerts {
            self.more.remove((from, *alert));
            self.link_alert(moved.to, *alert, at);
        }
        let row = self.row(from, at);
        row.alerts.retain(|alert| !moved.alerts.contains(alert));
        row.runs.retain(|run| !moved.runs.contains(run));
        let count = moved.alerts.len() as u64;
        row.alert_count = row.alert_count.saturating_sub(count);
        if let Some(left) = &moved.left {
            row.subject.clone_from(&left.subject);
            row.alert_severity = left.severity;
        }
        link(&mut row.bound, moved.to);
        let was = row.clone();
        match moved.kind {
            MoveKind::Merge => {
                row.merged_into = Some(moved.to);
                row.status = Status::Closed;
            }
            MoveKind::Split => link(&mut row.related, moved.to),
        }
        let to = self.row(moved.to, at);
        to.alert_count += count;
        moved.runs.iter().for_each(|run| link(&mut to.runs, *run));
        link(&mut to.related, from);
        link(&mut to.bound, from);
        if moved.kind == MoveKind::Merge {
            was.tags.into_iter().for_each(|tag| link(&mut to.tags, tag));
            to.severity = to.severity.max(was.severity);
            to.alert_severity = to.alert_severity.max(was.alert_severity);
            to.last_alert_at = to.last_alert_at.max(was.last_alert_at);
            to.subject = to.subject.take().or(was.subject);
        }
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
            alert_count: 0,
            alert_severity: 0,
            last_alert_at: None,
            runs: Vec::new(),
            severity_by_person: false,
            disposition_by_person: false,
            bound: Vec::new(),
            related: Vec::new(),
            merged_into: None,
            opened_at: at,
            updated_at: at,
        });
        row.updated_at = row.updated_at.max(at);
        row
    }
}

impl IncidentRow {
    /// How it ended: the last to say so counts, and a person before any run.
    fn dispose(&mut self, disposition: Disposition, by_person: bool) {
        if by_person || !self.disposition_by_person {
            self.disposition = Some(disposition);
            self.disposition_by_person = by_person;
        }
    }

    fn change(&mut self, change: &IncidentChange, at: Timestamp) {
        self.severity = change.severity_after(self.severity, self.alert_severity, self.severity_by_person);
        self.severity_by_person |= change.severity.is_some() && change.by.is_some();
        self.status = change.status.unwrap_or(self.status);
        if let Some(disposition) = change.disposition {
            self.dispose(disposition, change.by.is_some());
        }
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
            self.notes.push_back(Note { at, text, by: change.by.clone() });
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
        vec![("incidents", &mut self.rows), ("incidents.alerts", &mut self.more)]
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
                    row.alert_severity = row.alert_severity.max(*severity);
                    self.link_alert(id, *alert, at);
                }
            }
            (Event::AlertsMoved(moved), StreamId::Incident(id)) => self.moved(id, moved, at),
            (Event::IncidentChanged { change }, StreamId::Incident(id)) => {
                self.row(id, at).change(change, at)
            }
            (Event::IncidentChanged { change }, StreamId::Run(_)) => {
                if let Some(id) = incident {
                    self.row(id, at).change(change, at);
                }
            }
            (Event::AlertTriaged { fate, seen, related }, StreamId::Alert(alert)) => {
                let Some(id) = incident else { return };
                self.came(id, alert, fate, seen.as_deref(), at);
                for related in related {
                    let related = self.current(related.incident);
                    if related != id && self.rows.get(related).is_some() {
                        link(&mut self.row(id, at).related, related);
                        link(&mut self.row(related, at).related, id);
                    }
                }
            }
            (Event::RunStarted(started), StreamId::Run(run)) => {
                let id = incident.unwrap_or_else(|| self.current(started.incident));
                if let Some(alert) = started.alert {
                    self.link_alert(id, alert.id, at);
                }
                let row = self.row(id, at);
                link(&mut row.runs, run);
            }
            (Event::RunEnding { disposition: Some(disposition), .. }, StreamId::Run(_)) => {
                if let Some(id) = incident {
                    self.row(id, at).dispose(*disposition, false);
                }
            }
            _ => {}
        }
    }
}
