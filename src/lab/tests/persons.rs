//! People who act on mail, against a small server that stands for Quell.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use parking_lot::Mutex;

use super::support::{Dir, lab, send_mail, until};
use crate::lab::sensor;

const PAGE: &str = r#"<!doctype html><h1>Was this expected?</h1>
<form method="post" action="/q/tok"><input type="hidden" name="csrf" value="c&amp;1">
<label><input type="radio" name="choice" value="expected"> Yes</label>
<label><input type="radio" name="choice" value="not_expected"> No</label>
<input type="text" name="ticket"><textarea name="note"></textarea><button>Send</button></form>"#;

/// What comes after an answer: it is repeated, and wants to be confirmed.
const CONFIRM: &str = r#"<form method="post"><input type="hidden" name="choice" value="not_expected">
<input type="hidden" name="confirm" value="seen"><input type="checkbox" name="sure" value="yes" required></form>"#;

/// What was asked of the stand-in, and the statuses it answers first.
#[derive(Clone, Default)]
struct StandIn {
    heard: Arc<Mutex<Vec<(String, HeaderMap, String)>>>,
    statuses: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl StandIn {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(stand_in).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn lines(&self) -> Vec<String> {
        self.heard.lock().iter().map(|(line, _, _)| line.clone()).collect()
    }
}

async fn stand_in(
    State(me): State<StandIn>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let asks = method == Method::POST && uri.path().starts_with("/q/") && !body.contains("confirm=");
    me.heard.lock().push((format!("{method} {}", uri.path()), headers, body));
    match me.statuses.lock().pop_front() {
        Some(status) => status.into_response(),
        None if asks => Html(CONFIRM).into_response(),
        None if method == Method::GET => Html(PAGE).into_response(),
        None => StatusCode::OK.into_response(),
    }
}

#[tokio::test]
async fn the_owner_answers_a_question_once_by_its_form_and_confirms_it() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let quell = StandIn::default();
    let url = quell.serve().await;
    send_mail(&lab, &["priya.nair@example.com"], "question", &format!("Please answer: {url}/q/tok\r\n"))
        .await;
    until("the answer", || lab.acted().len() == 1).await;
    assert_eq!(lab.acted()[0].outcome, "answered not_expected");
    assert_eq!(quell.lines(), ["GET /q/tok", "POST /q/tok", "POST /q/tok"]);
    let (_, _, confirmed) = quell.heard.lock()[2].clone();
    assert_eq!(confirmed, "choice=not_expected&confirm=seen&sure=yes");
    let (_, headers, body) = quell.heard.lock()[1].clone();
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(headers["origin"], url.as_str());
    assert!(body.starts_with("csrf=c%261&choice=not_expected&ticket=none+found&note=Nobody"), "{body}");
    lab.stop().await;
}

#[tokio::test]
async fn approvers_approve_with_their_own_token_and_try_again_while_the_server_is_away() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let quell = StandIn::default();
    quell.statuses.lock().extend([StatusCode::SERVICE_UNAVAILABLE]);
    let url = quell.serve().await;
    let id = "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let text = format!("Decide: {url}/approvals/{id}\r\n");
    send_mail(
        &lab,
        &["ana.duarte@example.com", "sam.okafor@example.com", "noor.haddad@example.com"],
        "approval",
        &text,
    )
    .await;
    until("the approval", || lab.acted().len() == 1).await;
    assert_eq!(
        (lab.acted()[0].person.as_str(), lab.acted()[0].outcome.as_str()),
        ("ana.duarte@example.com", "approved")
    );
    let line = format!("POST /api/v1/approvals/{id}/approve");
    assert_eq!(quell.lines(), [line.clone(), line]);
    let (_, headers, body) = quell.heard.lock()[1].clone();
    let token = format!("Bearer {}", lab.tokens.people_tokens["ana.duarte@example.com"]);
    assert_eq!(headers["authorization"].to_str().ok(), Some(token.as_str()));
    let note: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert!(note["note"].as_str().is_some_and(|note| !note.is_empty()));

    // Somebody was faster: that is the end of it.
    quell.statuses.lock().extend([StatusCode::CONFLICT]);
    send_mail(&lab, &["lee.park@example.com"], "again", &text).await;
    until("the second approval", || lab.acted().len() == 2).await;
    assert_eq!(lab.acted()[1].outcome, "somebody else had decided");
    assert_eq!(quell.lines().len(), 3);
    lab.stop().await;
}

#[tokio::test]
async fn the_alert_arrives_signed_and_under_one_id_however_often_it_is_sent() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let quell = StandIn::default();
    quell.statuses.lock().extend([StatusCode::SERVICE_UNAVAILABLE]);
    let url = quell.serve().await;
    lab.send_alert(&url, "proofpoint-itm").await.expect("delivered at the second try");
    assert_eq!(quell.lines(), ["POST /api/v1/alerts/proofpoint-itm"; 2]);
    let heard = quell.heard.lock().clone();
    let (_, headers, body) = &heard[1];
    let text = |name: &str| headers[name].to_str().expect("text").to_owned();
    assert_eq!(heard[0].1["webhook-id"], headers["webhook-id"]);
    let timestamp: i64 = text("webhook-timestamp").parse().expect("seconds");
    let secret = &lab.tokens.webhook_secret;
    let signed = sensor::signature(secret, &text("webhook-id"), timestamp, body.as_bytes()).expect("signed");
    assert_eq!(text("webhook-signature"), signed);
    let key = base64::engine::general_purpose::STANDARD.decode(secret.trim_start_matches("whsec_"));
    assert_eq!(key.map(|key| key.len()), Ok(32));

    let alert: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(alert["id"], lab.alert()["id"]);
    for (key, value) in [
        ("loginName", "dana.whitfield@example.com"),
        ("endpointName", "LT-DWHITFIELD-01"),
        ("originSiteName", "payments-ledger"),
        ("originFileName", "ledger-export-2026-q3.csv.zip"),
        ("severity", "Critical"),
    ] {
        assert_eq!(alert[key], value, "{key}");
    }

    quell.statuses.lock().extend([StatusCode::UNAUTHORIZED]);
    let refused = lab.send_alert(&url, "proofpoint-itm").await.expect_err("refused for good");
    assert!(refused.to_string().contains("401"), "{refused}");
    lab.stop().await;
}
