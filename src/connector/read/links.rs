//! Operations that name each other: they exist, those that look only read, and
//! each is given what it needs. Such a mistake would else show in an incident.

use std::collections::BTreeMap;

use crate::connector::read::reconcile::names_input;
use crate::connector::spec::{Containment, Operation, Reconcile};
use crate::domain::expr::References;
use crate::domain::playbook::Effect;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::node::Place;
use crate::yaml::shape::Field;

/// What a capture gives, as `captured.*`.
const CAPTURED_NAMES: &[&str] = &["target", "id", "already", "state", "attributes"];

/// Checks the operations under `operations:` against each other. Those that
/// could not be read are known by name and checked no further.
pub(super) fn check_links(field: Field<'_>, operations: &BTreeMap<String, Operation>) {
    let written: Vec<&str> =
        field.node().as_map().unwrap_or_default().iter().map(|(key, _)| key.name.as_str()).collect();
    let links = Links { field, operations, written };
    for (name, operation) in operations {
        if let Some(containment) = &operation.containment {
            links.check_containment(name, operation, containment);
        }
        if let Some(reconcile) = &operation.reconcile {
            links.check_reconcile(name, operation, reconcile);
        }
        links.check_captured(name, operation);
    }
}

struct Links<'a> {
    field: Field<'a>,
    operations: &'a BTreeMap<String, Operation>,
    written: Vec<&'a str>,
}

