//! One run that contains two targets, in virtual time: time boxes, lifting, and
//! what a person may do about both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quell::domain::command::{Command, Perform, Phase};
use quell::domain::decide::turn::take;
use quell::domain::event::{Event, RunStarted};
use quell::domain::expr::template::Template;
use quell::domain::id::{ContainmentId, IncidentId, RunId};
use quell::domain::kept::{compare, is_restored, standing, to_write};
use quell::domain::outcome::{Failure, FailureClass, Outcome};
use quell::domain::owed::commands;
use quell::domain::plan::Plan;
use quell::domain::playbook::{
    ActionSpec, Body, ContainmentSpec, Effect, OnError, Playbook, Posture, Retry, Step,
};
use quell::domain::run::{Containment, Hold, LIFT_MOST, RunState};
use quell::domain::signal::{Refusal, Signal};
use quell::domain::time::Timestamp;
use quell::domain::value::digest;
use serde_json::{Value, json};
use ulid::Ulid;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const ANA: &str = "ana@example.com";

/// The steps, in the order in which they contain.
const STEPS: [&str; 2] = ["first", "second"];

fn contains(ix: usize, hold: Option<Duration>) -> Step {
    let containment =
        ContainmentSpec { tier: 3, visible: true, verify_within: Some(MINUTE), undo: true, hold };
    Step {
        id: Arc::from(STEPS[ix]),
        kind: "contain".into(),
        parent: None,
        needs: if ix == 0 { Vec::new() } else { vec![ix - 1] },
        when: None,
        for_each: None,
        repeat: None,
        retry: Retry { times: 0, first: Duration::from_secs(1), most: Duration::from_secs(8) },
        timeout: Duration::from_secs(20),
        within: None,
        on_error: OnError::Fail,
        approval: None,
        label: None,
        note: None,
        body: Body::Perform(ActionSpec {
            operation: "peer.contain".to_owned(),
            input: Template::parse(&json!({})).expect("it is empty"),
            effect: Effect::Idempotent,
            containment: Some(containment),
            question: None,
            reconcile: None,
        }),
    }
}

struct Story {
    state: RunState,
    now: Timestamp,
    /// What the peer holds, by step.
    peer: BTreeMap<String, Value>,
    /// Whether nothing answers.
    down: bool,
    /// Whether reading back shows what was, not what is.
    lags: bool,
    events: Vec<Event>,
}

impl Story {
    /// A run that has contained both and has ended.
    fn begin(hold: Option<Duration>) -> Self {
        let playbook = Playbook {
            name: "two".to_owned(),
            version: 1,
            title: "Two".to_owned(),
            owner: None,
            description: None,
            posture: Posture::Overt,
            tags: Vec::new(),
            triggers: Vec::new(),
            inputs: Vec::new(),
            steps: vec![contains(0, hold), contains(1, hold)],
            roots: vec![0, 1],
            on_failure: Vec::new(),
            finally: Vec::new(),
            within: None,
            by_id: Default::default(),
        };
        let plan = Arc::new(Plan {
            playbook,
            source: digest(b""),
            texts: BTreeMap::new(),
            connectors: BTreeMap::new(),
            playbooks: BTreeMap::new(),
        });
        let run = RunId::new(Ulid::from_parts(1, 1));
        let free = json!({ "active": true, "mark": "free", "desk": 1 });
        let mut story = Self {
            state: RunState::new(plan, None),
            now: Timestamp::from_millis(1_795_000_000_000),
            peer: STEPS.map(|step| (step.to_owned(), free.clone())).into(),
            down: false,
            lags: false,
            events: Vec::new(),
        };
        let started = RunStarted {
            run,
            plan: digest(b"plan"),
            playbook: "two".to_owned(),
            version: 1,
            incident: IncidentId::derived(run.ulid(), "incident"),
            alert: None,
            inputs: Value::Null,
            by: "trigger".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        story.tell(Signal::Start(Box::new(started))).expect("it begins");
        story.carry_out();
        assert!(story.state.ended.is_some());
        assert_eq!(STEPS.map(|step| story.held(step).hold), [Hold::Verified; 2]);
        story
    }

    fn id(&self, step: &str) -> ContainmentId {
        let found = self.state.containments.iter().find(|(_, held)| *held.key.id == *step);
        *found.expect("it was contained").0
    }

    fn held(&self, step: &str) -> &Containment {
        &self.state.containments[&self.id(step)]
    }

    /// Tells the run something; gives what it decided.
    fn tell(&mut self, signal: Signal) -> Result<Vec<Event>, Refusal> {
        let events = take(&mut self.state, &signal, self.now)?;
        self.events.extend(events.iter().cloned());
        Ok(events)
    }

    fn undo(&mut self, steps: &[&str], anyway: bool) -> Result<Vec<Event>, Refusal> {
        let containments = steps.iter().map(|step| self.id(step)).collect();
        self.tell(Signal::Undo { containments, by: ANA.to_owned(), why: Some("asked".to_owned()), anyway })
    }

    fn extend(&mut self, step: &str, hold: Duration) -> Result<Vec<Event>, Refusal> {
        let containment = self.id(step);
        self.tell(Signal::Extend { containment, hold, by: ANA.to_owned() })
    }

    /// Carries out what is asked for now, until nothing is; no time passes.
    fn carry_out(&mut self) {
        loop {
            let next = commands(&self.state).into_iter().find_map(|command| match command {
                Command::Perform(perform) => Some(perform),
                _ => None,
            });
            let Some(perform) = next else { return };
            let outcome = self.perform(&perform);
            let Perform { key, phase, attempt, .. } = perform;
            self.tell(Signal::Performed { key, phase, attempt, outcome }).expect("it is heard");
        }
    }

    /// Time passes, and the run is woken whenever it asked to be.
    fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        loop {
            let wake = commands(&self.state).into_iter().find_map(|command| match command {
                Command::WakeAt(at) => Some(at),
                _ => None,
            });
            let Some(at) = wake.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            self.tell(Signal::Wake).expect("it is heard");
            self.carry_out();
        }
        self.now = until;
    }

