//! Runs as lists show them: how each stands, and on whom it waits since when
//! and until when.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::approval::OpenApproval;
use crate::domain::event::{Entry, Event, RunEnd};
use crate::domain::id::{AlertId, ApprovalId, ContainmentId, IncidentId, QuestionId, RunId, StreamId};
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::Digest;
use crate::projection::fold::{Page, Projection, page};
use crate::projection::marks::Marks;
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which step waits.
    pub step: StepKey,
    /// For what.
    pub on: WaitsFor,
    /// Who was asked, of an approval those that are still missing; empty when it waits
    /// for a point in time.
    pub who: Vec<String>,
    /// Of an approval, in words, who is needed and what is still missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// One run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// The playbook's name.
    pub playbook: Arc<str>,
    /// The playbook's version.
    pub version: u32,
    /// Digest of the frozen plan.
    pub plan: Digest,
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
    /// How urgent it is, while others go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Urgency>,
}

/// A run's row, and what it takes to tell how the run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    row: RunRow,
    /// The number of its last entry.
    seq: u64,
    ending: bool,
    quarantined: bool,
    in_flight: u32,
    asked: Vec<(ApprovalId, OpenApproval)>,
    uncertain: Vec<StepKey>,
    stuck: Vec<ContainmentId>,
}

impl Told {
    fn stand(&self) -> RunStatus {
        if self.quarantined {
            return RunStatus::Quarantined;
        }
        if !self.uncertain.is_empty() || !self.stuck.is_empty() {
            return RunStatus::NeedsPerson;
        }
        match self.row.end {
            Some(RunEnd::Succeeded) => RunStatus::Succeeded,
            Some(RunEnd::Failed) => RunStatus::Failed,
            Some(RunEnd::Cancelled) => RunStatus::Cancelled,
            None if self.row.queued.is_some() => RunStatus::Queued,
            None if self.ending => RunStatus::Ending,
            None if self.in_flight == 0 && !self.row.waiting_on.is_empty() => RunStatus::Waiting,
            None => RunStatus::Running,
        }
    }

    fn wait(&mut self, step: &StepKey, on: WaitsFor, who: &[String], since: Timestamp, until: Timestamp) {
        self.row.waiting_on.retain(|wait| wait.step != *step || wait.on != on);
        self.row.waiting_on.push(Waiting {
            step: step.clone(),
            on,
            who: who.to_vec(),
            needs: None,
            since,
            until,
        });
    }

    /// Tells of an open approval what is still missing.
    fn tell_missing(&mut self, approval: ApprovalId) {
        let Some((_, asked)) = self.asked.iter().find(|(id, _)| *id == approval) else { return };
        for wait in self.row.waiting_on.iter_mut().filter(|wait| wait.on == WaitsFor::Approval(approval)) {
            let progress = asked.progress();
            wait.who = progress.missing().map(|(entry, _)| entry.to_owned()).collect();
            wait.needs = Some(progress.words());
        }
    }

    fn no_longer(&mut self, on: WaitsFor) {
        self.row.waiting_on.retain(|wait| wait.on != on);
    }

    /// Takes in an event of the run after its start.
    fn change(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunQueued { urgency } => self.row.queued = Some(*urgency),
            Event::RunAdmitted {} => self.row.queued = None,
            Event::RunEnding { .. } => {
                self.row.queued = None;
                self.ending = true;
            }
            Event::RunQuarantined(_) => self.quarantined = true,
            Event::RunReleased { .. } => self.quarantined = false,
            // Looking after what is contained goes on beside the run.
            Event::AttemptStarted { phase, .. }
            | Event::AttemptEnded { phase, .. }
            | Event::AttemptLost { phase, .. }
            | Event::AttemptDue { phase, .. }
                if phase.watches() => {}
            Event::RunEnded { end } => {
                self.row.end = Some(*end);
                self.row.ended_at = Some(at);
                self.row.waiting_on = Vec::new();
                self.in_flight = 0;
                self.quarantined = false;
                // What is over no longer waits for somebody's word.
                self.uncertain = Vec::new();
            }
            Event::StepSlept { key, until } => self.wait(key, WaitsFor::Time, &[], at, *until),
            Event::StepEnded { key, .. } => {
                self.row.waiting_on.retain(|wait| wait.step != *key);
                self.uncertain.retain(|step| step != key);
            }
            Event::AttemptStarted { key, .. } => {
                self.in_flight = self.in_flight.saturating_add(1);
                self.row.waiting_on.retain(|wait| wait.step != *key || wait.on != WaitsFor::Attempt);
            }
            Event::AttemptEnded { .. } | Event::AttemptLost { .. } => {
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            Event::AttemptDue { key, at: due, .. } => self.wait(key, WaitsFor::Attempt, &[], at, *due),
            Event::StepUncertain { key, .. } if !self.uncertain.contains(key) => {
                self.uncertain.push(key.clone());
            }
            Event::StepSettled { key, .. } => self.uncertain.retain(|step| step != key),
            Event::UndoRefused { containment, .. } if !self.stuck.contains(containment) => {
                self.stuck.push(*containment);
            }
            Event::UndoRequested { containment, .. } | Event::ContainmentLifted { containment, .. } => {
                self.stuck.retain(|stuck| stuck != containment);
            }
            _ => self.change_asked(event, at),
        }
    }

