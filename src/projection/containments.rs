//! Containments: what is held, since when, until when; and the counts that
//! guardrails cap.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{ContainmentId, IncidentId, RunId, StreamId};
use crate::domain::outcome::Outcome;
use crate::domain::run::{Hold, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::projection::fold::{Page, Projection, page};

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
}

impl ContainmentRow {
    /// Whether the target is, or may be, held. What was done once is not.
    pub fn is_holding(&self) -> bool {
        self.hold != Hold::Lifted && !self.one_off
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
        self.rows.values().filter(|row| row.is_holding())
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
            Event::StepEnded { key, .. } => {
                self.irreversible.remove(&(run, key.clone()));
            }
            Event::ContainmentAccepted { key, containment, operation, target, changed, until } => {
                let irreversible = self.irreversible.remove(&(run, key.clone()));
                let row = ContainmentRow {
                    id: *containment,
                    run,
                    incident: self.incidents.get(&run).copied(),
                    step: key.clone(),
                    operation: operation.clone(),
                    target: target.clone(),
                    hold: Hold::Accepted,
                    changed: *changed,
                    one_off: irreversible && until.is_none(),
                    accepted_at: entry.at,
                    verified_at: None,
                    until: *until,
                    lifted_at: None,
                    why: None,
                };
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
    fn change(&mut self, event: &Event, at: Timestamp) {
        let id = match event {
            Event::ContainmentVerified { containment }
            | Event::ContainmentExtended { containment, .. }
            | Event::UndoRequested { containment, .. }
            | Event::ContainmentLifted { containment }
            | Event::UndoRefused { containment, .. } => containment,
            _ => return,
        };
        let Some(row) = self.rows.get_mut(id) else {
            return;
        };
        match event {
            Event::ContainmentVerified { .. } => {
                row.hold = Hold::Verified;
                row.verified_at.get_or_insert(at);
            }
            Event::ContainmentExtended { until, .. } => row.until = Some(*until),
            Event::UndoRequested { by, why, .. } => {
                row.hold = Hold::Lifting;
                row.why = Some(match why {
                    Some(why) => format!("{by}: {why}"),
                    None => by.clone(),
                });
            }
            Event::ContainmentLifted { .. } => {
                row.hold = Hold::Lifted;
                row.lifted_at = Some(at);
            }
            Event::UndoRefused { why, .. } => {
                row.hold = Hold::Stuck;
                row.why = Some(why.clone());
            }
            _ => {}
        }
    }
}