    fn perform(&mut self, perform: &Perform) -> Outcome {
        let keep = ["active", "mark", "desk"].map(str::to_owned);
        let name = perform.key.id.to_string();
        let target = self.peer.get_mut(&name).expect("the peer knows it");
        let captured = perform.captured.clone().unwrap_or_default();
        let held = json!({ "active": false, "mark": "held", "desk": 1 });
        let shown = if self.lags { held } else { target.clone() };
        let output = match perform.phase {
            Phase::Warn => json!({}),
            _ if self.down => {
                return Failure::new(FailureClass::Transient, "unreachable", "nothing answers there").into();
            }
            Phase::Capture => json!({ "target": name, "already": false, "state": target }),
            Phase::Act => {
                target["active"] = json!(false);
                target["mark"] = json!("held");
                json!({})
            }
            Phase::UndoCheck => {
                let fields = compare(&keep, &captured, &shown, shown["active"] == json!(false));
                json!({ "state": standing(&fields), "fields": fields })
            }
            Phase::Undo => {
                *target = to_write(&captured)["state"].clone();
                json!({})
            }
            Phase::UndoVerify => json!({ "holds": is_restored(&keep, &captured, &shown) }),
            _ => json!({ "holds": target["active"] == json!(false), "read": target }),
        };
        Outcome::Succeeded { output, evidence: None }
    }

    /// The steps whose target was written to be lifted, in order.
    fn lifted_in_order(&self) -> Vec<String> {
        let begun = self.events.iter().filter_map(|event| match event {
            Event::AttemptStarted { key, phase: Phase::Undo, .. } => Some(key.id.to_string()),
            _ => None,
        });
        begun.collect()
    }
}

#[test]
fn extending_moves_the_end_out_and_never_in() {
    let mut story = Story::begin(Some(HOUR));
    let end = story.held("first").until.expect("it has an end");
    story.pass(10 * MINUTE);
    story.extend("first", MINUTE).expect("it holds");
    assert_eq!(story.held("first").until, Some(end.after(MINUTE)), "counted from the old end");
    story.pass(50 * MINUTE + Duration::from_secs(30));
    assert_eq!(story.held("first").hold, Hold::Verified, "its old end is past");
    assert_eq!(story.held("second").hold, Hold::Lifted, "nobody extended this one");
    story.pass(MINUTE);
    assert_eq!(story.held("first").hold, Hold::Lifted);
    assert_eq!(story.extend("first", HOUR).expect_err("it is lifted").code, "not-holding");
}

#[test]
fn what_is_overdue_after_a_downtime_is_lifted_at_once_the_newest_first_and_says_how_late() {
    let mut story = Story::begin(Some(HOUR));
    // Nobody wakes it for five hours.
    story.now = story.now.after(5 * HOUR);
    let events = story.tell(Signal::Wake).expect("it is heard");
    let late = events.iter().filter(|event| {
        matches!(event, Event::UndoRequested { by, why: Some(why), .. } if by == "time box" && why.contains("late by 4h"))
    });
    assert_eq!(late.count(), 2, "{events:?}");
    story.carry_out();
    assert_eq!(story.lifted_in_order(), ["second", "first"]);
    assert_eq!(STEPS.map(|step| story.held(step).hold), [Hold::Lifted; 2]);
}

