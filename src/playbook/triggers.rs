//! `on:`: what starts runs by itself, an alert or a time of the calendar.

use std::ops::Range;

use crate::authored::expressions::{expression, template};
use crate::authored::places::place_of_name;
use crate::domain::expr::Expr;
use crate::domain::expr::template::Template;
use crate::domain::playbook::{AlertTrigger, InputKind, InputSpec, OncePer, Trigger};
use crate::domain::schedule::{CronMistake, Missed, Overlap, ScheduleSpec, Times, zone_named};
use crate::domain::triage::REMEMBERED_MOST;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::yaml::map::MapReader;
use crate::yaml::node::{Key, Node, NodeValue};
use crate::yaml::shape::Field;

/// The zone of a schedule that names none.
const ZONE: &str = "UTC";

/// What a schedule's inputs may name.
const DUE: &str = "due";

/// The triggers that were read; those with mistakes are left out.
#[derive(Default)]
pub struct Triggers<'a> {
    /// In the order of the file.
    pub all: Vec<Trigger>,
    /// The conditions on alerts, and for what they run once, with their places.
    pub conditions: Vec<(Field<'a>, Expr)>,
}

/// Reads `on:`; `inputs` are those that the playbook declares.
pub fn read_triggers<'a>(field: Field<'a>, inputs: &[InputSpec], source: &str) -> Triggers<'a> {
    let mut found = Triggers::default();
    let mut schedules = Vec::new();
    for trigger in field.list().unwrap_or_default() {
        let Some(map) = trigger.map() else { continue };
        let alert = map.optional("alert");
        let schedule = map.optional("schedule");
        let once = map.optional("once_per");
        map.finish();
        if let (Some(once), None) = (once, alert) {
            once.mistake(
                "once-per-without-alert",
                "`once_per` counts alerts, and this trigger has none",
                "take it out, or give the trigger an `alert:`",
            );
        }
        match (alert, schedule) {
            (Some(_), Some(schedule)) => schedule.mistake(
                "two-triggers",
                "one trigger has both `alert` and `schedule`",
                "write two: each begins with its own `- `, and either starts a run",
            ),
            (Some(field), None) => {
                warn_of_missing(field, inputs);
                let once_per = once.map(|once| read_once_per(once, source, &mut found.conditions));
                if let Some(when) = expression(field, source) {
                    found.conditions.push((field, when.clone()));
                    found.all.push(Trigger::Alert(AlertTrigger { when, once_per: once_per.flatten() }));
                }
            }
            (None, Some(field)) => {
                let Some(spec) = read_schedule(field, inputs, source) else { continue };
                // The name is the same for all triggers of one playbook.
                let id = spec.id("");
                if schedules.contains(&id) {
                    field.mistake(
                        "schedule-twice",
                        "this schedule stands here twice",
                        "take one out, or give them different inputs; each firing starts one run",
                    );
                }
                schedules.push(id);
                found.all.push(Trigger::Schedule(spec));
            }
            (None, None) => trigger.mistake(
                "missing-key",
                "a trigger needs `alert` or `schedule`",
                "write `- alert: ${ alert.category == \"dlp\" }`, or `- schedule: { cron: \"0 9 * * MON-FRI\" }`",
            ),
        }
    }
    found
}

/// An alert gives no inputs: one that is required and has no default is nothing there.
fn warn_of_missing(trigger: Field<'_>, inputs: &[InputSpec]) {
    for input in inputs.iter().filter(|input| input.required && input.default.is_none()) {
        let name = &input.name;
        let message = format!("a run that an alert starts has no input {}, which is required", quoted(name));
        let (file, place) = (trigger.reader().file(), trigger.place());
        let warning = Diagnostic::warning("input-missing", file, place, message);
        let help = format!("give {} a `default`, or take its `required` out", quoted(name));
        trigger.reader().report(warning.label("an alert gives no inputs").help(help));
    }
}

/// Reads `once_per:`; its key goes to the conditions, whose names are checked.
fn read_once_per<'a>(
    field: Field<'a>,
    source: &str,
    conditions: &mut Vec<(Field<'a>, Expr)>,
) -> Option<OncePer> {
    let map = field.map()?;
    let key = map.required("key").and_then(|field| {
        let key = expression(field, source)?;
        conditions.push((field, key.clone()));
        Some(key)
    });
    let within = map.required("within");
    let read = within.and_then(Field::duration);
    map.finish();
    if let (Some(field), Some(read)) = (within, read)
        && (read > REMEMBERED_MOST || read.is_zero())
    {
        let days = REMEMBERED_MOST.as_secs() / 86_400;
        field.mistake(
            "once-per-too-long",
            format!("what came in is remembered for {days} days"),
            format!("write a time of up to {days}d"),
        );
        return None;
    }
    Some(OncePer { key: key?, within: read? })
}

