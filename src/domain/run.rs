//! The state of a run: what its entries add up to. Only `evolve` changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::alert::Alert;
use crate::domain::approval::Approval;
use crate::domain::command::{Child, Phase};
use crate::domain::event::{RunEnd, RunStarted};
use crate::domain::expr::scope::Root;
use crate::domain::id::{ApprovalId, ContainmentId, QuestionId};
use crate::domain::incident::{Disposition, IncidentChange};
use crate::domain::outcome::Failure;
use crate::domain::plan::Plan;
use crate::domain::playbook::Section;
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::Value;

/// One step of one run: the step's id and the place in each loop around it.
/// Written `suspend`, `intel[3]`, `tell[2.0]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    /// The step's id in the playbook.
    pub id: Arc<str>,
    /// Indices in the loops around it, the outermost first, its own last.
    pub at: Vec<u32>,
}

impl StepKey {
    /// A step outside any loop.
    pub fn root(id: &str) -> Self {
        Self { id: id.into(), at: Vec::new() }
    }

    /// The step with this id in the same loops as `self`, or one loop deeper.
    pub fn within(at: &[u32], id: &Arc<str>) -> Self {
        Self { id: id.clone(), at: at.to_vec() }
    }

    /// This step for one item of its own loop.
    pub fn item(&self, index: u32) -> Self {
        let mut at = self.at.clone();
        at.push(index);
        Self { id: self.id.clone(), at }
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.at.is_empty() {
            return Ok(());
        }
        let indices: Vec<String> = self.at.iter().map(u32::to_string).collect();
        write!(f, "[{}]", indices.join("."))
    }
}

impl fmt::Debug for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StepKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((id, rest)) = text.split_once('[') else {
            return Ok(Self::root(text));
        };
        let wrong = || format!("`{text}` is no step; one looks like `suspend` or `intel[3]`");
        let indices = rest.strip_suffix(']').ok_or_else(wrong)?;
        let at = indices.split('.').map(|i| i.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        Ok(Self { id: id.into(), at })
    }
}

impl Serialize for StepKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a step ended, in the words that `outcome.<id>` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// Done.
    Succeeded,
    /// Not done.
    Failed,
    /// Its condition did not hold, or a person said no.
    Skipped,
    /// It was done and then lifted.
    Undone,
    /// Sent, and nobody can say whether it happened.
    Uncertain,
    /// The run ended before it did.
    Cancelled,
}

