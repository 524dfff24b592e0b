//! Webhooks in, alerts out.

use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::domain::alert::Fate;
use crate::domain::id::AlertId;
use crate::intake::signature::Header;
use crate::projection::alerts::AlertFilter;
use crate::service::error::{ServiceError, Sort};
use crate::service::gate::Taken;
use crate::web::access::{Caller, Role};
use crate::web::admission::begin_work;
use crate::web::body::{UNPROVEN, said_length, unproven, whole};
use crate::web::extract::{Json, Query};
use crate::web::problem::Problem;
use crate::web::runs::{PageQuery, parsed};
use crate::web::server::Web;

/// `POST /api/v1/alerts/{source}`: 202 once all of it is durable, 200 where the
/// sender knows no other success. A handshake gets its value back.
pub async fn submit(
    State(web): State<Web>,
    Path(source): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let peer = peer(&request);
    let taken = taken(&web, &source, peer, request).await.inspect_err(|problem| {
        // As a text within quotes: it comes from anybody. A flood must not fill the log.
        tracing::debug!(?source, ?peer, code = %problem.0.code, "a delivery was turned away");
    })?;
    Ok(match taken {
        Taken::Alerts { accepted, plain_ok } => {
            let status = if plain_ok { StatusCode::OK } else { StatusCode::ACCEPTED };
            (status, Json(json!({ "alerts": accepted }))).into_response()
        }
        Taken::Challenge(value) => said_back("text/plain; charset=utf-8", value),
    })
}

async fn taken(web: &Web, source: &str, peer: Option<IpAddr>, request: Request) -> Result<Taken, Problem> {
    let (parts, body) = request.into_parts();
    let headers = listed(&parts.headers);
    let knock = web.service.knock(source, &headers, peer, said_length(&parts.headers)).map_err(Problem)?;
    let (body, room) = match knock.is_proven() {
        true => (whole(body, &parts.headers, knock.most).await?, None),
        false => unproven(body, &parts.headers, knock.most, &UNPROVEN).await?,
    };
    begin_work(&parts.extensions)?;
    let mut came = knock.with_body(&headers, &body, peer);
    web.service.prove(source, &mut came).map_err(Problem)?;
    drop(room);
    web.service.submit(source, &came).await.map_err(Problem)
}

/// Who is connected: the last proxy, where there is one.
fn peer(request: &Request) -> Option<IpAddr> {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(info.0.ip().to_canonical())
}

fn listed(headers: &HeaderMap) -> Vec<Header<'_>> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// The value of a handshake, which no browser takes for anything else.
fn said_back(kind: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text).into_response()
}

/// `POST /api/v1/sources/{source}/alerts`: what the source would send, from a person.
pub async fn ingest(
    State(web): State<Web>,
    caller: Caller,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    let accepted = web.service.ingest(&source, by, content_type, &body).await?;
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

/// `GET /api/v1/alerts/{id}/raw`: what its sender sent. It may hold anything, so
/// that who only reads lists does not see it.
pub async fn raw(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Responder)?;
    let (of, alert) = web.service.alert_on_record(parsed(&id)?).await?;
    Ok(Json(json!({ "id": of.id, "source": alert.source, "raw": alert.raw })).into_response())
}

/// `GET /api/v1/alerts/{id}`, with its fate; and Okta's handshake with a source.
pub async fn show(
    State(web): State<Web>,
    Path(id): Path<String>,
    headers: HeaderMap,
    caller: Result<Caller, Problem>,
) -> Result<Response, Problem> {
    if let Some(value) = web.service.okta_asks(&id, &listed(&headers))? {
        return Ok(said_back("application/json", json!({ "verification": value }).to_string()));
    }
    caller?.may(Role::Reader)?;
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
