//! How a step begins, and its next move.

use serde_json::json;

use crate::domain::command::Phase;
use crate::domain::decide::turn::Turn;
use crate::domain::event::{Event, Intended, RunEnd};
use crate::domain::expr::Expr;
use crate::domain::expr::template::Template;
use crate::domain::id::{ApprovalId, QuestionId};
use crate::domain::incident::{Disposition, IncidentChange};
use crate::domain::kept::target_label;
use crate::domain::nesting::{Part, loops_around, part};
use crate::domain::playbook::{ActionSpec, Body, Compute, LOOP_ITEMS_MAX, Step, StepIx};
use crate::domain::run::{StepEnd, StepKey};
use crate::domain::signal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

impl Turn<'_> {
    /// Begins a step, or one item of its loop: its condition, its items, its input.
    pub(super) fn start(&mut self, ix: StepIx, key: &StepKey) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let spec = &plan.playbook.steps[ix];
        let names_item = |when: &Expr| {
            when.references()
                .paths
                .iter()
                .any(|path| path.first().is_some_and(|root| root == "item" || root == "index"))
        };
        if let Some(when) = &spec.when {
            // A condition that speaks of the item is asked for each item, any
            // other once; none is asked again for a further turn.
            let asked_at = usize::from(spec.for_each.is_some() && names_item(when));
            let level = key.at.len().saturating_sub(loops_around(&plan.playbook, ix));
            if level == asked_at && !self.holds(when, key)? {
                return Ok(());
            }
        }
        match part(&plan.playbook, ix, key) {
            Part::Loop => self.expand(spec, key),
            Part::Turns => self.record(Event::StepStarted { key: key.clone(), input: Value::Null }),
            Part::Body => self.begin(spec, key),
        }
    }

    /// Whether the condition holds; ends the step as skipped or failed when not.
    fn holds(&mut self, when: &Expr, key: &StepKey) -> Result<bool, Refusal> {
        let names = self.names(key);
        let scope = names.scope();
        match when.eval_bool(&scope) {
            Ok(true) => Ok(true),
            Ok(false) => {
                let seen: Vec<String> = when
                    .trace(&scope)
                    .into_iter()
                    .map(|(path, value)| format!("{path} = {}", value.unwrap_or_default()))
                    .collect();
                let why = format!("`{}` did not hold: {}", when.source(), seen.join(", "));
                self.end_step(key, StepEnd::Skipped, None, Some(why))?;
                Ok(false)
            }
            Err(error) => {
                self.fail_step(key, format!("its condition could not be decided: {error}"))?;
                Ok(false)
            }
        }
    }

    fn expand(&mut self, spec: &Step, key: &StepKey) -> Result<(), Refusal> {
        let Some(looped) = &spec.for_each else {
            return Ok(());
        };
        let items = looped.items.eval(&self.names(key).scope());
        match items {
            Ok(Value::Array(items)) if items.len() > LOOP_ITEMS_MAX => self.fail_step(
                key,
                format!("`for_each` gave {} items; at most {LOOP_ITEMS_MAX} are run", items.len()),
            ),
            Ok(Value::Array(items)) if items.is_empty() => {
                self.end_step(key, StepEnd::Succeeded, Some(json!([])), Some("there was no item".to_owned()))
            }
            Ok(Value::Array(items)) => self.record(Event::StepExpanded { key: key.clone(), items }),
            Ok(other) => self.fail_step(key, format!("`for_each` needs a list and got {}", kind_of(&other))),
            Err(error) => self.fail_step(key, format!("`for_each` could not be computed: {error}")),
        }
    }

    fn begin(&mut self, spec: &Step, key: &StepKey) -> Result<(), Refusal> {
        match &spec.body {
            Body::Compute(compute) => self.compute(compute, key),
            Body::Perform(action) => match action.input.render(&self.names(key).scope()) {
                Ok(input) => {
                    if let Some(why) = self.not_as_approved(key, &input) {
                        return self.fail_step(key, why);
                    }
                    self.record(Event::StepStarted { key: key.clone(), input })?;
                    self.next_move(key)
                }
                Err(error) => self.fail_step(key, format!("its input could not be computed: {error}")),
            },
            Body::Wait(pause) => {
                self.record(Event::StepStarted { key: key.clone(), input: Value::Null })?;
                self.record(Event::StepSlept { key: key.clone(), until: self.now.after(*pause) })
            }
            Body::Call(_) if spec.approval.is_some() => {
                self.record(Event::StepStarted { key: key.clone(), input: Value::Null })?;
                self.next_move(key)
            }
            Body::Call(call) => self.begin_call(call, key),
            Body::WaitUntil(template) => self.wait_until(template, key),
            Body::Undo(_) | Body::Block(_) => {
                self.record(Event::StepStarted { key: key.clone(), input: Value::Null })?;
                self.next_move(key)
            }
        }
    }

    /// Sleeps until a time that is known now; one that has passed is no wait.
    fn wait_until(&mut self, template: &Template, key: &StepKey) -> Result<(), Refusal> {
        let time = match template.render(&self.names(key).scope()) {
            Ok(Value::String(text)) => text.parse::<Timestamp>().map_err(|_| {
                format!("`until` gave {text:?}, which is no time; one looks like 2026-11-30T09:00:00Z")
            }),
            Ok(other) => Err(format!("`until` needs a time and got {}", kind_of(&other))),
            Err(error) => Err(format!("`until` could not be computed: {error}")),
        };
        match time {
            Ok(until) => {
                self.record(Event::StepStarted { key: key.clone(), input: Value::Null })?;
                self.record(Event::StepSlept { key: key.clone(), until })
            }
            Err(why) => self.fail_step(key, why),
        }
    }

    fn compute(&mut self, compute: &Compute, key: &StepKey) -> Result<(), Refusal> {
        let (Compute::Set(template) | Compute::Incident(template) | Compute::Finish(template)) = compute;
        let value = match template.render(&self.names(key).scope()) {
            Ok(value) => value,
            Err(error) => return self.fail_step(key, format!("it could not be computed: {error}")),
        };
        match compute {
            Compute::Set(_) => self.end_step(key, StepEnd::Succeeded, Some(value), None),
            Compute::Incident(_) => match serde_json::from_value::<IncidentChange>(value) {
                Ok(change) => {
                    self.record(Event::IncidentChanged { change })?;
                    self.end_step(key, StepEnd::Succeeded, None, None)
                }
                Err(error) => self.fail_step(key, format!("this is no change of an incident: {error}")),
            },
            Compute::Finish(_) => {
                let disposition = match value.get("disposition") {
                    None | Some(Value::Null) => None,
                    Some(given) => match serde_json::from_value::<Disposition>(given.clone()) {
                        Ok(disposition) => Some(disposition),
                        Err(_) => {
                            let known = Disposition::NAMES.join(", ");
                            return self.fail_step(
                                key,
                                format!("{given} is no disposition; the known ones are {known}"),
                            );
                        }
                    },
                };
                let note = value.get("note").and_then(Value::as_str);
                let why = note.map_or_else(|| format!("step `{key}` finished it"), str::to_owned);
                self.end_step(key, StepEnd::Succeeded, Some(value.clone()), None)?;
                self.record(Event::RunEnding { end: RunEnd::Succeeded, why, disposition })
            }
        }
    }

    /// What a step that has begun does next: look at the target first, ask for
    /// approval, act, ask its question, or read back.
    pub(super) fn next_move(&mut self, key: &StepKey) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let (_, spec) = self.spec(&plan, key)?;
        let step = self.step(key)?;
        let action = match &spec.body {
            Body::Perform(action) => Some(action),
            _ => None,
        };
        let contains = action.is_some_and(|action| action.containment.is_some());
        if contains && step.captured.is_none() {
            return self.attempt(key, Phase::Capture);
        }
        if step.approval.is_none() && spec.approval.is_some() && !self.already_so(key)? {
            return self.request_approval(spec, key);
        }
        let Some(action) = action else {
            return match &spec.body {
                Body::Undo(targets) => self.begin_undo_step(key, targets),
                Body::Call(call) => self.begin_call(call, key),
                _ => Ok(()),
            };
        };
        if contains && self.already_so(key)? {
            return self.contained(key, action, false);
        }
        if let Some(approver) = self.approved_by_target(key) {
            let why = format!(
                "{approver} approved this and is whom it would be done to; another approver is needed. Nothing was done"
            );
            return self.fail_step(key, why);
        }
        self.attempt(key, Phase::Act)
    }

    /// Whether the target already is in the state that the step would bring about.
    fn already_so(&self, key: &StepKey) -> Result<bool, Refusal> {
        let captured = self.step(key)?.captured.as_ref();
        Ok(captured.and_then(|state| state.value().get("already")).and_then(Value::as_bool).unwrap_or(false))
    }

    /// Records the intent of the next attempt of this part. A process that is
    /// about to stop makes none: an intent that nobody carries out would count
    /// as lost, and what may not be sent twice as uncertain.
    pub(super) fn attempt(&mut self, key: &StepKey, phase: Phase) -> Result<(), Refusal> {
        let phase = if phase == Phase::Act && self.asks_first(key)? { Phase::Reconcile } else { phase };
        if self.last {
            return self.record(Event::AttemptDue { key: key.clone(), phase, at: self.now });
        }
        let step = self.step(key)?;
        let attempt = step.attempts.get(&phase).copied().unwrap_or(0) + 1;
        // It was lost before. If that happens again, it must be known whether it was at work.
        let begin_follows = step.lost.contains_key(&phase);
        let contains = if phase == Phase::Act { self.intended(key)? } else { None };
        self.record(Event::AttemptStarted { key: key.clone(), phase, attempt, begin_follows, contains })
    }

    /// What the act of a step is about to contain.
    fn intended(&self, key: &StepKey) -> Result<Option<Box<Intended>>, Refusal> {
        let (_, spec) = self.spec(&self.plan, key)?;
        let Body::Perform(action) = &spec.body else { return Ok(None) };
        let captured = self.step(key)?.captured.as_ref().filter(|_| action.containment.is_some());
        Ok(captured.map(|captured| {
            let target = target_label(captured.value());
            Box::new(Intended { operation: action.operation.clone(), target })
        }))
    }

    fn request_approval(&mut self, spec: &Step, key: &StepKey) -> Result<(), Refusal> {
        let Some(approval) = &spec.approval else {
            return Ok(());
        };
        let id = ApprovalId::derived(self.run.ulid(), &key.to_string());
        let covers = self.covers(spec, key)?;
        let binds = self.binds(spec, key, &covers)?;
        self.record(Event::ApprovalRequested {
            key: key.clone(),
            approval: id,
            by: approval.by.clone(),
            each: approval.each,
            binds,
            until: self.now.after(approval.within),
            if_silent: approval.if_silent,
            covers,
        })?;
        self.attempt(key, Phase::Announce)
    }

    /// The question of an `ask` step has left, or may have left.
    pub(super) fn asked(
        &mut self,
        key: &StepKey,
        action: &ActionSpec,
        delivered: bool,
    ) -> Result<(), Refusal> {
        let Some(question) = &action.question else {
            return Ok(());
        };
        let step = self.step(key)?;
        let asked = step.acted.as_ref().and_then(|acted| acted.value().get("asked").cloned());
        let asked = asked.or_else(|| step.input.value().get("who").cloned()).unwrap_or_default();
        let asked: Vec<String> = match asked {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(|who| who.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        let id = QuestionId::derived(self.run.ulid(), &key.to_string());
        self.record(Event::QuestionAsked {
            key: key.clone(),
            question: id,
            asked,
            until: self.now.after(question.within),
            delivered,
        })
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
