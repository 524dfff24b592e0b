//! Approvals: who is asked for a yes, who gave one, how it was decided.

use std::borrow::Cow;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::domain::approval::{ApprovalProgress, Covered, Verdict};
use crate::domain::event::{Entry, Event};
use crate::domain::id::{ApprovalId, IncidentId, RunId, StreamId};
use crate::domain::playbook::IfSilent;
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::Digest;
use crate::projection::fold::{Page, Projection, page};
use crate::projection::marks::Marks;
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// One person's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// Who.
    pub by: String,
    /// The entries of `by` this satisfies.
    pub counts_for: Vec<String>,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// One approval in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRow {
    /// Its id.
    pub id: ApprovalId,
    /// The run that waits.
    pub run: RunId,
    /// The step that waits.
    pub step: StepKey,
    /// Addresses and groups; each must be satisfied.
    pub by: Vec<String>,
    /// How many different people each of them needs.
    pub each: u32,
    /// Who is needed, in words, and while it is open what is still missing.
    pub needs: String,
    /// Digest of what is approved.
    pub binds: Digest,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What silence means.
    pub if_silent: IfSilent,
    /// What a yes lets the steps of a block do; empty for a single step.
    pub covers: Vec<Covered>,
    /// Who said what.
    pub given: Vec<Given>,
    /// How it was decided; absent while it is open.
    pub verdict: Option<Verdict>,
    /// When it was decided.
    pub closed_at: Option<Timestamp>,
    /// Whether it was asked a second time.
    pub escalated: bool,
}

impl ApprovalRow {
    /// How far it has come.
    pub fn progress(&self) -> ApprovalProgress {
        let yes = self.given.iter().filter(|given| given.approve).map(|given| given.counts_for.as_slice());
        ApprovalProgress::new(&self.by, self.each, yes)
    }
}

/// Which approvals a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// Open (`true`) or decided (`false`) ones only.
    pub open: Option<bool>,
    /// Only those of this run.
    pub run: Option<RunId>,
}

/// Until when an open approval waits, and whether it was asked a second time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Open {
    until: Timestamp,
    escalated: bool,
}

/// All approvals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Approvals {
    rows: Rows<ApprovalId, ApprovalRow>,
    open: Marks<ApprovalId, Open>,
    of_run: Rows<(RunId, ApprovalId), ()>,
}

impl Approvals {
    /// The row of one approval.
    pub fn get(&self, id: ApprovalId) -> Option<Cow<'_, ApprovalRow>> {
        self.rows.get(id)
    }

    /// How many wait for a decision.
    pub fn open_len(&self) -> usize {
        self.open.len()
    }

    /// Those that wait for a decision though their time is up, or for the second
    /// time, the oldest first.
    pub fn pressing(&self, now: Timestamp) -> impl Iterator<Item = Cow<'_, ApprovalRow>> {
        let pressing = self.open.iter().filter(move |(_, open)| open.escalated || open.until <= now);
        pressing.filter_map(|(id, _)| self.rows.get(*id))
    }

    /// Those that wait for the first time and whose time is not up, the oldest first.
    pub fn open_in_time(&self, now: Timestamp) -> impl Iterator<Item = Cow<'_, ApprovalRow>> {
        let open = self.open.iter().filter(move |(_, open)| !open.escalated && open.until > now);
        open.filter_map(|(id, _)| self.rows.get(*id))
    }

    /// Those of this run, the oldest first.
    pub fn of_run(&self, run: RunId) -> Vec<Cow<'_, ApprovalRow>> {
        let mut found: Vec<_> = self.of_run.newest_of(run, None).filter_map(|id| self.rows.get(id)).collect();
        found.reverse();
        found
    }

    /// Forgets those of a run that was erased.
    pub fn forget(&mut self, run: RunId) {
        let ids: Vec<ApprovalId> = self.of_run.newest_of(run, None).collect();
        for id in ids {
            self.rows.remove(id);
            self.open.clear(&id);
            self.of_run.remove((run, id));
        }
    }

    /// The newest first, from before `before`.
    pub fn list(
        &self,
        filter: ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Page<ApprovalRow> {
        let keep = |row: &ApprovalRow| {
            filter.open.is_none_or(|open| open == row.verdict.is_none())
                && filter.run.is_none_or(|run| run == row.run)
        };
        let below = before.map_or(Bound::Unbounded, Bound::Excluded);
        let row = |id: ApprovalId| Some((id, self.rows.get(id)?));
        match filter.run {
            Some(run) => page(self.of_run.newest_of(run, before).filter_map(row), limit, keep),
            None if filter.open == Some(true) => {
                let open = self.open.range((Bound::Unbounded, below)).rev();
                page(open.filter_map(|(id, _)| row(*id)), limit, keep)
            }
            None => page(self.rows.newest(before), limit, keep),
        }
    }
}

impl Projection for Approvals {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![
            ("approvals", &mut self.rows),
            ("approvals.open", &mut self.open),
            ("approvals.of_run", &mut self.of_run),
        ]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        let StreamId::Run(run) = entry.stream else {
            return;
        };
        match &entry.event {
            Event::ApprovalRequested { key, approval, by, each, binds, until, if_silent, covers } => {
                let row = ApprovalRow {
                    id: *approval,
                    run,
                    step: key.clone(),
                    by: by.clone(),
                    each: *each,
                    needs: ApprovalProgress::new(by, *each, []).words(),
                    binds: *binds,
                    asked_at: entry.at,
                    until: *until,
                    if_silent: *if_silent,
                    covers: covers.clone(),
                    given: Vec::new(),
                    verdict: None,
                    closed_at: None,
                    escalated: false,
                };
                self.rows.insert(*approval, row);
                self.of_run.insert((run, *approval), ());
                self.open.set(*approval, Open { until: *until, escalated: false });
            }
            Event::ApprovalGiven { approval, by, counts_for, approve, note } => {
                if let Some(row) = self.rows.get_mut(*approval) {
                    row.given.push(Given {
                        by: by.clone(),
                        counts_for: counts_for.clone(),
                        approve: *approve,
                        note: note.clone(),
                        at: entry.at,
                    });
                    row.needs = row.progress().words();
                }
            }
            Event::ApprovalEscalated { approval, until } => {
                self.open.set(*approval, Open { until: *until, escalated: true });
                if let Some(row) = self.rows.get_mut(*approval) {
                    row.escalated = true;
                    row.until = *until;
                }
            }
            Event::ApprovalClosed { approval, verdict } => {
                self.open.clear(approval);
                if let Some(row) = self.rows.get_mut(*approval) {
                    row.verdict = Some(*verdict);
                    row.needs = row.progress().asked();
                    row.closed_at = Some(entry.at);
                }
            }
            _ => {}
        }
    }
}
