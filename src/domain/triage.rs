//! Where an alert belongs: into an incident that there is, into a new one, or into
//! none; and which playbooks start on it.
//!
//! ```text
//! the same finding?            ── joins its incident; only playbooks that never ran there start,
//!                                 or all, when it had ended and is back
//! a playbook's once_per?       ── that playbook does not start again; joins its incident
//! same subject, host, indicator, in an open incident, and nobody else's?
//!                              ── joins it, and what wants it starts there
//! none of these, and wanted    ── opens an incident
//! ```
//!
//! An incident about somebody else is never joined by machine or indicator: whom
//! an incident is about decides who is contained. Such a tie is told as related.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, FindingStatus};
use crate::domain::id::{AlertId, IncidentId};
use crate::domain::tie::{FindingPeople, Tie, TieKey, TieKind, is_another};
use crate::domain::time::Timestamp;
use crate::domain::triage::bonds::Bonds;

/// The shortest time for which a finding is known again: senders retry for days.
pub const SAME_FINDING_LEAST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest time over which anything is known again; the views keep ties that long.
pub const REMEMBERED_MOST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Incidents told as related to one alert; more say nothing more.
const RELATED_MAX: usize = 5;

/// How alerts find their incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long after its last alert a finding is still the same one.
    pub same_finding: Duration,
    /// How long after the last alert another one may join by what they share.
    pub correlate_within: Duration,
    /// What counts for that, beside being the same finding.
    pub correlate_by: Vec<TieKind>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            same_finding: Duration::from_secs(14 * 24 * 3600),
            correlate_within: Duration::from_secs(24 * 3600),
            correlate_by: vec![TieKind::Subject, TieKind::Host, TieKind::Indicator],
        }
    }
}

/// A playbook that wants an alert.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub playbook: String,
    /// For what it runs once, and within which time; none = for each finding.
    pub once_per: Option<(Tie, Duration)>,
    /// Whether it asks for whom the alert is about: on a finding that named nobody
    /// before, it starts anew once somebody is named.
    pub needs_subject: bool,
}

/// Where something was seen before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tied {
    /// In which incident.
    pub incident: IncidentId,
    /// By which alert, the last one.
    pub alert: AlertId,
    /// When that came in.
    pub at: Timestamp,
    /// Whether the detector had ended the finding by then.
    pub status: FindingStatus,
    /// The detector's own id of that finding, hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TieKey>,
    /// How severe that finding was at its worst, 0 to 100.
    #[serde(default)]
    pub worst: u8,
    /// The playbooks that were started on that finding, hashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ran: Vec<TieKey>,
    /// Whom that finding is about.
    #[serde(default, skip_serializing_if = "FindingPeople::is_empty")]
    pub people: FindingPeople,
    /// Where that finding is looked up, when alerts of it do not all name the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finding: Vec<TieKey>,
}

/// What the views keep of an alert, so that later ones find its incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Under which keys.
    pub ties: Vec<TieKey>,
    /// Whether the detector had ended the finding.
    #[serde(default)]
    pub status: FindingStatus,
    /// The detector's own id of the finding, hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TieKey>,
    /// The alert's severity, 0 to 100.
    pub severity: u8,
    /// How severe its finding was at its worst so far, 0 to 100.
    #[serde(default)]
    pub worst: u8,
    /// The playbooks that were started on its finding so far, hashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ran: Vec<TieKey>,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whom its finding is about, as far as all its alerts said.
    #[serde(default, skip_serializing_if = "FindingPeople::is_empty")]
    pub people: FindingPeople,
    /// Where its finding is looked up, when alerts of it do not all name the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finding: Vec<TieKey>,
}

/// How an incident stands, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether people are done with it.
    pub closed: bool,
    /// Whom it is about.
    pub subject: Option<String>,
}

/// What is known of earlier alerts.
pub trait Known {
    /// Where this was seen last.
    fn tied(&self, key: TieKey) -> Option<Tied>;
    /// How an incident stands; none when it is there no more.
    fn standing(&self, incident: IncidentId) -> Option<Standing>;
}

