//! Playbooks as proptest draws them: a sketch of each step, which shrinks to
//! fewer and plainer steps, and the checked playbook that a sketch stands for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use quell::domain::expr::Expr;
use quell::domain::expr::template::Template;
use quell::domain::plan::{Callee, Plan};
use quell::domain::playbook::{
    ActionSpec, ApprovalSpec, Body, Compute, ContainmentSpec, Effect, ForEach, IfAbsent, IfSilent, OnError,
    Playbook, PlaybookCall, Posture, QuestionSpec, ReconcileSpec, Reminder, Repeat, Retry, Step, StepIx,
};
use quell::domain::value::{Value, digest};
use serde_json::json;

/// What a playbook does, before it is written out.
#[derive(Debug, Clone)]
pub struct Sketch {
    main: Vec<StepSketch>,
    on_failure: Vec<StepSketch>,
    finally: Vec<StepSketch>,
    within: Option<u64>,
}

/// One step of a sketch.
#[derive(Debug, Clone)]
pub struct StepSketch {
    pub does: Does,
    /// Starts with the step before it instead of after it.
    pub beside: bool,
    pub continues: bool,
    pub retries: u32,
    pub when: Option<&'static str>,
    pub items: Option<(&'static str, usize)>,
    pub until: Option<(&'static str, u64, u32)>,
    pub approval: Option<bool>,
    pub within: Option<u64>,
    pub input: Value,
}

/// What one step does.
#[derive(Debug, Clone)]
pub enum Does {
    Compute(Compute),
    Wait(u64),
    WaitUntil(&'static str),
    Call,
    Undo,
    Ask,
    Contain { effect: Effect, verifies: bool, hold: Option<u64>, undo: bool },
    Act { effect: Effect, reconciles: Option<IfAbsent> },
    Block(Vec<StepSketch>),
}

/// Sketches of up to some dozen steps.
pub fn sketches() -> impl Strategy<Value = Sketch> {
    let few = || prop_oneof![2 => Just(Vec::new()), 1 => vec(steps(), 1..3)];
    (vec(steps(), 1..6), few(), few(), weighted(0.1, 1u64..50_000))
        .prop_map(|(main, on_failure, finally, within)| Sketch { main, on_failure, finally, within })
}

fn steps() -> impl Strategy<Value = StepSketch> {
    step(does().boxed()).prop_recursive(2, 8, 3, |inner| step(vec(inner, 1..4).prop_map(Does::Block).boxed()))
}

fn step(does: BoxedStrategy<Does>) -> impl Strategy<Value = StepSketch> {
    let conditions = vec!["true", "false", "run.version == 1", "index != 1", "inputs.nothing == 1"];
    let items = vec!["[1, 2, 3]", "[]", "[[1], [2, 3]]", "[1, 2, 3, 4, 5]", "7"];
    let ends = vec!["index >= 2", "true", "false", "run.version == 1", "inputs.nothing == 1"];
    let inputs = [
        json!({}),
        json!({ "run": "${ run.id }" }),
        json!({ "severity": "${ incident.severity }" }),
        json!({ "before": "${ outcome }" }),
        json!({ "item": "${ item }" }),
    ];
    (
        does,
        weighted(0.3, Just(())).prop_map(|beside| beside.is_some()),
        any::<bool>(),
        0u32..4,
        weighted(0.1, select(conditions)),
        weighted(0.15, (select(items), 1usize..4)),
        weighted(0.15, (select(ends), 1u64..300, 1u32..5)),
        weighted(0.3, any::<bool>()),
        weighted(0.15, 1u64..5000),
        select(inputs.to_vec()),
    )
        .prop_map(|(does, beside, continues, retries, when, items, until, approval, within, input)| {
            StepSketch { does, beside, continues, retries, when, items, until, approval, within, input }
        })
}

fn does() -> impl Strategy<Value = Does> {
    let template = |source: Value| Template::parse(&source).unwrap();
    let computes = vec![
        Compute::Set(template(json!({ "version": "${ run.version + 1 }" }))),
        Compute::Set(template(json!({ "broken": "${ inputs.nothing }" }))),
        Compute::Set(template(json!("${ null }"))),
        Compute::Incident(template(json!({ "severity": 70, "tags": ["seen"] }))),
        Compute::Finish(template(json!({ "disposition": "contained" }))),
    ];
    let times = vec!["${ run.started_at }", "${ now }", "2026-11-30T09:00:00Z", "soon"];
    let effect = || select(vec![Effect::Read, Effect::Idempotent, Effect::Keyed, Effect::Once]);
    let converges = select(vec![Effect::Idempotent, Effect::Keyed, Effect::Once]);
    prop_oneof![
        2 => select(computes).prop_map(Does::Compute),
        1 => (0u64..5000).prop_map(Does::Wait),
        1 => select(times).prop_map(Does::WaitUntil),
        1 => Just(Does::Call),
        1 => Just(Does::Undo),
        2 => Just(Does::Ask),
        4 => (converges, any::<bool>(), weighted(0.6, 1u64..10_000), any::<bool>()).prop_map(
            |(effect, verifies, hold, undo)| Does::Contain { effect, verifies, hold, undo }
        ),
        4 => (effect(), proptest::option::of(select(&[IfAbsent::Uncertain, IfAbsent::Resend][..]))).prop_map(|(effect, reconciles)| Does::Act { effect, reconciles }),
    ]
}

impl From<Vec<StepSketch>> for Sketch {
    fn from(main: Vec<StepSketch>) -> Self {
        Self { main, on_failure: Vec::new(), finally: Vec::new(), within: None }
    }
}

impl From<Does> for StepSketch {
    /// A plain step that does this, after the one before it; its failure fails the run.
    fn from(does: Does) -> Self {
        Self {
            does,
            beside: false,
            continues: false,
            retries: 0,
            when: None,
            items: None,
            until: None,
            approval: None,
            within: None,
            input: json!({}),
        }
    }
}

impl Sketch {
    /// The plan it stands for; nothing in it that a check would refuse.
    pub fn plan(&self) -> Arc<Plan> {
        let mut steps = Vec::new();
        let roots = written(&mut steps, None, &self.main, true);
        let on_failure = written(&mut steps, None, &self.on_failure, false);
        let finally = written(&mut steps, None, &self.finally, false);
        let callee = Callee { plan: digest(b"other"), version: 1, inputs: Vec::new() };
        Arc::new(Plan {
            playbook: Playbook {
                name: "drawn".to_owned(),
                version: 1,
                title: "Drawn".to_owned(),
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
                within: self.within.map(Duration::from_secs),
                by_id: Default::default(),
            },
            source: digest(b""),
            texts: BTreeMap::new(),
            connectors: BTreeMap::new(),
            playbooks: BTreeMap::from([("other".to_owned(), callee)]),
        })
    }
}

fn written(
    steps: &mut Vec<Step>,
    parent: Option<StepIx>,
    sketches: &[StepSketch],
    may_finish: bool,
) -> Vec<StepIx> {
    let mut children: Vec<StepIx> = Vec::new();
    for sketch in sketches {
        let ix = steps.len();
        let needs = children.last().filter(|_| !sketch.beside).map(|ix| vec![*ix]).unwrap_or_default();
        steps.push(sketch.step(ix, parent, needs));
        let body = match &sketch.does {
            Does::Block(inside) => Body::Block(written(steps, Some(ix), inside, may_finish)),
            _ => sketch.body(steps, &children, may_finish),
        };
        let polls = match &body {
            Body::Perform(action) => action.containment.is_none() && action.question.is_none(),
            Body::Block(_) => true,
            _ => false,
        };
        if !polls {
            steps[ix].repeat = None;
        }
        if matches!(body, Body::Compute(_) | Body::Wait(_) | Body::WaitUntil(_)) {
            steps[ix].approval = None;
        }
        steps[ix].body = body;
        children.push(ix);
    }
    children
}

impl StepSketch {
    fn step(&self, ix: StepIx, parent: Option<StepIx>, needs: Vec<StepIx>) -> Step {
        let expr = |source: &str| Expr::parse(source).unwrap();
        Step {
            id: Arc::from(format!("s{ix}")),
            kind: "call".into(),
            parent,
            needs,
            when: self.when.map(expr),
            for_each: self.items.map(|(items, at_once)| ForEach { items: expr(items), at_once }),
            repeat: self.until.map(|(until, every, times)| Repeat {
                until: expr(until),
                every: Duration::from_secs(every),
                times,
            }),
            retry: Retry { times: self.retries, first: Duration::from_secs(1), most: Duration::from_secs(8) },
            timeout: Duration::from_secs(20),
            within: self.within.map(Duration::from_secs),
            on_error: if self.continues { OnError::Continue } else { OnError::Fail },
            approval: self.approval.map(|escalates| ApprovalSpec {
                by: vec!["group:leads".to_owned(), "lee@example.com".to_owned()],
                each: 1,
                within: Duration::from_secs(1800),
                if_silent: if escalates { IfSilent::Escalate } else { IfSilent::Reject },
            }),
            label: None,
            note: None,
            body: Body::Block(Vec::new()),
        }
    }

    fn body(&self, steps: &[Step], before: &[StepIx], may_finish: bool) -> Body {
        let template = |source: &Value| Template::parse(source).unwrap();
        let contains =
            |ix: &StepIx| matches!(&steps[*ix].body, Body::Perform(action) if action.containment.is_some());
        match &self.does {
            Does::Compute(Compute::Finish(_)) if !may_finish => Body::Wait(Duration::from_secs(5)),
            Does::Compute(compute) => Body::Compute(compute.clone()),
            Does::Wait(seconds) => Body::Wait(Duration::from_secs(*seconds)),
            Does::WaitUntil(time) => Body::WaitUntil(template(&json!(time))),
            Does::Call => {
                Body::Call(PlaybookCall { playbook: "other".to_owned(), with: template(&json!({})) })
            }
            Does::Undo => Body::Undo(before.iter().copied().filter(contains).collect()),
            Does::Ask => Body::Perform(ActionSpec {
                operation: "ask".to_owned(),
                input: template(&json!({ "who": "group:owners" })),
                effect: Effect::Once,
                containment: None,
                question: Some(question()),
                reconcile: None,
            }),
            Does::Contain { effect, verifies, hold, undo } => Body::Perform(ActionSpec {
                operation: "peer.contain".to_owned(),
                input: template(&self.input),
                effect: *effect,
                containment: Some(ContainmentSpec {
                    tier: 3,
                    visible: true,
                    verify_within: verifies.then_some(Duration::from_secs(60)),
                    undo: *undo,
                    hold: hold.filter(|_| *undo).map(Duration::from_secs),
                }),
                question: None,
                reconcile: None,
            }),
            Does::Act { effect, reconciles } => Body::Perform(ActionSpec {
                operation: "peer.call".to_owned(),
                input: template(&self.input),
                effect: *effect,
                containment: None,
                question: None,
                reconcile: reconciles.map(|absent| ReconcileSpec { within: Duration::from_secs(30), absent }),
            }),
            Does::Block(_) => Body::Block(Vec::new()),
        }
    }
}

fn question() -> QuestionSpec {
    let manager = Template::parse(&json!("manager@example.com")).unwrap();
    QuestionSpec {
        choices: vec![("yes".to_owned(), "Yes".to_owned()), ("no".to_owned(), "No".to_owned())],
        fields: Vec::new(),
        within: Duration::from_secs(600),
        if_silent: "no".to_owned(),
        reminders: vec![
            Reminder { after: Duration::from_secs(120), to: None },
            Reminder { after: Duration::from_secs(300), to: Some(manager) },
        ],
    }
}
