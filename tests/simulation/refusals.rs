//! Every order that the core refuses, by its code: who may approve, what is closed,
//! what cannot be lifted. A rule that is taken out is missed here.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use quell::domain::command::Phase;
use quell::domain::event::{Event, SetAside};
use quell::domain::id::{ApprovalId, ContainmentId, QuestionId};
use quell::domain::outcome::{FailureClass, Outcome};
use quell::domain::playbook::Effect;
use quell::domain::run::StepKey;
use quell::domain::signal::{Person, Signal};
use serde_json::{Value, json};
use ulid::Ulid;

use crate::deeds::{Answer, performs, wake_time};
use crate::life::Life;
use crate::sketches::{Does, StepSketch};

/// Codes of what cannot happen, each with the reason why no order provokes it.
const CANNOT_HAPPEN: [&str; 2] = [
    // A decision that its own fold does not follow: every simulation looks for one.
    "cannot-follow",
    // A question belongs to a step that asks: the plan says both.
    "not-a-question",
];

/// The code with which the run refuses this.
fn refused(life: &mut Life, signal: &Signal) -> &'static str {
    let mut code = None;
    let heard = life.hear(signal, &mut |_, turn| {
        code = turn.heard.as_ref().err().map(|refusal| refusal.code);
        Ok::<_, ()>(())
    });
    heard.expect("it only looks");
    code.unwrap_or_else(|| panic!("{signal:?} was taken"))
}

fn contain(hold: Option<u64>, undo: bool, approved: bool) -> StepSketch {
    let does = Does::Contain { effect: Effect::Idempotent, verifies: true, hold, undo };
    StepSketch { approval: approved.then_some(false), input: json!({ "user": "dana" }), ..does.into() }
}

fn asks() -> Life {
    let mut life = Life::of(vec![Does::Ask.into()]);
    life.answer("s0", &Answer::Fine);
    life
}

/// A step that contains has found dana, and waits for a yes of the leads and of lee.
fn waits_for_approval(requester: Option<&str>) -> Life {
    let mut life = Life::new(&vec![contain(Some(7200), true, true)].into());
    let Signal::Start(mut started) = life.start() else { unreachable!("it starts") };
    started.requesters.extend(requester.map(str::to_owned));
    life.tell(&Signal::Start(started));
    while life.state.approvals.is_empty() {
        let perform = performs(&life.state).into_iter().next().expect("it looks before it asks");
        let outcome = match perform.phase {
            Phase::Capture => Outcome::Succeeded {
                output: json!({ "target": "Dana", "already": false, "state": {}, "attributes": { "address": "dana@example.com" } }),
                evidence: None,
            },
            phase => Answer::Fine.outcome(phase),
        };
        let (key, phase, attempt) = (perform.key, perform.phase, perform.attempt);
        life.tell(&Signal::Performed { key, phase, attempt, outcome });
    }
    life
}

/// Contained and read back.
fn holds(hold: Option<u64>, undo: bool) -> (Life, ContainmentId) {
    let mut life = Life::of(vec![contain(hold, undo, false), Does::Wait(60).into()]);
    while let Some(perform) = performs(&life.state).into_iter().next() {
        let outcome = Answer::Fine.outcome(perform.phase);
        let (key, phase, attempt) = (perform.key, perform.phase, perform.attempt);
        life.tell(&Signal::Performed { key, phase, attempt, outcome });
    }
    let id = *life.state.containments.keys().next().expect("it holds");
    (life, id)
}

fn set_aside() -> Life {
    let mut life = waits_for_approval(None);
    let set_aside = Event::RunQuarantined(SetAside { why: "lost".to_owned(), restored: false });
    let seq = life.journal.len() as u64 + 1;
    let stream = life.journal[0].stream;
    let entry = quell::domain::event::Entry { stream, seq, at: life.now, event: set_aside };
    life.state = Life::folded(life.state.clone(), std::slice::from_ref(&entry));
    life.journal.push(entry);
    life
}

fn decide(life: &Life, address: &str, group: &str) -> Signal {
    let approval = *life.state.approvals.keys().next().expect("an approval waits");
    let by = Person { address: address.to_owned(), groups: vec![group.to_owned()] };
    Signal::Decide { approval, by, approve: true, note: None }
}

fn says(life: &Life, by: &str, choice: &str, fields: Value) -> Signal {
    let question = *life.state.questions.keys().next().expect("a question waits");
    Signal::Answer { question, by: by.to_owned(), choice: choice.to_owned(), fields }
}

fn ana() -> String {
    "ana@example.com".to_owned()
}

fn undo(containments: Vec<ContainmentId>) -> Signal {
    Signal::Undo { containments, by: ana(), why: None, anyway: false }
}

fn settle(step: &str) -> Signal {
    Signal::Settle { key: StepKey::root(step), happened: true, by: ana(), note: None }
}

fn cancel() -> Signal {
    Signal::Cancel { by: ana(), why: None }
}

fn extend(containment: ContainmentId, days: u64) -> Signal {
    Signal::Extend { containment, hold: Duration::from_secs(days * 24 * 3600), by: ana() }
}

