//! What must hold when a case is over.

use crate::domain::address::address_key;
use crate::domain::event::RunEnd;
use crate::domain::incident::Disposition;
use crate::domain::playbook::Body;
use crate::domain::run::{StepEnd, StepKey};
use crate::playbook::case::file::{Shared, report};
use crate::playbook::case::script::{meant, scripted};
use crate::playbook::case::{Effected, Expect, Expectation};
use crate::yaml::diagnostic::{did_you_mean, quoted};
use crate::yaml::node::Place;
use crate::yaml::shape::Field;

/// Reads `expect:`.
pub(super) fn read_expect(field: Field<'_>, shared: &Shared<'_>) -> Vec<Expectation> {
    let Some(map) = field.map() else {
        return Vec::new();
    };
    let mut found = Found(Vec::new());
    if let Some(field) = map.optional("triggered") {
        found.add(field.place(), field.bool().map(Expect::Triggered));
    }
    if let Some(field) = map.optional("end") {
        let end = field.one_of(&["succeeded", "failed", "cancelled"]).map(|end| match end {
            "failed" => RunEnd::Failed,
            "cancelled" => RunEnd::Cancelled,
            _ => RunEnd::Succeeded,
        });
        found.add(field.place(), end.map(Expect::End));
    }
    if let Some(field) = map.optional("disposition") {
        found.add(field.place(), read_disposition(field));
    }
    if let Some(field) = map.optional("steps") {
        read_steps(field, shared, &mut found);
    }
    if let Some(field) = map.optional("outputs") {
        read_outputs(field, shared, &mut found);
    }
    if let Some(field) = map.optional("effects") {
        let effects = field
            .list()
            .map(|items| items.into_iter().filter_map(|item| read_effect(item, shared)).collect());
        found.add(field.place(), effects.map(Expect::Effects));
    }
    if let Some(field) = map.optional("mail") {
        read_mail(field, shared, &mut found);
    }
    if let Some(field) = map.optional("never_told") {
        for address in field.one_or_many() {
            found.add(
                address.place(),
                address.non_empty().map(|address| Expect::NeverTold(address_key(address))),
            );
        }
    }
    if let Some(field) = map.optional("reports") {
        read_reports(field, shared, &mut found);
    }
    if let Some(field) = map.optional("still_contained") {
        let steps = field.one_or_many().into_iter().filter_map(|item| {
            let id = item.non_empty()?;
            shared.know_step(item.reader(), item.place(), id);
            Some(id.to_owned())
        });
        found.add(field.place(), Some(Expect::StillContained(steps.collect())));
    }
    if field.node().as_map().is_some_and(<[_]>::is_empty) {
        field.mistake(
            "empty",
            "this case expects nothing, so it cannot fail",
            "say how the run ends: `end: succeeded`",
        );
    }
    map.finish();
    found.0
}

struct Found(Vec<Expectation>);

impl Found {
    fn add(&mut self, place: Place, what: Option<Expect>) {
        self.0.extend(what.map(|what| Expectation { place, what }));
    }
}

fn read_disposition(field: Field<'_>) -> Option<Expect> {
    const NONE: &str = "none";
    let mut names = Disposition::NAMES.to_vec();
    names.push(NONE);
    let name = field.one_of(&names)?;
    if name == NONE {
        return Some(Expect::Disposition(None));
    }
    serde_json::from_value(name.into()).ok().map(|disposition| Expect::Disposition(Some(disposition)))
}

/// A step, perhaps one item of a loop: `suspend`, `intel[2]`.
fn known_step(field: Field<'_>, place: Place, name: &str, shared: &Shared<'_>) -> bool {
    match name.parse::<StepKey>() {
        Ok(_) => {
            shared.know_step(field.reader(), place, name);
            true
        }
        Err(message) => {
            report(
                field.reader(),
                place,
                "bad-id",
                message,
                "an item of a loop is written intel[2]".to_owned(),
            );
            false
        }
    }
}

