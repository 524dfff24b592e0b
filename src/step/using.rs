//! `connector.operation` and its `with:`, checked against the connector.

use std::sync::Arc;

use serde_json::json;

use crate::connector::spec::{ConnectorSpec, Operation};
use crate::domain::expr::template::Template;
use crate::domain::playbook::InputKind;
use crate::step::kind::Check;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::map::MapReader;
use crate::yaml::node::{Node, NodeValue};
use crate::yaml::shape::Field;

/// A connector that a playbook names and the settings do not configure.
pub const CONNECTOR_NOT_CONFIGURED: &str = "connector-not-configured";

/// An operation that a step uses.
pub struct Using {
    /// `connector.operation`.
    pub name: String,
    /// The connector.
    pub spec: Arc<ConnectorSpec>,
    /// The operation's name in it.
    pub operation: String,
    /// What it is given.
    pub input: Template,
}

impl Using {
    /// The operation.
    pub fn operation(&self) -> &Operation {
        &self.spec.operations[&self.operation]
    }
}

/// Reads the operation that a step names, and what it is given.
pub fn using<'a>(value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Using> {
    let with = step.optional("with");
    let name = value.non_empty()?;
    let Some((connector, operation)) = name.split_once('.') else {
        value.mistake(
            "not-an-operation",
            format!("`{name}` names no operation"),
            "write connector.operation, such as people.person",
        );
        return None;
    };
    let Some(spec) = check.around.connectors.get(connector).cloned() else {
        let meant = did_you_mean(connector, check.around.connectors.keys());
        let known: Vec<&str> = check.around.connectors.keys().map(String::as_str).collect();
        value.mistake(
            "unknown-connector",
            format!("there is no connector `{connector}`"),
            meant.map_or_else(
                || format!("there are: {}", known.join(", ")),
                |meant| format!("did you mean `{meant}.{operation}`?"),
            ),
        );
        return None;
    };
    let Some(found) = spec.operations.get(operation) else {
        let meant = did_you_mean(operation, spec.operations.keys());
        let known: Vec<&str> = spec.operations.keys().map(String::as_str).collect();
        value.mistake(
            "unknown-operation",
            format!("`{connector}` has no operation `{operation}`"),
            meant.map_or_else(
                || format!("it has: {}", known.join(", ")),
                |meant| format!("did you mean `{connector}.{meant}`?"),
            ),
        );
        return None;
    };
    if check.around.configured.as_ref().is_some_and(|configured| !configured.contains(connector)) {
        value.warning(
            CONNECTOR_NOT_CONFIGURED,
            format!("no connector `{connector}` is configured here: what needs it will fail"),
            format!(
                "add it under `connectors:` in the settings, such as `{connector}: {{ use: {}, url: … }}`",
                spec.name
            ),
        );
    }
    check_inputs(value, with, name, found);
    let input = match with {
        Some(field) => check.template(field)?,
        None => Template::parse(&json!({})).ok()?,
    };
    if !check.used.contains(&connector.to_owned()) {
        check.used.push(connector.to_owned());
    }
    Some(Using { name: name.to_owned(), operation: operation.to_owned(), input, spec })
}

/// Every input that is needed, none that is unknown, literals of the right type.
pub fn check_inputs(value: Field<'_>, with: Option<Field<'_>>, name: &str, operation: &Operation) {
    let given = with.and_then(|field| field.node().as_map()).unwrap_or_default();
    let known: Vec<&str> = operation.input.iter().map(|input| input.name.as_str()).collect();
    let reader = value.reader();
    for (key, _) in given {
        if !known.contains(&key.name.as_str()) {
            let help = did_you_mean(&key.name, &known).map_or_else(
                || format!("it takes: {}", known.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            reader.report(
                Diagnostic::error(
                    "unknown-input",
                    reader.file(),
                    key.place,
                    format!("`{name}` takes no `{}`", key.name),
                )
                .label("unknown input")
                .help(help),
            );
        }
    }
    for input in &operation.input {
        let node = given.iter().find(|(key, _)| key.name == input.name).map(|(_, node)| node);
        match node {
            None if input.required => {
                let place = with.map_or(value.place(), |field| field.place());
                reader.report(
                    Diagnostic::error(
                        "missing-input",
                        reader.file(),
                        place,
                        format!("`{name}` needs `{}`", input.name),
                    )
                    .label("missing here")
                    .help(format!("add `{}: …` under `with:`", input.name)),
                );
            }
            Some(node) if !fits(node, input.kind) => {
                let message = format!(
                    "`{}` of `{name}` takes {}, found {}",
                    input.name,
                    kind_word(input.kind),
                    node.kind_name()
                );
                reader.report(
                    Diagnostic::error("wrong-type", reader.file(), node.place, message)
                        .label("of another type")
                        .help(format!("write {}, or an expression that gives it", kind_word(input.kind))),
                );
            }
            _ => {}
        }
    }
}

fn fits(node: &Node, kind: Option<InputKind>) -> bool {
    match (&node.value, kind) {
        (_, None) => true,
        (NodeValue::Str(text), _) if text.contains("${") => true,
        (NodeValue::Str(_), Some(InputKind::String))
        | (NodeValue::Int(_), Some(InputKind::Integer | InputKind::Number))
        | (NodeValue::Float(_), Some(InputKind::Number))
        | (NodeValue::Bool(_), Some(InputKind::Boolean)) => true,
        _ => false,
    }
}

fn kind_word(kind: Option<InputKind>) -> &'static str {
    match kind {
        Some(InputKind::String) => "text",
        Some(InputKind::Integer) => "a whole number",
        Some(InputKind::Number) => "a number",
        Some(InputKind::Boolean) => "true or false",
        None => "anything",
    }
}
