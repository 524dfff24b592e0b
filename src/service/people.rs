//! Approvals, questions and their links.

use serde::Serialize;
use ulid::Ulid;

use crate::domain::address::address_key;
use crate::domain::id::{ApprovalId, QuestionId, RunId};
use crate::domain::inputs::{GivenInputs, read_given};
use crate::domain::playbook::{Body, InputSpec};
use crate::domain::run::{Stage, StepKey};
use crate::domain::signal::{Person, Signal};
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, Value};
use crate::projection::approvals::ApprovalRow;
use crate::projection::fold::PAGE_ROWS_MAX;
use crate::projection::runs::RunFilter;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::unchanged::OnlyIf;
use crate::step::link::Confirmed;

/// What a single step would do when it is approved.
#[derive(Debug, Clone, Serialize)]
pub struct Asks {
    /// The step.
    pub step: StepKey,
    /// What it does.
    pub operation: String,
    /// What it hands over.
    pub input: Value,
    /// Whom or what it touches, as it was found.
    pub target: Option<String>,
}

/// A question as the person behind a link sees it.
#[derive(Debug, Clone, Serialize)]
pub struct OpenQuestion {
    /// Which.
    pub id: QuestionId,
    /// The person it was sent to.
    pub person: String,
    /// What is asked, as it was sent.
    pub text: String,
    /// What may be answered: value and label.
    pub choices: Vec<(String, String)>,
    /// What else may be filled in.
    pub fields: Vec<InputSpec>,
    /// Until when.
    pub until: Timestamp,
    /// Whether it still can be answered.
    pub open: bool,
    /// The answer, when there is one.
    pub answer: Option<String>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
}

impl Service {
    /// A caller as the person whom groups name.
    pub fn person(&self, address: &str) -> Person {
        Person { address: address_key(address), groups: self.world.people.groups_of(address) }
    }

    /// A person's yes or no.
    ///
    /// # Errors
    /// When the person may not decide, or it is decided already.
    pub async fn decide(
        &self,
        approval: ApprovalId,
        by: &str,
        approve: bool,
        note: Option<String>,
        only_if: &OnlyIf,
    ) -> Result<(), ServiceError> {
        self.caught_up().await;
        let run = {
            let views = self.views.read();
            views
                .approvals
                .get(approval)
                .map(|row| row.run)
                .ok_or_else(|| ServiceError::absent("approval", &approval))?
        };
        let by = self.person(by);
        let told = self.tell(run, Signal::Decide { approval, by, approve, note }, only_if).await;
        match told {
            Err(error) if error.code == "approval-closed" => Err(self.too_late(approval, error).await),
            told => told,
        }
    }

    /// What a word that came too late is told: how and when it was decided.
    async fn too_late(&self, approval: ApprovalId, error: ServiceError) -> ServiceError {
        self.caught_up().await;
        let row = self.views.read().approvals.get(approval).map(|row| row.into_owned());
        let Some(row) = row else { return error };
        let (Some(verdict), Some(at)) = (row.verdict, row.closed_at) else { return error };
        let verdict = serde_json::to_value(verdict).ok().and_then(|word| word.as_str().map(str::to_owned));
        let message = format!(
            "{approval} was closed as {} at {}, before this came; nothing was changed. `quell show {}` says how the run goes on",
            verdict.unwrap_or_default(),
            at.to_minute(),
            row.run
        );
        ServiceError { message, ..error }
    }

    /// An approval, and what a yes lets its step do when it is a single one; of a
    /// block its row says so.
    ///
    /// # Errors
    /// When there is none of this id.
    pub async fn approval(&self, id: ApprovalId) -> Result<(ApprovalRow, Option<Asks>), ServiceError> {
        let row = self.views.read().approvals.get(id).map(|row| row.into_owned());
        let row = row.ok_or_else(|| ServiceError::absent("approval", &id))?;
        let state = self.scheduler.replay(row.run).await?;
        let spec = state.plan.playbook.step(&row.step.id).map(|(_, step)| &step.body);
        let asks = match (spec, state.steps.get(&row.step)) {
            (Some(Body::Perform(action)), Some(step)) => Some(Asks {
                step: row.step.clone(),
                operation: action.operation.clone(),
                input: step.input.value().clone(),
                target: step
                    .captured
                    .as_ref()
                    .and_then(|captured| captured.value().get("target")?.as_str().map(str::to_owned)),
            }),
            _ => None,
        };
        Ok((row, asks))
    }

    /// The question behind a personal link.
    ///
    /// # Errors
    /// When the link is not one of ours; a guess learns nothing else.
    pub async fn question_behind(&self, token: &str) -> Result<OpenQuestion, ServiceError> {
        let unknown = || {
            ServiceError::new(
                Sort::Absent,
                "link-unknown",
                "this link leads nowhere: it is incomplete, or the question is gone",
            )
        };
        let (id, index) = self.world.links.open(token).ok_or_else(unknown)?;
        let question = match self.question(id).await {
            Ok(question) => question,
            // We signed the link, so the question is real.
            Err(error) if error.sort == Sort::Absent => return Err(self.not_asked_yet(id).await?),
            Err(error) => return Err(error),
        };
        let person = question.1.get(usize::from(index)).cloned().ok_or_else(unknown)?;
        Ok(OpenQuestion { person, ..question.0 })
    }

