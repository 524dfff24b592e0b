//! An alert: one normalised notice from a detector.
//!
//! Field names map onto OCSF Detection Finding (class 2004); the mapping is
//! in `docs/alerts.md`. What the detector did not say is absent, never guessed.

use serde::{Deserialize, Serialize};

use crate::domain::address::address_key;
use crate::domain::id::{AlertId, ContainmentId, ExceptionId, IncidentId, RunId};
use crate::domain::time::Timestamp;
use crate::domain::triage::{Because, News};
use crate::domain::value::{Digest, Value};

/// What sort of detector spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Data loss prevention.
    Dlp,
    /// Sign-ins, accounts, entitlements.
    Identity,
    /// Endpoint detection.
    Endpoint,
    /// User activity monitoring.
    Uam,
    /// Behaviour analytics.
    Ueba,
    /// Cloud control planes and SaaS.
    Cloud,
    /// Mail security.
    Email,
    /// Network detection.
    Network,
    /// A policy check.
    Policy,
    /// None of these, or not said.
    Other,
}

/// Whether the finding still stands, as its detector says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingStatus {
    /// It stands, or nothing is said.
    #[default]
    Open,
    /// The detector, or somebody at it, ended it.
    Closed,
}

impl FindingStatus {
    /// Whether it stands.
    #[must_use]
    pub fn is_open(self) -> bool {
        self == Self::Open
    }
}

/// The detector's rule that fired.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The detector's id of the rule.
    pub id: Option<String>,
    /// The rule's name.
    pub name: Option<String>,
    /// The rule's version.
    pub version: Option<String>,
}

/// A person or account that the alert is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Mail address or user principal name.
    pub email: Option<String>,
    /// The id the detector's directory gives.
    pub id: Option<String>,
    /// Login or display name.
    pub name: Option<String>,
    /// The HR number.
    pub employee_id: Option<String>,
    /// Whether this is no person but an account of a program or a machine.
    #[serde(default)]
    pub service: bool,
}

impl User {
    /// What people know it by: the address, else the name.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        self.email.as_deref().or(self.name.as_deref())
    }

    /// Whether nothing is known that tells who this is.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        [&self.email, &self.id, &self.name, &self.employee_id].into_iter().all(Option::is_none)
    }
}

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The detector's id.
    pub id: Option<String>,
    /// The host name.
    pub name: Option<String>,
    /// Its address.
    pub ip: Option<String>,
}

/// A file, table, message or the like that was touched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The file name.
    pub name: Option<String>,
    /// Where it lies.
    pub path: Option<String>,
    /// The system it came from, as the detector names it.
    pub origin: Option<String>,
    /// SHA-256 of the content, lowercase hex.
    pub sha256: Option<String>,
    /// Its sensitivity label or matched classifier.
    pub label: Option<String>,
    /// Size in bytes.
    pub bytes: Option<i64>,
    /// How many of these.
    pub count: Option<i64>,
}

/// Where data went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dest {
    /// A site or domain.
    pub domain: Option<String>,
    /// An account there.
    pub account: Option<String>,
    /// A device serial.
    pub device: Option<String>,
}

/// An observable that can be looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Indicator {
    /// `ip`, `domain`, `url`, `sha256`, `md5`, `email`.
    pub kind: String,
    /// The observable.
    pub value: String,
}

/// Things of one kind (objects, users, …) that an alert keeps. People read them; the
/// payload keeps all, and [`ListCounts`] how many there are.
pub const LISTED_MAX: usize = 100;

/// How many of each thing the detector named. The lists of an alert keep the first
/// [`LISTED_MAX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListCounts {
    /// Users.
    pub users: usize,
    /// Machines.
    pub hosts: usize,
    /// Things that were touched.
    pub objects: usize,
    /// What can be looked up.
    pub indicators: usize,
    /// ATT&CK or ITM ids.
    pub techniques: usize,
}

impl ListCounts {
    /// Whether a list keeps fewer than the detector named.
    #[must_use]
    pub fn exceed_lists(&self) -> bool {
        [self.users, self.hosts, self.objects, self.indicators, self.techniques]
            .into_iter()
            .any(|count| count > LISTED_MAX)
    }

