//! A run that was set aside while it looked whether its act had happened.

use std::sync::Arc;
use std::time::Duration;

use quell::domain::command::{Command, Phase};
use quell::domain::decide::turn::take;
use quell::domain::event::RunStarted;
use quell::domain::expr::template::Template;
use quell::domain::id::{IncidentId, RunId};
use quell::domain::outcome::{Failure, FailureClass, Outcome};
use quell::domain::owed::commands;
use quell::domain::playbook::{ActionSpec, Body, ContainmentSpec, Effect};
use quell::domain::run::{LOST_MAX, RunState, Stage, StepEnd, StepKey};
use quell::domain::signal::Signal;
use quell::domain::time::Timestamp;
use quell::domain::value::{Value, digest};
use serde_json::json;
use ulid::Ulid;

use crate::loops::{plan, step};

fn suspension() -> Body {
    Body::Perform(ActionSpec {
        operation: "peer.suspend".to_owned(),
        input: Template::parse(&json!({})).expect("it is a template"),
        effect: Effect::Idempotent,
        containment: Some(ContainmentSpec {
            tier: 3,
            visible: true,
            verify_within: Some(Duration::from_secs(60)),
            undo: true,
            hold: None,
        }),
        question: None,
        reconcile: None,
    })
}

#[test]
fn a_suspension_that_nobody_could_look_at_is_uncertain_when_its_run_is_cancelled() {
    let plan = plan(vec![step("suspend", None, &[], suspension())], vec![0]);
    let run = RunId::new(Ulid::from_parts(1, 1));
    let mut state = RunState::new(Arc::clone(&plan), None);
    let mut tell = |signal: Signal| {
        take(&mut state, &signal, Timestamp::from_millis(1_795_000_000_000)).expect("it is taken");
        let asked = commands(&state).into_iter().find_map(|command| match command {
            Command::Perform(perform) => Some((perform.phase, perform.attempt)),
            _ => None,
        });
        (asked, state.clone())
    };
    tell(Signal::Start(Box::new(RunStarted {
        run,
        plan: digest(b"plan"),
        playbook: "long".to_owned(),
        version: 1,
        incident: IncidentId::derived(run.ulid(), "incident"),
        alert: None,
        inputs: Value::Null,
        by: "trigger".to_owned(),
        requesters: Vec::new(),
        parent: None,
        again: None,
    })));
    let key = StepKey::root("suspend");
    let performed = |phase, outcome| Signal::Performed { key: key.clone(), phase, attempt: 1, outcome };
    let found = json!({ "target": "dana", "already": false, "state": { "active": true } });
    tell(performed(Phase::Capture, Outcome::Succeeded { output: found, evidence: None }));
    let unheard = Failure::new(FailureClass::Unknown, "timeout", "nothing was heard");
    let (mut asked, _) = tell(performed(Phase::Act, Outcome::from(unheard)));
    for time in 1..=LOST_MAX {
        assert_eq!(asked, Some((Phase::Verify, time)), "it looks whether it happened");
        tell(Signal::Began { key: key.clone(), phase: Phase::Verify, attempt: time });
        (asked, _) = tell(Signal::Lost { key: key.clone(), phase: Phase::Verify, attempt: time });
    }
    let (asked, state) = tell(Signal::Cancel { by: "ana@example.com".to_owned(), why: None });
    assert_eq!(asked, None);
    assert_eq!(state.steps[&key].stage, Stage::Ended(StepEnd::Uncertain));
    assert!(state.ended.is_some());
}
