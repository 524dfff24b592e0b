//! The life of one drawn run: its state, its journal, and what it was told.

use std::collections::BTreeSet;
use std::sync::Arc;

use quell::domain::approval::{Approval, Verdict};
use quell::domain::command::{Command, Phase};
use quell::domain::decide::turn::take;
use quell::domain::event::{Entry, Event, RunEnd, RunStarted};
use quell::domain::evolve::evolve;
use quell::domain::id::{ApprovalId, IncidentId, RunId, StreamId};
use quell::domain::owed::commands;
use quell::domain::plan::Plan;
use quell::domain::run::{RunState, Stage, StepKey};
use quell::domain::signal::{Person, Refusal, Signal};
use quell::domain::time::Timestamp;
use quell::domain::value::{Value, digest};
use serde_json::json;
use ulid::Ulid;

use crate::deeds::{Answer, Deed, Happening, performs, signals, wake_time};
use crate::sketches::Sketch;

/// Turns in which any run must have come to its end once people want it over.
const TURNS_MAX: usize = 3000;

/// What a run heard, and what followed.
pub struct Turn<'a> {
    pub before: &'a RunState,
    pub signal: &'a Signal,
    pub heard: &'a Result<Vec<Event>, Refusal>,
}

pub struct Life {
    pub plan: Arc<Plan>,
    pub run: RunId,
    pub now: Timestamp,
    pub state: RunState,
    pub journal: Vec<Entry>,
    pub approved: BTreeSet<ApprovalId>,
    /// The attempts that were begun and whose outcome is not on record.
    pub intents: BTreeSet<(StepKey, Phase, u32)>,
}

impl Life {
    pub fn new(sketch: &Sketch) -> Self {
        let plan = sketch.plan();
        Self {
            run: RunId::new(Ulid::from_parts(1_795_000_000_000, 7)),
            now: Timestamp::from_millis(1_795_000_000_000),
            state: RunState::new(Arc::clone(&plan), None),
            plan,
            journal: Vec::new(),
            approved: BTreeSet::new(),
            intents: BTreeSet::new(),
        }
    }

    pub fn start(&self) -> Signal {
        Signal::Start(Box::new(RunStarted {
            run: self.run,
            plan: digest(b"plan"),
            playbook: "drawn".to_owned(),
            version: 1,
            incident: IncidentId::derived(self.run.ulid(), "incident"),
            alert: None,
            inputs: Value::Null,
            by: "trigger".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        }))
    }

    /// Lives through what happens; `look` sees every turn.
    pub fn live<E>(
        &mut self,
        happenings: &[Happening],
        look: &mut impl FnMut(&Life, &Turn<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.hear(&self.start(), look)?;
        for happening in happenings {
            self.now = Timestamp::from_millis(self.now.millis() + happening.millis);
            if let (Deed::Due, Some(at)) = (&happening.deed, wake_time(&self.state)) {
                self.now = self.now.max(at);
            }
            for signal in signals(&happening.deed, &self.state) {
                self.hear(&signal, look)?;
            }
        }
        Ok(())
    }

    /// The run is told one thing.
    pub fn hear<E>(
        &mut self,
        signal: &Signal,
        look: &mut impl FnMut(&Life, &Turn<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.state.clone();
        let mut next = self.state.clone();
        let heard = take(&mut next, signal, self.now);
        if let Ok(events) = &heard {
            for event in events {
                self.note(event);
                let seq = self.journal.len() as u64 + 1;
                let stream = StreamId::Run(self.run);
                self.journal.push(Entry { stream, seq, at: self.now, event: event.clone() });
            }
            self.state = next;
        }
        look(self, &Turn { before: &before, signal, heard: &heard })
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::ApprovalClosed { approval, verdict: Verdict::Approved } => {
                self.approved.insert(*approval);
            }
            Event::AttemptStarted { key, phase, attempt, .. } => {
                self.intents.insert((key.clone(), *phase, *attempt));
            }
            Event::AttemptEnded { key, phase, attempt, .. }
            | Event::AttemptLost { key, phase, attempt, .. } => {
                self.intents.remove(&(key.clone(), *phase, *attempt));
            }
            _ => {}
        }
    }

    /// The state that these entries add up to, folded one by one into `state`.
    pub fn folded(mut state: RunState, entries: &[Entry]) -> RunState {
        for entry in entries {
            evolve(&mut state, entry).expect("an entry that was decided follows");
        }
        state
    }

    /// Everybody does what is asked of them, all attempts succeed and time goes
    /// on, until the run asks for nothing more; false when that never comes.
    pub fn settle<E>(
        &mut self,
        cancel: bool,
        look: &mut impl FnMut(&Life, &Turn<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let by = || "ana@example.com".to_owned();
        let mut lifted = false;
        if cancel {
            self.hear(&Signal::Cancel { by: by(), why: None }, look)?;
        }
        for _ in 0..TURNS_MAX {
            if self.state.quarantined.is_some() {
                self.hear(&Signal::Release { by: by(), why: None }, look)?;
            }
            let signal = match self.awaited() {
                Some(signal) => signal,
                None if self.state.ended.is_some() && !lifted => {
                    lifted = true;
                    Signal::Undo { containments: Vec::new(), by: by(), why: None, anyway: false }
                }
                None => match wake_time(&self.state) {
                    Some(at) => {
                        self.now = self.now.max(at);
                        Signal::Wake
                    }
                    None => return Ok(true),
                },
            };
            self.hear(&signal, look)?;
        }
        Ok(false)
    }

    /// What the run waits for, other than for time to go on.
    fn awaited(&self) -> Option<Signal> {
        if let Some(perform) = performs(&self.state).into_iter().next() {
            let outcome = Answer::Fine.outcome(perform.phase);
            let (key, phase, attempt) = (perform.key, perform.phase, perform.attempt);
            return Some(Signal::Performed { key, phase, attempt, outcome });
        }
        let child = commands(&self.state).into_iter().find_map(|command| match command {
            Command::Follow(child) => Some(child),
            _ => None,
        });
        if let Some(child) = child {
            let why = "so".to_owned();
            let (key, run, end) = (child.key, child.run, RunEnd::Succeeded);
            return Some(Signal::ChildEnded { key, run, end, why, output: json!({}) });
        }
        let uncertain =
            self.state.steps.iter().find(|(_, step)| matches!(step.stage, Stage::Uncertain { .. }));
        if let Some((key, _)) = uncertain {
            let by = "ana@example.com".to_owned();
            return Some(Signal::Settle { key: key.clone(), happened: true, by, note: None });
        }
        // Once its time is up an approval waits for silence to be seen.
        let open = |asked: &Approval| !asked.closed && asked.until > self.now;
        let (&approval, asked) = self.state.approvals.iter().find(|(_, asked)| open(asked))?;
        let lee = asked.given.iter().any(|(who, _)| who == "ana@example.com");
        let (address, group) = if lee { ("lee@example.com", "hr") } else { ("ana@example.com", "leads") };
        let by = Person { address: address.to_owned(), groups: vec![group.to_owned()] };
        Some(Signal::Decide { approval, by, approve: true, note: None })
    }
}