    /// Each list that was cut, as `2,300 objects, 100 of them kept`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let all = [
            (self.users, "users"),
            (self.hosts, "machines"),
            (self.objects, "objects"),
            (self.indicators, "indicators"),
            (self.techniques, "techniques"),
        ];
        let cut = all.into_iter().filter(|(count, _)| *count > LISTED_MAX);
        cut.map(|(count, what)| format!("{} {what}, {LISTED_MAX} of them kept", grouped(count))).collect()
    }
}

/// A number with commas between its thousands.
#[must_use]
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One normalised alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Our id.
    pub id: AlertId,
    /// The configured source it came in by.
    pub source: String,
    /// The sender's own id.
    pub source_id: Option<String>,
    /// The rule that fired.
    pub rule: Rule,
    /// What sort of detector spoke.
    pub category: Category,
    /// Whether the finding still stands.
    #[serde(default)]
    pub status: FindingStatus,
    /// 0 to 100. An unknown severity is 50, never low.
    pub severity: u8,
    /// The severity in the sender's own words.
    pub vendor_severity: Option<String>,
    /// One line.
    pub title: String,
    /// More, in the detector's words.
    pub description: Option<String>,
    /// When it happened, as the detector says.
    pub event_time: Option<Timestamp>,
    /// When it came in.
    pub received_at: Timestamp,
    /// The subject: whom the alert is about.
    pub user: User,
    /// Who did it, where the detector tells doer and subject apart: the
    /// administrator who suspended the subject, who changed a policy. Never
    /// among `users` unless also a subject.
    #[serde(default)]
    pub actor: User,
    /// All users it names, the subject first.
    pub users: Vec<User>,
    /// The machine it happened on.
    pub host: Host,
    /// All machines it names.
    pub hosts: Vec<Host>,
    /// Where the activity came from.
    pub src_ip: Option<String>,
    /// What was touched.
    pub objects: Vec<Object>,
    /// Where data went.
    pub dest: Dest,
    /// What can be looked up.
    pub indicators: Vec<Indicator>,
    /// ATT&CK or ITM ids the detector gives.
    pub techniques: Vec<String>,
    /// How many of each the detector named: more than the lists keep, perhaps.
    #[serde(default)]
    pub counts: ListCounts,
    /// Whether the source's rules do not know the payload's shape: the title is the best
    /// that there is, and a person should look.
    #[serde(default)]
    pub shape_unknown: bool,
    /// A page about it at the sender's.
    pub url: Option<String>,
    /// What makes two alerts the same finding.
    pub fingerprint: String,
    /// The payload as it came.
    pub raw: Value,
    /// The person who handed it in; absent when its source sent it. What a
    /// payload says here is never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_in_by: Option<String>,
}

impl Alert {
    /// With counts that are never below what is kept: alerts that earlier versions
    /// stored have none.
    #[must_use]
    pub fn counted(mut self) -> Self {
        let counts = &mut self.counts;
        counts.users = counts.users.max(self.users.len());
        counts.hosts = counts.hosts.max(self.hosts.len());
        counts.objects = counts.objects.max(self.objects.len());
        counts.indicators = counts.indicators.max(self.indicators.len());
        counts.techniques = counts.techniques.max(self.techniques.len());
        self
    }

    /// Whether this address may be that of somebody the alert is about, who
    /// did it included. Sensors
    /// give addresses, logins (`dana`, `EXAMPLE\\dana`) or both; a login that is
    /// the same as the part before the `@` is taken for the same person, since
    /// telling a stranger less is better than telling the subject.
    pub fn may_be_about(&self, address: &str) -> bool {
        let address = address_key(address);
        let login = address.split('@').next().unwrap_or_default();
        [&self.user, &self.actor].into_iter().chain(&self.users).any(|user| {
            let names = [&user.email, &user.id, &user.name];
            names.into_iter().flatten().any(|name| {
                let name = address_key(name);
                let bare = name.rsplit('\\').next().unwrap_or_default();
                name == address || (!bare.is_empty() && !bare.contains('@') && bare == login)
            })
        })
    }
}

/// Where an alert is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRef {
    /// Its id.
    pub id: AlertId,
    /// Digest of the stored alert.
    pub digest: Digest,
}

