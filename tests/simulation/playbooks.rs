//! Random playbooks: every shape of step, in blocks and loops.

use std::sync::Arc;
use std::time::Duration;

use quell::domain::expr::Expr;
use quell::domain::expr::template::Template;
use quell::domain::playbook::{
    ActionSpec, ApprovalSpec, Body, Compute, ContainmentSpec, Effect, ForEach, IfAbsent, IfSilent, OnError,
    Playbook, PlaybookCall, Posture, QuestionSpec, ReconcileSpec, Reminder, Repeat, Retry, Step, StepIx,
};
use serde_json::{Value, json};

use crate::chance::Chance;

/// Items of a loop that no turn starts all of: a turn is cut after 4,000 events.
const MANY: u64 = 4_500;

/// What its run is given: the items of a long loop, where it has one.
pub fn inputs(playbook: &Playbook) -> Value {
    let many = playbook.steps.iter().any(|step| &*step.id == "many");
    if many { json!({ "many": (0..MANY).collect::<Vec<_>>() }) } else { Value::Null }
}

/// A playbook of up to a dozen steps; now and then one long loop.
pub fn playbook(chance: &mut Chance) -> Playbook {
    let mut steps = Vec::new();
    let roots = if chance.below(300) == 0 {
        steps.push(long_loop(chance));
        vec![0]
    } else {
        let count = 2 + chance.below(6) as usize;
        siblings(chance, &mut steps, None, count, 0)
    };
    let mut section = |chance: &mut Chance, percent| {
        let count = 1 + chance.below(2) as usize;
        if chance.percent(percent) { siblings(chance, &mut steps, None, count, 1) } else { Vec::new() }
    };
    let on_failure = section(chance, 30);
    let finally = section(chance, 30);
    for &root in on_failure.iter().chain(&finally) {
        no_finish(&mut steps, root);
    }
    let within = chance.percent(10).then(|| Duration::from_secs(60 + chance.below(20_000)));
    Playbook {
        name: "simulated".to_owned(),
        version: 1,
        title: "Simulated".to_owned(),
        owner: None,
        description: None,
        posture: Posture::Overt,
        tags: Vec::new(),
        triggers: Vec::new(),
        inputs: Vec::new(),
        steps,
        roots,
        on_failure,
        finally,
        within,
        by_id: Default::default(),
    }
}

fn siblings(
    chance: &mut Chance,
    steps: &mut Vec<Step>,
    parent: Option<StepIx>,
    count: usize,
    depth: usize,
) -> Vec<StepIx> {
    let mut children: Vec<StepIx> = Vec::new();
    for _ in 0..count {
        let ix = steps.len();
        let needs = match (chance.below(10), children.last()) {
            (0..=1, _) | (_, None) => Vec::new(),
            (2, Some(_)) => vec![children[chance.below(children.len() as u64) as usize]],
            (_, Some(&last)) => vec![last],
        };
        steps.push(step(chance, ix, parent, needs));
        if depth < 2 && chance.percent(15) {
            let inner = 1 + chance.below(3) as usize;
            let inside = siblings(chance, steps, Some(ix), inner, depth + 1);
            steps[ix].body = Body::Block(inside);
            steps[ix].kind = "steps".into();
            if chance.percent(70) {
                steps[ix].approval = None;
            }
        } else {
            steps[ix].body = body(chance, &children, steps);
        }
        if matches!(steps[ix].body, Body::Compute(_) | Body::Wait(_) | Body::WaitUntil(_)) {
            steps[ix].approval = None;
        }
        let polls = match &steps[ix].body {
            Body::Perform(action) => action.containment.is_none() && action.question.is_none(),
            Body::Block(_) => true,
            _ => false,
        };
        if polls && chance.percent(12) {
            steps[ix].repeat = Some(repeat(chance));
        }
        children.push(ix);
    }
    children
}

fn long_loop(chance: &mut Chance) -> Step {
    let items = Expr::parse("inputs.many").unwrap();
    let set = Template::parse(&json!({ "twice": "${ item + item }" })).unwrap();
    Step {
        id: Arc::from("many"),
        when: None,
        for_each: Some(ForEach { items, at_once: 1 + chance.below(3) as usize }),
        approval: None,
        body: Body::Compute(Compute::Set(set)),
        ..step(chance, 0, None, Vec::new())
    }
}

/// What a check would refuse: the end of a run cannot be finished.
fn no_finish(steps: &mut [Step], ix: StepIx) {
    if let Body::Block(children) = &steps[ix].body {
        for child in children.clone() {
            no_finish(steps, child);
        }
    } else if matches!(&steps[ix].body, Body::Compute(Compute::Finish(_))) {
        steps[ix].body = Body::Wait(Duration::from_secs(5));
    }
}

