//! What happened: each signal, checked against the state before anything is recorded.

use std::time::Duration;

use crate::domain::command::Phase;
use crate::domain::decide::turn::Turn;
use crate::domain::event::{Event, SetAside};
use crate::domain::id::ContainmentId;
use crate::domain::playbook::Body;
use crate::domain::run::{Hold, LOST_MAX, Stage, StepEnd, StepKey};
use crate::domain::signal::{Refusal, Signal};
use crate::domain::value::Value;

/// The furthest from now that a person may let a containment hold, however often
/// they extend it: a month. Those who approved it did not approve it for ever.
const EXTENDED_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

impl Turn<'_> {
    pub(super) fn hear(&mut self, signal: &Signal) -> Result<(), Refusal> {
        match signal {
            Signal::Start(started) => self.record(Event::RunStarted(started.clone())),
            Signal::Queue { started, urgency } => {
                self.record(Event::RunStarted(started.clone()))?;
                self.record(Event::RunQueued { urgency: *urgency })
            }
            Signal::Hold { started, why } => {
                self.record(Event::RunStarted(started.clone()))?;
                self.record(Event::RunQuarantined(SetAside { why: why.clone(), restored: true }))
            }
            Signal::Admit => self.admitted(),
            Signal::Performed { key, phase, attempt, outcome } => {
                self.performed(key, *phase, *attempt, outcome)
            }
            Signal::Began { key, phase, attempt } => self.began(key, *phase, *attempt),
            Signal::Lost { key, phase, attempt } => self.lost(key, *phase, *attempt),
            Signal::Wake => self.wake(),
            Signal::Decide { approval, by, approve, note } => {
                self.decided(*approval, by, *approve, note.clone())
            }
            Signal::Answer { question, by, choice, fields } => self.answered(*question, by, choice, fields),
            Signal::Settle { key, happened, by, note } => self.settled(key, *happened, by, note.clone()),
            Signal::Undo { containments, by, why, anyway } => {
                self.undo(containments, by, why.as_deref(), *anyway)
            }
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
                self.extend(*containment, *hold, by)
            }
            Signal::ChildEnded { key, run, end, why, output } => {
                self.child_ended(key, *run, *end, why, output)
            }
            Signal::Release { by, why } => self.released(by, why.clone()),
            Signal::Cancel { by, why } => self.cancelled(by, why.as_deref()),
        }
    }

    /// Its turn has come. One that ended while it waited has no turn.
    fn admitted(&mut self) -> Result<(), Refusal> {
        if self.state.queued.is_none() {
            return Ok(());
        }
        self.record(Event::RunAdmitted {})?;
        self.wake()
    }

    /// Whether this attempt is the one in flight; anything else is an echo.
    pub(super) fn in_flight(&self, key: &StepKey, phase: Phase, attempt: u32) -> bool {
        let Some(step) = self.state.steps.get(key) else {
            return false;
        };
        let held = step.containment.and_then(|id| self.state.containments.get(&id));
        let stage = match phase {
            Phase::Recheck => held.and_then(|held| held.recheck.as_ref()),
            Phase::Warn => held.and_then(|held| held.warn.as_ref()),
            _ if phase.undoes() => held.and_then(|held| held.undo.as_ref()),
            _ => Some(&step.stage),
        };
        matches!(stage, Some(Stage::InFlight { phase: p, attempt: a, .. }) if *p == phase && *a == attempt)
    }

    pub(super) fn holding(&self, id: ContainmentId) -> Result<Hold, Refusal> {
        self.state
            .containments
            .get(&id)
            .map(|held| held.hold)
            .ok_or_else(|| Refusal::new("containment-unknown", format!("this run made no containment {id}")))
    }

    /// The new end is counted from the old one, so that extending never shortens;
    /// what has no end is not given one.
    fn extend(&mut self, id: ContainmentId, hold: Duration, by: &str) -> Result<(), Refusal> {
        let held = &self.state.containments[&id];
        if !self.can_undo(&held.key) {
            return Err(Refusal::new(
                "irreversible",
                format!("{id} (step `{}`) declares no way back, so it has no end to move", held.key),
            ));
        }
        let Some(until) = held.until else {
            return Err(Refusal::new(
                "no-end",
                format!("{id} has no end to move: it stays until somebody lifts it; `quell undo {id}` does"),
            ));
        };
        let until = until.max(self.now).after(hold);
        let latest = self.now.after(EXTENDED_MAX);
        if until > latest {
            let wrong = format!(
                "{id} would hold until {}; a person may extend to {} at most, which is 31 days from now",
                until.to_minute(),
                latest.to_minute()
            );
            return Err(Refusal::new("too-long", format!("{wrong}. Longer is a decision to be made again")));
        }
        self.record(Event::ContainmentExtended { containment: id, until, by: by.to_owned() })
    }

    fn settled(
        &mut self,
        key: &StepKey,
        happened: bool,
        by: &str,
        note: Option<String>,
    ) -> Result<(), Refusal> {
        self.not_set_aside()?;
        let uncertain = |key: &StepKey| {
            self.state.steps.get(key).is_some_and(|step| matches!(step.stage, Stage::Uncertain { .. }))
        };
        if !uncertain(key) {
            let known = self.state.active.iter().filter(|key| uncertain(key));
            let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
            let known = match known.as_slice() {
                [] => "no step of this run is uncertain".to_owned(),
                known => format!("the uncertain steps of this run are: {}", known.join(", ")),
            };
            let (code, what) = match self.state.steps.contains_key(key) {
                true => ("not-uncertain", "is not uncertain"),
                false => ("step-unknown", "is not there or has not begun"),
            };
            return Err(Refusal::new(code, format!("step `{key}` {what}; {known}")));
        }
        self.record(Event::StepSettled { key: key.clone(), happened, by: by.to_owned(), note })?;
        if !happened {
            return self.attempt(key, Phase::Act);
        }
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        if let Body::Perform(action) = &spec.body
            && action.containment.is_some()
        {
            // It holds on a person's word; reading back says whether it does.
            return self.contained(key, action, true);
        }
        let output = self.step(key)?.acted.as_ref().map_or(Value::Null, |acted| acted.value().clone());
        let why = format!("settled by {by}: it happened");
        self.end_step(key, StepEnd::Succeeded, Some(output), Some(why))
    }
}

