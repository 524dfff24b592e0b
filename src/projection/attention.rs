//! What needs a person: one list of all of it, the most urgent first.
//!
//! What only an entry can tell (a failure, a doubt, a run set aside) is folded
//! here. What is a matter of the clock (overdue, about to be lifted) is read off
//! the other views when the list is asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::approval::Verdict;
use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event, JournalRestored, RunEnd, SetAside};
use crate::domain::id::{AlertId, ApprovalId, IncidentId, RestoreId, RunId, StreamId};
use crate::domain::outcome::Outcome;
use crate::domain::run::{StepEnd, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::truncate_text;
use crate::projection::fold::{Projection, ROW_TEXT_BYTES_MAX};
use crate::projection::marks::Marks;
use crate::projection::shelf::Table;

pub mod duties;
pub mod needs;

/// How long a failed run, or a doubt that nobody can settle any more, is listed.
/// Closing its incident takes it off the list at once.
pub const PAST_SHOWN: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many of those are kept. Past it the oldest are let go: who has a thousand
/// failed runs before them does not need the one before.
const PAST_MAX: usize = 1000;

/// What sort of thing it is, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// The disk is full: nothing moves.
    Parked,
    /// The one who asks for the list is asked, and has not said anything yet.
    Yours,
    /// A later look shows that a containment no longer holds.
    Drifted,
    /// A containment was accepted and never seen to hold.
    Unconfirmed,
    /// A containment could not be lifted.
    LiftStuck,
    /// A containment should be lifted by now, or lifting it keeps failing.
    LiftOverdue,
    /// A step was sent and nobody can say whether it happened.
    Uncertain,
    /// The run's own record does not add up, so it cannot go on.
    Damaged,
    /// The journal was read from a backup, and the run may have done more than it says:
    /// it is set aside.
    Restored,
    /// The run was lost with its server again and again, and is set aside.
    Quarantined,
    /// A source could not be asked for its alerts, again and again.
    Unpolled,
    /// A source sent what its rules do not know: it was kept, and nobody read it.
    Unread,
    /// People did not decide in time.
    ApprovalOverdue,
    /// People did not answer in time, and the run has not gone on.
    QuestionOverdue,
    /// A containment is about to be lifted by itself.
    Expiring,
    /// Nobody can say whether a question arrived, or approvers could not be told.
    Undelivered,
    /// An approval waits for others, in time.
    Deciding,
    /// A question waits for others, in time.
    Answering,
    /// Nobody decided in time, and the run went on as its playbook says.
    Expired,
    /// A firing of a schedule could not start its run.
    NotStarted,
    /// The run failed.
    Failed,
}

impl Need {
    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parked => "disk full",
            Self::Yours => "yours to say",
            Self::Drifted => "drifted",
            Self::Unconfirmed => "not confirmed",
            Self::LiftStuck => "not lifted",
            Self::LiftOverdue => "lift overdue",
            Self::Uncertain => "uncertain",
            Self::Damaged => "damaged",
            Self::Restored => "restored",
            Self::Quarantined => "set aside",
            Self::Unpolled => "not polled",
            Self::Unread => "not read",
            Self::ApprovalOverdue => "approval overdue",
            Self::QuestionOverdue => "answer overdue",
            Self::Expiring => "lifts soon",
            Self::Undelivered => "not delivered",
            Self::Deciding => "to decide",
            Self::Answering => "to answer",
            Self::Expired => "expired",
            Self::NotStarted => "not started",
            Self::Failed => "failed",
        }
    }
}

/// One thing that needs a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// Its place in the list: the cursor of the next page.
    pub place: String,
    /// What sort of thing it is.
    pub need: Need,
    /// The same in a word or two.
    pub name: &'static str,
    /// What happened, in plain words.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when something can be done, where there is such a time.
    pub until: Option<Timestamp>,
    /// The run; absent when it is about the whole house.
    pub run: Option<RunId>,
    /// The run's playbook.
    pub playbook: Option<String>,
    /// The investigation the run belongs to.
    pub incident: Option<IncidentId>,
    /// The incident's severity, 0 to 100.
    pub severity: Option<u8>,
    /// The step.
    pub step: Option<StepKey>,
    /// The approval, question or containment.
    pub id: Option<String>,
    /// Whom or what a containment touches.
    pub target: Option<String>,
    /// What to do next: each a command as it can be given.
    pub commands: Vec<String>,
}

/// What of a run needs a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum About {
    Failed,
    Restored,
    Quarantined,
    Uncertain(StepKey),
    /// Its approvers could not be told that they are asked.
    Untold(StepKey),
    /// Nobody decided on it in time.
    Expired(ApprovalId),
}

/// That it does, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Raised {
    since: Timestamp,
    what: String,
    /// Nothing can be ordered any more: it is there to be known.
    past: bool,
}

/// What entries say needs a person.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attention {
    raised: Marks<(RunId, About), Raised>,
    /// Those that are past, by when.
    past: Marks<(Timestamp, RunId, About)>,
    /// Runs that a step of another run waits for, until they end: their failure
    /// is that step's.
    children: Marks<RunId>,
    /// By source: payloads whose shape its rules do not know.
    unread: Marks<String, Unread>,
    /// The times that the journal was read from a backup.
    restores: Marks<RestoreId, Restore>,
}

/// One time that the journal was read from a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    /// When.
    pub at: Timestamp,
    /// What the import says of it.
    pub fact: JournalRestored,
}

/// Payloads of one source whose shape its rules do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unread {
    /// How many since the first.
    count: usize,
    since: Timestamp,
    last_at: Timestamp,
    last: AlertId,
    /// What the last calls itself.
    title: String,
}

