//! What operations answer and people decide.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::domain::address::address_key;
use crate::domain::playbook::{Body, Playbook};
use crate::playbook::case::file::{Shared, report};
use crate::playbook::case::{ATTEMPTS_MAX, Answer, Decision, Found, ReadBack, Reply, Script};
use crate::yaml::diagnostic::{did_you_mean, quoted};
use crate::yaml::node::NodeValue;
use crate::yaml::shape::Field;

/// `groups: { ir-leads: [ana@example.com] }`.
pub(super) fn read_groups(field: Field<'_>) -> BTreeMap<String, Vec<String>> {
    let Some(map) = field.map() else {
        return BTreeMap::new();
    };
    let entries = map.entries().into_iter();
    entries
        .filter_map(|(key, members)| {
            let members = members.texts()?.into_iter().map(address_key).collect();
            Some((key.name.clone(), members))
        })
        .collect()
}

/// What a case says the outcome of: the operations of connectors that a playbook
/// uses, each with whether it contains, and the playbooks that it runs.
pub(super) fn scripted(playbook: &Playbook) -> Vec<(String, bool)> {
    let of = |body: &Body| match body {
        Body::Perform(action) if action.operation.contains('.') => {
            Some((action.operation.clone(), action.containment.is_some()))
        }
        Body::Call(call) => Some((format!("playbook.{}", call.playbook), false)),
        _ => None,
    };
    playbook.steps.iter().filter_map(|step| of(&step.body)).collect()
}

/// What an author meant who wrote an operation that the playbook does not use.
pub(super) fn meant(name: &str, known: &[(String, bool)]) -> String {
    let known: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    match did_you_mean(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "it uses none".to_owned(),
        None => format!("it uses: {}", known.join(", ")),
    }
}

/// `operations:`, each one that the playbook uses.
pub(super) fn read_operations(field: Field<'_>, shared: &Shared<'_>) -> BTreeMap<String, Script> {
    let Some(map) = field.map() else {
        return BTreeMap::new();
    };
    let mut operations = BTreeMap::new();
    for (key, spec) in map.entries() {
        let mut contains = true;
        if let Some(playbook) = shared.playbook() {
            let known = scripted(playbook);
            let used = known.iter().find(|(name, _)| *name == key.name);
            if used.is_none() {
                let help = meant(&key.name, &known);
                let message = format!("`{}` uses no operation {}", playbook.name, quoted(&key.name));
                report(field.reader(), key.place, "unknown-operation", message, help);
            }
            contains = used.is_none_or(|(_, contains)| *contains);
        }
        operations.insert(key.name.clone(), read_script(spec, contains).unwrap_or_default());
    }
    operations
}

fn read_script(field: Field<'_>, contains: bool) -> Option<Script> {
    let map = field.map()?;
    let mut script =
        Script { gives: map.optional("gives").map(|field| field.node().to_json()), ..Script::default() };
    if let Some(attempts) = map.optional("attempts") {
        let items = attempts.one_or_many();
        if items.len() > ATTEMPTS_MAX {
            let message = format!("at most {ATTEMPTS_MAX} attempts are scripted");
            attempts.mistake("too-many-attempts", message, "a step gives up long before");
            return None;
        }
        script.attempts = items.into_iter().filter_map(read_reply).collect();
    }
    for key in ["target", "verify", "changed"] {
        if let Some(field) = map.optional(key).filter(|_| !contains) {
            let message = format!("`{key}` belongs to an operation that contains, and this one does not");
            field.mistake("no-containment", message, "take it out; `gives` is what the operation answers");
        }
    }
    if let Some(target) = map.optional("target") {
        script.target = read_target(target)?;
    }
    if let Some(verify) = map.optional("verify") {
        script.verify = read_verify(verify)?;
    }
    script.changed = map.optional("changed").and_then(Field::bool).unwrap_or(false);
    map.finish();
    Some(script)
}

/// How an attempt can go, in words.
const REPLIES: &[&str] = &["done", "absent", "timeout", "crash_before", "crash_after"];

fn read_reply(field: Field<'_>) -> Option<Reply> {
    if !matches!(field.node().value, NodeValue::Map(_)) {
        return Some(match field.one_of(REPLIES)? {
            "absent" => Reply::Absent,
            "timeout" => Reply::Timeout,
            "crash_before" => Reply::CrashBefore,
            "crash_after" => Reply::CrashAfter,
            _ => Reply::Done,
        });
    }
    let map = field.map()?;
    let status = map.required("status").and_then(|field| field.int(300..=599));
    let retry_after = map.optional("retry_after").and_then(Field::duration);
    map.finish();
    Some(Reply::Status { status: u16::try_from(status?).ok()?, retry_after })
}

