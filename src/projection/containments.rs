//! Containments: what is held, since when, until when, and whether a later look
//! still showed it; and the counts that guardrails cap.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{ContainmentId, IncidentId, RunId, StreamId};
use crate::domain::kept::KeptField;
use crate::domain::outcome::Outcome;
use crate::domain::run::{Hold, StepEnd, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::{Value, truncate_text};
use crate::projection::fold::{Page, Projection, ROW_TEXT_BYTES_MAX, page};
use crate::projection::marks::Marks;
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

mod intended;
pub mod standing;

/// One containment in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// When lifting it is tried again, while that did not succeed.
    pub next_try: Option<Timestamp>,
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
    /// What somebody else changed of the target since, as the last try to lift
    /// it found, field by field.
    pub changed_since: Vec<KeptField>,
    /// Its place in the order in which the journal has them; what is lifted
    /// together is lifted in the reverse of it.
    pub nth: u64,
    /// The place of the first intent to do it of which nothing says that it did not
    /// happen: the caps count it for all intents that came later.
    pub first_intent: u64,
    /// The place of its last intent, by which the caps judge it.
    pub last_intent: u64,
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

/// How many of the newest changes the caps can always see, however the clock
/// was set meanwhile. Far above any cap that a house would set for a day.
const CHANGES_KEPT: usize = 10_000;

/// How long a change is kept beyond that: twice the longest span that is capped.
const CHANGES_KEPT_FOR: Duration = Duration::from_secs(2 * 24 * 3600);

/// All containments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Containments {
    rows: Rows<ContainmentId, ContainmentRow>,
    /// The targets of those that changed something or may have, in lower case, each
    /// with the place of its first intent, by when: what the caps count.
    changed: Marks<(Timestamp, ContainmentId), (String, u64)>,
    /// Those that hold, or no longer do without having been lifted.
    watched: Marks<ContainmentId>,
    of_run: Rows<(RunId, ContainmentId), ()>,
    of_incident: Rows<(IncidentId, ContainmentId), ()>,
    /// Steps whose target was looked at and whose operation has no way back,
    /// until they are accepted or end.
    irreversible: Marks<(RunId, StepKey)>,
    /// How many were accepted.
    accepted: Marks<(), u64>,
}