/// Why an alert belongs to an incident, or is related to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// What both have.
    pub tie: TieKind,
    /// What that is: an address, a machine, a hash; the playbook's key.
    pub what: String,
    /// The last alert that had it.
    pub alert: AlertId,
}

impl Because {
    /// In plain words, to stand after "joined the incident: ".
    pub fn words(&self) -> String {
        let Self { what, alert, .. } = self;
        match self.tie {
            TieKind::Finding => format!("it is the same finding as {alert}"),
            TieKind::OncePer => format!("its playbook runs once for `{what}`, and did for {alert}"),
            TieKind::Subject => format!("it is about {what}, as {alert}"),
            TieKind::Host => format!("it happened on {what}, as {alert}"),
            TieKind::Indicator => format!("it names {what}, as {alert}"),
        }
    }
}

/// An incident that shares something with an alert and was not joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// Which.
    pub incident: IncidentId,
    /// What they share.
    pub because: Because,
}

/// What an alert is to the incident that it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The same finding once more.
    Again,
    /// The detector ended the finding.
    Ended,
    /// The finding that its detector had ended is back.
    Back,
    /// Another finding.
    Another,
}

impl News {
    /// In plain words, to stand after the alert's id.
    pub fn words(self) -> &'static str {
        match self {
            Self::Again => "says more of a finding of this incident",
            Self::Ended => "says that a finding of this incident has ended",
            Self::Back => "says that a finding of this incident is back",
            Self::Another => "joined the incident",
        }
    }
}

/// Where an alert belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: nothing wants it, and it belongs to nothing.
    None,
    /// Into a new incident.
    Opens,
    /// Into one that there is.
    Joins {
        /// Which.
        incident: IncidentId,
        /// What it is to it.
        news: News,
        /// Why; never empty.
        because: Vec<Because>,
        /// Whether a closed incident is open again: the finding is worse than all
        /// that was known when it was closed.
        reopens: bool,
    },
}

/// What follows from an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Where it belongs.
    pub place: Place,
    /// The playbooks that start, by their place in what was wanted.
    pub starts: Vec<usize>,
    /// Incidents that it does not belong to and that share something with it.
    pub related: Vec<Related>,
    /// Under which keys later alerts find its incident.
    pub ties: Vec<TieKey>,
    /// The playbooks that were started on its finding, this time and before.
    pub ran: Vec<TieKey>,
    /// How severe its finding was at its worst.
    pub worst: u8,
    /// Whom its finding is about, as far as all its alerts said.
    pub people: FindingPeople,
    /// Where its finding is looked up, when alerts of it do not all name the same.
    pub finding: Vec<TieKey>,
    /// What is decided anew for others by this.
    pub moves: Moves,
}

/// What an alert changes of what others are decided by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moves {
    /// How its finding stands: it is new here, it ended, is back, or got worse.
    pub finding: bool,
    /// Whom the incident that it joins is about: that was not known before.
    pub subject: bool,
}

impl Placement {
    /// That of an alert which has no effect.
    #[must_use]
    pub fn nowhere() -> Self {
        Self {
            place: Place::None,
            starts: Vec::new(),
            related: Vec::new(),
            ties: Vec::new(),
            ran: Vec::new(),
            worst: 0,
            people: FindingPeople::default(),
            finding: Vec::new(),
            moves: Moves::default(),
        }
    }
}

/// Decides where an alert belongs and what starts on it.
#[must_use]
pub fn place(
    alert: &Alert,
    bonds: &Bonds,
    wanted: &[Wanted],
    known: &impl Known,
    rules: &Rules,
) -> Placement {
    let look = Look { alert, known, now: alert.received_at };
    let ended = alert.status == FindingStatus::Closed;
    let mut related = Vec::new();
    if let Some((tied, standing)) = look.finding(bonds, rules.same_finding) {
        let back = tied.status == FindingStatus::Closed && !ended;
        // What a fingerprint of other fields calls the same may well be new.
        let by_id = tied.id.is_some() && tied.id == Tie::own_id(alert);
        // A closed incident takes what its detector still says of the finding. What
        // happens anew after it was closed is a new incident.
        if !standing.closed || ended || (by_id && !back) {
            return look.of_finding(bonds, wanted, &tied, &standing);
        }
        related.push(Related { incident: tied.incident, because: Because::of(&bonds.finding, &tied) });
    }
    if let Some((tied, _)) = look.seen(&bonds.unnamed, rules.same_finding)
        && tied.people.are_others(&FindingPeople::of(alert))
    {
        related.push(Related { incident: tied.incident, because: Because::of(&bonds.unnamed, &tied) });
    }
    if ended {
        return Placement { related, ..Placement::nowhere() };
    }
    look.of_another(bonds, wanted, rules, related)
}

