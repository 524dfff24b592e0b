//! What goes first: the order in which runs begin and calls are made when not
//! all can at once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::alert::Alert;
use crate::domain::command::Phase;

/// How urgent something is; what stands first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// A person's access hangs on it: lifting, and reading back.
    Access,
    /// A critical alert.
    Critical,
    /// A high alert, one whose severity nobody knows, or a person who waits.
    High,
    /// A medium alert, or a schedule.
    Medium,
    /// A low alert.
    Low,
    /// Information.
    Informational,
}

/// What an alert of unknown severity is normalised to. A severity of exactly
/// this needs the sender's word to count as medium.
const UNKNOWN_SEVERITY: u8 = 50;

/// Words of senders that do mean the middle of our scale.
const MEDIUM_WORDS: [&str; 4] = ["medium", "med", "moderate", "warning"];

impl Urgency {
    /// All, in their order.
    pub const ALL: [Self; 6] =
        [Self::Access, Self::Critical, Self::High, Self::Medium, Self::Low, Self::Informational];

    /// As it is written in metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Informational => "informational",
        }
    }

    /// How urgent a run is by its alert; without one, by who started it.
    pub fn of_run(by: &str, alert: Option<&Alert>) -> Self {
        match alert {
            Some(alert) => Self::of_severity(alert.severity, alert.vendor_severity.as_deref()),
            None if by == "schedule" => Self::Medium,
            None => Self::High,
        }
    }

    /// How urgent an alert of this severity is; `said` is the sender's own word.
    /// The bands are the words' that reports use, and 1 to 19 is information,
    /// as sources give it. A severity that nobody understood counts as high.
    pub fn of_severity(severity: u8, said: Option<&str>) -> Self {
        let understood = |said: &str| {
            let said = said.trim().to_lowercase();
            MEDIUM_WORDS.contains(&said.as_str()) || said.parse::<f64>().is_ok()
        };
        match severity {
            UNKNOWN_SEVERITY if !said.is_some_and(understood) => Self::High,
            90.. => Self::Critical,
            70..=89 => Self::High,
            40..=69 => Self::Medium,
            20..=39 => Self::Low,
            0..=19 => Self::Informational,
        }
    }

    /// How urgent one attempt of a run is: what lifts or reads back goes first,
    /// whatever the run is about.
    pub fn of_phase(self, phase: Phase) -> Self {
        let reads_back = matches!(phase, Phase::Verify | Phase::Reconcile | Phase::Recheck);
        if phase.undoes() || reads_back { Self::Access } else { self }
    }
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_go_by_their_bands_and_an_unknown_one_is_high() {
        for (severity, said, urgency) in [
            (95, Some("critical"), Urgency::Critical),
            (90, None, Urgency::Critical),
            (75, None, Urgency::High),
            (50, Some("Medium"), Urgency::Medium),
            (50, Some("5"), Urgency::Medium),
            (50, Some("catastrophic"), Urgency::High),
            (50, None, Urgency::High),
            (51, None, Urgency::Medium),
            (25, Some("low"), Urgency::Low),
            (10, Some("info"), Urgency::Informational),
            (0, None, Urgency::Informational),
        ] {
            assert_eq!(Urgency::of_severity(severity, said), urgency, "{severity} {said:?}");
        }
    }

    #[test]
    fn a_person_who_waits_goes_before_a_schedule() {
        assert_eq!(Urgency::of_run("ana@example.com", None), Urgency::High);
        assert_eq!(Urgency::of_run("schedule", None), Urgency::Medium);
    }

    #[test]
    fn lifting_and_reading_back_go_first_whatever_the_run_is_about() {
        for phase in [Phase::UndoCheck, Phase::Undo, Phase::UndoVerify, Phase::Verify, Phase::Recheck] {
            assert_eq!(Urgency::Low.of_phase(phase), Urgency::Access);
        }
        assert_eq!(Urgency::Low.of_phase(Phase::Act), Urgency::Low);
        assert!(Urgency::ALL.is_sorted());
    }
}
