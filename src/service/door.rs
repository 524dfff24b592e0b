//! Alerts in. A delivery is checked and normalised whole; then the alert, what
//! became of it, its incident and the first intents of its runs are appended
//! together: there is no moment at which half of it is stored.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::json;

use crate::domain::alert::{Alert, AlertRef, Fate};
use crate::domain::event::{Event, RunStarted};
use crate::domain::expr::scope::Scope;
use crate::domain::id::{AlertId, IncidentId, RunId, StreamId};
use crate::domain::playbook::Trigger;
use crate::domain::run::Shared;
use crate::domain::urgency::Urgency;
use crate::domain::value::{Digest, Value, digest};
use crate::intake::normalise::normalise;
use crate::intake::signature::Header;
use crate::playbook::library::Prepared;
use crate::scheduler::run::{SchedulerError, Start};
use crate::service::error::{ServiceError, Sort};
use crate::service::house::{Service, Source};
use crate::service::runs::key_used;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch, Receipt};

/// What became of one alert of a delivery.
#[derive(Debug, Clone, Serialize)]
pub struct Accepted {
    /// The alert.
    pub id: AlertId,
    /// True when it had come before: nothing was stored again.
    pub duplicate: bool,
    /// Its title.
    pub title: String,
    /// Runs that it started.
    pub runs: Vec<RunId>,
    /// Its incident, when a run was started.
    pub incident: Option<IncidentId>,
    /// Why no playbook wanted it.
    pub reasons: Vec<String>,
}

/// An alert together with how it is stored.
struct Stored {
    alert: Arc<Alert>,
    digest: Digest,
    bytes: Vec<u8>,
}

/// An alert, and what is to follow from it.
struct Triaged {
    stored: Stored,
    incident: IncidentId,
    starts: Vec<Start>,
    /// The playbooks of these runs, whose plans are stored with them.
    wanted: Vec<Arc<Prepared>>,
    /// Why other playbooks did not want it.
    reasons: Vec<String>,
}

/// Alerts of one delivery that are stored at the same time.
const STORED_AT_ONCE: usize = 64;

impl Service {
    /// Takes a delivery of a configured source. Durable when it returns.
    ///
    /// # Errors
    /// When the source is unknown, the delivery is not genuine, the payload
    /// cannot be read, or too many runs wait already; then nothing of it is stored.
    pub async fn submit(
        &self,
        source: &str,
        headers: &[Header<'_>],
        body: &[u8],
    ) -> Result<Vec<Accepted>, ServiceError> {
        let known = self.source(source)?;
        let delivery = known
            .door
            .verify(headers, body, self.now())
            .map_err(|error| ServiceError::new(Sort::Unknown, error.code(), error.to_string()))?;
        let content_type = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .and_then(|(_, value)| std::str::from_utf8(value).ok());
        self.take(source, known, delivery.id.as_deref(), content_type, body).await
    }

    /// Takes what a configured source would send from a person who may hand alerts
    /// in: read by the same rules, and nothing vouches for it but that person.
    ///
    /// # Errors
    /// As [`Service::submit`].
    pub async fn ingest(
        &self,
        source: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<Accepted>, ServiceError> {
        self.take(source, self.source(source)?, None, content_type, body).await
    }

    fn source(&self, name: &str) -> Result<&Source, ServiceError> {
        self.sources.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.sources.keys().map(String::as_str).collect();
            ServiceError::new(
                Sort::Absent,
                "source-unknown",
                format!(
                    "there is no source `{}` here; configured are: {}",
                    name.escape_debug(),
                    names.join(", ")
                ),
            )
        })
    }

