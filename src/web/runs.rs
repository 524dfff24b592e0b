//! Runs, their events, and orders to them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use crate::domain::event::{Entry, Event};
use crate::domain::id::{IncidentId, RunId, StreamId};
use crate::domain::inputs::GivenInputs;
use crate::domain::run::StepKey;
use crate::intake::hand::normalise_by_hand;
use crate::projection::runs::RunFilter;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::runs::RunOrder;
use crate::store::journal::Receipt;
use crate::web::access::{Caller, Role};
use crate::web::extract::{Json, Query};
use crate::web::people::NoteBody;
use crate::web::problem::Problem;
use crate::web::server::Web;

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

/// What starts a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// A normalised alert (fields as in `GET /alerts/{id}`), or any JSON.
    #[serde(default)]
    alert: Option<Value>,
    /// The configured source whose rules read `alert`.
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    inputs: Map<String, Value>,
    /// Inputs as a person typed them: the declared type says what each means.
    #[serde(default)]
    input_texts: BTreeMap<String, String>,
}

/// `POST /api/v1/playbooks/{name}/runs`.
pub async fn start(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(body): Json<StartBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let service = &web.service;
    let alert = body.alert.map(|raw| service.alert_by_hand(raw, body.source.as_deref())).transpose()?;
    let idempotency_key = idempotency_key(&headers)?;
    let inputs = GivenInputs { values: body.inputs, texts: body.input_texts };
    let run = service.start_run(RunOrder { playbook: name, alert, inputs, by, idempotency_key }).await?;
    Ok((StatusCode::CREATED, Json(json!({ "run": run }))).into_response())
}

/// The longest `Idempotency-Key`, in bytes: a UUID is 36, and the key is kept.
const KEY_BYTES_MAX: usize = 200;

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if !text.trim().is_empty() && text.len() <= KEY_BYTES_MAX => {
            Ok(Some(text.trim().to_owned()))
        }
        _ => Err(Problem::new(
            Sort::Wrong,
            "idempotency-key-wrong",
            format!(
                "an `Idempotency-Key` is 1 to {KEY_BYTES_MAX} plain characters, such as a UUID; nothing was started"
            ),
        )),
    }
}

impl Service {
    /// An alert that a person hands over with a run.
    ///
    /// # Errors
    /// When the source is unknown, or the alert cannot be read.
    pub fn alert_by_hand(
        &self,
        raw: Value,
        source: Option<&str>,
    ) -> Result<crate::domain::alert::Alert, ServiceError> {
        let spec = match source {
            Some(name) => Some(
                &self
                    .sources
                    .get(name)
                    .ok_or_else(|| {
                        ServiceError::new(
                            Sort::Absent,
                            "source-unknown",
                            format!("there is no source `{}` here", name.escape_debug()),
                        )
                    })?
                    .spec,
            ),
            None => None,
        };
        let id = crate::domain::id::AlertId::new(self.fresh());
        normalise_by_hand(spec, &raw, self.now(), id)
            .map_err(|error| ServiceError::new(Sort::Wrong, error.code(), error.to_string()))
    }
}

/// `POST /api/v1/playbooks/{name}/plan`: a dry run.
pub async fn plan(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<StartBody>,
) -> Result<Response, Problem> {
    caller.may(Role::Responder)?;
    let service = &web.service;
    let alert = body.alert.map(|raw| service.alert_by_hand(raw, body.source.as_deref())).transpose()?;
    let inputs = GivenInputs { values: body.inputs, texts: body.input_texts };
    let preview = service.preview(&name, alert, &inputs).await?;
    Ok(Json(preview).into_response())
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
    let run: RunId = parsed(&id)?;
    let dossier = web.service.dossier(run).await?;
    let row = web.service.views.read().runs.get(run).map(|row| row.into_owned());
    let mut document = serde_json::to_value(dossier)
        .map_err(|error| Problem::new(Sort::Own, "dossier", error.to_string()))?;
    document["status"] = json!(row.as_ref().map(|row| row.status));
    document["waiting_on"] = json!(row.map(|row| row.waiting_on).unwrap_or_default());
    Ok(Json(document).into_response())
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
    body: Option<Json<OrderBody>>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let why = body.and_then(|Json(body)| body.why);
    web.service.cancel(parsed(&id)?, by, why).await?;
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
    Json(body): Json<SettleBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let step: StepKey = parsed(&body.step)?;
    web.service.settle(parsed(&id)?, step, body.happened, by, body.note).await?;
    Ok(Json(json!({ "settled": body.step })).into_response())
}

/// `POST /api/v1/runs/{id}/release`: a run that was set aside goes on.
pub async fn release(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    body: Option<Json<NoteBody>>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?;
    let note = body.and_then(|Json(body)| body.note);
    web.service.release(parsed(&id)?, by, note).await?;
    Ok(Json(json!({ "released": id })).into_response())
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
    let resumed = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let after = resumed.unwrap_or(query.after);
    let follow = web.service.journal.follow();
    let known = web.service.journal.read(StreamId::Run(run), 0).await.map_err(ServiceError::from)?;
    if known.is_empty() {
        return Err(ServiceError::absent("run", &run).into());
    }
    let waiting = known.into_iter().filter(|entry| entry.seq > after).collect();
    let follower = Follower { service: Arc::clone(&web.service), run, after, waiting, follow, over: false };
    Ok(Sse::new(follower.stream()).keep_alive(KeepAlive::default()).into_response())
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
                self.over = matches!(entry.event, Event::RunEnded { .. });
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
