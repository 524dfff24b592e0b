//! A checked playbook: what the playbook room makes of a file, and all that
//! the core needs to run it. It is serialised whole into each plan, so that a
//! run in flight never depends on a file or a reader that has changed since.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::expr::Expr;
use crate::domain::expr::template::Template;
use crate::domain::schedule::ScheduleSpec;

/// Steps a playbook may hold. A person reads it top to bottom; 500 is far past that.
pub const STEPS_MAX: usize = 500;

/// Items one `for_each` may run over.
pub const LOOP_ITEMS_MAX: usize = 10_000;

/// How a run may show itself to the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Posture {
    /// The subject must not notice.
    Covert,
    /// The subject may know.
    Overt,
    /// The account is in somebody else's hands: contain first, then ask.
    Compromise,
    /// The subject is told and taught.
    Educate,
}

/// Place of a step in [`Playbook::steps`].
pub type StepIx = usize;

/// A checked playbook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Playbook {
    /// Its id, unique in the library.
    pub name: String,
    /// Raised by the author on each change.
    pub version: u32,
    /// One line for people.
    pub title: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// How it may show itself.
    pub posture: Posture,
    /// Free tags, technique ids among them.
    pub tags: Vec<String>,
    /// What starts it; empty = only by hand.
    pub triggers: Vec<Trigger>,
    /// What a run by hand asks for.
    pub inputs: Vec<InputSpec>,
    /// All steps, in file order; blocks stand before their children.
    pub steps: Vec<Step>,
    /// The steps that stand in no block.
    pub roots: Vec<StepIx>,
    /// The steps that run when a step has failed the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<StepIx>,
    /// The steps that run at the end, whatever happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Vec<StepIx>,
    /// How long a run may take, waits included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Places in `steps` by id, made when first asked for.
    #[serde(skip)]
    pub by_id: ById,
}

/// Places of steps by their id.
#[derive(Debug, Clone, Default)]
pub struct ById(OnceLock<HashMap<Arc<str>, StepIx>>);

impl Playbook {
    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<(StepIx, &Step)> {
        let by_id = self
            .by_id
            .0
            .get_or_init(|| self.steps.iter().enumerate().map(|(ix, step)| (step.id.clone(), ix)).collect());
        let ix = *by_id.get(id)?;
        Some((ix, &self.steps[ix]))
    }

    /// The steps of one section that stand in no block.
    pub fn roots_of(&self, section: Section) -> &[StepIx] {
        match section {
            Section::Main => &self.roots,
            Section::OnFailure => &self.on_failure,
            Section::Finally => &self.finally,
        }
    }
}

/// The parts of a playbook, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `steps`.
    Main,
    /// `on_failure`: when a step has failed the run.
    OnFailure,
    /// `finally`: whatever happened.
    Finally,
}

/// What starts a run by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Trigger {
    /// An alert for which this holds.
    Alert(AlertTrigger),
    /// A time of the calendar.
    Schedule(ScheduleSpec),
}

/// Alerts that start a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "WrittenTrigger", into = "WrittenTrigger")]
pub struct AlertTrigger {
    /// Those for which this holds.
    pub when: Expr,
    /// Not more than one run for the same thing in a time.
    pub once_per: Option<OncePer>,
}

/// For what a playbook runs once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OncePer {
    /// Gives what that is; where it gives nothing, each alert starts its own run.
    pub key: Expr,
    /// Within which time.
    pub within: Duration,
}

/// A trigger as it is stored: of most the condition alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenTrigger {
    Plain(Expr),
    Once { when: Expr, once_per: OncePer },
}

impl From<WrittenTrigger> for AlertTrigger {
    fn from(written: WrittenTrigger) -> Self {
        match written {
            WrittenTrigger::Plain(when) => Self { when, once_per: None },
            WrittenTrigger::Once { when, once_per } => Self { when, once_per: Some(once_per) },
        }
    }
}

impl From<AlertTrigger> for WrittenTrigger {
    fn from(trigger: AlertTrigger) -> Self {
        match trigger.once_per {
            None => Self::Plain(trigger.when),
            Some(once_per) => Self::Once { when: trigger.when, once_per },
        }
    }
}

/// One input of a run by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: InputKind,
    /// Whether a run needs it.
    pub required: bool,
    /// What people see.
    pub label: Option<String>,
    /// Its value when none is given.
    pub default: Option<crate::domain::value::Value>,
}

/// The type of an input or of a question's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// true or false.
    Boolean,
}

/// One step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// Unique in the playbook.
    pub id: Arc<str>,
    /// The name of its kind.
    pub kind: Arc<str>,
    /// The block it stands in.
    pub parent: Option<StepIx>,
    /// The steps of the same block that must have ended before it starts.
    pub needs: Vec<StepIx>,
    /// It is skipped unless this holds.
    pub when: Option<Expr>,
    /// It runs once for each item.
    pub for_each: Option<ForEach>,
    /// It runs again until something holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// How often an attempt is made again.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How long the whole step may take, waits included.
    pub within: Option<Duration>,
    /// What its failure means for the run.
    pub on_error: OnError,
    /// Whom to ask before it acts.
    pub approval: Option<ApprovalSpec>,
    /// What people see instead of its id.
    pub label: Option<String>,
    /// Why it is here.
    pub note: Option<String>,
    /// What it does.
    pub body: Body,
}

