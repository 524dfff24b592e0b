//! Merge and split of incidents, exceptions, and how often rules are right.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::domain::exception::{Exception, SEVERITY_MOST};
use crate::domain::expr::Expr;
use crate::domain::tie::TieKey;
use crate::domain::time::Timestamp;
use crate::service::error::Sort;
use crate::service::moves::Order;
use crate::service::unchanged::Document;
use crate::web::access::{Caller, Role};
use crate::web::etag::{self, IfMatch};
use crate::web::extract::{Json, Query};
use crate::web::problem::Problem;
use crate::web::runs::{OrderBody, PageQuery, parsed};
use crate::web::server::Web;

/// Into which incident, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeBody {
    into: String,
    why: String,
}

/// `POST /api/v1/incidents/{id}/merge`.
pub async fn merge(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<MergeBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let from = parsed(&id)?;
    let order = Order { by, why: body.why, only_if: if_match.of(Document::Incident(from)) };
    Ok(Json(web.service.merge(from, parsed(&body.into)?, order).await?).into_response())
}

/// Which alerts, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitBody {
    alerts: Vec<String>,
    why: String,
}

/// `POST /api/v1/incidents/{id}/split`.
pub async fn split(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<SplitBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let alerts = body.alerts.iter().map(|alert| parsed(alert)).collect::<Result<_, _>>()?;
    let from = parsed(&id)?;
    let order = Order { by, why: body.why, only_if: if_match.of(Document::Incident(from)) };
    let row = web.service.split(from, alerts, order).await?;
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

/// What an exception says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionBody {
    rule: String,
    source: Option<String>,
    subject: Option<String>,
    host: Option<String>,
    when: Option<String>,
    severity_max: Option<u8>,
    owner: String,
    why: String,
    until: Timestamp,
}

/// `POST /api/v1/exceptions`.
pub async fn make_exception(
    State(web): State<Web>,
    caller: Caller,
    Json(body): Json<ExceptionBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let when = body.when.as_deref().map(condition).transpose()?;
    let exception = Exception {
        source: body.source,
        rule: body.rule,
        subject: body.subject,
        host: body.host,
        when,
        severity_max: body.severity_max.unwrap_or(SEVERITY_MOST),
        owner: body.owner,
        why: body.why,
        until: body.until,
        by,
    };
    Ok((StatusCode::CREATED, Json(web.service.make_exception(exception).await?)).into_response())
}

/// A condition on `alert`, as CEL.
fn condition(text: &str) -> Result<Expr, Problem> {
    let wrong = |message: String| Problem::new(Sort::OtherContent, "expression-wrong", message);
    let inner = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let when = Expr::parse(inner.trim()).map_err(|error| wrong(format!("`when`: {error}")))?;
    match when.references().paths.iter().find(|path| path.first().is_none_or(|root| root != "alert")) {
        Some(path) => {
            Err(wrong(format!("`when` knows `alert` alone, and names `{}`", path.join(".").escape_debug())))
        }
        None => Ok(when),
    }
}

/// `POST /api/v1/exceptions/{id}/end`.
pub async fn end_exception(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    body: Option<Json<OrderBody>>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let why = body.and_then(|Json(body)| body.why);
    let exception = parsed(&id)?;
    let document = Document::Exception(exception);
    web.service.end_exception(exception, &by, why, &if_match.of(document)).await?;
    etag::changed(StatusCode::OK, &web.service.document(document).await?)
}

/// Which exceptions are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionQuery {
    after: Option<String>,
    limit: Option<usize>,
    holding: Option<bool>,
}

/// `GET /api/v1/exceptions`.
pub async fn exceptions(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<ExceptionQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let page = PageQuery { after: query.after, limit: query.limit };
    let now = query.holding.unwrap_or(false).then(|| web.service.now());
    let views = web.service.views.read();
    Ok(Json(views.exceptions.list(now, page.after()?, page.limit()?)).into_response())
}

/// `GET /api/v1/exceptions/{id}`.
pub async fn exception(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    Ok(Json(web.service.document(Document::Exception(parsed(&id)?)).await?).into_response())
}

/// `GET /api/v1/detections`.
pub async fn detections(
    State(web): State<Web>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let after = page.after::<TieKey, _>()?;
    let views = web.service.views.read();
    let found = views.detections.list(after, page.limit()?);
    let rows: Vec<_> = found
        .items
        .iter()
        .map(|row| {
            let mut document = json!(row);
            document["true_positives"] = json!(row.true_positives());
            document["false_positives"] = json!(row.false_positives());
            document
        })
        .collect();
    Ok(Json(json!({ "items": rows, "next": found.next })).into_response())
}

/// Which rule of which source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectionQuery {
    source: String,
    rule: String,
}

/// `GET /api/v1/detections/message`: how often a rule was right, and what to write
/// to whoever answers for it.
pub async fn detection(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<DetectionQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let (row, message) = web.service.detection(&query.source, &query.rule)?;
    let mut document = json!(row);
    document["true_positives"] = json!(row.true_positives());
    document["false_positives"] = json!(row.false_positives());
    document["message"] = json!(message);
    Ok(Json(document).into_response())
}