    /// What a link says of a question that is not on record: it is being sent, or
    /// nobody knows whether it was, or it never will be.
    async fn not_asked_yet(&self, id: QuestionId) -> Result<ServiceError, ServiceError> {
        let busy = |message: &str| ServiceError::new(Sort::Busy, "question-early", message);
        // The id of a question has the time of its run's.
        let at = id.ulid().timestamp_ms();
        let before = RunId::new(Ulid::from_parts(at.saturating_add(1), 0));
        let page = self.views.read().runs.list(&RunFilter::default(), Some(before), PAGE_ROWS_MAX);
        let runs = page.items.into_iter().map(|row| row.id).take_while(|run| run.ulid().timestamp_ms() == at);
        for run in runs {
            let state = self.scheduler.replay(run).await?;
            let asks = |key: &StepKey| QuestionId::derived(run.ulid(), &key.to_string()) == id;
            let Some((_, step)) = state.steps.iter().find(|(key, _)| asks(key)) else { continue };
            return Ok(match &step.stage {
                _ if state.quarantined.is_some() => busy(
                    "the run that asks this is set aside, so it takes no answer yet; the security team has to release it. Please tell them if it is urgent",
                ),
                Stage::Uncertain { .. } => busy(
                    "nobody can say whether this question was sent, so it takes no answer yet; the security team has to say so first. Please tell them that you got it",
                ),
                Stage::Ended(_) => ServiceError::new(
                    Sort::Absent,
                    "question-closed",
                    "this question is asked no more: the run that asked it went on without it, or ended",
                ),
                _ => busy("this question is being sent; please open the link again in a moment"),
            });
        }
        Ok(ServiceError::new(Sort::Absent, "link-unknown", "this link leads nowhere: the question is gone"))
    }

    /// What the page that asks to confirm an answer holds. `answer` is the digest of
    /// all that is answered.
    pub fn confirmation(&self, token: &str, answer: &Digest) -> String {
        self.world.links.confirmation(token, answer, self.fresh())
    }

    /// Whether somebody saw the page that asks to confirm this answer, just now.
    ///
    /// # Errors
    /// In words for that page.
    pub fn confirmed(&self, given: &str, token: &str, answer: &Digest) -> Result<(), ServiceError> {
        let wrong = |code, message| Err(ServiceError::new(Sort::Wrong, code, message));
        match self.world.links.confirms(given, token, answer, self.now()) {
            Confirmed::Yes => Ok(()),
            Confirmed::TooOld => {
                wrong("confirmation-old", "This page was open for too long. Please confirm once more.")
            }
            Confirmed::No => {
                wrong("confirmation-wrong", "Nothing was answered yet. Please confirm this answer.")
            }
        }
    }

    /// A question with the people it went to, groups resolved.
    ///
    /// # Errors
    /// When there is none of this id.
    pub async fn question(&self, id: QuestionId) -> Result<(OpenQuestion, Vec<String>), ServiceError> {
        self.caught_up().await;
        let row = {
            let views = self.views.read();
            views
                .questions
                .get(id)
                .map(|row| row.into_owned())
                .ok_or_else(|| ServiceError::absent("question", &id))?
        };
        let state = self.scheduler.replay(row.run).await?;
        let spec = state.plan.playbook.step(&row.step.id).map(|(_, step)| step);
        let question = match spec.map(|step| &step.body) {
            Some(Body::Perform(action)) => action.question.as_ref(),
            _ => None,
        }
        .ok_or_else(|| ServiceError::absent("question", &id))?;
        let step = state.steps.get(&row.step);
        let text = step
            .and_then(|step| step.acted.as_ref())
            .and_then(|acted| acted.value().get("text"))
            .and_then(Value::as_str)
            .unwrap_or("The security team has a question for you.");
        let people = self.world.people.resolve(&row.asked).unwrap_or_else(|_| row.asked.clone());
        let label = |value: &str| {
            question.choices.iter().find(|(known, _)| known == value).map(|(_, label)| label.clone())
        };
        let open = OpenQuestion {
            id,
            person: String::new(),
            text: text.to_owned(),
            choices: question.choices.clone(),
            fields: question.fields.clone(),
            until: row.until,
            open: row.is_open(),
            answer: row.answer.as_ref().and_then(|answer| label(&answer.choice)),
            answered_at: row.answer.as_ref().map(|answer| answer.at),
        };
        Ok((open, people))
    }

    /// A person's answer.
    ///
    /// # Errors
    /// When the question is closed, or the answer does not fit it.
    pub async fn answer(
        &self,
        question: QuestionId,
        by: &str,
        choice: &str,
        given: &GivenInputs,
        only_if: &OnlyIf,
    ) -> Result<(), ServiceError> {
        self.caught_up().await;
        let run = {
            let views = self.views.read();
            views
                .questions
                .get(question)
                .map(|row| row.run)
                .ok_or_else(|| ServiceError::absent("question", &question))?
        };
        let fields = if given.texts.is_empty() {
            given.values.clone()
        } else {
            let (asked, _) = self.question(question).await?;
            read_given(&asked.fields, given)
                .map_err(|wrong| ServiceError::new(Sort::Wrong, "field-wrong", wrong.to_string()))?
        };
        let (by, choice, fields) = (address_key(by), choice.to_owned(), Value::Object(fields));
        self.tell(run, Signal::Answer { question, by, choice, fields }, only_if).await
    }
}
