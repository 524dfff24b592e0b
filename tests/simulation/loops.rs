//! Loops over ten thousand items: the run comes to its end, and what it holds
//! in memory meanwhile does not grow with what each item did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quell::domain::command::Command;
use quell::domain::decide::turn::take;
use quell::domain::event::{Entry, RunEnd, RunStarted};
use quell::domain::evolve::evolve;
use quell::domain::expr::Expr;
use quell::domain::expr::template::Template;
use quell::domain::id::{IncidentId, RunId, StreamId};
use quell::domain::outcome::Outcome;
use quell::domain::owed::commands;
use quell::domain::plan::Plan;
use quell::domain::playbook::{
    ActionSpec, Body, Compute, Effect, ForEach, LOOP_ITEMS_MAX, OnError, Playbook, Posture, Repeat, Retry,
    Step, StepIx,
};
use quell::domain::run::{RunState, Shared, StepKey, StepState};
use quell::domain::signal::Signal;
use quell::domain::time::Timestamp;
use quell::domain::value::{Value, digest, size_of};
use serde_json::json;
use ulid::Ulid;

/// Items that run at the same time.
const AT_ONCE: usize = 20;
/// Bytes that the system answers for each item; far more than what is kept of it.
const ANSWER_BYTES: usize = 2_000;

/// Items of an ordinary run; `tests/run --long` takes as many as a loop may have.
fn items() -> usize {
    if std::env::var_os("QUELL_LONG").is_some() { LOOP_ITEMS_MAX } else { LOOP_ITEMS_MAX / 5 }
}

/// A step that does this and says nothing else.
pub fn step(id: &str, parent: Option<StepIx>, needs: &[StepIx], body: Body) -> Step {
    Step {
        id: Arc::from(id),
        kind: "call".into(),
        parent,
        needs: needs.to_vec(),
        when: None,
        for_each: None,
        repeat: None,
        retry: Retry { times: 3, first: Duration::from_secs(1), most: Duration::from_secs(60) },
        timeout: Duration::from_secs(20),
        within: None,
        on_error: OnError::Fail,
        approval: None,
        label: None,
        note: None,
        body,
    }
}

fn template(value: Value) -> Template {
    Template::parse(&value).expect("it is a template")
}

/// A plan of these steps.
pub fn plan(steps: Vec<Step>, roots: Vec<StepIx>) -> Arc<Plan> {
    let playbook = Playbook {
        name: "long".to_owned(),
        version: 1,
        title: "Long".to_owned(),
        owner: None,
        description: None,
        posture: Posture::Overt,
        tags: Vec::new(),
        triggers: Vec::new(),
        inputs: Vec::new(),
        steps,
        roots,
        on_failure: Vec::new(),
        finally: Vec::new(),
        within: None,
        by_id: Default::default(),
    };
    let none = BTreeMap::new;
    Arc::new(Plan {
        playbook,
        source: digest(b""),
        texts: none(),
        connectors: BTreeMap::new(),
        playbooks: BTreeMap::new(),
    })
}

/// What a run held at most, at any moment.
#[derive(Debug, Default)]
struct Held {
    /// Steps with a state, ended ones among them.
    steps: usize,
    /// Steps under way.
    active: usize,
    /// Bytes of inputs, answers and outputs.
    bytes: usize,
}

fn bytes_of(step: &StepState) -> usize {
    let of = |value: &Shared| size_of(value.value());
    let asked = [&step.captured, &step.acted, &step.observed];
    let asked: usize = asked.into_iter().flatten().map(of).sum();
    let items: usize = step.items.iter().flat_map(|items| items.iter()).map(of).sum();
    of(&step.input) + of(&step.output) + asked + items
}

impl Held {
    fn look(&mut self, state: &RunState) {
        self.steps = self.steps.max(state.steps.len());
        self.active = self.active.max(state.active.len());
    }

    /// Going through everything is slow, so this is done now and then.
    fn weigh(&mut self, state: &RunState) {
        self.bytes = self.bytes.max(state.steps.values().map(bytes_of).sum());
    }
}

/// Runs to the end in virtual time: each call is answered a second later.
fn run(plan: &Arc<Plan>, inputs: Value, answer: &dyn Fn(&Value) -> Value) -> (RunState, Held, Vec<Entry>) {
    let run = RunId::new(Ulid::from_parts(1, 1));
    let mut now = Timestamp::from_millis(1_795_000_000_000);
    let mut state = RunState::new(Arc::clone(plan), None);
    let (mut held, mut entries) = (Held::default(), Vec::new());
    let started = RunStarted {
        run,
        plan: digest(b"plan"),
        playbook: "long".to_owned(),
        version: 1,
        incident: IncidentId::derived(run.ulid(), "incident"),
        alert: None,
        inputs,
        by: "trigger".to_owned(),
        requesters: Vec::new(),
        parent: None,
        again: None,
    };
    let mut signals = vec![Signal::Start(Box::new(started))];
    for turn in 0.. {
        for signal in signals.drain(..) {
            for event in take(&mut state, &signal, now).expect("it is taken") {
                let seq = entries.len() as u64 + 1;
                entries.push(Entry { stream: StreamId::Run(run), seq, at: now, event });
            }
            held.look(&state);
        }
        if turn % 50 == 0 {
            held.weigh(&state);
        }
        let mut wake = None;
        for command in commands(&state) {
            match command {
                Command::Perform(perform) => signals.push(Signal::Performed {
                    outcome: Outcome::Succeeded { output: answer(&perform.input), evidence: None },
                    key: perform.key,
                    phase: perform.phase,
                    attempt: perform.attempt,
                }),
                Command::WakeAt(at) => wake = Some(at),
                Command::Follow(_) | Command::CancelChild(_) => {}
            }
        }
        now = now.after(Duration::from_secs(1));
        if signals.is_empty() {
            let Some(at) = wake else { break };
            now = now.max(at);
            signals.push(Signal::Wake);
        }
    }
    held.weigh(&state);
    (state, held, entries)
}

