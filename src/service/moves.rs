//! Merge and split: a person says which alerts and runs belong to which incident.
//!
//! Both incidents' streams say so in one record. What an alert that comes in the
//! same moment joins is found through the incident that was merged.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::event::Event;
use crate::domain::id::{AlertId, IncidentId, RunId, StreamId};
use crate::domain::incident::{Left, Move, MoveKind, Status};
use crate::domain::tie::TieKey;
use crate::projection::incidents::IncidentRow;
use crate::scheduler::run::SchedulerError;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::incidents::{TRIES_MAX, plain};
use crate::service::unchanged::OnlyIf;
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
    /// What must still be so.
    pub only_if: OnlyIf,
}

impl Service {
    /// Makes all of one incident part of another and closes it. Durable and shown
    /// when it returns; gives the incident that holds both.
    ///
    /// # Errors
    /// When either is not there, both are the same, one was merged already, the other
    /// is closed, or it holds more than is moved at a time.
    pub async fn merge(
        &self,
        from: IncidentId,
        into: IncidentId,
        order: Order,
    ) -> Result<IncidentRow, ServiceError> {
        let why = plain("the reason", &order.why)?;
        if from == into {
            return Err(refused("an incident cannot be merged into itself; name another one".to_owned()));
        }
        let decide = || {
            self.unmerged(from)?;
            if self.unmerged(into)?.status == Status::Closed {
                let message =
                    format!("{into} is closed: open it first, so that somebody looks at what comes to it");
                return Err(refused(message));
            }
            let views = self.views.read();
            let (alerts, runs) = (views.incidents.alerts_of(from), views.runs.of_incident(from));
            enough(alerts.len().max(runs.len()))?;
            let came =
                Event::AlertsCame { from, alerts: alerts.len(), by: order.by.clone(), why: why.clone() };
            let moved = Move {
                kind: MoveKind::Merge,
                to: into,
                alerts,
                runs,
                left: None,
                ties: Vec::new(),
                by: order.by.clone(),
                why: why.clone(),
            };
            Ok((moved, came))
        };
        self.append_both(from, into, &order.only_if, decide).await?;
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
        enough(alerts.len())?;
        if alerts.is_empty() {
            return Err(refused("no alert is named; name those that are a story of their own".to_owned()));
        }
        let to = IncidentId::derived(self.fresh(), "incident");
        let ties = self.ties_of(&alerts).await?;
        let decide = || {
            self.unmerged(from)?;
            let all = self.views.read().incidents.alerts_of(from);
            let (moved, left): (Vec<AlertId>, Vec<AlertId>) =
                all.into_iter().partition(|alert| alerts.contains(alert));
            if let Some(other) = alerts.iter().find(|alert| !moved.contains(alert)) {
                return Err(refused(format!(
                    "{other} is no alert of {from}; `quell show {from}` names them"
                )));
            }
            if left.is_empty() {
                let message =
                    format!("these are all alerts of {from}; leave one there, or change the incident itself");
                return Err(refused(message));
            }
            let (opened, left) = (self.story_of(&moved), self.story_of(&left));
            let opened_by = moved.first().copied();
            let moved = Move {
                kind: MoveKind::Split,
                to,
                runs: self.runs_on(from, &alerts),
                left: Some(Left { subject: left.subject, severity: left.severity }),
                ties: ties.clone(),
                by: order.by.clone(),
                why: why.clone(),
                alerts: moved,
            };
            let Story { title, severity, subject } = opened;
            Ok((moved, Event::IncidentOpened { title, severity, alert: opened_by, subject }))
        };
        self.append_both(from, to, &order.only_if, decide).await?;
        self.unmerged(to)
    }

    /// What some alerts are about, taken together.
    fn story_of(&self, alerts: &[AlertId]) -> Story {
        let views = self.views.read();
        let mut story = Story { title: String::new(), severity: 0, subject: None };
        let mut subjects: BTreeSet<String> = BTreeSet::new();
        for row in alerts.iter().filter_map(|alert| views.alerts.get(*alert)) {
            if story.title.is_empty() {
                story.title.clone_from(&row.title);
            }
            story.severity = story.severity.max(row.severity);
            subjects.extend(row.subject.as_ref().map(|subject| subject.to_lowercase()));
        }
        if subjects.len() == 1 {
            story.subject = subjects.into_iter().next();
        }
        story
    }

    /// The runs of an incident that these alerts started, and all that those called.
    fn runs_on(&self, incident: IncidentId, alerts: &BTreeSet<AlertId>) -> Vec<RunId> {
        let views = self.views.read();
        let started = views.runs.of_incident(incident).into_iter().filter(|run| {
            let alert = views.runs.get(*run).and_then(|row| row.alert);
            alert.is_some_and(|alert| alerts.contains(&alert))
        });
        let all: BTreeSet<RunId> = started.flat_map(|run| views.runs.family(run)).collect();
        all.into_iter().collect()
    }

    /// The row of an incident that stands for itself.
    pub(super) fn unmerged(&self, id: IncidentId) -> Result<IncidentRow, ServiceError> {
        let views = self.views.read();
        let row = views.incidents.get(id).ok_or_else(|| ServiceError::absent("incident", &id))?;
        match row.merged_into {
            Some(into) => Err(refused(format!("{id} was merged into {into}; name that one"))),
            None => Ok(row.into_owned()),
        }
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

    /// Appends what `decide` says to both streams. It is asked anew whenever one of
    /// the incidents has moved on since it looked.
    async fn append_both(
        &self,
        from: IncidentId,
        to: IncidentId,
        only_if: &OnlyIf,
        decide: impl Fn() -> Result<(Move, Event), ServiceError>,
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
            // The views are at least as far as what was read.
            self.caught_up().await;
            self.unchanged(only_if).await?;
            let (moved, came) = decide()?;
            let append = |id: IncidentId, event: Event| Append {
                stream: StreamId::Incident(id),
                after: lasts[&id],
                at: self.now(),
                events: vec![event],
            };
            // The new incident first: nothing is ever in one that is not there.
            let appends = vec![append(to, came), append(from, Event::AlertsMoved(Box::new(moved)))];
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

/// What alerts are about.
struct Story {
    title: String,
    severity: u8,
    subject: Option<String>,
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
