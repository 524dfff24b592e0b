//! Bodies and queries of calls, refused as problem documents in the caller's words.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::service::error::Sort;
use crate::web::problem::Problem;

/// A JSON body, sent or received.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = <axum::Json<T> as FromRequest<S>>::from_request(request, state).await;
        body.map(|axum::Json(body)| Self(body)).map_err(|rejection| wrong_body(&rejection))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let body = <axum::Json<T> as OptionalFromRequest<S>>::from_request(request, state).await;
        body.map(|body| body.map(|axum::Json(body)| Self(body))).map_err(|rejection| wrong_body(&rejection))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The part of an address after `?`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|rejection: QueryRejection| {
            let why = after(&rejection.body_text(), "Failed to deserialize query string: ");
            Problem::new(Sort::Wrong, "query-wrong", format!("the part after `?` cannot be used: {why}"))
        })
    }
}

fn wrong_body(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            Sort::OtherType,
            "content-type-wrong",
            "this takes JSON; send `Content-Type: application/json` and a JSON body",
        ),
        JsonRejection::JsonSyntaxError(_) => {
            let why = after(&text, "Failed to parse the request body as JSON: ");
            Problem::new(Sort::Wrong, "json-wrong", format!("the body is no JSON: {why}"))
        }
        JsonRejection::JsonDataError(_) => {
            let why = after(&text, "Failed to deserialize the JSON body into the target type: ");
            Problem::new(Sort::Wrong, "body-wrong", format!("the body does not fit this call: {why}"))
        }
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Sort::TooLarge, "body-too-large", "the body is larger than 1 MiB; nothing was done")
        }
        _ => Problem::new(Sort::Wrong, "body-unread", "the body could not be read whole; send it again"),
    }
}

/// What stands after the library's own opening words.
fn after(text: &str, opening: &str) -> String {
    text.strip_prefix(opening).unwrap_or(text).to_owned()
}
