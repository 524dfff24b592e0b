//! Signals: what the world tells a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::address::same_address;
use crate::domain::command::Phase;
use crate::domain::event::{RunEnd, RunStarted};
use crate::domain::id::{ApprovalId, ContainmentId, QuestionId, RunId};
use crate::domain::outcome::Outcome;
use crate::domain::run::StepKey;
use crate::domain::urgency::Urgency;
use crate::domain::value::Value;

/// Who did something: an address, and the groups it is in at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Mail address, lower-case.
    pub address: String,
    /// Names of groups, without `group:`.
    pub groups: Vec<String>,
}

impl Person {
    /// Whether an entry, an address or `group:NAME`, names this person.
    pub fn is_named_by(&self, entry: &str) -> bool {
        match entry.strip_prefix("group:") {
            Some(group) => self.groups.iter().any(|mine| mine == group),
            None => same_address(entry, &self.address),
        }
    }
}

/// What the world tells a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    /// Begin.
    Start(Box<RunStarted>),
    /// Begin once its turn has come.
    Queue {
        /// How it begins.
        started: Box<RunStarted>,
        /// How urgent it is.
        urgency: Urgency,
    },
    /// Begin, set aside until a person releases it: what it was started for may have
    /// been done after the backup that the journal was read from.
    Hold {
        /// How it begins.
        started: Box<RunStarted>,
        /// What may have been done.
        why: String,
    },
    /// Its turn has come.
    Admit,
    /// An attempt has ended.
    Performed {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// Which attempt, from 1.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// An attempt has its turn; it is about to be sent. Told only of those whose
    /// intent says so (`Perform::tells_begin`).
    Began {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// The process that held this attempt is gone; its outcome was never heard.
    Lost {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// A point in time that the run waited for may have come.
    Wake,
    /// A person approves or rejects.
    Decide {
        /// What was asked.
        approval: ApprovalId,
        /// Who decides.
        by: Person,
        /// Yes or no.
        approve: bool,
        /// Why.
        note: Option<String>,
    },
    /// A person answers a question.
    Answer {
        /// Which question.
        question: QuestionId,
        /// The address it was sent to.
        by: String,
        /// The choice's value.
        choice: String,
        /// The other fields, by name.
        fields: Value,
    },
    /// A person says what happened to an uncertain step.
    Settle {
        /// Which step.
        key: StepKey,
        /// Whether it happened.
        happened: bool,
        /// Who says so.
        by: String,
        /// How they know.
        note: Option<String>,
    },
    /// Lift containments. What is lifted, or on its way, is asked for once.
    Undo {
        /// Which; empty = all that still hold.
        containments: Vec<ContainmentId>,
        /// Who wants it.
        by: String,
        /// Why.
        why: Option<String>,
        /// Whether also over what somebody else changed since.
        #[serde(default)]
        anyway: bool,
    },
    /// Let a containment hold longer.
    Extend {
        /// Which.
        containment: ContainmentId,
        /// How long, counted from its end as it is now.
        hold: Duration,
        /// Who wants it.
        by: String,
    },
    /// A run that a step waits for has ended.
    ChildEnded {
        /// Which step waits.
        key: StepKey,
        /// The run.
        run: RunId,
        /// How it ended.
        end: RunEnd,
        /// Why.
        why: String,
        /// What the step gives.
        output: Value,
    },
    /// Let a run that was set aside go on.
    Release {
        /// Who wants it.
        by: String,
        /// Why.
        why: Option<String>,
    },
    /// End the run.
    Cancel {
        /// Who wants it.
        by: String,
        /// Why.
        why: Option<String>,
    },
}

/// A signal that makes no sense in the state the run is in. Nothing is journalled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Stable code, kebab-case.
    pub code: &'static str,
    /// What is refused, why, and what to do instead.
    pub message: String,
}

impl Refusal {
    /// A refusal with its code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
