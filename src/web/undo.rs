//! Lifting over the API: of a run, of a containment, of an incident. With
//! `plan` nothing is done, and the answer says what would be.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::service::error::Sort;
use crate::service::unchanged::{Document, OnlyIf};
use crate::service::undo::{Scope, UndoCall};
use crate::web::access::{Caller, Role};
use crate::web::etag::IfMatch;
use crate::web::extract::Json;
use crate::web::problem::Problem;
use crate::web::runs::parsed;
use crate::web::server::Web;

/// How long a caller may have the answer wait for what comes of it, in seconds:
/// shorter than programs wait for an answer.
const WAIT_SECONDS_MAX: u64 = 20;

/// What is to be lifted, and how.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UndoBody {
    /// Says what would be done, and does nothing.
    plan: bool,
    /// Only these steps or containments.
    only: Vec<String>,
    /// Also over what somebody else changed since; needs `why`.
    anyway: bool,
    /// In their words.
    why: Option<String>,
    /// How long the answer waits for what comes of it.
    wait_seconds: u64,
}

/// `POST /api/v1/runs/{id}/undo`.
pub async fn run(
    web: State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    body: Option<Json<UndoBody>>,
) -> Result<Response, Problem> {
    caller.may(Role::Responder)?;
    let of = parsed(&id)?;
    let only_if = if_match.of(Document::Run(of));
    undo(web, caller, (Scope::Run(of), only_if), &id, body).await
}

/// `POST /api/v1/containments/{id}/undo`.
pub async fn containment(
    web: State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    body: Option<Json<UndoBody>>,
) -> Result<Response, Problem> {
    caller.may(Role::Responder)?;
    let of = parsed(&id)?;
    let only_if = if_match.of(Document::Containment(of));
    undo(web, caller, (Scope::Containment(of), only_if), &id, body).await
}

/// `POST /api/v1/incidents/{id}/undo`.
pub async fn incident(
    web: State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    body: Option<Json<UndoBody>>,
) -> Result<Response, Problem> {
    caller.may(Role::Responder)?;
    let of = parsed(&id)?;
    let only_if = if_match.of(Document::Incident(of));
    undo(web, caller, (Scope::Incident(of), only_if), &id, body).await
}

async fn undo(
    State(web): State<Web>,
    caller: Caller,
    (scope, only_if): (Scope, OnlyIf),
    id: &str,
    body: Option<Json<UndoBody>>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let body = body.map(|Json(body)| body).unwrap_or_default();
    if body.wait_seconds > WAIT_SECONDS_MAX {
        let message = format!(
            "`wait_seconds` is 0 to {WAIT_SECONDS_MAX}; nothing was lifted. What comes of it later stands in GET /containments"
        );
        return Err(Problem::new(Sort::Wrong, "out-of-range", message));
    }
    let call = UndoCall { scope, only: body.only, by, why: body.why, anyway: body.anyway, only_if };
    if body.plan {
        let plan = web.service.undo_plan(&call).await?;
        return Ok(Json(json!({ "of": id, "plan": true, "anyway": plan.anyway, "items": plan.items }))
            .into_response());
    }
    let done = web.service.undo(&call, Duration::from_secs(body.wait_seconds)).await?;
    let answer = json!({ "undoing": id, "plan": false, "anyway": done.anyway, "items": done.items });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}
