//! Who is written to while nobody answers: those who were asked once more, or
//! further people, who may then answer too. None of it decides anything.

use crate::domain::command::Phase;
use crate::domain::decide::turn::Turn;
use crate::domain::event::Event;
use crate::domain::id::QuestionId;
use crate::domain::outcome::{Failure, FailureClass};
use crate::domain::owed::next_reminder;
use crate::domain::playbook::{Body, Step};
use crate::domain::run::StepKey;
use crate::domain::signal::Refusal;
use crate::domain::value::Value;

impl Turn<'_> {
    /// A reminder of an open question that is due now.
    pub(super) fn remind(&mut self, id: QuestionId, spec: &Step) -> Result<(), Refusal> {
        let asked = &self.state.questions[&id];
        let (key, nth) = (asked.key.clone(), asked.reminded);
        if next_reminder(asked, spec).is_none_or(|at| at > self.now) {
            return Ok(());
        }
        let Body::Perform(action) = &spec.body else { return Ok(()) };
        let reminder = action.question.as_ref().and_then(|question| question.reminders.get(nth as usize));
        let to = reminder.and_then(|reminder| reminder.to.as_ref());
        // Whoever cannot be worked out is not written to; those who were asked are.
        let to = to.and_then(|to| to.render(&self.names(&key).scope()).ok()).unwrap_or(Value::Null);
        self.record(Event::QuestionReminded { question: id, nth, to })?;
        self.attempt(&key, Phase::Remind)
    }

    /// Whether the step's question still waits for its answer.
    pub(super) fn still_open(&self, key: &StepKey) -> bool {
        let question = self.state.steps.get(key).and_then(|step| step.question);
        let asked = question.and_then(|id| self.state.questions.get(&id));
        asked.is_some_and(|asked| !asked.closed) && !self.is_cut_off(key)
    }

    /// Those who could not be reminded are tried again, while that may help.
    pub(super) fn remind_again(
        &mut self,
        key: &StepKey,
        spec: &Step,
        failure: &Failure,
    ) -> Result<(), Refusal> {
        let tried = self.step(key)?.attempts.get(&Phase::Remind).copied().unwrap_or(1);
        if failure.class == FailureClass::Permanent || tried > spec.retry.times || !self.still_open(key) {
            return Ok(());
        }
        let wait = self.backoff(key, Phase::Remind, tried, spec.retry, failure.retry_after);
        self.record(Event::AttemptDue { key: key.clone(), phase: Phase::Remind, at: self.now.after(wait) })
    }
}
