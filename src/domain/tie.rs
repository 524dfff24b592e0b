//! Ties: what one alert has in common with another, as keys that can be looked up.
//!
//! A tie is a hash, so that the journal and the views can find what belongs
//! together without naming anybody.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::domain::alert::{Alert, User};

/// Indicators of one alert that count: a feed's dump of hundreds ties everything
/// to everything.
const INDICATORS_MAX: usize = 20;

/// Names and ids of machines that many have; Wazuh's 000 is whatever has no agent.
const NO_HOSTS: &[&str] =
    &["localhost", "localhost.localdomain", "host", "unknown", "127.0.0.1", "::1", "000", "0"];

/// Login names that many machines have: they say nothing of who it is.
const NO_LOGINS: &[&str] = &[
    "root",
    "admin",
    "administrator",
    "system",
    "user",
    "guest",
    "default",
    "ubuntu",
    "debian",
    "centos",
    "ec2-user",
    "azureuser",
    "vagrant",
    "pi",
    "test",
    "nobody",
    "anonymous",
    "unknown",
    "kiosk",
    "jenkins",
];

/// The SHA-256 and the MD5 of nothing: the empty file is everywhere.
const NO_HASHES: &[&str] =
    &["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "d41d8cd98f00b204e9800998ecf8427e"];

/// The shortest id that tells an account of one company from all others: shorter
/// ones are numbers that every machine gives anew.
const ID_CHARS_LEAST: usize = 6;

/// The hash of something that alerts may have in common: the first 128 bits of a
/// SHA-256, where a clash is out of the question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TieKey(pub [u8; 16]);

impl TieKey {
    /// The key of `parts`; the same parts in another grouping are another key.
    #[must_use]
    pub fn of(kind: TieKind, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update([kind as u8]);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }
}

impl fmt::Display for TieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TieKey {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut key = [0; 16];
        hex::decode_to_slice(text, &mut key)?;
        Ok(Self(key))
    }
}

impl Serialize for TieKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TieKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What two alerts have in common. The numbers are part of stored keys and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieKind {
    /// They are the same finding.
    Finding = 1,
    /// A playbook runs once for both.
    OncePer = 2,
    /// They are about the same person or account.
    Subject = 3,
    /// They happened on the same machine.
    Host = 4,
    /// They name the same hash, address or site.
    Indicator = 5,
}

impl TieKind {
    /// In plain words, without naming anybody.
    pub fn words(self) -> &'static str {
        match self {
            Self::Finding => "the same finding",
            Self::OncePer => "its playbook runs once for both",
            Self::Subject => "the same person or account",
            Self::Host => "the same machine",
            Self::Indicator => "the same indicator",
        }
    }
}

/// One thing that another alert may have in common with this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    /// What sort of thing.
    pub kind: TieKind,
    /// What it is, for people.
    pub what: String,
    /// Where it is looked up.
    pub key: TieKey,
    /// Whether it only makes related: a public address may be that of a whole
    /// office, a site that of everybody's drive.
    pub weak: bool,
}

impl Tie {
    fn new(kind: TieKind, what: &str, parts: &[&str]) -> Self {
        Self { kind, what: what.to_owned(), key: TieKey::of(kind, parts), weak: false }
    }

    /// The tie of all alerts of the same finding.
    #[must_use]
    pub fn finding(alert: &Alert) -> Self {
        Self::new(TieKind::Finding, &alert.fingerprint, &[&alert.fingerprint])
    }

    /// The tie of all alerts whose detector calls them the same finding, whomever they
    /// name: who is named is learnt later at times.
    #[must_use]
    pub fn unnamed(alert: &Alert) -> Self {
        let of_fields = |part: &&str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let fields = alert.fingerprint.split('-').next().filter(of_fields).unwrap_or(&alert.fingerprint);
        Self::new(TieKind::Finding, &alert.fingerprint, &[fields])
    }

    /// The detector's own id of the finding, as it is compared; none when it gives none.
    #[must_use]
    pub fn own_id(alert: &Alert) -> Option<TieKey> {
        let id = alert.source_id.as_deref()?;
        Some(TieKey::of(TieKind::Finding, &["id", &alert.source, id]))
    }

    /// The tie of all alerts for which a playbook runs once.
    #[must_use]
    pub fn once_per(playbook: &str, value: &str) -> Self {
        Self::new(TieKind::OncePer, value, &[playbook, value])
    }
}

/// What makes this alert part of an investigation, the strongest first.
#[must_use]
pub fn ties(alert: &Alert) -> Vec<Tie> {
    let mut ties = subject_ties(&alert.user, &alert.source);
    let host = &alert.host;
    // The port of an exporter is no part of a machine's name.
    let known = |name: &String| !NO_HOSTS.contains(&name.split(':').next().unwrap_or_default());
    if let Some(name) = host.name.as_deref().map(plain).filter(known) {
        ties.push(Tie::new(TieKind::Host, &name, &["name", &name]));
    }
    if let Some(id) = host.id.as_ref().filter(|id| known(id)) {
        let shown = host.name.as_deref().unwrap_or(id);
        ties.push(Tie::new(TieKind::Host, shown, &["id", &alert.source, id]));
    }
    let telling = alert.indicators.iter().filter(|indicator| tells(&indicator.kind, &indicator.value));
    ties.extend(telling.take(INDICATORS_MAX).map(|indicator| {
        let value = plain(&indicator.value);
        let weak = matches!(indicator.kind.as_str(), "ip" | "domain");
        Tie { weak, ..Tie::new(TieKind::Indicator, &value, &[&indicator.kind, &value]) }
    }));
    ties
}

