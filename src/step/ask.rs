//! `ask`: asks people a question with typed answers and a deadline.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::domain::expr::template::Template;
use crate::domain::playbook::{ActionSpec, Body, Effect, InputKind, InputSpec, QuestionSpec, Reminder};
use crate::step::kind::{Check, StepKind};
use crate::step::messages;
use crate::step::world::{Call, Done, World};
use crate::yaml::diagnostic::{Diagnostic, quoted};
use crate::yaml::map::MapReader;
use crate::yaml::node::Key;
use crate::yaml::shape::Field;

/// The kind.
pub struct Ask;

impl StepKind for Ask {
    fn name(&self) -> &'static str {
        "ask"
    }

    fn docs(&self) -> &'static str {
        "asks people a question with typed answers and a deadline"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        let map = value.map()?;
        let who = map.required("who").and_then(|field| check.people(field));
        let given = map.optional("with");
        let text = map.required("question").and_then(|field| check.text_or_template(field, given));
        let with = given.and_then(|field| check.template(field));
        let spec = read_question(&map);
        let reminders = read_reminders(&map, spec.as_ref().map(|spec| spec.within), check);
        let spec = spec.map(|spec| QuestionSpec { reminders, ..spec });
        map.finish();
        let (key, text) = text?;
        let input = json!({ "who": who?.source(), "with": with.map(|with| with.source().clone()), key: escaped(&text) });
        check.output = Some(["choice", "label", "by", "fields", "silent", "at"].map(str::to_owned).to_vec());
        let input = Template::parse(&input).ok()?;
        Some(Body::Perform(ActionSpec {
            operation: "ask".to_owned(),
            input,
            // The personal link is the key: a question that comes twice is answered once.
            effect: Effect::Keyed,
            containment: None,
            question: Some(spec?),
            reconcile: None,
        }))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        messages::ask(call, world).boxed()
    }
}

/// `remind_after` and `escalate`: who is written to while nobody answers.
fn read_reminders(
    map: &MapReader<'_>,
    within: Option<std::time::Duration>,
    check: &mut Check<'_>,
) -> Vec<Reminder> {
    let mut reminders = Vec::new();
    let mut after = |field: Field<'_>| {
        let after = field.duration()?;
        if within.is_some_and(|within| after >= within) {
            field.mistake(
                "out-of-range",
                "by then the question is over",
                "write a time shorter than `within`",
            );
        }
        Some(after)
    };
    if let Some(field) = map.optional("remind_after") {
        reminders.extend(after(field).map(|after| Reminder { after, to: None }));
    }
    for level in map.optional("escalate").and_then(Field::list).unwrap_or_default() {
        let Some(level) = level.map() else { continue };
        let due = level.required("after").and_then(&mut after);
        let to = level.required("to").and_then(|field| check.people(field));
        level.finish();
        reminders.extend(due.zip(to).map(|(after, to)| Reminder { after, to: Some(to) }));
    }
    reminders.sort_by_key(|reminder| reminder.after);
    reminders
}

/// Choices of one question: past a dozen nobody reads them.
const CHOICES_MAX: usize = 12;

fn read_question(map: &MapReader<'_>) -> Option<QuestionSpec> {
    let mut choices = Vec::new();
    if let Some(field) = map.required("choices") {
        let list = field.map()?;
        for (key, label) in list.entries() {
            choices.extend(label.non_empty().map(|label| (key.name.clone(), label.to_owned())));
        }
        if choices.len() < 2 || choices.len() > CHOICES_MAX {
            field.mistake(
                "choices",
                format!("a question offers 2 to {CHOICES_MAX} choices, this one {}", choices.len()),
                "write each as value: Label",
            );
        }
    }
    let fields = map.optional("fields").map(read_fields).unwrap_or_default();
    let within = map.required("within").and_then(Field::duration);
    let silent = map.required("if_silent");
    let if_silent = silent.and_then(Field::non_empty).map(str::to_owned);
    if let (Some(field), Some(choice)) = (silent, &if_silent)
        && !choices.is_empty()
        && !choices.iter().any(|(value, _)| value == choice)
    {
        let known: Vec<&str> = choices.iter().map(|(value, _)| value.as_str()).collect();
        field.mistake(
            "not-one-of",
            format!("`if_silent` names no choice: `{choice}`"),
            format!("silence counts as one of {}", known.join(", ")),
        );
    }
    Some(QuestionSpec { choices, fields, within: within?, if_silent: if_silent?, reminders: Vec::new() })
}

/// Reads typed fields: `name: { type, label, required }`.
pub fn read_fields(field: Field<'_>) -> Vec<InputSpec> {
    let Some(map) = field.map() else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    for (key, field) in map.entries() {
        check_name(field, key);
        let Some(spec) = field.map() else { continue };
        let kind = spec
            .required("type")
            .and_then(|field| field.one_of(&["string", "integer", "number", "boolean"]))
            .map(|kind| match kind {
                "integer" => InputKind::Integer,
                "number" => InputKind::Number,
                "boolean" => InputKind::Boolean,
                _ => InputKind::String,
            });
        let required = spec.optional("required").and_then(Field::bool).unwrap_or(false);
        let label = spec.optional("label").and_then(Field::non_empty).map(str::to_owned);
        let default = spec.optional("default").map(|field| {
            check_default(field, kind);
            field.node().to_json()
        });
        spec.finish();
        fields.extend(kind.map(|kind| InputSpec { name: key.name.clone(), kind, required, label, default }));
    }
    fields
}

/// Expressions name a field, so its name is a plain word.
fn check_name(field: Field<'_>, key: &Key) {
    let name = &key.name;
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        return;
    }
    let reader = field.reader();
    let meant: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let message = format!("no expression can name {}", quoted(name));
    reader.report(
        Diagnostic::error("bad-id", reader.file(), key.place, message)
            .label("not a plain word")
            .help(format!("use letters, digits and _, such as {}", quoted(&meant))),
    );
}

/// A default is of the type that is asked for.
fn check_default(field: Field<'_>, kind: Option<InputKind>) {
    let _ = match kind {
        None => None,
        Some(InputKind::String) => field.text().map(drop),
        Some(InputKind::Integer) => field.int(i64::MIN..=i64::MAX).map(drop),
        Some(InputKind::Number) => field.number(f64::MIN..=f64::MAX).map(drop),
        Some(InputKind::Boolean) => field.bool().map(drop),
    };
}

/// A text that holds Handlebars, kept from being read as an expression: CEL
/// decides and Handlebars writes, and neither sees the other's signs.
pub fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}
