use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::web::access::Role;

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn limits() -> TrafficLimits {
    TrafficLimits {
        requests: 3,
        requests_of_token: 2,
        requests_of_address: 1,
        streams: 2,
        streams_of_token: 1,
        ..TrafficLimits::for_files(1024)
    }
}

/// A server with a route of every kind, and one that nobody declared.
fn router() -> Router {
    let token = |name: &str, role| Token {
        who: format!("{name}@example.com"),
        sha256: Sha256::digest(name).into(),
        roles: vec![role],
    };
    let tokens =
        vec![token("reads", Role::Reader), token("responds", Role::Responder), token("looks", Role::Reader)];
    let admission = Admission::new(Arc::new(tokens), "https://quell.example.com".to_owned(), limits(), now);
    Router::new()
        .route("/api/v1/runs", get(async || "runs").delete(async || "deleted"))
        .route("/api/v1/runs/{id}/events", get(async || "events"))
        .route("/api/v1/runs/{id}/cancel", post(async || "cancelled"))
        .route("/api/v1/openapi.json", get(async || "described"))
        .route("/api/v1/alerts/{source}", any(async || "taken"))
        .route("/q/{token}", post(async || "answered"))
        .route("/healthz", get(async || "ok"))
        .route("/undeclared", get(async || "open to all"))
        .layer(from_fn_with_state(admission, admit))
}

struct Asked<'a> {
    router: &'a Router,
    method: &'a str,
    path: &'a str,
    token: Option<&'a str>,
    headers: &'a [(&'a str, &'a str)],
}

impl Asked<'_> {
    async fn send(&self, body: Body) -> Response {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(body).expect("a request");
        TowerToHyperService::new(self.router.clone()).call(request).await.expect("it always answers")
    }
}

fn asked<'a>(router: &'a Router, method: &'a str, path: &'a str, token: Option<&'a str>) -> Asked<'a> {
    Asked { router, method, path, token, headers: &[] }
}

