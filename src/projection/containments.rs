//! Containments: what is held, since when, until when, and whether a later look
//! still showed it; and the counts that guardrails cap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{ContainmentId, IncidentId, RunId, StreamId};
use crate::domain::outcome::Outcome;
use crate::domain::run::{Hold, StepEnd, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::{Value, truncate_text};
use crate::projection::fold::{Page, Projection, ROW_TEXT_BYTES_MAX, page};

pub mod standing;

/// One containment in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainmentRow {
    /// Its id.
    pub id: ContainmentId,
    /// The run that made it.
    pub run: RunId,
    /// The investigation it belongs to, when the run's start was seen.
    pub incident: Option<IncidentId>,
    /// The step that made it.
    pub step: StepKey,
    /// The operation.
    pub operation: String,
    /// Whom or what it touches, for people.
    pub target: String,
    /// Where it stands.
    pub hold: Hold,
    /// False when the target already was in that state.
    pub changed: bool,
    /// True when it is done and over: it has no way back and no time box, so
    /// nothing is held that anybody could lift.
    pub one_off: bool,
    /// When the system accepted it.
    pub accepted_at: Timestamp,
    /// When it was first seen to hold.
    pub verified_at: Option<Timestamp>,
    /// When it lifts by itself.
    pub until: Option<Timestamp>,
    /// When it was seen to be lifted.
    pub lifted_at: Option<Timestamp>,
    /// Why it is being lifted, or what stands in the way of that.
    pub why: Option<String>,
    /// When it was last looked at, and by then held or did not.
    pub looked_at: Option<Timestamp>,
    /// How often it was looked at again after it was first seen to hold.
    pub looks: u32,
    /// What the last look showed when it no longer held, and we had not lifted it.
    pub drifted: Option<String>,
    /// When people were told that it is about to be lifted.
    pub warned_at: Option<Timestamp>,
    /// When its step gave up on seeing it hold.
    pub given_up_at: Option<Timestamp>,
    /// Since when it is to be lifted.
    pub lifting_since: Option<Timestamp>,
    /// Tries to lift it that did not take.
    pub lift_tries: u32,
    /// Why the last of them did not.
    pub lift_failure: Option<String>,
    /// Where it stands, in a few words; filled in when it is shown.
    pub state: Option<String>,
    /// The playbook whose run made it; filled in when it is shown.
    pub playbook: Option<Arc<str>>,
    /// Who stands behind it: those who approved it, else who or what started
    /// the run; filled in when it is shown.
    pub by: Vec<String>,
    /// Why its author wants it; filled in when it is shown.
    pub reason: Option<String>,
}

impl ContainmentRow {
    /// Whether the target is, or may be, held. What was done once is not.
    pub fn is_holding(&self) -> bool {
        self.hold != Hold::Lifted && !self.one_off
    }

    /// Whether something about it may still need a person.
    fn is_watched(&self) -> bool {
        self.is_holding() || self.one_off && (self.drifted.is_some() || self.given_up_at.is_some())
    }
}

/// Which containments a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainmentFilter {
    /// Those that hold (`true`) or are lifted (`false`) only.
    pub holding: Option<bool>,
    /// Only those of this run.
    pub run: Option<RunId>,
    /// Only those of this incident.
    pub incident: Option<IncidentId>,
    /// Only those on this target, in any case.
    pub target: Option<String>,
}

/// All containments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Containments {
    rows: BTreeMap<ContainmentId, ContainmentRow>,
    /// Those that changed something, by when: what the caps count.
    changed: BTreeSet<(Timestamp, ContainmentId)>,
    /// Those that hold, or no longer do without having been lifted.
    watched: BTreeSet<ContainmentId>,
    /// The same by the step that made them.
    by_step: BTreeMap<(RunId, StepKey), ContainmentId>,
    /// The incidents of runs that have not ended.
    incidents: BTreeMap<RunId, IncidentId>,
    /// Steps whose target was looked at and whose operation has no way back,
    /// until they are accepted or end.
    irreversible: BTreeSet<(RunId, StepKey)>,
}

impl Containments {
    /// The row of one containment.
    pub fn get(&self, id: ContainmentId) -> Option<&ContainmentRow> {
        self.rows.get(&id)
    }

    /// The newest first, from before `before`.
    pub fn list(
        &self,
        filter: &ContainmentFilter,
        before: Option<ContainmentId>,
        limit: usize,
    ) -> Page<ContainmentRow> {
        let target = filter.target.as_ref().map(|target| target.to_lowercase());
        let keep = |row: &ContainmentRow| {
            filter.holding.is_none_or(|holding| holding == row.is_holding())
                && filter.run.is_none_or(|run| run == row.run)
                && filter.incident.is_none_or(|incident| Some(incident) == row.incident)
                && target.as_ref().is_none_or(|target| *target == row.target.to_lowercase())
        };
        page(&self.rows, before, limit, keep, ContainmentRow::clone)
    }

