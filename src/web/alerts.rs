//! Webhooks in, alerts out.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::domain::alert::Fate;
use crate::domain::id::AlertId;
use crate::intake::signature::Header;
use crate::projection::alerts::AlertFilter;
use crate::service::error::{ServiceError, Sort};
use crate::web::access::{Caller, Role};
use crate::web::extract::{Json, Query};
use crate::web::problem::Problem;
use crate::web::runs::{PageQuery, parsed};
use crate::web::server::Web;

/// `POST /api/v1/alerts/{source}`: 202 once all of it is durable.
pub async fn submit(
    State(web): State<Web>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unread(&rejection))?;
    let headers: Vec<Header<'_>> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let accepted = web.service.submit(&source, &headers, &body).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "alerts": accepted }))).into_response())
}

/// `POST /api/v1/sources/{source}/alerts`: what the source would send, from a person.
pub async fn ingest(
    State(web): State<Web>,
    caller: Caller,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    caller.may(Role::Responder)?;
    let body = body.map_err(|rejection| unread(&rejection))?;
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    let accepted = web.service.ingest(&source, content_type, &body).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "alerts": accepted }))).into_response())
}

/// Which alerts are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertQuery {
    after: Option<String>,
    limit: Option<usize>,
    source: Option<String>,
    severity_min: Option<u8>,
    incident: Option<String>,
    fate: Option<String>,
}

/// `GET /api/v1/alerts`.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<AlertQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    if let Some(fate) = query.fate.as_ref().filter(|fate| !Fate::NAMES.contains(&fate.as_str())) {
        let message = format!("`{}` is no fate; there are: {}", fate.escape_debug(), Fate::NAMES.join(", "));
        return Err(Problem::new(Sort::Wrong, "word-unknown", message));
    }
    let page = PageQuery { after: query.after, limit: query.limit };
    let filter = AlertFilter {
        source: query.source,
        severity_min: query.severity_min,
        incident: query.incident.as_deref().map(parsed).transpose()?,
        fate: query.fate,
    };
    let views = web.service.views.read();
    let found = views.alerts.list(&filter, page.after()?, page.limit()?);
    Ok(Json(found).into_response())
}

/// `GET /api/v1/alerts/{id}`, with its fate.
pub async fn show(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let id: AlertId = parsed(&id)?;
    let views = web.service.views.read();
    let row = views.alerts.get(id).ok_or_else(|| ServiceError::absent("alert", &id))?.into_owned();
    let fate = row.fate.as_ref();
    let reasons: Vec<String> = fate.map(Fate::reasons).unwrap_or_default();
    let related: Vec<String> = row
        .related
        .iter()
        .map(|related| format!("{}: {}", related.incident, related.because.words()))
        .collect();
    let mut document = json!(row);
    document["reasons"] = json!(reasons);
    document["related_because"] = json!(related);
    Ok(Json(document).into_response())
}

/// A body that could not be read: too large, or cut.
fn unread(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(
            Sort::TooLarge,
            "alert-too-large",
            "the delivery is larger than 1 MiB; nothing of it was stored. Send fewer alerts at once, or leave attachments out",
        );
    }
    Problem::new(
        Sort::Wrong,
        "body-unread",
        "the delivery broke off before its end; nothing of it was stored. Send it again",
    )
}
