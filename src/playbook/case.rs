//! A playbook's test file → cases: an alert, what the systems answer, who
//! decides what and when, and what must hold in the end.
//!
//! ```text
//!   case.rs          what a case holds
//!   case/file.rs     the file: what cases share, then each case
//!   case/alert.rs    the part of an alert that matters, laid over an empty one
//!   case/script.rs   what operations answer, people decide
//!   case/expect.rs   what must hold
//! ```
//! The format is described in `docs/playbook-tests.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::alert::Alert;
use crate::domain::event::RunEnd;
use crate::domain::incident::Disposition;
use crate::domain::run::StepEnd;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::yaml::node::Place;

mod alert;
mod expect;
pub mod file;
mod script;

/// Cases one file may hold. Each is played whole; more belong into more files.
pub const CASES_MAX: usize = 500;

/// Attempts that one operation may script.
pub const ATTEMPTS_MAX: usize = 200;

/// The tests of one playbook.
#[derive(Debug, Clone)]
pub struct Cases {
    /// The file they stand in.
    pub file: Arc<str>,
    /// The playbook they are about.
    pub playbook: String,
    /// In file order.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// Where the name is written.
    pub place: Place,
    /// When the run starts.
    pub now: Timestamp,
    /// What it runs on; none = a run by hand.
    pub alert: Option<Alert>,
    /// Inputs of a run by hand.
    pub inputs: Value,
    /// Groups and their addresses.
    pub groups: BTreeMap<String, Vec<String>>,
    /// What operations answer, by `connector.operation`.
    pub operations: BTreeMap<String, Script>,
    /// Answers to the question of a step, by its id.
    pub answers: BTreeMap<String, Answer>,
    /// Decisions on the approval of a step, by its id.
    pub approvals: BTreeMap<String, Vec<Decision>>,
    /// What must hold, each with the place that says so.
    pub expect: Vec<Expectation>,
}

/// What an operation answers in a case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// What it gives when it is done.
    pub gives: Option<Value>,
    /// One entry for each attempt; when they are used up, it is done.
    pub attempts: Vec<Reply>,
    /// The target of a containment, as capturing finds it.
    pub target: Found,
    /// What reading back shows.
    pub verify: ReadBack,
    /// Somebody else changes the target before it is lifted.
    pub changed: bool,
}

/// How one attempt goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It is done.
    Done,
    /// There is no such thing.
    Absent,
    /// Nothing is heard in time; nobody can say whether it happened.
    Timeout,
    /// The peer answers with this status, which is no success.
    Status {
        /// 300 to 599.
        status: u16,
        /// How long the peer asks to wait.
        retry_after: Option<Duration>,
    },
    /// The process dies after the intent is durable and before anything is sent.
    CrashBefore,
    /// The process dies after the peer did it and before the outcome is durable.
    CrashAfter,
}

/// What capturing finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// One target.
    One {
        /// For people.
        label: String,
        /// Its immutable id.
        id: String,
        /// It is in the wanted state already.
        already: bool,
        /// What undo restores.
        state: Value,
        /// What guardrails look at.
        attributes: Value,
    },
    /// None.
    Nobody,
    /// More than one: nobody is touched.
    Several(u32),
}

impl Default for Found {
    fn default() -> Self {
        Self::One {
            label: "the target".to_owned(),
            id: "target-1".to_owned(),
            already: false,
            state: Value::Object(serde_json::Map::new()),
            attributes: Value::Object(serde_json::Map::new()),
        }
    }
}

/// What reading back shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReadBack {
    /// It holds at once.
    #[default]
    Holds,
    /// It holds after so long.
    After(Duration),
    /// It never holds.
    Never,
}

/// An answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Who answers; none = the first who was asked.
    pub by: Option<String>,
    /// The choice.
    pub choice: String,
    /// The other fields.
    pub fields: Value,
    /// How long after the question.
    pub after: Duration,
    /// Where it stands in the file.
    pub place: Place,
    /// The code of the refusal that the case expects; none = it counts.
    pub refused: Option<String>,
}

/// A yes or a no.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Who decides.
    pub by: String,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub note: Option<String>,
    /// How long after the approval was asked for.
    pub after: Duration,
    /// Where it stands in the file.
    pub place: Place,
    /// The code of the refusal that the case expects; none = it counts.
    pub refused: Option<String>,
}

/// One thing that must hold, and where the file says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Where.
    pub place: Place,
    /// What.
    pub what: Expect,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// Whether a trigger of the playbook wants the alert. When it does not,
    /// nothing runs.
    Triggered(bool),
    /// How the run ends.
    End(RunEnd),
    /// The run's disposition; none = it has none.
    Disposition(Option<Disposition>),
    /// How a step (`suspend`, `intel[2]`) ended; none = it never began.
    Step {
        /// Which.
        step: String,
        /// How.
        end: Option<StepEnd>,
    },
    /// What a step gave: maps hold at least these keys, anything else is equal.
    Output {
        /// Which.
        step: String,
        /// What.
        holds: Value,
    },
    /// The changes made at systems, all of them, in order.
    Effects(Vec<Effected>),
    /// Who was written to by which step, at least.
    Mail {
        /// Which step.
        step: String,
        /// Everybody it wrote to.
        to: Vec<String>,
    },
    /// An address that nothing was ever sent to.
    NeverTold(String),
    /// What a report says or does not say.
    Report {
        /// The template.
        template: String,
        /// Texts it contains.
        contains: Vec<String>,
        /// Texts it does not contain.
        lacks: Vec<String>,
    },
    /// The steps whose containments still hold when the run has ended; no others do.
    StillContained(Vec<String>),
}

/// One change at a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effected {
    /// `connector.operation` of the step.
    pub operation: String,
    /// It was the way back.
    pub undo: bool,
}
