//! What retention erased: the fact that stays in the journal when the rest is gone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::id::StreamId;
use crate::domain::time::duration_text;
use crate::domain::value::Digest;

/// By which rule of the settings something is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The stored content of an alert.
    RawAlerts,
    /// An incident that is closed: its own stream, its alerts, its runs.
    ClosedIncidents,
}

impl Rule {
    /// As the settings write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RawAlerts => "raw_alerts",
            Self::ClosedIncidents => "closed_incidents",
        }
    }
}

/// What was erased. It stands in the stream that it is about, names ids, numbers
/// and hashes alone, and is never erased itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// By which rule.
    pub rule: Rule,
    /// How long the rule keeps things, in seconds.
    pub kept_seconds: u64,
    /// The streams that were erased, each up to this fact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamId>,
    /// The records that were replaced by tombstones: first and last of each row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<(u64, u64)>,
    /// The contents that were removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<Digest>,
    /// The SHA-256 of the tombstones' own, in order: nothing else may stand in
    /// their places.
    pub seal: Digest,
}

impl Erasure {
    /// How many records were replaced.
    pub fn record_count(&self) -> u64 {
        self.positions().fold(0, |count, _| count.saturating_add(1))
    }

    /// The numbers of the records that were replaced, in order.
    pub fn positions(&self) -> impl Iterator<Item = u64> + '_ {
        self.records.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Numbers in ascending order as rows of first and last.
    pub fn rows(positions: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
        let mut rows: Vec<(u64, u64)> = Vec::new();
        for position in positions {
            match rows.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(position) => *last = position,
                _ => rows.push((position, position)),
            }
        }
        rows
    }

    /// In plain words, for timelines.
    pub fn words(&self) -> String {
        let kept = duration_text(Duration::from_secs(self.kept_seconds));
        match self.rule {
            Rule::RawAlerts => {
                format!("The content of the alert was removed by retention, which keeps it {kept}")
            }
            Rule::ClosedIncidents => format!(
                "The incident was erased by retention, which keeps it {kept} after it was closed: {} records",
                self.record_count()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::digest;

    #[test]
    fn numbers_become_rows_and_come_back() {
        let numbers = [1, 2, 3, 7, 9, 10];
        let records = Erasure::rows(numbers);
        assert_eq!(records, [(1, 3), (7, 7), (9, 10)]);
        let erasure = Erasure {
            rule: Rule::ClosedIncidents,
            kept_seconds: 86_400,
            streams: Vec::new(),
            records,
            contents: Vec::new(),
            seal: digest(b""),
        };
        assert_eq!(erasure.positions().collect::<Vec<_>>(), numbers);
        assert_eq!(erasure.record_count(), 6);
    }
}
