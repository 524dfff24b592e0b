//! Runs as lists show them: how each stands, and on whom it waits since when
//! and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::event::{Entry, Event, RunEnd};
use crate::domain::id::{AlertId, ApprovalId, ContainmentId, IncidentId, QuestionId, RunId, StreamId};
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::Digest;
use crate::projection::fold::{Page, Projection, page};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It is accepted, and others go first.
    Queued,
    /// Something is being done.
    Running,
    /// It waits for a person or a point in time.
    Waiting,
    /// Nothing new starts; it is on its way to its end.
    Ending,
    /// Every step ended as it should.
    Succeeded,
    /// A step failed it.
    Failed,
    /// A person ended it.
    Cancelled,
    /// A step is uncertain or a containment can't be lifted: a person must look.
    NeedsPerson,
    /// It was lost with its server again and again; it is set aside until a
    /// person releases or cancels it.
    Quarantined,
}

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// People's yes.
    Approval(ApprovalId),
    /// A person's answer.
    Question(QuestionId),
    /// A point in time.
    Time,
    /// The next attempt or the next look.
    Attempt,
}

/// One thing that a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waiting {
    /// Which step waits.
    pub step: StepKey,
    /// For what.
    pub on: WaitsFor,
    /// Who was asked; empty when it waits for a point in time.
    pub who: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// One run in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// The playbook's name.
    pub playbook: Arc<str>,
    /// The playbook's version.
    pub version: u32,
    /// Digest of the frozen plan.
    pub plan: Arc<Digest>,
    /// The investigation it belongs to.
    pub incident: IncidentId,
    /// The alert it runs on.
    pub alert: Option<AlertId>,
    /// Who or what started it.
    pub by: Arc<str>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it stands.
    pub status: RunStatus,
    /// How it ended, also when a person must still look.
    pub end: Option<RunEnd>,
    /// What it waits for.
    pub waiting_on: Vec<Waiting>,
    /// The step that was touched last.
    pub last_step: Option<StepKey>,
    /// The number of its last entry.
    #[serde(skip)]
    pub seq: u64,
    /// How urgent it is, while others go first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<Urgency>,
    #[serde(skip)]
    ending: bool,
    #[serde(skip)]
    quarantined: bool,
    #[serde(skip)]
    in_flight: u32,
    #[serde(skip)]
    uncertain: Vec<StepKey>,
    #[serde(skip)]
    stuck: Vec<ContainmentId>,
}

impl RunRow {
    fn stand(&self) -> RunStatus {
        if self.quarantined {
            return RunStatus::Quarantined;
        }
        if !self.uncertain.is_empty() || !self.stuck.is_empty() {
            return RunStatus::NeedsPerson;
        }
        match self.end {
            Some(RunEnd::Succeeded) => RunStatus::Succeeded,
            Some(RunEnd::Failed) => RunStatus::Failed,
            Some(RunEnd::Cancelled) => RunStatus::Cancelled,
            None if self.queued.is_some() => RunStatus::Queued,
            None if self.ending => RunStatus::Ending,
            None if self.in_flight == 0 && !self.waiting_on.is_empty() => RunStatus::Waiting,
            None => RunStatus::Running,
        }
    }

    fn wait(&mut self, step: &StepKey, on: WaitsFor, who: &[String], since: Timestamp, until: Timestamp) {
        self.waiting_on.retain(|wait| wait.step != *step || wait.on != on);
        self.waiting_on.push(Waiting { step: step.clone(), on, who: who.to_vec(), since, until });
    }

    fn no_longer(&mut self, on: WaitsFor) {
        self.waiting_on.retain(|wait| wait.on != on);
    }

    /// Takes in an event of the run after its start.
    fn change(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunQueued { urgency } => self.queued = Some(*urgency),
            Event::RunAdmitted {} => self.queued = None,
            Event::RunEnding { .. } => {
                self.queued = None;
                self.ending = true;
            }
            Event::RunQuarantined { .. } => self.quarantined = true,
            Event::RunReleased { .. } => self.quarantined = false,
            // Looking after what is contained goes on beside the run.
            Event::AttemptStarted { phase, .. }
            | Event::AttemptEnded { phase, .. }
            | Event::AttemptLost { phase, .. }
            | Event::AttemptDue { phase, .. }
                if phase.watches() => {}
            Event::RunEnded { end } => {
                self.end = Some(*end);
                self.ended_at = Some(at);
                self.waiting_on = Vec::new();
                self.in_flight = 0;
                self.quarantined = false;
                // What is over no longer waits for somebody's word.
                self.uncertain = Vec::new();
            }
            Event::StepSlept { key, until } => self.wait(key, WaitsFor::Time, &[], at, *until),
            Event::StepEnded { key, .. } => {
                self.waiting_on.retain(|wait| wait.step != *key);
                self.uncertain.retain(|step| step != key);
            }
            Event::AttemptStarted { key, .. } => {
                self.in_flight = self.in_flight.saturating_add(1);
                self.waiting_on.retain(|wait| wait.step != *key || wait.on != WaitsFor::Attempt);
            }
            Event::AttemptEnded { .. } | Event::AttemptLost { .. } => {
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            Event::AttemptDue { key, at: due, .. } => self.wait(key, WaitsFor::Attempt, &[], at, *due),
            Event::StepUncertain { key, .. } if !self.uncertain.contains(key) => {
                self.uncertain.push(key.clone());
            }
            Event::StepSettled { key, .. } => self.uncertain.retain(|step| step != key),
            Event::ApprovalRequested { key, approval, by, until, .. } => {
                self.wait(key, WaitsFor::Approval(*approval), by, at, *until);
            }
            Event::ApprovalEscalated { approval, until } => {
                let waits = self.waiting_on.iter_mut();
                for wait in waits.filter(|wait| wait.on == WaitsFor::Approval(*approval)) {
                    wait.until = *until;
                }
            }
            Event::ApprovalClosed { approval, .. } => self.no_longer(WaitsFor::Approval(*approval)),
            Event::QuestionAsked { key, question, asked, until, .. } => {
                self.wait(key, WaitsFor::Question(*question), asked, at, *until);
            }
            Event::QuestionAnswered { question, .. } | Event::QuestionSilent { question, .. } => {
                self.no_longer(WaitsFor::Question(*question));
            }
            Event::UndoRefused { containment, .. } if !self.stuck.contains(containment) => {
                self.stuck.push(*containment);
            }
            Event::UndoRequested { containment, .. } | Event::ContainmentLifted { containment, .. } => {
                self.stuck.retain(|stuck| stuck != containment);
            }
            _ => {}
        }
    }
}

