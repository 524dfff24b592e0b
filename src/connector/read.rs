//! A connector's file → its specification, every mistake at once.

mod containment;
mod links;
mod reconcile;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::authored::expressions::{check_roots, expression, template};
use crate::connector::read::containment::read_containment;
use crate::connector::read::links::check_links;
use crate::connector::read::reconcile::{Marked, read_marker};
use crate::connector::read::request::{check_header, check_inputs, over, read_request};
use crate::connector::spec::{Auth, ConnectorSpec, DriverKind, InputField, Limits, Operation};
use crate::domain::expr::template::Template;
use crate::domain::playbook::{Effect, InputKind};
use crate::yaml::diagnostic::{Diagnostic, quoted};
use crate::yaml::map::MapReader;
use crate::yaml::node::{Key, Node};
use crate::yaml::reader::read;
use crate::yaml::shape::{Field, Reader, is_id};

/// Bytes of an answer that are read when a connector does not say: directory
/// and inventory answers are some kilobytes; 2 MiB bounds what a peer can cost.
pub const BODY_BYTES_DEFAULT: usize = 2 * 1024 * 1024;

/// Calls at the same time when a connector does not say.
const AT_ONCE_DEFAULT: usize = 8;

/// What a connector may say it has been run against.
const PROVEN: &[&str] = &["simulated", "spec", "real-server", "live-tenant"];

/// Names an expression over an answer may use.
const ANSWER_NAMES: &[&str] = &["input", "captured", "status", "headers", "body"];

/// The one operation that the mail transport knows.
const MAIL_OPERATION: &str = "send";

/// The longest that one call may take: what takes longer is asked for and then
/// looked after.
const CALL_TIME_MAX: Duration = Duration::from_secs(600);

impl ConnectorSpec {
    /// Reads a connector's file.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(file: &str, text: &str) -> Result<ConnectorSpec, Vec<Diagnostic>> {
        let node = read(file, text)?;
        let reader = Reader::new(file);
        let spec = reader.root("a connector", &node).map().and_then(|map| connector(map, text));
        let diagnostics_found = reader.has_errors();
        match spec {
            Some(spec) if !diagnostics_found => Ok(spec),
            _ => {
                let mut mistakes = reader.into_diagnostics();
                mistakes.sort_by_key(|mistake| (mistake.place.start, mistake.code));
                Err(mistakes)
            }
        }
    }
}

fn connector(map: MapReader<'_>, text: &str) -> Option<ConnectorSpec> {
    let name = map.required("connector").and_then(Field::id);
    let title = map.required("title").and_then(Field::non_empty);
    let docs = map.optional("docs").and_then(Field::non_empty).map(str::to_owned);
    let driver_field = map.optional("driver");
    let driver = match driver_field.map(|field| field.one_of(&["http", "smtp"])) {
        Some(Some("smtp")) => DriverKind::Smtp,
        // What an operation needs depends on it, so nothing more is told of them.
        Some(None) => return None,
        _ => DriverKind::Http,
    };
    let auth = map.optional("auth").and_then(|field| read_auth(field, text));
    let limits = read_limits(map.optional("limits"));
    let proven = map.required("proven").and_then(|field| field.one_of(PROVEN));
    let mut operations = BTreeMap::new();
    if let Some(list) = map.required("operations").and_then(Field::map) {
        for (key, field) in list.entries() {
            if !is_id(&key.name) {
                field.mistake_at(
                    key.place,
                    "bad-id",
                    format!("`{}` is not an id", key.name),
                    "write it as `get_user`",
                );
            }
            if driver == DriverKind::Smtp && key.name != MAIL_OPERATION {
                field.mistake_at(
                    key.place,
                    "unknown-operation",
                    format!("the mail transport has no operation `{}`", key.name),
                    format!("it knows only `{MAIL_OPERATION}`"),
                );
            }
            if let Some(operation) = read_operation(field, text, driver) {
                operations.insert(key.name.clone(), operation);
            }
        }
    }
    if let Some(field) = map.optional("operations") {
        check_links(field, &operations);
    }
    map.finish();
    Some(ConnectorSpec {
        name: name?.to_owned(),
        title: title?.to_owned(),
        docs,
        driver,
        auth,
        limits,
        proven: proven?,
        operations,
        text: text.to_owned(),
    })
}

fn read_auth(field: Field<'_>, text: &str) -> Option<Auth> {
    let map = field.map()?;
    let entries = field.node().as_map().unwrap_or_default();
    let known = |(key, _): &&(Key, Node)| ["basic", "header", "value"].contains(&key.name.as_str());
    if let Some((key, _)) = entries.first().filter(|_| !entries.iter().any(|entry| known(&entry))) {
        let help = "write `header: Authorization` with `value: \"Bearer ${ secret.token }\"`, or `basic: { user: …, password: … }`; a token that OAuth gives out is fetched outside and given as `secret.token`";
        let message = format!("a connector cannot sign in by {}", quoted(&key.name));
        field.mistake_at(key.place, "unknown-auth", message, help);
        return None;
    }
    let auth = if let Some(basic) = map.optional("basic") {
        let basic = basic.map()?;
        let user = basic.required("user").and_then(|value| over_secrets(value, text));
        let password = basic.required("password").and_then(|value| over_secrets(value, text));
        basic.finish();
        user.zip(password).map(|(user, password)| Auth::Basic { user, password })
    } else {
        let header = map.required("header").and_then(Field::non_empty);
        if let (Some(name), Some(field)) = (header, map.optional("header")) {
            check_header(field, name);
        }
        let value = map.required("value").and_then(|value| over_secrets(value, text));
        header.zip(value).map(|(header, value)| Auth::Header { header: header.to_owned(), value })
    };
    map.finish();
    auth
}

