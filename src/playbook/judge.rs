//! Whether a played case holds what its file expects, and what no case reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::domain::event::{Event, RunEnd};
use crate::domain::playbook::{Body, Playbook};
use crate::domain::run::{Hold, Stage, StepEnd, StepKey};
use crate::domain::signal::Refusal;
use crate::playbook::case::{Case, Expect};
use crate::playbook::rehearse::Played;
use crate::yaml::diagnostic::Diagnostic;

/// Every expectation that does not hold, at the place that states it.
pub fn judge(file: &Arc<str>, case: &Case, played: &Played) -> Vec<Diagnostic> {
    let mut failures: Vec<Diagnostic> = Vec::new();
    for expectation in &case.expect {
        if let Err(found) = holds(&expectation.what, played) {
            failures.push(
                Diagnostic::error(
                    "does-not-hold",
                    file,
                    expectation.place,
                    format!("in the case “{}”: {found}", case.name),
                )
                .label("expected here")
                .help("mend the playbook, or what the case expects of it"),
            );
        }
    }
    failures.extend(said(file, case, played));
    if let Some(stuck) = &played.stuck {
        failures.push(
            Diagnostic::error(
                "stuck",
                file,
                case.place,
                format!("the case “{}” cannot be played to its end: {stuck}", case.name),
            )
            .label("this case")
            .help("answer what it waits for, under `answers`, `approvals` or `operations`"),
        );
    }
    failures
}

/// What people were to say and nobody waited for, and what was refused without the
/// case expecting it: such a case shows something else than its author thinks.
fn said(file: &Arc<str>, case: &Case, played: &Played) -> Vec<Diagnostic> {
    let answers = case.answers.iter().map(|(step, answer)| (step, "answer", answer.place, &answer.refused));
    let approvals = case.approvals.iter().flat_map(|(step, all)| all.iter().map(move |one| (step, one)));
    let approvals = approvals.map(|(step, one)| (step, "decision", one.place, &one.refused));
    let mut mistakes = Vec::new();
    for (step, what, place, expected) in answers.chain(approvals) {
        let heard = played.heard.iter().filter(|(of, _)| *of == place).map(|(_, refusal)| refusal.as_ref());
        let heard: Vec<Option<&Refusal>> = heard.collect();
        let wrong = heard.iter().find(|refusal| refusal.map(|it| it.code) != expected.as_deref());
        let (code, found, help) = match (wrong, expected) {
            (None, _) if !heard.is_empty() => continue,
            // What stops the run early is told already.
            (None, _) if played.stuck.is_some() => continue,
            (None, _) => (
                "never-said",
                format!("nobody waits for this {what} on `{step}`: it is never asked for, or closed before"),
                "take it out, or mend what comes before it; `after:` says how late it comes",
            ),
            (Some(Some(refusal)), None) => (
                "refused-in-case",
                format!("this {what} on `{step}` is refused: {} ({})", refusal.message, refusal.code),
                "mend the case; where the refusal is what it shows, state it with `refused:` and the code",
            ),
            (Some(Some(refusal)), Some(_)) => (
                "refused-in-case",
                format!("this {what} on `{step}` is refused as `{}`: {}", refusal.code, refusal.message),
                "`refused:` names another code",
            ),
            (Some(None), _) => (
                "not-refused",
                format!("this {what} on `{step}` counts, and the case expects that it is refused"),
                "mend the playbook, or take `refused:` out",
            ),
        };
        let text = format!("in the case “{}”: {found}", case.name);
        mistakes.push(Diagnostic::error(code, file, place, text).label("said here").help(help));
    }
    mistakes
}

fn holds(expected: &Expect, played: &Played) -> Result<(), String> {
    match expected {
        Expect::Triggered(wanted) => check(
            played.triggered == *wanted,
            (if played.triggered { "the alert starts the playbook" } else { "no trigger wants the alert" })
                .to_owned(),
        ),
        Expect::End(_) | Expect::Disposition(_) => ends(expected, played),
        Expect::Step { step, end } => {
            let (is, why) = ended_as(played, step);
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            check(
                is == *end,
                format!(
                    "`{step}` {}{why}",
                    is.map_or_else(|| "never began".to_owned(), |end| end.name().to_owned())
                ),
            )
        }
        Expect::Output { step, holds } => {
            let output = step_of(played, step).map(|found| found.output.value().clone()).unwrap_or_default();
            check(contains(&output, holds), format!("`{step}` gave {output}"))
        }
        Expect::Effects(wanted) => {
            let found: Vec<String> = played
                .effects
                .iter()
                .map(|effect| {
                    if effect.undo {
                        format!("undo of {}", effect.operation)
                    } else {
                        effect.operation.clone()
                    }
                })
                .collect();
            check(
                played.effects == *wanted,
                format!(
                    "the changes at systems were: {}",
                    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
                ),
            )
        }
        Expect::Mail { .. } | Expect::NeverTold(_) => written_to(expected, played),
        Expect::Report { template, contains, lacks } => report(played, template, contains, lacks),
        Expect::StillContained(steps) => still_contained(played, steps),
    }
}

fn ends(expected: &Expect, played: &Played) -> Result<(), String> {
    let state = played.state.as_ref();
    match expected {
        Expect::End(end) => {
            let found = state.and_then(|state| state.ended);
            let why = state
                .and_then(|state| state.ending.clone())
                .map_or_else(|| "nothing was run".to_owned(), |(_, why)| why);
            let how = found.map_or("did not end", |(end, _)| ended(end));
            check(found.is_some_and(|(found, _)| found == *end), format!("the run {how}: {why}"))
        }
        Expect::Disposition(wanted) => {
            let found = state.and_then(|state| state.disposition);
            let word = found.and_then(|found| serde_json::to_value(found).ok());
            let shown = word.as_ref().and_then(Value::as_str).unwrap_or("not set");
            check(found == *wanted, format!("the disposition is {shown}"))
        }
        _ => Ok(()),
    }
}

