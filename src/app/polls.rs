//! `poll:` of the configured sources: what is asked, with what, how often.
//!
//! ```yaml
//! sources:
//!   okta:
//!     use: okta-system-log
//!     poll:
//!       operation: okta.list_events
//!       with: { since: "${ cursor }" }
//!       first: "2026-11-01T00:00:00Z"
//!       cursor: "${ output.next }"
//!       alerts: "${ output.events }"
//!       more: "${ size(output.events) >= 200 }"
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::authored::expressions::{check_roots, expression, template};
use crate::connector::spec::{ConnectorSpec, Operation};
use crate::domain::expr::template::Template;
use crate::domain::expr::{Expr, References};
use crate::domain::playbook::Effect;
use crate::domain::poll::PollSpec;
use crate::domain::value::Value;
use crate::step::kind::Surroundings;
use crate::step::using::{CONNECTOR_NOT_CONFIGURED, check_inputs};
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::map::MapReader;
use crate::yaml::node::{Node, NodeValue};
use crate::yaml::shape::{Field, Reader};

/// How long between two looks when nothing is said.
const EVERY_DEFAULT: Duration = Duration::from_secs(60);

/// The least pause between two looks, and the longest.
const EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(24 * 3600)];

/// How long an answer may take when nothing is said: pages of a list take longer
/// than a look at one thing.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// The longest that it may be allowed to take.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Reads the `poll:` of every source in `sources:` of the settings, with every
/// mistake. What else stands there is read by `sources`.
pub fn read_polls(
    file: &str,
    section: &Node,
    around: &Surroundings,
) -> (BTreeMap<String, PollSpec>, Vec<Diagnostic>) {
    let reader = Reader::new(file);
    let mut polls = BTreeMap::new();
    if section.as_map().is_some()
        && let Some(map) = reader.root("`sources`", section).map()
    {
        for (key, field) in map.entries().into_iter().filter(|(_, field)| field.node().as_map().is_some()) {
            let poll = field.map().and_then(|source| source.optional("poll")).and_then(Field::map);
            if let Some(poll) = poll.and_then(|poll| read_poll(poll, around)) {
                polls.insert(key.name.clone(), poll);
            }
        }
    }
    (polls, reader.into_diagnostics())
}

fn read_poll(map: MapReader<'_>, around: &Surroundings) -> Option<PollSpec> {
    let asked = map.required("operation").and_then(|field| read_operation(field, &map, around));
    let first = map.optional("first").map(read_first).unwrap_or_default();
    let operation = asked.as_ref().map(|(spec, _, name)| &spec.operations[*name]);
    let input = match map.optional("with") {
        Some(field) => over_cursor(field),
        None => Template::parse(&json!({})).ok(),
    };
    let over_output = |key| {
        let field: Field<'_> = map.optional(key)?;
        let expr = expression(field, "")?;
        check_roots(field.reader(), field.place(), expr.references(), &["cursor", "output"]);
        check_output(field, expr.references(), operation);
        Some(expr)
    };
    let (cursor, alerts, more) = (over_output("cursor"), over_output("alerts"), over_output("more"));
    if cursor.is_none()
        && let Some(field) = map.optional("more")
    {
        let message = "`more` says that a further page waits, and no `cursor` says where it begins";
        field.mistake(
            "more-without-cursor",
            message,
            "write `cursor:`, or leave `more` out: each answer is the whole list",
        );
    }
    told_where_it_begins(&map, input.as_ref(), cursor.as_ref(), &first);
    let within = |key, default, [least, most]: [Duration; 2]| {
        let Some(field) = map.optional(key) else { return Some(default) };
        let found = Field::duration(field)?;
        if (least..=most).contains(&found) {
            return Some(found);
        }
        field.mistake(
            "out-of-range",
            format!("`{key}` is too short or too long"),
            "write 1s up to 24h; 1m is common",
        );
        None
    };
    let every = within("every", EVERY_DEFAULT, EVERY);
    let timeout = within("timeout", TIMEOUT_DEFAULT, [EVERY[0], TIMEOUT_MAX]);
    map.finish();
    let (_, connector, operation) = asked?;
    let (connector, operation) = (connector.to_owned(), operation.to_owned());
    Some(PollSpec {
        connector,
        operation,
        input: input?,
        first,
        cursor,
        alerts,
        more,
        every: every?,
        timeout: timeout?,
    })
}

