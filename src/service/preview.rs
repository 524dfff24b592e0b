//! A dry run: reads happen, effects become a plan. Questions branch: each
//! answer, and silence, is followed to the end, so that a person sees what
//! would follow from each.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::alert::Alert;
use crate::domain::command::{Command, Perform, Phase};
use crate::domain::decide::turn::take;
use crate::domain::event::{Event, RunEnd, RunStarted};
use crate::domain::id::{IncidentId, QuestionId, RunId};
use crate::domain::inputs::GivenInputs;
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::owed::commands;
use crate::domain::plan::Plan;
use crate::domain::playbook::{Body, Effect};
use crate::domain::run::{RunState, Stage, StepKey};
use crate::domain::signal::{Person, Signal};
use crate::domain::time::Timestamp;
use crate::domain::value::Digest;
use crate::guard::people::entries_of;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::runs::{bound_inputs, needs_alert};
use crate::step::kind::{carry_out, kind};
use crate::step::world::Call;

use self::how::unread;
use self::words::{change_words, value_words};

pub mod how;
mod words;

/// Branches that are followed: past it a person reads no plan.
const BRANCHES_MAX: usize = 16;

/// Branches past those that are counted one by one; each is followed to its end.
const LEFT_OUT_COUNTED_MAX: usize = 128;

/// Turns of one branch.
const TURNS_MAX: usize = 5000;

/// What would happen.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// The playbook.
    pub playbook: String,
    /// One for each combination of answers.
    pub branches: Vec<Branch>,
    /// Whether there were more branches than are followed.
    pub more: bool,
    /// How many branches were left out.
    pub left_out: usize,
    /// Whether those are all; false when there may be more than were counted.
    pub counted: bool,
}

/// What would follow from some answers.
#[derive(Debug, Clone, Serialize)]
pub struct Branch {
    /// `step: answer`, in the order they are asked.
    pub answers: Vec<String>,
    /// What would happen, in order.
    pub lines: Vec<String>,
    /// How the run would end.
    pub end: Option<String>,
    /// The same in one word: `succeeded`, `failed` or `cancelled`.
    pub outcome: Option<RunEnd>,
    /// What would be contained: target and operation.
    pub contained: Vec<String>,
    /// The lines without the reasons they give: what is decided, without why.
    #[serde(skip)]
    pub gists: Vec<String>,
    /// Who would be asked, for an answer or a yes.
    #[serde(skip)]
    pub asked: Vec<String>,
    /// Who would be told something.
    #[serde(skip)]
    pub told: Vec<String>,
}

/// What is walked through, and how it meets the world.
pub(super) struct How {
    /// The plan, and what names it.
    pub(super) plan: Arc<Plan>,
    /// Its digest.
    pub(super) digest: Digest,
    /// Whether systems are asked.
    pub(super) reads: how::Reads,
    /// The run's id; another for each walk when there is none.
    pub(super) run: Option<RunId>,
    /// The time of the walk; the time now when there is none.
    pub(super) at: Option<Timestamp>,
}

/// What was answered, so that branches do not read twice.
type Known = BTreeMap<(String, Phase), Outcome>;

impl Service {
    /// What a run would do, without doing it.
    ///
    /// # Errors
    /// When the playbook is not there, or a branch does not come to its end.
    pub async fn preview(
        &self,
        name: &str,
        alert: Option<Alert>,
        given: &GivenInputs,
    ) -> Result<Preview, ServiceError> {
        let prepared = self.playbook(name)?;
        let inputs = bound_inputs(&prepared.plan.playbook, given)?;
        needs_alert(&prepared.plan.playbook, alert.as_ref())?;
        let (plan, digest) = (Arc::clone(&prepared.plan), prepared.plan_digest);
        let how = How { plan, digest, reads: how::Reads::Live, run: None, at: None };
        self.walk(&how, alert.map(Arc::new), inputs).await
    }

    /// Follows a plan through all answers that may be given on its way.
    pub(super) async fn walk(
        &self,
        how: &How,
        alert: Option<Arc<Alert>>,
        inputs: Value,
    ) -> Result<Preview, ServiceError> {
        let mut reads = Known::new();
        let (mut open, mut branches, mut left_out) = (vec![Vec::<(String, String)>::new()], Vec::new(), 0);
        let mut counted = true;
        while let Some(answers) = open.pop() {
            let shown = branches.len() < BRANCHES_MAX;
            if left_out >= LEFT_OUT_COUNTED_MAX {
                left_out += open.len() + 1;
                counted = false;
                break;
            }
            let mut walk = Walk::begin(self, how, alert.clone(), inputs.clone(), answers)?;
            match walk.follow(&mut reads).await {
                Ok(Some((step, choices))) => {
                    for choice in choices.into_iter().rev() {
                        let mut answers = walk.answers.clone();
                        answers.push((step.clone(), choice));
                        open.push(answers);
                    }
                }
                Ok(None) if shown => branches.push(walk.branch()),
                Err(error) if shown => return Err(error),
                // One that nobody is shown is counted, however it would end.
                Ok(None) | Err(_) => left_out += 1,
            }
            tokio::task::yield_now().await;
        }
        let playbook = how.plan.playbook.name.clone();
        Ok(Preview { playbook, branches, more: left_out > 0, left_out, counted })
    }
}

