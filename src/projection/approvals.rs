//! Approvals: who is asked for a yes, who gave one, how it was decided.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::approval::{Covered, Verdict};
use crate::domain::event::{Entry, Event};
use crate::domain::id::{ApprovalId, RunId, StreamId};
use crate::domain::playbook::IfSilent;
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::Digest;
use crate::projection::fold::{Page, Projection, page};

/// One person's word.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApprovalRow {
    /// Its id.
    pub id: ApprovalId,
    /// The run that waits.
    pub run: RunId,
    /// The step that waits.
    pub step: StepKey,
    /// Addresses and groups; each must be satisfied.
    pub by: Vec<String>,
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

/// Which approvals a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// Open (`true`) or decided (`false`) ones only.
    pub open: Option<bool>,
    /// Only those of this run.
    pub run: Option<RunId>,
}

/// All approvals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Approvals {
    rows: BTreeMap<ApprovalId, ApprovalRow>,
    open: BTreeSet<ApprovalId>,
    /// Those that were given, by run.
    approved: BTreeSet<(RunId, ApprovalId)>,
}

impl Approvals {
    /// The row of one approval.
    pub fn get(&self, id: ApprovalId) -> Option<&ApprovalRow> {
        self.rows.get(&id)
    }

    /// Those that wait for a decision, the oldest first.
    pub fn open(&self) -> impl Iterator<Item = &ApprovalRow> {
        self.open.iter().filter_map(|id| self.rows.get(id))
    }

    /// Those of this run that were given.
    pub fn approved_of(&self, run: RunId) -> impl Iterator<Item = &ApprovalRow> {
        let least = ApprovalId::new(ulid::Ulid::nil());
        let of_run = self.approved.range((run, least)..).take_while(move |(of, _)| *of == run);
        of_run.filter_map(|(_, id)| self.rows.get(id))
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
        page(&self.rows, before, limit, keep, ApprovalRow::clone)
    }
}

impl Projection for Approvals {
    fn apply(&mut self, entry: &Entry) {
        let StreamId::Run(run) = entry.stream else {
            return;
        };
        match &entry.event {
            Event::ApprovalRequested { key, approval, by, binds, until, if_silent, covers } => {
                let row = ApprovalRow {
                    id: *approval,
                    run,
                    step: key.clone(),
                    by: by.clone(),
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
                self.open.insert(*approval);
            }
            Event::ApprovalGiven { approval, by, counts_for, approve, note } => {
                if let Some(row) = self.rows.get_mut(approval) {
                    row.given.push(Given {
                        by: by.clone(),
                        counts_for: counts_for.clone(),
                        approve: *approve,
                        note: note.clone(),
                        at: entry.at,
                    });
                }
            }
            Event::ApprovalEscalated { approval, until } => {
                if let Some(row) = self.rows.get_mut(approval) {
                    row.escalated = true;
                    row.until = *until;
                }
            }
            Event::ApprovalClosed { approval, verdict } => {
                self.open.remove(approval);
                if *verdict == Verdict::Approved {
                    self.approved.insert((run, *approval));
                }
                if let Some(row) = self.rows.get_mut(approval) {
                    row.verdict = Some(*verdict);
                    row.closed_at = Some(entry.at);
                }
            }
            _ => {}
        }
    }
}
