//! Approvals and answers: what a person's word is worth, and when silence speaks.

use serde_json::json;

use crate::domain::address::{address_key, same_address};
use crate::domain::approval::{Approval, ApprovalProgress, Verdict};
use crate::domain::decide::requesters::request_of;
use crate::domain::decide::turn::Turn;
use crate::domain::event::Event;
use crate::domain::id::{ApprovalId, QuestionId};
use crate::domain::planted::{Bug, planted};
use crate::domain::playbook::{Body, IfSilent, QuestionSpec};
use crate::domain::run::{StepEnd, StepKey};
use crate::domain::signal::{Person, Refusal};
use crate::domain::time::duration_text;
use crate::domain::value::Value;

impl Turn<'_> {
    pub(super) fn decided(
        &mut self,
        id: ApprovalId,
        by: &Person,
        approve: bool,
        note: Option<String>,
    ) -> Result<(), Refusal> {
        let asked = self
            .state
            .approvals
            .get(&id)
            .ok_or_else(|| Refusal::new("approval-unknown", format!("this run asked for no approval {id}")))?
            .clone();
        self.not_set_aside()?;
        if asked.closed {
            return Err(Refusal::new(
                "approval-closed",
                format!("{id} is decided already; nothing was changed"),
            ));
        }
        // The run may not have been woken yet; the deadline holds all the same.
        let is_last_call = asked.escalated || asked.if_silent == IfSilent::Reject;
        if asked.until <= self.now && is_last_call && !planted(Bug::LateYesCounts) {
            return Err(Refusal::new(
                "approval-closed",
                format!(
                    "{id} could be decided until {}; silence is a no, and nothing was changed",
                    asked.until.to_minute()
                ),
            ));
        }
        let counts_for = self.standing(&asked, by)?;
        self.record(Event::ApprovalGiven {
            approval: id,
            by: by.address.clone(),
            counts_for,
            approve,
            note: note.clone(),
        })?;
        if !approve {
            let why = note.map_or_else(
                || format!("rejected by {}", by.address),
                |note| format!("rejected by {}: {note}", by.address),
            );
            return self.refuse_approval(id, &asked.key, Verdict::Rejected, why);
        }
        if self.satisfied(id, &asked.key)? {
            self.record(Event::ApprovalClosed { approval: id, verdict: Verdict::Approved })?;
            self.next_move(&asked.key)?;
        }
        Ok(())
    }

    /// The entries of the approval that this person satisfies; refused when
    /// none, or when the person is not free to decide.
    fn standing(&self, asked: &Approval, by: &Person) -> Result<Vec<String>, Refusal> {
        let address = address_key(&by.address);
        if let Some(request) = request_of(self.state, &asked.key, &address) {
            let message = format!(
                "{address} {} and cannot approve what follows from it; nothing was changed. Ask another approver",
                request.words()
            );
            return Err(Refusal::new("own-request", message));
        }
        if self.state.may_be_subject(&address) || self.is_target(&asked.key, &address) {
            return Err(Refusal::new("subject", "the person a run is about cannot approve its steps"));
        }
        if asked.given.iter().any(|(who, _)| same_address(who, &by.address)) {
            return Err(Refusal::new(
                "approved-already",
                format!("{} has approved this already; another person is needed", by.address),
            ));
        }
        let counts: Vec<String> = asked.by.iter().filter(|entry| by.is_named_by(entry)).cloned().collect();
        if counts.is_empty() {
            return Err(Refusal::new(
                "not-an-approver",
                format!("{} is none of those who can approve this: {}", by.address, asked.by.join(", ")),
            ));
        }
        Ok(counts)
    }

    /// Whether this address is the target's that a step found.
    fn is_target(&self, key: &StepKey, address: &str) -> bool {
        let captured = self.state.steps.get(key).and_then(|step| step.captured.as_ref());
        captured
            .is_some_and(|captured| target_addresses(captured.value()).any(|of| same_address(of, address)))
    }

    /// The one who approved a containment, on the step or a block around it,
    /// and turns out to be its target.
    pub(super) fn approved_by_target(&self, key: &StepKey) -> Option<String> {
        let captured = self.state.steps.get(key)?.captured.as_ref()?;
        let asked = std::iter::once(key.clone()).chain(self.around(key));
        let approvals =
            asked.filter_map(|key| self.state.approvals.get(&self.state.steps.get(&key)?.approval?));
        let mut given = approvals.flat_map(|asked| &asked.given);
        let is_target = |who: &str| target_addresses(captured.value()).any(|of| same_address(of, who));
        given.find(|(who, _)| is_target(who)).map(|(who, _)| who.clone())
    }

    /// Whether every entry has enough people, nobody counted for two entries.
    fn satisfied(&self, id: ApprovalId, key: &StepKey) -> Result<bool, Refusal> {
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        let each = spec.approval.as_ref().map_or(1, |approval| approval.each);
        let asked = &self.state.approvals[&id];
        let yes = asked.given.iter().map(|(_, counts_for)| counts_for.as_slice());
        let progress = ApprovalProgress::new(&asked.by, each, yes);
        Ok(progress.to_go() == 0 || (planted(Bug::OneYesIsEnough) && progress.said() > 0))
    }

    fn refuse_approval(
        &mut self,
        id: ApprovalId,
        key: &StepKey,
        verdict: Verdict,
        why: String,
    ) -> Result<(), Refusal> {
        self.record(Event::ApprovalClosed { approval: id, verdict })?;
        self.end_step(key, StepEnd::Skipped, None, Some(why))
    }

    /// Nobody approved in time.
    pub(super) fn approval_silent(&mut self, id: ApprovalId) -> Result<(), Refusal> {
        let asked = self.state.approvals[&id].clone();
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, &asked.key)?;
        let within = spec.approval.as_ref().map(|approval| approval.within).unwrap_or_default();
        if asked.if_silent == IfSilent::Escalate && !asked.escalated {
            self.record(Event::ApprovalEscalated { approval: id, until: self.now.after(within) })?;
            return self.attempt(&asked.key, crate::domain::command::Phase::Announce);
        }
        let why = format!("nobody approved in time ({})", duration_text(within));
        self.refuse_approval(id, &asked.key, Verdict::Silent, why)
    }

    pub(super) fn answered(
        &mut self,
        id: QuestionId,
        by: &str,
        choice: &str,
        fields: &Value,
    ) -> Result<(), Refusal> {
        let asked = self
            .state
            .questions
            .get(&id)
            .ok_or_else(|| Refusal::new("question-unknown", format!("this run asked no question {id}")))?
            .clone();
        if asked.closed || self.has_ended(&asked.key) {
            return Err(Refusal::new(
                "question-closed",
                "this question is answered or closed already; nothing was changed",
            ));
        }
        // A group stands here only when nobody knows whether the messages left;
        // then the personal link is what vouches for the person.
        if !asked.asked.iter().any(|who| same_address(who, by) || who.starts_with("group:")) {
            return Err(Refusal::new("not-asked", format!("{by} was not asked this question")));
        }
        let plan = self.plan.clone();
        let question = self.question_spec(&plan, &asked.key)?;
        let Some((_, label)) = question.choices.iter().find(|(value, _)| value == choice) else {
            let known: Vec<&str> = question.choices.iter().map(|(value, _)| value.as_str()).collect();
            return Err(Refusal::new(
                "choice-unknown",
                format!("`{choice}` is no answer to this question; choose one of {}", known.join(", ")),
            ));
        };
        check_fields(question, fields)?;
        self.record(Event::QuestionAnswered {
            question: id,
            by: by.to_owned(),
            choice: choice.to_owned(),
            fields: fields.clone(),
        })?;
        let output = json!({
            "choice": choice, "label": label, "by": by, "fields": fields, "silent": false, "at": self.now,
        });
        self.end_step(&asked.key, StepEnd::Succeeded, Some(output), None)
    }

    /// Nobody answered in time: silence is an answer, and is recorded as silence.
    pub(super) fn question_silent(&mut self, id: QuestionId) -> Result<(), Refusal> {
        let key = self.state.questions[&id].key.clone();
        let plan = self.plan.clone();
        let question = self.question_spec(&plan, &key)?;
        let choice = question.if_silent.clone();
        let label = question.choices.iter().find(|(value, _)| *value == choice).map(|(_, label)| label);
        let output = json!({
            "choice": choice, "label": label, "by": null, "fields": {}, "silent": true, "at": self.now,
        });
        self.record(Event::QuestionSilent { question: id, choice })?;
        self.end_step(&key, StepEnd::Succeeded, Some(output), Some("nobody answered in time".to_owned()))
    }

    fn question_spec<'p>(
        &self,
        plan: &'p crate::domain::plan::Plan,
        key: &StepKey,
    ) -> Result<&'p QuestionSpec, Refusal> {
        let (_, spec) = self.spec(plan, key)?;
        match &spec.body {
            Body::Perform(action) => action.question.as_ref(),
            _ => None,
        }
        .ok_or_else(|| Refusal::new("not-a-question", format!("step `{key}` asks nothing")))
    }
}

