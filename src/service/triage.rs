//! Triage: what becomes of one alert. It is decided by `domain::triage` from what
//! the views know; then the alert, its fate, a new incident and the first intents of
//! runs are appended together: there is no moment at which half of it is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::address::address_key;
use crate::domain::alert::{Alert, AlertRef, Fate, Suppression};
use crate::domain::event::{Event, RunStarted};
use crate::domain::exception::SEVERITY_MOST;
use crate::domain::expr::scope::Scope;
use crate::domain::id::{AlertId, IncidentId, RunId, StreamId};
use crate::domain::incident::Status;
use crate::domain::run::Shared;
use crate::domain::tie::{FindingPeople, Tie, TieKey, TieKind};
use crate::domain::time::Timestamp;
use crate::domain::triage::bonds::Bonds;
use crate::domain::triage::{
    Known, News, Place, Placement, Rules, Sighting, Standing, Tied, Wanted, place, ran_after,
};
use crate::domain::urgency::Urgency;
use crate::domain::value::Value;
use crate::playbook::library::Prepared;
use crate::projection::views::Views;
use crate::scheduler::run::{SchedulerError, Start};
use crate::service::claims::Claim;
use crate::service::door::Accepted;
use crate::service::error::ServiceError;
use crate::service::house::Service;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch, Receipt};

pub(super) use self::parts::{Key, Stored};
use self::parts::{once_per, open_incident, start};

pub(super) mod parts;

/// How long after we changed something alerts about it are our own: detectors
/// report some minutes late.
const OWN_CHANGE: Duration = Duration::from_secs(3600);

/// Triggers that could not be decided and are told of one alert; the others are as
/// wrong.
const UNDECIDED_TOLD_MAX: usize = 5;

/// Why no playbook wants an alert where none ever would.
const NO_TRIGGER: &str = "no playbook here starts on alerts";

/// How alerts are triaged here.
#[derive(Debug, Clone, Default)]
pub struct TriageRules {
    /// How they find their incident.
    pub rules: Rules,
    /// The accounts by which we change things in other systems, in lower case.
    pub own_accounts: Vec<String>,
    /// Who answers for a rule of a detector, by `source/rule` or `source`, in lower case.
    pub detection_owners: BTreeMap<String, String>,
}

impl TriageRules {
    /// Who answers for a rule; its own owner before that of the whole source.
    pub fn owner_of(&self, source: &str, rule: &str) -> Option<&str> {
        let of_rule = format!("{source}/{}", rule.trim()).to_lowercase();
        let owner = self.detection_owners.get(&of_rule);
        owner.or_else(|| self.detection_owners.get(&source.to_lowercase())).map(String::as_str)
    }
}

/// An alert, and the playbooks that want it.
pub(super) struct Triaged {
    stored: Stored,
    suppressed: Option<Suppression>,
    wanted: Vec<Wanted>,
    /// Of these playbooks, in the same order.
    prepared: Vec<Arc<Prepared>>,
    /// Why none wants it.
    reasons: Vec<String>,
}

impl Triaged {
    /// The finding that it is about, whomever it names.
    pub(super) fn finding(&self) -> TieKey {
        Tie::unnamed(&self.stored.alert).key
    }

    /// How many runs it may start at the most, and how urgent they would be. What
    /// is known already most likely starts none.
    pub(super) fn may_start(&self, views: &Views) -> (usize, Urgency) {
        let alert = &self.stored.alert;
        let known = views.ties.get(Tie::finding(alert).key, alert.received_at).is_some();
        let most = if known || self.suppressed.is_some() { 0 } else { self.wanted.len() };
        (most, Urgency::of_run("trigger", Some(alert)))
    }
}

/// What the views know of earlier alerts.
struct Desk<'a> {
    views: &'a Views,
    now: Timestamp,
}

impl Known for Desk<'_> {
    fn tied(&self, key: TieKey) -> Option<Tied> {
        let tied = self.views.ties.get(key, self.now)?;
        Some(Tied { incident: self.views.incidents.current(tied.incident), ..tied })
    }

    fn standing(&self, incident: IncidentId) -> Option<Standing> {
        let row = self.views.incidents.get(incident)?;
        Some(Standing { closed: row.status == Status::Closed, subject: row.subject.clone() })
    }
}

