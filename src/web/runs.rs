//! Runs, their events, and orders to them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast;

use crate::domain::event::{Entry, Event};
use crate::domain::id::{IncidentId, RunId, StreamId};
use crate::domain::run::StepKey;
use crate::projection::runs::RunFilter;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::releases::ReleaseScope;
use crate::service::runs::Settled;
use crate::service::unchanged::Document;
use crate::store::journal::Receipt;
use crate::web::access::{Caller, Role};
use crate::web::etag::IfMatch;
use crate::web::extract::{Json, Query};
use crate::web::people::NoteBody;
use crate::web::problem::Problem;
use crate::web::routes::{ENTRIES_MAX, RELEASED_MAX};
use crate::web::server::Web;
use crate::web::shapes::Shape;

/// Rows of a list when the caller does not say.
const PAGE_ROWS: usize = 100;

/// The longest page.
const PAGE_ROWS_MAX: usize = 500;

/// Where a page begins and how long it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The cursor that the page before gave.
    pub after: Option<String>,
    /// How many rows.
    pub limit: Option<usize>,
}

impl PageQuery {
    /// The cursor as an id.
    pub fn after<T: FromStr<Err = E>, E: std::fmt::Display>(&self) -> Result<Option<T>, Problem> {
        let cursor = |text: &str| {
            text.parse().map_err(|error: E| {
                let message =
                    format!("`after` is no place in this list: {error}; use `next` of the page before");
                Problem::new(Sort::Wrong, "cursor-wrong", message)
            })
        };
        self.after.as_deref().map(cursor).transpose()
    }

    /// How many rows.
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(PAGE_ROWS);
        if (1..=PAGE_ROWS_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::new(
            Sort::Wrong,
            "query-wrong",
            format!(
                "a page holds 1 to {PAGE_ROWS_MAX} rows, and `limit={limit}` was asked; `next` of each page leads on"
            ),
        ))
    }
}

/// An id out of a path or a query.
pub fn parsed<T: FromStr<Err = E>, E: std::fmt::Display>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: E| Problem::new(Sort::Wrong, "id-wrong", error.to_string()))
}

/// Filters of the list of runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    after: Option<String>,
    limit: Option<usize>,
    playbook: Option<String>,
    incident: Option<String>,
    #[serde(default)]
    live: bool,
}

/// `GET /api/v1/runs`.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<RunQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let incident: Option<IncidentId> = query.incident.as_deref().map(parsed).transpose()?;
    let page = PageQuery { after: query.after, limit: query.limit };
    let filter = RunFilter { status: None, live: query.live, playbook: query.playbook, incident };
    let views = web.service.views.read();
    let found = views.runs.list(&filter, page.after()?, page.limit()?);
    Ok(Json(found).into_response())
}

/// `GET /api/v1/runs/{id}`: everything about it, each line with its entry,
/// and how it stands now: `status`, and in `waiting_on` whom it waits for.
pub async fn show(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    Ok(Json(web.service.document(Document::Run(parsed(&id)?)).await?).into_response())
}

/// Why a person orders something.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderBody {
    /// In their words.
    pub why: Option<String>,
}

/// `POST /api/v1/runs/{id}/cancel`.
pub async fn cancel(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    body: Option<Json<OrderBody>>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let why = body.and_then(|Json(body)| body.why);
    let run = parsed(&id)?;
    web.service.cancel(run, by, why, &if_match.of(Document::Run(run))).await?;
    Ok(Json(json!({ "cancelled": id })).into_response())
}

/// What happened to an uncertain step.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettleBody {
    step: String,
    happened: bool,
    #[serde(default)]
    note: Option<String>,
}

/// `POST /api/v1/runs/{id}/settle`.
pub async fn settle(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json<SettleBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let step: StepKey =
        body.step.parse().map_err(|error: String| Problem::new(Sort::OtherContent, "step-unknown", error))?;
    let run = parsed(&id)?;
    let settled = Settled { step, happened: body.happened, by: by.to_owned(), note: body.note };
    web.service.settle(run, settled, &if_match.of(Document::Run(run))).await?;
    Ok(Json(json!({ "settled": body.step })).into_response())
}