#[test]
fn who_may_not_approve_is_refused_each_for_its_reason() {
    let mut life = waits_for_approval(Some("sam@example.com"));
    for (address, group, code) in [
        ("sam@example.com", "leads", "own-request"),
        ("SAM@Example.com", "leads", "own-request"),
        ("dana@example.com", "leads", "subject"),
        ("Dana@EXAMPLE.com", "leads", "subject"),
        ("eve@example.com", "guests", "not-an-approver"),
    ] {
        let signal = decide(&life, address, group);
        assert_eq!(refused(&mut life, &signal), code, "{address}");
    }
    life.tell(&decide(&life, "ana@example.com", "leads"));
    for again in ["ana@example.com", "Ana@Example.com"] {
        let again = decide(&life, again, "leads");
        assert_eq!(refused(&mut life, &again), "approved-already");
    }
    life.tell(&decide(&life, "lee@example.com", "hr"));
    let late = decide(&life, "eve@example.com", "leads");
    assert_eq!(refused(&mut life, &late), "approval-closed");
    // Silence until the deadline is a no, also when nobody woke the run yet.
    let mut life = waits_for_approval(None);
    life.now = wake_time(&life.state).expect("it has a deadline");
    let late = decide(&life, "ana@example.com", "leads");
    assert_eq!(refused(&mut life, &late), "approval-closed");
}

/// What provokes each other refusal, by its code.
fn provoked() -> Vec<(&'static str, Life, Signal)> {
    let nowhere = || Ulid::from_parts(1, 1);
    let begun = || Life::of(vec![Does::Wait(60).into()]);
    let answered = || {
        let mut life = asks();
        life.tell(&says(&life, "owner@example.com", "yes", json!({})));
        life
    };
    let uncertain = || {
        let mut life = Life::of(vec![Does::Act { effect: Effect::Once, reconciles: None }.into()]);
        life.answer("s0", &Answer::Fails(FailureClass::Unknown, None));
        life
    };
    let lifted = || {
        let (mut life, id) = holds(Some(7200), true);
        life.tell(&undo(vec![id]));
        (life, id)
    };
    let ended = || {
        let mut life = begun();
        life.tell(&cancel());
        life
    };
    let ending = || {
        let act = Does::Act { effect: Effect::Once, reconciles: None };
        let mut life = Life::of(vec![act.into()]);
        life.tell(&cancel());
        life
    };
    let unknown_approval = Signal::Decide {
        approval: ApprovalId::new(nowhere()),
        by: Person { address: ana(), groups: Vec::new() },
        approve: true,
        note: None,
    };
    let unknown_question = Signal::Answer {
        question: QuestionId::new(nowhere()),
        by: ana(),
        choice: "yes".to_owned(),
        fields: json!({}),
    };
    let (free, held) = holds(None, true);
    let (once, done) = holds(None, false);
    let (timed, until) = holds(Some(7200), true);
    let (gone, was) = lifted();
    let (open, settled) = (asks(), answered());
    let aside = set_aside();
    let yes = decide(&aside, "ana@example.com", "leads");
    let start = begun().start();
    let not_started = Life::new(&vec![Does::Wait(60).into()].into());
    vec![
        ("run-started", begun(), start),
        ("run-unknown", not_started, Signal::Wake),
        ("step-unknown", begun(), settle("s9")),
        ("not-uncertain", begun(), settle("s0")),
        ("approval-unknown", begun(), unknown_approval),
        ("question-unknown", begun(), unknown_question),
        ("not-asked", asks(), says(&open, "eve@example.com", "yes", json!({}))),
        ("choice-unknown", asks(), says(&open, "owner@example.com", "maybe", json!({}))),
        ("field-wrong", asks(), says(&open, "owner@example.com", "yes", json!({ "ticket": "C-1" }))),
        ("field-wrong", asks(), says(&open, "owner@example.com", "yes", json!("no map"))),
        ("question-closed", answered(), says(&settled, "owner@example.com", "no", json!({}))),
        ("containment-unknown", begun(), undo(vec![ContainmentId::new(nowhere())])),
        ("nothing-held", begun(), undo(Vec::new())),
        ("nothing-held", uncertain(), undo(Vec::new())),
        ("no-end", free, extend(held, 1)),
        ("irreversible", once, undo(vec![done])),
        ("too-long", timed, extend(until, 40)),
        ("not-holding", gone, extend(was, 1)),
        ("run-quarantined", aside, yes),
        ("not-quarantined", begun(), Signal::Release { by: ana(), why: None }),
        ("run-ended", ended(), cancel()),
        ("run-ending", ending(), cancel()),
    ]
}

#[test]
fn every_other_order_that_is_refused_changes_nothing_and_says_its_code() {
    for (code, mut life, signal) in provoked() {
        let (state, entries) = (life.state.clone(), life.journal.len());
        assert_eq!(refused(&mut life, &signal), code, "{signal:?}");
        assert!(life.state == state && life.journal.len() == entries, "{code} changed something");
    }
}

/// A new refusal needs a test here, and one that is gone takes its test along.
#[test]
fn every_code_of_the_core_is_provoked() {
    let of_approval = ["own-request", "subject", "not-an-approver", "approved-already", "approval-closed"];
    let tested = provoked().into_iter().map(|(code, ..)| code).chain(of_approval).chain(CANNOT_HAPPEN);
    let tested: BTreeSet<String> = tested.map(str::to_owned).collect();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    let (mut dirs, mut codes) = (vec![dir], BTreeSet::new());
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("src/domain can be read") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it is text");
            for made in text.split("Refusal::new(").skip(1) {
                if let Some(code) =
                    made.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
                {
                    codes.insert(code.to_owned());
                }
            }
        }
    }
    // The one whose code stands in a variable, where it is made.
    codes.insert("not-uncertain".to_owned());
    assert_eq!(tested, codes);
}