/// The addresses by which a found target is known.
fn target_addresses(captured: &Value) -> impl Iterator<Item = &str> {
    let attributes = captured.get("attributes");
    let texts = ["address", "addresses"].into_iter().filter_map(move |name| attributes?.get(name));
    let each = texts.flat_map(|value| match value {
        Value::Array(many) => many.iter().collect(),
        one => vec![one],
    });
    each.filter_map(Value::as_str)
}

/// The longest text in one field of an answer, in characters: a paragraph or two.
const FIELD_CHARS_MAX: usize = 4000;

fn check_fields(question: &QuestionSpec, fields: &Value) -> Result<(), Refusal> {
    let wrong = |message: String| Err(Refusal::new("field-wrong", message));
    let Some(given) = fields.as_object() else {
        return wrong("the fields of an answer are an object of names and values".to_owned());
    };
    for name in given.keys() {
        if !question.fields.iter().any(|field| field.name == *name) {
            return wrong(format!("this question has no field `{name}`"));
        }
    }
    for field in &question.fields {
        let title = field.label.as_deref().unwrap_or(&field.name);
        let value = given.get(&field.name).unwrap_or(&Value::Null);
        let takes = field.kind.takes_words();
        let text = value.as_str();
        if value.is_null() || text.is_some_and(|text| text.trim().is_empty()) {
            if field.required {
                return wrong(format!("`{title}` is missing; it takes {takes}"));
            }
            if value.is_null() {
                continue;
            }
        }
        if !field.kind.takes(value) {
            return wrong(format!("`{title}` takes {takes}; something else was given"));
        }
        if text.is_some_and(|text| text.chars().count() > FIELD_CHARS_MAX) {
            return wrong(format!("`{title}` is longer than {FIELD_CHARS_MAX} characters; shorten it"));
        }
    }
    Ok(())
}
