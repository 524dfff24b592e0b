//! The dossier: all that the journal says about one run, for its reports and
//! for `quell show`.
//!
//! Every item carries the entry it rests on, so that a reader can check each
//! sentence of a report against the record. Texts are cut to a fixed length:
//! a dossier describes the record, it does not replace it.

use serde::Serialize;

use crate::domain::alert::Alert;
use crate::domain::approval::{ApprovalProgress, Verdict};
use crate::domain::event::{Entry, RunEnd};
use crate::domain::id::{ApprovalId, ContainmentId, IncidentId, QuestionId, RunId};
use crate::domain::incident::{Disposition, Status};
use crate::domain::kept::KeptField;
use crate::domain::outcome::Evidence;
use crate::domain::plan::Plan;
use crate::domain::playbook::Posture;
use crate::domain::run::{Hold, StepEnd, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::Digest;

pub use self::cite::Cite;
pub use self::parts::AnsweredField;

mod cite;
mod declared;
mod fold;
mod holding;
mod parts;
mod people;
mod several;
mod severity;
mod words;

/// Lines that each list of a dossier keeps. A report longer than this is read
/// by nobody; what is left out is counted and said.
pub const LINES_MAX: usize = 2000;

/// How the line of a request begins that is a mail.
const MAIL: &str = "MAIL ";

/// The longest text of a dossier, in bytes.
pub const TEXT_BYTES_MAX: usize = 2000;

/// What a dossier is made from. Everything comes from the journal.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The run's entries, in their order.
    pub run: &'a [Entry],
    /// The incident that it belongs to now; none = the one that it was started in.
    pub incident_id: Option<IncidentId>,
    /// The entries of that; may be empty.
    pub incident: &'a [Entry],
    /// The entries of its alert; may be empty.
    pub alert_entries: &'a [Entry],
    /// How other alerts were triaged that joined its incident; may be empty.
    pub joined: &'a [Entry],
    /// The plan it runs.
    pub plan: &'a Plan,
    /// The alert it runs on.
    pub alert: Option<&'a Alert>,
    /// Which of several runs it is, counted from 1; 0 where it is told alone.
    pub number: u16,
}

/// How the run began and stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPart {
    /// Its id; absent when the journal holds no start.
    pub id: Option<RunId>,
    /// The playbook's name.
    pub playbook: String,
    /// The playbook's version.
    pub version: u32,
    /// The playbook's title.
    pub title: String,
    /// Who answers for the playbook.
    pub owner: Option<String>,
    /// How it may show itself.
    pub posture: Posture,
    /// Digest of the playbook's own text.
    pub source: Digest,
    /// Who or what started it.
    pub by: String,
    /// When it began.
    pub started: Option<Moment>,
    /// How it is about to end or has ended.
    pub end: Option<RunEnd>,
    /// Why.
    pub why: Option<String>,
    /// When that was decided.
    pub ending: Option<Moment>,
    /// When it ended.
    pub ended: Option<Moment>,
    /// Why it is set aside; absent once a person released it.
    pub quarantined: Option<Noted<String>>,
    /// Who let it go on after that, last.
    pub released: Option<Noted<String>>,
    /// Connectors that the plan names, sorted.
    pub connectors: Vec<String>,
    /// The titles of those connectors: names of products.
    pub products: Vec<String>,
    /// Technique ids among the playbook's tags, without `attack:` or `itm:`.
    pub techniques: Vec<String>,
}

/// A time and the entry that says so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// Which entry says so.
    pub cite: Cite,
}

/// A value and when it was set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Noted<T> {
    /// The value.
    pub value: T,
    /// When it was set.
    pub at: Timestamp,
    /// Which entry says so.
    pub cite: Cite,
    /// The person who set it; absent when the playbook did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The investigation the run belongs to.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct IncidentPart {
    /// Its id.
    pub id: Option<IncidentId>,
    /// One line.
    pub title: Option<String>,
    /// Whom it is about.
    pub subject: Option<String>,
    /// When it was opened.
    pub opened: Option<Moment>,
    /// Severities, the first first; the last holds.
    pub severity: Vec<Noted<u8>>,
    /// Where it stands.
    pub status: Option<Noted<Status>>,
    /// How it ended.
    pub disposition: Option<Noted<Disposition>>,
    /// Whose it is.
    pub assignee: Option<Noted<String>>,
    /// Notes.
    pub notes: Vec<Noted<String>>,
    /// Tags.
    pub tags: Vec<Noted<String>>,
}