/// Whom an alert is about. A login says who it is only where nothing better does,
/// and only at its own detector; that of a service account (`root`, `SYSTEM`), and
/// the ids that systems give to those, say it nowhere.
fn subject_ties(user: &User, source: &str) -> Vec<Tie> {
    let mut ties = Vec::new();
    let shown = user.email.as_deref().or(user.name.as_deref()).or(user.id.as_deref()).unwrap_or("somebody");
    let mut add = |parts: &[&str]| ties.push(Tie::new(TieKind::Subject, shown, parts));
    if let Some(email) = user.email.as_deref().map(plain) {
        add(&["email", &email]);
    }
    if let Some(number) = &user.employee_id {
        add(&["employee", number]);
    }
    let built_in = |id: &str| id.starts_with("S-1-5-") && !id.starts_with("S-1-5-21-");
    if let Some(id) = user.id.as_ref().filter(|id| id.chars().count() >= ID_CHARS_LEAST && !built_in(id)) {
        add(&["id", source, id]);
    }
    let better = user.email.is_some() || user.employee_id.is_some() || user.id.is_some();
    if let Some(name) = user.name.as_deref().map(plain).filter(|_| !better && !user.service) {
        let login = name.rsplit('\\').next().unwrap_or_default();
        if !NO_LOGINS.contains(&login) {
            add(&["name", source, &name]);
        }
    }
    ties
}

/// Whether two alerts that share this are likely one story: a hash, a site, or an
/// address of the open internet. Mail addresses are people's, and addresses of
/// private networks are everybody's.
fn tells(kind: &str, value: &str) -> bool {
    match kind {
        "sha256" | "md5" => !NO_HASHES.contains(&plain(value).as_str()),
        "domain" | "url" => true,
        "ip" => value.parse::<IpAddr>().is_ok_and(|ip| match ip {
            IpAddr::V4(ip) => {
                !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified())
            }
            IpAddr::V6(ip) => {
                !(ip.is_loopback()
                    || ip.is_unicast_link_local()
                    || ip.is_unique_local()
                    || ip.is_unspecified())
            }
        }),
        _ => false,
    }
}

/// As it is compared: names of people, machines and sites have no case.
fn plain(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Who somebody is, hashed by each thing that tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoKeys {
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<TieKey>,
    /// The HR number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    employee: Option<TieKey>,
    /// The detector's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<TieKey>,
    /// The login: the name without its domain, or what stands before the `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<TieKey>,
}

impl WhoKeys {
    /// What tells who a user is; none of nobody.
    #[must_use]
    pub fn of(user: &User) -> Option<Self> {
        let key = |part: &str, text: &Option<String>| {
            text.as_deref().map(|text| TieKey::of(TieKind::Subject, &["told", part, &plain(text)]))
        };
        let login = user.email.as_deref().and_then(|email| email.split('@').next());
        let login = login.or_else(|| user.name.as_deref().and_then(|name| name.rsplit('\\').next()));
        (!user.is_nobody()).then(|| Self {
            email: key("email", &user.email),
            employee: key("employee", &user.employee_id),
            id: key("id", &user.id),
            login: key("login", &login.map(str::to_owned)),
        })
    }

    /// Whether this is somebody else: by the best that both tell; where both tell
    /// nothing alike they are taken for two, so that neither is passed over.
    #[must_use]
    pub fn is_another(&self, other: &Self) -> bool {
        let pairs = [
            (self.email, other.email),
            (self.employee, other.employee),
            (self.id, other.id),
            (self.login, other.login),
        ];
        pairs.into_iter().find_map(|(one, other)| Some(one? != other?)).unwrap_or(true)
    }
}

/// Whom a finding is about and who did it, as far as alerts of it said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingPeople {
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<WhoKeys>,
    /// The actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<WhoKeys>,
}

impl FindingPeople {
    /// Those of one alert. Who ends a finding is somebody else than who did it.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        let did = WhoKeys::of(&alert.actor).filter(|_| alert.status.is_open());
        Self { subject: WhoKeys::of(&alert.user), actor: did }
    }

    /// Nobody on record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether these are others: another subject or, where one tells of none, another actor.
    #[must_use]
    pub fn are_others(&self, other: &Self) -> bool {
        match (self.subject, other.subject) {
            (Some(one), Some(other)) => one.is_another(&other),
            _ => matches!((self.actor, other.actor), (Some(one), Some(other)) if one.is_another(&other)),
        }
    }

    /// What is known of them with what `newer` says.
    #[must_use]
    pub fn with(self, newer: Self) -> Self {
        Self { subject: self.subject.or(newer.subject), actor: self.actor.or(newer.actor) }
    }
}