fn repeat(chance: &mut Chance) -> Repeat {
    let until = ["index >= 2", "true", "false", "run.version == 1", "inputs.nothing == 1"];
    Repeat {
        until: Expr::parse(until[chance.below(5) as usize]).unwrap(),
        every: Duration::from_secs(1 + chance.below(300)),
        times: 1 + chance.below(4) as u32,
    }
}

fn step(chance: &mut Chance, ix: StepIx, parent: Option<StepIx>, needs: Vec<StepIx>) -> Step {
    let for_each = chance.percent(12).then(|| ForEach {
        items: Expr::parse(["[1, 2, 3]", "[]", "[[1], [2, 3]]", "[1, 2, 3, 4, 5]"][chance.below(4) as usize])
            .unwrap(),
        at_once: 1 + chance.below(3) as usize,
    });
    let when = chance.percent(15).then(|| {
        Expr::parse(["true", "false", "run.version == 1", "inputs.nothing == 1"][chance.below(4) as usize])
            .unwrap()
    });
    let approval = chance.percent(25).then(|| ApprovalSpec {
        by: vec!["group:leads".to_owned(), "group:hr".to_owned()],
        each: 1,
        within: Duration::from_secs(1800),
        if_silent: if chance.percent(50) { IfSilent::Escalate } else { IfSilent::Reject },
    });
    Step {
        id: Arc::from(format!("s{ix}")),
        kind: "call".into(),
        parent,
        needs,
        when,
        for_each,
        repeat: None,
        retry: Retry {
            times: chance.below(4) as u32,
            first: Duration::from_secs(1),
            most: Duration::from_secs(8),
        },
        timeout: Duration::from_secs(20),
        within: chance.percent(10).then(|| Duration::from_secs(60 + chance.below(4000))),
        on_error: if chance.percent(60) { OnError::Continue } else { OnError::Fail },
        approval,
        label: None,
        note: None,
        body: Body::Block(Vec::new()),
    }
}

fn body(chance: &mut Chance, before: &[StepIx], steps: &[Step]) -> Body {
    let plain = |value| Template::parse(&value).unwrap();
    let contained: Vec<StepIx> = before
        .iter()
        .copied()
        .filter(|&ix| matches!(&steps[ix].body, Body::Perform(action) if action.containment.is_some()))
        .collect();
    match chance.below(12) {
        0 if chance.percent(40) => {
            Body::Compute(Compute::Set(plain(json!({ "broken": "${ inputs.nothing }" }))))
        }
        0 => Body::Compute(Compute::Set(plain(json!({ "version": "${ run.version + 1 }" })))),
        1 if chance.percent(30) => Body::WaitUntil(plain(json!("${ run.started_at }"))),
        1 => Body::Wait(Duration::from_secs(chance.below(5000))),
        2 if chance.percent(40) => {
            Body::Call(PlaybookCall { playbook: "other".to_owned(), with: plain(json!({})) })
        }
        2 if !contained.is_empty() => Body::Undo(contained),
        3 if chance.percent(30) => {
            Body::Compute(Compute::Finish(plain(json!({ "disposition": "contained" }))))
        }
        4 => Body::Perform(ActionSpec {
            operation: "ask".to_owned(),
            input: plain(json!({ "who": "group:owners" })),
            effect: Effect::Once,
            containment: None,
            question: Some(QuestionSpec {
                choices: vec![("yes".to_owned(), "Yes".to_owned()), ("no".to_owned(), "No".to_owned())],
                fields: Vec::new(),
                within: Duration::from_secs(600),
                if_silent: "no".to_owned(),
                reminders: vec![
                    Reminder { after: Duration::from_secs(120), to: None },
                    Reminder {
                        after: Duration::from_secs(300),
                        to: Some(plain(json!("manager@example.com"))),
                    },
                ],
            }),
            reconcile: None,
        }),
        5..=7 => Body::Perform(ActionSpec {
            operation: "peer.contain".to_owned(),
            input: plain(json!({ "run": "${ run.id }" })),
            effect: Effect::Idempotent,
            containment: Some(ContainmentSpec {
                tier: 3,
                visible: true,
                verify_within: Some(Duration::from_secs(60)),
                undo: true,
                hold: chance.percent(60).then(|| Duration::from_secs(60 + chance.below(10_000))),
            }),
            question: None,
            reconcile: None,
        }),
        other => {
            let effect = match other {
                8 => Effect::Read,
                9 => Effect::Idempotent,
                10 => Effect::Keyed,
                _ => Effect::Once,
            };
            Body::Perform(ActionSpec {
                operation: "peer.call".to_owned(),
                input: plain(json!({})),
                effect,
                containment: None,
                question: None,
                reconcile: (effect == Effect::Once && chance.percent(60)).then(|| ReconcileSpec {
                    within: Duration::from_secs(30),
                    absent: if chance.percent(50) { IfAbsent::Resend } else { IfAbsent::Uncertain },
                }),
            })
        }
    }
}
