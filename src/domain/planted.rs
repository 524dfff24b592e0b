//! Mistakes planted on purpose, to prove that the simulation finds such ones:
//! `cargo test --features planted-bugs --test simulation planted`.
//!
//! Without the feature `planted` is a constant false, and the compiler leaves
//! nothing of any of them. Each stands in one line beside what is right; look
//! for `planted(` to see where. A mistake that was really made, and that the
//! simulation could have found, is worth a line here.

/// One slip of the kind that reviews overlook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A keyed effect is sent again under another key (`owed.rs`).
    KeyNamesTheAttempt,
    /// The time at which a containment lifts by itself is waited for by nobody
    /// (`owed.rs`).
    TimeBoxIsForgotten,
    /// A once-only effect of unknown outcome is tried again (`decide/attempt.rs`).
    OnceIsTriedAgain,
    /// A server that starts again takes an approval that was asked for as given
    /// (`decide/attempt.rs`).
    ResumeSkipsApproval,
    /// Reading back too early counts as proof that nothing happened
    /// (`decide/attempt.rs`).
    OneLookIsEnough,
    /// The first no of a system that is asked whether a once-only effect happened
    /// counts (`decide/reconcile.rs`).
    OneNoIsEnough,
    /// A lasting no counts also where the connector does not say that it can be
    /// trusted (`decide/reconcile.rs`).
    EveryNoIsTrusted,
    /// What a run that was read from a backup has on record is taken for all that it did
    /// (`decide/reconcile.rs`).
    RestoredIsTheEnd,
    /// After an act of unknown outcome the state before is captured anew, and is
    /// the state after (`decide/attempt.rs`).
    CapturedAfterActing,
    /// A yes that comes after the time for it is up still counts (`decide/people.rs`).
    LateYesCounts,
    /// One yes is enough where several are demanded (`decide/people.rs`).
    OneYesIsEnough,
    /// What was contained first is lifted first (`decide/undo.rs`).
    UndoRunsForward,
    /// What one look shows to be as it was before counts as lifted, also where a
    /// copy may lag behind (`decide/undo.rs`).
    LiftedAfterOneLook,
    /// The way back counts as done when it was accepted, not when it was seen
    /// (`decide/undo.rs`).
    LiftedUnseen,
    /// A turn that grew too long is cut, and what is left is owed by nobody
    /// (`decide/turn.rs`).
    CutTurnIsNotOwed,
    /// An attempt leaves while its intent is still on its way to the journal
    /// (`scheduler/run.rs`).
    ActsBeforeTheJournal,
    /// Attempts that a stop left in flight are carried out anew instead of
    /// being told as lost (`scheduler/run.rs`).
    LostAttemptsAreResent,
    /// A run that rested over a restart is woken at no time (`scheduler/recovery.rs`).
    StartForgetsTheTime,
}

/// Whether this mistake is to be made.
#[cfg(not(feature = "planted-bugs"))]
pub const fn planted(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
pub use chosen::{plant, planted};

#[cfg(feature = "planted-bugs")]
mod chosen {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        /// A simulation runs on one thread, beside others that have no mistake.
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Makes this mistake from now on, on this thread; none makes none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this mistake is to be made.
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
