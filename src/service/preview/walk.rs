//! One way of a dry run: the real core, with the world asked or taken as done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::alert::Alert;
use crate::domain::approval::{Approval, ApprovalProgress};
use crate::domain::command::{Command, Perform, Phase};
use crate::domain::decide::turn::take;
use crate::domain::event::{Event, RunEnd, RunStarted};
use crate::domain::id::{ApprovalId, IncidentId, QuestionId};
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::owed::commands;
use crate::domain::plan::Plan;
use crate::domain::playbook::{ActionSpec, Body, Effect};
use crate::domain::run::{RunState, Stage, StepKey};
use crate::domain::signal::{Person, Signal};
use crate::domain::time::Timestamp;
use crate::guard::people::entries_of;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::preview::How;
use crate::service::preview::how::{Reads, unread};
use crate::service::preview::words::{change_words, value_words};
use crate::step::kind::{carry_out, kind};
use crate::step::world::Call;

/// One way that a run may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// `step: answer`, in the order they are asked.
    pub answers: Vec<(String, String)>,
    /// What would happen, in order.
    pub lines: Vec<String>,
    /// The lines without the reasons they give: what is decided, without why.
    pub gists: Vec<String>,
    /// How the run would end, and why.
    pub end: String,
    /// The same in one word; `None` when the way could not be followed to its end.
    pub outcome: Option<RunEnd>,
    /// What would be contained: target and operation.
    pub contained: Vec<String>,
    /// Who would be asked, for an answer or a yes.
    pub asked: Vec<String>,
    /// Who would be told something.
    pub told: Vec<String>,
    /// Steps that contained, asked or waited for a yes on this way.
    pub reached: BTreeSet<String>,
}

/// What was read, by step, phase and what the operation was given, so that no way
/// reads again what another has read.
pub(super) type Known = BTreeMap<(String, Phase, String), Outcome>;

/// A question that is not answered on this way yet.
pub(super) struct Fork {
    question: QuestionId,
    step: String,
    /// What may be answered, and [`SILENCE`] where the playbook looks at it.
    pub(super) choices: Vec<String>,
}

/// Turns of one way.
const TURNS_MAX: usize = 5000;

/// The answer of those who do not answer.
const SILENCE: &str = "(nobody answers)";

#[derive(Clone)]
pub(super) struct Walk<'a> {
    service: &'a Service,
    how: &'a How,
    now: Timestamp,
    state: RunState,
    answers: Vec<(String, String)>,
    /// The answer to give before anything else.
    next: Option<(QuestionId, String)>,
    /// Questions that nobody answers on this way.
    silent: BTreeSet<QuestionId>,
    /// Whether the playbook looks at whether anybody answered.
    hears_silence: bool,
    reached: BTreeSet<String>,
    lines: Vec<Line>,
    contained: Vec<String>,
    asked: Vec<String>,
    told: Vec<String>,
    flying: Vec<Perform>,
    started: RunStarted,
    alert: Option<Arc<Alert>>,
}

/// What a person reads, and what of it is the decision.
#[derive(Clone)]
struct Line {
    gist: String,
    text: String,
}

