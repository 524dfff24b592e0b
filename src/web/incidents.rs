//! Changing an incident over the API.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::incident::{Disposition, IncidentChange, Status};
use crate::service::error::Sort;
use crate::service::unchanged::Document;
use crate::web::access::{Caller, Role};
use crate::web::etag::{self, IfMatch};
use crate::web::extract::Json;
use crate::web::problem::Problem;
use crate::web::runs::parsed;
use crate::web::server::Web;

/// What is to change; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeBody {
    severity: Option<i64>,
    status: Option<String>,
    disposition: Option<String>,
    assignee: Option<String>,
    note: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    why: Option<String>,
}

/// `PATCH /api/v1/incidents/{id}`.
pub async fn change(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<ChangeBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let severity = body.severity.map(|given| {
        u8::try_from(given).map_err(|_| {
            let message = format!("the severity goes from 0 to 100; {given} is no severity");
            Problem::new(Sort::Wrong, "out-of-range", message)
        })
    });
    let change = IncidentChange {
        severity: severity.transpose()?,
        status: body.status.map(|text| word("status", text, &Status::NAMES)).transpose()?,
        disposition: body
            .disposition
            .map(|text| word("disposition", text, &Disposition::NAMES))
            .transpose()?,
        assignee: body.assignee,
        note: body.note,
        tags: body.tags,
        by: Some(by),
        why: body.why,
    };
    let document = Document::Incident(parsed(&id)?);
    web.service.change_incident(parsed(&id)?, change, &if_match.of(document)).await?;
    etag::changed(StatusCode::OK, &web.service.document(document).await?)
}

/// One of a list of words, or which there are.
fn word<T: DeserializeOwned>(what: &str, text: String, names: &[&str]) -> Result<T, Problem> {
    let unknown = format!("`{}` is no {what}; there are: {}", text.escape_debug(), names.join(", "));
    serde_json::from_value(Value::from(text)).map_err(|_| Problem::new(Sort::Wrong, "word-unknown", unknown))
}
