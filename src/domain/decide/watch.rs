//! Keeping an eye on what is contained: does it still hold some time later, and
//! is it about to be lifted?

use crate::domain::command::Phase;
use crate::domain::decide::attempt::RETRY_AFTER_MAX;
use crate::domain::decide::turn::Turn;
use crate::domain::event::Event;
use crate::domain::id::ContainmentId;
use crate::domain::outcome::{FailureClass, Outcome};
use crate::domain::owed::watch_times;
use crate::domain::run::{Hold, RECHECK_AGAIN, StepKey};
use crate::domain::signal::Refusal;
use crate::domain::value::Value;

/// Looks of one recheck, and tries to warn, before it is given up.
const TRIES_MAX: u32 = 5;
/// Looks in a row that must show a containment gone before it counts as gone.
const GONE_LOOKS: u32 = 2;

impl Turn<'_> {
    /// What of watching a containment is due now.
    pub(super) fn wake_watch(&mut self, id: ContainmentId) -> Result<(), Refusal> {
        let held = &self.state.containments[&id];
        let (key, until) = (held.key.clone(), held.until);
        let due = |at: Option<crate::domain::time::Timestamp>| at.is_some_and(|at| at <= self.now);
        let [recheck, warn] = watch_times(self.state, held).map(due);
        let told = held.warn.is_some();
        if recheck {
            self.attempt(&key, Phase::Recheck)?;
        }
        if warn && let Some(until) = until {
            if !told {
                self.record(Event::ContainmentExpiring { containment: id, until })?;
            }
            self.attempt(&key, Phase::Warn)?;
        }
        Ok(())
    }

    pub(super) fn watch_performed(
        &mut self,
        key: &StepKey,
        phase: Phase,
        outcome: &Outcome,
    ) -> Result<(), Refusal> {
        let Some(id) = self.step(key)?.containment else { return Ok(()) };
        if self.state.containments[&id].hold != Hold::Verified {
            return Ok(());
        }
        let tried = self.step(key)?.attempts.get(&phase).copied().unwrap_or(1);
        let wait = match outcome {
            Outcome::Failed { failure, .. } => {
                failure.retry_after.unwrap_or(RECHECK_AGAIN).min(RETRY_AFTER_MAX)
            }
            Outcome::Succeeded { .. } => RECHECK_AGAIN,
        };
        let later = Event::AttemptDue { key: key.clone(), phase, at: self.now.after(wait) };
        let hopeless =
            matches!(outcome, Outcome::Failed { failure, .. } if failure.class == FailureClass::Permanent);
        match (phase, outcome) {
            (Phase::Recheck, Outcome::Succeeded { output, .. }) => {
                if output.get("holds").and_then(Value::as_bool) == Some(true) {
                    return self.record(Event::ContainmentVerified { containment: id });
                }
                if tried < GONE_LOOKS {
                    return self.record(later);
                }
                // What was read stands in the outcome; words are shown to more people.
                let what = "it no longer holds, and this run did not lift it".to_owned();
                self.record(Event::ContainmentDrifted { containment: id, what })
            }
            (Phase::Recheck, Outcome::Failed { failure, .. }) if hopeless || tried >= TRIES_MAX => {
                let what = format!("whether it still holds cannot be read back: {}", failure.message);
                self.record(Event::ContainmentDrifted { containment: id, what })
            }
            (Phase::Warn, Outcome::Succeeded { .. }) => Ok(()),
            (Phase::Warn, Outcome::Failed { .. }) if hopeless || tried >= TRIES_MAX => Ok(()),
            _ => self.record(later),
        }
    }

    /// A look or a warning was lost with its process; both may be made again.
    pub(super) fn watch_lost(&mut self, key: &StepKey, phase: Phase) -> Result<(), Refusal> {
        let held = self.step(key)?.containment.and_then(|id| self.state.containments.get(&id));
        match held {
            Some(held) if held.hold == Hold::Verified => self.attempt(key, phase),
            _ => Ok(()),
        }
    }
}