fn over_secrets(field: Field<'_>, text: &str) -> Option<Template> {
    let template = template(field.reader(), field.node(), text)?;
    check_roots(field.reader(), field.place(), template.references(), &["secret"]);
    if template.references().paths.is_empty() {
        field.mistake(
            "secret-written-out",
            "a secret is never written into a connector",
            "write `${ secret.token }`, and the reference under `auth:` in the settings",
        );
    }
    Some(template)
}

fn read_limits(field: Option<Field<'_>>) -> Limits {
    let mut limits =
        Limits { per_minute: None, at_once: AT_ONCE_DEFAULT, timeout: None, body_bytes: BODY_BYTES_DEFAULT };
    let Some(map) = field.and_then(Field::map) else {
        return limits;
    };
    limits.per_minute = map
        .optional("per_minute")
        .and_then(|field| field.int(1..=1_000_000))
        .and_then(|n| u32::try_from(n).ok());
    if let Some(at_once) = map.optional("at_once").and_then(|field| field.int(1..=1000)) {
        limits.at_once = usize::try_from(at_once).unwrap_or(limits.at_once);
    }
    limits.timeout =
        map.optional("timeout").and_then(Field::duration).map(|timeout| timeout.min(CALL_TIME_MAX));
    if let Some(bytes) = map.optional("body").and_then(Field::size) {
        limits.body_bytes = usize::try_from(bytes).unwrap_or(limits.body_bytes).min(16 * BODY_BYTES_DEFAULT);
    }
    map.finish();
    limits
}

fn read_operation(field: Field<'_>, text: &str, driver: DriverKind) -> Option<Operation> {
    let map = field.map()?;
    let effect =
        map.required("effect").and_then(|field| field.one_of(&["R", "I", "K", "N"])).map(
            |effect| match effect {
                "R" => Effect::Read,
                "I" => Effect::Idempotent,
                "K" => Effect::Keyed,
                _ => Effect::Once,
            },
        );
    let input_field = map.optional("input");
    let input = input_field.map(read_input).unwrap_or_default();
    // An input with a mistake is there: where it is used there is no second one.
    let names = input_field.and_then(|field| field.node().as_map()).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|(key, _)| key.name.clone()).collect();
    if input_field.is_some_and(|field| field.node().as_map().is_none()) {
        return None;
    }
    let request = match driver {
        DriverKind::Http => map.required("request").and_then(|field| read_request(field, text, &names)),
        DriverKind::Smtp => None,
    };
    let answer = |key| {
        map.optional(key).and_then(|field| {
            let expr = expression(field, text)?;
            check_roots(field.reader(), field.place(), expr.references(), ANSWER_NAMES);
            check_inputs(field, &expr.references().paths, &names);
            Some(expr)
        })
    };
    let (success, absent, matches) = (answer("success"), answer("absent"), answer("matches"));
    let refused = answer("refused");
    let mut output_names = Vec::new();
    let output = map.optional("output").and_then(|field| {
        output_names =
            field.node().as_map().unwrap_or_default().iter().map(|(key, _)| key.name.clone()).collect();
        over(field, text, ANSWER_NAMES, &names)
    });
    let containment = read_containment(&map, text, &names);
    let marked = Marked { effect, driver, input: &input, names: &names, request: request.as_ref() };
    let (marker, reconcile) = read_marker(&map, text, &marked);
    let safe = request.as_ref().is_none_or(|request| matches!(request.method.as_str(), "GET" | "HEAD"));
    let reads = map.optional("reads").and_then(Field::bool).unwrap_or(false);
    if effect == Some(Effect::Read) && !safe && !reads {
        field.mistake(
            "read-that-writes",
            "an operation of effect R must use GET or HEAD",
            "if this POST only searches, say `reads: true`",
        );
    }
    let keyed = request.as_ref().is_some_and(|request| request.idempotency_header.is_some());
    if driver == DriverKind::Http && request.is_some() && keyed != (effect == Some(Effect::Keyed)) {
        field.mistake(
            "key-and-effect",
            "effect K and `idempotency_header` belong together",
            "name the header by which the peer knows a repeated request, or declare another effect",
        );
    }
    if driver == DriverKind::Smtp && effect.is_some_and(|effect| effect != Effect::Once) {
        field.mistake(
            "mail-that-repeats",
            "a mail has the effect N: nothing keeps a server from taking it twice",
            "write `effect: N`",
        );
    }
    map.finish();
    Some(Operation {
        effect: effect?,
        input,
        request,
        success,
        absent,
        refused,
        matches,
        output,
        marker,
        reconcile,
        output_names,
        containment,
    })
}

fn read_input(field: Field<'_>) -> Vec<InputField> {
    let Some(map) = field.map() else {
        return Vec::new();
    };
    map.entries()
        .into_iter()
        .filter_map(|(key, field)| {
            let spec = field.map()?;
            let kind = spec
                .required("type")
                .and_then(|field| field.one_of(&["string", "integer", "number", "boolean", "any"]));
            let required = spec.optional("required").and_then(Field::bool).unwrap_or(false);
            let default = spec.optional("default").map(|field| field.node().to_json());
            spec.finish();
            if !is_id(&key.name) {
                field.mistake_at(
                    key.place,
                    "bad-id",
                    format!("`{}` is not an id", key.name),
                    "write it as `user_id`",
                );
            }
            let kind = match kind? {
                "string" => Some(InputKind::String),
                "integer" => Some(InputKind::Integer),
                "number" => Some(InputKind::Number),
                "boolean" => Some(InputKind::Boolean),
                _ => None,
            };
            Some(InputField { name: key.name.clone(), kind, required, default })
        })
        .collect()
}
