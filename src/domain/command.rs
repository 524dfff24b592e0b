//! Commands: what a run asks of the shell.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// The part of a step that an attempt carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Find the target and read its state before it is touched.
    Capture,
    /// Tell the approvers that they are asked.
    Announce,
    /// Do it.
    Act,
    /// Read back whether it took effect.
    Verify,
    /// Read the target again before lifting: has somebody else changed it?
    UndoCheck,
    /// Restore the captured state.
    Undo,
    /// Read back whether it was restored.
    UndoVerify,
}

impl Phase {
    /// Phases that only read may be repeated freely.
    pub fn reads(self) -> bool {
        matches!(self, Self::Capture | Self::Verify | Self::UndoCheck | Self::UndoVerify)
    }

    /// Phases that only tell people something: they run beside a wait, and the
    /// step does not stand or fall by them.
    pub fn tells(self) -> bool {
        matches!(self, Self::Announce)
    }

    /// Phases of the way back.
    pub fn undoes(self) -> bool {
        matches!(self, Self::UndoCheck | Self::Undo | Self::UndoVerify)
    }

    /// As it is written in journals and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Announce => "announce",
            Self::Act => "act",
            Self::Verify => "verify",
            Self::UndoCheck => "undo_check",
            Self::Undo => "undo",
            Self::UndoVerify => "undo_verify",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a run asks of the shell now.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Carry out this attempt, whose intent is durable, and report its outcome.
    Perform(Perform),
    /// Send `Signal::Wake` at this time.
    WakeAt(Timestamp),
}

/// One attempt to carry out.
#[derive(Debug, Clone, PartialEq)]
pub struct Perform {
    /// Which step.
    pub key: StepKey,
    /// Which part of it.
    pub phase: Phase,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Run + step + iteration + direction; never the attempt.
    pub idempotency_key: String,
    /// The rendered input.
    pub input: Value,
    /// The state before, once captured.
    pub captured: Option<Value>,
    /// What the act answered, once it did.
    pub acted: Option<Value>,
    /// How long this attempt may take.
    pub timeout: Duration,
}
