//! The file: what cases share, then each case.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::inputs::{GivenInputs, bind, defaults};
use crate::domain::plan::Plan;
use crate::domain::playbook::{InputKind, Playbook};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::playbook::case::{CASES_MAX, Case, Cases, Script, alert, expect, script};
use crate::yaml::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::yaml::map::MapReader;
use crate::yaml::node::Place;
use crate::yaml::reader::read;
use crate::yaml::shape::{Field, Reader};

/// When a case plays, if the file does not say: a Monday morning.
pub const NOW_DEFAULT: &str = "2026-01-05T09:00:00.000Z";

/// Reads a test file. `plan_of` gives the plan of a playbook by its name.
///
/// # Errors
/// Every mistake in it, in the order of the file.
pub fn read_cases(
    file: &str,
    text: &str,
    plan_of: &dyn Fn(&str) -> Option<Arc<Plan>>,
) -> Result<Cases, Vec<Diagnostic>> {
    let node = read(file, text)?;
    let reader = Reader::new(file);
    let cases = reader.root("a test file", &node).map().and_then(|map| read_file(map, plan_of));
    let failed = reader.has_errors();
    let file = Arc::clone(reader.file());
    let mut diagnostics = reader.into_diagnostics();
    diagnostics.sort_by_key(|mistake| (mistake.place.start, mistake.code));
    // What all cases share is read for each of them.
    diagnostics.dedup();
    match cases {
        Some((playbook, cases)) if !failed => Ok(Cases { file, playbook, cases }),
        _ => Err(diagnostics),
    }
}

/// What all cases of a file share, and what their names are checked against.
pub(super) struct Shared<'a> {
    plan: Option<Arc<Plan>>,
    now: Timestamp,
    groups: BTreeMap<String, Vec<String>>,
    alert: Option<Field<'a>>,
    operations: BTreeMap<String, Script>,
}

impl Shared<'_> {
    pub(super) fn playbook(&self) -> Option<&Playbook> {
        self.plan.as_deref().map(|plan| &plan.playbook)
    }

    /// Reports a step that the playbook does not have. `id` may carry an
    /// index, as in `intel[2]`.
    pub(super) fn know_step(&self, reader: &Reader, place: Place, id: &str) {
        let Some(playbook) = self.playbook() else {
            return;
        };
        let plain = id.split('[').next().unwrap_or(id);
        if playbook.step(plain).is_some() {
            return;
        }
        let known = playbook.steps.iter().map(|step| step.id.to_string());
        let help = did_you_mean(plain, known).map_or_else(
            || "name a step of the playbook".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        let message = format!("`{}` has no step {}", playbook.name, quoted(plain));
        report(reader, place, "unknown-step", message, help);
    }
}

/// A mistake of the author's, at a place.
pub(super) fn report(reader: &Reader, place: Place, code: &'static str, message: String, help: String) {
    reader.report(Diagnostic::error(code, reader.file(), place, message).label("here").help(help));
}

fn read_file(map: MapReader<'_>, plan_of: &dyn Fn(&str) -> Option<Arc<Plan>>) -> Option<(String, Vec<Case>)> {
    let name_field = map.required("test");
    let name = name_field.and_then(Field::id);
    let plan = name.and_then(plan_of);
    if let (Some(field), Some(name), None) = (name_field, name, &plan) {
        let message = format!("there is no playbook {} without mistakes", quoted(name));
        field.mistake(
            "unknown-playbook",
            message,
            "write the name that stands after `playbook:`, and run `quell check` on it",
        );
    }
    let mut shared = Shared {
        plan,
        now: map.optional("now").and_then(read_time).unwrap_or_else(default_now),
        groups: map.optional("groups").map(script::read_groups).unwrap_or_default(),
        alert: map.optional("alert"),
        operations: BTreeMap::new(),
    };
    if let Some(field) = map.optional("operations") {
        shared.operations = script::read_operations(field, &shared);
    }
    let mut cases = Vec::new();
    let listed = map.required("cases");
    let items = listed.and_then(Field::list).unwrap_or_default();
    if let Some(field) = listed {
        if items.is_empty() && field.node().as_list().is_some() {
            field.mistake("empty", "there is no case here", "add one: `- case: what it shows`");
        }
        if items.len() > CASES_MAX {
            let message = format!("a test file holds at most {CASES_MAX} cases, this one {}", items.len());
            field.mistake("too-many-cases", message, "split it");
            return None;
        }
    }
    for item in items {
        cases.extend(read_case(item, &shared));
    }
    check_unique(&cases, name_field);
    map.finish();
    Some((name?.to_owned(), cases))
}

