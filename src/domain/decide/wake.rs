//! What has come due: retries, pauses, deadlines, silence.

use crate::domain::command::Phase;
use crate::domain::decide::attempt::deadline;
use crate::domain::decide::turn::Turn;
use crate::domain::event::{Event, RunEnd};
use crate::domain::nesting::{Part, part, section_of};
use crate::domain::playbook::Step;
use crate::domain::run::{Stage, StepEnd, StepKey};
use crate::domain::signal::Refusal;
use crate::domain::time::duration_text;

impl Turn<'_> {
    /// Something that was waited for may be due.
    pub(super) fn wake(&mut self) -> Result<(), Refusal> {
        if self.state.queued.is_some() {
            return Ok(());
        }
        if self.state.quarantined.is_some() {
            return self.wake_containments();
        }
        self.wake_run()?;
        let active: Vec<StepKey> = self.state.active.iter().cloned().collect();
        for key in &active {
            if self.is_full() {
                return Ok(());
            }
            self.wake_step(key)?;
        }
        self.wake_containments()
    }

    /// A run that took longer than its playbook allows fails like one whose
    /// step failed.
    fn wake_run(&mut self) -> Result<(), Refusal> {
        let over = self.state.deadline().is_some_and(|deadline| deadline <= self.now);
        if !over {
            return Ok(());
        }
        let within = self.plan.playbook.within.unwrap_or_default();
        let why = format!("the run took longer than {}", duration_text(within));
        self.record(Event::RunEnding { end: RunEnd::Failed, why, disposition: None })
    }

    fn wake_step(&mut self, key: &StepKey) -> Result<(), Refusal> {
        let Some(step) = self.state.steps.get(key) else {
            return Ok(());
        };
        let plan = self.plan.clone();
        let (ix, spec) = self.spec(&plan, key)?;
        let stage = step.stage.clone();
        let whole = step.broken.is_none();
        let late = deadline(spec, step.since).is_some_and(|deadline| deadline <= self.now);
        let due_approval = step.approval.filter(|id| {
            self.state.approvals.get(id).is_some_and(|asked| !asked.closed && asked.until <= self.now)
        });
        let due_question = step.question.filter(|id| {
            self.state.questions.get(id).is_some_and(|asked| !asked.closed && asked.until <= self.now)
        });
        match stage {
            Stage::Ended(_) => Ok(()),
            // It is cancelled by whoever cut it off, in this turn.
            Stage::Due { phase: Phase::Capture | Phase::Act | Phase::Announce | Phase::Remind, .. }
                if self.is_cut_off(key) =>
            {
                Ok(())
            }
            Stage::Due { phase, at } if at <= self.now => self.attempt(key, phase),
            Stage::Sleeping { until } if until <= self.now => match part(&plan.playbook, ix, key) {
                Part::Turns => self.next_turn(ix, key, section_of(&plan.playbook, ix)),
                _ => self.end_step(key, StepEnd::Succeeded, None, None),
            },
            Stage::Asking(id) if self.state.questions[&id].until <= self.now => self.question_silent(id),
            Stage::InFlight { phase: Phase::Remind, .. } | Stage::Due { phase: Phase::Remind, .. }
                if due_question.is_some() =>
            {
                due_question.map_or(Ok(()), |id| self.question_silent(id))
            }
            Stage::Approving(_)
            | Stage::InFlight { phase: Phase::Announce, .. }
            | Stage::Due { phase: Phase::Announce, .. }
                if due_approval.is_some() =>
            {
                due_approval.map_or(Ok(()), |id| self.approval_silent(id))
            }
            // Whether an act happened is found out to its end.
            Stage::Due { phase: Phase::Verify | Phase::Reconcile, .. } => Ok(()),
            Stage::Due { phase: Phase::Act, .. } if late && self.may_have_contained(key)? => {
                self.attempt(key, Phase::Verify)
            }
            Stage::Due { phase, .. } if late => self.end_without_success(key, phase, too_long(spec)),
            Stage::Sleeping { .. } | Stage::Asking(_) | Stage::Approving(_) if late => {
                self.fail_step(key, too_long(spec))
            }
            Stage::Asking(id) => self.remind(id, spec),
            Stage::Calling { .. } if late && whole => {
                self.record(Event::StepOverdue { key: key.clone(), why: too_long(spec) })?;
                self.cancel_call(key)
            }
            Stage::Open | Stage::Ready if late && whole => {
                self.record(Event::StepOverdue { key: key.clone(), why: too_long(spec) })
            }
            _ => Ok(()),
        }
    }
}

fn too_long(spec: &Step) -> String {
    format!("it took longer than {}", duration_text(spec.within.unwrap_or_default()))
}
