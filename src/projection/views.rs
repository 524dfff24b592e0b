//! All views of the house in one list.

use std::sync::Arc;

use crate::domain::event::{Entry, Event};
use crate::domain::id::StreamId;
use crate::domain::incident::MoveKind;
use crate::projection::alerts::Alerts;
use crate::projection::approvals::Approvals;
use crate::projection::attention::Attention;
use crate::projection::containments::Containments;
use crate::projection::detections::Detections;
use crate::projection::exceptions::Exceptions;
use crate::projection::fold::Projection;
use crate::projection::incidents::Incidents;
use crate::projection::orders::Orders;
use crate::projection::polls::Polls;
use crate::projection::questions::Questions;
use crate::projection::reports::Reports;
use crate::projection::run_ends::RunEnds;
use crate::projection::runs::Runs;
use crate::projection::schedules::Schedules;
use crate::projection::shelf::{Change, Shelf, Table};
use crate::projection::ties::Ties;

/// The views that the API, the pages and the guardrails read. A new view is
/// one field here and one line in `all`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Views {
    /// What came in and what became of it.
    pub alerts: Alerts,
    /// Investigations.
    pub incidents: Incidents,
    /// Runs.
    pub runs: Runs,
    /// How many runs ever ended how.
    pub run_ends: RunEnds,
    /// Approvals asked for.
    pub approvals: Approvals,
    /// Questions asked.
    pub questions: Questions,
    /// What is or was contained.
    pub containments: Containments,
    /// Summaries that were kept.
    pub reports: Reports,
    /// How far schedules are ruled on.
    pub schedules: Schedules,
    /// How far sources were polled.
    pub polls: Polls,
    /// What needs a person.
    pub attention: Attention,
    /// Orders to lift what the runs of an incident contained.
    pub orders: Orders,
    /// Where things were seen last.
    pub ties: Ties,
    /// What keeps alerts from having any effect.
    pub exceptions: Exceptions,
    /// How often the rules of detectors fired and were right.
    pub detections: Detections,
}

impl Views {
    fn all(&mut self) -> [&mut dyn Projection; 15] {
        [
            &mut self.alerts,
            &mut self.incidents,
            &mut self.runs,
            &mut self.run_ends,
            &mut self.approvals,
            &mut self.questions,
            &mut self.containments,
            &mut self.reports,
            &mut self.schedules,
            &mut self.polls,
            &mut self.attention,
            &mut self.orders,
            &mut self.ties,
            &mut self.exceptions,
            &mut self.detections,
        ]
    }

    /// Takes in one entry.
    pub fn apply(&mut self, entry: &Entry) {
        let whole = self.whole_move(entry);
        let entry = whole.as_ref().unwrap_or(entry);
        let incident = match (&entry.event, entry.stream) {
            (Event::RunStarted(started), _) => {
                // A run that was moved calls others where it is now.
                let called_by = started.parent.as_ref().and_then(|parent| self.runs.get(parent.run));
                let of = called_by.map_or(started.incident, |row| row.incident);
                Some(self.incidents.current(of))
            }
            (Event::AlertTriaged { fate, .. }, _) => fate.incident().map(|of| self.incidents.current(of)),
            (_, StreamId::Run(run)) => self.runs.get(run).map(|row| row.incident),
            (_, StreamId::Incident(incident)) => Some(incident),
            _ => None,
        };
        for view in self.all() {
            view.apply(entry, incident);
        }
        if let Event::Erased(erasure) = &entry.event {
            erasure.streams.iter().for_each(|stream| self.forget(*stream));
        }
    }

    /// A merge moves all there is, also what came in between the look and the record.
    fn whole_move(&self, entry: &Entry) -> Option<Entry> {
        let (Event::AlertsMoved(moved), StreamId::Incident(from)) = (&entry.event, entry.stream) else {
            return None;
        };
        if moved.kind != MoveKind::Merge {
            return None;
        }
        let mut moved = moved.clone();
        let alerts = self.incidents.alerts_of(from).into_iter();
        moved.alerts.extend(alerts.filter(|alert| !moved.alerts.contains(alert)).collect::<Vec<_>>());
        let runs = self.runs.of_incident(from).into_iter();
        moved.runs.extend(runs.filter(|run| !moved.runs.contains(run)).collect::<Vec<_>>());
        Some(Entry { event: Event::AlertsMoved(moved), ..entry.clone() })
    }

    /// Forgets what retention erased.
    fn forget(&mut self, stream: StreamId) {
        match stream {
            StreamId::Alert(alert) => {
                self.alerts.forget(alert);
                self.detections.forget_alert(alert);
            }
            StreamId::Incident(incident) => {
                self.incidents.forget(incident);
                self.orders.forget(incident);
                self.detections.forget(incident);
            }
            StreamId::Run(run) => {
                self.runs.forget(run);
                self.approvals.forget(run);
                self.questions.forget(run);
                self.containments.forget(run);
                self.reports.forget(run);
                self.schedules.forget(run);
                self.attention.forget(run);
            }
            StreamId::Schedule(_) | StreamId::Exception(_) | StreamId::Poll(_) | StreamId::Restore(_) => {}
        }
    }

    /// Views that keep on a shelf what is not in use, with what is there already.
    pub fn on(shelf: &Arc<dyn Shelf>) -> Self {
        let mut views = Self::default();
        for (name, table) in views.tables() {
            table.attach(name, shelf);
        }
        views
    }

    /// How many rows changed since they were last taken.
    pub fn changed(&mut self) -> usize {
        self.tables().iter().map(|(_, table)| table.changed()).sum()
    }

    /// Takes what changed, to be kept on the shelf. Then comes
    /// [`Views::settle`] or [`Views::put_back`], before anything is taken again.
    pub fn take(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (_, table) in self.tables() {
            table.take(&mut changes);
        }
        changes
    }

    /// What was taken is kept: it need no longer be in memory.
    pub fn settle(&mut self) {
        self.tables().into_iter().for_each(|(_, table)| table.settle());
    }

    /// What was taken could not be kept, and counts as changed again.
    pub fn put_back(&mut self) {
        self.tables().into_iter().for_each(|(_, table)| table.put_back());
    }

    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        self.all().into_iter().flat_map(|view| view.tables()).collect()
    }
}
