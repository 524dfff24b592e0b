//! Acts whose intent is on record and whose outcome is not known: they count for
//! the caps, and lists say that they may hold.

use std::collections::BTreeSet;

use super::{ContainmentRow, Containments};
use crate::domain::event::{Entry, Event};
use crate::domain::id::{ContainmentId, IncidentId, RunId};
use crate::domain::run::{Hold, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::truncate_text;
use crate::projection::fold::ROW_TEXT_BYTES_MAX;
use crate::projection::intents::{ActNews, act_news};
use crate::projection::key::Key;

impl Containments {
    /// The different targets contained, or about to be, at or after `since`, by their
    /// label in lower case; of those whose intents came before `place`. A target that
    /// already was in the wanted state is not counted: nothing was done to it. Lifted
    /// ones are: the cap is on what was done, not on what holds.
    pub fn targets_since(&self, since: Timestamp, place: u64) -> BTreeSet<String> {
        let since = self.changed.range((since, ContainmentId::LEAST)..);
        since.filter(|(_, (_, first))| *first < place).map(|(_, (target, _))| target.clone()).collect()
    }

    /// The different targets that this run contained or is about to, of those whose
    /// intents came before `place`.
    pub fn targets_of(&self, run: RunId, place: u64) -> BTreeSet<String> {
        let rows = self.of_run.newest_of(run, None).filter_map(|id| self.rows.get(id));
        rows.filter(|row| row.changed && row.first_intent < place)
            .map(|row| row.target.to_lowercase())
            .collect()
    }

    /// The place of the last intent of a step's act among all intents; what comes
    /// after it is not counted when the caps are asked about it.
    pub fn place_of(&self, run: RunId, step: &StepKey) -> u64 {
        let row = self.rows.get(ContainmentId::derived(run.ulid(), &step.to_string()));
        row.map_or(u64::MAX, |row| row.last_intent)
    }

    /// Takes in what an entry says of an act whose outcome is not known.
    pub(super) fn intend(&mut self, run: RunId, entry: &Entry, incident: Option<IncidentId>) {
        match &entry.event {
            Event::RunQuarantined { .. } => self.given_up(run, Some(entry.at)),
            Event::RunReleased { .. } => self.given_up(run, None),
            _ => {}
        }
        let Some((key, news)) = act_news(&entry.event) else { return };
        let id = ContainmentId::derived(run.ulid(), &key.to_string());
        let may_hold = self.rows.get(id).is_some_and(|row| row.hold == Hold::MayHold);
        if let ActNews::Intended(intended) = news {
            let place = self.next_place();
            let before = self.rows.get(id).filter(|_| may_hold);
            let (first_intent, why) = before.map_or((place, None), |row| (row.first_intent, row.why.clone()));
            let row = ContainmentRow {
                incident,
                hold: Hold::MayHold,
                why,
                first_intent,
                last_intent: place,
                nth: place,
                ..ContainmentRow::accepted(id, run, key, &intended.operation, &intended.target, entry.at)
            };
            self.watched.set(id, ());
            self.accept(row);
            return;
        }
        let Some(row) = self.rows.get_mut(id).filter(|_| may_hold) else { return };
        match news {
            ActNews::Unheard(why) => row.why = Some(truncate_text(why, ROW_TEXT_BYTES_MAX).into_owned()),
            ActNews::NeverKnown => row.given_up_at = Some(entry.at),
            // An earlier attempt may have done it.
            ActNews::NotThisTime if row.why.is_some() => {}
            ActNews::NotThisTime | ActNews::NotDone => self.remove(id),
            ActNews::Intended(_) => {}
        }
    }

    /// A run that is set aside finds out nothing more, until it goes on.
    fn given_up(&mut self, run: RunId, at: Option<Timestamp>) {
        for row in self.of_run(run).into_iter().filter(|row| row.hold == Hold::MayHold) {
            if let Some(row) = self.rows.get_mut(row.id) {
                row.given_up_at = at;
            }
        }
    }

    /// Takes a row out, with all that leads to it.
    pub(super) fn remove(&mut self, id: ContainmentId) {
        let Some(row) = self.rows.get(id) else { return };
        let (run, incident, at) = (row.run, row.incident, row.accepted_at);
        incident.into_iter().for_each(|incident| self.of_incident.remove((incident, id)));
        self.changed.clear(&(at, id));
        self.watched.clear(&id);
        self.rows.remove(id);
        self.of_run.remove((run, id));
    }

    /// Places of intents and of acceptances, in one order.
    pub(super) fn next_place(&mut self) -> u64 {
        let place = self.accepted.get_or((), || 0);
        *place += 1;
        *place
    }
}