fn ended_well(state: &RunState) {
    assert_eq!(state.ended.map(|(end, _)| end), Some(RunEnd::Succeeded), "{:?}", state.ending);
}

#[test]
fn a_loop_over_ten_thousand_items_holds_one_small_output_an_item() {
    let items = items();
    let call = ActionSpec {
        operation: "peer.look".to_owned(),
        input: template(json!({ "account": "${ item }", "ballast": "x".repeat(ANSWER_BYTES) })),
        effect: Effect::Read,
        containment: None,
        question: None,
        reconcile: None,
    };
    let looped = ForEach { items: Expr::parse("inputs.accounts").expect("it is one"), at_once: AT_ONCE };
    let set = |value| Body::Compute(Compute::Set(template(value)));
    let block = Step { for_each: Some(looped), ..step("each", None, &[], Body::Block(vec![1, 2])) };
    let steps = vec![
        block,
        step("look", Some(0), &[], Body::Perform(call)),
        step("said", Some(0), &[1], set(json!({ "name": "${ steps.look.name }" }))),
        step(
            "count",
            None,
            &[0],
            set(json!({ "all": "${ size(steps.each) }", "last": "${ steps.each[1999].said }" })),
        ),
    ];
    let accounts: Vec<Value> = (0..items).map(|n| Value::from(format!("account-{n}"))).collect();
    let answer = |input: &Value| json!({ "name": input["account"] });
    let plan = plan(steps, vec![0, 3]);
    let (state, held, entries) = run(&plan, json!({ "accounts": accounts }), &answer);
    ended_well(&state);
    let count = state.steps[&StepKey::root("count")].output.value();
    assert_eq!(count, &json!({ "all": items, "last": { "name": "account-1999" } }));
    // Two steps and the block are under way for each item that is, and the loop.
    assert!(held.active <= 3 * AT_ONCE + 1, "{held:?}");
    // One state for each item that has ended, no more for what was inside it.
    assert!(held.steps <= items + 3 * AT_ONCE + 2, "{held:?}");
    // The items, one small output each, and the long inputs of those under way.
    let (item, under_way) = (300, 2 * AT_ONCE * (ANSWER_BYTES + 1000));
    assert!(held.bytes <= items * item + under_way, "{held:?}");
    assert_eq!(state.steps.len(), 2, "of the items nothing is left but the loop's output");
    // A restart holds the same as the run that went through.
    let mut replayed = RunState::new(Arc::clone(&plan), None);
    for entry in &entries {
        evolve(&mut replayed, entry).expect("it follows");
    }
    assert_eq!(replayed, state);
}

#[test]
fn a_loop_inside_a_loop_holds_no_more_than_what_is_under_way() {
    let (outer, inner) = (items() / 20, 20);
    let each = |items: &str, at_once| ForEach { items: Expr::parse(items).expect("it is one"), at_once };
    let look = ActionSpec {
        operation: "peer.look".to_owned(),
        input: template(json!({ "host": "${ item }" })),
        effect: Effect::Read,
        containment: None,
        question: None,
        reconcile: None,
    };
    let teams =
        Step { for_each: Some(each("inputs.teams", 4)), ..step("teams", None, &[], Body::Block(vec![1, 2])) };
    let hosts = Step { for_each: Some(each("item", 5)), ..step("hosts", Some(0), &[], Body::Perform(look)) };
    let sum = Body::Compute(Compute::Set(template(json!({ "count": "${ size(steps.hosts) }" }))));
    let plan = plan(vec![teams, hosts, step("sum", Some(0), &[1], sum)], vec![0]);
    let team = |team: usize| Value::from((0..inner).map(|n| format!("host-{team}-{n}")).collect::<Vec<_>>());
    let teams: Vec<Value> = (0..outer).map(team).collect();
    let (state, held, _) = run(&plan, json!({ "teams": teams }), &|_| json!({ "up": true }));
    ended_well(&state);
    let output = state.steps[&StepKey::root("teams")].output.value();
    assert_eq!(output[outer - 1]["sum"]["count"], json!(inner));
    // Each team that is under way holds its hosts; each that has ended one state.
    assert!(held.steps <= outer + 4 * (inner + 3) + 1, "{held:?}");
    assert!(held.active <= 4 * (5 + 3) + 1, "{held:?}");
    assert_eq!(state.steps.len(), 1);
}

#[test]
fn ten_thousand_turns_hold_no_more_than_the_last_two() {
    let turns = u32::try_from(items()).expect("it fits");
    let poll = ActionSpec {
        operation: "peer.poll".to_owned(),
        input: template(json!({})),
        effect: Effect::Read,
        containment: None,
        question: None,
        reconcile: None,
    };
    let until = Expr::parse(&format!("steps.poll.n >= {turns}")).expect("it is one");
    let repeat = Repeat { until, every: Duration::from_secs(30), times: turns };
    let plan =
        plan(vec![Step { repeat: Some(repeat), ..step("poll", None, &[], Body::Perform(poll)) }], vec![0]);
    let asked = std::cell::Cell::new(0);
    let answer = |_: &Value| {
        asked.set(asked.get() + 1);
        json!({ "n": asked.get(), "ballast": "x".repeat(ANSWER_BYTES) })
    };
    let (state, held, _) = run(&plan, Value::Null, &answer);
    ended_well(&state);
    assert_eq!(asked.get(), turns);
    assert!(held.steps <= 3 && held.active <= 2, "{held:?}");
    assert!(held.bytes <= 4 * (ANSWER_BYTES + 1000), "{held:?}");
}