impl Step {
    /// What people see.
    pub fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.id)
    }
}

/// A loop over items.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForEach {
    /// Gives the list.
    pub items: Expr,
    /// How many run at the same time.
    pub at_once: usize,
}

/// Polling: the step runs again until something holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Repeat {
    /// Asked after each turn; sees the turn's own output.
    pub until: Expr,
    /// The pause between two turns.
    pub every: Duration,
    /// Turns after which the step fails.
    pub times: u32,
}

/// How often an attempt is made again, and how long the waits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after the first.
    pub times: u32,
    /// The first wait; each further one doubles.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

/// What a step's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The run fails.
    Fail,
    /// The run goes on.
    Continue,
}

/// Whose yes a step needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalSpec {
    /// Addresses and `group:NAME`; each entry must be satisfied.
    pub by: Vec<String>,
    /// Different people needed for each entry.
    pub each: u32,
    /// How long to wait.
    pub within: Duration,
    /// What silence means.
    pub if_silent: IfSilent,
}

/// What silence on an approval means. It is never consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfSilent {
    /// Ask once more and wait as long again, then reject.
    Escalate,
    /// The same as a no.
    Reject,
}

/// What a step does, in the few shapes the core knows. Every kind maps onto one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Body {
    /// Computed here; nothing leaves.
    Compute(Compute),
    /// Something done in the world.
    Perform(ActionSpec),
    /// A pause.
    Wait(Duration),
    /// A pause until a time that is known when it begins.
    WaitUntil(Template),
    /// Lifts what these steps contained.
    Undo(Vec<StepIx>),
    /// Runs another playbook and waits for it.
    Call(PlaybookCall),
    /// Several steps under one roof.
    Block(Vec<StepIx>),
}

/// Another playbook that a step runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlaybookCall {
    /// Its name; the plan froze which version.
    pub playbook: String,
    /// Its inputs.
    pub with: Template,
}

/// A step that only computes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Compute {
    /// Named values.
    Set(Template),
    /// A change of the incident; renders to an `IncidentChange`.
    Incident(Template),
    /// The end of the run; renders to an object with `disposition` and `note`.
    Finish(Template),
}

/// What an operation does to the world, and so what may follow a lost outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Reads: may be repeated freely.
    #[serde(rename = "R")]
    Read,
    /// Converges: twice is the same as once.
    #[serde(rename = "I")]
    Idempotent,
    /// The peer honours our idempotency key.
    #[serde(rename = "K")]
    Keyed,
    /// None of these: never repeated blindly.
    #[serde(rename = "N")]
    Once,
}

/// What the core knows of a step that acts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActionSpec {
    /// `connector.operation`; for kinds that bring their own, the kind's name.
    pub operation: String,
    /// What is handed over.
    pub input: Template,
    /// What it does to the world.
    pub effect: Effect,
    /// Present when it limits harm.
    pub containment: Option<ContainmentSpec>,
    /// Present when it asks people and waits for the answer.
    pub question: Option<QuestionSpec>,
    /// How the system is asked whether an act whose outcome is unknown
    /// happened; absent when it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<ReconcileSpec>,
}

/// How a system is asked whether an act whose outcome is unknown happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileSpec {
    /// How long its no is not believed: what it searches may lag.
    pub within: Duration,
    /// What a no that lasts means.
    pub absent: IfAbsent,
}

/// What follows when a system does not know of an act after all that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfAbsent {
    /// It proves nothing: a person says what happened.
    Uncertain,
    /// It did not happen, and is done again.
    Resend,
}

/// How a containment is verified and undone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainmentSpec {
    /// 0 to 4, as in the facts on tiers: T0 watches, T4 destroys.
    pub tier: u8,
    /// Whether the subject notices.
    pub visible: bool,
    /// How long reading back may take until it shows the effect; absent =
    /// the operation declares itself irreversible and unverifiable.
    pub verify_within: Option<Duration>,
    /// Whether it can be undone.
    pub undo: bool,
    /// How long it holds; absent = until a person lifts it.
    pub hold: Option<Duration>,
}

/// What is asked, and of whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuestionSpec {
    /// What may be answered: value to label, in file order.
    pub choices: Vec<(String, String)>,
    /// What else may be filled in.
    pub fields: Vec<InputSpec>,
    /// How long to wait for the answer.
    pub within: Duration,
    /// The answer that silence counts as.
    pub if_silent: String,
    /// Who is written to while nobody has answered, the earliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminders: Vec<Reminder>,
}

/// Who is written to while nobody has answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reminder {
    /// How long after the question was asked.
    pub after: Duration,
    /// Further people, who may then answer too; none = those who were asked.
    pub to: Option<Template>,
}

/// Texts a plan freezes beside the playbook: templates by name.
pub type Texts = BTreeMap<String, String>;
