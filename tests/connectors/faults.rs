//! Whatever a peer does, the outcome says truly what may follow, in time, with
//! bounded reading, and without our secrets.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use quell::domain::outcome::{FailureClass, Outcome};
use serde_json::json;

use crate::peer::{Act, peer, response};
use crate::setup::{CANARY, failure, setup};

const SPEC: &str = r#"connector: bad
title: A bad peer
auth: { header: X-Key, value: "Key ${ secret.token }" }
proven: simulated
operations:
  read:
    effect: R
    request: { method: GET, path: /thing }
    success: ${ status == 200 && body.ok }
    absent: ${ status == 404 }
    output: { name: "${ body.name }" }
  write:
    effect: N
    request: { method: POST, path: /thing, body: { on: false } }
    success: ${ (status == 200 && body.ok) || status == 204 }
    output: { name: "${ body.name }" }
"#;

/// The longest that a call of a peer that does not answer may take.
const DEADLINE: Duration = Duration::from_millis(1500);

/// The longest for one that does: the machine may be busy.
const PROMPT: Duration = Duration::from_secs(20);

fn ok(body: &str) -> Act {
    Act::Say(response(200, &[], body))
}

fn status(status: u16, headers: &[(&str, &str)]) -> Act {
    Act::Say(response(status, headers, "{\"detail\":\"no\\u001b[2J\"}"))
}