struct Walk<'a> {
    service: &'a Service,
    how: &'a How,
    state: RunState,
    answers: Vec<(String, String)>,
    lines: Vec<Line>,
    contained: Vec<String>,
    asked: Vec<String>,
    told: Vec<String>,
    flying: Vec<Perform>,
    started: RunStarted,
    alert: Option<Arc<Alert>>,
}

/// What a person reads, and what of it is the decision.
struct Line {
    gist: String,
    text: String,
}

/// A question that is not answered in this branch yet.
type Fork = Option<(String, Vec<String>)>;

impl<'a> Walk<'a> {
    fn begin(
        service: &'a Service,
        how: &'a How,
        alert: Option<Arc<Alert>>,
        inputs: Value,
        answers: Vec<(String, String)>,
    ) -> Result<Self, ServiceError> {
        let ulid = how.run.map_or_else(|| service.fresh(), RunId::ulid);
        let started = RunStarted {
            run: RunId::new(ulid),
            plan: how.digest,
            playbook: how.plan.playbook.name.clone(),
            version: how.plan.playbook.version,
            incident: IncidentId::derived(ulid, "incident"),
            alert: None,
            inputs,
            by: "dry run".to_owned(),
            requesters: Vec::new(),
            parent: None,
        };
        let state = RunState::new(Arc::clone(&how.plan), alert.clone());
        let mut walk = Self {
            service,
            how,
            state,
            answers,
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

    fn branch(self) -> Branch {
        let outcome = self.state.ending.as_ref().map(|(end, _)| *end);
        let end = self.state.ending.map(|(end, why)| format!("{end:?}: {why}"));
        let (lines, gists) = self.lines.into_iter().map(|line| (line.text, line.gist)).unzip();
        Branch {
            answers: self.answers.iter().map(|(step, choice)| format!("{step}: {choice}")).collect(),
            lines,
            gists,
            end,
            outcome,
            contained: self.contained,
            asked: self.asked,
            told: self.told,
        }
    }

    async fn follow(&mut self, reads: &mut Known) -> Result<Fork, ServiceError> {
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
            let asked = self
                .state
                .questions
                .iter()
                .find(|(_, asked)| !asked.closed)
                .map(|(id, asked)| (*id, asked.key.clone()));
            if let Some((id, key)) = asked {
                match self
                    .answers
                    .iter()
                    .find(|(step, _)| *step == key.to_string())
                    .map(|(_, choice)| choice.clone())
                {
                    Some(choice) => self.answer(id, &choice)?,
                    None => return Ok(Some((key.to_string(), self.choices(&key.id)))),
                }
                continue;
            }
            let approval = self
                .state
                .approvals
                .iter()
                .find(|(_, asked)| !asked.closed)
                .map(|(id, asked)| (*id, asked.clone()));
            if let Some((approval, asked)) = approval {
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
        let Some(at) = at else { return Ok(()) };
        self.tell_at(&Signal::Wake, at)
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
        let by = self.state.questions[&question].asked.first().cloned().unwrap_or_default();
        self.tell(&Signal::Answer { question, by, choice: choice.to_owned(), fields: json!({}) })
    }

    fn tell(&mut self, signal: &Signal) -> Result<(), ServiceError> {
        self.tell_at(signal, self.how.at.unwrap_or_else(|| self.service.now()))
    }

    fn tell_at(&mut self, signal: &Signal, at: Timestamp) -> Result<(), ServiceError> {
        let events = take(&mut self.state, signal, at)?;
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
                    return self.tell_at(&Signal::ChildEnded { key, run, end, why, output }, at);
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
            Event::ApprovalRequested { key, by, .. } => {
                self.asked.extend_from_slice(by);
                format!("{key}: would need a yes from each of {}", by.join(", "))
            }
            Event::QuestionAsked { key, asked, .. } => {
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
            let known = (perform.key.to_string(), perform.phase);
            if let Some(outcome) = reads.get(&known) {
                return outcome.clone();
            }
            if self.how.reads == how::Reads::None {
                return unread(perform);
            }
            let Some(kind) = kind(&step.kind) else { return done(json!({})) };
            let call = Call {
                started: &self.started,
                plan: &plan,
                alert: self.alert.as_deref(),
                step,
                perform,
                approval: None,
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

fn failed(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { .. } => String::new(),
        Outcome::Failed { failure, .. } => format!(", which failed: {}", failure.message),
    }
}
