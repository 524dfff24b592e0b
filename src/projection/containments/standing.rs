//! Where a containment stands, how that changes, and what is wrong with it.

use std::time::Duration;

use serde::Serialize;

use super::ContainmentRow;
use crate::domain::event::Event;
use crate::domain::id::{ContainmentId, RunId};
use crate::domain::run::{Hold, StepKey, WARN_BEFORE_MOST, WARN_HOLD_LEAST};
use crate::domain::time::{Timestamp, duration_text};
use crate::domain::value::truncate_text;
use crate::projection::fold::ROW_TEXT_BYTES_MAX;

/// How long after its time a lift is overdue. Lifting takes seconds where all is
/// well; a directory that lags, minutes.
const LIFT_LATE: Duration = Duration::from_secs(300);

/// Tries that did not take after which a person should know, however fast they came.
const LIFT_TRIES_MANY: u32 = 3;

/// What is wrong with a containment, or soon needs a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A later look shows that it no longer holds, and we did not lift it.
    Drifted,
    /// It was accepted, and its step gave up on seeing it hold.
    Unconfirmed,
    /// It could not be lifted.
    Stuck,
    /// It should be lifted by now, or lifting it keeps failing.
    LiftOverdue,
    /// It is about to be lifted by itself.
    Expiring,
}

impl ContainmentRow {
    /// One that was accepted just now.
    pub(super) fn accepted(
        id: ContainmentId,
        run: RunId,
        step: &StepKey,
        operation: &str,
        target: &str,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            run,
            incident: None,
            step: step.clone(),
            operation: operation.to_owned(),
            target: target.to_owned(),
            hold: Hold::Accepted,
            changed: true,
            one_off: false,
            accepted_at: at,
            verified_at: None,
            until: None,
            lifted_at: None,
            why: None,
            looked_at: None,
            looks: 0,
            drifted: None,
            warned_at: None,
            given_up_at: None,
            lifting_since: None,
            lift_tries: 0,
            lift_failure: None,
            next_try: None,
            changed_since: Vec::new(),
            nth: 0,
            first_intent: 0,
            last_intent: 0,
            state: None,
            playbook: None,
            by: Vec::new(),
            reason: None,
        }
    }

    /// Takes in an event about it after its acceptance.
    pub(super) fn change(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ContainmentVerified { .. } => {
                self.hold = Hold::Verified;
                if self.verified_at.replace(self.verified_at.unwrap_or(at)).is_some() {
                    self.looks = self.looks.saturating_add(1);
                }
                self.looked_at = Some(at);
                self.drifted = None;
                self.given_up_at = None;
            }
            Event::ContainmentDrifted { what, .. } => {
                self.looks = self.looks.saturating_add(1);
                self.looked_at = Some(at);
                self.drifted = Some(truncate_text(what, ROW_TEXT_BYTES_MAX).into_owned());
            }
            Event::ContainmentExpiring { .. } => self.warned_at = Some(at),
            Event::ContainmentExtended { until, .. } => {
                self.until = Some(*until);
                self.warned_at = None;
            }
            Event::UndoRequested { by, why, .. } => {
                self.hold = Hold::Lifting;
                self.lifting_since = Some(at);
                self.lift_tries = 0;
                self.lift_failure = None;
                self.changed_since.clear();
                self.why = Some(match why {
                    Some(why) => format!("{by}: {why}"),
                    None => by.clone(),
                });
            }
            Event::ContainmentLifted { others, .. } => {
                self.hold = Hold::Lifted;
                self.changed_since.clone_from(others);
                self.lifted_at = Some(at);
            }
            Event::UndoRefused { why, others, .. } => {
                self.hold = Hold::Stuck;
                self.changed_since.clone_from(others);
                self.why = Some(why.clone());
            }
            _ => {}
        }
    }

    /// What is wrong with it at this time, or soon needs a decision.
    pub fn trouble(&self, now: Timestamp) -> Option<Trouble> {
        let late = |since: Timestamp| since.after(LIFT_LATE) <= now;
        match self.hold {
            Hold::Lifted => None,
            Hold::Stuck => Some(Trouble::Stuck),
            Hold::Lifting => {
                let overdue = self.lift_tries >= LIFT_TRIES_MANY || self.lifting_since.is_some_and(late);
                overdue.then_some(Trouble::LiftOverdue)
            }
            _ if self.until.is_some_and(late) => Some(Trouble::LiftOverdue),
            _ if self.drifted.is_some() => Some(Trouble::Drifted),
            _ if self.given_up_at.is_some() => Some(Trouble::Unconfirmed),
            _ => self.is_expiring(now).then_some(Trouble::Expiring),
        }
    }

    /// Whether it lifts by itself so soon that who wants it longer must say so
    /// now: when people are told of it.
    fn is_expiring(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| {
            let hold = until.since(self.accepted_at);
            let told = until.before((hold / 4).min(WARN_BEFORE_MOST));
            hold >= WARN_HOLD_LEAST && (told <= now || self.warned_at.is_some())
        })
    }

    /// Since when that is so.
    pub fn troubled_since(&self, trouble: Trouble, now: Timestamp) -> Timestamp {
        let since = match trouble {
            Trouble::Drifted => self.looked_at,
            Trouble::Unconfirmed => self.given_up_at,
            Trouble::Stuck => self.lifting_since,
            Trouble::LiftOverdue => self.until.filter(|until| *until <= now).or(self.lifting_since),
            Trouble::Expiring => self.warned_at.or(self.verified_at),
        };
        since.unwrap_or(self.accepted_at)
    }

    /// Where it stands at this time, in a few words.
    pub fn stands(&self, now: Timestamp) -> String {
        let words = match (self.trouble(now), self.hold) {
            (_, Hold::MayHold) => "may hold",
            (Some(Trouble::Drifted), _) => "no longer holds",
            (Some(Trouble::Unconfirmed), _) => "never confirmed",
            (Some(Trouble::LiftOverdue), _) => {
                let since = self.troubled_since(Trouble::LiftOverdue, now);
                let minutes = Duration::from_secs(now.since(since).as_secs() / 60 * 60);
                return match self.lift_tries {
                    0 => format!("lift overdue by {}", duration_text(minutes)),
                    tries => format!("lift overdue, {tries} tries"),
                };
            }
            (_, Hold::Stuck) => "could not be lifted",
            (Some(Trouble::Expiring), _) => "holds, lifts soon",
            (_, Hold::Accepted) => "accepted, not read back",
            (_, Hold::Verified) if self.one_off => "done",
            (_, Hold::Verified) => "holds",
            (_, Hold::Lifting) => "being lifted",
            (_, Hold::Lifted) => "lifted",
        };
        words.to_owned()
    }
}