    /// Takes in what people are asked, and what they say.
    fn change_asked(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::ApprovalRequested { key, approval, by, each, until, .. } => {
                self.wait(key, WaitsFor::Approval(*approval), by, at, *until);
                self.asked.push((*approval, OpenApproval { by: by.clone(), each: *each, yes: Vec::new() }));
                self.tell_missing(*approval);
            }
            Event::ApprovalGiven { approval, counts_for, approve: true, .. } => {
                if let Some((_, asked)) = self.asked.iter_mut().find(|(id, _)| id == approval) {
                    asked.yes.push(counts_for.clone());
                }
                self.tell_missing(*approval);
            }
            Event::ApprovalEscalated { approval, until } => {
                let waits = self.row.waiting_on.iter_mut();
                for wait in waits.filter(|wait| wait.on == WaitsFor::Approval(*approval)) {
                    wait.until = *until;
                }
            }
            Event::ApprovalClosed { approval, .. } => {
                self.asked.retain(|(id, _)| id != approval);
                self.no_longer(WaitsFor::Approval(*approval));
            }
            Event::QuestionAsked { key, question, asked, until, .. } => {
                self.wait(key, WaitsFor::Question(*question), asked, at, *until);
            }
            Event::QuestionAnswered { question, .. } | Event::QuestionSilent { question, .. } => {
                self.no_longer(WaitsFor::Question(*question));
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
        | Event::AttemptBegan { key, .. }
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
    rows: Rows<RunId, Told>,
    /// Those that have not ended.
    live: Marks<RunId>,
    /// How many stand how, of those that have not ended and of those that have.
    counts: Marks<(bool, RunStatus), u64>,
    of_incident: Rows<(IncidentId, RunId), ()>,
    /// The runs that steps of a run called.
    children: Rows<(RunId, RunId), ()>,
}

/// Runs of one family, a run and those it called in turn: far above what people understand.
const FAMILY_MAX: usize = 10_000;

impl Runs {
    /// The row of one run.
    pub fn get(&self, id: RunId) -> Option<Cow<'_, RunRow>> {
        self.rows.get(id).map(row)
    }

    /// Those that have not ended, the oldest first.
    pub fn live(&self) -> impl Iterator<Item = Cow<'_, RunRow>> {
        self.live.keys().filter_map(|id| self.get(*id))
    }

    /// How many have not ended.
    pub fn live_len(&self) -> usize {
        self.live.len()
    }

    /// How many have not ended and stand so.
    pub fn live_standing(&self, status: RunStatus) -> u64 {
        self.counts.get(&(true, status)).copied().unwrap_or(0)
    }

    /// The runs that have begun and not ended, the oldest first, each with the
    /// number of its last entry.
    pub fn begun(&self) -> impl Iterator<Item = (RunId, u64)> {
        let told = self.live.keys().filter_map(|id| self.rows.get(*id));
        told.filter(|told| told.row.queued.is_none()).map(|told| (told.row.id, told.seq))
    }

    /// The number of a run's last entry.
    pub fn seq(&self, id: RunId) -> Option<u64> {
        self.rows.get(id).map(|told| told.seq)
    }

    /// A run and all that its steps called, and theirs called, the callers first.
    pub fn family(&self, id: RunId) -> Vec<RunId> {
        let mut family = vec![id];
        let mut at = 0;
        while let Some(run) = family.get(at).copied().filter(|_| family.len() < FAMILY_MAX) {
            family.extend(self.children.newest_of(run, None));
            at += 1;
        }
        family
    }