/// The alert, with the entry that brought it in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertPart {
    /// The normalised alert without its raw payload, each text cut.
    pub alert: Alert,
    /// Digest of the stored alert.
    pub digest: Option<Digest>,
    /// The entry that brought it in: the alert's own or the run's start.
    pub cite: Cite,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// The entry.
    pub cite: Cite,
    /// When.
    pub at: Timestamp,
    /// What sort of fact, as the journal names it.
    pub kind: &'static str,
    /// The step it is about.
    pub step: Option<StepKey>,
    /// What happened, in plain words.
    pub text: String,
    /// Who or what did it.
    pub actor: String,
    /// True for what only a close reader wants: retries, looks, starts.
    pub detail: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepPart {
    /// Which.
    pub key: StepKey,
    /// What people see.
    pub title: String,
    /// The name of its kind.
    pub kind: String,
    /// When it began.
    pub started: Option<Moment>,
    /// When it ended.
    pub ended: Option<Moment>,
    /// How it ended.
    pub outcome: Option<StepEnd>,
    /// Attempts made of what it does, looks and the way back not counted.
    pub attempts: u32,
    /// Why, when it is not plain success.
    pub why: Option<String>,
    /// When it sleeps or is tried again.
    pub due: Option<Timestamp>,
}

/// One exchange with a system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvidencePart {
    /// The entry that holds it.
    pub cite: Cite,
    /// What it proves, in plain words.
    pub what: String,
    /// The step it was made for.
    pub step: StepKey,
    /// The part of the step.
    pub phase: &'static str,
    /// Request, response and digest.
    pub exchange: Evidence,
}

impl EvidencePart {
    /// Whether it is a mail to people and no exchange with a system.
    pub fn is_message(&self) -> bool {
        self.exchange.request.starts_with(MAIL)
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuestionPart {
    /// Its id.
    pub id: QuestionId,
    /// The step that asked.
    pub step: StepKey,
    /// What people see of that step.
    pub title: String,
    /// The question as it was written to people, when the step kept it.
    pub wording: Option<String>,
    /// To whom it went.
    pub asked: Vec<String>,
    /// When it was asked.
    pub sent: Moment,
    /// Until when an answer counts.
    pub until: Timestamp,
    /// Whether the message surely left.
    pub delivered: bool,
    /// How it ended; absent while it is open.
    pub end: Option<QuestionEnd>,
}

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuestionEnd {
    /// When and where it is written.
    pub when: Moment,
    /// The choice's value; absent when it was withdrawn.
    pub choice: Option<String>,
    /// The choice's label.
    pub label: Option<String>,
    /// By whom; absent when nobody answered.
    pub by: Option<String>,
    /// The other fields, by label.
    pub fields: Vec<AnsweredField>,
}

/// One approval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApprovalPart {
    /// Its id.
    pub id: ApprovalId,
    /// The step that waits.
    pub step: StepKey,
    /// What people see of that step.
    pub title: String,
    /// Whose yes is needed.
    pub by: Vec<String>,
    /// How many different people each of them needs.
    pub each: u32,
    /// Digest of what is approved.
    pub binds: Digest,
    /// When it was asked for.
    pub asked: Moment,
    /// Until when.
    pub until: Timestamp,
    /// Whether it was asked a second time.
    pub escalated: bool,
    /// Who said what.
    pub given: Vec<GivenPart>,
    /// How it was decided.
    pub verdict: Option<Verdict>,
    /// When it was decided.
    pub closed: Option<Moment>,
}

impl ApprovalPart {
    /// How far it has come.
    pub fn progress(&self) -> ApprovalProgress {
        let yes = self.given.iter().filter(|given| given.approve).map(|given| given.counts_for.as_slice());
        ApprovalProgress::new(&self.by, self.each, yes)
    }
}

/// One person's word on an approval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GivenPart {
    /// Who.
    pub by: String,
    /// What it counts for.
    pub counts_for: Vec<String>,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub note: Option<String>,
    /// When.
    pub when: Moment,
}

