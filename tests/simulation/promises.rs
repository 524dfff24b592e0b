//! What must hold at every entry. Kept from the entries alone, beside the run's
//! own state, so that a mistake there cannot hide itself here.

use std::collections::{BTreeMap, BTreeSet};

use quell::domain::approval::Verdict;
use quell::domain::command::Phase;
use quell::domain::event::Event;
use quell::domain::id::{ApprovalId, ContainmentId};
use quell::domain::nesting::{Part, container_of, part};
use quell::domain::plan::Plan;
use quell::domain::playbook::IfSilent;
use quell::domain::run::StepKey;
use quell::domain::time::Timestamp;

/// What the entries so far promise.
#[derive(Default)]
pub struct Promises {
    approvals: BTreeMap<ApprovalId, Asked>,
    /// Steps whose approval was given.
    approved: BTreeSet<StepKey>,
    /// Containments in the order in which they were accepted.
    contained: Vec<(StepKey, ContainmentId)>,
    /// Those that are to be lifted and whose way back has not begun.
    to_lift: BTreeSet<ContainmentId>,
}

/// An approval that was asked for.
struct Asked {
    key: StepKey,
    by: Vec<String>,
    until: Timestamp,
    /// Whether silence is a no from there on.
    is_last_call: bool,
    /// Who said yes, and for which of `by`.
    yes: BTreeMap<String, Vec<String>>,
}

impl Promises {
    /// The run's next entry.
    pub fn hear(&mut self, plan: &Plan, event: &Event, now: Timestamp) -> Result<(), String> {
        match event {
            Event::AttemptStarted { key, phase: Phase::Act, .. } | Event::StepCalled { key, .. } => {
                self.is_approved(plan, key)
            }
            Event::AttemptStarted { key, phase: Phase::UndoCheck, attempt: 1, .. } => self.is_latest(key),
            Event::ContainmentAccepted { key, containment, changed, .. } => {
                self.contained.push((key.clone(), *containment));
                // Nobody but the run contains anything here.
                if *changed { Ok(()) } else { Err(format!("{key} was contained already, by this very run")) }
            }
            Event::UndoRequested { containment, .. } => {
                self.to_lift.insert(*containment);
                Ok(())
            }
            Event::ContainmentLifted { containment, .. } | Event::UndoRefused { containment, .. } => {
                self.to_lift.remove(containment);
                Ok(())
            }
            _ => self.hear_approval(event, now),
        }
    }

    fn hear_approval(&mut self, event: &Event, now: Timestamp) -> Result<(), String> {
        match event {
            Event::ApprovalRequested { key, approval, by, until, if_silent, .. } => {
                let asked = Asked {
                    key: key.clone(),
                    by: by.clone(),
                    until: *until,
                    is_last_call: *if_silent == IfSilent::Reject,
                    yes: BTreeMap::new(),
                };
                self.approvals.insert(*approval, asked);
            }
            Event::ApprovalEscalated { approval, until } => {
                let asked = self.approvals.get_mut(approval).ok_or("it was never asked for")?;
                (asked.until, asked.is_last_call) = (*until, true);
            }
            Event::ApprovalGiven { approval, by, counts_for, approve: true, .. } => {
                let asked = self.approvals.get_mut(approval).ok_or("it was never asked for")?;
                if asked.is_last_call && asked.until <= now {
                    return Err(format!(
                        "{} is approved at {now}, and could be until {}",
                        asked.key, asked.until
                    ));
                }
                asked.yes.insert(by.clone(), counts_for.clone());
            }
            Event::ApprovalClosed { approval, verdict: Verdict::Approved } => {
                let asked = self.approvals.get(approval).ok_or("it was never asked for")?;
                let mut given = asked.yes.values();
                let everybody = asked.by.iter().all(|entry| given.clone().any(|of| of.contains(entry)));
                if !everybody || asked.yes.len() < asked.by.len() || given.any(Vec::is_empty) {
                    return Err(format!(
                        "{} is approved by {:?}, and needs {:?}",
                        asked.key, asked.yes, asked.by
                    ));
                }
                self.approved.insert(asked.key.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// A step acts when it, and every block around it, has the approval it asks for.
    fn is_approved(&self, plan: &Plan, key: &StepKey) -> Result<(), String> {
        let playbook = &plan.playbook;
        let around = std::iter::successors(Some(key.clone()), |key| container_of(playbook, key));
        for key_or_block in around {
            let (ix, spec) = playbook.step(&key_or_block.id).ok_or("no such step")?;
            let asks = spec.approval.is_some() && part(playbook, ix, &key_or_block) == Part::Body;
            if asks && !self.approved.contains(&key_or_block) {
                return Err(format!("{key} acts without the approval of {key_or_block}"));
            }
        }
        Ok(())
    }

    /// What was contained last is lifted first.
    fn is_latest(&mut self, key: &StepKey) -> Result<(), String> {
        let place = self.contained.iter().rposition(|(by, _)| by == key).ok_or("it contained nothing")?;
        let later = self.contained[place + 1..].iter().find(|(_, id)| self.to_lift.contains(id));
        if let Some((later, _)) = later {
            return Err(format!("{key} is lifted before {later}, which was contained after it"));
        }
        self.to_lift.remove(&self.contained[place].1);
        Ok(())
    }
}
