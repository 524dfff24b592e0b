//! Incidents, containments, playbooks, schedules, reports.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::domain::id::ScheduleId;
use crate::projection::containments::ContainmentFilter;
use crate::projection::incidents::IncidentFilter;
use crate::projection::reports::ReportFilter;
use crate::service::error::Sort;
use crate::service::polls::PollView;
use crate::service::unchanged::Document;
use crate::web::access::{Caller, Role};
use crate::web::etag::IfMatch;
use crate::web::extract::{Json, Query};
use crate::web::problem::Problem;
use crate::web::runs::{PageQuery, parsed};
use crate::web::server::Web;

/// Where a list begins.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
    holding: Option<bool>,
    run: Option<String>,
}

/// `GET /api/v1/incidents`.
pub async fn incidents(
    State(web): State<Web>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let views = web.service.views.read();
    Ok(Json(views.incidents.list(&IncidentFilter::default(), page.after()?, page.limit()?)).into_response())
}

/// `GET /api/v1/incidents/{id}`.
pub async fn incident(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    Ok(Json(web.service.document(Document::Incident(parsed(&id)?)).await?).into_response())
}

/// `GET /api/v1/containments`.
pub async fn containments(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let page = PageQuery { after: query.after, limit: query.limit };
    let run = query.run.as_deref().map(parsed).transpose()?;
    let filter = ContainmentFilter { holding: query.holding, run, incident: None, target: None };
    Ok(Json(web.service.containments(&filter, page.after()?, page.limit()?).await).into_response())
}

/// `GET /api/v1/containments/{id}`.
pub async fn containment(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    Ok(Json(web.service.document(Document::Containment(parsed(&id)?)).await?).into_response())
}

/// How much longer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendBody {
    /// Seconds, counted from its end as it is now.
    seconds: u64,
}

/// The longest a person may extend by at once: a month. Longer is a decision to be made again.
const EXTEND_SECONDS_MAX: u64 = 31 * 24 * 3600;

/// `POST /api/v1/containments/{id}/extend`.
pub async fn extend(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<ExtendBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    if body.seconds == 0 || body.seconds > EXTEND_SECONDS_MAX {
        return Err(Problem::new(
            Sort::Wrong,
            "out-of-range",
            "a containment can be extended by 1 second to 31 days, counted from its end as it is now",
        ));
    }
    let (containment, more) = (parsed(&id)?, std::time::Duration::from_secs(body.seconds));
    let only_if = if_match.of(Document::Containment(containment));
    let until = web.service.extend(containment, more, by, &only_if).await?;
    Ok(Json(json!({ "extended": id, "until": until })).into_response())
}

/// `GET /api/v1/playbooks`.
pub async fn playbooks(State(web): State<Web>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let library = web.service.library.read().clone();
    let rows: Vec<_> = library
        .playbooks
        .values()
        .map(|prepared| {
            let playbook = &prepared.plan.playbook;
            json!({
                "name": playbook.name, "version": playbook.version, "title": playbook.title,
                "owner": playbook.owner, "posture": playbook.posture, "tags": playbook.tags,
                "plan": prepared.plan_digest,
            })
        })
        .collect();
    Ok(Json(json!({ "items": rows, "next": null })).into_response())
}

/// `GET /api/v1/playbooks/{name}`.
pub async fn playbook(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let prepared = web.service.playbook(&name)?;
    Ok(Json(json!({ "playbook": prepared.plan.playbook, "text": prepared.text })).into_response())
}

/// `GET /api/v1/schedules`: those of the library, with their next firings.
pub async fn schedules(State(web): State<Web>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    Ok(Json(json!({ "items": web.service.schedules(), "next": null })).into_response())
}

/// `GET /api/v1/schedules/{id}`.
pub async fn schedule(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let id: ScheduleId = parsed(&id)?;
    Ok(Json(web.service.schedule(id)?).into_response())
}

/// `GET /api/v1/polls`: the sources that are polled, and how each stands.
pub async fn polls(State(web): State<Web>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let mut polls = web.service.poll_views();
    if caller.may(Role::Responder).is_err() {
        polls = polls.into_iter().map(PollView::for_readers).collect();
    }
    Ok(Json(json!({ "items": polls, "next": null })).into_response())
}

/// Which summary to write.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportBody {
    /// A run or an incident.
    of: String,
    template: String,
    #[serde(default)]
    audience: Option<String>,
    #[serde(default = "html")]
    format: String,
}

fn html() -> String {
    "html".to_owned()
}

/// `POST /api/v1/reports`: a summary written now, from the journal alone.
pub async fn report(
    State(web): State<Web>,
    caller: Caller,
    Json(body): Json<ReportBody>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let audience = body.audience.as_deref().unwrap_or("responders");
    let text = web.service.report(&body.of, &body.template, audience, &body.format).await?;
    let kind =
        if body.format == "html" { "text/html; charset=utf-8" } else { "text/markdown; charset=utf-8" };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Which kept summaries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    after: Option<String>,
    limit: Option<usize>,
    run: Option<String>,
    incident: Option<String>,
}

/// `GET /api/v1/reports`: summaries that runs wrote and kept.
pub async fn reports(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let filter = ReportFilter {
        run: query.run.as_deref().map(parsed).transpose()?,
        incident: query.incident.as_deref().map(parsed).transpose()?,
    };
    let page = PageQuery { after: query.after, limit: query.limit };
    let views = web.service.views.read();
    Ok(Json(views.reports.list(filter, page.after()?, page.limit()?)).into_response())
}

/// `GET /api/v1/reports/{id}`: one of them, as it was written.
pub async fn kept_report(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let (row, bytes) = web.service.kept_report(parsed(&id)?).await?;
    let kind = if row.format == "html" { "text/html; charset=utf-8" } else { "text/markdown; charset=utf-8" };
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

/// A playbook to check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckBody {
    text: String,
    #[serde(default)]
    file: Option<String>,
}

/// `POST /api/v1/playbooks/check`: every mistake in a playbook, with its place,
/// by what is configured here. Nothing is kept.
pub async fn check(
    State(web): State<Web>,
    caller: Caller,
    Json(body): Json<CheckBody>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let file = body.file.unwrap_or_else(|| "playbook.yaml".to_owned());
    let service = web.service;
    // A file can take a while to be read through; nobody else waits for it.
    let found = tokio::task::spawn_blocking(move || service.check_playbook(&file, &body.text)).await;
    let (sound, diagnostics) = found
        .map_err(|_| Problem::new(Sort::Own, "check-ended", "the check ended early; the log says why"))?;
    Ok(Json(json!({ "ok": sound, "diagnostics": diagnostics })).into_response())
}
