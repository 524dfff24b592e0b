//! The asset inventory: what a system is, how much it matters, who owns it.

use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::http::{bearer_is, problem, unauthorised};
use crate::lab::systems::Asset;
use crate::lab::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Mail address of the owner.
    owner: String,
}

/// The routes.
pub fn router(world: Arc<World>) -> Router {
    Router::new().route("/assets", get(search)).route("/assets/{name}", get(one)).with_state(world)
}

async fn search(
    Shared(world): Shared<Arc<World>>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if !bearer_is(&headers, &world.state().tokens.assets) {
        return unauthorised();
    }
    let Ok(Query(Wanted { owner })) = wanted else {
        return problem(StatusCode::BAD_REQUEST, "look up by owner, a mail address");
    };
    let found: Vec<Value> = world
        .assets()
        .iter()
        .filter(|asset| asset.owner.eq_ignore_ascii_case(owner.trim()))
        .map(|asset| record(&world, asset))
        .collect();
    Json(json!({ "assets": found })).into_response()
}

async fn one(Shared(world): Shared<Arc<World>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if !bearer_is(&headers, &world.state().tokens.assets) {
        return unauthorised();
    }
    match world.assets().iter().find(|asset| asset.name.eq_ignore_ascii_case(&name)) {
        Some(asset) => Json(record(&world, asset)).into_response(),
        None => problem(StatusCode::NOT_FOUND, &format!("no asset is called {name:?}")),
    }
}

fn record(world: &World, asset: &Asset) -> Value {
    let owner =
        world.person_at(&asset.owner).map(|owner| json!({ "name": owner.name(), "email": owner.email }));
    json!({
        "name": asset.name,
        "kind": asset.kind,
        "description": asset.description,
        "criticality": asset.criticality,
        "data_class": asset.data_class,
        "owner": owner,
        // Who runs a system here also answers for its data.
        "data_owner": owner,
        "support_group": asset.support_group,
        "managed": asset.managed,
    })
}