impl Links<'_> {
    fn check_containment(&self, name: &str, operation: &Operation, containment: &Containment) {
        let given: Vec<&str> = operation.input.iter().map(|field| field.name.as_str()).collect();
        let capture = &containment.capture;
        if let Some(found) = self.target(name, "capture", &capture.with, true) {
            self.check_given(name, "capture", &capture.with, found, &given);
            let outputs = [
                Some(capture.id.references()),
                Some(capture.label.references()),
                capture.matches.as_ref().map(|it| it.references()),
                capture.attributes.as_ref().map(|it| it.references()),
            ];
            for references in outputs.into_iter().flatten() {
                self.check_outputs(name, "capture", found, references);
            }
            for kept in capture.keep.iter().filter(|kept| !found.output_names.contains(kept)) {
                self.unknown(
                    name,
                    "capture",
                    &format!("`{}` gives no `{kept}` to keep", capture.with),
                    did_you_mean(kept, &found.output_names),
                );
            }
        }
        if let Some(verify) = &containment.verify
            && let Some(found) = self.target(name, "verify", &verify.with, true)
        {
            match verify.input.as_ref().map(|input| input.source()) {
                None => self.check_given(name, "verify", &verify.with, found, &given),
                Some(input) => {
                    let keys: Vec<&str> = input
                        .as_object()
                        .map(|map| map.keys().map(String::as_str).collect())
                        .unwrap_or_default();
                    self.check_given(name, "verify", &verify.with, found, &keys);
                }
            }
            self.check_outputs(name, "verify", found, verify.holds.references());
            for kept in capture
                .keep
                .iter()
                .filter(|kept| containment.undo.is_some() && !found.output_names.contains(kept))
            {
                self.unknown(name, "verify", &format!("`{}` gives no `{kept}`, which `capture` keeps, so nobody could tell whether it was restored", verify.with), did_you_mean(kept, &found.output_names));
            }
        }
        if let Some(undo) = &containment.undo
            && let Some(found) = self.target(name, "undo", undo, false)
        {
            self.check_given(name, "undo", undo, found, &given);
        }
        for other in &containment.pair {
            self.target(name, "pair", other, false);
        }
    }

    fn check_reconcile(&self, name: &str, operation: &Operation, reconcile: &Reconcile) {
        let Some(found) = self.target(name, "reconcile", &reconcile.with, true) else {
            return;
        };
        let own: Vec<&str> = operation.input.iter().map(|field| field.name.as_str()).collect();
        let given = reconcile.input.as_ref().and_then(|input| input.source().as_object());
        let given = given.map_or(own, |map| map.keys().map(String::as_str).collect());
        self.check_given(name, "reconcile", &reconcile.with, found, &given);
        let with = &reconcile.with;
        if let Some(marker) = &operation.marker {
            let asks = match &reconcile.input {
                Some(input) => names_input(input.references(), marker),
                None => found.input.iter().any(|field| field.name == *marker),
            };
            if !asks {
                self.report(
                    self.place(name, "reconcile"),
                    "marker-not-asked",
                    format!("`reconcile` of `{name}` does not ask for the mark `{marker}`"),
                    &format!("add `input: {{ …: \"${{ input.{marker} }}\" }}`"),
                );
            }
        }
        let outputs = [
            reconcile.happened.as_ref().map(|it| it.references()),
            reconcile.output.as_ref().map(|it| it.references()),
        ];
        for references in outputs.into_iter().flatten() {
            self.check_outputs(name, "reconcile", found, references);
        }
        if reconcile.happened.is_none() && found.absent.is_none() && found.matches.is_none() {
            self.report(
                self.place(name, "reconcile"),
                "reconcile-without-no",
                format!("`{with}` does not declare when there is none, so every answer would mean that it happened"),
                &format!("add `happened:` here, or `absent:` or `matches:` to `{with}`"),
            );
        }
        let gives = reconcile.output_names.as_ref().unwrap_or(&found.output_names);
        for missing in operation.output_names.iter().filter(|wanted| !gives.contains(wanted)) {
            self.unknown(
                name,
                "reconcile",
                &format!("it gives no `{missing}`, which `{name}` gives and later steps may name"),
                did_you_mean(missing, gives),
            );
        }
    }

    /// The operation that a link names, reported when it is not there or does
    /// more than it may.
    fn target(&self, name: &str, key: &str, target: &str, reads: bool) -> Option<&Operation> {
        let found = self.operations.get(target);
        match found {
            None if self.written.contains(&target) => {}
            None => self.unknown_operation(name, key, target),
            Some(found) if reads && found.effect != Effect::Read => {
                self.field.mistake_at(
                    self.place(name, key),
                    "look-that-writes",
                    format!("`{key}` of `{name}` uses `{target}`, which does not only read"),
                    "name an operation with `effect: R`",
                );
            }
            Some(_) => {}
        }
        found
    }

    fn check_given(&self, name: &str, key: &str, with: &str, found: &Operation, given: &[&str]) {
        for needed in found.input.iter().filter(|field| {
            field.required && field.default.is_none() && !given.contains(&field.name.as_str())
        }) {
            self.unknown(
                name,
                key,
                &format!("`{with}` needs the input `{}`, and `{name}` has none to give", needed.name),
                None,
            );
        }
    }

    fn check_outputs(&self, name: &str, key: &str, found: &Operation, references: &References) {
        for path in &references.paths {
            if let [root, output, ..] = path.as_slice()
                && root == "output"
                && !found.output_names.contains(output)
            {
                self.unknown(
                    name,
                    key,
                    &format!("`output.{output}` is not known here"),
                    did_you_mean(output, &found.output_names).map(|meant| format!("output.{meant}")),
                );
            }
        }
    }

    /// `captured.*` exists only where something was captured: in a containment
    /// and in what undoes one.
    fn check_captured(&self, name: &str, operation: &Operation) {
        let Some(request) = &operation.request else {
            return;
        };
        let templates = request
            .path
            .iter()
            .chain(
                request
                    .query
                    .iter()
                    .chain(&request.headers)
                    .chain(&request.form)
                    .map(|(_, template)| template),
            )
            .chain(&request.body);
        let captures: Vec<&Containment> = self
            .operations
            .iter()
            .filter_map(|(other, found)| {
                found
                    .containment
                    .as_ref()
                    .filter(|containment| other == name || containment.undo.as_deref() == Some(name))
            })
            .collect();
        for path in templates
            .flat_map(|template| &template.references().paths)
            .filter(|path| path.first().is_some_and(|root| root == "captured"))
        {
            let known = match path.get(1..).unwrap_or_default() {
                _ if captures.is_empty() => false,
                [state, kept, ..] if state == "state" => {
                    captures.iter().all(|containment| containment.capture.keep.contains(kept))
                }
                [one, ..] => CAPTURED_NAMES.contains(&one.as_str()),
                [] => true,
            };
            if !known {
                let help = if captures.is_empty() {
                    "only a containment, and the operation that undoes it, have a captured state".to_owned()
                } else {
                    "a capture gives `target`, `id`, `attributes`, and what it keeps under `state`".to_owned()
                };
                self.report(
                    self.place(name, "request"),
                    "unknown-name",
                    format!("`{}` is not known in `{name}`", path.join(".")),
                    &help,
                );
            }
        }
    }

    fn unknown_operation(&self, name: &str, key: &str, target: &str) {
        let help = did_you_mean(target, self.operations.keys()).map_or_else(
            || "add it under `operations:`".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        self.report(
            self.place(name, key),
            "unknown-operation",
            format!("`{key}` of `{name}` names the operation `{target}`, which is not there"),
            &help,
        );
    }

    fn unknown(&self, name: &str, key: &str, message: &str, meant: Option<String>) {
        let help = meant.map_or_else(
            || "declare it there, or name another".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        self.report(self.place(name, key), "unknown-name", format!("`{key}` of `{name}`: {message}"), &help);
    }

    fn report(&self, place: Place, code: &'static str, message: String, help: &str) {
        let reader = self.field.reader();
        reader.report(Diagnostic::error(code, reader.file(), place, message).label("here").help(help));
    }

    fn place(&self, operation: &str, key: &str) -> Place {
        let node = self.field.node();
        node.get(operation).and_then(|node| node.get(key)).unwrap_or(node).place
    }
}
