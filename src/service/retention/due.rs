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
/// `busy` is filled in when it is first needed, and holds for one look.
pub fn due(
    views: &Views,
    now: Timestamp,
    rules: Rules,
    from: Place,
    busy: &mut Option<Busy>,
) -> (Vec<Due>, Option<Place>) {
    match from {
        Place::Incidents(before) => match rules.closed_incidents {
            Some(kept) => incidents(views, now.before(kept), before, busy),
            None => (Vec::new(), Some(Place::Alerts(None))),
        },
        Place::Alerts(before) => match rules.raw_alerts {
            Some(kept) => alerts(views, now.before(kept), before, busy),
            None => (Vec::new(), None),
        },
    }
}

/// What a run that goes on, a containment that holds, or an order that is not
/// carried out still needs. What becomes busy later makes the order to erase it a
/// conflict.
#[derive(Debug)]
pub struct Busy {
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
        busy.incidents.extend(views.orders.open().map(|open| open.incident));
        busy
    }

    /// Rows that are not busy. Most often there is no row, and nothing to look at.
    fn without<R>(
        (views, busy): (&Views, &mut Option<Busy>),
        rows: impl Iterator<Item = R>,
        is_busy: impl Fn(&Busy, &R) -> bool,
    ) -> Vec<R> {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Vec::new();
        }
        let busy = busy.get_or_insert_with(|| Busy::of(views));
        rows.filter(|row| !is_busy(busy, row)).collect()
    }
}

/// Incidents that are followed from one through merges and splits: nobody makes more.
const BOUND_MAX: usize = 1000;

/// The first id that is younger than a time: ids begin with theirs.
fn just_after(at: Timestamp) -> Ulid {
    let millis = u64::try_from(at.millis()).unwrap_or(0);
    Ulid::from_parts(millis.saturating_add(1), 0)
}

fn incidents(
    views: &Views,
    until: Timestamp,
    before: Option<IncidentId>,
    busy: &mut Option<Busy>,
) -> (Vec<Due>, Option<Place>) {
    // What was opened later was closed later.
    let before = before.unwrap_or_else(|| IncidentId::new(just_after(until)));
    let closed = IncidentFilter { status: Some(Status::Closed), ..IncidentFilter::default() };
    let page = views.incidents.list(&closed, Some(before), PAGE_ROWS_MAX);
    // A page that had much to pass over may be short, and goes on all the same.
    let next = page.next.and_then(|next| next.parse().ok()).map(|next| Place::Incidents(Some(next)));
    let old = page.items.into_iter().filter(|row| row.updated_at <= until);
    let free = Busy::without((views, busy), old, |busy, row| {
        bound_to(views, row).iter().any(|row| {
            busy.incidents.contains(&row.id) || row.status != Status::Closed || row.updated_at > until
        })
    });
    (free.iter().map(|row| whole(views, row)).collect(), next.or(Some(Place::Alerts(None))))
}

/// An incident with all that it was merged or split with, and those in turn, as far
/// as they are there.
fn bound_to(views: &Views, row: &IncidentRow) -> Vec<IncidentRow> {
    let mut found = vec![row.clone()];
    let mut at = 0;
    while let Some(row) = found.get(at).filter(|_| found.len() < BOUND_MAX) {
        let next = row.bound.iter().filter(|id| !found.iter().any(|known| known.id == **id));
        let next: Vec<IncidentRow> =
            next.filter_map(|id| views.incidents.get(*id)).map(|row| row.into_owned()).collect();
        found.extend(next);
        at += 1;
    }
    found
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
            before = page.next.and_then(|next| next.parse().ok());
            if before.is_none() {
                break;
            }
        }
    }
    let of_runs = runs.iter().filter_map(|run| views.runs.get(*run)?.alert);
    let alerts = views.incidents.alerts_of(row.id).into_iter().chain(of_runs).collect();
    Due::Incident { incident: row.id, alerts, runs }
}

fn alerts(
    views: &Views,
    until: Timestamp,
    before: Option<AlertId>,
    busy: &mut Option<Busy>,
) -> (Vec<Due>, Option<Place>) {
    let before = before.unwrap_or_else(|| AlertId::new(just_after(until)));
    let page = views.alerts.list(&AlertFilter::default(), Some(before), PAGE_ROWS_MAX);
    let next = page.next.and_then(|next| next.parse().ok()).map(|next| Place::Alerts(Some(next)));
    let old = page.items.into_iter();
    let old = old.filter(|row| row.received_at <= until && row.content_erased_at.is_none());
    let free = Busy::without((views, busy), old, |busy, row| busy.alerts.contains(&row.id));
    (free.into_iter().map(|row| Due::Content(row.id)).collect(), next)
}

#[cfg(test)]
mod tests;