impl Attention {
    fn unread(&mut self, source: &str, alert: AlertId, at: Timestamp, title: &str) {
        let before = self.unread.get(source).filter(|before| before.last_at.after(PAST_SHOWN) > at);
        let (count, since) = before.map_or((0, at), |before| (before.count, before.since));
        let title = truncate_text(title, ROW_TEXT_BYTES_MAX).into_owned();
        let unread = Unread { count: count + 1, since, last_at: at, last: alert, title };
        self.unread.set(source.to_owned(), unread);
    }

    fn raise(&mut self, run: RunId, about: About, since: Timestamp, what: &str) {
        let what = truncate_text(what, ROW_TEXT_BYTES_MAX).into_owned();
        self.raised.set((run, about), Raised { since, what, past: false });
    }

    fn lower(&mut self, run: RunId, about: About) {
        self.raised.clear(&(run, about));
    }

    /// It stays to be known, and nothing about it can be ordered any more.
    fn pass(&mut self, run: RunId, about: About) {
        let Some(raised) = self.raised.get_mut(&(run, about.clone())) else {
            return;
        };
        raised.past = true;
        let past = (raised.since, run, about);
        self.past.set(past, ());
        if self.past.len() > PAST_MAX
            && let Some(oldest) = self.past.first_key_value().map(|(oldest, ())| oldest.clone())
        {
            self.past.clear(&oldest);
            let (_, run, about) = oldest;
            self.lower(run, about);
        }
    }

    /// The last time that the journal was read from a backup.
    pub fn last_restore(&self) -> Option<&Restore> {
        self.restores.last_key_value().map(|(_, restore)| restore)
    }

    fn set_aside(&mut self, run: RunId, at: Timestamp, aside: &SetAside) {
        if aside.restored {
            self.lower(run, About::Quarantined);
            self.raise(run, About::Restored, at, &aside.why);
        } else if !self.raised.contains_key(&(run, About::Restored)) {
            self.raise(run, About::Quarantined, at, &aside.why);
        }
    }

    fn released(&mut self, run: RunId) {
        self.lower(run, About::Restored);
        self.lower(run, About::Quarantined);
    }

    fn ended(&mut self, run: RunId, end: RunEnd, at: Timestamp) {
        self.released(run);
        let child = self.children.clear(&run).is_some();
        if end != RunEnd::Failed || child {
            self.lower(run, About::Failed);
            return;
        }
        if !self.raised.contains_key(&(run, About::Failed)) {
            self.raise(run, About::Failed, at, "what was to be tidied up at its end was not");
        }
        self.pass(run, About::Failed);
    }
}

impl Attention {
    /// Forgets what a run that was erased needed.
    pub fn forget(&mut self, run: RunId) {
        let raised: Vec<About> =
            self.raised.keys().filter(|(of, _)| *of == run).map(|(_, about)| about.clone()).collect();
        raised.into_iter().for_each(|about| self.lower(run, about));
        let past: Vec<_> = self.past.keys().filter(|(_, of, _)| *of == run).cloned().collect();
        for past in past {
            self.past.clear(&past);
        }
        self.children.clear(&run);
    }
}

impl Projection for Attention {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![
            ("attention", &mut self.raised),
            ("attention.past", &mut self.past),
            ("attention.children", &mut self.children),
            ("attention.unread", &mut self.unread),
            ("attention.restores", &mut self.restores),
        ]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        let at = entry.at;
        if let (StreamId::Alert(alert), Event::AlertReceived { source, title, shape_unknown: true, .. }) =
            (entry.stream, &entry.event)
        {
            self.unread(source, alert, at, title);
        }
        if let (StreamId::Restore(id), Event::JournalRestored(fact)) = (entry.stream, &entry.event) {
            self.restores.set(id, Restore { at, fact: (**fact).clone() });
        }
        let StreamId::Run(run) = entry.stream else { return };
        match &entry.event {
            Event::RunStarted(started) if started.parent.is_some() => {
                self.children.set(run, ());
            }
            // Who does it once more has seen that it failed.
            Event::RunStarted(started) => {
                started.again.into_iter().for_each(|failed| self.lower(failed, About::Failed));
            }
            Event::RunQuarantined(aside) => self.set_aside(run, at, aside),
            Event::RunReleased { .. } => self.released(run),
            Event::RunEnding { end: RunEnd::Failed, why, .. } if !self.children.contains_key(&run) => {
                self.raise(run, About::Failed, at, why);
            }
            Event::RunEnded { end } => self.ended(run, *end, at),
            Event::AttemptEnded { key, phase: Phase::Announce, outcome, .. } => match outcome {
                Outcome::Failed { failure, .. } => {
                    self.raise(run, About::Untold(key.clone()), at, &failure.message);
                }
                Outcome::Succeeded { .. } => self.lower(run, About::Untold(key.clone())),
            },
            Event::ApprovalClosed { approval, verdict: Verdict::Silent } => {
                self.raise(run, About::Expired(*approval), at, "nobody decided in time");
                self.pass(run, About::Expired(*approval));
            }
            Event::StepUncertain { key, what } => {
                self.raise(run, About::Uncertain(key.clone()), at, what);
            }
            Event::StepSettled { key, .. } => self.lower(run, About::Uncertain(key.clone())),
            Event::StepEnded { key, end: StepEnd::Uncertain, .. } => {
                self.pass(run, About::Uncertain(key.clone()));
            }
            Event::StepEnded { key, .. } => {
                self.lower(run, About::Uncertain(key.clone()));
                self.lower(run, About::Untold(key.clone()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
