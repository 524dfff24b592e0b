//! What needs a person.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::projection::attention::needs::Place;
use crate::service::attention::AttentionFilter;
use crate::web::access::{Caller, Role};
use crate::web::extract::{Json, Query};
use crate::web::problem::Problem;
use crate::web::runs::{PageQuery, parsed};
use crate::web::server::Web;

/// Where the list begins, and of which run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionQuery {
    after: Option<String>,
    limit: Option<usize>,
    run: Option<String>,
    mine: Option<bool>,
}

/// `GET /api/v1/attention`: the most urgent first.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<AttentionQuery>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Reader)?;
    let run = query.run.as_deref().map(parsed).transpose()?;
    let filter = AttentionFilter { run, mine: query.mine == Some(true) };
    let page = PageQuery { after: query.after, limit: query.limit };
    let after: Option<Place> = page.after()?;
    Ok(Json(web.service.attention(by, filter, after.as_ref(), page.limit()?)).into_response())
}