impl Containments {
    /// The row of one containment.
    pub fn get(&self, id: ContainmentId) -> Option<Cow<'_, ContainmentRow>> {
        self.rows.get(id)
    }

    fn move_run(&mut self, run: RunId, from: IncidentId, to: IncidentId) {
        for id in self.of_run(run).into_iter().map(|row| row.id) {
            if let Some(row) = self.rows.get_mut(id) {
                row.incident = Some(to);
            }
            self.of_incident.remove((from, id));
            self.of_incident.insert((to, id), ());
        }
    }

    /// The containment by which one of `names` was contained or freed since `since`,
    /// the last one first, and when that was.
    pub fn touched(&self, names: &[String], since: Timestamp) -> Option<(ContainmentId, Timestamp)> {
        let of = self.changed.iter().rev().filter(|(_, (target, _))| names.contains(target));
        of.filter_map(|((accepted_at, id), _)| {
            let at = self.rows.get(*id).and_then(|row| row.lifted_at).unwrap_or(*accepted_at);
            (at >= since).then_some((*id, at))
        })
        .next()
    }

    /// Forgets those of a run that was erased. The others keep their places.
    pub fn forget(&mut self, run: RunId) {
        for row in self.of_run(run) {
            self.remove(row.id);
        }
        let steps = self.irreversible.keys().filter(|(of, _)| *of == run).cloned();
        for step in steps.collect::<Vec<_>>() {
            self.irreversible.clear(&step);
        }
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
        let below = before.map_or(Bound::Unbounded, Bound::Excluded);
        let row = |id: ContainmentId| Some((id, self.rows.get(id)?));
        if let Some(run) = filter.run {
            return page(self.of_run.newest_of(run, before).filter_map(row), limit, keep);
        }
        if let Some(incident) = filter.incident {
            return page(self.of_incident.newest_of(incident, before).filter_map(row), limit, keep);
        }
        if filter.holding == Some(true) {
            let watched = self.watched.range((Bound::Unbounded, below)).rev();
            return page(watched.filter_map(|(id, ())| row(*id)), limit, keep);
        }
        page(self.rows.newest(before), limit, keep)
    }

    /// Those of an incident, the newest first in the order of the journal.
    pub fn of_incident(&self, incident: IncidentId) -> Vec<ContainmentRow> {
        self.in_order(self.of_incident.newest_of(incident, None))
    }

    /// Those of a run, the newest first in the order of the journal.
    pub fn of_run(&self, run: RunId) -> Vec<ContainmentRow> {
        self.in_order(self.of_run.newest_of(run, None))
    }

    fn in_order(&self, ids: impl Iterator<Item = ContainmentId>) -> Vec<ContainmentRow> {
        let mut rows: Vec<ContainmentRow> =
            ids.filter_map(|id| self.rows.get(id)).map(Cow::into_owned).collect();
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.nth));
        rows
    }

    /// The runs that hold something longer than they may, the longest overdue first.
    pub fn overdue(&self, now: Timestamp) -> Vec<RunId> {
        // What is stuck waits for a person, not for a time.
        let timed = self.holding().filter(|row| row.hold != Hold::Stuck);
        let over = timed.filter_map(|row| Some((row.until.filter(|until| *until <= now)?, row.run)));
        let mut over: Vec<(Timestamp, RunId)> = over.collect();
        over.sort_unstable();
        over.into_iter().map(|(_, run)| run).collect()
    }

    /// Others that hold the same target by the same operation.
    pub fn beside(&self, one: &ContainmentRow) -> Vec<ContainmentId> {
        let same = |row: &Cow<ContainmentRow>| {
            row.id != one.id && row.operation == one.operation && row.target == one.target
        };
        self.holding().filter(same).map(|row| row.id).collect()
    }

    /// Those that hold.
    pub fn holding(&self) -> impl Iterator<Item = Cow<'_, ContainmentRow>> {
        self.watched().filter(|row| row.is_holding())
    }

    /// Those that hold, and those done once that a later look no longer showed.
    pub fn watched(&self) -> impl Iterator<Item = Cow<'_, ContainmentRow>> {
        self.watched.keys().filter_map(|id| self.rows.get(*id))
    }
}

