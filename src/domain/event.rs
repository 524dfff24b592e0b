//! Events: past-tense facts, and the entries that carry them.

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Fate, ListCounts};
use crate::domain::approval::{Covered, Verdict, is_one_yes, one_yes};
use crate::domain::command::{Child, Phase};
use crate::domain::erasure::Erasure;
use crate::domain::exception::Exception;
use crate::domain::firing::SkipReason;
use crate::domain::id::{AlertId, ApprovalId, ContainmentId, IncidentId, QuestionId, RunId};
use crate::domain::incident::{Disposition, IncidentChange, Move, UndoOrder};
use crate::domain::kept::KeptField;
use crate::domain::outcome::Outcome;
use crate::domain::playbook::IfSilent;
use crate::domain::poll::Advanced;
use crate::domain::run::{StepEnd, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::triage::{Related, Sighting};
use crate::domain::urgency::Urgency;
use crate::domain::value::{Digest, Value};

pub use self::parts::{Entry, Intended, JournalRestored, RunEnd, RunStarted, SetAside};

mod parts;

/// A past-tense fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    // Alerts.
    /// An alert was accepted.
    AlertReceived {
        /// The configured source.
        source: String,
        /// The sender's delivery or finding id.
        source_id: Option<String>,
        /// Title, for lists.
        title: String,
        /// 0 to 100.
        severity: u8,
        /// Digest of the stored alert.
        digest: Digest,
        /// The detector's name for the rule that fired, else its id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// Whom it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// The person who handed it in; absent when its source sent it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// How many of each the detector named, where a list keeps fewer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counts: Option<ListCounts>,
        /// Whether the source's rules do not know the payload's shape.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shape_unknown: bool,
    },
    /// What became of it.
    AlertTriaged {
        /// Its fate.
        fate: Fate,
        /// How later alerts find its incident.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Box<Sighting>>,
        /// Incidents that share something with it and that it does not belong to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        related: Vec<Related>,
    },
    // Incidents.
    /// An investigation was opened.
    IncidentOpened {
        /// One line.
        title: String,
        /// 0 to 100.
        severity: u8,
        /// Why: the alert, or the person.
        alert: Option<AlertId>,
        /// Whom it is about.
        subject: Option<String>,
    },
    /// A run or a person changed it.
    IncidentChanged {
        /// What changed.
        change: IncidentChange,
    },
    /// What its runs contained is to be lifted, the newest first.
    UndoOrdered(Box<UndoOrder>),
    /// A person moved alerts and runs of it to another incident.
    AlertsMoved(Box<Move>),
    /// A person brought alerts and runs of another incident here.
    AlertsCame {
        /// From which incident.
        from: IncidentId,
        /// How many alerts.
        alerts: usize,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Retention erased it, or the content of an alert.
    Erased(Box<Erasure>),
    // Exceptions.
    /// For a time, alerts that it describes have no effect.
    ExceptionMade(Box<Exception>),
    /// A person ended it before its time.
    ExceptionEnded {
        /// Who.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    // Schedules.
    /// A playbook has it now, and its firings count from here.
    ScheduleArmed {
        /// The playbook's name.
        playbook: String,
        /// The cron expression.
        cron: String,
        /// IANA name of its zone.
        timezone: String,
        /// Firings after this count.
        from: Timestamp,
    },
    /// It was due, and a run was started with this entry.
    ScheduleFired {
        /// When it was due; the entry's time says how late that is.
        due: Timestamp,
        /// The run.
        run: RunId,
    },
    /// It was due, and waits for the end of the run that goes on.
    ScheduleQueued {
        /// When it was due.
        due: Timestamp,
    },
    /// It was due, and no run is started for it.
    ScheduleSkipped {
        /// The first that is passed over.
        first: Timestamp,
        /// The last that is passed over.
        last: Timestamp,
        /// How many, up to `firing::SKIPPED_COUNT_MAX`.
        count: u32,
        /// Why.
        why: SkipReason,
    },
    /// No playbook has it any more; nothing of it is due.
    ScheduleDisarmed,
    // Polls.
    /// A page of its list is taken, all of it durable before this; the next begins here.
    PollAdvanced(Box<Advanced>),
    // The journal itself.
    /// It was read from a backup: what was done after that is not in it.
    JournalRestored(Box<JournalRestored>),
    // Runs.
    /// The run began.
    RunStarted(Box<RunStarted>),
    /// Others go first: nothing of it begins yet.
    RunQueued {
        /// How urgent it is.
        urgency: Urgency,
    },
    /// Its turn has come.
    RunAdmitted {},
    /// The run is on its way to its end: nothing new starts.
    RunEnding {
        /// How it will end.
        end: RunEnd,
        /// Why.
        why: String,
        /// The disposition, when a step gave one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disposition: Option<Disposition>,
    },
    /// The run has ended.
    RunEnded {
        /// How.
        end: RunEnd,
    },
    /// A person wants it over: what `on_failure` and `finally` have left is not done.
    RunCutShort {
        /// Who.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// This turn grew too long for one record; what follows is decided next.
    TurnCut {},
    // Steps.
    /// A step began, with this input.
    StepStarted {
        /// Which.
        key: StepKey,
        /// The rendered input.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        input: Value,
    },
    /// A loop knows its items.
    StepExpanded {
        /// Which.
        key: StepKey,
        /// The items, in order.
        items: Vec<Value>,
    },
    /// A step waits until then.
    StepSlept {
        /// Which.
        key: StepKey,
        /// Until when.
        until: Timestamp,
    },
    /// A step began a run of another playbook and waits for it.
    StepCalled {
        /// Which.
        key: StepKey,
        /// The run, and what it runs.
        child: Child,
    },
    /// The run that a step waits for is to be cancelled.
    CallCancelled {
        /// Which step.
        key: StepKey,
    },
    /// It is set aside until a person releases it.
    RunQuarantined(SetAside),
    /// A person lets it go on.
    RunReleased {
        /// Who.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A block, a loop or an `undo` step took longer than it may.
    StepOverdue {
        /// Which.
        key: StepKey,
        /// How long it was allowed to take, in words.
        why: String,
    },
    /// A step has ended.
    StepEnded {
        /// Which.
        key: StepKey,
        /// How.
        end: StepEnd,
        /// What it gives to later steps; absent when the last outcome holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Value>,
        /// Why, when it is not plain success.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    // Attempts.
    /// The intent: from here on the world may be touched.
    AttemptStarted {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// Which attempt of that part, from 1.
        attempt: u32,
        /// Whether an entry follows when it has its turn and begins: so it is with
        /// what was lost before, to tell what was at work from what only waited.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        begin_follows: bool,
        /// Whom or what an act contains: from here on it counts, and may hold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<Box<Intended>>,
    },
    /// It has its turn; from here on something may be sent.
    AttemptBegan {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
    },
    /// What came of it.
    AttemptEnded {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
    },
    /// Its outcome was never heard: the process was gone.
    AttemptLost {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// Which attempt.
        attempt: u32,
        /// Whether it only waited for its turn: nothing of it was sent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        waited: bool,
    },
    /// The next attempt or the next look comes then.
    AttemptDue {
        /// Which step.
        key: StepKey,
        /// Which part of it.
        phase: Phase,
        /// When.
        at: Timestamp,
    },
    /// Sent, and nobody can yet say whether it happened.
    StepUncertain {
        /// Which.
        key: StepKey,
        /// What is known.
        what: String,
    },
    /// A person said what happened.
    StepSettled {
        /// Which.
        key: StepKey,
        /// Whether it happened.
        happened: bool,
        /// Who said so.
        by: String,
        /// How they know.
        note: Option<String>,
    },
    // Approvals.
    /// People are asked for a yes.
    ApprovalRequested {
        /// Which step waits.
        key: StepKey,
        /// Names it.
        approval: ApprovalId,
        /// Addresses and groups; each must be satisfied.
        by: Vec<String>,
        /// How many different people each of them needs.
        #[serde(default = "one_yes", skip_serializing_if = "is_one_yes")]
        each: u32,
        /// Digest of target, operation, input and plan: what is approved.
        binds: Digest,
        /// Until when.
        until: Timestamp,
        /// What silence means.
        if_silent: IfSilent,
        /// What a yes lets the steps of a block do; empty for a single step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        covers: Vec<Covered>,
    },
    /// A person said yes or no.
    ApprovalGiven {
        /// Which.
        approval: ApprovalId,
        /// Who.
        by: String,
        /// The entries of `by` that this person satisfies.
        counts_for: Vec<String>,
        /// Yes or no.
        approve: bool,
        /// Why.
        note: Option<String>,
    },
    /// Nobody answered in time; it is asked once more.
    ApprovalEscalated {
        /// Which.
        approval: ApprovalId,
        /// The new deadline.
        until: Timestamp,
    },
    /// It is decided.
    ApprovalClosed {
        /// Which.
        approval: ApprovalId,
        /// How.
        verdict: Verdict,
    },
    // Questions.
    /// A question was sent.
    QuestionAsked {
        /// Which step waits.
        key: StepKey,
        /// Names it.
        question: QuestionId,
        /// To whom, after groups were resolved.
        asked: Vec<String>,
        /// Until when.
        until: Timestamp,
        /// Whether the message surely left.
        delivered: bool,
    },
    /// Nobody has answered yet: a reminder is due, or further people are asked.
    QuestionReminded {
        /// Which.
        question: QuestionId,
        /// Which reminder of the playbook, from 0.
        nth: u32,
        /// The further people; nothing = those who were asked.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        to: Value,
    },
    /// It was answered.
    QuestionAnswered {
        /// Which.
        question: QuestionId,
        /// By whom.
        by: String,
        /// The choice.
        choice: String,
        /// The other fields.
        fields: Value,
    },
    /// Nobody answered in time.
    QuestionSilent {
        /// Which.
        question: QuestionId,
        /// What silence counts as.
        choice: String,
    },
    // Containments.
    /// The system accepted it; not yet seen to hold.
    ContainmentAccepted {
        /// Which step.
        key: StepKey,
        /// Names it.
        containment: ContainmentId,
        /// The operation.
        operation: String,
        /// Whom or what it touches, for people.
        target: String,
        /// False when the target already was in that state: nothing was written.
        changed: bool,
        /// When it lifts by itself.
        until: Option<Timestamp>,
    },
    /// Read back: it holds.
    ContainmentVerified {
        /// Which.
        containment: ContainmentId,
    },
    /// Looked at again later: it does not hold any more, and we did not lift it.
    ContainmentDrifted {
        /// Which.
        containment: ContainmentId,
        /// What was seen.
        what: String,
    },
    /// It is about to be lifted by itself; people are told.
    ContainmentExpiring {
        /// Which.
        containment: ContainmentId,
        /// When it lifts.
        until: Timestamp,
    },
    /// It holds longer now.
    ContainmentExtended {
        /// Which.
        containment: ContainmentId,
        /// The new time.
        until: Timestamp,
        /// Who wanted it.
        by: String,
    },
    /// It is to be lifted.
    UndoRequested {
        /// Which.
        containment: ContainmentId,
        /// Who or what wants it (`time box`, a step, an address).
        by: String,
        /// Why.
        why: Option<String>,
        /// Whether also over what somebody else changed since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        anyway: bool,
    },
    /// It is lifted, and read back.
    ContainmentLifted {
        /// Which.
        containment: ContainmentId,
        /// What somebody else changed since, and was left alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<KeptField>,
    },
    /// It could not be lifted; a person must look.
    UndoRefused {
        /// Which.
        containment: ContainmentId,
        /// What stands in the way.
        why: String,
        /// What somebody else changed since, field by field.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<KeptField>,
    },
}