    async fn take(
        &self,
        source: &str,
        known: &Source,
        delivery: Option<&str>,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<Accepted>, ServiceError> {
        let mut new_id = || AlertId::new(self.fresh());
        let alerts =
            normalise(&known.spec, source, body, content_type, self.now(), &mut new_id).map_err(|error| {
                ServiceError::new(
                    if error.code() == "alert-too-large" { Sort::TooLarge } else { Sort::Wrong },
                    error.code(),
                    error.to_string(),
                )
            })?;
        let mut triaged = Vec::with_capacity(alerts.len());
        for (index, alert) in alerts.into_iter().enumerate() {
            let key = delivery_key(source, delivery, index, &alert);
            triaged.push((self.triage(store_form(alert)?), key));
        }
        // A delivery is taken whole, or not at all.
        let starts = || triaged.iter().flat_map(|(triaged, _)| &triaged.starts);
        let most_urgent = starts().map(|start| start.urgency).min().unwrap_or(Urgency::Informational);
        let _room = self.scheduler.room_for(starts().count(), most_urgent)?;
        // Together they share syncs of the disk.
        let taken = stream::iter(triaged).map(|(triaged, key)| self.take_alert(triaged, key));
        taken.buffered(STORED_AT_ONCE).try_collect().await
    }

    /// Stores one alert with what follows from it.
    async fn take_alert(&self, triaged: Triaged, key: String) -> Result<Accepted, ServiceError> {
        let Triaged { stored, incident, starts, wanted, reasons } = triaged;
        let now = self.now();
        let runs: Vec<RunId> = starts.iter().map(|start| start.started.run).collect();
        let alert = &stored.alert;
        let fate = if runs.is_empty() {
            Fate::NoPlaybook { reasons: reasons.clone() }
        } else {
            Fate::RunStarted { runs: runs.clone(), incident }
        };
        let received = Event::AlertReceived {
            source: alert.source.clone(),
            source_id: alert.source_id.clone(),
            title: alert.title.clone(),
            severity: alert.severity,
            digest: stored.digest,
        };
        let events = vec![received, Event::AlertTriaged { fate }];
        let mut batch = Batch {
            appends: vec![Append { stream: StreamId::Alert(alert.id), after: 0, at: now, events }],
            blobs: vec![(stored.digest, stored.bytes.clone())],
            keys: vec![key.clone()],
            ..Batch::default()
        };
        batch.blobs.extend(wanted.iter().flat_map(|prepared| prepared.blobs()));
        let opened = !runs.is_empty();
        if opened {
            batch.appends.push(open_incident(incident, alert, now));
        }
        match self.scheduler.start(starts, batch).await {
            Ok(receipt) => {
                self.shown(Some(&receipt)).await;
                Ok(Accepted {
                    id: alert.id,
                    duplicate: false,
                    title: alert.title.clone(),
                    runs,
                    incident: opened.then_some(incident),
                    reasons,
                })
            }
            Err(SchedulerError::Store(StoreError::Taken { stream, .. })) => {
                Ok(self.seen_before(stream, &alert.title).await)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is on record of an alert that came before. A sender may have changed
    /// it since under the same id; what was stored is what counts. `title` is
    /// told only while the views lag behind.
    async fn seen_before(&self, stream: StreamId, title: &str) -> Accepted {
        let id = match stream {
            StreamId::Alert(id) => id,
            StreamId::Incident(other) => AlertId::new(other.ulid()),
            StreamId::Run(other) => AlertId::new(other.ulid()),
            StreamId::Schedule(other) => AlertId::new(other.ulid()),
        };
        self.caught_up().await;
        let views = self.views.read();
        let row = views.alerts.get(id);
        let (runs, incident, reasons) = match row.as_ref().and_then(|row| row.fate.clone()) {
            Some(Fate::RunStarted { runs, incident }) => (runs, Some(incident), Vec::new()),
            Some(Fate::NoPlaybook { reasons }) => (Vec::new(), None, reasons),
            _ => (Vec::new(), None, Vec::new()),
        };
        let title = row.map_or_else(|| title.to_owned(), |row| row.title.clone());
        Accepted { id, duplicate: true, title, runs, incident, reasons }
    }

    /// Which playbooks want the alert, and why the others do not.
    fn triage(&self, stored: Stored) -> Triaged {
        let incident = IncidentId::derived(stored.alert.id.ulid(), "incident");
        let library = Arc::clone(&self.library.read());
        let shared = Shared::new(serde_json::to_value(&*stored.alert).unwrap_or(Value::Null));
        let scope = Scope::new().with_root("alert", shared.root());
        let (mut starts, mut preparations, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for (name, prepared) in &library.playbooks {
            let mut wanted = false;
            for trigger in &prepared.plan.playbook.triggers {
                let Trigger::Alert(condition) = trigger else { continue };
                match condition.eval_bool(&scope) {
                    Ok(true) => wanted = true,
                    Ok(false) => {
                        let seen: Vec<String> = condition
                            .trace(&scope)
                            .into_iter()
                            .map(|(path, value)| format!("{path} = {}", value.unwrap_or_default()))
                            .collect();
                        reasons.push(format!(
                            "{name}: `{}` did not hold: {}",
                            condition.source(),
                            seen.join(", ")
                        ));
                    }
                    Err(error) => reasons.push(format!("{name}: its trigger could not be decided: {error}")),
                }
            }
            if !wanted {
                continue;
            }
            let run = RunId::derived(stored.alert.id.ulid(), name);
            let started = RunStarted {
                run,
                plan: prepared.plan_digest,
                playbook: name.clone(),
                version: prepared.plan.playbook.version,
                incident,
                alert: Some(AlertRef { id: stored.alert.id, digest: stored.digest }),
                inputs: Value::Null,
                by: "trigger".to_owned(),
                parent: None,
            };
            starts.push(Start {
                urgency: Urgency::of_run(&started.by, Some(&stored.alert)),
                started,
                plan: Arc::clone(&prepared.plan),
                alert: Some(Arc::clone(&stored.alert)),
            });
            preparations.push(Arc::clone(prepared));
        }
        Triaged { stored, incident, starts, wanted: preparations, reasons }
    }

    /// Stores an alert that a person gave by hand, and starts one playbook on it.
    pub(super) async fn start_on_alert(
        &self,
        alert: Alert,
        mut started: RunStarted,
        prepared: &Prepared,
        keys: Vec<String>,
    ) -> Result<Receipt, ServiceError> {
        let stored = store_form(alert)?;
        let now = self.now();
        let alert = &stored.alert;
        started.alert = Some(AlertRef { id: alert.id, digest: stored.digest });
        let received = Event::AlertReceived {
            source: alert.source.clone(),
            source_id: alert.source_id.clone(),
            title: alert.title.clone(),
            severity: alert.severity,
            digest: stored.digest,
        };
        let fate = Fate::RunStarted { runs: vec![started.run], incident: started.incident };
        let events = vec![received, Event::AlertTriaged { fate }];
        let batch = Batch {
            appends: vec![
                Append { stream: StreamId::Alert(alert.id), after: 0, at: now, events },
                open_incident(started.incident, alert, now),
            ],
            blobs: std::iter::once((stored.digest, stored.bytes.clone())).chain(prepared.blobs()).collect(),
            keys,
            ..Batch::default()
        };
        let urgency = Urgency::of_run(&started.by, Some(alert));
        let _room = self.scheduler.room_for(1, urgency)?;
        let start =
            Start { started, plan: Arc::clone(&prepared.plan), alert: Some(Arc::clone(alert)), urgency };
        self.scheduler.start(vec![start], batch).await.map_err(key_used)
    }
}

fn open_incident(incident: IncidentId, alert: &Alert, now: crate::domain::time::Timestamp) -> Append {
    let opened = Event::IncidentOpened {
        title: alert.title.clone(),
        severity: alert.severity,
        alert: Some(alert.id),
        subject: alert.user.email.clone().or_else(|| alert.user.name.clone()),
    };
    Append { stream: StreamId::Incident(incident), after: 0, at: now, events: vec![opened] }
}

fn store_form(alert: Alert) -> Result<Stored, ServiceError> {
    let bytes = serde_json::to_vec(&alert).map_err(|error| {
        ServiceError::new(
            Sort::Own,
            "alert-unstorable",
            format!("the alert could not be written down: {error}"),
        )
    })?;
    Ok(Stored { digest: digest(&bytes), alert: Arc::new(alert), bytes })
}

/// What makes two deliveries the same: the sender's delivery id, else the
/// finding's own id, else the payload itself.
fn delivery_key(source: &str, delivery: Option<&str>, index: usize, alert: &Alert) -> String {
    let own = match (delivery, &alert.source_id) {
        (Some(id), _) => json!(["delivery", id, index]),
        (None, Some(id)) => json!(["finding", id]),
        (None, None) => json!(["payload", digest(alert.raw.to_string().as_bytes())]),
    };
    format!("alert/{source}/{}", digest(own.to_string().as_bytes()))
}
