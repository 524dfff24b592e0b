//! The identity provider: a SCIM 2.0 service (RFC 7644) under `/scim/v2`, and
//! sessions beside it under `/sessions`.
//!
//! Suspending a user does not end their sessions, as with real providers.
//! Every writing request is recorded in the same change as its effect, so a
//! count of writes is exact even when the process is killed between the two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lab::http::{self, bearer_is, problem};
use crate::lab::scim::{self, Filter, Refused};
use crate::lab::sessions;
use crate::lab::world::{IdentityWrite, State, WRITES_MAX, World};

/// Longest pause that a fault may ask for, in milliseconds.
pub const SLOW_MS_MAX: u64 = 60_000;

/// Trouble that the provider is told to make; counts go down as it happens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// This many requests get 429.
    pub rate_limited: u32,
    /// What their `Retry-After` says, in seconds.
    pub retry_after_s: u32,
    /// This many requests get 500.
    pub errors: u32,
    /// Every request waits this long first.
    pub slow_ms: u64,
    /// This many PATCH requests are accepted and not applied.
    pub unapplied: u32,
}

/// The provider's own state beside the world.
#[derive(Clone)]
pub struct Identity {
    pub world: Arc<World>,
    /// `http://127.0.0.1:port`.
    pub url: String,
    pub faults: Arc<Mutex<Faults>>,
}

/// What a write did: the answer, and whether anything is different since.
pub struct Done {
    pub response: Response,
    pub changed: bool,
}

impl Done {
    /// An answer that changed nothing.
    pub fn unchanged(response: Response) -> Self {
        Self { response, changed: false }
    }
}

/// The routes. What is not a GET goes through one door, which records it.
pub fn router(identity: Identity) -> Router {
    Router::new()
        .route("/scim/v2/ServiceProviderConfig", get(provider_config).fallback(write))
        .route("/scim/v2/Users", get(list).fallback(write))
        .route("/scim/v2/Users/{id}", get(read).fallback(write))
        .route("/sessions", get(sessions::list).fallback(write))
        .route("/sessions/{id}/check", get(sessions::check).fallback(write))
        .fallback(write)
        .with_state(identity)
}

impl Identity {
    fn base(&self) -> String {
        format!("{}/scim/v2", self.url)
    }

    /// Makes the trouble that is asked for; the answer when there is some.
    pub async fn trouble(&self) -> Result<(), Response> {
        let slow = self.faults.lock().slow_ms.min(SLOW_MS_MAX);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        let mut faults = self.faults.lock();
        if take(&mut faults.rate_limited) {
            let mut response = refuse(&Refused::new(429, "too many requests"));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(faults.retry_after_s));
            return Err(response);
        }
        if take(&mut faults.errors) {
            return Err(refuse(&Refused::new(500, "something went wrong here")));
        }
        Ok(())
    }

    /// Whether the request carries the administrator's token.
    pub fn allowed(&self, headers: &HeaderMap) -> bool {
        bearer_is(headers, &self.world.state().tokens.identity)
    }

    async fn gate(&self, headers: &HeaderMap) -> Result<(), Response> {
        self.trouble().await?;
        if self.allowed(headers) {
            return Ok(());
        }
        let mut response =
            refuse(&Refused::new(401, "send the administrator's token as Authorization: Bearer"));
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Err(response)
    }
}

fn take(count: &mut u32) -> bool {
    let some = *count > 0;
    *count = count.saturating_sub(1);
    some
}

/// A SCIM error answer.
pub fn refuse(refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    http::body_of(status, scim::MEDIA_TYPE, &refused.body())
}

fn unknown_user(id: &str) -> Refused {
    Refused::new(404, format!("no user has the id {id:?}"))
}

async fn provider_config(Shared(identity): Shared<Identity>, headers: HeaderMap) -> Response {
    match identity.gate(&headers).await {
        Ok(()) => http::body_of(StatusCode::OK, scim::MEDIA_TYPE, &scim::provider_config(&identity.base())),
        Err(response) => response,
    }
}

async fn read(Shared(identity): Shared<Identity>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(response) = identity.gate(&headers).await {
        return response;
    }
    let state = identity.world.state();
    let (Some(person), Some(user)) = (identity.world.person(&id), state.users.get(&id)) else {
        return refuse(&unknown_user(&id));
    };
    let body = scim::user(&identity.world, &identity.base(), person, user);
    with_etag(http::body_of(StatusCode::OK, scim::MEDIA_TYPE, &body), &scim::etag(user))
}