/// Whether an alert's subject is not the person that an incident is about.
/// Where either says nothing, nothing contradicts.
#[must_use]
pub fn is_another(subject: Option<&str>, user: &User) -> bool {
    let Some(subject) = subject.map(plain) else { return false };
    let names = [&user.email, &user.name, &user.id, &user.employee_id];
    let mut names = names.into_iter().flatten().peekable();
    names.peek().is_some() && !names.any(|name| plain(name) == subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn alert(with: serde_json::Value) -> Alert {
        let mut alert = json!({
            "id": "alt_01KAZZZZZZZZZZZZZZZZZZZZZZ", "source": "s", "rule": {}, "category": "dlp", "severity": 60,
            "title": "t", "received_at": "2026-11-26T10:00:00Z", "user": {}, "users": [], "host": {}, "hosts": [],
            "objects": [], "dest": {}, "indicators": [], "techniques": [], "fingerprint": "f", "raw": null,
        });
        for (key, value) in with.as_object().expect("a map") {
            alert[key] = value.clone();
        }
        serde_json::from_value(alert).expect("an alert")
    }

    fn shared(one: serde_json::Value, other: serde_json::Value) -> Vec<TieKind> {
        let (one, other) = (ties(&alert(one)), ties(&alert(other)));
        let mut kinds: Vec<TieKind> =
            one.iter().filter(|tie| other.iter().any(|it| it.key == tie.key)).map(|tie| tie.kind).collect();
        kinds.dedup();
        kinds
    }

    #[test]
    fn people_machines_and_indicators_tie_alerts_together_and_common_names_do_not() {
        use TieKind::{Host, Indicator, Subject};
        let user = |user: serde_json::Value| json!({ "user": user });
        let host = |host: serde_json::Value| json!({ "host": host });
        let ip = |ip: &str| json!({ "indicators": [{ "kind": "ip", "value": ip }] });
        for (one, other, kinds) in [
            (
                user(json!({ "email": "Dana@Example.com" })),
                user(json!({ "email": "dana@example.com" })),
                vec![Subject],
            ),
            (
                user(json!({ "email": "dana@example.com" })),
                user(json!({ "name": "dana@example.com" })),
                vec![],
            ),
            (user(json!({ "name": "dana" })), user(json!({ "name": "DANA" })), vec![Subject]),
            (
                user(json!({ "name": "John Smith", "email": "john.smith@example.com" })),
                user(json!({ "name": "John Smith", "email": "john.smith2@example.com" })),
                vec![],
            ),
            (
                user(json!({ "name": "LAP-1\\Administrator" })),
                user(json!({ "name": "LAP-1\\Administrator" })),
                vec![],
            ),
            (user(json!({ "id": "S-1-5-18" })), user(json!({ "id": "S-1-5-18" })), vec![]),
            (
                user(json!({ "id": "1000", "name": "dana" })),
                user(json!({ "id": "1000", "name": "lee" })),
                vec![],
            ),
            (
                user(json!({ "name": "root", "service": true })),
                user(json!({ "name": "root", "service": true })),
                vec![],
            ),
            (
                user(json!({ "id": "00u1svc", "service": true })),
                user(json!({ "id": "00u1svc", "service": true })),
                vec![Subject],
            ),
            (host(json!({ "name": "LAP-1" })), host(json!({ "name": "lap-1" })), vec![Host]),
            (host(json!({ "name": "localhost" })), host(json!({ "name": "localhost" })), vec![]),
            (host(json!({ "name": "localhost:9100" })), host(json!({ "name": "localhost:9100" })), vec![]),
            (ip("203.0.113.7"), ip("203.0.113.7"), vec![Indicator]),
            (ip("10.0.0.7"), ip("10.0.0.7"), vec![]),
            (user(json!({})), user(json!({})), vec![]),
        ] {
            assert_eq!(shared(one.clone(), other.clone()), kinds, "{one} {other}");
        }
    }

    #[test]
    fn a_login_means_somebody_only_at_its_own_detector() {
        let at = |source: &str| ties(&alert(json!({ "source": source, "user": { "name": "dana" } })))[0].key;
        assert_eq!(at("okta"), at("okta"));
        assert_ne!(at("okta"), at("github"));
    }

    #[test]
    fn another_subject_contradicts_and_an_unknown_one_does_not() {
        let dana = User { email: Some("dana@example.com".to_owned()), ..User::default() };
        assert!(is_another(Some("lee@example.com"), &dana));
        assert!(!is_another(Some("DANA@example.com"), &dana));
        assert!(!is_another(None, &dana));
        let number = User { employee_id: Some("4711".to_owned()), ..User::default() };
        assert!(is_another(Some("lee@example.com"), &number));
        assert!(!is_another(Some("lee@example.com"), &User::default()));
    }

    #[test]
    fn keys_read_back_and_parts_do_not_run_together() {
        let key = TieKey::of(TieKind::OncePer, &["ab", "c"]);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_ne!(key, TieKey::of(TieKind::OncePer, &["a", "bc"]));
        assert_ne!(key, TieKey::of(TieKind::Subject, &["ab", "c"]));
    }
}