/// The step that an event is about.
fn step_of(event: &Event) -> Option<&StepKey> {
    match event {
        Event::StepStarted { key, .. }
        | Event::StepExpanded { key, .. }
        | Event::StepSlept { key, .. }
        | Event::StepEnded { key, .. }
        | Event::AttemptStarted { key, .. }
        | Event::AttemptEnded { key, .. }
        | Event::AttemptLost { key, .. }
        | Event::AttemptDue { key, .. }
        | Event::StepUncertain { key, .. }
        | Event::StepSettled { key, .. }
        | Event::ApprovalRequested { key, .. }
        | Event::QuestionAsked { key, .. }
        | Event::ContainmentAccepted { key, .. } => Some(key),
        _ => None,
    }
}

/// Which runs a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those that stand so.
    pub status: Option<RunStatus>,
    /// Only those that have not ended.
    pub live: bool,
    /// Only those of this playbook.
    pub playbook: Option<String>,
    /// Only those of this incident.
    pub incident: Option<IncidentId>,
}

/// All runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs {
    rows: BTreeMap<RunId, RunRow>,
    /// Those that have not ended.
    live: BTreeSet<RunId>,
    /// Names and digests that many rows share are kept once.
    names: BTreeSet<Arc<str>>,
    plans: BTreeSet<Arc<Digest>>,
}

impl Runs {
    /// The row of one run.
    pub fn get(&self, id: RunId) -> Option<&RunRow> {
        self.rows.get(&id)
    }

    /// Those that have not ended, the oldest first.
    pub fn live(&self) -> impl Iterator<Item = &RunRow> {
        self.live.iter().filter_map(|id| self.rows.get(id))
    }

    /// How many there are, ended ones too.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The newest first, from before `before`.
    pub fn list(&self, filter: &RunFilter, before: Option<RunId>, limit: usize) -> Page<RunRow> {
        let keep = |row: &RunRow| {
            filter.status.is_none_or(|status| status == row.status)
                && !(filter.live && row.end.is_some())
                && filter.playbook.as_ref().is_none_or(|name| **name == *row.playbook)
                && filter.incident.is_none_or(|incident| incident == row.incident)
        };
        page(&self.rows, before, limit, keep, RunRow::clone)
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }

    fn plan(&mut self, plan: Digest) -> Arc<Digest> {
        if let Some(known) = self.plans.get(&plan) {
            return known.clone();
        }
        let plan = Arc::new(plan);
        self.plans.insert(plan.clone());
        plan
    }
}

impl Projection for Runs {
    fn apply(&mut self, entry: &Entry) {
        let StreamId::Run(id) = entry.stream else {
            return;
        };
        if let Event::RunStarted(started) = &entry.event {
            let row = RunRow {
                id,
                playbook: self.name(&started.playbook),
                version: started.version,
                plan: self.plan(started.plan),
                incident: started.incident,
                alert: started.alert.map(|alert| alert.id),
                by: self.name(&started.by),
                started_at: entry.at,
                ended_at: None,
                status: RunStatus::Running,
                end: None,
                waiting_on: Vec::new(),
                last_step: None,
                seq: entry.seq,
                queued: None,
                ending: false,
                quarantined: false,
                in_flight: 0,
                uncertain: Vec::new(),
                stuck: Vec::new(),
            };
            self.rows.insert(id, row);
            self.live.insert(id);
            return;
        }
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        row.seq = entry.seq;
        row.change(&entry.event, entry.at);
        if let Some(step) = step_of(&entry.event) {
            row.last_step = Some(step.clone());
        }
        row.status = row.stand();
        if row.end.is_some() {
            self.live.remove(&id);
        }
    }
}
