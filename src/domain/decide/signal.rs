//! What happened: each signal, checked against the state before anything is recorded.

use crate::domain::command::Phase;
use crate::domain::decide::turn::Turn;
use crate::domain::event::{Event, RunEnd};
use crate::domain::id::ContainmentId;
use crate::domain::run::{Hold, Stage, StepEnd, StepKey};
use crate::domain::signal::{Refusal, Signal};
use crate::domain::value::Value;

impl Turn<'_> {
    pub(super) fn hear(&mut self, signal: &Signal) -> Result<(), Refusal> {
        match signal {
            Signal::Start(started) => self.record(Event::RunStarted(started.clone())),
            Signal::Performed { key, phase, attempt, outcome } => {
                self.performed(key, *phase, *attempt, outcome)
            }
            Signal::Lost { key, phase, attempt } => self.lost(key, *phase, *attempt),
            Signal::Wake => self.wake(),
            Signal::Decide { approval, by, approve, note } => {
                self.decided(*approval, by, *approve, note.clone())
            }
            Signal::Answer { question, by, choice, fields } => self.answered(*question, by, choice, fields),
            Signal::Settle { key, happened, by, note } => self.settled(key, *happened, by, note.clone()),
            Signal::Undo { containments, by, why } => self.undo(containments, by, why.as_deref()),
            Signal::Extend { containment, hold, by } => {
                let held = self.holding(*containment)?;
                if !matches!(held, Hold::Accepted | Hold::Verified) {
                    return Err(Refusal::new(
                        "not-holding",
                        format!(
                            "{containment} no longer holds, so it cannot be extended; contain again by a new run"
                        ),
                    ));
                }
                let until = self.now.after(*hold);
                self.record(Event::ContainmentExtended { containment: *containment, until, by: by.clone() })
            }
            Signal::Cancel { by, why } => self.cancelled(by, why.as_deref()),
        }
    }

    /// Whether this attempt is the one in flight; anything else is an echo.
    pub(super) fn in_flight(&self, key: &StepKey, phase: Phase, attempt: u32) -> bool {
        let Some(step) = self.state.steps.get(key) else {
            return false;
        };
        let stage = if phase.undoes() {
            step.containment
                .and_then(|id| self.state.containments.get(&id))
                .and_then(|held| held.undo.as_ref())
        } else {
            Some(&step.stage)
        };
        matches!(stage, Some(Stage::InFlight { phase: p, attempt: a, .. }) if *p == phase && *a == attempt)
    }

    fn holding(&self, id: ContainmentId) -> Result<Hold, Refusal> {
        self.state
            .containments
            .get(&id)
            .map(|held| held.hold)
            .ok_or_else(|| Refusal::new("containment-unknown", format!("this run made no containment {id}")))
    }

    fn undo(&mut self, containments: &[ContainmentId], by: &str, why: Option<&str>) -> Result<(), Refusal> {
        let ids = if containments.is_empty() {
            let held = self.state.containments.iter();
            held.filter(|(_, held)| may_lift(held.hold) && self.can_undo(&held.key))
                .map(|(id, _)| *id)
                .collect()
        } else {
            containments.to_vec()
        };
        if ids.is_empty() {
            return Err(Refusal::new(
                "nothing-held",
                "nothing that this run contained still holds; there is nothing to undo",
            ));
        }
        for &id in &ids {
            let hold = self.holding(id)?;
            if !may_lift(hold) {
                return Err(Refusal::new("not-holding", format!("{id} is lifted or on its way already")));
            }
            let key = self.state.containments[&id].key.clone();
            if !self.can_undo(&key) {
                return Err(Refusal::new(
                    "irreversible",
                    format!("{id} (step `{key}`) cannot be undone: its operation declares no way back"),
                ));
            }
        }
        for id in ids {
            self.record(Event::UndoRequested {
                containment: id,
                by: by.to_owned(),
                why: why.map(str::to_owned),
            })?;
        }
        Ok(())
    }

    fn settled(
        &mut self,
        key: &StepKey,
        happened: bool,
        by: &str,
        note: Option<String>,
    ) -> Result<(), Refusal> {
        if !matches!(self.step(key)?.stage, Stage::Uncertain { .. }) {
            return Err(Refusal::new(
                "not-uncertain",
                format!("step `{key}` is not uncertain; there is nothing to settle"),
            ));
        }
        self.record(Event::StepSettled { key: key.clone(), happened, by: by.to_owned(), note })?;
        if !happened {
            return self.attempt(key, Phase::Act);
        }
        let output = self.step(key)?.acted.as_ref().map_or(Value::Null, |acted| acted.value().clone());
        let why = format!("settled by {by}: it happened");
        self.end_step(key, StepEnd::Succeeded, Some(output), Some(why))
    }

    fn cancelled(&mut self, by: &str, why: Option<&str>) -> Result<(), Refusal> {
        if self.state.ended.is_some() || self.state.ending.is_some() {
            return Err(Refusal::new("run-ended", "this run has ended or is ending already"));
        }
        let why = why.map_or_else(|| format!("cancelled by {by}"), |why| format!("cancelled by {by}: {why}"));
        self.record(Event::RunEnding { end: RunEnd::Cancelled, why, disposition: None })
    }
}

/// Whether a containment in this state can be asked to lift.
pub(super) fn may_lift(hold: Hold) -> bool {
    matches!(hold, Hold::Accepted | Hold::Verified | Hold::Stuck)
}
