//! The listener, the routes, the shutdown.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::service::error::Sort;
use crate::service::house::Service;
use crate::web::access::Token;
use crate::web::problem::{Problem, in_words};
use crate::web::{
    alerts, attention, backtests, connections, etag, incidents, lists, metrics, openapi, page, people, runs,
    store, triage, undo,
};

/// The largest body of a call: an alert may be 1 MiB, and nothing else is larger.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What every call stands on.
#[derive(Clone)]
pub struct Web {
    /// The service.
    pub service: Arc<Service>,
    /// Tokens that are let in.
    pub tokens: Arc<Vec<Token>>,
}

/// Done once the caller of a request is gone.
#[derive(Clone)]
pub struct HungUp(watch::Receiver<()>);

impl HungUp {
    /// Waits until the caller is gone.
    pub async fn gone(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// All routes.
pub fn routes(web: Web) -> Router {
    let api = Router::new()
        .route("/alerts/{source}", post(alerts::submit).get(alerts::show))
        .route("/alerts", get(alerts::list))
        .route("/sources/{source}/alerts", post(alerts::ingest))
        .route("/playbooks", get(lists::playbooks))
        .route("/playbooks/check", post(lists::check))
        .route("/playbooks/{name}", get(lists::playbook))
        .route("/playbooks/{name}/runs", post(runs::start))
        .route("/playbooks/{name}/plan", post(runs::plan))
        .route("/backtests", post(backtests::backtest))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/events", get(runs::events))
        .route("/runs/{id}/cancel", post(runs::cancel))
        .route("/runs/{id}/undo", post(undo::run))
        .route("/runs/{id}/settle", post(runs::settle))
        .route("/runs/{id}/release", post(runs::release))
        .route("/incidents", get(lists::incidents))
        .route("/incidents/{id}", get(lists::incident).patch(incidents::change))
        .route("/incidents/{id}/undo", post(undo::incident))
        .route("/approvals", get(people::approvals))
        .route("/approvals/{id}", get(people::approval))
        .route("/approvals/{id}/approve", post(people::approve))
        .route("/approvals/{id}/reject", post(people::reject))
        .route("/questions", get(people::questions))
        .route("/questions/{id}", get(people::question))
        .route("/questions/{id}/answer", post(people::answer))
        .route("/containments", get(lists::containments))
        .route("/containments/{id}", get(lists::containment))
        .route("/containments/{id}/undo", post(undo::containment))
        .route("/containments/{id}/extend", post(lists::extend))
        .route("/attention", get(attention::list))
        .route("/incidents/{id}/merge", post(triage::merge))
        .route("/incidents/{id}/split", post(triage::split))
        .route("/exceptions", get(triage::exceptions).post(triage::make_exception))
        .route("/exceptions/{id}", get(triage::exception))
        .route("/exceptions/{id}/end", post(triage::end_exception))
        .route("/detections", get(triage::detections))
        .route("/detections/message", get(triage::detection))
        .route("/schedules", get(lists::schedules))
        .route("/schedules/{id}", get(lists::schedule))
        .route("/polls", get(lists::polls))
        .route("/reports", post(lists::report).get(lists::reports))
        .route("/reports/{id}", get(lists::kept_report))
        .route("/store/backup", post(store::backup))
        .route("/openapi.json", get(openapi::show))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_call)
        .layer(from_fn(etag::tag));
    Router::new()
        .nest("/api/v1", api)
        .route("/", get(page::home))
        .route("/q/{token}", get(page::question).post(page::answer))
        .route("/approvals/{id}", get(page::approval))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::show))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_call)
        .layer(map_response(in_words))
        .layer(from_fn(to_its_end))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(web)
}

/// A call that has begun goes on to its end, also when the caller hangs up:
/// between the record of a run and its first step nobody may drop it.
async fn to_its_end(mut request: Request, next: Next) -> Response {
    // Dropped with this call, so that what only waits ends when nobody listens.
    let (_listens, hung_up) = watch::channel(());
    request.extensions_mut().insert(HungUp(hung_up));
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = "a mistake in Quell stopped this call; please report it with the server's log";
            Problem::new(Sort::Own, "unanswered", message).into_response()
        }
    }
}

async fn nothing_here() -> Problem {
    Problem::new(Sort::Absent, "route-unknown", "there is nothing at this address; the API is under /api/v1")
}

async fn no_such_call(method: Method) -> Problem {
    let message = format!("this address takes no {method}; the routes are described at /api/v1/openapi.json");
    Problem::new(Sort::OtherMethod, "method-wrong", message)
}

async fn ready(State(web): State<Web>) -> Response {
    match web.service.journal.health() {
        Ok(()) => "ready\n".into_response(),
        // Whatever keeps it from serving, who asks here may come back.
        Err(error) => Problem::new(Sort::Busy, "not-ready", error.to_string()).into_response(),
    }
}

/// Serves until `stop` is done, then lets open calls end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    web: Web,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    connections::serve(listener, routes(web), stop).await;
    Ok(())
}

/// Answers everybody that nothing can be taken yet, and why, until it is dropped.
/// Connections are closed, so that who comes back meets the server proper.
pub async fn serve_waiting(listener: TcpListener, why: String) {
    let not_yet = move || {
        let mut answer = Problem::new(Sort::Busy, "store-full", why.clone()).into_response();
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        std::future::ready(answer)
    };
    let alive = || async { ([(header::CONNECTION, "close")], "ok\n") };
    let routes = Router::new().route("/healthz", get(alive)).fallback(not_yet);
    connections::serve(listener, routes, std::future::pending()).await;
}
