//! What may happen to a run, as proptest draws it: a list of deeds that shrinks
//! to fewer and plainer ones. A deed points into what the run waits for at that
//! moment, so most of them reach it; the rest is nonsense on purpose.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use quell::domain::command::{Command, Perform, Phase};
use quell::domain::event::RunEnd;
use quell::domain::id::{ApprovalId, ContainmentId, QuestionId, RunId};
use quell::domain::outcome::{Failure, FailureClass, Outcome};
use quell::domain::owed::commands;
use quell::domain::run::{RunState, Stage, StepKey};
use quell::domain::signal::{Person, Signal};
use quell::domain::time::Timestamp;
use quell::domain::value::Value;
use serde_json::json;
use ulid::Ulid;

/// One thing that happens, and how far the clock has moved since the last.
#[derive(Debug, Clone)]
pub struct Happening {
    pub millis: i64,
    pub deed: Deed,
}

#[derive(Debug, Clone)]
pub enum Deed {
    /// An attempt in flight is answered.
    Hear(Index, Answer),
    /// The process is gone: all that was in flight is lost.
    Crash,
    /// The time that the run asked to be woken at has come.
    Due,
    /// It is woken at no particular time.
    Wake,
    Decide(Index, usize, bool),
    Reply(Index, &'static str, &'static str),
    Settle(Index, bool),
    Undo(Option<Index>),
    Extend(Index, Duration),
    ChildEnds(Index, RunEnd),
    Release,
    Cancel,
    /// A signal that points nowhere, or where nothing waits for it.
    Nonsense(Box<Signal>),
}

#[derive(Debug, Clone)]
pub enum Answer {
    Fine,
    /// Looks show the opposite of what is hoped for; a target is as wished already.
    Otherwise,
    Fails(FailureClass, Option<Duration>),
    /// The peer answers what nobody asked.
    Garbage(Value),
}

const PEOPLE: [(&str, &str); 4] = [
    ("ana@example.com", "leads"),
    ("lee@example.com", "hr"),
    ("LEE@example.com", "leads"),
    ("eve@example.com", "guests"),
];

pub fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let moves = prop_oneof![
        20 => 0i64..90_000,
        3 => -50_000_000i64..50_000_000,
        1 => -1_000_000_000_000i64..1_000_000_000_000,
    ];
    vec((moves, deeds()).prop_map(|(millis, deed)| Happening { millis, deed }), 0..60)
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        24 => (any::<Index>(), answers()).prop_map(|(which, answer)| Deed::Hear(which, answer)),
        8 => Just(Deed::Due),
        2 => Just(Deed::Wake),
        4 => Just(Deed::Crash),
        5 => (any::<Index>(), 0..PEOPLE.len(), weighted(0.85, Just(())))
            .prop_map(|(which, who, yes)| Deed::Decide(which, who, yes.is_some())),
        3 => (any::<Index>(), select(&["group:owners", "owner@example.com"][..]), select(&["yes", "no", "?"][..]))
            .prop_map(|(which, by, choice)| Deed::Reply(which, by, choice)),
        2 => (any::<Index>(), any::<bool>()).prop_map(|(which, happened)| Deed::Settle(which, happened)),
        2 => any::<Option<Index>>().prop_map(Deed::Undo),
        1 => (any::<Index>(), durations()).prop_map(|(which, hold)| Deed::Extend(which, hold)),
        2 => (any::<Index>(), ends()).prop_map(|(which, end)| Deed::ChildEnds(which, end)),
        2 => Just(Deed::Release),
        1 => Just(Deed::Cancel),
        3 => nonsense().prop_map(|signal| Deed::Nonsense(Box::new(signal))),
    ]
}

fn answers() -> impl Strategy<Value = Answer> {
    let class = select(vec![FailureClass::Transient, FailureClass::Permanent, FailureClass::Unknown]);
    prop_oneof![
        12 => Just(Answer::Fine),
        2 => Just(Answer::Otherwise),
        4 => (class, weighted(0.3, durations())).prop_map(|(class, wish)| Answer::Fails(class, wish)),
        1 => values().prop_map(Answer::Garbage),
    ]
}