impl Turn<'_> {
    /// Orders that move a run on wait until a person has released it.
    pub(super) fn not_set_aside(&self) -> Result<(), Refusal> {
        match &self.state.quarantined {
            None => Ok(()),
            Some(why) => Err(Refusal::new(
                "run-quarantined",
                format!(
                    "{} is set aside: {why}; `quell release` lets it go on, `quell cancel` ends it",
                    self.run
                ),
            )),
        }
    }

    /// Part of a step was lost with its process so often that the run itself
    /// may be what ends the process: it is set aside, the others go on.
    pub(super) fn quarantine(&mut self, key: &StepKey, phase: Phase) -> Result<bool, Refusal> {
        let times = self.step(key)?.lost.get(&phase).copied().unwrap_or(0);
        if times < LOST_MAX {
            return Ok(false);
        }
        let why = format!("`{phase}` of step `{key}` was lost with its server {times} times in a row");
        let containment = self.step(key)?.containment;
        match containment {
            Some(containment) if phase.undoes() => {
                self.record(Event::UndoRefused { containment, why, others: Vec::new() })?;
            }
            // That people were not told of its end says nothing of whether it holds.
            Some(_) if phase == Phase::Warn => {}
            Some(containment) if phase.watches() => {
                self.record(Event::ContainmentDrifted { containment, what: why })?;
            }
            _ => self.record(Event::RunQuarantined(SetAside { why, restored: false }))?,
        }
        Ok(true)
    }

    /// A person lets a run that was set aside go on, from where it stood.
    fn released(&mut self, by: &str, why: Option<String>) -> Result<(), Refusal> {
        if self.state.quarantined.is_none() {
            return Err(Refusal::new("not-quarantined", format!("{} is not set aside", self.run)));
        }
        self.record(Event::RunReleased { by: by.to_owned(), why })?;
        let plan = self.plan.clone();
        let ready = |key: &StepKey| self.state.steps[key].stage == Stage::Ready;
        let ready: Vec<StepKey> = self.state.active.iter().filter(|key| ready(key)).cloned().collect();
        for key in ready {
            let (_, spec) = self.spec(&plan, &key)?;
            let Body::Perform(action) = &spec.body else { continue };
            // What tells people ran beside a wait that is over.
            let there = |phase: &&Phase| !phase.undoes() && !phase.watches() && !phase.tells();
            match self.step(&key)?.lost.keys().find(there).copied() {
                Some(phase) => {
                    self.unknown(&key, action, phase, "its server stopped while this was under way")?;
                }
                // What it stands in may have failed while the run was set aside.
                None if self.is_cut_off(&key) => {}
                None => self.next_move(&key)?,
            }
        }
        self.wake()
    }
}

/// Whether a containment in this state can be asked to lift.
pub(super) fn may_lift(hold: Hold) -> bool {
    matches!(hold, Hold::Accepted | Hold::Verified | Hold::Stuck)
}
