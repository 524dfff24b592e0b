//! Alerts as lists show them: where each came from and what became of it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::alert::Fate;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{AlertId, IncidentId, StreamId};
use crate::domain::time::Timestamp;
use crate::domain::triage::Related;
use crate::domain::value::truncate_text;
use crate::projection::fold::{Page, Projection, ROW_TEXT_BYTES_MAX, page};
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// One alert in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// Its id.
    pub id: AlertId,
    /// The configured source it came in by.
    pub source: String,
    /// The sender's own id.
    pub source_id: Option<String>,
    /// One line.
    pub title: String,
    /// 0 to 100.
    pub severity: u8,
    /// The rule that fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The person who handed it in; absent when its source sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Each list that keeps fewer than its detector named, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Whether the source's rules do not know the payload's shape.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shape_unknown: bool,
    /// The incident that it belongs to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// What became of it; absent until it was triaged.
    pub fate: Option<Fate>,
    /// Incidents that share something with it and that it does not belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    /// When retention removed its content; the row stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_erased_at: Option<Timestamp>,
}

/// Which alerts a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only those of this source.
    pub source: Option<String>,
    /// Only those at least this severe.
    pub severity_min: Option<u8>,
    /// Only those of this incident.
    pub incident: Option<IncidentId>,
    /// Only those with this fate, by its name.
    pub fate: Option<String>,
}

/// All alerts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alerts {
    rows: Rows<AlertId, AlertRow>,
}

impl Alerts {
    /// The row of one alert.
    pub fn get(&self, id: AlertId) -> Option<Cow<'_, AlertRow>> {
        self.rows.get(id)
    }

    /// Forgets one that was erased.
    pub fn forget(&mut self, id: AlertId) {
        self.rows.remove(id);
    }

    /// The newest first, from before `before`.
    pub fn list(&self, filter: &AlertFilter, before: Option<AlertId>, limit: usize) -> Page<AlertRow> {
        let keep = |row: &AlertRow| {
            filter.source.as_ref().is_none_or(|source| *source == row.source)
                && filter.severity_min.is_none_or(|least| row.severity >= least)
                && filter.incident.is_none_or(|incident| row.incident == Some(incident))
                && filter
                    .fate
                    .as_ref()
                    .is_none_or(|name| row.fate.as_ref().is_some_and(|it| it.name() == name))
        };
        page(self.rows.newest(before), limit, keep)
    }
}

impl Projection for Alerts {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("alerts", &mut self.rows)]
    }

    fn apply(&mut self, entry: &Entry, incident: Option<IncidentId>) {
        if let Event::AlertsMoved(moved) = &entry.event {
            for alert in &moved.alerts {
                if let Some(row) = self.rows.get_mut(*alert) {
                    row.incident = Some(moved.to);
                }
            }
        }
        let StreamId::Alert(id) = entry.stream else {
            return;
        };
        match &entry.event {
            Event::AlertReceived {
                source,
                source_id,
                title,
                severity,
                rule,
                subject,
                by,
                counts,
                shape_unknown,
                ..
            } => {
                let cut = |text: &Option<String>| {
                    text.as_deref().map(|text| truncate_text(text, ROW_TEXT_BYTES_MAX).into_owned())
                };
                let row = AlertRow {
                    id,
                    source: source.clone(),
                    source_id: source_id.clone(),
                    title: truncate_text(title, ROW_TEXT_BYTES_MAX).into_owned(),
                    severity: *severity,
                    rule: cut(rule),
                    subject: cut(subject),
                    by: cut(by),
                    cut: counts.map(|counts| counts.words()).unwrap_or_default(),
                    shape_unknown: *shape_unknown,
                    incident: None,
                    received_at: entry.at,
                    fate: None,
                    related: Vec::new(),
                    content_erased_at: None,
                };
                self.rows.insert(id, row);
            }
            Event::AlertTriaged { fate, related, .. } => {
                if let Some(row) = self.rows.get_mut(id) {
                    row.incident = incident;
                    row.fate = Some(fate.clone());
                    row.related.clone_from(related);
                }
            }
            Event::Erased(_) => {
                if let Some(row) = self.rows.get_mut(id) {
                    row.content_erased_at = Some(entry.at);
                }
            }
            _ => {}
        }
    }
}
