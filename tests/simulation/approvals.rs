//! What the approval of a block shows, and what it holds the steps in it to.

use quell::domain::approval::Covered;
use quell::domain::event::Event;
use quell::domain::expr::template::Template;
use quell::domain::playbook::{Compute, Effect};
use quell::domain::run::{Stage, StepEnd, StepKey};
use quell::domain::value::Value;
use serde_json::{Value as Json, json};

use crate::deeds::{Answer, performs};
use crate::life::Life;
use crate::sketches::{Does, StepSketch};

fn act(effect: Effect, input: Json) -> StepSketch {
    StepSketch { input, ..Does::Act { effect, reconciles: None }.into() }
}

fn contain(input: Json) -> StepSketch {
    let does = Does::Contain { effect: Effect::Idempotent, verifies: true, hold: Some(7200), undo: true };
    StepSketch { input, ..does.into() }
}

fn severity(severity: u8) -> StepSketch {
    let change = Template::parse(&json!({ "severity": severity })).unwrap();
    Does::Compute(Compute::Incident(change)).into()
}

fn approved(steps: Vec<StepSketch>) -> StepSketch {
    StepSketch { approval: Some(false), continues: true, ..Does::Block(steps).into() }
}

/// What the approval of the first block of a run was said to cover.
fn covers(life: &Life) -> Vec<Covered> {
    let asked = life.journal.iter().find_map(|entry| match &entry.event {
        Event::ApprovalRequested { covers, .. } => Some(covers.clone()),
        _ => None,
    });
    asked.expect("an approval was asked for")
}

fn covered(step: &str, operation: &str, input: Option<Value>) -> Covered {
    Covered { step: step.to_owned(), operation: operation.to_owned(), input }
}

/// Why a step ended as it did.
fn why<'a>(life: &'a Life, step: &str) -> &'a str {
    life.state.steps[&StepKey::root(step)].why.as_deref().unwrap_or_default()
}

#[test]
fn an_approval_of_a_block_lists_what_its_steps_will_do_with_what_they_hand_over() {
    let looped =
        StepSketch { items: Some(("[1, 2]", 1)), ..act(Effect::Keyed, json!({ "to": "${ item }" })) };
    let life = Life::of(vec![
        severity(40),
        approved(vec![
            contain(json!({ "user": "dana", "severity": "${ incident.severity }" })),
            act(Effect::Read, json!({ "of": "dana" })),
            Does::Wait(5).into(),
            Does::Block(vec![act(Effect::Once, json!({ "run": "${ run.playbook }" }))]).into(),
            looped,
            Does::Call.into(),
            Does::Undo.into(),
        ]),
    ]);
    let expected = vec![
        covered("s2", "peer.contain", Some(json!({ "user": "dana", "severity": 40 }))),
        covered("s6", "peer.call", Some(json!({ "run": "drawn" }))),
        covered("s7", "peer.call", None),
        covered("s8", "playbook.other", Some(json!({}))),
        covered("s9", "undo", None),
    ];
    assert_eq!(covers(&life), expected);
}

#[test]
fn what_is_only_known_later_is_not_shown_as_known() {
    let life = Life::of(vec![
        severity(40),
        approved(vec![
            act(Effect::Once, json!({ "user": "dana" })),
            // Each of these says something now, and something else when the step begins.
            act(
                Effect::Once,
                json!({ "user": "dana", "ticket": "${ has(steps.s2) ? steps.s2.ok : false }" }),
            ),
            act(Effect::Once, json!({ "before": "${ size(outcome) }" })),
            act(Effect::Once, json!({ "user": "dana", "at": "${ now }" })),
            severity(70),
            act(Effect::Once, json!({ "user": "dana", "severity": "${ incident.severity }" })),
        ]),
    ]);
    let known = || Some(json!({ "user": "dana" }));
    let inputs: Vec<Option<Value>> = covers(&life).into_iter().map(|covered| covered.input).collect();
    assert_eq!(inputs, vec![known(), known(), None, known(), known()]);
}

#[test]
fn what_is_only_known_later_does_not_stop_what_was_approved() {
    let mut life = Life::of(vec![
        severity(40),
        approved(vec![
            act(Effect::Once, json!({ "user": "dana" })),
            act(
                Effect::Once,
                json!({ "ticket": "${ has(steps.s2) ? steps.s2.ok : false }", "at": "${ now }" }),
            ),
            severity(70),
            act(Effect::Once, json!({ "severity": "${ incident.severity }", "user": "dana" })),
        ]),
    ]);
    life.answer("s1", &Answer::Fine);
    life.now = life.now.after(std::time::Duration::from_secs(600));
    life.approve("s1");
    for step in ["s2", "s3", "s5"] {
        life.answer(step, &Answer::Fine);
    }
    assert_eq!(*life.stage("s1"), Stage::Ended(StepEnd::Succeeded));
}

#[test]
fn a_step_that_would_hand_over_something_else_than_was_approved_is_not_done_and_says_why() {
    for step in [contain as fn(Json) -> StepSketch, |input| act(Effect::Once, input)] {
        let mut life = Life::of(vec![
            severity(40),
            approved(vec![step(json!({ "user": "dana", "severity": "${ incident.severity }" }))]),
            StepSketch { beside: true, ..act(Effect::Once, json!({})) },
            severity(70),
        ]);
        life.answer("s1", &Answer::Fine);
        // While people think, another step finds that it is worse.
        life.answer("s3", &Answer::Fine);
        assert_eq!(life.state.incident.severity, Some(70));
        life.approve("s1");
        assert_eq!(performs(&life.state), Vec::new(), "nothing is done");
        assert_eq!(*life.stage("s2"), Stage::Ended(StepEnd::Failed));
        assert!(
            why(&life, "s2").starts_with("its input is no longer what was approved with `s1`"),
            "{}",
            why(&life, "s2")
        );
        assert!(why(&life, "s2").contains("nothing was done"));
    }
}

#[test]
fn a_step_in_a_block_in_the_block_is_held_to_the_approval_too() {
    let inner = act(Effect::Once, json!({ "severity": "${ incident.severity }" }));
    let mut life = Life::of(vec![
        severity(40),
        approved(vec![Does::Block(vec![inner]).into()]),
        StepSketch { beside: true, ..act(Effect::Once, json!({})) },
        severity(70),
    ]);
    life.answer("s1", &Answer::Fine);
    life.answer("s4", &Answer::Fine);
    life.approve("s1");
    assert_eq!(*life.stage("s3"), Stage::Ended(StepEnd::Failed));
    assert_eq!(*life.stage("s1"), Stage::Ended(StepEnd::Failed));
}

#[test]
fn an_approval_binds_what_it_shows() {
    let digest = |user: &str| {
        let life = Life::of(vec![approved(vec![contain(json!({ "user": user }))])]);
        life.state.approvals.values().next().expect("it was asked for").binds
    };
    assert_eq!(digest("dana"), digest("dana"));
    assert_ne!(digest("dana"), digest("lee"));
}
