//! An act whose outcome nobody knows, where the system can be asked whether it
//! happened. Its yes ends the step. Its no counts only after it was asked for a
//! while, because what a system searches may lag behind what it took, and
//! leads to a second act only where the connector says that such a no can be
//! trusted.

use std::time::Duration;

use crate::domain::command::Phase;
use crate::domain::decide::attempt::{RETRY_AFTER_MAX, deadline, doubled};
use crate::domain::decide::turn::Turn;
use crate::domain::event::Event;
use crate::domain::outcome::Failure;
use crate::domain::planted::{Bug, planted};
use crate::domain::playbook::{ActionSpec, Body, Effect, IfAbsent};
use crate::domain::run::{LIFT_MOST, LOOK_FIRST, LOOKS_LEAST, StepEnd, StepKey};
use crate::domain::signal::Refusal;
use crate::domain::time::duration_text;
use crate::domain::value::Value;

/// How long a system that cannot be asked is tried again: what cut off the act
/// is often down for some minutes, and a person who is called has no better
/// means while it is.
const UNANSWERED_MOST: Duration = Duration::from_secs(15 * 60);

impl Turn<'_> {
    /// The system said whether an act whose outcome is unknown happened.
    pub(super) fn reconciled(
        &mut self,
        key: &StepKey,
        action: &ActionSpec,
        output: &Value,
    ) -> Result<(), Refusal> {
        let asked = output.get("asked").and_then(Value::as_str).unwrap_or("the system was asked");
        if output.get("found").and_then(Value::as_bool) == Some(true) {
            let given = output.get("output").cloned().unwrap_or_default();
            let why = format!("{}; {asked}, and says that it happened", self.not_heard(key)?);
            return self.end_step(key, StepEnd::Succeeded, Some(given), Some(why));
        }
        let Some(spec) = action.reconcile else {
            return self.uncertain(key, &self.not_heard(key)?);
        };
        if !planted(Bug::OneNoIsEnough) && self.look_again(key, Phase::Reconcile, spec.within)? {
            return Ok(());
        }
        let step = self.step(key)?;
        let looks = step.looks;
        let since = step.phase_since.get(&Phase::Reconcile).copied().unwrap_or(self.now);
        let asked = format!(
            "{}; {asked} {looks} times in {}, and does not know of it",
            self.not_heard(key)?,
            duration_text(self.now.since(since))
        );
        if spec.absent == IfAbsent::Uncertain && !planted(Bug::EveryNoIsTrusted) {
            return self.uncertain(key, &format!("{asked}, which proves nothing there"));
        }
        if self.last {
            // Who sends again asks first.
            return self.attempt(key, Phase::Reconcile);
        }
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        let step = self.step(key)?;
        let tried = step.attempts.get(&Phase::Act).copied().unwrap_or(0);
        let too_late = deadline(spec, step.since).is_some_and(|deadline| self.now > deadline);
        if tried <= spec.retry.times && !too_late && !self.is_cut_off(key) {
            return self.attempt(key, Phase::Act);
        }
        self.fail_step(key, format!("{asked}: it did not happen"))
    }

    /// The system could not be asked: it is tried again, a good while longer
    /// than a no is doubted.
    pub(super) fn asked_in_vain(&mut self, key: &StepKey, failure: &Failure) -> Result<(), Refusal> {
        let step = self.step(key)?;
        let since = step.phase_since.get(&Phase::Reconcile).copied().unwrap_or(self.now);
        let tried = step.attempts.get(&Phase::Reconcile).copied().unwrap_or(1);
        if self.now >= since.after(UNANSWERED_MOST) && tried >= LOOKS_LEAST {
            return self.nobody_can_say(key, failure);
        }
        let wait = match failure.retry_after {
            Some(wish) => wish.min(RETRY_AFTER_MAX),
            None => doubled(LOOK_FIRST, LIFT_MOST, tried),
        };
        let at = self.now.after(wait);
        self.record(Event::AttemptDue { key: key.clone(), phase: Phase::Reconcile, at })
    }

    /// Acting was not heard of, and the system cannot be asked either.
    pub(super) fn nobody_can_say(&mut self, key: &StepKey, failure: &Failure) -> Result<(), Refusal> {
        let what = format!(
            "{}; asking whether it happened gave no answer: {}",
            self.not_heard(key)?,
            failure.message
        );
        self.uncertain(key, &what)
    }

    /// Why nobody knows what came of the act.
    pub(super) fn not_heard(&self, key: &StepKey) -> Result<String, Refusal> {
        let unheard = self.step(key)?.unheard.clone();
        Ok(unheard.unwrap_or_else(|| match self.may_be_done_already(key) {
            true => "it may have been sent after the backup that the journal was read from".to_owned(),
            false => "it was sent, and its outcome is unknown".to_owned(),
        }))
    }

    /// Whether this run may have done the step after the backup that the journal was
    /// read from, so that an act of it is the first only by the record.
    pub(super) fn may_be_done_already(&self, key: &StepKey) -> bool {
        self.state.restored.as_ref().is_some_and(|acted| !acted.contains(key))
    }

    /// Whether the system is to be asked for the step's mark before it is sent anything.
    pub(super) fn asks_first(&self, key: &StepKey) -> Result<bool, Refusal> {
        if !self.may_be_done_already(key) || planted(Bug::RestoredIsTheEnd) {
            return Ok(false);
        }
        let (_, spec) = self.spec(&self.plan, key)?;
        let can_ask = matches!(&spec.body, Body::Perform(action)
            if action.effect == Effect::Once && action.reconcile.is_some());
        Ok(can_ask && !self.step(key)?.phase_since.contains_key(&Phase::Reconcile))
    }
}