/// What a peer does, and the class, code and wait that must come of it.
type Case = (&'static str, Act, FailureClass, &'static str, Option<u64>);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use FailureClass::{Permanent, Transient, Unknown};
    let head = "HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n{\"ok\":";
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let deep = "[".repeat(100_000);
    vec![
        ("silence", Act::Silence, Unknown, "timeout", None),
        ("429, at once", status(429, &[("retry-after", "0")]), Transient, "too-many-requests", Some(0)),
        ("429, 2 s", status(429, &[("retry-after", "2")]), Transient, "too-many-requests", Some(2)),
        ("429, a past date", status(429, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), Transient, "too-many-requests", Some(0)),
        ("429, 30 years", status(429, &[("retry-after", "1000000000")]), Transient, "too-many-requests", Some(3600)),
        ("429, no wait said", status(429, &[]), Transient, "too-many-requests", None),
        ("403 with a wait", status(403, &[("retry-after", "5")]), Transient, "too-many-requests", Some(5)),
        ("425", status(425, &[]), Transient, "too-many-requests", None),
        ("503 with a wait", status(503, &[("retry-after", "1")]), Transient, "unavailable", Some(1)),
        ("503", status(503, &[]), Unknown, "server-error", None),
        ("500", status(500, &[]), Unknown, "server-error", None),
        ("502", status(502, &[]), Unknown, "server-error", None),
        ("408", status(408, &[]), Unknown, "server-error", None),
        ("400", status(400, &[]), Permanent, "refused", None),
        ("401", status(401, &[]), Permanent, "not-allowed", None),
        ("403", status(403, &[]), Permanent, "not-allowed", None),
        ("404", status(404, &[]), Permanent, "not-found", None),
        ("409", status(409, &[]), Permanent, "refused", None),
        ("closed before an answer", Act::SayAndClose(Vec::new()), Unknown, "connection-cut", None),
        ("reset before an answer", Act::SayAndReset(Vec::new()), Unknown, "connection-cut", None),
        ("reset in the head", Act::SayAndReset(b"HTTP/1.1 200 X\r\ncont".to_vec()), Unknown, "connection-cut", None),
        ("closed in the body", Act::SayAndClose(head.into()), Unknown, "answer-cut", None),
        ("reset in the body", Act::SayAndReset(head.into()), Unknown, "answer-cut", None),
        ("a refusal cut short", Act::SayAndClose(head.replace("200", "409").into()), Permanent, "refused", None),
        ("1 byte a second", Act::Drip(format!("{head}{}", " ".repeat(990))), Unknown, "timeout", None),
        ("cut JSON", ok("{\"ok\":true,\"na"), Unknown, "answer-unexpected", None),
        ("another type", ok("[1,2]"), Unknown, "answer-unexpected", None),
        ("HTML", ok("<html>hello</html>"), Unknown, "answer-unexpected", None),
        ("nothing", ok(""), Unknown, "answer-unexpected", None),
        ("deep JSON", ok(&deep), Unknown, "answer-unexpected", None),
        ("no gzip", Act::Say(response(200, &[("content-encoding", "gzip")], "\u{1f}garbage")), Unknown, "answer-unreadable", None),
        ("no to 200", ok("{\"ok\":false}"), Permanent, "answer-unlisted", None),
        ("202", Act::Say(response(202, &[], "")), Permanent, "answer-unlisted", None),
        ("100 MB", Act::Flood("HTTP/1.1 200 X\r\ncontent-length: 100000000\r\n\r\n".into(), 100_000_000), Unknown, "answer-too-large", None),
        ("100 MB of refusal", Act::Flood("HTTP/1.1 400 X\r\ncontent-length: 100000000\r\n\r\n".into(), 100_000_000), Permanent, "refused", None),
        ("endless", Act::Flood("HTTP/1.1 200 X\r\n\r\n".into(), usize::MAX), Unknown, "answer-too-large", None),
        ("10,000 headers", Act::Say(format!("HTTP/1.1 200 X\r\n{many}\r\n")), Unknown, "connection-cut", None),
        ("no HTTP", Act::Say("SSH-2.0-OpenSSH_9.7\r\n".into()), Unknown, "connection-cut", None),
        ("a wrong length", Act::SayAndClose(response(200, &[("content-length", "5")], "{\"ok\":true}").into()), Unknown, "connection-cut", None),
        ("sent on", Act::Say(response(302, &[("location", "http://169.254.169.254/latest")], "")), Permanent, "redirected", None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_follow_is_said_truly_whatever_the_peer_does() {
    let cases = cases();
    for operation in &["read", "write"] {
        let mut ready = Vec::new();
        for case in &cases {
            let peer = peer(case.1.clone()).await;
            ready.push((case, setup(SPEC, &peer.url, &["token"], CANARY), peer));
        }
        let calls = ready.iter().map(|((name, act, class, code, wait), setup, peer)| async move {
            let slow = matches!(act, Act::Silence | Act::Drip(_));
            let deadline = if slow { DEADLINE } else { PROMPT };
            let began = Instant::now();
            let answer = setup.perform("peer", operation, json!({}), deadline).await;
            let took = began.elapsed();
            assert!(!format!("{:?}", answer.outcome).contains("canary"), "{name}: {:?}", answer.outcome);
            let failure = failure(answer);
            // What is no refusal leaves open whether something was written.
            let (class, code) = match (*operation, *code) {
                ("write", "unavailable") => (FailureClass::Unknown, "server-error"),
                ("write", "answer-unlisted" | "redirected") => (FailureClass::Unknown, *code),
                _ => (*class, *code),
            };
            let told = format!("{name}, {operation}: {failure:?}");
            assert_eq!((failure.class, failure.code.as_str()), (class, code), "{told}");
            assert_eq!(failure.retry_after.map(|wait| wait.as_secs()), *wait, "{told}");
            assert!(took < deadline + Duration::from_millis(1500), "{told} took {took:?}");
            assert!(failure.message.len() <= 410 && !failure.message.chars().any(char::is_control), "{told}");
            // What loopback buffers hold is not read by us.
            assert!(peer.written.load(Ordering::SeqCst) < 16_000_000, "{told}");
            assert_eq!(peer.connections.load(Ordering::SeqCst), 1, "{told}");
            let requests = peer.requests.lock();
            let asks = |request: &String| request.contains("accept-encoding: gzip, deflate, br\r\n");
            assert!(requests.iter().all(asks), "{told}");
        });
        futures_util::future::join_all(calls).await;
    }
}

#[tokio::test]
async fn what_was_never_sent_is_a_clean_failure() {
    // Bound and dropped: nobody listens there.
    let url = format!(
        "http://{}",
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
    );
    for url in [url.as_str(), "http://no-such-host.invalid", &url.replace("http:", "https:")] {
        for operation in ["read", "write"] {
            let failure = failure(
                setup(SPEC, url, &["token"], CANARY).perform("peer", operation, json!({}), PROMPT).await,
            );
            assert_eq!(
                (failure.class, failure.code.as_str()),
                (FailureClass::Transient, "unreachable"),
                "{url}: {failure:?}"
            );
            assert!(failure.message.contains("nothing was sent"), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_was_done_is_never_called_undone() {
    // Done by its own words, but without the output that is declared.
    for (status, body) in [(200, "{\"ok\":true}"), (204, "")] {
        let text = response(status, &[], body).replace("content-length: 0\r\n", "");
        let peer = peer(Act::Say(text)).await;
        let setup = setup(SPEC, &peer.url, &["token"], CANARY);
        let written = failure(setup.perform("peer", "write", json!({}), PROMPT).await);
        assert_eq!(
            (written.class, written.code.as_str()),
            (FailureClass::Unknown, "answer-unexpected"),
            "{written:?}"
        );
    }
    let peer = peer(ok("{\"ok\":true}")).await;
    let setup = setup(SPEC, &peer.url, &["token"], CANARY);
    let read = failure(setup.perform("peer", "read", json!({}), PROMPT).await);
    assert_eq!(read.class, FailureClass::Permanent, "{read:?}");
}

#[tokio::test]
async fn a_peer_that_repeats_our_secret_does_not_get_it_into_the_record() {
    let bare = CANARY.to_owned();
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    for said in
        [bare.clone(), encoded.clone(), json!(bare).to_string(), format!("Key {bare}"), hex::encode(&bare)]
    {
        for status in [200, 400, 500] {
            let body = json!({ "ok": true, "name": said, "detail": said }).to_string();
            let peer = peer(Act::Say(response(status, &[], &body))).await;
            let setup = setup(SPEC, &peer.url, &["token"], CANARY);
            let answer = setup.perform("peer", "read", json!({}), PROMPT).await;
            let shown = format!("{:?} {}", answer.outcome, String::from_utf8_lossy(&answer.body));
            for form in [bare.as_str(), encoded.as_str(), "canary", &hex::encode(&bare)] {
                assert!(!shown.contains(form), "{status} {said}: {shown}");
            }
        }
    }
    // The whole request, headers and all, as an answer.
    for status in [200, 401, 503] {
        let peer = peer(Act::Echo(status)).await;
        let setup = setup(SPEC, &peer.url, &["token"], CANARY);
        let answer = setup.perform("peer", "write", json!({}), PROMPT).await;
        assert!(peer.requests.lock()[0].contains(CANARY), "the peer does get it");
        let shown = format!("{:?} {}", answer.outcome, String::from_utf8_lossy(&answer.body));
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[tokio::test]
async fn a_call_that_goes_well_gives_its_output_and_evidence() {
    let body = "{\"ok\":true,\"name\":\"Dana\"}";
    let peer = peer(ok(body)).await;
    let setup = setup(SPEC, &peer.url, &["token"], CANARY);
    let answer = setup.perform("peer", "read", json!({}), PROMPT).await;
    assert_eq!(answer.body, body.as_bytes());
    let Outcome::Succeeded { output, evidence: Some(evidence) } = answer.outcome else {
        panic!("it goes well")
    };
    assert_eq!(output, json!({ "name": "Dana" }));
    assert_eq!(evidence.source, "peer.read");
    assert_eq!(evidence.request, format!("GET {}/thing", peer.url));
    assert_eq!((evidence.response.as_str(), evidence.bytes), ("200", body.len() as u64));
    assert_eq!(evidence.sha256, quell::domain::value::digest(body.as_bytes()));
}

#[tokio::test]
async fn a_wrong_call_sends_nothing() {
    let peer = peer(ok("{\"ok\":true}")).await;
    let setup = setup(SPEC, &peer.url, &["token"], CANARY);
    let spec = setup.hub.spec("peer").expect("it is configured");
    let call = |connector, operation| quell::connector::hub::OperationCall {
        connector,
        spec: &spec,
        operation,
        input: &quell::domain::value::Value::Null,
        captured: None,
        idempotency_key: "k",
        timeout: PROMPT,
        playbook: "p",
        urgency: quell::domain::urgency::Urgency::High,
        on_turn: None,
    };
    assert_eq!(failure(setup.hub.perform(&call("pear", "read")).await).code, "connector-unknown");
    assert_eq!(failure(setup.hub.perform(&call("peer", "red")).await).code, "operation-unknown");
    assert_eq!(failure(setup.hub.capture(&call("peer", "read")).await).code, "no-containment");
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
}
