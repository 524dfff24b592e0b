//! The way back: look, restore, look again. Lifting is tried until it is seen
//! to have happened. Field by field, what is still as we left it is restored;
//! what somebody else changed since is left alone, and a person decides.

use std::time::Duration;

use crate::domain::command::Phase;
use crate::domain::decide::attempt::doubled;
use crate::domain::decide::signal::may_lift;
use crate::domain::decide::turn::Turn;
use crate::domain::event::Event;
use crate::domain::id::ContainmentId;
use crate::domain::kept::{KeptField, fields_of, words_of};
use crate::domain::outcome::{FailureClass, Outcome};
use crate::domain::planted::{Bug, planted};
use crate::domain::playbook::{Body, StepIx};
use crate::domain::run::{
    Containment, Hold, LIFT_MOST, LOOK_FIRST, LOOK_MOST, LOOKS_LEAST, Stage, StepEnd, StepKey,
};
use crate::domain::signal::Refusal;
use crate::domain::time::duration_text;
use crate::domain::value::Value;

/// Looks in a row that must show the state before, where we wrote nothing since.
const RESTORED_LOOKS_LEAST: u32 = 2;

/// How long after the first of them the next look comes: long enough to reach
/// another copy, short enough for a person who waits for the answer.
const LOOK_LIFTED_AGAIN: Duration = Duration::from_secs(10);