impl StepEnd {
    /// As a playbook reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Undone => "undone",
            Self::Uncertain => "uncertain",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A value that many readers share, with its form for expressions made once.
#[derive(Clone, Default)]
pub struct Shared(Arc<SharedValue>);

#[derive(Default)]
struct SharedValue {
    value: Value,
    root: OnceLock<Root>,
}

impl Shared {
    /// Wraps a value.
    pub fn new(value: Value) -> Self {
        Self(Arc::new(SharedValue { value, root: OnceLock::new() }))
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    /// Its form for expressions.
    pub fn root(&self) -> &Root {
        self.0.root.get_or_init(|| Root::from(&self.0.value))
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Started; what follows is decided in the same breath.
    Ready,
    /// Waits for people to approve.
    Approving(ApprovalId),
    /// An intent is durable and its outcome is not known yet.
    InFlight {
        /// Which part.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// Since when.
        since: Timestamp,
    },
    /// The next attempt or look comes then.
    Due {
        /// Which part.
        phase: Phase,
        /// When.
        at: Timestamp,
    },
    /// Waits for a person's answer.
    Asking(QuestionId),
    /// Waits for a run of another playbook.
    Calling {
        child: Arc<Child>,
        /// Whether that run is to be cancelled.
        cancelled: bool,
    },
    /// Pauses.
    Sleeping { until: Timestamp },
    /// A block or a loop whose inner steps are running.
    Open,
    /// A person must say what happened.
    Uncertain {
        /// What is known.
        what: String,
    },
    /// Over.
    Ended(StepEnd),
}

/// The state of one step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// When it began.
    pub since: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Where it stands.
    pub stage: Stage,
    /// The rendered input.
    pub input: Shared,
    /// The items of its loop.
    pub items: Option<Arc<Vec<Shared>>>,
    /// How many of its items or turns have begun.
    pub begun: u32,
    /// How many of them have ended.
    pub over: u32,
    /// Which step inside it failed it, and why; its own key when its time is up.
    pub broken: Option<(StepKey, String)>,
    /// Attempts made of each part.
    pub attempts: BTreeMap<Phase, u32>,
    /// When the part in progress was first tried.
    pub phase_since: BTreeMap<Phase, Timestamp>,
    /// The state of the target before it was touched.
    pub captured: Option<Shared>,
    /// What the act answered.
    pub acted: Option<Shared>,
    /// What the last look at the target showed.
    pub observed: Option<Shared>,
    /// What the first look showed that saw its act hold: how we left the target.
    pub left: Option<Shared>,
    /// What it gives to later steps.
    pub output: Shared,
    /// The last failure, while it is tried again and when it failed.
    pub failure: Option<Failure>,
    /// Why it ended so.
    pub why: Option<String>,
    /// The approval it asked for.
    pub approval: Option<ApprovalId>,
    /// The question it asked.
    pub question: Option<QuestionId>,
    /// The containment it made.
    pub containment: Option<ContainmentId>,
    /// Why nobody knows whether an act that was sent happened; nothing once that is known.
    pub unheard: Option<String>,
    /// Looks that showed something since the last act.
    pub looks: u32,
    /// The parts lost at work with their process and not heard of since, and how often in a row.
    pub lost: BTreeMap<Phase, u32>,
    /// The parts in flight whose beginning is put on record, and whether they have begun.
    pub begun_parts: BTreeMap<Phase, bool>,
}

/// A question that a step asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Which step waits.
    pub key: StepKey,
    /// To whom it went.
    pub asked: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// How many of its reminders were due.
    pub reminded: u32,
    /// Whom the last of them goes to; nothing = those who were asked.
    pub remind: Value,
    /// Whether it is over.
    pub closed: bool,
}

/// Where a containment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Its intent is on record, and nobody knows whether it was done. In lists only.
    MayHold,
    /// The system accepted it; not yet seen to hold.
    Accepted,
    /// Read back: it holds.
    Verified,
    /// On its way back.
    Lifting,
    /// Lifted, and read back.
    Lifted,
    /// It could not be lifted; a person must look.
    Stuck,
}

/// A containment that a step made.
#[derive(Debug, Clone, PartialEq)]
pub struct Containment {
    /// Which step made it.
    pub key: StepKey,
    /// Where it stands.
    pub hold: Hold,
    /// False when the target already was in that state.
    pub changed: bool,
    /// When it lifts by itself.
    pub until: Option<Timestamp>,
    /// When the system accepted it; undo runs in the reverse of this order.
    pub accepted: u64,
    /// The way back, while it runs: in flight or due.
    pub undo: Option<Stage>,
    /// Whether it is lifted also over what somebody else changed since.
    pub anyway: bool,
    /// What the last look before lifting showed.
    pub checked: Option<Shared>,
    /// Looks in a row, since the last write, that showed the state before.
    pub restored: u32,
    /// When it was seen to hold.
    pub verified_at: Option<Timestamp>,
    /// How often it was looked at again.
    pub rechecked: u8,
    /// The further look, while it runs.
    pub recheck: Option<Stage>,
    /// Until which end people were told that it is about to be lifted.
    pub warned: Option<Timestamp>,
    /// Telling them, while it runs.
    pub warn: Option<Stage>,
    /// What a later look showed when it no longer held.
    pub drifted: Option<String>,
    /// Why it is stuck.
    pub why: Option<String>,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// The frozen plan.
    pub plan: Arc<Plan>,
    /// The alert it runs on, with its form for expressions.
    pub alert: Option<(Arc<Alert>, Shared)>,
    /// How it began; absent before its first entry.
    pub started: Option<(RunStarted, Timestamp)>,
    /// Inputs, for expressions.
    pub inputs: Shared,
    /// The number of its last entry.
    pub seq: u64,
    /// How urgent it is, while others go first and nothing of it has begun.
    pub queued: Option<Urgency>,
    /// How it is about to end, and why.
    pub ending: Option<(RunEnd, String)>,
    /// Which step failed each section, and why.
    pub broken: BTreeMap<Section, (StepKey, String)>,
    /// Whether a person wanted it over before `on_failure` and `finally` were done.
    pub cut_short: bool,
    /// Why it was set aside.
    pub quarantined: Option<String>,
    /// Set when the journal was read from a backup, after which the run may have gone
    /// on: the steps whose act was begun since then.
    pub restored: Option<BTreeSet<StepKey>>,
    /// When the last turn grew too long and was cut: what follows is still owed.
    pub owed_since: Option<Timestamp>,
    /// The disposition that a step gave.
    pub disposition: Option<Disposition>,
    /// How and when it ended.
    pub ended: Option<(RunEnd, Timestamp)>,
    /// All steps that began or ended.
    pub steps: BTreeMap<StepKey, StepState>,
    /// Those that have not ended.
    pub active: BTreeSet<StepKey>,
    /// Approvals, also closed ones.
    pub approvals: BTreeMap<ApprovalId, Approval>,
    /// Questions, also closed ones.
    pub questions: BTreeMap<QuestionId, Question>,
    /// Containments, also lifted ones.
    pub containments: BTreeMap<ContainmentId, Containment>,
    /// What this run changed of its incident, added up.
    pub incident: IncidentChange,
}