impl<'a> Walk<'a> {
    pub(super) fn begin(
        service: &'a Service,
        how: &'a How,
        alert: Option<Arc<Alert>>,
        inputs: Value,
    ) -> Result<Self, ServiceError> {
        let ulid = how.run.ulid();
        let started = RunStarted {
            run: how.run,
            plan: how.digest,
            playbook: how.plan.playbook.name.clone(),
            version: how.plan.playbook.version,
            incident: IncidentId::derived(ulid, "incident"),
            alert: None,
            inputs,
            by: "dry run".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        let state = RunState::new(Arc::clone(&how.plan), alert.clone());
        let mut walk = Self {
            service,
            how,
            now: how.at,
            state,
            answers: Vec::new(),
            next: None,
            silent: BTreeSet::new(),
            hears_silence: hears_silence(&how.plan),
            reached: BTreeSet::new(),
            lines: Vec::new(),
            contained: Vec::new(),
            asked: Vec::new(),
            told: Vec::new(),
            flying: Vec::new(),
            started: started.clone(),
            alert,
        };
        walk.tell(&Signal::Start(Box::new(started)))?;
        Ok(walk)
    }

    /// The way, once it has been followed to its end.
    pub(super) fn branch(self) -> Branch {
        let outcome = self.state.ending.as_ref().map(|(end, _)| *end);
        let end = self.state.ending.map(|(end, why)| format!("{end:?}: {why}")).unwrap_or_default();
        let (lines, gists) = self.lines.into_iter().map(|line| (line.text, line.gist)).unzip();
        Branch {
            answers: self.answers,
            lines,
            gists,
            end,
            outcome,
            contained: self.contained,
            asked: self.asked,
            told: self.told,
            reached: self.reached,
        }
    }

    /// The way as far as it went.
    pub(super) fn unfollowed(self, error: &ServiceError) -> Branch {
        let end = format!("cannot be followed further: {}", error.message);
        Branch { end, outcome: None, ..self.branch() }
    }

    /// This way with one more answer.
    pub(super) fn with_answer(&self, fork: &Fork, choice: &str) -> Self {
        let mut walk = self.clone();
        walk.answers.push((fork.step.clone(), choice.to_owned()));
        walk.next = Some((fork.question, choice.to_owned()));
        walk
    }

    /// Goes on until the run has ended, or until a question has no answer yet.
    pub(super) async fn follow(&mut self, reads: &mut Known) -> Result<Option<Fork>, ServiceError> {
        match self.next.take() {
            Some((question, choice)) if choice == SILENCE => {
                self.silent.insert(question);
            }
            Some((question, choice)) => self.answer(question, &choice)?,
            None => {}
        }
        for _ in 0..TURNS_MAX {
            if self.state.ended.is_some() {
                return Ok(None);
            }
            if let Some(perform) = (!self.flying.is_empty()).then(|| self.flying.remove(0)) {
                let outcome = self.perform(&perform, reads).await;
                self.tell(&Signal::Performed {
                    key: perform.key,
                    phase: perform.phase,
                    attempt: perform.attempt,
                    outcome,
                })?;
                continue;
            }
            if let Some(fork) = self.fork() {
                return Ok(Some(fork));
            }
            if let Some((approval, asked)) = self.open_approval() {
                let seat = asked
                    .by
                    .iter()
                    .find(|entry| !asked.given.iter().any(|(_, counts)| counts.contains(entry)));
                let entry = seat.or(asked.by.first()).cloned().unwrap_or_default();
                let groups = entry.strip_prefix("group:").map(str::to_owned).into_iter().collect();
                let by = Person { address: format!("{entry}#{}", asked.given.len()), groups };
                let by = if entry.starts_with("group:") {
                    by
                } else {
                    Person { address: entry, groups: Vec::new() }
                };
                self.tell(&Signal::Decide { approval, by, approve: true, note: None })?;
                continue;
            }
            let wake = commands(&self.state).into_iter().any(|command| matches!(command, Command::WakeAt(_)));
            if !wake {
                break;
            }
            self.skip_waiting()?;
        }
        let message = "the dry run does not come to its end; the playbook waits for something that only happens in a real run";
        Err(ServiceError::new(Sort::Refused, "plan-endless", message))
    }

    /// Pauses and retries are passed over: the plan says that they would be there.
    fn skip_waiting(&mut self) -> Result<(), ServiceError> {
        let at = commands(&self.state).into_iter().find_map(|command| match command {
            Command::WakeAt(at) => Some(at),
            Command::Perform(_) | Command::Follow(_) | Command::CancelChild(_) => None,
        });
        self.now = at.map_or(self.now, |at| self.now.max(at));
        self.tell(&Signal::Wake)
    }

    /// The first open question in the order of the playbook: ids say nothing of it.
    fn fork(&self) -> Option<Fork> {
        let open = self.state.questions.iter();
        let open = open.filter(|(id, asked)| !asked.closed && !self.silent.contains(id));
        let (id, asked) = open.min_by_key(|(_, asked)| self.place(&asked.key))?;
        let mut choices = self.choices(&asked.key.id);
        if self.hears_silence {
            choices.push(SILENCE.to_owned());
        }
        Some(Fork { question: *id, step: asked.key.to_string(), choices })
    }

    fn open_approval(&self) -> Option<(ApprovalId, Approval)> {
        let open = self.state.approvals.iter().filter(|(_, asked)| !asked.closed);
        let (id, asked) = open.min_by_key(|(_, asked)| self.place(&asked.key))?;
        Some((*id, asked.clone()))
    }

    /// Where a step stands in the playbook, and which of its items it is.
    fn place(&self, key: &StepKey) -> (usize, StepKey) {
        let place = self.state.plan.playbook.step(&key.id).map_or(usize::MAX, |(place, _)| place);
        (place, key.clone())
    }

    fn choices(&self, step: &str) -> Vec<String> {
        let spec = self.state.plan.playbook.step(step).map(|(_, spec)| &spec.body);
        match spec {
            Some(Body::Perform(action)) => action
                .question
                .as_ref()
                .map(|question| question.choices.iter().map(|(value, _)| value.clone()).collect())
                .unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, question: QuestionId, choice: &str) -> Result<(), ServiceError> {
        let asked = &self.state.questions[&question];
        let (key, by) = (asked.key.clone(), asked.asked.first().cloned().unwrap_or_default());
        let mut fields = serde_json::Map::new();
        let step = self.state.plan.playbook.step(&key.id).map(|(_, spec)| &spec.body);
        if let Some(Body::Perform(ActionSpec { question: Some(question), .. })) = step {
            let required = question.fields.iter().filter(|field| field.required);
            fields.extend(required.map(|field| (field.name.clone(), field.kind.example())));
        }
        for (name, value) in &fields {
            self.say(format!("{key}: `{name}` of the answer is taken as {value}"));
        }
        self.tell(&Signal::Answer { question, by, choice: choice.to_owned(), fields: Value::Object(fields) })
    }

    fn tell(&mut self, signal: &Signal) -> Result<(), ServiceError> {
        let events = take(&mut self.state, signal, self.now)?;
        for event in &events {
            self.note(event);
        }
        for command in commands(&self.state) {
            let perform = match command {
                Command::Perform(perform) => perform,
                Command::Follow(child) => {
                    self.say(format!("{}: would run the playbook `{}`", child.key, child.playbook));
                    let output = json!({ "run": child.run, "end": RunEnd::Succeeded, "steps": {} });
                    let (key, run, end, why) = (child.key, child.run, RunEnd::Succeeded, String::new());
                    return self.tell(&Signal::ChildEnded { key, run, end, why, output });
                }
                Command::WakeAt(_) | Command::CancelChild(_) => continue,
            };
            if !self.flying.iter().any(|other| (&other.key, other.phase) == (&perform.key, perform.phase)) {
                self.flying.push(perform);
            }
        }
        Ok(())
    }

    /// Whether the operation of a step has a way back.
    fn can_undo(&self, key: &StepKey) -> bool {
        let step = self.state.plan.playbook.step(&key.id);
        step.is_some_and(|(_, step)| match &step.body {
            Body::Perform(action) => action.containment.as_ref().is_some_and(|spec| spec.undo),
            _ => false,
        })
    }

    /// What a person reads of an event.
    fn note(&mut self, event: &Event) {
        let line = match event {
            Event::ApprovalRequested { key, by, each, .. } => {
                self.reached.insert(key.id.to_string());
                self.asked.extend_from_slice(by);
                format!("{key}: would need a yes of {}", ApprovalProgress::new(by, *each, []).asked())
            }
            Event::QuestionAsked { key, asked, .. } => {
                self.reached.insert(key.id.to_string());
                self.asked.extend_from_slice(asked);
                format!("{key}: would ask {}", asked.join(", "))
            }
            Event::ContainmentAccepted { key, operation, target, changed, until, .. } => {
                let before = self
                    .state
                    .steps
                    .get(key)
                    .and_then(|step| step.captured.as_ref())
                    .and_then(|state| state.value().get("state").cloned())
                    .unwrap_or_default();
                let until = match until {
                    Some(until) => format!("until {}", until.to_minute()),
                    None if self.can_undo(key) => "until a person lifts it".to_owned(),
                    None => "and there is no way back".to_owned(),
                };
                self.reached.insert(key.id.to_string());
                if *changed {
                    self.contained.push(format!("{target} ({operation})"));
                    format!("{key}: would {operation} {target} (now {}), {until}", value_words(&before))
                } else {
                    self.contained.push(format!("{target} ({operation}; is so already)"));
                    format!("{key}: nothing to do, {target} already is so")
                }
            }
            Event::StepEnded { key, end, why, .. } => {
                match (self.state.steps.get(key).map(|step| &step.stage), why) {
                    (Some(Stage::Ended(_)), Some(why)) => format!("{key}: {}, {why}", end.name()),
                    _ => return,
                }
            }
            Event::IncidentChanged { change } => {
                format!("the incident would change: {}", change_words(change))
            }
            _ => return,
        };
        let gist = match event {
            Event::StepEnded { key, end, .. } => format!("{key}: {}", end.name()),
            _ => line.clone(),
        };
        self.lines.push(Line { gist, text: line });
    }

    fn say(&mut self, text: String) {
        self.lines.push(Line { gist: text.clone(), text });
    }

    /// Reads are live or not made; everything else is taken as done.
    async fn perform(&mut self, perform: &Perform, reads: &mut Known) -> Outcome {
        let plan = Arc::clone(&self.state.plan);
        let done = |output: Value| Outcome::Succeeded { output, evidence: None };
        let Some((_, step)) = plan.playbook.step(&perform.key.id) else { return done(json!({})) };
        let Body::Perform(action) = &step.body else { return done(json!({})) };
        let live =
            perform.phase == Phase::Capture || (perform.phase == Phase::Act && action.effect == Effect::Read);
        if live {
            if self.how.reads == Reads::None {
                return unread(perform);
            }
            let known = (perform.key.to_string(), perform.phase, perform.input.to_string());
            if let Some(outcome) = reads.get(&known) {
                self.say(format!("{}: read {}{}", perform.key, action.operation, failed(outcome)));
                return outcome.clone();
            }
            let Some(kind) = kind(&step.kind) else { return done(json!({})) };
            let call = Call {
                started: &self.started,
                plan: &plan,
                alert: self.alert.as_deref(),
                step,
                perform,
                approval: None,
                on_turn: None,
            };
            let outcome = carry_out(kind, &call, &self.service.world).await.outcome;
            self.say(format!("{}: read {}{}", perform.key, action.operation, failed(&outcome)));
            reads.insert(known, outcome.clone());
            return outcome;
        }
        match perform.phase {
            Phase::Verify | Phase::UndoVerify => done(json!({ "holds": true, "read": {} })),
            Phase::UndoCheck => done(json!({ "state": "as_left", "diff": "" })),
            Phase::Act if action.containment.is_none() => {
                let to =
                    perform.input.get("who").or_else(|| perform.input.get("to")).cloned().unwrap_or_default();
                let people = match self.service.world.people.resolve(&entries_of(&to)) {
                    Ok(people) => people,
                    Err(why) => {
                        let failure = Failure::new(FailureClass::Permanent, "recipient-unknown", why);
                        self.say(format!("{}: would fail: {}", perform.key, failure.message));
                        return Outcome::from(failure);
                    }
                };
                if action.question.is_none() {
                    self.told.extend_from_slice(&people);
                    let whom =
                        if people.is_empty() { String::new() } else { format!(" to {}", people.join(", ")) };
                    self.say(format!("{}: would {}{whom}", perform.key, action.operation));
                }
                done(json!({ "asked": people, "sent_to": people, "reports": [] }))
            }
            _ => done(json!({})),
        }
    }
}

/// Whether any condition or text of the plan looks at whether somebody answered.
/// Elsewhere silence is the answer that `if_silent` names.
fn hears_silence(plan: &Plan) -> bool {
    serde_json::to_string(plan).is_ok_and(|text| text.contains(".silent"))
}

fn failed(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { .. } => String::new(),
        Outcome::Failed { failure, .. } => format!(", which failed: {}", failure.message),
    }
}
