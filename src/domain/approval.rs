//! What a yes covers, and how an approval is decided.

use serde::{Deserialize, Serialize};

use crate::domain::value::Value;

/// How an approval was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All who were needed said yes.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Nobody answered; that is a no.
    Silent,
    /// The run ended before it was decided.
    Withdrawn,
}

/// One step that a yes for the block around it lets run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Covered {
    /// The step's id.
    pub step: String,
    /// What it does.
    pub operation: String,
    /// What it hands over, as far as it was known when people were asked: of a map
    /// the entries that were. Absent when nothing of it is known before steps in
    /// the block have ended. What was known must be the same when it begins.
    pub input: Option<Value>,
}
