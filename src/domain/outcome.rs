//! What came of an attempt. The world's failures are data: they are journalled
//! and drive retries, and never travel as an error through the scheduler.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, Value};

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, and this was the answer.
    Succeeded {
        /// The operation's declared output.
        output: Value,
        /// What was exchanged, for the record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Evidence>,
    },
    /// It was not done, or nobody can say.
    Failed {
        /// Why.
        failure: Failure,
        /// What was exchanged, for the record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Evidence>,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What may follow.
    pub class: FailureClass,
    /// A stable code, kebab-case, the same that the command line shows.
    pub code: String,
    /// What failed, where, why, what to do next.
    pub message: String,
    /// How long the peer asked us to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without a wished wait.
    pub fn new(class: FailureClass, code: &str, message: impl Into<String>) -> Self {
        Self { class, code: code.to_owned(), message: message.into(), retry_after: None }
    }
}

/// The code of an attempt that was called off before anything of it was sent,
/// because the server stops or others went first for too long.
pub const NOT_BEGUN: &str = "not-begun";

impl Outcome {
    /// An attempt that was called off before anything of it was sent.
    pub fn called_off(why: &str) -> Self {
        Failure::new(FailureClass::Transient, NOT_BEGUN, format!("{why}; nothing was sent")).into()
    }

    /// Whether the attempt was called off before anything of it was sent.
    pub fn not_begun(&self) -> bool {
        matches!(self, Self::Failed { failure, .. }
            if failure.class == FailureClass::Transient && failure.code == NOT_BEGUN)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Outcome::Failed { failure, evidence: None }
    }
}

/// The three sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Surely nothing happened, and trying again may help.
    Transient,
    /// Surely nothing happened, and trying again will not help.
    Permanent,
    /// It was sent, and nobody can say whether it happened (a timeout, a cut
    /// connection, a 5xx after sending).
    Unknown,
}

/// What was exchanged with a system: enough to prove it, never a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `connector.operation`.
    pub source: String,
    /// The request in one line (`PATCH https://…`), query values and headers left out.
    pub request: String,
    /// The answer in one line (`204`, `250 queued`).
    pub response: String,
    /// SHA-256 of the answer's body; of a mail, of the message that was sent.
    pub sha256: Digest,
    /// Length of what the digest is of.
    pub bytes: u64,
    /// When the answer was complete.
    pub at: Timestamp,
}
