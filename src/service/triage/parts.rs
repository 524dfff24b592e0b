//! The parts that triage puts together: an alert as it is stored, its key, its runs.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::alert::{Alert, AlertRef, ListCounts};
use crate::domain::event::{Event, RunStarted};
use crate::domain::expr::scope::Scope;
use crate::domain::id::{IncidentId, RunId, StreamId};
use crate::domain::inputs::defaults;
use crate::domain::playbook::AlertTrigger;
use crate::domain::tie::Tie;
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::{Digest, Value, digest};
use crate::playbook::library::Prepared;
use crate::scheduler::run::Start;
use crate::service::error::{ServiceError, Sort};
use crate::store::journal::Append;

/// The longest key of a `once_per`: more is no name of anything.
const ONCE_KEY_CHARS_MAX: usize = 1000;

/// By what it is known that an alert came before.
pub(in crate::service) struct Key {
    /// In the journal.
    pub(in crate::service) name: String,
    /// Whether it is made of the payload alone: nothing proved which delivery it is.
    pub(in crate::service) of_payload: bool,
}

/// An alert together with how it is stored.
pub(in crate::service) struct Stored {
    pub(in crate::service) alert: Arc<Alert>,
    pub(in crate::service) digest: Digest,
    pub(in crate::service) bytes: Vec<u8>,
}

impl Stored {
    pub(in crate::service) fn of(alert: Alert) -> Result<Self, ServiceError> {
        let bytes = serde_json::to_vec(&alert).map_err(|error| {
            ServiceError::new(
                Sort::Own,
                "alert-unstorable",
                format!("the alert could not be written down: {error}"),
            )
        })?;
        Ok(Self { digest: digest(&bytes), alert: Arc::new(alert), bytes })
    }

    pub(super) fn received(&self) -> Event {
        let alert = &self.alert;
        Event::AlertReceived {
            source: alert.source.clone(),
            source_id: alert.source_id.clone(),
            title: alert.title.clone(),
            severity: alert.severity,
            digest: self.digest,
            rule: alert.rule.name.clone().or_else(|| alert.rule.id.clone()),
            subject: alert.user.shown().map(str::to_owned),
            by: alert.handed_in_by.clone(),
            counts: Some(alert.counts).filter(ListCounts::exceed_lists),
            shape_unknown: alert.shape_unknown,
        }
    }
}

/// For what the playbook runs once; none where the key says nothing, so that what
/// nobody can tell apart is not taken for the same.
pub(super) fn once_per(playbook: &str, trigger: &AlertTrigger, scope: &Scope<'_>) -> Option<(Tie, Duration)> {
    let once = trigger.once_per.as_ref()?;
    let value = match once.key.eval(scope).ok()? {
        Value::String(text) => text.trim().to_lowercase(),
        Value::Null => return None,
        other => other.to_string(),
    };
    if value.is_empty() || value.chars().count() > ONCE_KEY_CHARS_MAX {
        return None;
    }
    Some((Tie::once_per(playbook, &value), once.within))
}

pub(super) fn start(prepared: &Prepared, stored: &Stored, incident: IncidentId) -> Start {
    let alert = &stored.alert;
    let name = &prepared.plan.playbook.name;
    let started = RunStarted {
        run: RunId::derived(alert.id.ulid(), name),
        plan: prepared.plan_digest,
        playbook: name.clone(),
        version: prepared.plan.playbook.version,
        incident,
        alert: Some(AlertRef { id: alert.id, digest: stored.digest }),
        inputs: defaults(&prepared.plan.playbook.inputs),
        by: "trigger".to_owned(),
        requesters: Vec::new(),
        parent: None,
        again: None,
    };
    Start {
        urgency: Urgency::of_run(&started.by, Some(alert)),
        started,
        plan: Arc::clone(&prepared.plan),
        alert: Some(Arc::clone(alert)),
        held: None,
    }
}

pub(in crate::service) fn open_incident(incident: IncidentId, alert: &Alert, now: Timestamp) -> Append {
    let opened = Event::IncidentOpened {
        title: alert.title.clone(),
        severity: alert.severity,
        alert: Some(alert.id),
        subject: alert.user.shown().map(str::to_owned),
    };
    Append { stream: StreamId::Incident(incident), after: 0, at: now, events: vec![opened] }
}
