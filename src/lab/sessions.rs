//! The identity provider's sessions: who is signed in where, and ending that.

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::lab::chance::Chance;
use crate::lab::http::{problem, unauthorised};
use crate::lab::identity::{Done, Identity};
use crate::lab::world::{SESSIONS_MAX, Session, State, World};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// Id or user name.
    user: String,
    #[serde(default)]
    device: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    /// Id or user name.
    user: String,
}

/// The living sessions of one user.
pub(super) async fn list(
    Shared(identity): Shared<Identity>,
    of: Result<Query<Of>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = identity.trouble().await {
        return response;
    }
    if !identity.allowed(&headers) {
        return unauthorised();
    }
    let Ok(Query(Of { user })) = of else {
        return which_user();
    };
    let Some(id) = account(&identity.world, &user) else {
        return unknown(&user);
    };
    let state = identity.world.state();
    let sessions: Vec<_> = state
        .sessions
        .iter()
        .filter(|session| session.alive && session.user == id)
        .map(|session| {
            json!({
                "id": session.id,
                "device": session.device,
                "ip": session.ip,
                "created_at": session.created_at,
                "alive": true,
            })
        })
        .collect();
    Json(json!({ "sessions": sessions })).into_response()
}

/// What an app asks at each request: is this session still good?
pub(super) async fn check(Shared(identity): Shared<Identity>, Path(id): Path<String>) -> Response {
    if let Err(response) = identity.trouble().await {
        return response;
    }
    let state = identity.world.state();
    match state.sessions.iter().find(|session| session.id == id && session.alive) {
        Some(session) => {
            Json(json!({ "id": session.id, "user": session.user, "alive": true })).into_response()
        }
        None => problem(StatusCode::UNAUTHORIZED, "the session has ended; sign in again"),
    }
}

/// A new session, refused to who is not active.
pub(super) fn sign_in(world: &World, state: &mut State, body: &[u8]) -> Done {
    let request: SignIn = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            return Done::unchanged(problem(StatusCode::BAD_REQUEST, &format!("cannot sign in: {error}")));
        }
    };
    let Some(id) = account(world, &request.user) else {
        return Done::unchanged(unknown(&request.user));
    };
    if !state.users.get(id).is_some_and(|user| user.active) {
        return Done::unchanged(problem(StatusCode::FORBIDDEN, "this account is suspended"));
    }
    if state.sessions.len() >= SESSIONS_MAX {
        return Done::unchanged(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "this world is full; start the lab on another directory",
        ));
    }
    let mut chance = Chance::new(state.seed, &format!("session {}", state.sessions.len()));
    let session = Session {
        id: format!("ses-{}", chance.uuid()),
        user: id.to_owned(),
        device: request.device.unwrap_or_else(|| "browser".to_owned()),
        ip: format!("203.0.113.{}", 1 + chance.below(254)),
        created_at: world.now(),
        alive: true,
    };
    let response = (StatusCode::CREATED, Json(json!({ "id": session.id }))).into_response();
    state.sessions.push(session);
    Done { response, changed: true }
}

/// Ends every session of one user.
pub(super) fn revoke(world: &World, state: &mut State, uri: &Uri) -> Done {
    let Ok(Query(Of { user })) = Query::<Of>::try_from_uri(uri) else {
        return Done::unchanged(which_user());
    };
    let Some(id) = account(world, &user) else {
        return Done::unchanged(unknown(&user));
    };
    let mut revoked = 0_usize;
    for session in state.sessions.iter_mut().filter(|session| session.alive && session.user == id) {
        session.alive = false;
        revoked += 1;
    }
    Done { response: Json(json!({ "revoked": revoked })).into_response(), changed: revoked > 0 }
}

fn account<'w>(world: &'w World, user: &str) -> Option<&'w str> {
    world.person(user).or_else(|| world.person_at(user)).map(|person| person.id.as_str())
}

fn which_user() -> Response {
    problem(StatusCode::BAD_REQUEST, "say whose sessions: ?user= with an id or a user name")
}

fn unknown(user: &str) -> Response {
    problem(StatusCode::NOT_FOUND, &format!("no user has the id or name {user:?}"))
}
