//! Retention: what was kept long enough is erased. Looked for at start and every
//! hour; nothing is ever erased that the settings do not name.
//!
//! What is due is decided from the views (`due`); the journal says first what goes
//! and refuses when something has happened since that was not seen.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::domain::erasure::Rule;
use crate::domain::event::Event;
use crate::domain::id::{AlertId, IncidentId, StreamId};
use crate::domain::value::Digest;
use crate::service::error::ServiceError;
use crate::service::house::Service;
use crate::service::retention::due::{Due, Place, Rules, due};
use crate::store::error::StoreError;
use crate::store::journal::Erase;

pub mod due;

/// How often it is looked whether something was kept long enough.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// The most that one look erases. Each is some milliseconds of the one thread
/// that writes, in which nothing else is recorded.
const LOOK_MAX: usize = 200;

/// How long to wait when more is due than one look erases.
const GO_ON: Duration = Duration::from_secs(5);

/// What one look erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Incidents, each with all that belongs to it.
    pub incidents: usize,
    /// Contents of alerts, beside those that went with an incident.
    pub contents: usize,
    /// Records that were replaced by tombstones.
    pub records: u64,
    /// Files of reports.
    pub reports: usize,
    /// Whether more is due.
    pub more: bool,
}

impl Service {
    /// Erases what was kept long enough, for as long as the handle is not aborted.
    pub fn keep_retention(self: &Arc<Self>, rules: Rules) -> JoinHandle<()> {
        let service = Arc::clone(self);
        tokio::spawn(async move {
            while rules != Rules::default() {
                let more = match service.erase_due(rules).await {
                    Ok(looked) => {
                        let Looked { incidents, contents, records, reports, more } = looked;
                        if (Looked { more: false, ..looked }) != Looked::default() {
                            tracing::info!(incidents, contents, records, reports, "erased by retention");
                        }
                        more
                    }
                    Err(error) => {
                        tracing::warn!(%error, "retention could not erase what is due; it is tried again");
                        false
                    }
                };
                tokio::time::sleep(if more { GO_ON } else { LOOK_AGAIN }).await;
            }
        })
    }

    /// Erases what was kept long enough by now, up to a bound. Everything is
    /// durable and shown when it returns.
    ///
    /// # Errors
    /// When the journal does not take it: what is left is due still.
    pub async fn erase_due(&self, rules: Rules) -> Result<Looked, ServiceError> {
        self.caught_up().await;
        let mut looked = Looked::default();
        let (mut place, mut busy) = (Some(Place::START), None);
        while let Some(from) = place {
            // The position first: the views are at least that far.
            let seen = *self.seen.borrow();
            let (found, next) = due(&self.views.read(), self.now(), rules, from, &mut busy);
            for one in found {
                if looked.incidents + looked.contents >= LOOK_MAX {
                    looked.more = true;
                    break;
                }
                self.erase(one, rules, seen, &mut looked).await?;
            }
            place = next.filter(|_| !looked.more);
            // There may be a great many rows, and others have work to do.
            tokio::task::yield_now().await;
        }
        looked.reports = self.erase_reports().await?;
        Ok(looked)
    }

    async fn erase(
        &self,
        one: Due,
        rules: Rules,
        seen: u64,
        looked: &mut Looked,
    ) -> Result<(), ServiceError> {
        let (order, is_incident) = match one {
            Due::Incident { incident, alerts, runs } => {
                let mut contents = Vec::new();
                for alert in &alerts {
                    contents.extend(self.content_of(*alert).await?);
                }
                let streams = alerts.into_iter().map(StreamId::Alert);
                let streams = streams.chain(runs.into_iter().map(StreamId::Run));
                let streams = streams.chain([StreamId::Incident(incident)]).collect();
                let kept = rules.closed_incidents;
                (
                    self.order(
                        StreamId::Incident(incident),
                        (Rule::ClosedIncidents, kept),
                        streams,
                        contents,
                        seen,
                    ),
                    true,
                )
            }
            Due::Content(alert) => {
                let contents: Vec<Digest> = self.content_of(alert).await?.into_iter().collect();
                let rule = (Rule::RawAlerts, rules.raw_alerts);
                (self.order(StreamId::Alert(alert), rule, Vec::new(), contents, seen), false)
            }
        };
        let of = order.of;
        match self.journal.erase(order).await {
            Ok(receipt) => {
                self.shown(Some(&receipt)).await;
                looked.incidents += usize::from(is_incident);
                looked.contents += usize::from(!is_incident);
                for entry in receipt.entries.iter() {
                    if let Event::Erased(erasure) = &entry.event {
                        looked.records += erasure.record_count();
                    }
                }
                Ok(())
            }
            // Something has happened to it meanwhile; it is decided anew at the next look.
            Err(StoreError::Conflict { .. }) => {
                tracing::debug!(%of, "not erased: it has moved on");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn order(
        &self,
        of: StreamId,
        (rule, kept): (Rule, Option<Duration>),
        streams: Vec<StreamId>,
        contents: Vec<Digest>,
        seen: u64,
    ) -> Erase {
        let kept_seconds = kept.unwrap_or_default().as_secs();
        Erase { of, at: self.now(), rule, kept_seconds, streams, contents, seen }
    }

    /// The content of an alert. It holds the alert's own id, so no other names it.
    async fn content_of(&self, alert: AlertId) -> Result<Option<Digest>, ServiceError> {
        let entries = self.journal.read(StreamId::Alert(alert), 0).await?;
        Ok(entries.iter().find_map(|entry| match &entry.event {
            Event::AlertReceived { digest, .. } => Some(*digest),
            _ => None,
        }))
    }

    /// Removes the files of reports about incidents that were erased. The journal
    /// says which those are, so a stop before this is made good at the next look.
    async fn erase_reports(&self) -> Result<usize, ServiceError> {
        let mut removed = 0;
        for file in self.world.records.report_files().await {
            // A report's file begins with its incident's id; one half-written with a dot.
            let id = file.trim_start_matches('.').split('-').next().unwrap_or_default();
            let Ok(incident) = id.parse::<IncidentId>() else { continue };
            if self.views.read().incidents.get(incident).is_some() || !self.is_erased(incident).await? {
                continue;
            }
            match self.world.records.remove_report(file).await {
                Ok(()) => removed += 1,
                Err(error) => {
                    tracing::warn!(%error, "a report of an incident that was erased is there still")
                }
            }
        }
        Ok(removed)
    }

    async fn is_erased(&self, incident: IncidentId) -> Result<bool, ServiceError> {
        let entries = self.journal.read(StreamId::Incident(incident), 0).await?;
        Ok(entries.iter().any(|entry| matches!(entry.event, Event::Erased(_))))
    }
}
