//! The HR directory: who somebody is, whom they report to, and whether they
//! are leaving. Service accounts are not people and are not in it.

use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::http::{bearer_is, problem, unauthorised};
use crate::lab::seed::{AccountKind, Person};
use crate::lab::world::World;

/// What people are looked up by; what is given must all hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    email: Option<String>,
    login: Option<String>,
    name: Option<String>,
    employee_id: Option<String>,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.email.is_none() && self.login.is_none() && self.name.is_none() && self.employee_id.is_none()
    }

    fn fits(&self, person: &Person) -> bool {
        let same = |wanted: &Option<String>, has: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.trim().to_lowercase() == has.to_lowercase())
        };
        self.email.as_ref().is_none_or(|email| person.has_address(email.trim()))
            && same(&self.login, &person.login)
            && same(&self.name, &person.name())
            && same(&self.employee_id, &person.employee_id)
    }
}

/// The routes.
pub fn router(world: Arc<World>) -> Router {
    Router::new().route("/people", get(search)).route("/people/{id}", get(one)).with_state(world)
}

fn staff(world: &World) -> impl Iterator<Item = &Person> {
    world.people().iter().filter(|person| person.kind == AccountKind::Employee)
}

async fn search(
    Shared(world): Shared<Arc<World>>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if !bearer_is(&headers, &world.state().tokens.people) {
        return unauthorised();
    }
    match wanted {
        Ok(Query(wanted)) if !wanted.is_empty() => {
            let found: Vec<Value> = staff(&world)
                .filter(|person| wanted.fits(person))
                .map(|person| record(&world, person))
                .collect();
            Json(json!({ "people": found })).into_response()
        }
        _ => problem(StatusCode::BAD_REQUEST, "look up by one or more of: email, login, name, employee_id"),
    }
}

async fn one(Shared(world): Shared<Arc<World>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !bearer_is(&headers, &world.state().tokens.people) {
        return unauthorised();
    }
    match staff(&world).find(|person| person.hr_id == id) {
        Some(person) => Json(json!({ "people": [record(&world, person)] })).into_response(),
        None => problem(StatusCode::NOT_FOUND, &format!("nobody has the id {id:?}")),
    }
}

fn record(world: &World, person: &Person) -> Value {
    let manager = person.manager.as_deref().and_then(|email| world.person_at(email));
    json!({
        "id": person.hr_id,
        "employee_id": person.employee_id,
        "email": person.email,
        "login": person.login,
        "aliases": person.aliases,
        "name": person.name(),
        "title": person.title,
        "department": person.department,
        "country": person.country,
        "employment_status": person.status,
        "start_date": person.start_date,
        "end_date": person.end_date,
        "contract": person.contract,
        "manager": manager.map(|manager| json!({ "name": manager.name(), "email": manager.email })),
        "on_leave": person.on_leave,
    })
}
