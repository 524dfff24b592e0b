//! How much is asked of a peer.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::peer::{Act, peer, response};
use crate::setup::{output, setup};

fn spec(limits: &str) -> String {
    format!(
        "connector: p\ntitle: P\nproven: simulated\nlimits: {limits}\noperations:\n  ping: {{ effect: R, request: {{ method: GET, path: /ping }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_their_turn_and_no_call_fails_for_it() {
    let peer = peer(Act::Late(Duration::from_millis(30), response(200, &[], "{}"))).await;
    let setup = setup(&spec("{ per_minute: 1200, at_once: 2 }"), &peer.url, &[], "");
    let began = Instant::now();
    let calls = (0..12).map(|_| setup.perform("peer", "ping", json!({}), Duration::from_secs(20)));
    for answer in futures_util::future::join_all(calls).await {
        output(answer);
    }
    // 1,200 a minute is one every 50 ms; the first comes at once.
    assert!(began.elapsed() >= Duration::from_millis(11 * 50), "{:?}", began.elapsed());
    assert!(peer.at_once.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_calls_at_once_than_declared_even_without_a_rate() {
    let peer = peer(Act::Late(Duration::from_millis(50), response(200, &[], "{}"))).await;
    let setup = setup(&spec("{ at_once: 3 }"), &peer.url, &[], "");
    let calls = (0..30).map(|_| setup.perform("peer", "ping", json!({}), Duration::from_secs(20)));
    for answer in futures_util::future::join_all(calls).await {
        output(answer);
    }
    let most = peer.at_once.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} at once");
    assert!(peer.connections.load(Ordering::SeqCst) <= 3, "connections are kept");
}

#[tokio::test]
async fn a_connector_can_say_that_its_calls_are_short() {
    let peer = peer(Act::Silence).await;
    let setup = setup(&spec("{ timeout: 200ms }"), &peer.url, &[], "");
    let began = Instant::now();
    let answer = setup.perform("peer", "ping", json!({}), Duration::from_secs(30)).await;
    assert_eq!(crate::setup::failure(answer).code, "timeout");
    assert!(began.elapsed() < Duration::from_secs(10));
}