fn read_steps(field: Field<'_>, shared: &Shared<'_>, found: &mut Found) {
    const ENDS: &[&str] =
        &["succeeded", "failed", "skipped", "undone", "uncertain", "cancelled", "not_reached"];
    let Some(map) = field.map() else { return };
    for (key, value) in map.entries() {
        if !known_step(field, key.place, &key.name, shared) {
            continue;
        }
        let Some(word) = value.one_of(ENDS) else {
            continue;
        };
        let end = match word {
            "succeeded" => Some(StepEnd::Succeeded),
            "failed" => Some(StepEnd::Failed),
            "skipped" => Some(StepEnd::Skipped),
            "undone" => Some(StepEnd::Undone),
            "uncertain" => Some(StepEnd::Uncertain),
            "cancelled" => Some(StepEnd::Cancelled),
            _ => None,
        };
        found.add(value.place(), Some(Expect::Step { step: key.name.clone(), end }));
    }
}

fn read_outputs(field: Field<'_>, shared: &Shared<'_>, found: &mut Found) {
    let Some(map) = field.map() else { return };
    for (key, value) in map.entries() {
        if known_step(field, key.place, &key.name, shared) {
            let what = Expect::Output { step: key.name.clone(), holds: value.node().to_json() };
            found.add(value.place(), Some(what));
        }
    }
}

/// `scim.suspend_user`, or `undo scim.suspend_user`.
fn read_effect(field: Field<'_>, shared: &Shared<'_>) -> Option<Effected> {
    let text = field.non_empty()?;
    let (undo, operation) = match text.strip_prefix("undo ") {
        Some(operation) => (true, operation.trim()),
        None => (false, text),
    };
    if let Some(playbook) = shared.playbook() {
        let known = scripted(playbook);
        if !known.iter().any(|(name, _)| name == operation) {
            let help = meant(operation, &known);
            field.mistake(
                "unknown-operation",
                format!("`{}` uses no operation {}", playbook.name, quoted(operation)),
                help,
            );
            return None;
        }
    }
    Some(Effected { operation: operation.to_owned(), undo })
}

fn read_mail(field: Field<'_>, shared: &Shared<'_>, found: &mut Found) {
    let Some(map) = field.map() else { return };
    for (key, to) in map.entries() {
        shared.know_step(field.reader(), key.place, &key.name);
        // `[]` says that it wrote to nobody.
        let to_nobody = to.node().as_list().is_some_and(<[_]>::is_empty);
        let addresses = if to_nobody { Some(Vec::new()) } else { to.texts() };
        let what = addresses.map(|addresses| Expect::Mail {
            step: key.name.clone(),
            to: addresses.into_iter().map(address_key).collect(),
        });
        found.add(to.place(), what);
    }
}

fn read_reports(field: Field<'_>, shared: &Shared<'_>, found: &mut Found) {
    let Some(map) = field.map() else { return };
    for (key, spec) in map.entries() {
        if let Some(playbook) = shared.playbook() {
            let written = playbook.steps.iter().filter_map(|step| match &step.body {
                Body::Perform(action) => {
                    action.input.source().get("template")?.as_str().filter(|_| &*step.kind == "report")
                }
                _ => None,
            });
            let names: Vec<&str> = written.collect();
            if !names.contains(&key.name.as_str()) {
                let help = did_you_mean(&key.name, &names).map_or_else(
                    || format!("it writes: {}", names.join(", ")),
                    |meant| format!("did you mean `{meant}`?"),
                );
                let message = format!("`{}` writes no report {}", playbook.name, quoted(&key.name));
                report(field.reader(), key.place, "unknown-template", message, help);
            }
        }
        let Some(inner) = spec.map() else { continue };
        let texts = |key| {
            let field: Option<Field<'_>> = inner.optional(key);
            field
                .and_then(Field::texts)
                .unwrap_or_default()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (contains, lacks) = (texts("contains"), texts("lacks"));
        inner.finish();
        found.add(spec.place(), Some(Expect::Report { template: key.name.clone(), contains, lacks }));
    }
}
