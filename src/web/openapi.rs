//! `/api/v1/openapi.json`: every address of the API, described once, in a table
//! that a test holds against the routes themselves.

use serde_json::{Map, Value, json};

use crate::web::extract::Json;
use crate::web::routes::ROUTES;

/// How an address answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One JSON object, 200.
    Object,
    /// A page of rows: `{ items, next }`, 200.
    Page,
    /// JSON, 201.
    Created,
    /// JSON, 202: it is durable and goes on from here.
    Accepted,
    /// A text: HTML or Markdown, 200.
    Text,
    /// Server-sent events, 200.
    Events,
}

/// A value that a caller gives, in the body or after `?`.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Its name.
    pub name: &'static str,
    /// Its JSON type.
    pub kind: &'static str,
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

fn operation(path: &str, one: &Described) -> Value {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(one.query.iter().map(|given| {
        json!({
            "name": given.name, "in": "query", "required": given.required, "description": given.says,
            "schema": { "type": given.kind },
        })
    }));
    let mut described = json!({
        "summary": one.says,
        "parameters": parameters,
        "responses": {
            success(one.answer).0: { "description": "done", "content": success(one.answer).1 },
            "default": {
                "description": "not done",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
        "security": one.role.map_or_else(|| json!([]), |_| json!([{ "token": [] }])),
        "x-role": one.role,
    });
    if !one.body.is_empty() {
        let properties: Map<String, Value> = one
            .body
            .iter()
            .map(|given| (given.name.to_owned(), json!({ "type": given.kind, "description": given.says })))
            .collect();
        let required: Vec<&str> =
            one.body.iter().filter(|given| given.required).map(|given| given.name).collect();
        described["requestBody"] = json!({
            "required": !required.is_empty(),
            "content": { "application/json": { "schema": {
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            } } },
        });
    }
    described
}

/// The status of a success, and what it holds.
fn success(answer: Answer) -> (&'static str, Value) {
    let object = || json!({ "application/json": { "schema": { "type": "object" } } });
    let page = || json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Page" } } });
    match answer {
        Answer::Object => ("200", object()),
        Answer::Page => ("200", page()),
        Answer::Created => ("201", object()),
        Answer::Accepted => ("202", object()),
        Answer::Text => ("200", json!({ "text/html": {}, "text/markdown": {} })),
        Answer::Events => ("200", json!({ "text/event-stream": {} })),
    }
}
