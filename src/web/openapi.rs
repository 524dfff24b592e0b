//! `/api/v1/openapi.json`: every address of the API, described once, in a table
//! that a test holds against the routes themselves.

use serde_json::{Map, Value, json};

use crate::web::extract::Json;
use crate::web::routes::{ENTRIES_MAX, ROUTES};
use crate::web::shapes::Shape;

/// How an address answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One JSON object, 200.
    Object,
    /// A page of rows: `{ items, next }`, 200.
    Page,
    /// JSON, 201.
    Created,
    /// JSON, 202: it is durable and goes on from here; 200 when nothing goes on.
    Accepted,
    /// JSON: 201, or after waiting for the end 200, or 202 while it goes on.
    Started,
    /// A text: HTML or Markdown, 200.
    Text,
    /// JSON lines, 200.
    Lines,
    /// Server-sent events, 200.
    Events,
}

/// A value that a caller gives, in the body or after `?`.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Its name.
    pub name: &'static str,
    /// What it may look like.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it is.
    pub says: &'static str,
}

/// One method of one address.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// `get`, `post` or `patch`.
    pub method: &'static str,
    /// What it does.
    pub says: &'static str,
    /// The role that a token needs; none = open to whom the text says.
    pub role: Option<&'static str>,
    /// What may stand after `?`.
    pub query: &'static [Given],
    /// What the body may hold; none = no body, or one of another form.
    pub body: &'static [Given],
    /// How it answers.
    pub answer: Answer,
}

/// `GET /api/v1/openapi.json`. Open to all: it tells nothing of what is here.
pub async fn show() -> Json<Value> {
    Json(document())
}

/// The whole description, OpenAPI 3.1.
pub fn document() -> Value {
    let mut paths = Map::new();
    for (path, described) in ROUTES {
        let operations: Map<String, Value> =
            described.iter().map(|one| (one.method.to_owned(), operation(path, one))).collect();
        paths.insert((*path).to_owned(), Value::Object(operations));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quell", "version": env!("CARGO_PKG_VERSION"),
            "description": "Every answer that is no success is a problem document (RFC 9457). Times are RFC 3339 in UTC. Lists page by `after`: give the `next` of the page before.",
        },
        "servers": [{ "url": "/api/v1" }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "code", "detail"],
                    "properties": {
                        "type": { "type": "string" }, "title": { "type": "string" },
                        "status": { "type": "integer" },
                        "code": { "type": "string", "description": "stable; the command line shows the same" },
                        "detail": { "type": "string", "description": "what failed, why, what to do next" },
                    },
                },
                "Page": {
                    "type": "object",
                    "required": ["items", "next"],
                    "properties": {
                        "items": { "type": "array", "items": { "type": "object" } },
                        "next": { "type": ["string", "null"], "description": "the `after` of the next page" },
                    },
                },
            },
        },
    })
}

/// What stands for a part of an address.
fn path_shape(path: &str, method: &str) -> Shape {
    let of = path.split('/').nth(1).unwrap_or_default();
    match (of, method) {
        ("alerts", "get") => Shape::Id("alt"),
        ("runs", _) => Shape::Id("run"),
        ("incidents", _) => Shape::Id("inc"),
        ("approvals", _) => Shape::Id("apr"),
        ("questions", _) => Shape::Id("qst"),
        ("containments", _) => Shape::Id("ctn"),
        ("exceptions", _) => Shape::Id("exc"),
        ("schedules", _) => Shape::Id("sch"),
        ("reports", _) => Shape::Id("rep"),
        _ => Shape::Text,
    }
}

/// Whether a call changes a document that has a version.
fn changes_document(path: &str, one: &Described) -> bool {
    const VERSIONED: [&str; 6] = [
        "/runs/{id}",
        "/incidents/{id}",
        "/approvals/{id}",
        "/questions/{id}",
        "/containments/{id}",
        "/exceptions/{id}",
    ];
    one.method != "get" && VERSIONED.iter().any(|of| path.starts_with(of))
}

/// The headers that a call takes, beside the token.
fn headers(path: &str, one: &Described) -> Vec<Value> {
    let header = |name: &str, says: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": says, "schema": schema });
    let mut headers = Vec::new();
    if one.answer == Answer::Events {
        let number = Shape::Whole(0, ENTRIES_MAX).schema();
        headers.push(header("Last-Event-ID", "the number of the last entry seen, before `after`", number));
    } else if one.method == "get" && matches!(one.answer, Answer::Object | Answer::Page) {
        let says = "the `ETag` that the caller has; 304 while it is the same";
        headers.push(header("If-None-Match", says, json!({ "type": "string" })));
    }
    if changes_document(path, one) {
        let says =
            "`ETag`s of what the caller has seen, in double quotes, or `*`; 412 when it has none of them";
        headers.push(header("If-Match", says, json!({ "type": "string" })));
    }
    if one.answer == Answer::Started {
        let key = json!({ "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$" });
        headers.push(header("Idempotency-Key", "the same key and content never start a second run", key));
    }
    headers
}