/// The key that stands for an incident while a run is started in it.
fn incident_key(incident: IncidentId) -> TieKey {
    TieKey::of(TieKind::OncePer, &["incident", &incident.to_string()])
}

impl Service {
    /// Which playbooks want the alert, and why the others do not.
    pub(super) fn triage(&self, stored: Stored) -> Triaged {
        let library = Arc::clone(&self.library.read());
        let shared = Shared::new(serde_json::to_value(&*stored.alert).unwrap_or(Value::Null));
        let scope = Scope::new().with_root("alert", shared.root());
        let suppressed = self.suppressed(&stored.alert, &scope);
        let (mut wanted, mut prepared, mut reasons) = (Vec::<Wanted>::new(), Vec::new(), Vec::new());
        let mut untold: usize = 0;
        for (of, trigger, outcome) in library.wanting.decide(shared.value(), &scope) {
            let name = &of.plan.playbook.name;
            match outcome {
                // A playbook may want it for several reasons; the first counts.
                Ok(()) if wanted.iter().any(|wanted| wanted.playbook == *name) => {}
                Ok(()) => {
                    let once_per = once_per(name, trigger, &scope);
                    let needs_subject = of.needs_subject;
                    wanted.push(Wanted { playbook: name.clone(), once_per, needs_subject });
                    prepared.push(Arc::clone(of));
                }
                Err(error) if reasons.len() < UNDECIDED_TOLD_MAX => {
                    reasons.push(format!("{name}: its trigger could not be decided: {error}"));
                }
                Err(_) => untold += 1,
            }
        }
        if untold > 0 {
            reasons.push(format!("{untold} more triggers could not be decided"));
        }
        if wanted.is_empty() {
            let miss = library.wanting.closest_miss(shared.value(), &scope);
            reasons.insert(0, miss.map_or_else(|| NO_TRIGGER.to_owned(), |miss| miss.to_string()));
        }
        Triaged { stored, suppressed, wanted, prepared, reasons }
    }

    /// What keeps an alert from having any effect.
    fn suppressed(&self, alert: &Alert, scope: &Scope<'_>) -> Option<Suppression> {
        let (views, now) = (self.views.read(), self.now());
        if let Some(own) = self.own_change(&views, alert, now) {
            return Some(own);
        }
        let (exception, found) =
            views.exceptions.holding(now).find(|(_, exception)| exception.covers(alert, scope, now))?;
        Some(Suppression::Exception {
            exception,
            owner: found.owner.clone(),
            until: found.until,
            why: found.why.clone(),
        })
    }

    /// Whether the alert tells of what we did: one of our own accounts did it, to
    /// somebody whom we contained or freed within the hour. What such an account
    /// does beyond that is an alert as any other.
    fn own_change(&self, views: &Views, alert: &Alert, now: Timestamp) -> Option<Suppression> {
        let names = |user: &crate::domain::alert::User| {
            let names = [&user.email, &user.id, &user.name].map(|name| name.clone());
            names.into_iter().flatten().map(|name| address_key(&name)).collect::<Vec<_>>()
        };
        let ours = |name: &String| self.triage_rules.own_accounts.contains(name);
        if alert.severity > SEVERITY_MOST || !names(&alert.actor).iter().any(ours) {
            return None;
        }
        let (containment, at) = views.containments.touched(&names(&alert.user), now.before(OWN_CHANGE))?;
        Some(Suppression::OwnChange { containment, until: at.after(OWN_CHANGE) })
    }

    /// Where the alert belongs, and what others must wait for. What is suppressed
    /// starts nothing, and opens nothing.
    async fn placed(&self, triaged: &Triaged) -> (Placement, Option<Claim<'_>>) {
        let alert = &triaged.stored.alert;
        let rules = &self.triage_rules.rules;
        let bonds = Bonds::of(alert, rules);
        let wanted: &[Wanted] = if triaged.suppressed.is_some() { &[] } else { &triaged.wanted };
        let keys = bonds.keys(wanted);
        let decide = || {
            let views = self.views.read();
            let desk = Desk { views: &views, now: alert.received_at };
            let placement = place(alert, &bonds, wanted, &desk, rules);
            // Who changes nothing that others are decided by keeps nobody waiting.
            let mut holds = Vec::new();
            if placement.place == Place::Opens || !placement.starts.is_empty() {
                holds.clone_from(&keys);
            } else if placement.moves.finding {
                holds.extend(bonds.of_finding());
            }
            if let Place::Joins { incident, .. } = &placement.place
                && (!placement.starts.is_empty() || placement.moves.subject)
            {
                holds.push(incident_key(*incident));
            }
            (placement, holds)
        };
        self.claims.decide(&keys, decide).await
    }