/// What became of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Runs were started.
    RunStarted {
        /// Which.
        runs: Vec<RunId>,
        /// The investigation they belong to.
        incident: IncidentId,
    },
    /// It belongs to an incident that there was already.
    Joined {
        /// Which.
        incident: IncidentId,
        /// What it is to it.
        news: News,
        /// Why it belongs there.
        because: Vec<Because>,
        /// Runs that it started there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        runs: Vec<RunId>,
        /// Whether it opened the incident again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reopens: bool,
    },
    /// Something keeps it from having any effect, for a time.
    Suppressed {
        /// What.
        by: Suppression,
    },
    /// Its detector ended a finding that no incident is about.
    Ended {},
    /// No playbook wanted it.
    NoPlaybook {
        /// Which came closest and why it said no; of older alerts one line for each.
        reasons: Vec<String>,
    },
}

/// What keeps an alert from having any effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// An exception that a person made.
    Exception {
        /// Which.
        exception: ExceptionId,
        /// Whose it is.
        owner: String,
        /// Until when it holds.
        until: Timestamp,
        /// Why there is one.
        why: String,
    },
    /// It tells of what we did ourselves.
    OwnChange {
        /// Which containment or lifting.
        containment: ContainmentId,
        /// Until when alerts about it are ours.
        until: Timestamp,
    },
}

impl Suppression {
    /// In plain words, to stand after "suppressed: ".
    pub fn words(&self) -> String {
        match self {
            Self::Exception { exception, owner, until, why } => {
                format!("{exception} of {owner} holds until {}: {why}", until.to_minute())
            }
            Self::OwnChange { containment, until } => {
                format!("it tells of our own change {containment}; that counts until {}", until.to_minute())
            }
        }
    }
}

impl Fate {
    /// The incident that the alert belongs to.
    pub fn incident(&self) -> Option<IncidentId> {
        match self {
            Self::RunStarted { incident, .. } | Self::Joined { incident, .. } => Some(*incident),
            Self::Suppressed { .. } | Self::Ended {} | Self::NoPlaybook { .. } => None,
        }
    }

    /// The words for it in lists and filters.
    pub const NAMES: [&str; 5] = ["run_started", "joined", "suppressed", "ended", "no_playbook"];

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => Self::NAMES[0],
            Self::Joined { .. } => Self::NAMES[1],
            Self::Suppressed { .. } => Self::NAMES[2],
            Self::Ended {} => Self::NAMES[3],
            Self::NoPlaybook { .. } => Self::NAMES[4],
        }
    }

    /// The runs that it started.
    pub fn runs(&self) -> &[RunId] {
        match self {
            Self::RunStarted { runs, .. } | Self::Joined { runs, .. } => runs,
            Self::Suppressed { .. } | Self::Ended {} | Self::NoPlaybook { .. } => &[],
        }
    }

    /// Why, a line for each reason.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::RunStarted { .. } => Vec::new(),
            Self::Joined { because, .. } => because.iter().map(Because::words).collect(),
            Self::Suppressed { by } => vec![by.words()],
            Self::Ended {} => vec!["its detector ended a finding that no incident is about".to_owned()],
            Self::NoPlaybook { reasons } => reasons.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_was_cut_tells_how_many_there_are() {
        let counts = ListCounts { objects: 2300, users: 100, indicators: 1_234_567, ..ListCounts::default() };
        assert!(counts.exceed_lists());
        let words = ["2,300 objects, 100 of them kept", "1,234,567 indicators, 100 of them kept"];
        assert_eq!(counts.words(), words);
        assert_eq!(ListCounts { users: 100, ..ListCounts::default() }.words(), Vec::<String>::new());
    }

    #[test]
    fn a_bare_login_is_taken_for_the_person_with_that_address() {
        let about = |email: Option<&str>, name: Option<&str>, id: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let user = User { email: own(email), id: own(id), name: own(name), ..User::default() };
            let alert: Alert = serde_json::from_value(serde_json::json!({
                "id": "alt_01KAZZZZZZZZZZZZZZZZZZZZZZ", "source": "s", "rule": {}, "category": "dlp", "severity": 60,
                "title": "t", "received_at": "2026-11-26T10:00:00Z", "user": user, "users": [], "host": {}, "hosts": [],
                "objects": [], "dest": {}, "indicators": [], "techniques": [], "fingerprint": "f", "raw": null,
            }))
            .unwrap();
            alert.may_be_about("Dana.Whitfield@example.com")
        };
        assert!(about(Some("dana.whitfield@example.com"), None, None));
        assert!(about(None, Some("Dana.Whitfield"), None));
        assert!(about(None, None, Some("example.com\\dana.whitfield")));
        assert!(!about(Some("other@example.com"), Some("Dana Whitfield"), Some("4711")));
        assert!(!about(None, None, None));
    }
}
