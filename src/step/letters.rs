//! What a message says and whom it comes to. The tests of a playbook ask this
//! too, so that they find what would fail on the day.

use serde_json::json;

use crate::domain::alert::Alert;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::outcome::{Failure, FailureClass};
use crate::domain::plan::Plan;
use crate::domain::playbook::Posture;
use crate::domain::value::Value;
use crate::guard::people::{People, entries_of};
use crate::report::templates::Templates;

/// What a message is about.
pub struct About<'a> {
    /// The run's plan, with its texts.
    pub plan: &'a Plan,
    /// The alert it runs on.
    pub alert: Option<&'a Alert>,
    /// The investigation.
    pub incident: IncidentId,
    /// The run.
    pub run: RunId,
    /// The target that the step has found, if it looked for one.
    pub found: Option<&'a Value>,
}

fn permanent(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Permanent, code, message)
}

fn asks_subject(subject: &str) -> Failure {
    permanent(
        "asks-subject",
        format!("{subject} is whom this is about, and the posture is covert; nothing was sent"),
    )
}

impl About<'_> {
    /// Whether this address may be the person it is about: whom the alert names,
    /// or whom the step has found.
    fn may_be_subject(&self, address: &str) -> bool {
        let found = self.found.and_then(|found| found.get("attributes")?.get("address")?.as_str());
        self.alert.is_some_and(|alert| alert.may_be_about(address))
            || found.is_some_and(|found| found.eq_ignore_ascii_case(address.trim()))
    }

    /// The people that a value (an address, `group:NAME`, or a list) comes to.
    /// In covert posture never the subject: a group they are in loses them.
    ///
    /// # Errors
    /// When it comes to nobody, or names the subject in covert posture.
    pub fn recipients(&self, people: &People, who: &Value) -> Result<Vec<String>, Failure> {
        let entries = entries_of(who);
        let mut told = people.resolve(&entries).map_err(|why| {
            permanent("nobody-to-ask", format!("the recipients cannot be told: {why}; nothing was sent"))
        })?;
        if self.plan.playbook.posture != Posture::Covert {
            return Ok(told);
        }
        let mut named = entries.iter().map(|entry| entry.trim()).filter(|entry| !entry.starts_with("group:"));
        let named = named.find(|entry| self.may_be_subject(entry)).map(str::to_owned);
        let spared = told.iter().find(|address| self.may_be_subject(address)).cloned();
        told.retain(|address| !self.may_be_subject(address));
        match (named, spared) {
            (Some(subject), _) => Err(asks_subject(&subject)),
            (None, Some(subject)) if told.is_empty() => Err(asks_subject(&subject)),
            _ => Ok(told),
        }
    }

    /// Everybody who may approve, but never the person it is about: an approver
    /// can be the subject, and must not learn of it by this mail.
    ///
    /// # Errors
    /// When nobody is left.
    pub fn approvers(&self, people: &People, by: &[String]) -> Result<Vec<String>, Failure> {
        let mut told = people
            .resolve(by)
            .map_err(|why| permanent("nobody-to-ask", format!("the approvers cannot be told: {why}")))?;
        told.retain(|address| !self.may_be_subject(address));
        if told.is_empty() {
            return Err(permanent(
                "nobody-to-ask",
                "the only approver is whom this is about; nothing was sent. Name another approver at the step, or add people to its group",
            ));
        }
        Ok(told)
    }

    /// What an author wrote for a step: its `text:`, `question:` or `template:`.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn source<'b>(&'b self, input: &'b Value) -> Result<&'b str, Failure> {
        match input.get("template").and_then(Value::as_str) {
            Some(name) => {
                self.plan.texts.get(name).map(|text| &**text).ok_or_else(|| {
                    permanent("template-unknown", format!("the plan holds no template `{name}`"))
                })
            }
            None => Ok(input.get("text").and_then(Value::as_str).unwrap_or_default()),
        }
    }

    /// What an author wrote for a step, written with its `with:` and the alert. Both
    /// are the world's, as they came.
    ///
    /// # Errors
    /// When there is no such template, or it names what is not there.
    pub fn words(&self, templates: &Templates, input: &Value, key: &str) -> Result<String, Failure> {
        let text = self.source(input)?;
        templates.text(text, &self.context(input)).map_err(|error| {
            permanent(
                "template-wrong",
                format!("the text of `{key}` cannot be written: {error}; nothing was sent"),
            )
        })
    }

    /// What an author's template may show: the input and the alert, as data.
    fn context(&self, input: &Value) -> Value {
        json!({
            "with": input.get("with").cloned().unwrap_or_default(),
            "alert": self.alert.map(|alert| json!({
                "title": alert.title, "severity": alert.severity, "event_time": alert.event_time.map(|at| at.to_minute()),
                "user": alert.user, "host": alert.host, "objects": alert.objects, "counts": alert.counts,
                "cut": alert.counts.words(), "dest": alert.dest,
            })),
            "incident": self.incident,
            "run": self.run,
        })
    }
}