fn read_schedule(field: Field<'_>, inputs: &[InputSpec], source: &str) -> Option<ScheduleSpec> {
    let map = field.map()?;
    let timezone = map.optional("timezone");
    let zone = match timezone {
        None => Some(ZONE),
        Some(field) => field.non_empty().filter(|name| known(field, zone_named(name), source).is_some()),
    };
    let cron = map.required("cron").and_then(|field| {
        // A zone that is wrong was told of; the expression is read all the same.
        let text = field.non_empty()?;
        known(field, Times::parse(text, ZONE), source).map(|_| text)
    });
    let missed = match map.optional("missed").map(|field| field.one_of(&["skip", "run_once", "run_all"])) {
        Some(Some("run_once")) => Missed::RunOnce,
        Some(Some("run_all")) => Missed::RunAll,
        _ => Missed::Skip,
    };
    let overlap_field = map.optional("overlap");
    let overlap = match overlap_field.map(|field| field.one_of(&["skip", "queue", "parallel"])) {
        Some(Some("queue")) => Overlap::Queue,
        Some(Some("parallel")) => Overlap::Parallel,
        _ => Overlap::Skip,
    };
    if missed == Missed::RunAll && overlap == Overlap::Skip {
        overlap_field.unwrap_or(field).mistake(
            "schedule-contradicts-itself",
            "`missed: run_all` wants a run for each firing, and `overlap: skip` starts only the first of them",
            "write `overlap: queue` (one after the other) or `overlap: parallel` (at the same time)",
        );
    }
    let given = read_inputs(field, &map, inputs, source);
    map.finish();
    Some(ScheduleSpec { cron: cron?.to_owned(), timezone: zone?.to_owned(), missed, overlap, inputs: given? })
}

/// What was read, or the mistake at its bytes.
fn known<T>(field: Field<'_>, read: Result<T, CronMistake>, source: &str) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(CronMistake { code, range: Range { start, end }, message, help }) => {
            let place = field.node().place_within(source, start, end);
            let reader = field.reader();
            reader.report(Diagnostic::error(code, reader.file(), place, message).help(help));
            None
        }
    }
}

/// `inputs:` of a schedule, as the playbook declares them; none when there is
/// a mistake, and `Some(None)` when the schedule gives none and needs none.
fn read_inputs(
    schedule: Field<'_>,
    map: &MapReader<'_>,
    declared: &[InputSpec],
    source: &str,
) -> Option<Option<Template>> {
    let field = map.optional("inputs");
    let given = match field {
        Some(field) => field.map()?.entries(),
        None => Vec::new(),
    };
    let mut right = true;
    for input in declared.iter().filter(|input| input.required && input.default.is_none()) {
        if !given.iter().any(|(key, _)| key.name == input.name) {
            right = false;
            field.unwrap_or(schedule).mistake(
                "input-missing",
                format!(
                    "the playbook needs the input {}, and this schedule does not give it",
                    quoted(&input.name)
                ),
                format!("add `inputs: {{ {}: … }}` to the schedule", input.name),
            );
        }
    }
    for (key, field) in &given {
        right &= check_input(key, *field, declared);
    }
    let Some(field) = field else { return right.then_some(None) };
    let template = template(field.reader(), field.node(), source)?;
    for path in &template.references().paths {
        if path.first().is_some_and(|root| root != DUE) {
            right = false;
            let place = place_of_name(field.node(), source, path, 0);
            let message = format!("{} is not known to a schedule", quoted(&path[0]));
            let mistake = Diagnostic::error("unknown-name", field.reader().file(), place, message);
            let help = "a schedule knows `due` alone, the time that the run is for: \"${ due }\"";
            field.reader().report(mistake.label("here").help(help));
        }
    }
    right.then_some(Some(template))
}

/// Whether the playbook declares this input, and a value without expressions
/// has its type.
fn check_input(key: &Key, field: Field<'_>, declared: &[InputSpec]) -> bool {
    let name = key.name.as_str();
    let names: Vec<&str> = declared.iter().map(|input| input.name.as_str()).collect();
    let Some(input) = declared.iter().find(|input| input.name == name) else {
        let help = match did_you_mean(name, &names) {
            Some(meant) => format!("did you mean {}?", quoted(&meant)),
            None if names.is_empty() => "declare it under `inputs:` above the steps".to_owned(),
            None => format!("its inputs are {}", names.join(", ")),
        };
        let message = format!("this playbook has no input {}", quoted(name));
        let mistake = Diagnostic::error("unknown-input", field.reader().file(), key.place, message);
        field.reader().report(mistake.label("here").help(help));
        return false;
    };
    if fits(field.node(), input.kind) {
        return true;
    }
    let kind = match input.kind {
        InputKind::String => "text",
        InputKind::Integer => "a whole number",
        InputKind::Number => "a number",
        InputKind::Boolean => "true or false",
    };
    field.mistake(
        "wrong-type",
        format!("the input {} takes {kind}, found {}", quoted(name), field.node().kind_name()),
        "write a value of that type, or an expression: \"${ due }\"",
    );
    false
}

fn fits(node: &Node, kind: InputKind) -> bool {
    match (&node.value, kind) {
        // What an expression gives is known when the run starts.
        (NodeValue::Str(text), _) if text.contains("${") => true,
        (NodeValue::Str(_), InputKind::String)
        | (NodeValue::Int(_), InputKind::Integer | InputKind::Number)
        | (NodeValue::Float(_), InputKind::Number)
        | (NodeValue::Bool(_), InputKind::Boolean) => true,
        _ => false,
    }
}