fn ends() -> impl Strategy<Value = RunEnd> {
    select(vec![RunEnd::Succeeded, RunEnd::Failed, RunEnd::Cancelled])
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        3 => (0u64..100_000).prop_map(Duration::from_secs),
        1 => any::<u64>().prop_map(Duration::from_secs),
        1 => Just(Duration::MAX),
    ]
}

/// Values of any shape, null among them.
pub fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        select(&["holds", "state", "target", "already", "found", "output", "asked", "attributes"][..])
            .prop_map(str::to_owned),
        ".{0,6}",
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn phases() -> impl Strategy<Value = Phase> {
    select(vec![
        Phase::Capture,
        Phase::Announce,
        Phase::Act,
        Phase::Reconcile,
        Phase::Remind,
        Phase::Verify,
        Phase::UndoCheck,
        Phase::Undo,
        Phase::UndoVerify,
        Phase::Recheck,
        Phase::Warn,
    ])
}

/// Keys of steps that may exist, in loops that may not, and of none.
fn keys() -> impl Strategy<Value = StepKey> {
    let ids = prop_oneof![(0usize..12).prop_map(|ix| format!("s{ix}")), ".{0,6}"];
    let indices = prop_oneof![4 => 0u32..4, 1 => Just(u32::MAX)];
    (ids, vec(indices, 0..3)).prop_map(|(id, at)| StepKey { id: id.as_str().into(), at })
}

fn nonsense() -> impl Strategy<Value = Signal> {
    let ulid = || any::<u128>().prop_map(Ulid);
    let attempts = || prop_oneof![0u32..4, any::<u32>()];
    let who = || Person { address: "ana@example.com".to_owned(), groups: vec!["leads".to_owned()] };
    let by = || "ana@example.com".to_owned();
    prop_oneof![
        3 => (keys(), phases(), attempts(), answers()).prop_map(|(key, phase, attempt, answer)| {
            Signal::Performed { key, phase, attempt, outcome: answer.outcome(phase) }
        }),
        3 => (keys(), phases(), attempts())
            .prop_map(|(key, phase, attempt)| Signal::Lost { key, phase, attempt }),
        1 => ulid().prop_map(move |id| Signal::Decide {
            approval: ApprovalId::new(id), by: who(), approve: true, note: None
        }),
        1 => (ulid(), values()).prop_map(move |(id, fields)| Signal::Answer {
            question: QuestionId::new(id), by: by(), choice: "yes".to_owned(), fields
        }),
        2 => (keys(), any::<bool>())
            .prop_map(move |(key, happened)| Signal::Settle { key, happened, by: by(), note: None }),
        1 => vec(ulid().prop_map(ContainmentId::new), 0..3)
            .prop_map(move |containments| Signal::Undo { containments, by: by(), why: None, anyway: false }),
        1 => (ulid(), durations()).prop_map(move |(id, hold)| Signal::Extend {
            containment: ContainmentId::new(id), hold, by: by()
        }),
        2 => (keys(), ulid(), ends(), values()).prop_map(|(key, run, end, output)| Signal::ChildEnded {
            key, run: RunId::new(run), end, why: "nobody knows".to_owned(), output
        }),
    ]
}

impl Answer {
    /// What the peer answers to this part of a step.
    pub fn outcome(&self, phase: Phase) -> Outcome {
        let fine = match self {
            Self::Fails(class, retry_after) => {
                let failure = Failure::new(*class, "fault", "a fault");
                return Failure { retry_after: *retry_after, ..failure }.into();
            }
            Self::Garbage(value) => {
                return Outcome::Succeeded { output: value.clone(), evidence: None };
            }
            Self::Fine => true,
            Self::Otherwise => false,
        };
        let output = match phase {
            Phase::Capture => json!({ "target": "t", "already": !fine, "state": { "active": fine } }),
            Phase::Verify | Phase::UndoVerify | Phase::Recheck => json!({ "holds": fine }),
            Phase::Reconcile => json!({ "found": fine, "output": { "ok": true } }),
            Phase::UndoCheck => json!({ "state": if fine { "as_left" } else { "changed" } }),
            Phase::Remind => json!({ "asked": ["manager@example.com"] }),
            Phase::Act => json!({ "asked": ["owner@example.com"], "ok": true }),
            Phase::Announce | Phase::Undo | Phase::Warn => json!({}),
        };
        Outcome::Succeeded { output, evidence: None }
    }
}