    /// Stores one alert with what follows from it. Durable and shown when it returns.
    /// What came before under the same key is told as that, unless the key is of the
    /// payload alone and the same payload says something new by now.
    pub(super) async fn take_alert(&self, triaged: Triaged, key: Key) -> Result<Accepted, ServiceError> {
        let alert = &triaged.stored.alert;
        let before = match self.place_alert(&triaged, key.name.clone()).await? {
            Ok(accepted) => return Ok(accepted),
            Err(before) => before,
        };
        let news = if key.of_payload { self.news_of(before, alert).await } else { None };
        let before = match news {
            None => before,
            Some(news) => match self.place_alert(&triaged, format!("{}/{news}", key.name)).await? {
                Ok(accepted) => return Ok(accepted),
                Err(before) => before,
            },
        };
        Ok(self.seen_before(before, &alert.title).await)
    }

    /// What makes a payload that came before say something new: its finding stands
    /// otherwise since another alert, or, of one that has neither an id nor a time, it
    /// came long ago and may be of any day.
    async fn news_of(&self, before: StreamId, alert: &Alert) -> Option<String> {
        let StreamId::Alert(id) = before else { return None };
        self.caught_up().await;
        let views = self.views.read();
        let window = self.triage_rules.rules.same_finding;
        let period = || {
            let length = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
            format!("period-{}", alert.received_at.millis() / length)
        };
        let undated = alert.source_id.is_none() && alert.event_time.is_none();
        let Some(row) = views.alerts.get(id) else { return undated.then(period) };
        if undated && row.received_at < alert.received_at.before(window) {
            return Some(period());
        }
        let tied = views.ties.get(Tie::finding(alert).key, alert.received_at)?;
        let otherwise = tied.alert != id && tied.at >= row.received_at && tied.status != alert.status;
        otherwise.then(|| tied.alert.to_string())
    }

    /// Places one alert and stores it; the stream of the one that came before under
    /// this key, when there is one.
    async fn place_alert(
        &self,
        triaged: &Triaged,
        key: String,
    ) -> Result<Result<Accepted, StreamId>, ServiceError> {
        let stored = &triaged.stored;
        let alert = Arc::clone(&stored.alert);
        let (placement, claim) = self.placed(triaged).await;
        // Of a finding that people work on the record is kept, exception or not.
        let known = matches!(&placement.place, Place::Joins { news, .. } if *news != News::Another);
        if let (Some(by), false) = (&triaged.suppressed, known) {
            drop(claim);
            let fate = Fate::Suppressed { by: by.clone() };
            return self.append_alert(triaged, fate, None, Placement::nowhere(), key).await;
        }
        let fresh = IncidentId::derived(alert.id.ulid(), "incident");
        let runs: Vec<RunId> = placement
            .starts
            .iter()
            .map(|at| RunId::derived(alert.id.ulid(), &triaged.wanted[*at].playbook))
            .collect();
        let fate = match &placement.place {
            Place::Opens => Fate::RunStarted { runs, incident: fresh },
            Place::Joins { incident, news, because, reopens } => Fate::Joined {
                incident: *incident,
                news: *news,
                because: because.clone(),
                runs,
                reopens: *reopens,
            },
            Place::None if !alert.status.is_open() => Fate::Ended {},
            Place::None => Fate::NoPlaybook { reasons: triaged.reasons.clone() },
        };
        let seen = fate.incident().map(|_| {
            Box::new(Sighting {
                ties: placement.ties.clone(),
                status: alert.status,
                id: Tie::own_id(&alert),
                severity: alert.severity,
                worst: placement.worst,
                ran: placement.ran.clone(),
                subject: alert.user.shown().map(str::to_owned),
                people: placement.people,
                finding: placement.finding.clone(),
            })
        });
        let taken = self.append_alert(triaged, fate, seen, placement, key).await;
        drop(claim);
        taken
    }