fn with_etag(mut response: Response, etag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

async fn list(
    Shared(identity): Shared<Identity>,
    query: Result<Query<BTreeMap<String, String>>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = identity.gate(&headers).await {
        return response;
    }
    let found = match query {
        Ok(Query(query)) => page(&identity, &query),
        Err(error) => Err(Refused::bad("invalidSyntax", error.body_text())),
    };
    match found {
        Ok(body) => http::body_of(StatusCode::OK, scim::MEDIA_TYPE, &body),
        Err(refused) => refuse(&refused),
    }
}

fn page(identity: &Identity, query: &BTreeMap<String, String>) -> Result<Value, Refused> {
    let number = |name: &'static str, default: usize| match query.get(name).map(|text| text.parse::<i64>()) {
        None => Ok(default),
        // Below the first is the first, and a negative count is none (section 3.4.2.4).
        Some(Ok(number)) => Ok(usize::try_from(number).unwrap_or(0)),
        Some(Err(_)) => Err(Refused::bad("invalidValue", format!("{name} is a whole number"))),
    };
    let start = number("startIndex", 1)?.max(1);
    let count = number("count", scim::PAGE_DEFAULT)?.min(scim::PAGE_MAX);
    let filter = query.get("filter").map(|text| Filter::read(text)).transpose()?;
    let world = &identity.world;
    let matching: Vec<_> =
        world.people().iter().filter(|p| filter.as_ref().is_none_or(|filter| filter.matches(p))).collect();
    let state = world.state();
    let base = identity.base();
    let resources: Vec<Value> = matching
        .iter()
        .skip(start - 1)
        .take(count)
        .filter_map(|person| state.users.get(&person.id).map(|user| scim::user(world, &base, person, user)))
        .collect();
    Ok(scim::list(matching.len(), start, &resources))
}

/// Every request that is not a known GET.
async fn write(
    Shared(identity): Shared<Identity>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method.is_safe() {
        return problem(StatusCode::NOT_FOUND, "nothing is here");
    }
    if (&method, uri.path()) == (&Method::POST, "/faults") {
        return set_faults(&identity, &headers, &body);
    }
    // Signing in needs no administrator: that is what people do.
    let gate = if (&method, uri.path()) == (&Method::POST, "/sessions") {
        identity.trouble().await
    } else {
        identity.gate(&headers).await
    };
    let world = Arc::clone(&identity.world);
    let now = world.now();
    let kept = world
        .change(move |state| {
            if state.writes.len() >= WRITES_MAX {
                return problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "this world is full; start the lab on another directory",
                );
            }
            let done = match gate {
                Ok(()) => dispatch(&identity, state, &method, &uri, &headers, &body),
                Err(response) => Done::unchanged(response),
            };
            state.writes.push(IdentityWrite {
                time: now,
                method: method.to_string(),
                path: uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string),
                body: String::from_utf8_lossy(&body).into_owned(),
                status: done.response.status().as_u16(),
                changed: done.changed,
            });
            done.response
        })
        .await;
    kept.unwrap_or_else(|error| problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

fn set_faults(identity: &Identity, headers: &HeaderMap, body: &[u8]) -> Response {
    if !identity.allowed(headers) {
        return http::unauthorised();
    }
    match serde_json::from_slice::<Faults>(body) {
        Ok(faults) => {
            *identity.faults.lock() = faults;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &format!("not a list of faults: {error}")),
    }
}

fn dispatch(
    identity: &Identity,
    state: &mut State,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Done {
    let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    match (method, segments.as_slice()) {
        (&Method::PATCH, ["scim", "v2", "Users", id]) => match patch(identity, state, id, headers, body) {
            Ok(done) => done,
            Err(refused) => Done::unchanged(refuse(&refused)),
        },
        (&Method::POST, ["sessions"]) => sessions::sign_in(&identity.world, state, body),
        (&Method::DELETE, ["sessions"]) => sessions::revoke(&identity.world, state, uri),
        (_, ["scim", ..]) => {
            Done::unchanged(refuse(&Refused::new(501, "this server changes users by PATCH alone")))
        }
        _ => Done::unchanged(problem(StatusCode::METHOD_NOT_ALLOWED, "nothing here takes this method")),
    }
}

fn patch(
    identity: &Identity,
    state: &mut State,
    id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Done, Refused> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type != scim::MEDIA_TYPE && media_type != "application/json" {
        return Err(Refused::new(415, format!("send {}", scim::MEDIA_TYPE)));
    }
    let user = state.users.get_mut(id).ok_or_else(|| unknown_user(id))?;
    let if_match = headers.get(header::IF_MATCH).map(|value| value.to_str().unwrap_or_default());
    if !scim::if_match_holds(if_match, &scim::etag(user)) {
        return Err(Refused::new(412, "the user has changed since that version"));
    }
    let active = scim::patch(body)?;
    let applied = !take(&mut identity.faults.lock().unapplied);
    // What sets nothing new is no modification (section 3.5.2.1).
    let changed = applied && active.is_some_and(|active| active != user.active);
    if changed {
        user.active = !user.active;
        user.version += 1;
        user.modified = identity.world.now();
    }
    let response = with_etag(StatusCode::NO_CONTENT.into_response(), &scim::etag(user));
    Ok(Done { response, changed })
}
