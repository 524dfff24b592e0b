//! What an operation sends, from its file.

use crate::authored::expressions::{check_roots, template};
use crate::connector::spec::Request;
use crate::domain::expr::template::Template;
use crate::yaml::diagnostic::did_you_mean;
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// Names an expression of a request may use.
pub(super) const REQUEST_NAMES: &[&str] = &["input", "captured"];

/// Headers that say where a request goes or where it ends: set by the transport
/// alone, or a value could smuggle a second request.
const TRANSPORT_HEADERS: &[&str] =
    &["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"];

/// Reads `request:`.
pub(super) fn read_request(field: Field<'_>, text: &str, inputs: &[String]) -> Option<Request> {
    let map = field.map()?;
    let method = map
        .required("method")
        .and_then(|field| field.one_of(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]));
    let path = map.required("path").and_then(|field| read_path(field, text, inputs));
    let query = pairs(&map, "query", text, inputs);
    let headers = pairs(&map, "headers", text, inputs);
    for (name, field) in
        map.optional("headers").and_then(Field::map).map(|map| map.entries()).unwrap_or_default()
    {
        check_header(field, &name.name);
    }
    let body = map.optional("body").and_then(|field| over(field, text, REQUEST_NAMES, inputs));
    let form = pairs(&map, "form", text, inputs);
    if let (Some(_), Some(field)) = (map.optional("body"), map.optional("form")) {
        field.mistake("two-bodies", "a request has a `body` or a `form`, not both", "remove one of them");
    }
    let usual = if form.is_empty() { "application/json" } else { "application/x-www-form-urlencoded" };
    let content_type = map.optional("content_type").and_then(Field::non_empty).unwrap_or(usual).to_owned();
    let idempotency_header = map.optional("idempotency_header").and_then(|field| {
        let name = field.non_empty()?;
        check_header(field, name);
        Some(name.to_owned())
    });
    map.finish();
    Some(Request {
        method: method?.to_owned(),
        path: path?,
        query,
        headers,
        body,
        form,
        content_type,
        idempotency_header,
    })
}

fn pairs(map: &MapReader<'_>, key: &'static str, text: &str, inputs: &[String]) -> Vec<(String, Template)> {
    let Some(list) = map.optional(key).and_then(Field::map) else {
        return Vec::new();
    };
    list.entries()
        .into_iter()
        .filter_map(|(name, field)| Some((name.name.clone(), over(field, text, REQUEST_NAMES, inputs)?)))
        .collect()
}

/// A path, cut at the slashes that the author wrote: a value can add none.
fn read_path(field: Field<'_>, text: &str, inputs: &[String]) -> Option<Vec<Template>> {
    let path = field.non_empty()?;
    if !path.starts_with('/') {
        field.mistake("bad-path", "`path` begins with a slash", "it is added to the connector's `url`");
        return None;
    }
    over(field, text, REQUEST_NAMES, inputs)?;
    let mut segments = Vec::new();
    for segment in path[1..].split('/') {
        let Ok(template) = Template::parse(&segment.into()) else {
            field.mistake(
                "bad-path",
                "an expression in `path` must hold no slash",
                "let the step's input carry the finished value",
            );
            return None;
        };
        if template.is_plain() && (matches!(segment, "." | "..") || segment.contains(['?', '#', '%', '\\'])) {
            field.mistake(
                "bad-path",
                format!("`{segment}` cannot stand in `path`"),
                "write the path itself, not encoded; what follows `?` belongs under `query:`",
            );
            return None;
        }
        segments.push(template);
    }
    Some(segments)
}

pub(super) fn check_header(field: Field<'_>, name: &str) {
    // RFC 9110 §5.1: a field name is a token.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        field.mistake(
            "bad-header",
            format!("`{name}` is no header name"),
            "header names have letters, digits and `-`",
        );
    } else if TRANSPORT_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        field.mistake("bad-header", format!("the header `{name}` is set by the transport"), "remove it");
    }
}

/// A template over some names, its `input.*` declared.
pub(super) fn over(field: Field<'_>, text: &str, known: &[&str], inputs: &[String]) -> Option<Template> {
    let template = template(field.reader(), field.node(), text)?;
    check_roots(field.reader(), field.place(), template.references(), known);
    check_inputs(field, &template.references().paths, inputs);
    Some(template)
}

/// Reports each `input.*` that the operation does not declare.
pub(super) fn check_inputs(field: Field<'_>, paths: &[Vec<String>], inputs: &[String]) {
    for path in paths {
        let [root, name, ..] = path.as_slice() else {
            continue;
        };
        if root == "input" && !inputs.contains(name) {
            let help = did_you_mean(name, inputs).map_or_else(
                || "declare it under `input:`".to_owned(),
                |meant| format!("did you mean `input.{meant}`?"),
            );
            field.mistake("unknown-name", format!("`input.{name}` is not declared"), help);
        }
    }
}
