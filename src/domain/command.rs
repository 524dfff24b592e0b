//! Commands: what a run asks of the shell.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::id::RunId;
use crate::domain::run::StepKey;
use crate::domain::signal::Signal;
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, Value};

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
    /// Ask the system whether an act whose outcome is unknown happened.
    Reconcile,
    /// Remind those who were asked, or ask further people.
    Remind,
    /// Read back whether it took effect.
    Verify,
    /// Read the target again before lifting: has somebody else changed it?
    UndoCheck,
    /// Restore the captured state.
    Undo,
    /// Read back whether it was restored.
    UndoVerify,
    /// Look again, some time after it was verified, whether it still holds.
    Recheck,
    /// Tell people that a containment is about to be lifted.
    Warn,
}

impl Phase {
    /// Phases that only read may be repeated freely.
    pub fn reads(self) -> bool {
        matches!(
            self,
            Self::Capture
                | Self::Reconcile
                | Self::Verify
                | Self::UndoCheck
                | Self::UndoVerify
                | Self::Recheck
        )
    }

    /// Phases that only tell people something: they run beside a wait, and the
    /// step does not stand or fall by them.
    pub fn tells(self) -> bool {
        matches!(self, Self::Announce | Self::Remind)
    }

    /// Phases of the way back.
    pub fn undoes(self) -> bool {
        matches!(self, Self::UndoCheck | Self::Undo | Self::UndoVerify)
    }

    /// Phases that keep an eye on a containment that holds.
    pub fn watches(self) -> bool {
        matches!(self, Self::Recheck | Self::Warn)
    }

    /// As it is written in journals and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Announce => "announce",
            Self::Act => "act",
            Self::Reconcile => "reconcile",
            Self::Remind => "remind",
            Self::Verify => "verify",
            Self::UndoCheck => "undo_check",
            Self::Undo => "undo",
            Self::UndoVerify => "undo_verify",
            Self::Recheck => "recheck",
            Self::Warn => "warn",
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
    /// See that this run of another playbook has begun, and tell its end by
    /// `Signal::ChildEnded`.
    Follow(Child),
    /// End that run.
    CancelChild(RunId),
}

/// A run that a step of another run began and waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// Which step waits.
    pub key: StepKey,
    /// The run.
    pub run: RunId,
    /// The plan that the caller's plan froze.
    pub plan: Digest,
    /// The playbook's name.
    pub playbook: String,
    /// Its version.
    pub version: u32,
    /// Its inputs, checked.
    pub inputs: Value,
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
    /// What this part alone is about: whom a reminder goes to, until when a
    /// containment holds.
    pub about: Value,
    /// How long this attempt may take.
    pub timeout: Duration,
    /// Whether `Signal::Began` is to be recorded before anything is sent.
    pub tells_begin: bool,
}

impl Perform {
    /// What a run is told of an attempt at work whose process is gone.
    pub fn lost_at_work(self) -> [Signal; 2] {
        let Self { key, phase, attempt, .. } = self;
        [Signal::Began { key: key.clone(), phase, attempt }, Signal::Lost { key, phase, attempt }]
    }
}

/// Hears that an attempt has its turn, before anything of it is sent.
pub trait OnTurn: Send + Sync {
    /// False when it is not to be sent after all.
    fn has_turn(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// The step of another run that began this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    /// Its run.
    pub run: RunId,
    /// The step.
    pub step: StepKey,
    /// How many runs stand above: 1 for a run that a run by trigger began.
    pub depth: u32,
    /// Whether the calling run may have begun this one before: the journal was read
    /// from a backup.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
}
