//! Runs, their events, and orders to them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;
use ulid::Ulid;

use crate::domain::alert::Alert;
use crate::domain::decide::calls::CALL_OUTPUT_BYTES_MAX;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{AlertId, IncidentId, RunId, StreamId};
use crate::domain::inputs::GivenInputs;
use crate::domain::run::StepKey;
use crate::domain::value::size_of;
use crate::intake::hand::normalise_by_hand;
use crate::projection::runs::RunFilter;
use crate::service::again::RunOn;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::idempotency::IdempotencyKey;
use crate::service::releases::ReleaseScope;
use crate::service::runs::{RunOrder, Settled};
use crate::service::unchanged::Document;
use crate::store::journal::Receipt;
use crate::web::access::{Caller, Role};
use crate::web::etag::IfMatch;
use crate::web::extract::{Json, Query};
use crate::web::people::NoteBody;
use crate::web::problem::Problem;
use crate::web::routes::{ENTRIES_MAX, RELEASED_MAX};
use crate::web::server::{HungUp, Web};
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

/// What starts a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// A normalised alert (fields as in `GET /alerts/{id}`), or any JSON.
    #[serde(default)]
    alert: Option<Value>,
    /// An alert that is on record, instead of `alert`.
    #[serde(default)]
    alert_id: Option<String>,
    /// The configured source whose rules read `alert`.
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    inputs: Map<String, Value>,
    /// Inputs as a person typed them: the declared type says what each means.
    #[serde(default)]
    input_texts: BTreeMap<String, String>,
}

impl StartBody {
    /// The stored alert that is named.
    ///
    /// # Errors
    /// When an alert comes beside it.
    fn alert_on_record(&self) -> Result<Option<AlertId>, Problem> {
        if self.alert_id.is_some() && (self.alert.is_some() || self.source.is_some()) {
            let message = "`alert_id` names an alert that is on record; leave out `alert` and `source`, or leave out `alert_id`. Nothing was started";
            return Err(Problem::from(ServiceError::new(Sort::Wrong, "alert-twice", message)));
        }
        self.alert_id.as_deref().map(parsed).transpose()
    }
}

/// `POST /api/v1/runs/{id}/rerun`.
pub async fn run_again(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let started = web.service.run_again(parsed(&id)?, by).await?;
    let row = web.service.views.read().runs.get(started.run).map(|row| json!([row.playbook, row.version]));
    let row = row.unwrap_or_default();
    let answer = json!({ "run": started.run, "playbook": row[0], "version": row[1] });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `POST /api/v1/playbooks/{name}/runs`.
pub async fn start(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<StartQuery>,
    headers: HeaderMap,
    Extension(mut hung_up): Extension<HungUp>,
    Json(body): Json<StartBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let service = &web.service;
    let wait = query.wait.as_deref().map(wait_of).transpose()?;
    let mut content = json!({
        "alert": body.alert, "source": body.source, "inputs": body.inputs, "input_texts": body.input_texts,
    });
    if let Some(id) = &body.alert_id {
        content["alert_id"] = json!(id);
    }
    let idempotency =
        idempotency_key(&headers)?.map(|key| IdempotencyKey::new(&format!("run/{name}"), &key, &content));
    let on = match body.alert_on_record()? {
        Some(id) => RunOn::Stored(id),
        None => match body.alert {
            Some(raw) => RunOn::Alert(Box::new(service.alert_by_hand(raw, body.source.as_deref())?)),
            None => RunOn::Nothing,
        },
    };
    let inputs = GivenInputs { values: body.inputs, texts: body.input_texts };
    let order = RunOrder { playbook: name, on, inputs, by, again: None, idempotency, waits: wait.is_some() };
    let started = service.start_run(order).await?;
    let mut answer = json!({ "run": started.run });
    let mut status = StatusCode::CREATED;
    if let (Some(wait), Some(mut end)) = (wait, started.end) {
        let outcome = tokio::select! {
            outcome = service.outcome_within(started.run, &mut end, wait) => outcome?,
            () = hung_up.gone() => None,
        };
        let row = service.views.read().runs.get(started.run).map(|row| row.status);
        status = if outcome.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
        answer = outcome.map_or(answer, with_bounded_steps);
        let ended = answer.get("end").cloned();
        answer["status"] = ended.unwrap_or_else(|| json!(row));
    }
    let mut headers = HeaderMap::new();
    if started.repeated {
        answer["repeated"] = json!(true);
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok((status, headers, Json(answer)).into_response())
}

/// Says that the answer is of an earlier call with the same `Idempotency-Key`.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How long the answer waits for the end of the run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartQuery {
    wait: Option<String>,
}

/// The longest wait for the end of a run, in seconds: proxies commonly cut calls
/// after a minute.
const WAIT_SECONDS_MAX: u64 = 60;

fn wait_of(text: &str) -> Result<Duration, Problem> {
    let seconds = text.strip_suffix('s').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    match seconds.and_then(|digits| digits.parse().ok()) {
        Some(seconds @ 1..=WAIT_SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        _ => {
            let text: String = text.chars().take(40).collect();
            let message = format!(
                "`wait={}` is not 1s to {WAIT_SECONDS_MAX}s; nothing was started. Write whole seconds, such as `wait=30s`",
                text.escape_debug()
            );
            Err(Problem::new(Sort::Wrong, "query-wrong", message))
        }
    }
}

/// The outcome without its outputs when they are too long for an answer.
fn with_bounded_steps(mut outcome: Value) -> Value {
    let bytes = size_of(&outcome["steps"]);
    if bytes > CALL_OUTPUT_BYTES_MAX {
        outcome["steps"] = Value::Null;
        outcome["steps_left_out_bytes"] = json!(bytes);
    }
    outcome
}

/// The longest `Idempotency-Key`, in bytes: a UUID is 36, and the key is kept.
const KEY_BYTES_MAX: usize = 200;

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text)
            if !text.is_empty()
                && text.len() <= KEY_BYTES_MAX
                && text.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(Some(text.to_owned()))
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
    pub fn alert_by_hand(&self, raw: Value, source: Option<&str>) -> Result<Alert, ServiceError> {
        self.alert_of(raw, source, AlertId::new(self.fresh()))
    }

    /// An alert that a person hands over with a dry run. Its id follows from what it
    /// says, so that the same dry run tells the same.
    ///
    /// # Errors
    /// When the source is unknown, or the alert cannot be read.
    pub fn alert_for_plan(&self, raw: Value, source: Option<&str>) -> Result<Alert, ServiceError> {
        let id = AlertId::derived(Ulid::from_parts(0, 0), &raw.to_string());
        self.alert_of(raw, source, id)
    }

    fn alert_of(&self, raw: Value, source: Option<&str>, id: AlertId) -> Result<Alert, ServiceError> {
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
    let alert = match body.alert_on_record()? {
        Some(id) => Some(Alert::clone(&*service.alert_on_record(id).await?.1)),
        None => body.alert.map(|raw| service.alert_for_plan(raw, body.source.as_deref())).transpose()?,
    };
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
