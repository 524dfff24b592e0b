//! An entry, and what some events say in more than a line.

use serde::{Deserialize, Serialize};

use crate::domain::alert::AlertRef;
use crate::domain::command::{Parent, Phase};
use crate::domain::event::Event;
use crate::domain::id::{IncidentId, RunId, StreamId};
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, Value};

impl Event {
    /// The intent of an attempt, as most are: its beginning is not recorded beside it.
    pub fn intent(key: StepKey, phase: Phase, attempt: u32) -> Self {
        Self::AttemptStarted { key, phase, attempt, begin_follows: false, contains: None }
    }
}

/// One fact of one stream, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose fact it is.
    pub stream: StreamId,
    /// Its number in the stream, from 1 without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The fact.
    pub event: Event,
}

/// What began a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run.
    pub run: RunId,
    /// The frozen plan, by digest.
    pub plan: Digest,
    /// The playbook's name, for people.
    pub playbook: String,
    /// Its version.
    pub version: u32,
    /// The investigation it belongs to.
    pub incident: IncidentId,
    /// The alert it runs on, by id and digest of the stored alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertRef>,
    /// Inputs of a run by hand.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub inputs: Value,
    /// Who or what started it (`trigger`, `schedule`, or an address).
    pub by: String,
    /// People beside `by` who asked for what it does: those whose answers chose what
    /// the calling run hands over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<String>,
    /// The step that runs it and waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run that it does once more, by a person's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<RunId>,
}

/// Why a run was set aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetAside {
    /// What happened.
    pub why: String,
    /// Whether the journal was read from a backup, and the run may have done more than
    /// its entries say. Else its work was lost with its server again and again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
}

/// A journal that was read from a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalRestored {
    /// The number of the last record of the backup.
    pub position: u64,
    /// The hash of that record.
    pub hash: Digest,
    /// When the last entry of the backup was decided; absent when there is none.
    pub until: Option<Timestamp>,
    /// How many runs were in flight there, and were set aside with this.
    pub held: usize,
    /// Who imported it.
    pub by: String,
}

/// What an act is about to contain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intended {
    /// The operation.
    pub operation: String,
    /// Whom or what it touches, for people and for the caps.
    pub target: String,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Every step ended as it should, or a `finish` step was reached.
    Succeeded,
    /// A step failed it.
    Failed,
    /// A person ended it.
    Cancelled,
}
