//! Runs that are started, and dry runs.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use ulid::Ulid;

use crate::domain::alert::Alert;
use crate::domain::decide::calls::CALL_OUTPUT_BYTES_MAX;
use crate::domain::id::AlertId;
use crate::domain::inputs::GivenInputs;
use crate::domain::value::size_of;
use crate::intake::hand::normalise_by_hand;
use crate::service::again::RunOn;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::idempotency::IdempotencyKey;
use crate::service::runs::RunOrder;
use crate::web::access::{Caller, Role};
use crate::web::extract::{Json, Query};
use crate::web::problem::Problem;
use crate::web::runs::parsed;
use crate::web::server::{HungUp, Web};

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
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Responder)?.to_owned();
    let key = idempotency_key(&headers)?;
    let key = key.map(|key| IdempotencyKey::new(&format!("rerun/{id}"), &key, &Value::Null));
    let started = web.service.run_again(parsed(&id)?, by, key).await?;
    let mut answer = json!({ "run": started.run });
    if let Some(row) = web.service.views.read().runs.get(started.run) {
        (answer["playbook"], answer["version"]) = (json!(row.playbook), json!(row.version));
    }
    Ok((StatusCode::CREATED, marked_if_repeated(&mut answer, started.repeated), Json(answer)).into_response())
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
    Ok((status, marked_if_repeated(&mut answer, started.repeated), Json(answer)).into_response())
}

/// Marks the answer to a call that came before, and gives the header that says so.
fn marked_if_repeated(answer: &mut Value, is_repeated: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if is_repeated {
        answer["repeated"] = json!(true);
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    headers
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