/// One containment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainmentPart {
    /// Its id.
    pub id: ContainmentId,
    /// The step that made it.
    pub step: StepKey,
    /// What people see of that step.
    pub title: String,
    /// The operation.
    pub operation: String,
    /// Whom or what it touches.
    pub target: String,
    /// 0 to 4, when the plan says so.
    pub tier: Option<u8>,
    /// Where it stands.
    pub hold: Hold,
    /// False when the target already was in that state.
    pub changed: bool,
    /// True when it is done and over: it has no way back and no time box.
    pub one_off: bool,
    /// Why the author wants it: the step's note.
    pub reason: Option<String>,
    /// What the step asked for, secrets left out.
    pub asked: Option<String>,
    /// The change that the connector declares for this operation.
    pub change: Option<String>,
    /// What of the target was kept before it was touched.
    pub before: Option<String>,
    /// Who approved it.
    pub approvers: Vec<Noted<String>>,
    /// When the system accepted it.
    pub accepted: Moment,
    /// When it was seen to hold.
    pub verified: Option<Moment>,
    /// When it was last looked at again, later.
    pub looked: Option<Moment>,
    /// What the last look showed when it no longer held, and we had not lifted it.
    pub drifted: Option<Noted<String>>,
    /// What the last later look read.
    pub look_showed: Option<String>,
    /// When people were told that it is about to be lifted.
    pub warned: Option<Moment>,
    /// When it lifts by itself.
    pub until: Option<Timestamp>,
    /// Who let it hold longer, last.
    pub extended: Option<Noted<String>>,
    /// Who wanted it lifted, and why.
    pub lifting: Option<Noted<String>>,
    /// When it was seen to be lifted.
    pub lifted: Option<Moment>,
    /// Why it could not be lifted.
    pub stuck: Option<Noted<String>>,
    /// What somebody else changed of the target since, field by field.
    pub changed_since: Vec<KeptField>,
    /// What was sent and answered, in one line.
    pub request: Option<String>,
    /// The exchange that read it back, in one line.
    pub read_back: Option<String>,
    /// What that reading showed.
    pub showed: Option<String>,
    /// The exact command that lifts it; absent when nothing is held or the
    /// operation declares no way back.
    pub undo: Option<String>,
}

impl ContainmentPart {
    /// What a later look showed, while that still matters: it did not hold any
    /// more, and nobody has asked for it to be lifted since.
    pub fn drift(&self) -> Option<&Noted<String>> {
        self.drifted.as_ref().filter(|_| matches!(self.hold, Hold::Accepted | Hold::Verified))
    }
}

/// A step of which nobody could say whether it happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UncertainPart {
    /// The step.
    pub step: StepKey,
    /// What people see of that step.
    pub title: String,
    /// What is known.
    pub what: String,
    /// When it was noticed.
    pub since: Moment,
    /// What a person said happened: whether it did, who says so, how they know.
    pub settled: Option<Settled>,
}

/// A person's word on what happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settled {
    /// Whether it happened.
    pub happened: bool,
    /// Who said so.
    pub by: String,
    /// How they know.
    pub note: Option<String>,
    /// When.
    pub when: Moment,
}

/// All that the journal says about one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dossier {
    /// How the run began and stands; of several the latest.
    pub run: RunPart,
    /// The runs before it that are told too, the first first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<RunPart>,
    /// Runs of the incident that are not told here.
    #[serde(skip_serializing_if = "none_untold")]
    pub untold_runs: usize,
    /// The investigation it belongs to.
    pub incident: IncidentPart,
    /// The alert it runs on.
    pub alert: Option<AlertPart>,
    /// What other alerts the runs ran on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_alerts: Vec<AlertPart>,
    /// When retention removed the content of the alert; then there is no `alert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_erased: Option<Moment>,
    /// What happened, in the order of time.
    pub timeline: Vec<Item>,
    /// Steps, in the order they began.
    pub steps: Vec<StepPart>,
    /// Exchanges with systems.
    pub evidence: Vec<EvidencePart>,
    /// Questions.
    pub questions: Vec<QuestionPart>,
    /// Approvals.
    pub approvals: Vec<ApprovalPart>,
    /// Containments.
    pub containments: Vec<ContainmentPart>,
    /// Steps that were uncertain.
    pub uncertain: Vec<UncertainPart>,
    /// The last entry of a run that is taken in; absent when there is none.
    pub last: Option<Moment>,
    /// Entries of all the runs that are told.
    #[serde(skip)]
    pub entries: u64,
    /// Lines left out of the lists because they were full.
    pub left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn none_untold(runs: &usize) -> bool {
    *runs == 0
}

impl Dossier {
    /// Folds the dossier of one run. Total: entries that make no sense in
    /// their place are left out, and what is missing stays absent.
    pub fn build(sources: Sources<'_>) -> Dossier {
        fold::fold(sources)
    }

    /// Every run that is told, the first first.
    pub fn runs(&self) -> impl Iterator<Item = &RunPart> {
        self.earlier.iter().chain([&self.run])
    }

    /// Every alert that they ran on, the latest run's first.
    pub fn alerts(&self) -> impl Iterator<Item = &AlertPart> {
        self.alert.iter().chain(&self.more_alerts)
    }

    /// The severity that holds: the incident's, else the alert's.
    pub fn severity(&self) -> Option<u8> {
        let set = self.incident.severity.last().map(|noted| noted.value);
        set.or(self.alert.as_ref().map(|part| part.alert.severity))
    }
}
