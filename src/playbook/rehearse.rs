//! Plays one case in virtual time: the real core, with answers out of the test
//! file where the world would be. Nothing is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::domain::command::{Child, Command, Perform, Phase};
use crate::domain::decide::turn::take;
use crate::domain::event::{Entry, RunEnd, RunStarted};
use crate::domain::evolve::evolve;
use crate::domain::expr::scope::Scope;
use crate::domain::id::{IncidentId, RunId, StreamId};
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::owed::commands;
use crate::domain::plan::Plan;
use crate::domain::playbook::{ActionSpec, Body, Effect, Trigger};
use crate::domain::run::{RunState, Shared};
use crate::domain::signal::{Refusal, Signal};
use crate::domain::status::class_of_status;
use crate::domain::time::Timestamp;
use crate::domain::value::digest;
use crate::guard::people::{People, entries_of};
use crate::playbook::case::{Case, Effected, Found, ReadBack, Reply, Script};
use crate::projection::dossier::{Dossier, Sources};
use crate::report::render::{Format, render};
use crate::report::templates::Templates;
use crate::step::letters::About;
use crate::yaml::node::Place;
use ulid::Ulid;

mod scripted;

/// Turns after which a case counts as stuck.
const TURNS_MAX: usize = 20_000;

/// How long a played call takes.
const LATENCY: Duration = Duration::from_millis(20);

/// What came of a played case.
pub struct Played {
    /// Whether a trigger wanted the alert.
    pub triggered: bool,
    /// The run's entries.
    pub entries: Vec<Entry>,
    /// The state they add up to; none when nothing ran.
    pub state: Option<RunState>,
    /// Changes at systems, in order.
    pub effects: Vec<Effected>,
    /// Who was written to, by which step.
    pub mails: Vec<(String, Vec<String>)>,
    /// What was written, by template: every format's text.
    pub reports: BTreeMap<String, Vec<String>>,
    /// What people said, by its place in the file, and why it was refused where it was.
    pub heard: Vec<(Place, Option<Refusal>)>,
    /// Why it could not be played to its end.
    pub stuck: Option<String>,
}

/// Plays a case.
pub fn play(case: &Case, plan: &Arc<Plan>, templates: &Templates) -> Played {
    let mut rehearsal = Rehearsal {
        case,
        plan,
        templates,
        people: People::new(case.groups.clone()),
        run: RunId::new(Ulid::from_parts(u64::try_from(case.now.millis()).unwrap_or(0), 7)),
        now: case.now,
        state: RunState::new(Arc::clone(plan), case.alert.clone().map(Arc::new)),
        flying: Vec::new(),
        used: BTreeMap::new(),
        contained: BTreeMap::new(),
        said: BTreeSet::new(),
        refusal: None,
        played: Played {
            triggered: false,
            entries: Vec::new(),
            state: None,
            effects: Vec::new(),
            mails: Vec::new(),
            reports: BTreeMap::new(),
            heard: Vec::new(),
            stuck: None,
        },
    };
    rehearsal.played.triggered = rehearsal.wanted();
    if rehearsal.played.triggered || case.alert.is_none() {
        if let Err(stuck) = rehearsal.play() {
            rehearsal.played.stuck = Some(stuck);
        }
        rehearsal.played.state = Some(rehearsal.state);
    }
    rehearsal.played
}

struct Rehearsal<'a> {
    case: &'a Case,
    plan: &'a Arc<Plan>,
    templates: &'a Templates,
    people: People,
    run: RunId,
    now: Timestamp,
    state: RunState,
    flying: Vec<Perform>,
    /// Attempts made of each operation.
    used: BTreeMap<String, usize>,
    /// When each step's target was changed.
    contained: BTreeMap<String, Timestamp>,
    /// Decisions and answers that were given.
    said: BTreeSet<String>,
    /// Why the last of them was refused, if it was.
    refusal: Option<Refusal>,
    played: Played,
}