impl RunState {
    /// The state before the first entry.
    pub fn new(plan: Arc<Plan>, alert: Option<Arc<Alert>>) -> Self {
        let alert = alert.map(|alert| {
            let shared = Shared::new(serde_json::to_value(&*alert).unwrap_or(Value::Null));
            (alert, shared)
        });
        Self {
            plan,
            alert,
            started: None,
            inputs: Shared::default(),
            seq: 0,
            queued: None,
            ending: None,
            broken: BTreeMap::new(),
            cut_short: false,
            quarantined: None,
            restored: None,
            owed_since: None,
            disposition: None,
            ended: None,
            steps: BTreeMap::new(),
            active: BTreeSet::new(),
            approvals: BTreeMap::new(),
            questions: BTreeMap::new(),
            containments: BTreeMap::new(),
            incident: IncidentChange::default(),
        }
    }

    /// Whether this address may be the person it is about, by what the alert says.
    pub fn may_be_subject(&self, address: &str) -> bool {
        self.alert.as_ref().is_some_and(|(alert, _)| alert.may_be_about(address))
    }

    /// When the run must be over, while it is under way and not on its way to its end.
    pub fn deadline(&self) -> Option<Timestamp> {
        let (_, began) = self.started.as_ref()?;
        let within = self
            .plan
            .playbook
            .within
            .filter(|_| self.queued.is_none() && self.ending.is_none() && self.ended.is_none())?;
        Some(began.after(within))
    }
}

impl PartialEq for RunState {
    /// Everything that entries add up to; the plan is the same by its digest.
    fn eq(&self, other: &Self) -> bool {
        self.started == other.started
            && self.seq == other.seq
            && self.queued == other.queued
            && self.ending == other.ending
            && self.broken == other.broken
            && self.cut_short == other.cut_short
            && self.owed_since == other.owed_since
            && self.quarantined == other.quarantined
            && self.restored == other.restored
            && self.disposition == other.disposition
            && self.ended == other.ended
            && self.steps == other.steps
            && self.active == other.active
            && self.approvals == other.approvals
            && self.questions == other.questions
            && self.containments == other.containments
            && self.incident == other.incident
    }
}

/// How long a look at the target waits before the next: doubles from the
/// first to the last. Directories are often eventually consistent (Entra and
/// AWS take minutes), so it slows down.
pub const LOOK_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two looks.
pub const LOOK_MOST: Duration = Duration::from_secs(30);
/// How long after it was verified a containment is looked at again: others,
/// and other automations, switch accounts back on.
pub const RECHECKS: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(15 * 60), Duration::from_secs(60 * 60)];
/// A look that shows a containment gone is made once more after this long:
/// directories answer from copies, and one look may reach an old one.
pub const RECHECK_AGAIN: Duration = Duration::from_secs(30);
/// How long before its end people are told that a containment will be lifted;
/// a short one is told of in its last quarter.
pub const WARN_BEFORE_MOST: Duration = Duration::from_secs(3600);
/// A containment shorter than this is not told of.
pub const WARN_HOLD_LEAST: Duration = Duration::from_secs(600);
/// Times that one part of a step may be lost with its process in a row before
/// the run is set aside: a run that ends its server must not do so for ever.
pub const LOST_MAX: u32 = 3;
/// Looks before it is concluded that nothing happened, however much time has
/// passed: a machine that slept for an hour has looked only once.
pub const LOOKS_LEAST: u32 = 3;
/// The longest wait between two tries to lift a containment.
pub const LIFT_MOST: Duration = Duration::from_secs(600);