fn operation(path: &str, one: &Described) -> Value {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let mut schema = path_shape(path, one.method).schema();
            schema["minLength"] = json!(1);
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    parameters.extend(one.query.iter().map(|given| {
        json!({
            "name": given.name, "in": "query", "required": given.required, "description": given.says,
            "schema": given.shape.schema(),
        })
    }));
    parameters.extend(headers(path, one));
    let mut described = json!({
        "operationId": operation_id(path, one.method),
        "summary": one.says,
        "parameters": parameters,
        "responses": responses(path, one),
        "security": one.role.map_or_else(|| json!([]), |_| json!([{ "token": [] }])),
        "x-role": one.role,
    });
    if let Some(body) = request_body(path, one) {
        described["requestBody"] = body;
    }
    described
}

/// A name for the call, for programs that are made from the description.
fn operation_id(path: &str, method: &str) -> String {
    let mut id = method.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        id.push('_');
        id.extend(part.chars().filter(char::is_ascii_alphanumeric));
    }
    id
}

fn request_body(path: &str, one: &Described) -> Option<Value> {
    if takes_payload(path, one) {
        // What a source sends is read by the rules of the source.
        return Some(json!({ "required": true, "content": { "application/json": { "schema": {} } } }));
    }
    if one.body.is_empty() {
        return None;
    }
    let properties: Map<String, Value> = one
        .body
        .iter()
        .map(|given| {
            // What may be left out may also be null.
            let schema = match given.required {
                true => given.shape.schema(),
                false => json!({ "anyOf": [given.shape.schema(), { "type": "null" }] }),
            };
            let described = json!({ "description": given.says, "allOf": [schema] });
            (given.name.to_owned(), described)
        })
        .collect();
    let required: Vec<&str> =
        one.body.iter().filter(|given| given.required).map(|given| given.name).collect();
    // Orders to one thing need nothing said.
    let optional = required.is_empty() && one.method == "post" && path.contains("{id}");
    Some(json!({
        "required": !optional,
        "content": { "application/json": { "schema": {
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        } } },
    }))
}

/// Whether the body is what some other system sends.
fn takes_payload(path: &str, one: &Described) -> bool {
    one.method == "post" && matches!(path, "/alerts/{source}" | "/sources/{source}/alerts")
}

/// Every status that the call answers with, and what it holds then.
fn responses(path: &str, one: &Described) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (status, says, content) in successes(path, one) {
        let mut response = json!({ "description": says, "content": content });
        if has_version(one) {
            response["headers"] = json!({ "ETag": { "required": true, "schema": { "type": "string" } } });
        }
        all.insert(status.to_owned(), response);
    }
    let problem =
        json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    for (status, says) in refusals(path, one) {
        all.insert(status.to_owned(), json!({ "description": says, "content": problem }));
    }
    if has_version(one) {
        all.insert("304".to_owned(), json!({ "description": "the caller has it as it is" }));
    }
    Value::Object(all)
}

/// Whether what is answered has an `ETag`.
fn has_version(one: &Described) -> bool {
    one.method == "get" && matches!(one.answer, Answer::Object | Answer::Page)
}

/// The statuses of a success, what each says, and what it holds.
fn successes(path: &str, one: &Described) -> Vec<(&'static str, &'static str, Value)> {
    let object = json!({ "application/json": { "schema": { "type": "object" } } });
    match one.answer {
        Answer::Object => vec![("200", "done", object)],
        Answer::Page => {
            let page = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Page" } } });
            vec![("200", "done", page)]
        }
        Answer::Created => vec![("201", "made", object)],
        Answer::Accepted => {
            let mut at_once = object.clone();
            if takes_payload(path, one) {
                at_once["text/plain"] = json!({});
            }
            let goes_on = "it is durable and goes on from here";
            vec![("200", "done; nothing goes on", at_once), ("202", goes_on, object)]
        }
        Answer::Started => {
            let ended = "it ended: `end`, `why`, `disposition` and the outputs of its `steps`";
            vec![
                ("200", ended, object.clone()),
                ("201", "it is durable and goes on from here", object.clone()),
                ("202", "it was waited for and goes on", object),
            ]
        }
        Answer::Text => vec![("200", "done", json!({ "text/html": {}, "text/markdown": {} }))],
        Answer::Lines => vec![("200", "done", json!({ "application/x-ndjson": {} }))],
        Answer::Events => {
            vec![("200", "entries, as they come; it ends with the run", json!({ "text/event-stream": {} }))]
        }
    }
}

/// The statuses of a refusal, and what each says.
fn refusals(path: &str, one: &Described) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("400", "what was sent is not as described here")];
    if one.role.is_some() || takes_payload(path, one) {
        all.push(("401", "nobody who is known sent it"));
        all.push(("403", "who sent it may not"));
    }
    if path.contains('{') || !one.body.is_empty() || !one.query.is_empty() {
        all.push(("404", "there is no such thing here"));
    }
    if one.method != "get" {
        all.push(("409", "it is possible, but not now"));
        all.push(("422", "it is as described here, and cannot be done with what is here"));
    }
    if changes_document(path, one) {
        all.push(("412", "it is no longer as the caller has seen it"));
    }
    if !one.body.is_empty() || takes_payload(path, one) {
        all.push(("408", "the body did not come to its end in time"));
        all.push(("413", "it is too large"));
        all.push(("415", "the body is not JSON"));
    }
    all.push(("429", "it came more often than it may"));
    all.push(("503", "it cannot be taken just now; come back"));
    all.push(("default", "not done"));
    all
}