/// `POST /api/v1/runs/{id}/release`: a run that was set aside goes on.
pub async fn release(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    body: Option<Json<NoteBody>>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let note = body.and_then(|Json(body)| body.note);
    let run = parsed(&id)?;
    web.service.release(run, by, note, &if_match.of(Document::Run(run))).await?;
    Ok(Json(json!({ "released": id })).into_response())
}

/// Which runs are let go on.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseBody {
    /// These.
    runs: Vec<String>,
    /// All that are set aside.
    all: bool,
    /// Why it is safe now.
    note: Option<String>,
}

/// `POST /api/v1/runs/release`: runs that were set aside go on.
pub async fn release_all(
    State(web): State<Web>,
    caller: Caller,
    Json(body): Json<ReleaseBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let runs = body.runs.iter().map(|run| parsed(run)).collect::<Result<Vec<RunId>, _>>()?;
    let scope = match (runs.len(), body.all) {
        (0, true) => ReleaseScope::All,
        (1..=RELEASED_MAX, false) => ReleaseScope::Runs(runs),
        _ => {
            let message =
                format!("say which runs: `runs` with 1 to {RELEASED_MAX} ids, or `all`, and not both");
            return Err(Problem::new(Sort::OtherContent, "scope-wrong", message));
        }
    };
    let items = web.service.release_all(scope, by, body.note.as_deref()).await?;
    Ok(Json(json!({ "items": items })).into_response())
}

/// Where a follower of a run begins.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// The number of the last entry that the follower has seen.
    #[serde(default)]
    after: u64,
}

/// `GET /api/v1/runs/{id}/events`: the run's entries as server-sent events,
/// from any number on; `Last-Event-ID` wins. Ends with the run.
pub async fn events(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let run: RunId = parsed(&id)?;
    let resumed = headers.get("last-event-id").map(last_event).transpose()?;
    let after = resumed.unwrap_or(query.after);
    let follow = web.service.journal.follow();
    let known = web.service.journal.read(StreamId::Run(run), 0).await.map_err(ServiceError::from)?;
    if known.is_empty() {
        return Err(ServiceError::absent("run", &run).into());
    }
    // Of a run that is over there is what there is, and nothing more is waited for.
    let over = known.iter().any(|entry| matches!(entry.event, Event::RunEnded { .. }));
    let waiting = known.into_iter().filter(|entry| entry.seq > after).collect();
    let follower = Follower { service: Arc::clone(&web.service), run, after, waiting, follow, over };
    Ok(Sse::new(follower.stream()).keep_alive(KeepAlive::default()).into_response())
}

fn last_event(value: &HeaderValue) -> Result<u64, Problem> {
    let text = value.to_str().ok().filter(|text| Shape::Whole(0, ENTRIES_MAX).check_text(text).is_ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message = "`Last-Event-ID` takes the number of the last entry that was seen, such as 12";
        Problem::new(Sort::Wrong, "last-event-id-wrong", message)
    })
}

struct Follower {
    service: Arc<Service>,
    run: RunId,
    after: u64,
    waiting: VecDeque<Entry>,
    follow: broadcast::Receiver<Receipt>,
    over: bool,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<SseEvent, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let entry = follower.next().await?;
            let data = serde_json::to_string(&entry).unwrap_or_default();
            Some((Ok(SseEvent::default().id(entry.seq.to_string()).event("entry").data(data)), follower))
        })
    }

    async fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                if entry.seq <= self.after {
                    continue;
                }
                self.after = entry.seq;
                self.over |= matches!(entry.event, Event::RunEnded { .. });
                return Some(entry);
            }
            if self.over {
                return None;
            }
            match self.follow.recv().await {
                Ok(receipt) => {
                    let mine = receipt.entries.iter().filter(|entry| entry.stream == StreamId::Run(self.run));
                    self.waiting.extend(mine.cloned());
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let missed = self.service.journal.read(StreamId::Run(self.run), self.after).await.ok()?;
                    self.waiting.extend(missed);
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
