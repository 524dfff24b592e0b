//! A backup while the server runs.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;

use crate::web::access::{Caller, Role};
use crate::web::problem::Problem;
use crate::web::server::Web;

/// `POST /api/v1/store/backup`: the journal as JSON lines. It is whole when its
/// last line is an `end` whose SHA-256 fits the lines before; a fault on the way
/// cuts the connection. The server names no file of its own: who asks keeps it.
pub async fn backup(State(web): State<Web>, caller: Caller) -> Result<Response, Problem> {
    let who = caller.may(Role::Admin)?.to_owned();
    tracing::info!(%who, "a backup is taken");
    let lines = web.service.backup().inspect_err(|error| tracing::error!(%error, "a backup broke off"));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}
