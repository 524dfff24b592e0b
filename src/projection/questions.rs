//! Questions: what was asked of whom, and what came back.

use std::borrow::Cow;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::domain::event::{Entry, Event};
use crate::domain::id::{IncidentId, QuestionId, RunId, StreamId};
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::projection::fold::{Page, Projection, page};
use crate::projection::key::Key;
use crate::projection::marks::Marks;
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The choice's value.
    pub choice: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// One question in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuestionRow {
    /// Its id.
    pub id: QuestionId,
    /// The run that waits.
    pub run: RunId,
    /// The step that waits.
    pub step: StepKey,
    /// To whom it went.
    pub asked: Vec<String>,
    /// When it was sent.
    pub asked_at: Timestamp,
    /// Until when an answer counts.
    pub until: Timestamp,
    /// Whether the message surely left.
    pub delivered: bool,
    /// The answer.
    pub answer: Option<Answer>,
    /// What silence counted as, when nobody answered in time.
    pub silent: Option<String>,
    /// True when the step or run ended before an answer came.
    pub withdrawn: bool,
}

impl QuestionRow {
    /// Whether an answer is still awaited.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && self.silent.is_none() && !self.withdrawn
    }
}

/// Which questions a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuestionFilter {
    /// Open (`true`) or closed (`false`) ones only.
    pub open: Option<bool>,
    /// Only those of this run.
    pub run: Option<RunId>,
}

/// Until when an open question waits, and whether it surely left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Open {
    until: Timestamp,
    delivered: bool,
}

/// All questions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Questions {
    rows: Rows<QuestionId, QuestionRow>,
    open: Marks<QuestionId, Open>,
    /// Open ones by run: what an ending step or run withdraws.
    open_of_run: Marks<(RunId, QuestionId)>,
    of_run: Rows<(RunId, QuestionId), ()>,
}

impl Questions {
    /// The row of one question.
    pub fn get(&self, id: QuestionId) -> Option<Cow<'_, QuestionRow>> {
        self.rows.get(id)
    }

    /// How many wait for an answer.
    pub fn open_len(&self) -> usize {
        self.open.len()
    }

    /// Those that wait for an answer though their time is up, or of which nobody
    /// knows whether they arrived, the oldest first.
    pub fn pressing(&self, now: Timestamp) -> impl Iterator<Item = Cow<'_, QuestionRow>> {
        let pressing = self.open.iter().filter(move |(_, open)| !open.delivered || open.until <= now);
        pressing.filter_map(|(id, _)| self.rows.get(*id))
    }

    /// Those that surely left and whose time is not up, the oldest first.
    pub fn open_in_time(&self, now: Timestamp) -> impl Iterator<Item = Cow<'_, QuestionRow>> {
        let open = self.open.iter().filter(move |(_, open)| open.delivered && open.until > now);
        open.filter_map(|(id, _)| self.rows.get(*id))
    }

    /// Forgets those of a run that was erased.
    pub fn forget(&mut self, run: RunId) {
        let ids: Vec<QuestionId> = self.of_run.newest_of(run, None).collect();
        for id in ids {
            self.rows.remove(id);
            self.open.clear(&id);
            self.open_of_run.clear(&(run, id));
            self.of_run.remove((run, id));
        }
    }

    /// The newest first, from before `before`.
    pub fn list(
        &self,
        filter: QuestionFilter,
        before: Option<QuestionId>,
        limit: usize,
    ) -> Page<QuestionRow> {
        let keep = |row: &QuestionRow| {
            filter.open.is_none_or(|open| open == row.is_open())
                && filter.run.is_none_or(|run| run == row.run)
        };
        let below = before.map_or(Bound::Unbounded, Bound::Excluded);
        let row = |id: QuestionId| Some((id, self.rows.get(id)?));
        match filter.run {
            Some(run) => page(self.of_run.newest_of(run, before).filter_map(row), limit, keep),
            None if filter.open == Some(true) => {
                let open = self.open.range((Bound::Unbounded, below)).rev();
                page(open.filter_map(|(id, _)| row(*id)), limit, keep)
            }
            None => page(self.rows.newest(before), limit, keep),
        }
    }

    fn close(&mut self, run: RunId, id: QuestionId, change: impl FnOnce(&mut QuestionRow)) {
        self.open.clear(&id);
        self.open_of_run.clear(&(run, id));
        if let Some(row) = self.rows.get_mut(id) {
            change(row);
        }
    }

    /// Closes the run's open questions, or those of one step.
    fn withdraw(&mut self, run: RunId, step: Option<&StepKey>) {
        let of_run = self.open_of_run.range((run, QuestionId::LEAST)..=(run, QuestionId::MOST));
        let over: Vec<QuestionId> = of_run
            .map(|((_, id), _)| *id)
            .filter(|id| step.is_none_or(|step| self.rows.get(*id).is_some_and(|row| row.step == *step)))
            .collect();
        for id in over {
            self.close(run, id, |row| row.withdrawn = true);
        }
    }
}

impl Projection for Questions {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![
            ("questions", &mut self.rows),
            ("questions.open", &mut self.open),
            ("questions.open_of_run", &mut self.open_of_run),
            ("questions.of_run", &mut self.of_run),
        ]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        let StreamId::Run(run) = entry.stream else {
            return;
        };
        match &entry.event {
            Event::QuestionAsked { key, question, asked, until, delivered } => {
                let row = QuestionRow {
                    id: *question,
                    run,
                    step: key.clone(),
                    asked: asked.clone(),
                    asked_at: entry.at,
                    until: *until,
                    delivered: *delivered,
                    answer: None,
                    silent: None,
                    withdrawn: false,
                };
                self.rows.insert(*question, row);
                self.of_run.insert((run, *question), ());
                self.open.set(*question, Open { until: *until, delivered: *delivered });
                self.open_of_run.set((run, *question), ());
            }
            Event::QuestionAnswered { question, by, choice, .. } => {
                let answer = Answer { choice: choice.clone(), by: by.clone(), at: entry.at };
                self.close(run, *question, |row| row.answer = Some(answer));
            }
            Event::QuestionSilent { question, choice } => {
                self.close(run, *question, |row| row.silent = Some(choice.clone()));
            }
            Event::StepEnded { key, .. } => self.withdraw(run, Some(key)),
            Event::RunEnded { .. } => self.withdraw(run, None),
            _ => {}
        }
    }
}
