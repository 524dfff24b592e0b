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
use crate::domain::tie::{Tie, TieKey, TieKind, is_another, ties};
use crate::domain::time::Timestamp;

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
}

/// Where something was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// How an incident stands, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether people are done with it.
    pub closed: bool,
    /// Whom it is about.
    pub subject: Option<String>,
    /// The playbooks that were started in it.
    pub playbooks: Vec<String>,
    /// The severity of its most severe alert.
    pub severity: u8,
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
}

impl Placement {
    /// That of an alert which has no effect.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { place: Place::None, starts: Vec::new(), related: Vec::new(), ties: Vec::new() }
    }
}

/// All that may tie an alert to others.
#[derive(Debug, Clone)]
pub struct Bonds {
    /// The finding.
    pub finding: Tie,
    /// What it shares with others, as far as the rules count it.
    pub shared: Vec<Tie>,
}

impl Bonds {
    /// Those of an alert.
    #[must_use]
    pub fn of(alert: &Alert, rules: &Rules) -> Self {
        let mut shared = ties(alert);
        shared.retain(|tie| rules.correlate_by.contains(&tie.kind));
        Self { finding: Tie::finding(alert), shared }
    }

    /// Every key, those of playbooks included.
    pub fn keys(&self, wanted: &[Wanted]) -> Vec<TieKey> {
        let once = wanted.iter().filter_map(|wanted| Some(wanted.once_per.as_ref()?.0.key));
        std::iter::once(self.finding.key).chain(once).chain(self.shared.iter().map(|tie| tie.key)).collect()
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
    let finding = look.seen(&bonds.finding, rules.same_finding);
    if let Some((tied, standing)) = &finding {
        let back = tied.status == FindingStatus::Closed && !ended;
        // What a fingerprint of other fields calls the same may well be new.
        let by_id = tied.id.is_some() && tied.id == Tie::own_id(alert);
        let because = Because::of(&bonds.finding, tied);
        // A closed incident takes what its detector still says of the finding. What
        // happens anew after it was closed is a new incident.
        if !standing.closed || ended || (by_id && !back) {
            let news = match (ended, back) {
                (true, _) => News::Ended,
                (false, true) => News::Back,
                (false, false) => News::Again,
            };
            let reopens = standing.closed && !ended && alert.severity > standing.severity;
            let place = Place::Joins { incident: tied.incident, news, because: vec![because], reopens };
            let starts = match news {
                News::Ended => Vec::new(),
                _ if standing.closed && !reopens => Vec::new(),
                // It happened once more.
                News::Back => look.starts(wanted, None).0,
                _ => look.starts(wanted, Some(standing)).0,
            };
            return Placement { ties: look.keys(bonds, wanted, &starts), place, starts, related };
        }
        related.push(Related { incident: tied.incident, because });
    }
    if ended {
        return Placement { place: Place::None, starts: Vec::new(), related, ties: Vec::new() };
    }
    let (starts, held) = look.starts(wanted, None);
    let (mut incident, mut because) = (None, Vec::new());
    // A closed incident is joined only by what starts nothing.
    let joins = |tied: &Tied| starts.is_empty() || known.standing(tied.incident).is_some_and(|it| !it.closed);
    if let Some((once, tied)) = held.iter().find(|(_, tied)| joins(tied)) {
        incident = Some(tied.incident);
        because.push(Because::of(once, tied));
    }
    for tie in &bonds.shared {
        let Some((tied, standing)) = look.seen(tie, rules.correlate_within) else { continue };
        let reason = Because::of(tie, &tied);
        let stranger = tie.kind != TieKind::Subject && is_another(standing.subject.as_deref(), &alert.user);
        let joins = !standing.closed && !stranger && *incident.get_or_insert(tied.incident) == tied.incident;
        if joins {
            because.push(reason);
        } else if incident != Some(tied.incident) && !related.iter().any(|it| it.incident == tied.incident) {
            related.push(Related { incident: tied.incident, because: reason });
        }
    }
    related.retain(|it| Some(it.incident) != incident);
    related.truncate(RELATED_MAX);
    let place = match incident {
        Some(incident) => Place::Joins { incident, news: News::Another, because, reopens: false },
        None if starts.is_empty() => Place::None,
        None => Place::Opens,
    };
    let ties = if place == Place::None { Vec::new() } else { look.keys(bonds, wanted, &starts) };
    Placement { place, starts, related, ties }
}

impl Because {
    fn of(tie: &Tie, tied: &Tied) -> Self {
        Self { tie: tie.kind, what: tie.what.clone(), alert: tied.alert }
    }
}

struct Look<'a, K> {
    alert: &'a Alert,
    known: &'a K,
    now: Timestamp,
}

impl<K: Known> Look<'_, K> {
    /// Where something was seen no longer ago than `within`, in an incident that
    /// is still there.
    fn seen(&self, tie: &Tie, within: Duration) -> Option<(Tied, Standing)> {
        let tied = self.known.tied(tie.key)?;
        if tied.alert == self.alert.id || tied.at < self.now.before(within) {
            return None;
        }
        Some((tied, self.known.standing(tied.incident)?))
    }

    /// The playbooks that start, and what holds the others back.
    fn starts<'w>(
        &self,
        wanted: &'w [Wanted],
        standing: Option<&Standing>,
    ) -> (Vec<usize>, Vec<(&'w Tie, Tied)>) {
        let (mut starts, mut held) = (Vec::new(), Vec::new());
        for (at, wanted) in wanted.iter().enumerate() {
            if standing.is_some_and(|standing| standing.playbooks.contains(&wanted.playbook)) {
                continue;
            }
            let before = wanted
                .once_per
                .as_ref()
                .and_then(|(once, within)| self.seen(once, *within).map(|(tied, _)| (once, tied)));
            match before {
                Some(before) => held.push(before),
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

#[cfg(test)]
mod tests;