    async fn append_alert(
        &self,
        triaged: &Triaged,
        fate: Fate,
        seen: Option<Box<Sighting>>,
        placement: Placement,
        key: String,
    ) -> Result<Result<Accepted, StreamId>, ServiceError> {
        let stored = &triaged.stored;
        let (alert, now) = (&stored.alert, self.now());
        let starts: Vec<Start> = placement
            .starts
            .iter()
            .filter_map(|at| {
                let incident = fate.incident()?;
                Some(start(&triaged.prepared[*at], stored, incident))
            })
            .collect();
        let triage = Event::AlertTriaged { fate: fate.clone(), seen, related: placement.related };
        let events = vec![stored.received(), triage];
        let mut batch = Batch {
            appends: vec![Append { stream: StreamId::Alert(alert.id), after: 0, at: now, events }],
            blobs: vec![(stored.digest, stored.bytes.clone())],
            keys: vec![key],
            ..Batch::default()
        };
        batch.blobs.extend(placement.starts.iter().flat_map(|at| triaged.prepared[*at].blobs()));
        if placement.place == Place::Opens
            && let Some(incident) = fate.incident()
        {
            batch.appends.push(open_incident(incident, alert, now));
        }
        match self.scheduler.start(starts, batch).await {
            Ok(receipt) => {
                self.shown(Some(&receipt)).await;
                let accepted = Accepted::new(alert.id, false, alert.title.clone(), Some(&fate));
                Ok(Ok(Accepted { cut: alert.counts.words(), ..accepted }))
            }
            Err(SchedulerError::Store(StoreError::Taken { stream, .. })) => Ok(Err(stream)),
            Err(error) => Err(error.into()),
        }
    }

    /// What is on record of an alert that came before. What was stored is what
    /// counts. `title` is told only while the views lag behind.
    async fn seen_before(&self, stream: StreamId, title: &str) -> Accepted {
        let id = match stream {
            StreamId::Alert(id) => id,
            StreamId::Incident(other) => AlertId::new(other.ulid()),
            StreamId::Run(other) => AlertId::new(other.ulid()),
            StreamId::Schedule(other) => AlertId::new(other.ulid()),
            StreamId::Exception(other) => AlertId::new(other.ulid()),
            StreamId::Poll(other) => AlertId::new(other.ulid()),
            StreamId::Restore(other) => AlertId::new(other.ulid()),
        };
        self.caught_up().await;
        let views = self.views.read();
        let row = views.alerts.get(id);
        let title = row.as_ref().map_or_else(|| title.to_owned(), |row| row.title.clone());
        let mut accepted = Accepted::new(id, true, title, row.as_ref().and_then(|row| row.fate.as_ref()));
        // Where it is now, should people have moved it.
        accepted.incident = row.as_ref().and_then(|row| row.incident).or(accepted.incident);
        accepted.cut = row.map(|row| row.cut.clone()).unwrap_or_default();
        accepted
    }

    /// Stores an alert that a person gave by hand, and starts one playbook on it.
    pub(super) async fn start_on_alert(
        &self,
        mut alert: Alert,
        mut started: RunStarted,
        prepared: &Prepared,
        keys: Vec<String>,
    ) -> Result<Receipt, ServiceError> {
        // Who handed it in first counts on when others run it again.
        alert.handed_in_by.get_or_insert_with(|| started.by.clone());
        let stored = Stored::of(alert)?;
        let now = self.now();
        let alert = &stored.alert;
        started.alert = Some(AlertRef { id: alert.id, digest: stored.digest });
        let fate = Fate::RunStarted { runs: vec![started.run], incident: started.incident };
        let bonds = Bonds::of(alert, &self.triage_rules.rules);
        let seen = Sighting {
            ties: bonds.keys(&[]),
            status: alert.status,
            id: Tie::own_id(alert),
            severity: alert.severity,
            worst: alert.severity,
            ran: ran_after(&[], [started.playbook.as_str()]),
            subject: alert.user.shown().map(str::to_owned),
            people: FindingPeople::of(alert),
            finding: bonds.of_finding(),
        };
        let triage = Event::AlertTriaged { fate, seen: Some(Box::new(seen)), related: Vec::new() };
        let events = vec![stored.received(), triage];
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
        let start = Start {
            started,
            plan: Arc::clone(&prepared.plan),
            alert: Some(Arc::clone(alert)),
            urgency,
            held: None,
        };
        self.scheduler.start(vec![start], batch).await.map_err(crate::service::runs::key_used)
    }
}