#[test]
fn lifting_is_tried_until_reading_back_shows_it() {
    let mut story = Story::begin(Some(HOUR));
    story.down = true;
    story.pass(25 * HOUR);
    assert_eq!(STEPS.map(|step| story.held(step).hold), [Hold::Lifting; 2], "nothing answered for a day");
    let looks = |story: &Story| {
        let is_look = |event: &&Event| matches!(event, Event::AttemptStarted { phase: Phase::UndoCheck, .. });
        story.events.iter().filter(is_look).count()
    };
    let tried = looks(&story);
    story.pass(LIFT_MOST + MINUTE);
    assert!(looks(&story) >= tried + 2, "it never waits longer than {LIFT_MOST:?}");
    // Now it answers, and goes on showing what was.
    (story.down, story.lags) = (false, true);
    story.pass(HOUR);
    assert_eq!(STEPS.map(|step| story.held(step).hold), [Hold::Lifting; 2], "accepted is not lifted");
    assert_eq!(STEPS.map(|step| story.peer[step]["active"] == json!(true)), [true; 2]);
    story.lags = false;
    story.pass(LIFT_MOST);
    assert_eq!(STEPS.map(|step| story.held(step).hold), [Hold::Lifted; 2]);
}

#[test]
fn a_person_chooses_what_is_lifted_and_asking_twice_does_nothing_twice() {
    let mut story = Story::begin(None);
    assert_eq!(story.undo(&["first"], false).expect("it holds").len(), 2, "asked for, and looked at");
    assert_eq!(story.undo(&["first"], false).expect("it is under way"), []);
    story.carry_out();
    assert_eq!(STEPS.map(|step| story.held(step).hold), [Hold::Lifted, Hold::Verified]);
    assert_eq!(story.undo(&["first"], true).expect("it is lifted"), []);
    assert_eq!(story.lifted_in_order(), ["first"]);
    story.undo(&[], false).expect("the other one holds");
    story.carry_out();
    assert_eq!(story.lifted_in_order(), ["first", "second"]);
    assert_eq!(story.undo(&[], false).expect("all is lifted"), []);
    let containments = vec![ContainmentId::new(Ulid::from_parts(7, 7))];
    let unknown = story.tell(Signal::Undo { containments, by: ANA.to_owned(), why: None, anyway: false });
    assert_eq!(unknown.expect_err("it is of no step").code, "containment-unknown");
}

#[test]
fn a_field_that_somebody_else_changed_is_left_alone_and_told_the_others_are_restored() {
    let mut story = Story::begin(None);
    story.peer.get_mut("first").expect("it is there")["mark"] = json!("theirs");
    // Ours never touched this.
    story.peer.get_mut("second").expect("it is there")["desk"] = json!(9);
    story.undo(&[], false).expect("both hold");
    story.carry_out();
    assert_eq!(story.peer["first"], json!({ "active": true, "mark": "theirs", "desk": 1 }));
    assert_eq!(story.peer["second"], json!({ "active": true, "mark": "free", "desk": 9 }));
    assert_eq!(STEPS.map(|step| story.held(step).hold), [Hold::Stuck, Hold::Lifted]);
    let why = story.held("first").why.clone().expect("it is told");
    assert!(
        why.contains("we left it \"held\", and is \"theirs\" now") && why.contains("lifted in part"),
        "{why}"
    );
    let others: Vec<&str> = story
        .events
        .iter()
        .flat_map(|event| match event {
            Event::ContainmentLifted { others, .. } | Event::UndoRefused { others, .. } => others.as_slice(),
            _ => &[],
        })
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(others, ["desk", "mark"], "each is on record, in the order of lifting");

    // Nothing of ours is left to restore: it is refused until a person overrides it.
    story.undo(&["first"], false).expect("it is stuck");
    story.carry_out();
    assert_eq!(story.held("first").hold, Hold::Stuck);
    assert!(story.held("first").why.as_deref().is_some_and(|why| why.starts_with("somebody else changed")));
    let asked = story.undo(&["first"], true).expect("it is stuck");
    assert!(matches!(&asked[0], Event::UndoRequested { by, anyway: true, .. } if by == ANA), "{asked:?}");
    story.carry_out();
    assert_eq!(story.held("first").hold, Hold::Lifted);
    assert_eq!(story.peer["first"], json!({ "active": true, "mark": "free", "desk": 1 }));
}