/// The operation that is asked: of a configured connector, and one that only reads.
fn read_operation<'a>(
    field: Field<'a>,
    map: &MapReader<'a>,
    around: &Surroundings,
) -> Option<(Arc<ConnectorSpec>, &'a str, &'a str)> {
    let name = field.non_empty()?;
    let Some((connector, operation)) = name.split_once('.') else {
        let message = format!("`{name}` names no operation");
        field.mistake("not-an-operation", message, "write connector.operation, such as okta.list_events");
        return None;
    };
    let configured = around.configured.as_ref().filter(|configured| configured.contains(connector));
    let Some(spec) = configured.and(around.connectors.get(connector)) else {
        let known = around.configured.iter().flatten();
        let help = did_you_mean(connector, known).map_or_else(
            || format!("add it under `connectors:`, such as `{connector}: {{ use: …, url: … }}`"),
            |meant| format!("did you mean `{meant}.{operation}`?"),
        );
        let message = format!("no connector `{connector}` is configured here");
        field.mistake(CONNECTOR_NOT_CONFIGURED, message, help);
        return None;
    };
    let Some(found) = spec.operations.get(operation) else {
        let known: Vec<&str> = spec.operations.keys().map(String::as_str).collect();
        let help = did_you_mean(operation, &known).map_or_else(
            || format!("it has: {}", known.join(", ")),
            |meant| format!("did you mean `{connector}.{meant}`?"),
        );
        field.mistake("unknown-operation", format!("`{connector}` has no operation `{operation}`"), help);
        return None;
    };
    if found.effect != Effect::Read {
        let message = format!("`{name}` is no operation that only reads, and a poll repeats it for ever");
        field.mistake("poll-that-writes", message, "take one whose `effect` is R");
        return None;
    }
    check_inputs(field, map.optional("with"), name, found);
    Some((Arc::clone(spec), connector, operation))
}

/// Where the list begins: a text or a number.
fn read_first(field: Field<'_>) -> Value {
    match &field.node().value {
        NodeValue::Map(_) | NodeValue::List(_) => {
            field.mistake(
                "wrong-type",
                "`first` is a text or a number",
                "write what `cursor` is before anything was read",
            );
            Value::Null
        }
        _ => field.node().to_json(),
    }
}

fn over_cursor(field: Field<'_>) -> Option<Template> {
    let template = template(field.reader(), field.node(), "")?;
    check_roots(field.reader(), field.place(), template.references(), &["cursor"]);
    Some(template)
}

/// What is asked for by a cursor must say what it is at first and what comes next.
fn told_where_it_begins(map: &MapReader<'_>, input: Option<&Template>, cursor: Option<&Expr>, first: &Value) {
    let names_it = |references: &References| {
        references.paths.iter().any(|path| path.first().is_some_and(|root| root == "cursor"))
    };
    let Some(with) = map.optional("with").filter(|_| input.is_some_and(|input| names_it(input.references())))
    else {
        return;
    };
    if cursor.is_none() && map.optional("cursor").is_none() {
        let help = "add `cursor: \"${ output.next }\"`: where the next page begins";
        with.mistake("poll-without-cursor", "nothing says what `cursor` becomes", help);
    }
    if first.is_null() && map.optional("first").is_none() {
        let help = "add `first:`, such as a time; without it `cursor` is null at first";
        with.warning("poll-without-first", "nothing says what `cursor` is before anything was read", help);
    }
}

/// The names in `output` are those that the operation gives.
fn check_output(field: Field<'_>, references: &References, operation: Option<&Operation>) {
    let Some(names) = operation.map(|found| &found.output_names).filter(|names| !names.is_empty()) else {
        return;
    };
    for path in references.paths.iter().filter(|path| path.first().is_some_and(|root| root == "output")) {
        let Some(name) = path.get(1).filter(|name| !names.contains(name)) else { continue };
        let help = did_you_mean(name, names).map_or_else(
            || format!("it gives: {}", names.join(", ")),
            |meant| format!("did you mean `output.{meant}`?"),
        );
        field.mistake("unknown-output", format!("the operation gives no `{name}`"), help);
    }
}