fn read_target(field: Field<'_>) -> Option<Found> {
    if field.node().as_str().is_some() {
        field.one_of(&["nobody"])?;
        return Some(Found::Nobody);
    }
    let map = field.map()?;
    if let Some(several) = map.optional("several") {
        let count = several.int(2..=1000).and_then(|count| u32::try_from(count).ok());
        map.finish();
        return count.map(Found::Several);
    }
    let text = |key| map.optional(key).and_then(|field: Field<'_>| field.non_empty()).map(str::to_owned);
    let json = |key| {
        let field: Option<Field<'_>> = map.optional(key);
        field.map_or_else(|| Value::Object(serde_json::Map::new()), |field| field.node().to_json())
    };
    let label = text("label").unwrap_or_else(|| "the target".to_owned());
    let id = text("id").unwrap_or_else(|| label.clone());
    let already = map.optional("already").and_then(Field::bool).unwrap_or(false);
    let (state, attributes) = (json("state"), json("attributes"));
    map.finish();
    Some(Found::One { label, id, already, state, attributes })
}

fn read_verify(field: Field<'_>) -> Option<ReadBack> {
    if matches!(field.node().value, NodeValue::Map(_)) {
        let map = field.map()?;
        let after = map.required("after").and_then(Field::duration);
        map.finish();
        return after.map(ReadBack::After);
    }
    Some(match field.one_of(&["holds", "never"])? {
        "never" => ReadBack::Never,
        _ => ReadBack::Holds,
    })
}

/// `answers:`, by the step that asks.
pub(super) fn read_answers(field: Field<'_>, shared: &Shared<'_>) -> BTreeMap<String, Answer> {
    let Some(map) = field.map() else {
        return BTreeMap::new();
    };
    let mut answers = BTreeMap::new();
    for (key, spec) in map.entries() {
        shared.know_step(field.reader(), key.place, &key.name);
        if let Some(answer) = read_answer(spec, &key.name, shared) {
            answers.insert(key.name.clone(), answer);
        }
    }
    answers
}

fn read_answer(field: Field<'_>, step: &str, shared: &Shared<'_>) -> Option<Answer> {
    let map = field.map()?;
    let choice_field = map.required("choice");
    let choice = choice_field.and_then(Field::non_empty);
    let by = map.optional("by").and_then(Field::non_empty).map(address_key);
    let after = map.optional("after").and_then(Field::duration).unwrap_or(DELAY_DEFAULT);
    let refused = map.optional("refused").and_then(Field::non_empty).map(str::to_owned);
    let fields = map
        .optional("fields")
        .map_or_else(|| Value::Object(serde_json::Map::new()), |field| field.node().to_json());
    map.finish();
    let asked = shared.playbook().and_then(|playbook| playbook.step(step.split('[').next()?));
    if let Some((_, step)) = asked {
        let question = match &step.body {
            Body::Perform(action) => action.question.as_ref(),
            _ => None,
        };
        match (question, choice_field, choice) {
            (None, ..) => field.mistake(
                "no-question",
                format!("`{}` asks nothing", step.id),
                "answers belong to `ask` steps",
            ),
            (Some(question), Some(field), Some(choice)) => {
                let known: Vec<&str> = question.choices.iter().map(|(value, _)| value.as_str()).collect();
                if !known.contains(&choice) {
                    let help = did_you_mean(choice, &known).map_or_else(
                        || format!("it offers: {}", known.join(", ")),
                        |meant| format!("did you mean `{meant}`?"),
                    );
                    field.mistake("not-one-of", format!("`{}` offers no {}", step.id, quoted(choice)), help);
                }
            }
            _ => {}
        }
    }
    Some(Answer { by, choice: choice?.to_owned(), fields, after, place: field.place(), refused })
}

/// How long people take when the case does not say.
const DELAY_DEFAULT: Duration = Duration::from_secs(60);

/// `approvals:`, by the step that needs them.
pub(super) fn read_approvals(field: Field<'_>, shared: &Shared<'_>) -> BTreeMap<String, Vec<Decision>> {
    let Some(map) = field.map() else {
        return BTreeMap::new();
    };
    let mut approvals = BTreeMap::new();
    for (key, spec) in map.entries() {
        shared.know_step(field.reader(), key.place, &key.name);
        let step = shared.playbook().and_then(|playbook| playbook.step(key.name.split('[').next()?));
        if step.is_some_and(|(_, step)| step.approval.is_none()) {
            let message = format!("{} needs no approval", quoted(&key.name));
            report(
                field.reader(),
                key.place,
                "no-approval",
                message,
                "name the step or block that says `approval:`".to_owned(),
            );
        }
        let decisions = spec.one_or_many().into_iter().filter_map(read_decision).collect();
        approvals.insert(key.name.clone(), decisions);
    }
    approvals
}

fn read_decision(field: Field<'_>) -> Option<Decision> {
    let map = field.map()?;
    let by = map.required("by").and_then(Field::non_empty);
    let approve = map.optional("approve").and_then(Field::bool).unwrap_or(true);
    let note = map.optional("note").and_then(Field::non_empty).map(str::to_owned);
    let after = map.optional("after").and_then(Field::duration).unwrap_or(DELAY_DEFAULT);
    let refused = map.optional("refused").and_then(Field::non_empty).map(str::to_owned);
    map.finish();
    Some(Decision { by: address_key(by?), approve, note, after, place: field.place(), refused })
}