fn ended(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "succeeded",
        RunEnd::Failed => "failed",
        RunEnd::Cancelled => "was cancelled",
    }
}

/// Whether what holds is what was expected: `found` says what is instead.
fn check(fits: bool, found: String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(found) }
}

fn still_contained(played: &Played, steps: &[String]) -> Result<(), String> {
    let state = played.state.as_ref();
    let held: BTreeSet<String> = state
        .map(|state| {
            state
                .containments
                .values()
                .filter(|held| matches!(held.hold, Hold::Accepted | Hold::Verified | Hold::Stuck))
                .map(|held| held.key.to_string())
                .collect()
        })
        .unwrap_or_default();
    check(
        held == steps.iter().cloned().collect(),
        format!(
            "still contained: {}",
            if held.is_empty() {
                "nothing".to_owned()
            } else {
                held.into_iter().collect::<Vec<_>>().join(", ")
            }
        ),
    )
}

fn written_to(expected: &Expect, played: &Played) -> Result<(), String> {
    match expected {
        Expect::Mail { step, to } => {
            let written: BTreeSet<&String> =
                played.mails.iter().filter(|(from, _)| from == step).flat_map(|(_, to)| to).collect();
            let missing: Vec<&str> =
                to.iter().filter(|address| !written.contains(address)).map(String::as_str).collect();
            check(missing.is_empty(), format!("`{step}` did not write to {}", missing.join(", ")))
        }
        Expect::NeverTold(address) => {
            let told: Vec<&str> = played
                .mails
                .iter()
                .filter(|(_, to)| to.contains(address))
                .map(|(step, _)| step.as_str())
                .collect();
            check(told.is_empty(), format!("{address} was written to by {}", told.join(", ")))
        }
        _ => Ok(()),
    }
}

fn step_of<'a>(played: &'a Played, step: &str) -> Option<&'a crate::domain::run::StepState> {
    let key: StepKey = step.parse().ok()?;
    played.state.as_ref()?.steps.get(&key)
}

/// How a step ended, and why. What stood inside a loop is forgotten when the loop
/// ends; its entries still tell.
fn ended_as(played: &Played, step: &str) -> (Option<StepEnd>, Option<String>) {
    if let Some(found) = step_of(played, step) {
        return match found.stage {
            Stage::Ended(end) => (Some(end), found.why.clone()),
            _ => (None, found.why.clone()),
        };
    }
    let of_step = |event: &Event| match event {
        Event::StepEnded { key, end, why, .. } if key.to_string() == step => Some((Some(*end), why.clone())),
        _ => None,
    };
    played.entries.iter().find_map(|entry| of_step(&entry.event)).unwrap_or_default()
}

fn report(played: &Played, template: &str, contains: &[String], lacks: &[String]) -> Result<(), String> {
    let Some(texts) = played.reports.get(template) else {
        return Err(format!("no report `{template}` was written"));
    };
    for text in texts {
        if let Some(missing) = contains.iter().find(|wanted| !text.contains(wanted.as_str())) {
            return Err(format!("the report `{template}` does not say “{missing}”"));
        }
        if let Some(present) = lacks.iter().find(|unwanted| text.contains(unwanted.as_str())) {
            return Err(format!("the report `{template}` says “{present}”"));
        }
    }
    Ok(())
}

/// Maps hold at least these keys; anything else is equal.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| contains(found, value)))
        }
        _ => found == wanted,
    }
}

/// What the cases of one playbook reached.
#[derive(Default)]
pub struct Reached {
    steps: BTreeMap<String, BTreeSet<&'static str>>,
    choices: BTreeMap<String, BTreeSet<String>>,
}

impl Reached {
    /// Adds what a played case reached.
    pub fn add(&mut self, played: &Played) {
        let Some(state) = &played.state else { return };
        for (key, step) in &state.steps {
            if let Stage::Ended(end) = step.stage {
                self.steps.entry(key.id.to_string()).or_default().insert(end.name());
            }
        }
        for entry in &played.entries {
            let (question, choice) = match &entry.event {
                Event::QuestionAnswered { question, choice, .. } => (question, choice.clone()),
                Event::QuestionSilent { question, .. } => (question, "(silence)".to_owned()),
                _ => continue,
            };
            if let Some(asked) = state.questions.get(question) {
                self.choices.entry(asked.key.id.to_string()).or_default().insert(choice);
            }
        }
    }

    /// What no case reached, in words.
    pub fn missing(&self, playbook: &Playbook) -> Vec<String> {
        let mut missing = Vec::new();
        for step in &playbook.steps {
            let ends = self.steps.get(&*step.id).cloned().unwrap_or_default();
            if !ends.iter().any(|end| matches!(*end, "succeeded" | "undone")) {
                missing.push(format!("`{}` never succeeds", step.id));
            }
            if step.when.is_some() && !ends.contains("skipped") {
                missing.push(format!("`{}` is never skipped", step.id));
            }
            let Body::Perform(action) = &step.body else {
                continue;
            };
            let Some(question) = &action.question else {
                continue;
            };
            let given = self.choices.get(&*step.id).cloned().unwrap_or_default();
            let wanted =
                question.choices.iter().map(|(value, _)| value.clone()).chain(["(silence)".to_owned()]);
            missing.extend(
                wanted
                    .filter(|choice| !given.contains(choice))
                    .map(|choice| format!("`{}` is never answered {choice}", step.id)),
            );
        }
        missing
    }
}
