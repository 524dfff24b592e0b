//! Alerts in. A delivery is checked and normalised whole; then each of its alerts
//! is triaged and stored with all that follows from it.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::json;

use crate::domain::alert::{Alert, Fate};
use crate::domain::id::{AlertId, IncidentId, RunId};
use crate::domain::tie::TieKey;
use crate::domain::urgency::Urgency;
use crate::domain::value::digest;
use crate::intake::normalise::normalise;
use crate::service::error::{ServiceError, Sort};
use crate::service::gate::{Came, Taken, turned_away};
use crate::service::house::{Service, Source};
use crate::service::triage::{Key, Stored, Triaged};

/// What became of one alert of a delivery.
#[derive(Debug, Clone, Serialize)]
pub struct Accepted {
    /// The alert.
    pub id: AlertId,
    /// True when it had come before: nothing was stored again.
    pub duplicate: bool,
    /// Its title.
    pub title: String,
    /// What became of it, in a word; absent while that is not shown yet.
    pub fate: Option<&'static str>,
    /// Runs that it started.
    pub runs: Vec<RunId>,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// Why it joined that, is suppressed, or no playbook wanted it.
    pub reasons: Vec<String>,
    /// Each list that keeps fewer than its detector named, in plain words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

impl Accepted {
    /// What is told of an alert with this fate.
    pub(super) fn new(id: AlertId, duplicate: bool, title: String, fate: Option<&Fate>) -> Self {
        Self {
            id,
            duplicate,
            title,
            fate: fate.map(Fate::name),
            runs: fate.map(|fate| fate.runs().to_vec()).unwrap_or_default(),
            incident: fate.and_then(Fate::incident),
            reasons: fate.map(Fate::reasons).unwrap_or_default(),
            cut: Vec::new(),
        }
    }
}

/// Alerts of one delivery that are stored at the same time.
const STORED_AT_ONCE: usize = 64;

/// What came in for a source.
struct Delivery<'a> {
    /// The sender's id of it, where it is proven.
    id: Option<&'a str>,
    /// The person who handed it in; absent when the source itself did.
    by: Option<&'a str>,
    content_type: Option<&'a str>,
    body: &'a [u8],
}

impl Service {
    /// Takes a delivery of a configured source. Durable when it returns.
    ///
    /// # Errors
    /// When the source is unknown, the delivery is not genuine, too many come, the
    /// payload cannot be read, or too many runs wait already; then nothing of it is
    /// stored.
    pub async fn submit(&self, source: &str, came: &Came<'_>) -> Result<Taken, ServiceError> {
        let known = self.source(source)?;
        let door = known.door.as_ref().ok_or_else(|| no_door(source))?;
        let delivery = known.let_in(door, came, self.now())?;
        if let Some(value) = door.slack_asks(came.body).map_err(turned_away)? {
            return Ok(Taken::Challenge(value));
        }
        let content_type = came.content_type();
        let what = Delivery { id: delivery.id.as_deref(), by: None, content_type, body: came.body };
        let accepted = self.take(source, known, what).await?;
        known.gate.was_stored(&delivery, self.now());
        Ok(Taken::Alerts { accepted, plain_ok: door.wants_plain_ok() })
    }

    /// Takes what a configured source would send from a person who may hand alerts
    /// in: read by the same rules, and nothing vouches for it but that person.
    ///
    /// # Errors
    /// As [`Service::submit`].
    pub async fn ingest(
        &self,
        source: &str,
        by: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<Accepted>, ServiceError> {
        let delivery = Delivery { id: None, by: Some(by), content_type, body };
        self.take(source, self.source(source)?, delivery).await
    }

    /// Takes what a polled source gave when it was asked.
    ///
    /// # Errors
    /// As [`Service::submit`].
    pub(super) async fn take_polled(
        &self,
        source: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<Accepted>, ServiceError> {
        let delivery = Delivery { id: None, by: None, content_type, body };
        self.take(source, self.source(source)?, delivery).await
    }

    pub(super) fn source(&self, name: &str) -> Result<&Source, ServiceError> {
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
        delivery: Delivery<'_>,
    ) -> Result<Vec<Accepted>, ServiceError> {
        let Delivery { id, by, content_type, body } = delivery;
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
        for (index, mut alert) in alerts.into_iter().enumerate() {
            alert.handed_in_by = by.map(str::to_owned);
            let key = delivery_key(source, id, index, &alert);
            triaged.push((self.triage(Stored::of(alert)?), key));
        }
        // A delivery is taken whole, or not at all.
        let room = {
            let views = self.views.read();
            let starts = triaged.iter().map(|(triaged, _)| triaged.may_start(&views));
            let starts: Vec<(usize, Urgency)> = starts.filter(|(most, _)| *most > 0).collect();
            let most_urgent = starts.iter().map(|(_, urgency)| *urgency).min();
            (starts.iter().map(|(most, _)| most).sum(), most_urgent.unwrap_or(Urgency::Informational))
        };
        let _room = self.scheduler.room_for(room.0, room.1)?;
        // Together they share syncs of the disk; what is said of one finding is taken
        // in the order in which it was said.
        let mut findings: BTreeMap<TieKey, Vec<(usize, Triaged, Key)>> = BTreeMap::new();
        for (index, (triaged, key)) in triaged.into_iter().enumerate() {
            findings.entry(triaged.finding()).or_default().push((index, triaged, key));
        }
        let taken = stream::iter(findings.into_values()).map(|said| self.take_in_order(said));
        // What has begun goes on to its end, whatever came of the others.
        let taken: Vec<Result<Vec<(usize, Accepted)>, ServiceError>> =
            taken.buffered(STORED_AT_ONCE).collect().await;
        let taken: Vec<Vec<(usize, Accepted)>> = taken.into_iter().collect::<Result<_, _>>()?;
        let mut taken: Vec<(usize, Accepted)> = taken.into_iter().flatten().collect();
        taken.sort_by_key(|(index, _)| *index);
        Ok(taken.into_iter().map(|(_, accepted)| accepted).collect())
    }

    async fn take_in_order(
        &self,
        said: Vec<(usize, Triaged, Key)>,
    ) -> Result<Vec<(usize, Accepted)>, ServiceError> {
        let mut taken = Vec::with_capacity(said.len());
        for (index, triaged, key) in said {
            taken.push((index, self.take_alert(triaged, key).await?));
        }
        Ok(taken)
    }
}

/// A source that is polled alone: whatever is sent to it is nobody's.
fn no_door(source: &str) -> ServiceError {
    let message =
        format!("the source `{source}` is polled and takes no deliveries; add `auth:` to take both");
    ServiceError::new(Sort::Refused, "source-polled", message)
}

/// What makes two deliveries the same: the sender's delivery id, else the payload
/// itself. The finding's own id is no such thing: what its detector says of it changes.
fn delivery_key(source: &str, delivery: Option<&str>, index: usize, alert: &Alert) -> Key {
    let own = match delivery {
        Some(id) => json!(["delivery", id, index]),
        None => json!(["payload", digest(alert.raw.to_string().as_bytes())]),
    };
    let name = format!("alert/{source}/{}", digest(own.to_string().as_bytes()));
    Key { name, of_payload: delivery.is_none() }
}