    /// How many there are, ended ones too.
    pub fn len(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every run of an incident.
    pub fn of_incident(&self, incident: IncidentId) -> Vec<RunId> {
        self.of_incident.newest_of(incident, None).collect()
    }

    fn move_run(&mut self, id: RunId, from: IncidentId, to: IncidentId) {
        if let Some(told) = self.rows.get_mut(id) {
            told.row.incident = to;
            self.of_incident.remove((from, id));
            self.of_incident.insert((to, id), ());
        }
    }

    /// Forgets one that was erased.
    pub fn forget(&mut self, id: RunId) {
        let Some(told) = self.rows.get(id).map(Cow::into_owned) else { return };
        self.count((told.row.end.is_none(), told.row.status), false);
        self.live.clear(&id);
        self.of_incident.remove((told.row.incident, id));
        let called: Vec<RunId> = self.children.newest_of(id, None).collect();
        called.into_iter().for_each(|child| self.children.remove((id, child)));
        self.rows.remove(id);
    }

    /// The newest first, from before `before`.
    pub fn list(&self, filter: &RunFilter, before: Option<RunId>, limit: usize) -> Page<RunRow> {
        let keep = |row: &RunRow| {
            filter.status.is_none_or(|status| status == row.status)
                && !(filter.live && row.end.is_some())
                && filter.playbook.as_ref().is_none_or(|name| **name == *row.playbook)
                && filter.incident.is_none_or(|incident| incident == row.incident)
        };
        let below = before.map_or(Bound::Unbounded, Bound::Excluded);
        let found = |id: RunId| Some((id, self.get(id)?));
        let ends = [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled, RunStatus::NeedsPerson];
        if let Some(incident) = filter.incident {
            return page(self.of_incident.newest_of(incident, before).filter_map(found), limit, keep);
        }
        if filter.live || filter.status.is_some_and(|status| !ends.contains(&status)) {
            let live = self.live.range((Bound::Unbounded, below)).rev();
            return page(live.filter_map(|(id, ())| found(*id)), limit, keep);
        }
        page(self.rows.newest(before).map(|(id, told)| (id, row(told))), limit, keep)
    }

    /// Counts one more, or one fewer, that stands so.
    fn count(&mut self, standing: (bool, RunStatus), more: bool) {
        let count = self.counts.get_or(standing, || 0);
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        if *count == 0 {
            self.counts.clear(&standing);
        }
    }
}

fn row(told: Cow<'_, Told>) -> Cow<'_, RunRow> {
    match told {
        Cow::Borrowed(told) => Cow::Borrowed(&told.row),
        Cow::Owned(told) => Cow::Owned(told.row),
    }
}

impl Projection for Runs {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![
            ("runs", &mut self.rows),
            ("runs.live", &mut self.live),
            ("runs.counts", &mut self.counts),
            ("runs.of_incident", &mut self.of_incident),
            ("runs.children", &mut self.children),
        ]
    }

    fn apply(&mut self, entry: &Entry, incident: Option<IncidentId>) {
        if let (Event::AlertsMoved(moved), StreamId::Incident(from)) = (&entry.event, entry.stream) {
            moved.runs.iter().for_each(|run| self.move_run(*run, from, moved.to));
        }
        let StreamId::Run(id) = entry.stream else {
            return;
        };
        if let Event::RunStarted(started) = &entry.event {
            let row = RunRow {
                id,
                playbook: started.playbook.as_str().into(),
                version: started.version,
                plan: started.plan,
                incident: incident.unwrap_or(started.incident),
                alert: started.alert.map(|alert| alert.id),
                by: started.by.as_str().into(),
                started_at: entry.at,
                ended_at: None,
                status: RunStatus::Running,
                end: None,
                waiting_on: Vec::new(),
                last_step: None,
                queued: None,
            };
            let told = Told {
                row,
                seq: entry.seq,
                ending: false,
                quarantined: false,
                in_flight: 0,
                asked: Vec::new(),
                uncertain: Vec::new(),
                stuck: Vec::new(),
            };
            self.count((true, RunStatus::Running), true);
            self.of_incident.insert((incident.unwrap_or(started.incident), id), ());
            if let Some(parent) = &started.parent {
                self.children.insert((parent.run, id), ());
            }
            self.rows.insert(id, told);
            self.live.set(id, ());
            return;
        }
        let Some(told) = self.rows.get_mut(id) else {
            return;
        };
        let before = (told.row.end.is_none(), told.row.status);
        told.seq = entry.seq;
        told.change(&entry.event, entry.at);
        if let Some(step) = step_of(&entry.event) {
            told.row.last_step = Some(step.clone());
        }
        told.row.status = told.stand();
        let after = (told.row.end.is_none(), told.row.status);
        if before != after {
            self.count(before, false);
            self.count(after, true);
        }
        if !after.0 {
            self.live.clear(&id);
        }
    }
}
