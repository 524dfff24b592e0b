//! The world around one simulated run: a peer with faults, people, a journal,
//! crashes, and a clock that jumps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use quell::domain::command::{Command, Perform, Phase};
use quell::domain::decide::turn::{decide, take, take_last};
use quell::domain::event::{Entry, Event, RunEnd, RunStarted};
use quell::domain::evolve::evolve;
use quell::domain::id::{ContainmentId, IncidentId, RunId, StreamId};
use quell::domain::kept::{compare, is_restored, standing, to_write};
use quell::domain::nesting::{Part, part};
use quell::domain::outcome::{Failure, FailureClass, Outcome};
use quell::domain::owed::commands;
use quell::domain::plan::{Callee, Plan};
use quell::domain::playbook::{ActionSpec, Body, Effect, IfAbsent};
use quell::domain::run::{Hold, RunState, Stage, StepEnd, StepKey};
use quell::domain::signal::{Person, Signal};
use quell::domain::time::Timestamp;
use quell::domain::urgency::Urgency;
use quell::domain::value::digest;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::chance::Chance;
use crate::clocks::{self, Timers};
use crate::failures::Failures;
use crate::playbooks::{inputs, playbook};
use crate::promises::Promises;

mod restored;

/// Turns after which a run that has not come to rest counts as stuck.
const TURNS_MAX: usize = 5000;

/// What the peer really holds, whatever anybody believes.
#[derive(Default)]
struct Peer {
    /// Who is contained, by step.
    contained: BTreeMap<String, bool>,
    /// What else is kept of them: containing sets `mark` and never touches `desk`.
    marks: BTreeMap<String, Marks>,
    /// What somebody else set while they were contained.
    theirs: BTreeMap<String, BTreeMap<&'static str, String>>,
    /// A promise that was broken while the peer was called.
    overwritten: Option<String>,
    /// Looks that still show the state before the last write. They are counted,
    /// not timed: whoever looks cannot know how late their own clock is.
    lag: BTreeMap<String, u64>,
    /// The state before the last write, whole, as a copy that lags holds it.
    old: BTreeMap<String, (bool, Marks)>,
    /// Whose old copy was reached by chance, long after others had shown the new state.
    astray: BTreeSet<String>,
    /// How often a once-only effect happened, by idempotency key.
    once: BTreeMap<String, u32>,
    /// How many looks still do not show a once-only effect that happened.
    unseen: BTreeMap<String, u64>,
    /// The keys under which a keyed effect came; one is one effect, however
    /// often it came.
    keyed: BTreeMap<StepKey, BTreeSet<String>>,
    /// Steps whose act happened, whether anybody heard of it or not.
    acted: BTreeSet<StepKey>,
    /// How often it was asked for a mark, and knew it.
    asked: usize,
}

#[derive(Clone)]
struct Marks {
    mark: String,
    desk: String,
}

impl Default for Marks {
    fn default() -> Self {
        Self { mark: "free".to_owned(), desk: "free".to_owned() }
    }
}

/// The names that a capture keeps.
fn kept() -> Vec<String> {
    ["active", "mark", "desk"].map(str::to_owned).to_vec()
}

impl Peer {
    fn truth(&self, who: &str) -> (bool, Marks) {
        let holds = self.contained.get(who).copied().unwrap_or(false);
        (holds, self.marks.get(who).cloned().unwrap_or_default())
    }

    /// What a look shows: the truth, or what a copy that lags still holds.
    fn look(&mut self, who: &str, goes_astray: bool) -> (bool, Value) {
        let lag = self.lag.entry(who.to_owned()).or_default();
        let lags = *lag > 0;
        *lag = lag.saturating_sub(1);
        let astray = goes_astray && self.astray.insert(who.to_owned());
        let (holds, marks) = match self.old.get(who) {
            Some(old) if lags || astray => old.clone(),
            _ => self.truth(who),
        };
        (holds, json!({ "active": !holds, "mark": marks.mark, "desk": marks.desk }))
    }