/// The attempts that the run asks for.
pub fn performs(state: &RunState) -> Vec<Perform> {
    let perform = |command| match command {
        Command::Perform(perform) => Some(perform),
        _ => None,
    };
    commands(state).into_iter().filter_map(perform).collect()
}

/// When the run asks to be woken.
pub fn wake_time(state: &RunState) -> Option<Timestamp> {
    commands(state).into_iter().find_map(|command| match command {
        Command::WakeAt(at) => Some(at),
        _ => None,
    })
}

/// The signals that a deed is for the run as it stands now; none when it waits
/// for nothing of the sort.
pub fn signals(deed: &Deed, state: &RunState) -> Vec<Signal> {
    let by = || "ana@example.com".to_owned();
    let one = match deed {
        Deed::Hear(which, answer) => pick(which, performs(state)).map(|perform| Signal::Performed {
            outcome: answer.outcome(perform.phase),
            key: perform.key,
            phase: perform.phase,
            attempt: perform.attempt,
        }),
        Deed::Crash => {
            return performs(state).into_iter().flat_map(Perform::lost_at_work).collect();
        }
        Deed::Due | Deed::Wake => Some(Signal::Wake),
        Deed::Decide(which, who, approve) => {
            let (address, group) = PEOPLE[*who];
            let by = Person { address: address.to_owned(), groups: vec![group.to_owned()] };
            pick(which, state.approvals.keys().copied().collect()).map(|approval| Signal::Decide {
                approval,
                by,
                approve: *approve,
                note: None,
            })
        }
        Deed::Reply(which, by, choice) => {
            pick(which, state.questions.keys().copied().collect()).map(|question| Signal::Answer {
                question,
                by: (*by).to_owned(),
                choice: (*choice).to_owned(),
                fields: json!({}),
            })
        }
        Deed::Settle(which, happened) => {
            let uncertain =
                state.steps.iter().filter(|(_, step)| matches!(step.stage, Stage::Uncertain { .. }));
            pick(which, uncertain.map(|(key, _)| key.clone()).collect()).map(|key| Signal::Settle {
                key,
                happened: *happened,
                by: by(),
                note: None,
            })
        }
        Deed::Undo(None) => {
            Some(Signal::Undo { containments: Vec::new(), by: by(), why: None, anyway: false })
        }
        Deed::Undo(Some(which)) => pick(which, state.containments.keys().copied().collect())
            .map(|id| Signal::Undo { containments: vec![id, id], by: by(), why: None, anyway: false }),
        Deed::Extend(which, hold) => pick(which, state.containments.keys().copied().collect())
            .map(|containment| Signal::Extend { containment, hold: *hold, by: by() }),
        Deed::ChildEnds(which, end) => {
            let called = |command| match command {
                Command::Follow(child) => Some(child),
                _ => None,
            };
            pick(which, commands(state).into_iter().filter_map(called).collect()).map(|child| {
                let output = if *end == RunEnd::Succeeded { json!({ "ok": true }) } else { Value::Null };
                Signal::ChildEnded { key: child.key, run: child.run, end: *end, why: "so".to_owned(), output }
            })
        }
        Deed::Release => Some(Signal::Release { by: by(), why: None }),
        Deed::Cancel => Some(Signal::Cancel { by: by(), why: None }),
        Deed::Nonsense(signal) => Some((**signal).clone()),
    };
    one.into_iter().collect()
}

fn pick<T>(which: &Index, mut from: Vec<T>) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(which.index(from.len())))
}
