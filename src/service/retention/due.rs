//! What retention erases now, decided from the views, the clock and the rules alone.

use std::collections::BTreeSet;
use std::time::Duration;

use ulid::Ulid;

use crate::domain::id::{AlertId, IncidentId, RunId};
use crate::domain::incident::Status;
use crate::domain::time::Timestamp;
use crate::projection::alerts::AlertFilter;
use crate::projection::fold::PAGE_ROWS_MAX;
use crate::projection::incidents::{IncidentFilter, IncidentRow, LINKS_MAX};
use crate::projection::runs::RunFilter;
use crate::projection::views::Views;

/// How long things are kept; of what is absent nothing is ever erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// An incident, since it was closed and last changed.
    pub closed_incidents: Option<Duration>,
    /// The content of an alert, since it came in.
    pub raw_alerts: Option<Duration>,
}

/// One thing that is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// An incident with all that belongs to it.
    Incident {
        /// Which.
        incident: IncidentId,
        /// Its alerts.
        alerts: BTreeSet<AlertId>,
        /// Its runs.
        runs: BTreeSet<RunId>,
    },
    /// The content of an alert.
    Content(AlertId),
}

/// How far looking has come: the oldest of the rows that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Incidents, older than this one.
    Incidents(Option<IncidentId>),
    /// Alerts, older than this one.
    Alerts(Option<AlertId>),
}

impl Place {
    /// Incidents come first: what goes with one of them is not looked at alone.
    pub const START: Place = Place::Incidents(None);
}

/// What is due among some hundred rows from `from` on, and where to go on; no
/// place means that these were the last.
pub fn due(views: &Views, now: Timestamp, rules: Rules, from: Place) -> (Vec<Due>, Option<Place>) {
    let busy = Busy::of(views);
    match from {
        Place::Incidents(before) => match rules.closed_incidents {
            Some(kept) => incidents(views, now.before(kept), &busy, before),
            None => (Vec::new(), Some(Place::Alerts(None))),
        },
        Place::Alerts(before) => match rules.raw_alerts {
            Some(kept) => alerts(views, now.before(kept), &busy, before),
            None => (Vec::new(), None),
        },
    }
}

/// What a run that goes on, a containment that holds, or an order that is not
/// carried out still needs.
struct Busy {
    incidents: BTreeSet<IncidentId>,
    alerts: BTreeSet<AlertId>,
}

impl Busy {
    fn of(views: &Views) -> Busy {
        let mut busy = Busy { incidents: BTreeSet::new(), alerts: BTreeSet::new() };
        let holding = views.containments.holding().filter_map(|row| views.runs.get(row.run));
        for row in views.runs.live().chain(holding) {
            busy.incidents.insert(row.incident);
            busy.alerts.extend(row.alert);
        }
        busy.incidents.extend(views.orders.open().iter().map(|open| open.incident));
        busy
    }
}

/// The first id that is younger than a time: ids begin with theirs.
fn just_after(at: Timestamp) -> Ulid {
    let millis = u64::try_from(at.millis()).unwrap_or(0);
    Ulid::from_parts(millis.saturating_add(1), 0)
}

fn incidents(
    views: &Views,
    until: Timestamp,
    busy: &Busy,
    before: Option<IncidentId>,
) -> (Vec<Due>, Option<Place>) {
    // What was opened later was closed later.
    let before = before.unwrap_or_else(|| IncidentId::new(just_after(until)));
    let closed = IncidentFilter { status: Some(Status::Closed), ..IncidentFilter::default() };
    let page = views.incidents.list(&closed, Some(before), PAGE_ROWS_MAX);
    let more = page.next.is_some();
    let next = page.items.last().filter(|_| more).map(|row| Place::Incidents(Some(row.id)));
    let due = page.items.iter().filter(|row| row.updated_at <= until && !busy.incidents.contains(&row.id));
    (due.map(|row| whole(views, row)).collect(), next.or(Some(Place::Alerts(None))))
}

/// An incident with all that belongs to it.
fn whole(views: &Views, row: &IncidentRow) -> Due {
    let mut runs: BTreeSet<RunId> = row.runs.iter().copied().collect();
    if row.runs.len() >= LINKS_MAX {
        // The row names no more than that.
        let filter = RunFilter { incident: Some(row.id), ..RunFilter::default() };
        let mut before = None;
        loop {
            let page = views.runs.list(&filter, before, PAGE_ROWS_MAX);
            runs.extend(page.items.iter().map(|row| row.id));
            before = page.items.last().map(|row| row.id);
            if page.next.is_none() {
                break;
            }
        }
    }
    let of_runs = runs.iter().filter_map(|run| views.runs.get(*run)?.alert);
    let alerts = row.alerts.iter().copied().chain(of_runs).collect();
    Due::Incident { incident: row.id, alerts, runs }
}

fn alerts(
    views: &Views,
    until: Timestamp,
    busy: &Busy,
    before: Option<AlertId>,
) -> (Vec<Due>, Option<Place>) {
    let before = before.unwrap_or_else(|| AlertId::new(just_after(until)));
    let page = views.alerts.list(&AlertFilter::default(), Some(before), PAGE_ROWS_MAX);
    let more = page.next.is_some();
    let next = page.items.last().filter(|_| more).map(|row| Place::Alerts(Some(row.id)));
    let due = page.items.iter().filter(|row| {
        row.received_at <= until && row.content_erased_at.is_none() && !busy.alerts.contains(&row.id)
    });
    (due.map(|row| Due::Content(row.id)).collect(), next)
}

#[cfg(test)]
mod tests;