fn check_unique(cases: &[Case], field: Option<Field<'_>>) {
    let Some(field) = field else { return };
    for (at, case) in cases.iter().enumerate() {
        if let Some(first) = cases[..at].iter().find(|other| other.name == case.name) {
            let reader = field.reader();
            reader.report(
                Diagnostic::error("duplicate-case", reader.file(), case.place, "two cases have this name")
                    .label("used again")
                    .also(first.place, "first used here")
                    .help("say what this one shows that the other does not"),
            );
        }
    }
}

fn read_case(item: Field<'_>, shared: &Shared<'_>) -> Option<Case> {
    let map = item.map()?;
    let name_field = map.required("case");
    let name = name_field.and_then(Field::non_empty);
    let by_hand = map.optional("inputs");
    let own = map.optional("alert");
    let layers: Vec<Field<'_>> = shared.alert.into_iter().chain(own).collect();
    let alert = match (layers.is_empty(), by_hand) {
        (true, _) => None,
        (false, _) => alert::read_alert(&layers, shared.now),
    };
    if layers.is_empty() && by_hand.is_none() {
        item.mistake(
            "missing-key",
            "this case runs on nothing",
            "give it an `alert`, or `inputs: {}` for a run by hand",
        );
    }
    let mut groups = shared.groups.clone();
    groups.extend(map.optional("groups").map(script::read_groups).unwrap_or_default());
    let mut operations = shared.operations.clone();
    if let Some(field) = map.optional("operations") {
        operations.extend(script::read_operations(field, shared));
    }
    let answers =
        map.optional("answers").map(|field| script::read_answers(field, shared)).unwrap_or_default();
    let approvals =
        map.optional("approvals").map(|field| script::read_approvals(field, shared)).unwrap_or_default();
    let inputs = match by_hand {
        Some(field) => read_inputs(field, shared),
        None => shared.playbook().map_or(Value::Null, |playbook| defaults(&playbook.inputs)),
    };
    let expect = map.required("expect").map(|field| expect::read_expect(field, shared)).unwrap_or_default();
    let now = map.optional("now").and_then(read_time).unwrap_or(shared.now);
    map.finish();
    Some(Case {
        name: name?.to_owned(),
        place: name_field?.place(),
        now,
        alert,
        inputs,
        groups,
        operations,
        answers,
        approvals,
        expect,
    })
}

fn default_now() -> Timestamp {
    NOW_DEFAULT.parse().unwrap_or(Timestamp::EPOCH)
}

fn read_time(field: Field<'_>) -> Option<Timestamp> {
    let text = field.non_empty()?;
    let time = text.parse().ok();
    if time.is_none() {
        let message = format!("{} is no time", quoted(text));
        field.mistake("bad-time", message, "write RFC 3339, such as 2026-11-23T09:34:00Z");
    }
    time
}

/// Inputs, each declared by the playbook and of its type.
fn read_inputs(field: Field<'_>, shared: &Shared<'_>) -> Value {
    let Some(map) = field.map() else {
        return Value::Null;
    };
    let mut right = true;
    for (key, value) in map.entries() {
        let Some(playbook) = shared.playbook() else {
            continue;
        };
        let Some(spec) = playbook.inputs.iter().find(|input| input.name == key.name) else {
            let meant = did_you_mean(&key.name, playbook.inputs.iter().map(|input| &input.name));
            let help = meant.map_or_else(
                || "name an input of the playbook".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            report(
                field.reader(),
                key.place,
                "unknown-input",
                format!("`{}` has no input {}", playbook.name, quoted(&key.name)),
                help,
            );
            right = false;
            continue;
        };
        let fits = match spec.kind {
            InputKind::String => value.text().map(|_| ()),
            InputKind::Integer => value.int(i64::MIN..=i64::MAX).map(|_| ()),
            InputKind::Number => value.number(f64::MIN..=f64::MAX).map(|_| ()),
            InputKind::Boolean => value.bool().map(|_| ()),
        };
        right &= fits.is_some();
    }
    let (Some(playbook), Value::Object(given)) = (shared.playbook(), field.node().to_json()) else {
        return Value::Null;
    };
    // The same reading as that of a run. What is told of already is not told again.
    match bind(&playbook.inputs, &GivenInputs::from(given)) {
        Ok(inputs) => inputs,
        Err(wrong) => {
            if right {
                field.mistake("input-missing", wrong.to_string(), "give it under `inputs:` of the case");
            }
            Value::Null
        }
    }
}