    /// The different targets contained at or after `since`, by their label in
    /// lower case. A target that already was in the wanted state is not
    /// counted: nothing was done to it. Lifted ones are: the cap is on what was
    /// done, not on what holds.
    pub fn targets_since(&self, since: Timestamp) -> BTreeSet<String> {
        let least = ContainmentId::new(ulid::Ulid::nil());
        let ids = self.changed.range((since, least)..).map(|(_, id)| id);
        distinct(ids.filter_map(|id| self.rows.get(id)))
    }

    /// The different targets that this run contained.
    pub fn targets_of(&self, run: RunId) -> BTreeSet<String> {
        distinct(self.rows.values().filter(|row| row.run == run && row.changed))
    }

    /// Those that hold.
    pub fn holding(&self) -> impl Iterator<Item = &ContainmentRow> {
        self.watched().filter(|row| row.is_holding())
    }

    /// Those that hold, and those done once that a later look no longer showed.
    pub fn watched(&self) -> impl Iterator<Item = &ContainmentRow> {
        self.watched.iter().filter_map(|id| self.rows.get(id))
    }
}

fn distinct<'a>(rows: impl Iterator<Item = &'a ContainmentRow>) -> BTreeSet<String> {
    rows.map(|row| row.target.to_lowercase()).collect()
}

impl Projection for Containments {
    fn apply(&mut self, entry: &Entry) {
        let StreamId::Run(run) = entry.stream else {
            return;
        };
        match &entry.event {
            Event::RunStarted(started) => {
                self.incidents.insert(run, started.incident);
            }
            Event::AttemptEnded { key, phase: Phase::Capture, outcome, .. } => {
                if let Outcome::Succeeded { output, .. } = outcome
                    && output.get("reversible").and_then(Value::as_bool) == Some(false)
                {
                    self.irreversible.insert((run, key.clone()));
                }
            }
            Event::RunEnded { .. } => {
                self.incidents.remove(&run);
            }
            Event::StepEnded { key, end, .. } => {
                let of = (run, key.clone());
                self.irreversible.remove(&of);
                if *end == StepEnd::Failed
                    && let Some(row) = self.by_step.get(&of).and_then(|id| self.rows.get_mut(id))
                    && row.hold == Hold::Accepted
                {
                    row.given_up_at = Some(entry.at);
                    self.watched.insert(row.id);
                }
            }
            Event::AttemptEnded { key, phase, outcome: Outcome::Failed { failure, .. }, .. }
                if phase.undoes() =>
            {
                if let Some(row) = self.of_step(run, key) {
                    row.lift_failure = Some(truncate_text(&failure.message, ROW_TEXT_BYTES_MAX).into_owned());
                }
            }
            // However a try ended: the next one begins with a look.
            Event::AttemptDue { key, phase: Phase::UndoCheck, .. } => {
                if let Some(row) = self.of_step(run, key) {
                    row.lift_tries = row.lift_tries.saturating_add(1);
                }
            }
            Event::ContainmentAccepted { key, containment, operation, target, changed, until } => {
                let irreversible = self.irreversible.remove(&(run, key.clone()));
                let row = ContainmentRow {
                    incident: self.incidents.get(&run).copied(),
                    changed: *changed,
                    one_off: irreversible && until.is_none(),
                    until: *until,
                    ..ContainmentRow::accepted(*containment, run, key, operation, target, entry.at)
                };
                if !row.one_off {
                    self.watched.insert(*containment);
                }
                self.by_step.insert((run, key.clone()), *containment);
                if let Some(old) = self.rows.insert(*containment, row) {
                    self.changed.remove(&(old.accepted_at, old.id));
                }
                if *changed {
                    self.changed.insert((entry.at, *containment));
                }
            }
            event => self.change(event, entry.at),
        }
    }
}

impl Containments {
    fn of_step(&mut self, run: RunId, key: &StepKey) -> Option<&mut ContainmentRow> {
        let id = self.by_step.get(&(run, key.clone()))?;
        self.rows.get_mut(id)
    }

    fn change(&mut self, event: &Event, at: Timestamp) {
        let id = match event {
            Event::ContainmentVerified { containment }
            | Event::ContainmentDrifted { containment, .. }
            | Event::ContainmentExpiring { containment, .. }
            | Event::ContainmentExtended { containment, .. }
            | Event::UndoRequested { containment, .. }
            | Event::ContainmentLifted { containment }
            | Event::UndoRefused { containment, .. } => containment,
            _ => return,
        };
        let Some(row) = self.rows.get_mut(id) else {
            return;
        };
        row.change(event, at);
        if row.is_watched() {
            self.watched.insert(*id);
        } else {
            self.watched.remove(id);
        }
        if row.hold == Hold::Lifted {
            let of = (row.run, row.step.clone());
            self.by_step.remove(&of);
        }
    }
}