    /// Writes a whole state, as connectors do that know no other way.
    fn write(&mut self, who: &str, state: &Value, anyway: bool) {
        let text = |name: &str| state[name].as_str().unwrap_or_default().to_owned();
        let written = Marks { mark: text("mark"), desk: text("desk") };
        for (name, theirs) in self.theirs.get(who).into_iter().flatten().filter(|_| !anyway) {
            if state[*name] != json!(theirs) {
                let what = format!("{who}: lifting writes {}, and somebody else set {theirs}", state[*name]);
                self.overwritten = Some(what);
            }
        }
        if anyway {
            self.theirs.remove(who);
        }
        self.old.insert(who.to_owned(), self.truth(who));
        self.contained.insert(who.to_owned(), state["active"] == json!(false));
        self.marks.insert(who.to_owned(), written);
    }
}

pub struct Range {
    chance: Chance,
    faults: bool,
    plan: Arc<Plan>,
    run: RunId,
    now: Timestamp,
    journal: Vec<Entry>,
    state: RunState,
    flying: Vec<(Timestamp, Perform)>,
    peer: Peer,
    promises: Promises,
    failed: Failures,
    /// Whether the process is about to stop.
    last: bool,
    /// Whether the run waits for its turn, by what is recorded.
    queued: bool,
    /// Whether the journal was read from a backup: what its entries promise is no longer all.
    restored: bool,
    /// Effects that were found by their mark after that.
    pub asked_first: usize,
    pub stops: usize,
    pub called_off: usize,
    pub failures: usize,
    pub called: usize,
    pub released: usize,
    pub drifted: usize,
    pub reminded: usize,
    pub timers: Timers,
    pub jumps: usize,
    pub crash_at: Option<usize>,
    pub appends: usize,
    /// Up to which entry each record goes.
    records: Vec<usize>,
    pub crashes: usize,
    pub uncertain: usize,
    pub contained: usize,
    pub lifted: usize,
    pub disputed: usize,
    pub reconciled: usize,
}