fn code(response: &Response) -> String {
    let told = response.extensions().get::<crate::web::problem::RefusedBecause>();
    told.map(|told| told.0.code.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_route_that_declares_no_access_is_refused() {
    let router = router();
    for (method, path, status, refused) in [
        ("GET", "/undeclared", 404, "route-unknown"),
        ("GET", "/nowhere", 404, "route-unknown"),
        ("DELETE", "/api/v1/runs", 405, "method-wrong"),
        ("PUT", "/api/v1/alerts/open", 405, "method-wrong"),
        ("GET", "/healthz", 200, ""),
    ] {
        let answer = asked(&router, method, path, Some("responds")).send(Body::empty()).await;
        assert_eq!((answer.status().as_u16(), code(&answer).as_str()), (status, refused), "{method} {path}");
    }
}

#[tokio::test]
async fn nothing_of_a_body_is_read_before_the_role_is_known() {
    let router = router();
    let other_site = [("origin", "https://evil.example")];
    for (path, token, headers, status, refused) in [
        ("/api/v1/runs/x/cancel", None, &[][..], 401, "token-needed"),
        ("/api/v1/runs/x/cancel", Some("guess"), &[], 401, "token-unknown"),
        ("/api/v1/runs/x/cancel", Some("reads"), &[], 403, "role-missing"),
        ("/undeclared", Some("responds"), &[], 404, "route-unknown"),
        ("/q/x", None, &other_site, 403, "other-site"),
    ] {
        let read = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&read);
        let body = futures_util::stream::once(async move {
            told.store(true, Ordering::SeqCst);
            Ok::<_, std::io::Error>("{}")
        });
        let method = if path == "/undeclared" { "GET" } else { "POST" };
        let answer =
            Asked { headers, ..asked(&router, method, path, token) }.send(Body::from_stream(body)).await;
        assert_eq!((answer.status().as_u16(), code(&answer).as_str()), (status, refused), "{path} {token:?}");
        assert!(!read.load(Ordering::SeqCst), "{path} {token:?}: the body was read");
    }
    let whole =
        asked(&router, "POST", "/api/v1/runs/x/cancel", Some("responds")).send(Body::from("{}")).await;
    assert_eq!(whole.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_larger_than_its_route_takes_is_refused() {
    let router = router();
    for (path, token, most) in
        [("/q/x", None, FORM_BYTES_MAX), ("/api/v1/runs/x/cancel", Some("responds"), BODY_BYTES_MAX)]
    {
        let asked = asked(&router, "POST", path, token);
        assert_eq!(asked.send(Body::from(vec![b' '; most])).await.status(), StatusCode::OK, "{path}");
        let larger = asked.send(Body::from(vec![b' '; most + 1])).await;
        assert_eq!((larger.status().as_u16(), code(&larger).as_str()), (413, "body-too-large"), "{path}");
    }
}

#[tokio::test]
async fn each_token_and_address_has_its_share_and_alerts_and_health_need_none() {
    let router = router();
    let runs = |token| asked(&router, "GET", "/api/v1/runs", Some(token));
    let events = |token| asked(&router, "GET", "/api/v1/runs/x/events", Some(token));
    let described = asked(&router, "GET", "/api/v1/openapi.json", None);
    let full = |answer: &Response, status: u16, refused: &str| {
        assert_eq!((answer.status().as_u16(), code(answer).as_str()), (status, refused));
        assert!(answer.headers().contains_key("retry-after"), "{refused}");
    };
    // What is under way is held until its answer is out.
    let mut held = vec![events("reads").send(Body::empty()).await];
    full(&events("reads").send(Body::empty()).await, 429, "too-many-streams");
    held.push(events("looks").send(Body::empty()).await);
    full(&events("responds").send(Body::empty()).await, 503, "streams-full");
    held.push(described.send(Body::empty()).await);
    full(&described.send(Body::empty()).await, 429, "too-many-requests");
    assert!(held.iter().all(|answer| answer.status() == StatusCode::OK));
    full(&runs("responds").send(Body::empty()).await, 503, "requests-full");
    for (method, path) in [("POST", "/api/v1/alerts/open"), ("GET", "/healthz")] {
        for _ in 0..10 {
            held.push(asked(&router, method, path, None).send(Body::empty()).await);
            assert_eq!(held.last().map(Response::status), Some(StatusCode::OK), "{path}");
        }
    }
    held.clear();
    held = vec![runs("reads").send(Body::empty()).await, runs("reads").send(Body::empty()).await];
    full(&runs("reads").send(Body::empty()).await, 429, "too-many-requests");
    assert_eq!(runs("looks").send(Body::empty()).await.status(), StatusCode::OK, "another token's");
    drop(held);
    assert_eq!(runs("reads").send(Body::empty()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn wrong_tokens_are_slowed_and_a_right_one_never() {
    let router = router();
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let answer = asked(&router, "GET", "/api/v1/runs", Some("guess")).send(Body::empty()).await;
        assert_eq!(code(&answer), "token-unknown");
    }
    let slowed = asked(&router, "GET", "/api/v1/runs", Some("guess")).send(Body::empty()).await;
    assert_eq!((slowed.status().as_u16(), code(&slowed).as_str()), (429, "too-many-wrong-tokens"));
    assert!(slowed.headers().contains_key("retry-after"));
    assert!(began.elapsed() >= HELD_BACK);
    let right = asked(&router, "GET", "/api/v1/runs", Some("reads")).send(Body::empty()).await;
    assert_eq!(right.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_came_on_a_connection_that_ends_for_others_is_not_begun() {
    let connection = Arc::new(Connection::new(std::time::Instant::now()));
    let mut extensions = Extensions::new();
    extensions.insert(Arc::clone(&connection));
    assert!(begin_work(&extensions).is_ok());
    assert!(!connection.close(), "a request is being answered");
    let connection = Arc::new(Connection::new(std::time::Instant::now()));
    assert!(connection.close());
    extensions.insert(connection);
    let refused = begin_work(&extensions).expect_err("it is closed");
    assert_eq!(refused.0.code, "connection-closed");
}

#[tokio::test]
async fn a_handshake_comes_without_a_token_and_nothing_else_does() {
    let router = router();
    let asks = [("x-okta-verification-challenge", "a-value")];
    let plain = asked(&router, "GET", "/api/v1/alerts/alr_x", None);
    assert_eq!(code(&plain.send(Body::empty()).await), "token-needed");
    let asking = Asked { headers: &asks, ..plain };
    assert_eq!(asking.send(Body::empty()).await.status(), StatusCode::OK);
}