impl Projection for Containments {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![
            ("containments", &mut self.rows),
            ("containments.changed", &mut self.changed),
            ("containments.watched", &mut self.watched),
            ("containments.of_run", &mut self.of_run),
            ("containments.of_incident", &mut self.of_incident),
            ("containments.irreversible", &mut self.irreversible),
            ("containments.accepted", &mut self.accepted),
        ]
    }

    fn apply(&mut self, entry: &Entry, incident: Option<IncidentId>) {
        if let (Event::AlertsMoved(moved), StreamId::Incident(from)) = (&entry.event, entry.stream) {
            moved.runs.iter().for_each(|run| self.move_run(*run, from, moved.to));
        }
        let StreamId::Run(run) = entry.stream else {
            return;
        };
        self.intend(run, entry, incident);
        match &entry.event {
            Event::AttemptEnded { key, phase: Phase::Capture, outcome, .. } => {
                if let Outcome::Succeeded { output, .. } = outcome
                    && output.get("reversible").and_then(Value::as_bool) == Some(false)
                {
                    self.irreversible.set((run, key.clone()), ());
                }
            }
            Event::StepEnded { key, end, .. } => {
                self.irreversible.clear(&(run, key.clone()));
                if *end == StepEnd::Failed
                    && let Some(row) = self.of_step(run, key)
                    && row.hold == Hold::Accepted
                {
                    row.given_up_at = Some(entry.at);
                    let id = row.id;
                    self.watched.set(id, ());
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
            Event::AttemptDue { key, phase: Phase::UndoCheck, at } => {
                if let Some(row) = self.of_step(run, key) {
                    row.lift_tries = row.lift_tries.saturating_add(1);
                    row.next_try = Some(*at);
                }
            }
            Event::ContainmentAccepted { key, containment, operation, target, changed, until } => {
                let irreversible = self.irreversible.clear(&(run, key.clone())).is_some();
                let nth = self.next_place();
                let intent = self.rows.get(*containment).filter(|row| row.hold == Hold::MayHold);
                let intents = intent.map_or((nth, nth), |row| (row.first_intent, row.last_intent));
                let row = ContainmentRow {
                    first_intent: intents.0,
                    last_intent: intents.1,
                    incident,
                    changed: *changed,
                    one_off: irreversible && until.is_none(),
                    until: *until,
                    nth,
                    ..ContainmentRow::accepted(*containment, run, key, operation, target, entry.at)
                };
                if row.one_off {
                    self.watched.clear(containment);
                } else {
                    self.watched.set(*containment, ());
                }
                self.accept(row);
            }
            event => self.change(run, event, entry.at),
        }
    }
}

impl Containments {
    /// What a step contained and is not lifted.
    fn of_step(&mut self, run: RunId, key: &StepKey) -> Option<&mut ContainmentRow> {
        let id = ContainmentId::derived(run.ulid(), &key.to_string());
        self.rows.get_mut(id).filter(|row| row.hold != Hold::Lifted)
    }

    fn accept(&mut self, row: ContainmentRow) {
        if let Some(old) = self.rows.get(row.id) {
            let old = (old.accepted_at, old.id);
            self.changed.clear(&old);
        }
        if row.changed {
            self.changed.set((row.accepted_at, row.id), (row.target.to_lowercase(), row.first_intent));
            let old = row.accepted_at.before(CHANGES_KEPT_FOR);
            while self.changed.len() > CHANGES_KEPT
                && let Some(first) = self.changed.first_key_value().map(|(first, _)| *first)
                && first.0 < old
            {
                self.changed.clear(&first);
            }
        }
        self.of_run.insert((row.run, row.id), ());
        if let Some(incident) = row.incident {
            self.of_incident.insert((incident, row.id), ());
        }
        self.rows.insert(row.id, row);
    }

    fn change(&mut self, run: RunId, event: &Event, at: Timestamp) {
        if let Event::AttemptStarted { key, phase: Phase::UndoCheck, .. } = event
            && let Some(row) = self.of_step(run, key)
        {
            row.next_try = None;
        }
        let id = match event {
            Event::ContainmentVerified { containment }
            | Event::ContainmentDrifted { containment, .. }
            | Event::ContainmentExpiring { containment, .. }
            | Event::ContainmentExtended { containment, .. }
            | Event::UndoRequested { containment, .. }
            | Event::ContainmentLifted { containment, .. }
            | Event::UndoRefused { containment, .. } => containment,
            _ => return,
        };
        let Some(row) = self.rows.get_mut(*id) else {
            return;
        };
        row.change(event, at);
        if row.is_watched() {
            self.watched.set(*id, ());
        } else {
            self.watched.clear(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[test]
    fn what_is_held_too_long_comes_first_the_longest_overdue_at_the_head() {
        let run = |n| RunId::new(Ulid::from_parts(1, n));
        let time = Timestamp::from_millis;
        let mut view = Containments::default();
        let ends = [(1, Some(50)), (2, None), (3, Some(20)), (4, Some(900)), (5, Some(10))];
        for (n, until) in ends {
            let key = StepKey::root("stop");
            let event = Event::ContainmentAccepted {
                containment: ContainmentId::derived(run(n).ulid(), "stop"),
                key,
                operation: "badge.close".to_owned(),
                target: format!("person {n}"),
                changed: true,
                until: until.map(time),
            };
            view.apply(&Entry { stream: StreamId::Run(run(n)), seq: 1, at: time(1), event }, None);
        }
        let lifted = Event::ContainmentLifted {
            containment: ContainmentId::derived(run(5).ulid(), "stop"),
            others: Vec::new(),
        };
        view.apply(&Entry { stream: StreamId::Run(run(5)), seq: 2, at: time(11), event: lifted }, None);
        assert_eq!(view.overdue(time(60)), [run(3), run(1)]);
        assert_eq!(view.overdue(time(15)), []);
    }
}
