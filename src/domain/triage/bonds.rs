//! What may tie an alert to others, and where each of it is looked up.

use crate::domain::alert::Alert;
use crate::domain::tie::{Tie, TieKey, ties};
use crate::domain::triage::{Rules, Wanted};

/// Names under which one finding is looked up: who is named later is named another way.
const FINDING_KEYS_MAX: usize = 8;

/// All that may tie an alert to others.
#[derive(Debug, Clone)]
pub struct Bonds {
    /// The finding.
    pub finding: Tie,
    /// The same, whomever its alerts name.
    pub unnamed: Tie,
    /// What it shares with others, as far as the rules count it.
    pub shared: Vec<Tie>,
}

impl Bonds {
    /// Those of an alert.
    #[must_use]
    pub fn of(alert: &Alert, rules: &Rules) -> Self {
        let mut shared = ties(alert);
        shared.retain(|tie| rules.correlate_by.contains(&tie.kind));
        Self { finding: Tie::finding(alert), unnamed: Tie::unnamed(alert), shared }
    }

    /// Where the finding is looked up.
    #[must_use]
    pub fn of_finding(&self) -> Vec<TieKey> {
        let mut keys = vec![self.finding.key, self.unnamed.key];
        keys.dedup();
        keys
    }

    /// Where the finding is looked up from here on, under every name that it had; none
    /// where it has one name alone.
    #[must_use]
    pub fn of_finding_after(&self, before: &[TieKey]) -> Vec<TieKey> {
        let mut keys = self.of_finding();
        keys.extend(before.iter().filter(|key| !keys.contains(key)).copied().collect::<Vec<_>>());
        keys.truncate(FINDING_KEYS_MAX);
        if keys.len() > 1 { keys } else { Vec::new() }
    }

    /// Every key, those of playbooks included.
    pub fn keys(&self, wanted: &[Wanted]) -> Vec<TieKey> {
        let once = wanted.iter().filter_map(|wanted| Some(wanted.once_per.as_ref()?.0.key));
        self.of_finding().into_iter().chain(once).chain(self.shared.iter().map(|tie| tie.key)).collect()
    }
}
