//! An incident: the investigation that groups alerts and runs.

use serde::{Deserialize, Serialize};

use crate::domain::id::{AlertId, ContainmentId, IncidentId, RunId};
use crate::domain::tie::TieKey;

/// Where an investigation stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody has looked yet.
    #[default]
    Open,
    /// Being looked into.
    Investigating,
    /// Harm is limited.
    Contained,
    /// Nothing is left to do.
    Closed,
}

impl Status {
    /// All of them, as a playbook writes them.
    pub const NAMES: [&'static str; 4] = ["open", "investigating", "contained", "closed"];
}

/// How an investigation ended (the field's list, after Dispatch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Real, and harmless.
    Benign,
    /// The detector was wrong.
    FalsePositive,
    /// The person said it was them, and why.
    UserAcknowledged,
    /// A policy was broken.
    PolicyViolation,
    /// A mistake in operations.
    OperationalError,
    /// A true finding, contained.
    Contained,
    /// A true finding, mitigated.
    Mitigated,
    /// Handed on.
    Escalated,
    /// Cannot be told.
    InsufficientInformation,
    /// Facts were collected; nothing was decided.
    InformationGathered,
}

impl Disposition {
    /// All of them, as a playbook writes them.
    pub const NAMES: [&'static str; 10] = [
        "benign",
        "false_positive",
        "user_acknowledged",
        "policy_violation",
        "operational_error",
        "contained",
        "mitigated",
        "escalated",
        "insufficient_information",
        "information_gathered",
    ];

    /// As a playbook writes it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// What it says of the rule that fired.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::FalsePositive => Verdict::False,
            Self::Benign | Self::UserAcknowledged | Self::OperationalError => Verdict::Harmless,
            Self::PolicyViolation | Self::Contained | Self::Mitigated => Verdict::True,
            Self::Escalated | Self::InsufficientInformation | Self::InformationGathered => Verdict::Undecided,
        }
    }
}

/// What the end of an investigation says of the rule that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was right, and something was wrong.
    True,
    /// What it saw had happened, and nobody meant or did harm.
    Harmless,
    /// What it saw had not happened, or is not what it looks for.
    False,
    /// Nobody could tell, or others go on with it.
    Undecided,
}

/// What a run or a person changes of an incident; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IncidentChange {
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<u8>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// A note for the timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Tags to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The person who changed it; absent when a run did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// That person's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl IncidentChange {
    /// The severity after this change of one that was `before`. A run only raises
    /// it: that something is less bad than it looked is for a person to say. Once a
    /// person has set it, a run raises it only above `alerts`, the most severe alert:
    /// what that person knew is no news.
    pub fn severity_after(&self, before: u8, alerts: u8, by_person: bool) -> u8 {
        match (self.severity, &self.by) {
            (None, _) => before,
            (Some(new), Some(_)) => new,
            (Some(new), None) if by_person && new <= alerts => before,
            (Some(new), None) => new.max(before),
        }
    }
}

/// How alerts came to another incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// All of the incident is one with another: it is closed.
    Merge,
    /// Some of it is a story of its own.
    Split,
}

/// What is left of an incident after a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Whom it is about, when all that is left is about one.
    pub subject: Option<String>,
    /// The severity of the most severe alert that is left.
    pub severity: u8,
}

/// A person moves alerts and runs of an incident to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// How.
    pub kind: MoveKind,
    /// Where they belong from here on.
    pub to: IncidentId,
    /// The alerts.
    pub alerts: Vec<AlertId>,
    /// The runs.
    pub runs: Vec<RunId>,
    /// What the incident is without them; of a split alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Keys under which later alerts find where these went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ties: Vec<TieKey>,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A person wants what the runs of an incident contained to be lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoOrder {
    /// Which, in the order in which they are lifted: the newest first.
    pub containments: Vec<ContainmentId>,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether also over what somebody else changed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anyway: bool,
}