impl Rehearsal<'_> {
    fn wanted(&self) -> bool {
        let Some(alert) = &self.case.alert else {
            return false;
        };
        let shared = Shared::new(serde_json::to_value(alert).unwrap_or(Value::Null));
        let scope = Scope::new().with_root("alert", shared.root());
        self.plan.playbook.triggers.iter().any(|trigger| {
            matches!(trigger, Trigger::Alert(trigger) if trigger.when.eval_bool(&scope).unwrap_or(false))
        })
    }

    fn play(&mut self) -> Result<(), String> {
        let started = RunStarted {
            run: self.run,
            plan: digest(b"the plan of the case"),
            playbook: self.plan.playbook.name.clone(),
            version: self.plan.playbook.version,
            incident: IncidentId::derived(self.run.ulid(), "incident"),
            alert: None,
            inputs: self.case.inputs.clone(),
            by: "trigger".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        self.tell(&Signal::Start(Box::new(started)))?;
        for _ in 0..TURNS_MAX {
            if self.state.ended.is_some() {
                return Ok(());
            }
            self.turn()?;
        }
        Err("the run does not come to its end".to_owned())
    }

    fn turn(&mut self) -> Result<(), String> {
        if !self.flying.is_empty() {
            let perform = self.flying.remove(0);
            self.now = self.now.after(LATENCY);
            return match self.perform(&perform) {
                Some(outcome) => self.tell(&Signal::Performed {
                    key: perform.key,
                    phase: perform.phase,
                    attempt: perform.attempt,
                    outcome,
                }),
                None => self.crash(),
            };
        }
        let mut wake = None;
        for command in commands(&self.state) {
            match command {
                Command::WakeAt(at) => wake = Some(at),
                Command::Follow(child) => {
                    self.now = self.now.after(LATENCY);
                    let signal = self.call(child);
                    return self.tell(&signal);
                }
                Command::Perform(_) | Command::CancelChild(_) => {}
            }
        }
        match (self.next_word(), wake) {
            (Some(word), wake) if wake.is_none_or(|wake| word.at <= wake) => {
                self.now = self.now.max(word.at);
                self.said.insert(word.name);
                self.refusal = None;
                self.tell(&word.signal)?;
                self.played.heard.push((word.place, self.refusal.take()));
                Ok(())
            }
            (_, Some(wake)) => {
                self.now = self.now.max(wake);
                self.tell(&Signal::Wake)
            }
            _ => Err("the run waits for something that never comes (an uncertain step, perhaps)".to_owned()),
        }
    }

    fn tell(&mut self, signal: &Signal) -> Result<(), String> {
        let mut next = self.state.clone();
        let events = match take(&mut next, signal, self.now) {
            Ok(events) => events,
            // A refused word of a person changes nothing; a refused start is a mistake.
            Err(refusal) if matches!(signal, Signal::Decide { .. } | Signal::Answer { .. }) => {
                if refusal.code == "cannot-follow" {
                    return Err(refusal.message);
                }
                self.refusal = Some(refusal);
                return Ok(());
            }
            Err(refusal) => return Err(refusal.message),
        };
        for event in events {
            let seq = self.played.entries.len() as u64 + 1;
            self.played.entries.push(Entry { stream: StreamId::Run(self.run), seq, at: self.now, event });
        }
        self.state = next;
        for command in commands(&self.state) {
            let Command::Perform(perform) = command else {
                continue;
            };
            let known = self.flying.iter().any(|other| {
                (&other.key, other.phase, other.attempt) == (&perform.key, perform.phase, perform.attempt)
            });
            if !known {
                self.flying.push(perform);
            }
        }
        Ok(())
    }

    /// The process dies and starts again, as the case asks.
    fn crash(&mut self) -> Result<(), String> {
        self.flying.clear();
        let mut state = RunState::new(
            Arc::clone(self.plan),
            self.state.alert.as_ref().map(|(alert, _)| Arc::clone(alert)),
        );
        for entry in &self.played.entries {
            evolve(&mut state, entry).map_err(|corrupt| corrupt.to_string())?;
        }
        self.state = state;
        let lost: Vec<Signal> = commands(&self.state)
            .into_iter()
            .filter_map(|command| match command {
                Command::Perform(perform) => Some(perform.lost_at_work()),
                Command::WakeAt(_) | Command::Follow(_) | Command::CancelChild(_) => None,
            })
            .flatten()
            .collect();
        for signal in &lost {
            let mut next = self.state.clone();
            let events = take(&mut next, signal, self.now).map_err(|refusal| refusal.message)?;
            for event in events {
                let seq = self.played.entries.len() as u64 + 1;
                self.played.entries.push(Entry { stream: StreamId::Run(self.run), seq, at: self.now, event });
            }
            self.state = next;
        }
        self.tell(&Signal::Wake)
    }

    /// How a run of another playbook ends, as the case says under `playbook.NAME`.
    fn call(&mut self, child: Child) -> Signal {
        let name = format!("playbook.{}", child.playbook);
        let script = self.case.operations.get(&name);
        let (end, why, gives) = match script {
            Some(script) if script.attempts.iter().all(|reply| matches!(reply, Reply::Done)) => {
                self.played.effects.push(Effected { operation: name, undo: false });
                (RunEnd::Succeeded, String::new(), script.gives.clone())
            }
            Some(_) => (RunEnd::Failed, "the case lets it fail".to_owned(), None),
            None => {
                let why = format!("the case does not say how `{name}` ends; add it under `operations:`");
                (RunEnd::Failed, why, None)
            }
        };
        let output = json!({ "run": child.run, "end": end, "steps": gives.unwrap_or_default() });
        Signal::ChildEnded { key: child.key, run: child.run, end, why, output }
    }

    /// What the world answers; none = the process dies here.
    fn perform(&mut self, perform: &Perform) -> Option<Outcome> {
        let plan = Arc::clone(self.plan);
        let (_, step) = plan.playbook.step(&perform.key.id)?;
        if perform.phase == Phase::Announce {
            let by = step.approval.as_ref().map(|approval| approval.by.clone()).unwrap_or_default();
            let told = self.about(plan.as_ref(), |about| about.approvers(&self.people, &by));
            return Some(
                self.mail(perform, told).map_or_else(Outcome::from, |to| succeeded(json!({ "sent_to": to }))),
            );
        }
        let Body::Perform(action) = &step.body else {
            return Some(succeeded(json!({})));
        };
        if perform.phase == Phase::Warn {
            return Some(succeeded(json!({})));
        }
        if !action.operation.contains('.') {
            return Some(self.message(perform, action));
        }
        let script = self.case.operations.get(&action.operation).cloned();
        let Some(script) = script else {
            let message = format!(
                "the case does not say what `{}` answers; add it under `operations:`",
                action.operation
            );
            return Some(Failure::new(FailureClass::Permanent, "not-in-case", message).into());
        };
        match perform.phase {
            Phase::Act => self.act(perform, action, &script),
            _ => Some(self.look(perform, action, &script)),
        }
    }

    fn act(&mut self, perform: &Perform, action: &ActionSpec, script: &Script) -> Option<Outcome> {
        let used = self.used.entry(action.operation.clone()).or_default();
        let reply = script.attempts.get(*used).cloned().unwrap_or(Reply::Done);
        *used += 1;
        let happened = matches!(reply, Reply::Done | Reply::CrashAfter);
        if happened && action.effect != Effect::Read {
            self.played.effects.push(Effected { operation: action.operation.clone(), undo: false });
            self.contained.insert(perform.key.to_string(), self.now);
        }
        let failed = |class, code: &str, message: &str| {
            Some(Outcome::from(Failure::new(class, code, format!("`{}` {message}", action.operation))))
        };
        match reply {
            Reply::Done => Some(succeeded(script.gives.clone().unwrap_or_else(|| json!({})))),
            Reply::Absent => failed(FailureClass::Permanent, "not-found", "knows nothing of it"),
            Reply::Timeout => failed(FailureClass::Unknown, "timeout", "did not answer in time"),
            Reply::Status { status, retry_after } => {
                let (class, code) = class_of_status(status, action.effect, retry_after.is_some());
                let message = format!("`{}` was answered {status}", action.operation);
                let failure = Failure::new(class, code, message);
                Some(Failure { retry_after, ..failure }.into())
            }
            Reply::CrashBefore | Reply::CrashAfter => None,
        }
    }

    /// The parts of a containment that look, and the way back.
    fn look(&mut self, perform: &Perform, action: &ActionSpec, script: &Script) -> Outcome {
        let since = self.contained.get(&perform.key.to_string()).copied();
        let permanent =
            |code, message: String| Outcome::from(Failure::new(FailureClass::Permanent, code, message));
        match perform.phase {
            Phase::Capture => match &script.target {
                Found::Nobody => {
                    permanent("target-not-found", "nobody has this name; nobody was touched".to_owned())
                }
                Found::Several(count) => permanent(
                    "target-ambiguous",
                    format!("{count} different accounts have this name; nobody was touched"),
                ),
                Found::One { label, id, already, state, attributes } => succeeded(
                    json!({ "target": label, "id": id, "already": already, "state": state, "attributes": attributes }),
                ),
            },
            Phase::Verify | Phase::Recheck | Phase::Reconcile => {
                let holds = match (script.verify, since) {
                    (ReadBack::Never, _) | (_, None) => false,
                    (ReadBack::Holds, Some(_)) => true,
                    (ReadBack::After(lag), Some(since)) => self.now >= since.after(lag),
                };
                let gives = script.gives.clone().unwrap_or_else(|| json!({}));
                succeeded(match perform.phase {
                    Phase::Reconcile => {
                        let asked = format!("`{}` was asked for", action.operation);
                        json!({ "found": holds, "output": gives, "asked": asked })
                    }
                    _ => json!({ "holds": holds, "read": {} }),
                })
            }
            Phase::UndoCheck if script.changed => {
                succeeded(json!({ "state": "changed", "diff": "somebody else changed it" }))
            }
            Phase::UndoCheck => succeeded(
                json!({ "state": if since.is_some() { "as_left" } else { "restored" }, "diff": "" }),
            ),
            Phase::Undo => {
                self.contained.remove(&perform.key.to_string());
                self.played.effects.push(Effected { operation: action.operation.clone(), undo: true });
                succeeded(json!({}))
            }
            _ => succeeded(json!({ "holds": since.is_none(), "read": {} })),
        }
    }

    /// Questions, notices and reports: who is written to, and what is written.
    fn message(&mut self, perform: &Perform, action: &ActionSpec) -> Outcome {
        let input = &perform.input;
        if action.operation == "report" {
            return self.report(perform);
        }
        let further = perform.about.get("to").filter(|to| !to.is_null());
        let asked = perform.about.get("asked");
        let who = further.or(asked).or_else(|| input.get("who")).or_else(|| input.get("to"));
        let who = who.unwrap_or(&Value::Null);
        let plan = Arc::clone(self.plan);
        let told = self.about(&plan, |about| {
            let people = about.recipients(&self.people, who)?;
            about.words(self.templates, input, &perform.key.to_string()).map(|_| people)
        });
        self.mail(perform, told)
            .map_or_else(Outcome::from, |to| succeeded(json!({ "asked": to, "sent_to": to })))
    }

    fn report(&mut self, perform: &Perform) -> Outcome {
        let input = &perform.input;
        let template = input.get("template").and_then(Value::as_str).unwrap_or_default().to_owned();
        let alert = self.state.alert.as_ref().map(|(alert, _)| Arc::clone(alert));
        let sources = Sources {
            run: &self.played.entries,
            incident: &[],
            alert_entries: &[],
            joined: &[],
            incident_id: None,
            plan: self.plan,
            alert: alert.as_deref(),
            number: 0,
        };
        let dossier = Dossier::build(sources);
        for name in entries_of(input.get("formats").unwrap_or(&Value::Null)) {
            let Some(format) = Format::named(&name) else {
                continue;
            };
            match render(self.templates, &template, &dossier, "test", format, self.now) {
                Ok(text) => self.played.reports.entry(template.clone()).or_default().push(text),
                Err(error) => {
                    return Failure::new(FailureClass::Permanent, "report-unwritten", error.to_string())
                        .into();
                }
            }
        }
        match input.get("to").filter(|to| !to.is_null()).cloned() {
            None => succeeded(json!({ "reports": [], "sent_to": [] })),
            Some(to) => {
                let told = self.about(self.plan, |about| about.recipients(&self.people, &to));
                self.mail(perform, told)
                    .map_or_else(Outcome::from, |to| succeeded(json!({ "reports": [], "sent_to": to })))
            }
        }
    }

    /// Asks what a message of this run says, and whom it comes to.
    fn about<T>(&self, plan: &Plan, ask: impl Fn(&About<'_>) -> T) -> T {
        let alert = self.state.alert.as_ref().map(|(alert, _)| alert.as_ref());
        let incident = IncidentId::derived(self.run.ulid(), "incident");
        ask(&About { plan, alert, incident, run: self.run, found: None })
    }

    fn mail(
        &mut self,
        perform: &Perform,
        told: Result<Vec<String>, Failure>,
    ) -> Result<Vec<String>, Failure> {
        let people = told.map_err(|failure| match failure.code.as_str() {
            "nobody-to-ask" => {
                let message = format!("{}; say who it is under `groups:`", failure.message);
                Failure { message, ..failure }
            }
            _ => failure,
        })?;
        self.played.mails.push((perform.key.id.to_string(), people.clone()));
        Ok(people)
    }
}

fn succeeded(output: Value) -> Outcome {
    Outcome::Succeeded { output, evidence: None }
}