impl Range {
    pub fn new(seed: u64, faults: bool) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Arc::new(Plan {
            playbook: playbook(&mut chance),
            source: digest(b""),
            texts: BTreeMap::new(),
            connectors: BTreeMap::new(),
            playbooks: BTreeMap::from([(
                "other".to_owned(),
                Callee { plan: digest(b"other"), version: 1, inputs: Vec::new() },
            )]),
        });
        Self {
            faults,
            state: RunState::new(Arc::clone(&plan), None),
            plan,
            run: RunId::new(Ulid::from_parts(1, u128::from(seed) + 1)),
            now: Timestamp::from_millis(1_795_000_000_000),
            journal: Vec::new(),
            flying: Vec::new(),
            peer: Peer::default(),
            promises: Promises::default(),
            failed: Failures::default(),
            last: false,
            queued: false,
            restored: false,
            asked_first: 0,
            stops: 0,
            called_off: 0,
            failures: 0,
            called: 0,
            released: 0,
            drifted: 0,
            reminded: 0,
            timers: Timers::default(),
            jumps: 0,
            crash_at: None,
            appends: 0,
            records: Vec::new(),
            crashes: 0,
            uncertain: 0,
            contained: 0,
            lifted: 0,
            disputed: 0,
            reconciled: 0,
            chance,
        }
    }

    pub fn trace(&self) -> String {
        let mut text = String::new();
        for entry in &self.journal {
            let _ = writeln!(text, "{:>4} {} {:?}", entry.seq, entry.at, entry.event);
        }
        text
    }

    /// Plays the run until nothing is left to happen.
    pub fn play(&mut self) -> Result<(), String> {
        let started = RunStarted {
            run: self.run,
            plan: digest(b"plan"),
            playbook: "simulated".to_owned(),
            version: 1,
            incident: IncidentId::derived(self.run.ulid(), "incident"),
            alert: None,
            inputs: inputs(&self.plan.playbook),
            by: "trigger".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        let started = Box::new(started);
        if self.faults && self.chance.percent(25) {
            self.tell(Signal::Queue { started, urgency: Urgency::Low })?;
        } else {
            self.tell(Signal::Start(started))?;
        }
        for _ in 0..TURNS_MAX {
            if !self.turn()? {
                return self.at_rest();
            }
        }
        Err("it never comes to rest".to_owned())
    }

    /// All that was recorded.
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// One thing happens; false when nothing is left to happen.
    fn turn(&mut self) -> Result<bool, String> {
        if self.faults && self.chance.percent(4) {
            self.crash(None)?;
        }
        if self.faults && self.chance.percent(2) {
            self.now = clocks::jump(&mut self.chance, self.now);
            self.jumps += 1;
        }
        if self.chance.percent(3) {
            self.somebody_else();
        }
        if self.faults && self.chance.percent(3) {
            self.stop_and_start()?;
        }
        if self.queued {
            self.now = self.now.after(Duration::from_secs(self.chance.below(4000)));
            let signal = match self.chance.below(12) {
                0 => Signal::Cancel { by: "ana@example.com".to_owned(), why: None },
                1..4 => Signal::Wake,
                _ => Signal::Admit,
            };
            self.tell(signal)?;
            return Ok(true);
        }
        let (mut wake, mut child, mut cancelled) = (None, None, false);
        for command in commands(&self.state) {
            match command {
                Command::WakeAt(at) => wake = Some(at),
                Command::Follow(called) => child = Some(called),
                Command::CancelChild(_) => cancelled = true,
                Command::Perform(_) => {}
            }
        }
        if let Some(child) = child
            && (self.chance.percent(40) || cancelled || wake.is_none())
        {
            self.called += 1;
            self.now = self.now.after(Duration::from_secs(self.chance.below(60)));
            let end = match self.chance.below(10) {
                _ if cancelled => RunEnd::Cancelled,
                0 => RunEnd::Failed,
                1 => RunEnd::Cancelled,
                _ => RunEnd::Succeeded,
            };
            let (key, run) = (child.key, child.run);
            self.tell(Signal::ChildEnded { key, run, end, why: "simulated".to_owned(), output: json!({}) })?;
            return Ok(true);
        }
        let landing = self.flying.iter().map(|(at, _)| *at).min();
        // Who releases a run that is set aside may take their time.
        let away = self.state.quarantined.is_some() && wake.is_some() && self.chance.percent(70);
        if !away && let Some(signal) = self.person() {
            self.now = self.now.after(Duration::from_secs(self.chance.below(40)));
            self.tell(signal)?;
            return Ok(true);
        }
        match (landing, wake) {
            (Some(landing), wake) if wake.is_none_or(|wake| landing <= wake) => {
                self.now = self.now.max(landing);
                let at = self.flying.iter().position(|(at, _)| *at == landing).unwrap_or(0);
                let (_, perform) = self.flying.remove(at);
                let outcome = self.perform_or_call_off(&perform, 2)?;
                if self.faults && self.chance.percent(5) {
                    // The effect happened (or not), and then the process was gone.
                    self.crash(Some(&perform))?;
                    return Ok(true);
                }
                self.tell(Signal::Performed {
                    key: perform.key,
                    phase: perform.phase,
                    attempt: perform.attempt,
                    outcome,
                })?;
            }
            (_, Some(wake)) => {
                self.now = self.now.max(wake);
                let before = self.journal.len();
                self.tell(Signal::Wake)?;
                let asks_again =
                    |command: &Command| matches!(command, Command::WakeAt(at) if *at <= self.now);
                if self.journal.len() == before && commands(&self.state).iter().any(asks_again) {
                    return Err(format!(
                        "woken at {wake}, nothing follows, and it wants to be woken at once"
                    ));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What a person does now, if somebody does something.
    fn person(&mut self) -> Option<Signal> {
        if self.state.quarantined.is_some() {
            self.released += 1;
            return Some(if self.chance.percent(80) {
                Signal::Release { by: "ana@example.com".to_owned(), why: None }
            } else {
                Signal::Cancel { by: "ana@example.com".to_owned(), why: None }
            });
        }
        let uncertain =
            self.state.steps.iter().find(|(_, step)| matches!(step.stage, Stage::Uncertain { .. }));
        if let Some((key, _)) = uncertain {
            let once = self.peer.once.get(&format!("{}/{key}/do", self.run)).copied().unwrap_or(0);
            let happened = once > 0
                || self.peer.acted.contains(key)
                || self.peer.contained.get(&key.to_string()) == Some(&true);
            return Some(Signal::Settle {
                key: key.clone(),
                happened,
                by: "ana@example.com".to_owned(),
                note: None,
            });
        }
        if let Some((&question, asked)) = self.state.questions.iter().find(|(_, asked)| !asked.closed) {
            let open = !matches!(self.state.steps[&asked.key].stage, Stage::Ended(_));
            if open && self.chance.percent(40) {
                return Some(Signal::Answer {
                    question,
                    by: asked.asked.first().cloned().unwrap_or_default(),
                    choice: "yes".to_owned(),
                    fields: json!({}),
                });
            }
        }
        if let Some((&approval, asked)) = self.state.approvals.iter().find(|(_, asked)| !asked.closed)
            && self.chance.percent(50)
        {
            let (who, group) = if asked.given.iter().any(|(who, _)| who == "ana@example.com") {
                ("lee@example.com", "hr")
            } else {
                ("ana@example.com", "leads")
            };
            let by = Person { address: who.to_owned(), groups: vec![group.to_owned()] };
            return Some(Signal::Decide { approval, by, approve: self.chance.percent(85), note: None });
        }
        let held = self.state.containments.iter();
        let liftable: Vec<ContainmentId> = held
            .filter(|(_, held)| matches!(held.hold, Hold::Accepted | Hold::Verified | Hold::Stuck))
            .map(|(id, _)| *id)
            .collect();
        if !liftable.is_empty() && self.chance.percent(6) {
            // All of it, or one that a person chose.
            let one = liftable[self.chance.below(liftable.len() as u64) as usize];
            let containments = if self.chance.percent(50) { Vec::new() } else { vec![one] };
            let anyway = self.chance.percent(25);
            return Some(Signal::Undo { containments, by: "ana@example.com".to_owned(), why: None, anyway });
        }
        if self.state.ended.is_none() && !self.state.cut_short && self.chance.percent(1) {
            return Some(Signal::Cancel { by: "ana@example.com".to_owned(), why: None });
        }
        None
    }

    /// Somebody else changes what is contained, while nothing of ours is on its
    /// way to it: what comes between a look and the write after it, no peer
    /// without versions can keep apart.
    fn somebody_else(&mut self) {
        let quiet = |stage: &Option<Stage>| stage.is_none();
        let held = self.state.containments.values().find(|held| {
            let seen = self.state.steps.get(&held.key).is_some_and(|step| step.left.is_some());
            let holds = matches!(held.hold, Hold::Verified | Hold::Stuck);
            seen && holds && held.changed && quiet(&held.undo)
        });
        let Some(who) = held.map(|held| held.key.to_string()) else { return };
        let name = if self.chance.percent(60) { "mark" } else { "desk" };
        let value = format!("theirs-{}", self.chance.below(1000));
        // What two people change at the same time is told apart by no look at a copy.
        self.peer.old.remove(&who);
        let marks = self.peer.marks.entry(who.clone()).or_default();
        *(if name == "mark" { &mut marks.mark } else { &mut marks.desk }) = value.clone();
        self.peer.theirs.entry(who).or_default().insert(name, value);
    }

    /// The run hears a signal: decide, append, dispatch.
    fn tell(&mut self, signal: Signal) -> Result<(), String> {
        if !self.record(signal)? {
            return Ok(());
        }
        if self.crash_at == Some(self.appends) {
            return self.crash(None);
        }
        self.dispatch();
        Ok(())
    }

    /// Decides and appends; false when nothing follows.
    fn record(&mut self, signal: Signal) -> Result<bool, String> {
        let pure = decide(&self.state, &signal, self.now);
        let mut next = self.state.clone();
        let taken = if self.last {
            take_last(&mut next, &signal, self.now)
        } else {
            take(&mut next, &signal, self.now)
        };
        let events = match taken {
            Ok(events) => events,
            Err(refusal) if refusal.code == "cannot-follow" => return Err(refusal.message),
            Err(_) => return Ok(false),
        };
        if !self.last && pure.as_ref() != Ok(&events) {
            return Err("decide and take differ".to_owned());
        }
        if events.is_empty() {
            return Ok(false);
        }
        for event in events {
            if !self.restored {
                self.promise(&event)?;
            }
            let seq = self.journal.len() as u64 + 1;
            let entry = Entry { stream: StreamId::Run(self.run), seq, at: self.now, event };
            if !self.restored {
                self.timers.see(&self.plan.playbook, &entry)?;
            }
            self.journal.push(entry);
        }
        self.state = next;
        if self.restored {
            self.queued = self.state.queued.is_some();
        }
        self.appends += 1;
        self.records.push(self.journal.len());
        Ok(true)
    }

    fn dispatch(&mut self) {
        for command in commands(&self.state) {
            let Command::Perform(perform) = command else {
                continue;
            };
            let known = self.flying.iter().any(|(_, other)| {
                (&other.key, other.phase, other.attempt) == (&perform.key, perform.phase, perform.attempt)
            });
            if !known {
                let latency = Duration::from_millis(1 + self.chance.below(3000));
                self.flying.push((self.now.after(latency), perform));
            }
        }
    }

    /// The process is told to stop: nothing new begins, and what is in flight
    /// ends or is called off before it was sent. The next process must find
    /// nothing in flight, so that nothing counts as lost.
    fn stop_and_start(&mut self) -> Result<(), String> {
        self.stops += 1;
        self.last = true;
        for (_, perform) in std::mem::take(&mut self.flying) {
            let outcome = self.perform_or_call_off(&perform, 40)?;
            let (key, phase, attempt) = (perform.key, perform.phase, perform.attempt);
            self.record(Signal::Performed { key, phase, attempt, outcome })?;
            if self.chance.percent(20)
                && let Some(signal) = self.person()
            {
                self.record(signal)?;
            }
        }
        self.last = false;
        if commands(&self.state).iter().any(|command| matches!(command, Command::Perform(_))) {
            return Err("an attempt is in flight after the process has stopped".to_owned());
        }
        if self.replay()? != self.state {
            return Err("replay gives another state".to_owned());
        }
        self.record(Signal::Wake)?;
        self.dispatch();
        Ok(())
    }

    /// An attempt is carried out, or called off while it waits for its turn.
    fn perform_or_call_off(&mut self, perform: &Perform, percent: u64) -> Result<Outcome, String> {
        if self.faults && self.chance.percent(percent) {
            self.called_off += 1;
            return Ok(Outcome::called_off("simulated"));
        }
        self.perform(perform)
    }

    /// The process is gone and starts again: replay, and what was in flight is lost.
    /// An attempt that was carried out, and whose outcome nobody heard, is `unheard`.
    fn crash(&mut self, unheard: Option<&Perform>) -> Result<(), String> {
        self.crashes += 1;
        // A call that was on its way may still reach the peer, whoever listens.
        let flying = std::mem::take(&mut self.flying);
        let mut at_work: Vec<_> =
            unheard.into_iter().map(|perform| (perform.key.clone(), perform.phase)).collect();
        for (_, perform) in &flying {
            if self.chance.percent(50) {
                let _ = self.perform(perform)?;
                at_work.push((perform.key.clone(), perform.phase));
            }
        }
        if self.faults && self.chance.percent(5) {
            self.now = self.now.after(clocks::DOWN);
        }
        let replayed = self.replay()?;
        if replayed != self.state {
            return Err("replay gives another state".to_owned());
        }
        self.state = replayed;
        for command in commands(&self.state) {
            let Command::Perform(perform) = command else { continue };
            // Of those that reached nobody some only waited for their turn.
            let sent = at_work.contains(&(perform.key.clone(), perform.phase));
            let waited = !sent && self.chance.percent(30);
            for signal in perform.lost_at_work().into_iter().skip(usize::from(waited)) {
                self.record(signal)?;
            }
        }
        self.dispatch();
        Ok(())
    }

    fn replay(&self) -> Result<RunState, String> {
        let mut state = RunState::new(Arc::clone(&self.plan), None);
        for entry in &self.journal {
            evolve(&mut state, entry).map_err(|corrupt| corrupt.to_string())?;
        }
        Ok(state)
    }

    /// The peer is called; it does what it does, and answers what it answers.
    fn perform(&mut self, perform: &Perform) -> Result<Outcome, String> {
        let intent = self.journal.iter().any(|entry| {
            matches!(&entry.event, Event::AttemptStarted { key, phase, attempt, .. } if *key == perform.key && *phase == perform.phase && *attempt == perform.attempt)
        });
        if !intent {
            return Err(format!(
                "{} {} was performed before its intent was durable",
                perform.key, perform.phase
            ));
        }
        let plan = Arc::clone(&self.plan);
        let (_, spec) = plan.playbook.step(&perform.key.id).ok_or("no such step")?;
        let Body::Perform(action) = &spec.body else {
            return Ok(succeeded(json!({})));
        };
        let fate = if self.faults { self.chance.below(20) } else { 19 };
        let fail = |class| Outcome::from(Failure::new(class, "fault", "a fault"));
        match fate {
            0 | 1 => return Ok(fail(FailureClass::Transient)),
            2 if !perform.phase.undoes() => return Ok(fail(FailureClass::Permanent)),
            3 => return Ok(fail(FailureClass::Unknown)),
            // Accepted, and then nothing comes of it.
            5 if perform.phase == Phase::Undo => return Ok(succeeded(json!({}))),
            5 if perform.phase == Phase::Act && action.containment.is_some() => {
                return Ok(succeeded(json!({})));
            }
            _ => {}
        }
        let outcome = self.effect(perform, action);
        if let Some(broken) = self.peer.overwritten.take() {
            return Err(broken);
        }
        Ok(if fate == 4 { fail(FailureClass::Unknown) } else { outcome })
    }

    fn effect(&mut self, perform: &Perform, action: &ActionSpec) -> Outcome {
        let (effect, contains) = (action.effect, action.containment.is_some());
        let who = perform.key.to_string();
        let lag = if self.faults { self.chance.below(3) } else { 0 };
        let holds = self.peer.contained.get(&who).copied().unwrap_or(false);
        let goes_astray = self.faults && perform.phase == Phase::UndoCheck && self.chance.percent(5);
        let mut look = || self.peer.look(&who, goes_astray);
        match perform.phase {
            Phase::Announce | Phase::Warn => succeeded(json!({})),
            Phase::Remind => succeeded(json!({ "asked": ["manager@example.com"] })),
            Phase::Reconcile => {
                let happened = self.peer.once.get(&perform.idempotency_key).copied().unwrap_or(0) > 0;
                let unseen = self.peer.unseen.entry(perform.idempotency_key.clone()).or_default();
                let found = happened && *unseen == 0;
                *unseen = unseen.saturating_sub(1);
                self.peer.asked += usize::from(found);
                succeeded(json!({ "found": found, "output": { "ok": true } }))
            }
            Phase::Recheck => succeeded(json!({ "holds": look().0, "read": {} })),
            Phase::Capture => {
                let (_, state) = look();
                succeeded(json!({ "target": who, "already": holds, "state": state }))
            }
            Phase::Verify => {
                let (holds, read) = look();
                succeeded(json!({ "holds": holds, "read": read }))
            }
            Phase::UndoCheck => {
                let (holds, now) = look();
                let fields = compare(&kept(), captured(perform), &now, holds);
                succeeded(json!({ "state": standing(&fields), "fields": fields }))
            }
            Phase::UndoVerify => {
                let (_, now) = look();
                succeeded(json!({ "holds": is_restored(&kept(), captured(perform), &now) }))
            }
            Phase::Undo => {
                let held = self.state.steps[&perform.key].containment;
                let anyway = held.is_some_and(|id| self.state.containments[&id].anyway);
                self.peer.write(&who, &to_write(captured(perform))["state"], anyway);
                self.peer.lag.insert(who, lag);
                succeeded(json!({}))
            }
            Phase::Act if contains => {
                if !holds {
                    self.peer.old.insert(who.clone(), self.peer.truth(&who));
                    let marks = self.peer.marks.entry(who.clone()).or_default();
                    marks.mark = "held".to_owned();
                    self.peer.contained.insert(who.clone(), true);
                    self.peer.lag.insert(who, lag);
                }
                succeeded(json!({}))
            }
            Phase::Act => {
                // That a question was asked is not what its step is about.
                if effect != Effect::Read && action.question.is_none() {
                    self.peer.acted.insert(perform.key.clone());
                }
                match effect {
                    Effect::Once => {
                        *self.peer.once.entry(perform.idempotency_key.clone()).or_default() += 1;
                        let trusted = action.reconcile.is_some_and(|it| it.absent == IfAbsent::Resend);
                        // Where a no proves nothing, it may never show.
                        let never = self.faults && !trusted && self.chance.percent(30);
                        let unseen = if never { u64::MAX } else { lag };
                        self.peer.unseen.insert(perform.idempotency_key.clone(), unseen);
                    }
                    Effect::Keyed => {
                        let keys = self.peer.keyed.entry(perform.key.clone()).or_default();
                        keys.insert(perform.idempotency_key.clone());
                    }
                    Effect::Read | Effect::Idempotent => {}
                }
                succeeded(json!({ "asked": ["owner@example.com"], "ok": true }))
            }
        }
    }

    /// What must hold whenever this is recorded.
    fn promise(&mut self, event: &Event) -> Result<(), String> {
        self.failed.hear(&self.plan.playbook, &self.state, event)?;
        self.failures = self.failed.count;
        self.promises.hear(&self.plan, event, self.now)?;
        let begins = matches!(
            event,
            Event::StepStarted { .. } | Event::StepExpanded { .. } | Event::AttemptStarted { .. }
        );
        if begins && (self.queued || (self.last && matches!(event, Event::AttemptStarted { .. }))) {
            return Err("something begins while the run waits for its turn, or the process stops".to_owned());
        }
        self.once_is_as_recorded(event)?;
        self.is_not_done_on_record(event)?;
        match event {
            Event::RunQueued { .. } => self.queued = true,
            Event::RunAdmitted {} | Event::RunEnding { .. } => self.queued = false,
            Event::StepUncertain { .. } => self.uncertain += 1,
            Event::ContainmentVerified { .. } => self.contained += 1,
            Event::ContainmentDrifted { .. } => self.drifted += 1,
            Event::QuestionReminded { .. } => self.reminded += 1,
            Event::ContainmentLifted { .. } => self.lifted += 1,
            Event::UndoRefused { others, .. } if !others.is_empty() => self.disputed += 1,
            _ => {}
        }
        Ok(())
    }

    /// Of what happened it is never said that it did not.
    fn is_not_done_on_record(&self, event: &Event) -> Result<(), String> {
        match event {
            Event::StepEnded {
                key,
                end: end @ (StepEnd::Failed | StepEnd::Skipped | StepEnd::Cancelled),
                ..
            } if self.peer.acted.contains(key) => {
                Err(format!("{key} is {} on record, and it happened", end.name()))
            }
            _ => Ok(()),
        }
    }

    /// A once-only effect is done when its step says so, and not done when it says
    /// that. Uncertain is what nobody could be asked, or what does not show.
    fn once_is_as_recorded(&mut self, event: &Event) -> Result<(), String> {
        let (Event::StepUncertain { key, .. } | Event::StepEnded { key, .. }) = event else {
            return Ok(());
        };
        let playbook = &self.plan.playbook;
        let (ix, step) = playbook.step(&key.id).ok_or("no such step")?;
        let Body::Perform(action) = &step.body else { return Ok(()) };
        let once = action.effect == Effect::Once && action.question.is_none();
        if !once || part(playbook, ix, key) != Part::Body {
            return Ok(());
        }
        let name = format!("{}/{key}/do", self.run);
        let happened = self.peer.once.get(&name).copied().unwrap_or(0);
        match event {
            Event::StepEnded { end: StepEnd::Succeeded, .. } => {
                let asked = self.journal.iter().rev().find_map(|entry| match &entry.event {
                    Event::AttemptEnded { key: of, phase, .. } if of == key => Some(*phase),
                    _ => None,
                });
                self.reconciled += usize::from(asked == Some(Phase::Reconcile));
                if happened == 1 {
                    Ok(())
                } else {
                    Err(format!("{key} succeeded, and happened {happened} times"))
                }
            }
            Event::StepEnded { end: StepEnd::Failed | StepEnd::Skipped, .. } if happened > 0 => {
                Err(format!("{key} is not done on record, and it happened"))
            }
            Event::StepUncertain { .. } if happened > 0 && action.reconcile.is_some() => {
                let answered = matches!(
                    self.journal.last().map(|entry| &entry.event),
                    Some(Event::AttemptEnded { key: of, phase: Phase::Reconcile, outcome: Outcome::Succeeded { .. }, .. })
                        if of == key
                );
                let shows = self.peer.unseen.get(&name).is_none_or(|unseen| *unseen == 0);
                match answered && shows {
                    true => Err(format!("{key} is uncertain, and one more look would have shown it")),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Nothing is left to happen: what must hold now?
    fn at_rest(&self) -> Result<(), String> {
        if self.state.ended.is_none() {
            return Err("nothing is left to happen, and the run has not ended".to_owned());
        }
        if self.replay()? != self.state || self.replay()? != self.replay()? {
            return Err("replay gives another state".to_owned());
        }
        for (key, count) in &self.peer.once {
            if *count > 1 {
                return Err(format!("a once-only effect happened {count} times: {key}"));
            }
        }
        for (key, keys) in &self.peer.keyed {
            if keys.len() > 1 {
                return Err(format!("a keyed effect happened {} times: {key}", keys.len()));
            }
        }
        self.intents_end()?;
        for (id, held) in &self.state.containments {
            if matches!(held.hold, Hold::Accepted | Hold::Verified) && held.until.is_some() {
                return Err(format!("{id} ({}) still holds, and its time box is over", held.key));
            }
        }
        for (who, &holds) in &self.peer.contained {
            let key: StepKey = who.parse()?;
            let Some(step) = self.state.steps.get(&key) else {
                if holds {
                    return Err(format!("{who} is contained, and the run has forgotten the step"));
                }
                continue;
            };
            let held = step.containment.map(|id| &self.state.containments[&id]);
            match held.map(|held| held.hold) {
                Some(Hold::Accepted | Hold::Verified | Hold::Stuck) => {}
                Some(Hold::Lifting) => return Err(format!("{who} is still being lifted at rest")),
                Some(Hold::Lifted) if holds => {
                    return Err(format!("{who} is contained, and its record says lifted"));
                }
                // Whoever reads that it failed believes that nothing holds.
                None if holds && step.stage != Stage::Ended(StepEnd::Uncertain) => {
                    return Err(format!(
                        "{who} is contained, and nothing on record explains it: {:?}",
                        step.stage
                    ));
                }
                _ => {}
            }
            if held.is_some_and(|held| held.hold == Hold::Verified && held.changed) && !holds {
                return Err(format!("{who} is on record as contained, and is not"));
            }
            if held.is_some_and(|held| held.hold == Hold::Lifted && held.changed) {
                self.all_lifted(who)?;
            }
        }
        Ok(())
    }

    /// What is lifted is as it was, but for what somebody else set that we had
    /// never touched.
    fn all_lifted(&self, who: &str) -> Result<(), String> {
        let marks = self.peer.marks.get(who).cloned().unwrap_or_default();
        let theirs = self.peer.theirs.get(who).and_then(|theirs| theirs.get("desk"));
        if marks.mark != "free" {
            return Err(format!("{who} is on record as lifted, and its mark is {}", marks.mark));
        }
        if marks.desk != theirs.map_or("free", String::as_str) {
            return Err(format!("{who} is lifted, and its desk is {}, which nobody set", marks.desk));
        }
        Ok(())
    }

    /// Every intent has an outcome or was lost.
    fn intents_end(&self) -> Result<(), String> {
        for entry in &self.journal {
            let Event::AttemptStarted { key, phase, attempt, .. } = &entry.event else {
                continue;
            };
            let ended = self.journal.iter().any(|other| match &other.event {
                Event::AttemptEnded { key: k, phase: p, attempt: a, .. }
                | Event::AttemptLost { key: k, phase: p, attempt: a, .. } => {
                    (k, p, a) == (key, phase, attempt)
                }
                _ => false,
            });
            if !ended && !phase.tells() {
                return Err(format!("{key} {phase} attempt {attempt} never ended"));
            }
        }
        Ok(())
    }
}

fn captured(perform: &Perform) -> &Value {
    perform.captured.as_ref().unwrap_or(&Value::Null)
}

fn succeeded(output: Value) -> Outcome {
    Outcome::Succeeded { output, evidence: None }
}