impl Turn<'_> {
    /// Whether the step's containment declares a way back.
    pub(super) fn can_undo(&self, key: &StepKey) -> bool {
        let Some((_, spec)) = self.plan.playbook.step(&key.id) else {
            return false;
        };
        match &spec.body {
            Body::Perform(action) => action.containment.as_ref().is_some_and(|spec| spec.undo),
            _ => false,
        }
    }

    pub(super) fn undo_performed(
        &mut self,
        key: &StepKey,
        phase: Phase,
        outcome: &Outcome,
    ) -> Result<(), Refusal> {
        let Some(id) = self.step(key)?.containment else {
            return Ok(());
        };
        let output = match outcome {
            Outcome::Succeeded { output, .. } => output,
            Outcome::Failed { failure, .. } if failure.class == FailureClass::Permanent => {
                return self.refuse_undo(id, failure.message.clone(), Vec::new());
            }
            Outcome::Failed { failure, .. } => {
                let wait = failure.retry_after.unwrap_or_else(|| self.lift_wait(key));
                return self.lift_later(key, wait.min(LIFT_MOST));
            }
        };
        match phase {
            Phase::UndoCheck => match output.get("state").and_then(Value::as_str) {
                Some("restored") => self.shows_restored(key, id, phase),
                Some("changed") if !self.state.containments[&id].anyway => {
                    let others = changed_since(&self.state.containments[&id]);
                    let looked = output.get("diff").and_then(Value::as_str).unwrap_or_default();
                    let diff = words_of(&others, KeptField::is_disputed);
                    let diff = if diff.is_empty() { looked } else { &diff };
                    let why = format!("somebody else changed the target since: {diff}; {}", what_to_do(id));
                    self.refuse_undo(id, why, others)
                }
                _ => self.attempt(key, Phase::Undo),
            },
            Phase::Undo => self.attempt(key, Phase::UndoVerify),
            Phase::UndoVerify if planted(Bug::LiftedUnseen) => self.lifted(id),
            Phase::UndoVerify if output.get("holds").and_then(Value::as_bool) == Some(true) => {
                self.shows_restored(key, id, phase)
            }
            Phase::UndoVerify => self.look_whether_lifted(key),
            _ => Ok(()),
        }
    }

    /// A look shows the state before. It may have reached a copy that lags
    /// behind: one in which our act does not show yet, or an old one by chance.
    fn shows_restored(&mut self, key: &StepKey, id: ContainmentId, phase: Phase) -> Result<(), Refusal> {
        let held = &self.state.containments[&id];
        if !held.changed || planted(Bug::LiftedAfterOneLook) {
            return self.lifted(id);
        }
        let (looks, was_seen) = (held.restored, held.verified_at.is_some());
        let window = self.verify_window(key)?;
        match (phase, was_seen) {
            // Nothing of ours was written since: somebody else restored it, or the look is old.
            (Phase::UndoCheck, true) if looks < RESTORED_LOOKS_LEAST => {
                self.lift_later(key, LOOK_LIFTED_AGAIN.min(window))
            }
            // What was never seen to hold may come late, and writing the state
            // before once more does no harm.
            (Phase::UndoCheck, false) => self.attempt(key, Phase::Undo),
            (_, true) => self.lifted(id),
            // It was written, and that it shows may still be the state before our act.
            (_, false) => {
                let step = self.step(key)?;
                let since = step.phase_since.get(&Phase::Verify).or(step.phase_since.get(&Phase::Act));
                let over = since.copied().unwrap_or(self.now).after(window);
                // A clock that was set back does not count: then the pauses between looks do.
                let pauses: Duration = (1..looks).map(|nth| doubled(LOOK_FIRST, LOOK_MOST, nth)).sum();
                if looks >= LOOKS_LEAST && (self.now >= over || pauses >= window) {
                    return self.lifted(id);
                }
                let next = self.now.after(doubled(LOOK_FIRST, LOOK_MOST, looks));
                let at = if self.now >= over { next } else { next.min(over) };
                self.record(Event::AttemptDue { key: key.clone(), phase, at })
            }
        }
    }

    /// All that could be restored is. What somebody else changed of what we had
    /// changed is not, and then it is not lifted either.
    fn lifted(&mut self, id: ContainmentId) -> Result<(), Refusal> {
        let held = &self.state.containments[&id];
        let others = if held.anyway { Vec::new() } else { changed_since(held) };
        let diff = words_of(&others, KeptField::is_disputed);
        if diff.is_empty() {
            return self.record(Event::ContainmentLifted { containment: id, others });
        }
        let why = format!(
            "it is lifted in part. Somebody else changed this since, and it was left as it is: {diff}; {}",
            what_to_do(id)
        );
        self.refuse_undo(id, why, others)
    }

    fn refuse_undo(
        &mut self,
        containment: ContainmentId,
        why: String,
        others: Vec<KeptField>,
    ) -> Result<(), Refusal> {
        self.record(Event::UndoRefused { containment, why, others })
    }

    /// A person wants containments lifted: these, or all that hold. Nothing
    /// follows for what is lifted or on its way back already.
    pub(super) fn undo(
        &mut self,
        containments: &[ContainmentId],
        by: &str,
        why: Option<&str>,
        anyway: bool,
    ) -> Result<(), Refusal> {
        let reversible = |held: &Containment| self.can_undo(&held.key);
        let ids: Vec<ContainmentId> = if containments.is_empty() {
            let held = self.state.containments.iter();
            held.filter(|(_, held)| reversible(held)).map(|(id, _)| *id).collect()
        } else {
            containments.to_vec()
        };
        if ids.is_empty() {
            return Err(Refusal::new(
                "nothing-held",
                "this run contained nothing that can be lifted; there is nothing to undo",
            ));
        }
        for &id in &ids {
            self.holding(id)?;
            let held = &self.state.containments[&id];
            if !reversible(held) {
                return Err(Refusal::new(
                    "irreversible",
                    format!(
                        "{id} (step `{}`) cannot be undone: its operation declares no way back; nothing was lifted",
                        held.key
                    ),
                ));
            }
        }
        for id in ids {
            if may_lift(self.holding(id)?) {
                let (by, why) = (by.to_owned(), why.map(str::to_owned));
                self.record(Event::UndoRequested { containment: id, by, why, anyway })?;
            }
        }
        Ok(())
    }

    fn look_whether_lifted(&mut self, key: &StepKey) -> Result<(), Refusal> {
        let window = self.verify_window(key)?;
        let step = self.step(key)?;
        let since = step.phase_since.get(&Phase::UndoVerify).copied().unwrap_or(self.now);
        let looks = step.attempts.get(&Phase::UndoVerify).copied().unwrap_or(1);
        if self.now < since.after(window) {
            let at = self.now.after(doubled(LOOK_FIRST, LOOK_MOST, looks));
            return self.record(Event::AttemptDue { key: key.clone(), phase: Phase::UndoVerify, at });
        }
        let wait = self.lift_wait(key);
        self.lift_later(key, wait)
    }

    /// How long a write may take to show.
    fn verify_window(&self, key: &StepKey) -> Result<Duration, Refusal> {
        let (_, spec) = self.spec(&self.plan, key)?;
        let window = match &spec.body {
            Body::Perform(action) => action.containment.as_ref().and_then(|spec| spec.verify_within),
            _ => None,
        };
        Ok(window.unwrap_or_default())
    }

    fn lift_wait(&self, key: &StepKey) -> Duration {
        let tried = self
            .state
            .steps
            .get(key)
            .and_then(|step| step.attempts.get(&Phase::UndoCheck))
            .copied()
            .unwrap_or(1);
        doubled(LOOK_FIRST, LIFT_MOST, tried)
    }

    fn lift_later(&mut self, key: &StepKey, wait: Duration) -> Result<(), Refusal> {
        let at = self.now.after(wait);
        self.record(Event::AttemptDue { key: key.clone(), phase: Phase::UndoCheck, at })
    }

    /// An `undo` step asks for what its targets contained to be lifted.
    pub(super) fn begin_undo_step(&mut self, key: &StepKey, targets: &[StepIx]) -> Result<(), Refusal> {
        for id in self.containments_of(targets) {
            let held = &self.state.containments[&id];
            if may_lift(held.hold) && self.can_undo(&held.key) {
                let by = format!("step {key}");
                self.record(Event::UndoRequested { containment: id, by, why: None, anyway: false })?;
            }
        }
        Ok(())
    }

    /// An `undo` step ends when everything it lifts is lifted or stuck.
    pub(super) fn advance_undo_step(&mut self, key: &StepKey, targets: &[StepIx]) -> Result<(), Refusal> {
        let ids = self.containments_of(targets);
        let held = |id: &ContainmentId| self.state.containments[id].hold;
        if ids.iter().any(|id| held(id) == Hold::Lifting) {
            return Ok(());
        }
        if let Some(stuck) = ids.iter().find(|id| held(id) == Hold::Stuck) {
            let why = self.state.containments[stuck].why.clone().unwrap_or_default();
            return self.fail_step(key, format!("{stuck} could not be lifted: {why}"));
        }
        let why = ids.is_empty().then(|| "those steps contained nothing".to_owned());
        self.end_step(key, StepEnd::Succeeded, None, why)
    }

    /// Lifts what is on its way back, one at a time, the latest containment first.
    pub(super) fn advance_undo(&mut self) -> Result<(), Refusal> {
        let lifting = || self.state.containments.values().filter(|held| held.hold == Hold::Lifting);
        let busy = lifting().any(|held| matches!(held.undo, Some(Stage::InFlight { .. } | Stage::Ready)));
        if busy {
            return Ok(());
        }
        let latest = |accepted| if planted(Bug::UndoRunsForward) { u64::MAX - accepted } else { accepted };
        let next = lifting().filter(|held| held.undo.is_none()).max_by_key(|held| latest(held.accepted));
        let Some(key) = next.map(|held| held.key.clone()) else {
            return Ok(());
        };
        if self.last {
            // One at a time, the latest first: the next process sees to that.
            self.cut = true;
            return Ok(());
        }
        self.attempt(&key, Phase::UndoCheck)
    }

    fn containments_of(&self, targets: &[StepIx]) -> Vec<ContainmentId> {
        let made_there =
            |key: &StepKey| self.plan.playbook.step(&key.id).is_some_and(|(ix, _)| targets.contains(&ix));
        self.state.containments.iter().filter(|(_, held)| made_there(&held.key)).map(|(id, _)| *id).collect()
    }

    /// Time boxes that have run out, and tries that have come due.
    pub(super) fn wake_containments(&mut self) -> Result<(), Refusal> {
        let ids: Vec<ContainmentId> = self.state.containments.keys().copied().collect();
        for id in ids {
            if self.is_full() {
                return Ok(());
            }
            let held = &self.state.containments[&id];
            let over = matches!(held.hold, Hold::Accepted | Hold::Verified)
                && held.until.is_some_and(|until| until <= self.now);
            if over {
                let late = self.now.since(held.until.unwrap_or(self.now));
                let why = (late.as_secs() > 60).then(|| format!("late by {}", duration_text(late)));
                let by = "time box".to_owned();
                self.record(Event::UndoRequested { containment: id, by, why, anyway: false })?;
                continue;
            }
            self.wake_watch(id)?;
            let held = &self.state.containments[&id];
            let key = held.key.clone();
            if let Some(Stage::Due { phase, at }) = held.undo
                && held.hold == Hold::Lifting
                && at <= self.now
            {
                self.attempt(&key, phase)?;
            }
        }
        Ok(())
    }
}

/// What somebody else changed since, by the last look; as it may be shown.
fn changed_since(held: &Containment) -> Vec<KeptField> {
    let look = held.checked.as_ref().map(|look| fields_of(look.value()));
    let changed = look.into_iter().flatten().filter(KeptField::is_changed);
    changed.map(|field| field.shown()).collect()
}

/// What a person can do about it.
fn what_to_do(id: ContainmentId) -> String {
    format!(
        "look at it, then change it by hand, or restore it all the same: `quell undo {id} --anyway --note WHY`"
    )
}