impl Because {
    fn of(tie: &Tie, tied: &Tied) -> Self {
        Self { tie: tie.kind, what: tie.what.clone(), alert: tied.alert }
    }
}

/// The key by which it is known that a playbook was started.
fn ran_key(playbook: &str) -> TieKey {
    TieKey::of(TieKind::OncePer, &["playbook", playbook])
}

/// What is known by now to have been started on a finding.
pub fn ran_after<'a>(before: &[TieKey], started: impl IntoIterator<Item = &'a str>) -> Vec<TieKey> {
    let mut ran = before.to_vec();
    for key in started.into_iter().map(ran_key) {
        if !ran.contains(&key) {
            ran.push(key);
        }
    }
    ran
}

struct Look<'a, K> {
    alert: &'a Alert,
    known: &'a K,
    now: Timestamp,
}

impl<K: Known> Look<'_, K> {
    /// An alert of a finding that is known.
    fn of_finding(&self, bonds: &Bonds, wanted: &[Wanted], tied: &Tied, standing: &Standing) -> Placement {
        let alert = self.alert;
        let news = match (alert.status, tied.status) {
            (FindingStatus::Closed, _) => News::Ended,
            (FindingStatus::Open, FindingStatus::Closed) => News::Back,
            (FindingStatus::Open, FindingStatus::Open) => News::Again,
        };
        let worse = alert.severity > tied.worst;
        let reopens = standing.closed && news != News::Ended && worse;
        let rests = standing.closed && !reopens;
        let people = tied.people.with(FindingPeople::of(alert));
        let learnt = tied.people.subject.is_none() && people.subject.is_some();
        let starts = match news {
            News::Ended => Vec::new(),
            _ if rests => Vec::new(),
            // It happened once more.
            News::Back => self.starts(wanted, &[], None, false).0,
            _ => self.starts(wanted, &tied.ran, Some(tied.incident), learnt).0,
        };
        // What else it has in common with others leads into an incident that is open.
        let mut ties = if rests { bonds.of_finding() } else { self.keys(bonds, wanted, &starts) };
        // Under every name that the finding had, it stands from here on as it does now.
        let finding = bonds.of_finding_after(&tied.finding);
        ties.extend(finding.iter().skip(bonds.of_finding().len()));
        let because = vec![Because::of(&bonds.finding, tied)];
        Placement {
            ran: ran_after(&tied.ran, starts.iter().map(|at| wanted[*at].playbook.as_str())),
            worst: tied.worst.max(alert.severity),
            people,
            finding,
            moves: Moves { finding: news != News::Again || worse, subject: self.names_subject(standing) },
            place: Place::Joins { incident: tied.incident, news, because, reopens },
            starts,
            related: Vec::new(),
            ties,
        }
    }

    /// An alert of a finding that is not known, or that happened anew.
    fn of_another(
        &self,
        bonds: &Bonds,
        wanted: &[Wanted],
        rules: &Rules,
        mut related: Vec<Related>,
    ) -> Placement {
        let (starts, held) = self.starts(wanted, &[], None, false);
        let (mut joined, mut because) = (None, Vec::new());
        if let Some((once, tied, standing)) = held.into_iter().next() {
            because.push(Because::of(once, &tied));
            joined = Some((tied.incident, standing));
        }
        for tie in &bonds.shared {
            let Some((tied, standing)) = self.seen(tie, rules.correlate_within) else { continue };
            let reason = Because::of(tie, &tied);
            // By its own ties a person is known; by others nobody else's incident is joined.
            let stranger = tie.kind != TieKind::Subject && self.is_stranger(&standing);
            let fits = !standing.closed && !stranger && !tie.weak;
            match &joined {
                Some((incident, _)) if *incident == tied.incident => because.push(reason),
                None if fits => {
                    because.push(reason);
                    joined = Some((tied.incident, standing));
                }
                _ if related.iter().any(|it| it.incident == tied.incident) => {}
                _ => related.push(Related { incident: tied.incident, because: reason }),
            }
        }
        related.retain(|it| joined.as_ref().is_none_or(|(incident, _)| it.incident != *incident));
        related.truncate(RELATED_MAX);
        let subject = joined.as_ref().is_some_and(|(_, standing)| self.names_subject(standing));
        let place = match joined {
            Some((incident, _)) => Place::Joins { incident, news: News::Another, because, reopens: false },
            None if starts.is_empty() => return Placement { related, ..Placement::nowhere() },
            None => Place::Opens,
        };
        Placement {
            ties: self.keys(bonds, wanted, &starts),
            ran: ran_after(&[], starts.iter().map(|at| wanted[*at].playbook.as_str())),
            worst: self.alert.severity,
            people: FindingPeople::of(self.alert),
            finding: bonds.of_finding_after(&[]),
            moves: Moves { finding: true, subject },
            place,
            starts,
            related,
        }
    }

    /// Where the finding was seen: under whom the alert names, else under what its
    /// detector alone says, unless that was of somebody else.
    fn finding(&self, bonds: &Bonds, within: Duration) -> Option<(Tied, Standing)> {
        self.seen(&bonds.finding, within).or_else(|| {
            let people = FindingPeople::of(self.alert);
            self.seen(&bonds.unnamed, within).filter(|(tied, _)| !tied.people.are_others(&people))
        })
    }

    /// Where something was seen no longer ago than `within`, in an incident that
    /// is still there.
    fn seen(&self, tie: &Tie, within: Duration) -> Option<(Tied, Standing)> {
        let tied = self.known.tied(tie.key)?;
        if tied.alert == self.alert.id || tied.at < self.now.before(within) {
            return None;
        }
        let standing = self.known.standing(tied.incident)?;
        Some((tied, standing))
    }

    fn is_stranger(&self, standing: &Standing) -> bool {
        is_another(standing.subject.as_deref(), &self.alert.user)
    }

    fn names_subject(&self, standing: &Standing) -> bool {
        standing.subject.is_none() && self.alert.user.shown().is_some()
    }

    /// The playbooks that start, and what holds the others back: those that `ran` on
    /// the finding, unless they need the subject that was `learnt` only now, and those
    /// whose `once_per` counts. That of a closed incident, and
    /// of one about somebody else, holds nothing back; that of the finding's own
    /// incident does so for good.
    fn starts<'w>(
        &self,
        wanted: &'w [Wanted],
        ran: &[TieKey],
        own: Option<IncidentId>,
        learnt: bool,
    ) -> (Vec<usize>, Vec<(&'w Tie, Tied, Standing)>) {
        let (mut starts, mut held) = (Vec::new(), Vec::new());
        for (at, wanted) in wanted.iter().enumerate() {
            let Some((once, within)) = &wanted.once_per else {
                if !ran.contains(&ran_key(&wanted.playbook)) || (learnt && wanted.needs_subject) {
                    starts.push(at);
                }
                continue;
            };
            let seen = self.seen(once, REMEMBERED_MOST).filter(|(tied, standing)| {
                let counts = tied.at >= self.now.before(*within);
                Some(tied.incident) == own || (counts && !standing.closed && !self.is_stranger(standing))
            });
            match seen {
                Some((tied, standing)) => held.push((once, tied, standing)),
                None => starts.push(at),
            }
        }
        (starts, held)
    }

    /// Keys of this alert from here on. A playbook that does not start now keeps
    /// counting from the alert for which it did.
    fn keys(&self, bonds: &Bonds, wanted: &[Wanted], starts: &[usize]) -> Vec<TieKey> {
        let started: Vec<Wanted> = starts.iter().map(|at| wanted[*at].clone()).collect();
        bonds.keys(&started)
    }
}

pub mod bonds;

#[cfg(test)]
mod tests;
