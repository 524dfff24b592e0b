//! Merge and split: a person says which alerts and runs belong to which incident.
//!
//! Both incidents' streams say so in one record. What an alert that comes in the
//! same moment joins is found through the incident that was merged.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::event::Event;
use crate::domain::id::{AlertId, IncidentId, RunId, StreamId};
use crate::domain::incident::{Move, MoveKind};
use crate::domain::tie::TieKey;
use crate::projection::fold::PAGE_ROWS_MAX;
use crate::projection::incidents::IncidentRow;
use crate::projection::runs::{RunFilter, RunRow};
use crate::scheduler::run::SchedulerError;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::incidents::{TRIES_MAX, plain};
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch};

/// Alerts, and runs, that are moved at a time: what one record holds with room to spare.
const MOVED_MAX: usize = 10_000;

/// Who wants it, and why.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Service {
    /// Makes all of one incident part of another and closes it. Durable and shown
    /// when it returns; gives the incident that holds both.
    ///
    /// # Errors
    /// When either is not there, both are the same, one was merged already, or it
    /// holds more than is moved at a time.
    pub async fn merge(
        &self,
        from: IncidentId,
        into: IncidentId,
        order: Order,
    ) -> Result<IncidentRow, ServiceError> {
        let why = plain("the reason", &order.why)?;
        self.caught_up().await;
        let (from_row, _) = (self.unmerged(from)?, self.unmerged(into)?);
        if from == into {
            return Err(refused("an incident cannot be merged into itself; name another one".to_owned()));
        }
        let (alerts, runs) = {
            let views = self.views.read();
            (views.incidents.alerts_of(from), self.runs_of(from))
        };
        enough(alerts.len().max(runs.len()))?;
        let moved = Move {
            kind: MoveKind::Merge,
            to: into,
            runs: runs.iter().map(|row| row.id).collect(),
            playbooks: from_row.playbooks,
            ties: Vec::new(),
            by: order.by.clone(),
            why: why.clone(),
            alerts,
        };
        let came = Event::AlertsCame { from, alerts: moved.alerts.len(), by: order.by, why };
        self.append_both((from, Event::AlertsMoved(Box::new(moved))), (into, came)).await?;
        self.unmerged(into)
    }

    /// Takes some alerts of an incident, with the runs that they started, into a new
    /// one. Durable and shown when it returns; gives the new incident.
    ///
    /// # Errors
    /// When an alert is not of this incident, or none would be left.
    pub async fn split(
        &self,
        from: IncidentId,
        alerts: BTreeSet<AlertId>,
        order: Order,
    ) -> Result<IncidentRow, ServiceError> {
        let why = plain("the reason", &order.why)?;
        self.caught_up().await;
        let row = self.unmerged(from)?;
        enough(alerts.len())?;
        let (opened, runs) = {
            let views = self.views.read();
            let mut rows = Vec::with_capacity(alerts.len());
            for alert in &alerts {
                let found = views.alerts.get(*alert).filter(|row| row.incident == Some(from));
                let message = format!("{alert} is no alert of {from}; `quell show {from}` names them");
                rows.push(found.ok_or_else(|| refused(message))?.into_owned());
            }
            let Some(first) = rows.first().cloned() else {
                return Err(refused(
                    "no alert is named; name those that are a story of their own".to_owned(),
                ));
            };
            if row.alert_count <= alerts.len() as u64 {
                return Err(refused(format!(
                    "these are all alerts of {from}; leave one there, or change the incident itself"
                )));
            }
            let subjects: BTreeSet<_> = rows.iter().filter_map(|row| row.subject.clone()).collect();
            let one = if subjects.len() == 1 { subjects.into_iter().next() } else { None };
            let opened = Event::IncidentOpened {
                title: first.title.clone(),
                severity: rows.iter().map(|row| row.severity).max().unwrap_or(first.severity),
                alert: Some(first.id),
                subject: one,
            };
            let mut runs = self.runs_of(from);
            runs.retain(|run| run.alert.is_some_and(|alert| alerts.contains(&alert)));
            (opened, runs)
        };
        let to = IncidentId::derived(self.fresh(), "incident");
        let playbooks: BTreeSet<String> = runs.iter().map(|run| run.playbook.to_string()).collect();
        let moved = Move {
            kind: MoveKind::Split,
            to,
            runs: self.with_called(&runs),
            playbooks: playbooks.into_iter().collect(),
            ties: self.ties_of(&alerts).await?,
            by: order.by,
            why,
            alerts: alerts.into_iter().collect(),
        };
        self.append_both((from, Event::AlertsMoved(Box::new(moved))), (to, opened)).await?;
        self.unmerged(to)
    }

    /// The row of an incident that stands for itself.
    fn unmerged(&self, id: IncidentId) -> Result<IncidentRow, ServiceError> {
        let views = self.views.read();
        let row = views.incidents.get(id).ok_or_else(|| ServiceError::absent("incident", &id))?;
        match row.merged_into {
            Some(into) => Err(refused(format!("{id} was merged into {into}; name that one"))),
            None => Ok(row.into_owned()),
        }
    }

    /// The runs of an incident, up to one more than are moved.
    fn runs_of(&self, incident: IncidentId) -> Vec<RunRow> {
        let views = self.views.read();
        let filter = RunFilter { incident: Some(incident), ..RunFilter::default() };
        let (mut runs, mut before) = (Vec::new(), None);
        loop {
            let page = views.runs.list(&filter, before, PAGE_ROWS_MAX);
            runs.extend(page.items);
            before = page.next.and_then(|next| next.parse().ok());
            if before.is_none() || runs.len() > MOVED_MAX {
                return runs;
            }
        }
    }

    /// These runs and all that their steps called.
    fn with_called(&self, runs: &[RunRow]) -> Vec<RunId> {
        let views = self.views.read();
        let all: BTreeSet<RunId> = runs.iter().flat_map(|run| views.runs.family(run.id)).collect();
        all.into_iter().collect()
    }

    /// Under which keys these alerts are found.
    async fn ties_of(&self, alerts: &BTreeSet<AlertId>) -> Result<Vec<TieKey>, ServiceError> {
        let mut ties = BTreeSet::new();
        for alert in alerts {
            for entry in self.journal.read(StreamId::Alert(*alert), 0).await? {
                if let Event::AlertTriaged { seen: Some(seen), .. } = entry.event {
                    ties.extend(seen.ties);
                }
            }
        }
        Ok(ties.into_iter().collect())
    }

    async fn append_both(
        &self,
        (from, left): (IncidentId, Event),
        (to, came): (IncidentId, Event),
    ) -> Result<(), ServiceError> {
        for _ in 0..TRIES_MAX {
            let mut lasts = BTreeMap::new();
            for id in [from, to] {
                let entries = self.journal.read(StreamId::Incident(id), 0).await?;
                if entries.iter().any(|entry| matches!(entry.event, Event::Erased(_))) {
                    return Err(ServiceError::absent("incident", &id));
                }
                lasts.insert(id, entries.last().map_or(0, |entry| entry.seq));
            }
            let append = |id: IncidentId, event: &Event| Append {
                stream: StreamId::Incident(id),
                after: lasts[&id],
                at: self.now(),
                events: vec![event.clone()],
            };
            // The new incident first: nothing is ever in one that is not there.
            let appends = vec![append(to, &came), append(from, &left)];
            match self.scheduler.start(Vec::new(), Batch { appends, ..Batch::default() }).await {
                Ok(receipt) => {
                    self.shown(Some(&receipt)).await;
                    return Ok(());
                }
                Err(SchedulerError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(refused(format!("{from} changes too fast just now; nothing was written, please try again")))
    }
}

fn enough(count: usize) -> Result<(), ServiceError> {
    if count <= MOVED_MAX {
        return Ok(());
    }
    Err(refused(format!("{count} are too many to move at a time; at most {MOVED_MAX} are")))
}

fn refused(message: String) -> ServiceError {
    ServiceError::new(Sort::Refused, "incident-not-moved", message)
}
