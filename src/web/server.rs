//! The listener, the routes, the shutdown.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::service::error::Sort;
use crate::service::house::Service;
use crate::web::access::Token;
use crate::web::admission::{Admission, admit, no_such_call, nothing_here};
use crate::web::body::BODY_BYTES_MAX;
use crate::web::limits::TrafficLimits;
use crate::web::problem::{Problem, in_words};
use crate::web::{
    alerts, attention, backtests, connections, etag, incidents, lists, metrics, openapi, page, people, runs,
    starts, store, triage, undo,
};

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
    /// What is gone with the first, and a watch on it.
    pub fn watched() -> (watch::Sender<()>, Self) {
        let (listens, hung_up) = watch::channel(());
        (listens, Self(hung_up))
    }

    /// Waits until the caller is gone.
    pub async fn gone(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// All routes, behind the layer that lets in what they declare.
pub fn routes(web: Web, limits: TrafficLimits) -> Router {
    let world = &web.service.world;
    let admission = Admission::new(Arc::clone(&web.tokens), world.public_url.clone(), limits, world.now);
    let api = Router::new()
        .route("/alerts/{source}", post(alerts::submit).get(alerts::show))
        .route("/alerts/{source}/raw", get(alerts::raw))
        .route("/alerts", get(alerts::list))
        .route("/sources/{source}/alerts", post(alerts::ingest))
        .route("/playbooks", get(lists::playbooks))
        .route("/playbooks/check", post(lists::check))
        .route("/playbooks/{name}", get(lists::playbook))
        .route("/playbooks/{name}/runs", post(starts::start))
        .route("/playbooks/{name}/plan", post(starts::plan))
        .route("/backtests", post(backtests::backtest))
        .route("/runs", get(runs::list))
        .route("/runs/release", post(runs::release_all))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/events", get(runs::events))
        .route("/runs/{id}/rerun", post(starts::run_again))
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
        .fallback(async || nothing_here())
        .method_not_allowed_fallback(async |method: Method| no_such_call(&method))
        .layer(from_fn(etag::tag));
    Router::new()
        .nest("/api/v1", api)
        .route("/", get(page::home))
        .route("/q/{token}", get(page::question).post(page::answer))
        .route("/approvals/{id}", get(page::approval))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::show))
        .fallback(async || nothing_here())
        .method_not_allowed_fallback(async |method: Method| no_such_call(&method))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response(in_words))
        .layer(from_fn_with_state(admission, admit))
        .layer(from_fn_with_state(web.clone(), page::in_words_for_people))
        .with_state(web)
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
    let limits = TrafficLimits::for_files(connections::files());
    connections::serve(listener, routes(web, limits), limits, stop).await;
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
    let limits = TrafficLimits::for_files(connections::files());
    connections::serve(listener, routes, limits, std::future::pending()).await;
}
