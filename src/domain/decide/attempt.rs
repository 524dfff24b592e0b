//! What an outcome means: go on, try again, fail, or nobody knows.

use std::time::Duration;

use serde_json::json;

use crate::domain::command::Phase;
use crate::domain::decide::turn::Turn;
use crate::domain::event::Event;
use crate::domain::id::ContainmentId;
use crate::domain::kept::target_label;
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::planted::{Bug, planted};
use crate::domain::playbook::{ActionSpec, Body, Effect, Retry, Step};
use crate::domain::run::{Hold, LOOK_FIRST, LOOK_MOST, LOOKS_LEAST, StepEnd, StepKey};
use crate::domain::signal::Refusal;
use crate::domain::time::{Timestamp, duration_text};
use crate::domain::value::{Value, digest};

/// The longest wait that a peer's `Retry-After` is granted.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

impl Turn<'_> {
    pub(super) fn performed(
        &mut self,
        key: &StepKey,
        phase: Phase,
        attempt: u32,
        outcome: &Outcome,
    ) -> Result<(), Refusal> {
        if !self.in_flight(key, phase, attempt) {
            return Ok(());
        }
        self.record(Event::AttemptEnded { key: key.clone(), phase, attempt, outcome: outcome.clone() })?;
        if outcome.not_begun() && self.still_wanted(key, phase)? {
            return self.make_after_all(key, phase);
        }
        if phase.undoes() {
            return self.undo_performed(key, phase, outcome);
        }
        if phase.watches() {
            return self.watch_performed(key, phase, outcome);
        }
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        if phase == Phase::Remind {
            return match outcome {
                Outcome::Failed { failure, .. } => self.remind_again(key, spec, failure),
                Outcome::Succeeded { .. } => Ok(()),
            };
        }
        if phase == Phase::Announce {
            return match outcome {
                Outcome::Failed { failure, .. } => self.announce_again(key, spec, failure),
                Outcome::Succeeded { .. } => Ok(()),
            };
        }
        let Body::Perform(action) = &spec.body else {
            return Ok(());
        };
        match outcome {
            Outcome::Succeeded { output, .. } => self.succeeded(key, action, phase, output),
            Outcome::Failed { failure, .. } => self.failed(key, spec, action, phase, failure),
        }
    }

    /// The process that held the attempt is gone: what may follow is a matter
    /// of what the operation does to the world.
    pub(super) fn lost(&mut self, key: &StepKey, phase: Phase, attempt: u32) -> Result<(), Refusal> {
        if !self.in_flight(key, phase, attempt) {
            return Ok(());
        }
        let waited = self.step(key)?.begun_parts.get(&phase) == Some(&false);
        self.record(Event::AttemptLost { key: key.clone(), phase, attempt, waited })?;
        let set_aside = self.state.quarantined.is_some() && !phase.undoes() && !phase.watches();
        if waited {
            // It cannot be what ended the server, and nothing of it was sent.
            let again = !set_aside && self.still_wanted(key, phase)?;
            return if again { self.make_after_all(key, phase) } else { Ok(()) };
        }
        if self.quarantine(key, phase)? || set_aside {
            return Ok(());
        }
        if phase.watches() {
            return self.watch_lost(key, phase);
        }
        if phase == Phase::Remind {
            return if self.still_open(key) { self.attempt(key, phase) } else { Ok(()) };
        }
        if phase.undoes() {
            // Looking first makes the way back safe to begin again.
            return self.attempt(key, Phase::UndoCheck);
        }
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        match &spec.body {
            Body::Perform(action) if phase != Phase::Announce => {
                self.unknown(key, action, phase, "the server stopped while this was under way")
            }
            _ if phase == Phase::Announce && planted(Bug::ResumeSkipsApproval) => self.next_move(key),
            // An announcement that comes twice asks for the same one decision.
            _ if phase == Phase::Announce && self.still_asked(key) => self.attempt(key, phase),
            _ => Ok(()),
        }
    }

    /// The attempt has its turn: from here on what is lost was at work.
    pub(super) fn began(&mut self, key: &StepKey, phase: Phase, attempt: u32) -> Result<(), Refusal> {
        if !self.in_flight(key, phase, attempt) || self.step(key)?.begun_parts.get(&phase) != Some(&false) {
            return Ok(());
        }
        self.record(Event::AttemptBegan { key: key.clone(), phase, attempt })
    }

    /// An attempt of which nothing was sent is due again at once.
    fn make_after_all(&mut self, key: &StepKey, phase: Phase) -> Result<(), Refusal> {
        let tried = self.step(key)?.attempts.get(&phase).copied().unwrap_or(0);
        if phase == Phase::UndoCheck && tried == 0 {
            // What is lifted first is decided anew.
            return Ok(());
        }
        self.record(Event::AttemptDue { key: key.clone(), phase, at: self.now })
    }

    /// Whether an attempt that was called off is to be made after all. Steps
    /// that are cut off are cancelled by whoever cut them off.
    fn still_wanted(&self, key: &StepKey, phase: Phase) -> Result<bool, Refusal> {
        let containment = self.step(key)?.containment.and_then(|id| self.state.containments.get(&id));
        Ok(match phase {
            Phase::Announce => self.still_asked(key),
            Phase::Remind => self.still_open(key),
            _ if phase.watches() => containment.is_some_and(|held| held.hold == Hold::Verified),
            _ => true,
        })
    }

    /// Whether the step's approval is still open.
    fn still_asked(&self, key: &StepKey) -> bool {
        let approval = self.state.steps.get(key).and_then(|step| step.approval);
        let asked = approval.and_then(|id| self.state.approvals.get(&id));
        asked.is_some_and(|asked| !asked.closed) && !self.is_cut_off(key)
    }

    /// Approvers that could not be told are told again, while that may help.
    /// Whether they were told or not, the approval waits until its time is up.
    fn announce_again(&mut self, key: &StepKey, spec: &Step, failure: &Failure) -> Result<(), Refusal> {
        let tried = self.step(key)?.attempts.get(&Phase::Announce).copied().unwrap_or(1);
        let hopeless = failure.class == FailureClass::Permanent || tried > spec.retry.times;
        if hopeless || !self.still_asked(key) {
            return Ok(());
        }
        let wait = self.backoff(key, Phase::Announce, tried, spec.retry, failure.retry_after);
        let at = self.now.after(wait);
        self.record(Event::AttemptDue { key: key.clone(), phase: Phase::Announce, at })
    }

    fn succeeded(
        &mut self,
        key: &StepKey,
        action: &ActionSpec,
        phase: Phase,
        output: &Value,
    ) -> Result<(), Refusal> {
        match phase {
            Phase::Capture if self.is_cut_off(key) || self.state.quarantined.is_some() => Ok(()),
            Phase::Capture => self.next_move(key),
            Phase::Act if action.containment.is_some() => self.contained(key, action, true),
            Phase::Act if action.question.is_some() => self.asked(key, action, true),
            Phase::Act => self.end_step(key, StepEnd::Succeeded, None, None),
            Phase::Verify => self.looked(key, action, output),
            Phase::Reconcile => self.reconciled(key, action, output),
            _ => Ok(()),
        }
    }

    /// The system accepted the containment (or it already was so).
    pub(super) fn contained(
        &mut self,
        key: &StepKey,
        action: &ActionSpec,
        changed: bool,
    ) -> Result<(), Refusal> {
        let Some(spec) = &action.containment else {
            return Ok(());
        };
        let id = ContainmentId::derived(self.run.ulid(), &key.to_string());
        let step = self.step(key)?;
        let target = step.captured.as_ref().map(|state| target_label(state.value()));
        let until = spec.hold.filter(|_| changed).map(|hold| self.now.after(hold));
        self.record(Event::ContainmentAccepted {
            key: key.clone(),
            containment: id,
            operation: action.operation.clone(),
            target: target.unwrap_or_else(|| "the target".to_owned()),
            changed,
            until,
        })?;
        if !changed {
            return self.verified(key, id);
        }
        match spec.verify_within {
            Some(_) => self.attempt(key, Phase::Verify),
            None => self.end_contained(key, id, StepEnd::Succeeded, None),
        }
    }

    fn verified(&mut self, key: &StepKey, id: ContainmentId) -> Result<(), Refusal> {
        if self.state.containments[&id].hold == Hold::Accepted {
            self.record(Event::ContainmentVerified { containment: id })?;
        }
        let unchanged = match self.may_be_done_already(key) {
            true => {
                "it already was in that state; nothing was written. This run may have brought it about after the backup that the journal was read from, so it is not lifted by itself"
            }
            false => "it already was in that state; nothing was written",
        };
        let why = (!self.state.containments[&id].changed).then(|| unchanged.to_owned());
        self.end_contained(key, id, StepEnd::Succeeded, why)
    }

    fn end_contained(
        &mut self,
        key: &StepKey,
        id: ContainmentId,
        end: StepEnd,
        why: Option<String>,
    ) -> Result<(), Refusal> {
        let held = &self.state.containments[&id];
        let before = self.step(key)?.captured.as_ref().map(|state| state.value().clone()).unwrap_or_default();
        let output = json!({
            "containment": id, "target": before.get("target"), "before": before.get("state"),
            "changed": held.changed, "until": held.until,
        });
        self.end_step(key, end, Some(output), why)
    }

    /// A look at the target after acting, or after an act whose outcome is unknown.
    fn looked(&mut self, key: &StepKey, action: &ActionSpec, output: &Value) -> Result<(), Refusal> {
        let holds = output.get("holds").and_then(Value::as_bool).unwrap_or(false);
        let accepted = self.step(key)?.containment;
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        match (holds, accepted) {
            (true, Some(id)) => self.verified(key, id),
            (true, None) => {
                // The lost act did happen. It is recorded as ours, and verified by this look.
                self.contained(key, action, true)
            }
            (false, None) => {
                let tried = self.step(key)?.attempts.get(&Phase::Act).copied().unwrap_or(0);
                if self.last {
                    // Who acts again looks first: the act before may still show.
                    return self.attempt(key, Phase::Verify);
                }
                let converges = action.effect != Effect::Once;
                if converges && !self.is_cut_off(key) && tried <= spec.retry.times {
                    return self.attempt(key, Phase::Act);
                }
                // Directories show changes late: one look proves nothing.
                if !planted(Bug::OneLookIsEnough) && self.look_later(key, action)? {
                    return Ok(());
                }
                let why = format!("{}; reading back shows that it did not happen", self.not_heard(key)?);
                self.fail_step(key, why)
            }
            (false, Some(id)) if self.state.containments[&id].hold != Hold::Accepted => {
                self.lifted_unseen(key, id)
            }
            (false, Some(_)) if self.look_later(key, action)? => Ok(()),
            (false, Some(_)) => {
                let window = action.containment.as_ref().and_then(|spec| spec.verify_within);
                let why = format!(
                    "it was accepted, but reading back did not show it within {}: treat the target as NOT contained and look yourself",
                    duration_text(window.unwrap_or_default())
                );
                self.fail_step(key, why)
            }
        }
    }

    /// It was lifted, by its time box or by a person, before it was seen to hold:
    /// that it does not hold now is as it should be, and says nothing of before.
    fn lifted_unseen(&mut self, key: &StepKey, id: ContainmentId) -> Result<(), Refusal> {
        let end = match self.state.containments[&id].hold {
            Hold::Lifted => StepEnd::Undone,
            _ => StepEnd::Succeeded,
        };
        let why = "it was lifted before reading back had shown it";
        self.end_contained(key, id, end, Some(why.to_owned()))
    }

    /// Looks again a little later, while the time for it lasts; false when it is over.
    fn look_later(&mut self, key: &StepKey, action: &ActionSpec) -> Result<bool, Refusal> {
        let window = action.containment.as_ref().and_then(|spec| spec.verify_within).unwrap_or_default();
        self.look_again(key, Phase::Verify, window)
    }

    pub(super) fn look_again(
        &mut self,
        key: &StepKey,
        phase: Phase,
        window: Duration,
    ) -> Result<bool, Refusal> {
        let step = self.step(key)?;
        let since = step.phase_since.get(&phase).copied().unwrap_or(self.now);
        let looks = step.attempts.get(&phase).copied().unwrap_or(1);
        let over = since.after(window);
        let time_is_up = self.now >= over;
        if time_is_up && step.looks >= LOOKS_LEAST {
            return Ok(false);
        }
        let next = self.now.after(doubled(LOOK_FIRST, LOOK_MOST, looks));
        let at = if time_is_up { next } else { next.min(over) };
        self.record(Event::AttemptDue { key: key.clone(), phase, at })?;
        Ok(true)
    }

    fn failed(
        &mut self,
        key: &StepKey,
        spec: &Step,
        action: &ActionSpec,
        phase: Phase,
        failure: &Failure,
    ) -> Result<(), Refusal> {
        match failure.class {
            FailureClass::Permanent => self.give_up(key, phase, failure),
            _ if phase == Phase::Reconcile => self.asked_in_vain(key, failure),
            FailureClass::Transient => self.again(key, spec, phase, failure),
            FailureClass::Unknown if phase.reads() || action.effect == Effect::Read => {
                self.again(key, spec, phase, failure)
            }
            FailureClass::Unknown => {
                let converges = matches!(action.effect, Effect::Idempotent | Effect::Keyed)
                    || planted(Bug::OnceIsTriedAgain);
                if converges && action.containment.is_none() {
                    return self.again(key, spec, phase, failure);
                }
                let window = action.containment.as_ref().and_then(|spec| spec.verify_within);
                if let (Some(wish), Some(window)) = (failure.retry_after, window) {
                    // Left alone as it asks, but whether somebody is contained cannot wait for long.
                    let at = self.now.after(wish.min(window));
                    return self.record(Event::AttemptDue { key: key.clone(), phase: Phase::Verify, at });
                }
                self.unknown(key, action, phase, &failure.message)
            }
        }
    }

    /// An attempt whose outcome nobody knows.
    pub(super) fn unknown(
        &mut self,
        key: &StepKey,
        action: &ActionSpec,
        phase: Phase,
        what: &str,
    ) -> Result<(), Refusal> {
        if phase.reads() || action.effect == Effect::Read {
            return self.attempt(key, phase);
        }
        let verifies = action.containment.as_ref().is_some_and(|spec| spec.verify_within.is_some());
        match action.effect {
            _ if verifies && planted(Bug::CapturedAfterActing) => self.attempt(key, Phase::Capture),
            // Read back first, then converge.
            _ if verifies => self.attempt(key, Phase::Verify),
            Effect::Idempotent | Effect::Keyed => self.attempt(key, phase),
            // The question may have arrived: its answer, or its deadline, will tell.
            _ if action.question.is_some() => self.asked(key, action, false),
            _ if action.reconcile.is_some() => self.attempt(key, Phase::Reconcile),
            _ => self.uncertain(key, what),
        }
    }

    pub(super) fn uncertain(&mut self, key: &StepKey, what: &str) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        self.record(Event::StepUncertain { key: key.clone(), what: what.to_owned() })?;
        if spec.on_error == crate::domain::playbook::OnError::Continue || self.is_cut_off(key) {
            return self.end_step(key, StepEnd::Uncertain, None, Some(what.to_owned()));
        }
        Ok(())
    }

    /// Tries again later, unless it was tried often enough or time is up.
    fn again(&mut self, key: &StepKey, spec: &Step, phase: Phase, failure: &Failure) -> Result<(), Refusal> {
        let step = self.step(key)?;
        let tried = step.attempts.get(&phase).copied().unwrap_or(1);
        let wait = self.backoff(key, phase, tried, spec.retry, failure.retry_after);
        let at = self.now.after(wait);
        let too_late = deadline(spec, step.since).is_some_and(|deadline| at > deadline);
        if tried > spec.retry.times || too_late || self.is_cut_off(key) {
            return self.give_up(key, phase, failure);
        }
        self.record(Event::AttemptDue { key: key.clone(), phase, at })
    }

    /// Whether an act of this step may have happened unheard.
    pub(super) fn may_have_acted(&self, key: &StepKey) -> Result<bool, Refusal> {
        let (_, spec) = self.spec(&self.plan, key)?;
        let acts = matches!(&spec.body, Body::Perform(action) if action.effect != Effect::Read);
        Ok(acts && self.step(key)?.unheard.is_some())
    }

    /// The same for a containment that can be read back.
    pub(super) fn may_have_contained(&self, key: &StepKey) -> Result<bool, Refusal> {
        let (_, spec) = self.spec(&self.plan, key)?;
        let verifies = |action: &ActionSpec| {
            action.containment.as_ref().is_some_and(|spec| spec.verify_within.is_some())
        };
        let verifies = matches!(&spec.body, Body::Perform(action) if verifies(action));
        Ok(verifies && self.may_have_acted(key)?)
    }

    pub(super) fn give_up(&mut self, key: &StepKey, phase: Phase, failure: &Failure) -> Result<(), Refusal> {
        if phase == Phase::Act && self.may_have_contained(key)? {
            return self.attempt(key, Phase::Verify);
        }
        let step = self.step(key)?;
        if phase == Phase::Reconcile {
            return self.nobody_can_say(key, failure);
        }
        if phase == Phase::Verify && step.containment.is_none() {
            // Acting was not heard of, and now it cannot be looked at either.
            let what = format!("{}; reading back fails: {}", self.not_heard(key)?, failure.message);
            return self.uncertain(key, &what);
        }
        let tried = step.attempts.get(&phase).copied().unwrap_or(1);
        let times = if tried > 1 { format!(" (tried {tried} times)") } else { String::new() };
        let why = format!("{}{times}", failure.message);
        self.end_without_success(key, phase, why)
    }

    /// A step that is not tried again fails, unless an act of it may have
    /// happened: then only a person can say.
    pub(super) fn end_without_success(
        &mut self,
        key: &StepKey,
        phase: Phase,
        why: String,
    ) -> Result<(), Refusal> {
        if phase != Phase::Act || !self.may_have_acted(key)? {
            return self.fail_step(key, why);
        }
        let not_heard = self.not_heard(key)?;
        self.uncertain(key, &format!("{not_heard}; it is not tried again: {why}"))
    }

    /// How long to wait before the next attempt: doubling, spread by a hash so
    /// that many runs do not come back at once; the peer's wish wins.
    pub(super) fn backoff(
        &self,
        key: &StepKey,
        phase: Phase,
        tried: u32,
        retry: Retry,
        wish: Option<Duration>,
    ) -> Duration {
        if let Some(wish) = wish {
            return wish.min(RETRY_AFTER_MAX);
        }
        let whole = doubled(retry.first, retry.most, tried);
        let spread = digest(format!("{}/{key}/{phase}/{tried}", self.run).as_bytes()).0[0];
        // Between three quarters and the whole.
        whole.mul_f64(0.75 + 0.25 * f64::from(spread) / 255.0)
    }
}

/// When a step must be over.
pub(super) fn deadline(spec: &Step, since: Timestamp) -> Option<Timestamp> {
    spec.within.map(|within| since.after(within))
}

/// The wait after `tried` attempts: the first, doubled each time, up to the longest.
pub(super) fn doubled(first: Duration, most: Duration, tried: u32) -> Duration {
    let factor = 2u32.saturating_pow(tried.saturating_sub(1).min(16));
    first.saturating_mul(factor).min(most)
}
