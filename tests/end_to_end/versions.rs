//! What is sent twice and what is changed twice: idempotency keys, versions of
//! documents, the end of a run as the answer to its start.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{Answer, Server};

/// Waits for a time that does not come.
const SLOW: &str =
    "playbook: slow\nversion: 1\ntitle: Slow\nposture: overt\nsteps:\n  - { id: rest, wait: 12h }\n";

/// Takes an input, and asks Sam.
const TAKES: &str = "playbook: takes\nversion: 1\ntitle: Takes\nposture: overt\ninputs:\n  n: { type: integer, required: true }\nsteps:\n  - id: sum\n    set: { next: \"${ inputs.n + 1 }\" }\n";

async fn started(server: &Server, body: &Value, key: &str) -> Answer {
    server.post("/playbooks/takes/runs", body, &[("idempotency-key", key)]).await
}

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().expect("it is text").to_owned()
}

#[tokio::test]
async fn a_key_with_other_content_is_refused_and_a_repeat_is_marked_also_after_a_restart() {
    let mut server = Server::with("", &[("takes.yaml", TAKES)]).await;
    let (one, two) = (json!({ "inputs": { "n": 1 } }), json!({ "inputs": { "n": 2 } }));
    let first = started(&server, &one, "k-1").await;
    assert_eq!((first.status, &first.body["repeated"]), (201, &Value::Null), "{}", first.body);
    assert!(first.headers.get("idempotent-replayed").is_none());
    for again in [false, true] {
        if again {
            server.die_and_come_back().await;
        }
        let repeat = started(&server, &one, "k-1").await;
        assert_eq!((repeat.status, &repeat.body["run"]), (201, &first.body["run"]), "{}", repeat.body);
        assert_eq!(repeat.body["repeated"], json!(true));
        assert_eq!(repeat.headers["idempotent-replayed"], "true");
        let other = started(&server, &two, "k-1").await;
        assert_eq!((other.status, &other.body["code"]), (422, &json!("idempotency-key-reused")));
    }
    assert_eq!(started(&server, &two, "k-2").await.status, 201);
    assert_eq!(server.get("/runs").await["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn of_two_changes_of_one_version_one_is_refused() {
    let server = Server::start().await;
    server.post("/playbooks/quick/runs?wait=30s", &json!({}), &[]).await;
    let rows = server.get("/incidents").await;
    let path = format!("/incidents/{}", rows["items"][0]["id"].as_str().expect("it has an id"));
    let read = server.read(&path, &[]).await;
    let version = etag(&read);
    assert!(version.starts_with('"'), "{version} is strong");
    let known = server.read(&path, &[("if-none-match", &version)]).await;
    assert_eq!((known.status, &known.body, etag(&known)), (304, &json!(""), version.clone()));
    let change = |note: &str| json!({ "note": note });
    let patch = |note: &'static str, headers: Vec<(String, String)>| {
        let (server, path) = (&server, path.clone());
        async move {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let all = [&[("content-type", "application/json")][..], &headers].concat();
            server.call("PATCH", &format!("/api/v1{path}"), &all, &change(note).to_string()).await
        }
    };
    let with = |version: &str| vec![("if-match".to_owned(), version.to_owned())];
    let racing = (0..8).map(|_| patch("raced", with(&version)));
    let said: Vec<u16> =
        futures_util::future::join_all(racing).await.iter().map(|answer| answer.status).collect();
    assert_eq!(said.iter().filter(|status| **status == 200).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|status| **status == 412).count(), 7, "{said:?}");
    let late = patch("late", with(&version)).await;
    assert_eq!((late.status, &late.body["code"]), (412, &json!("changed-since")), "{}", late.body);
    let wrong = patch("wrong", with("unquoted")).await;
    assert_eq!((wrong.status, &wrong.body["code"]), (412, &json!("if-match-wrong")), "{}", wrong.body);
    let now = server.read(&path, &[]).await;
    assert_eq!(now.body["notes"].as_array().map(Vec::len), Some(1), "{}", now.body);
    let next = patch("next", with(&etag(&now))).await;
    assert_eq!(next.status, 200, "{}", next.body);
    assert_eq!(etag(&next), etag(&server.read(&path, &[]).await), "a change answers with the new version");
    assert_eq!(patch("any", with("*")).await.status, 200);
    assert_eq!(patch("none", Vec::new()).await.status, 200);
}

#[tokio::test]
async fn a_run_is_told_something_only_as_it_was_seen() {
    let server = Server::with("", &[("slow.yaml", SLOW)]).await;
    let run = server.post("/playbooks/slow/runs", &json!({}), &[]).await.body["run"].clone();
    let path = format!("/runs/{}", run.as_str().expect("it has an id"));
    while server.get(&path).await["waiting_on"] == json!([]) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cancel = |version: String| {
        let (server, path) = (&server, format!("{path}/cancel"));
        async move { server.post(&path, &json!({}), &[("if-match", &version)]).await }
    };
    let stale = cancel("\"00000000000000000000000000000000\"".to_owned()).await;
    assert_eq!((stale.status, &stale.body["code"]), (412, &json!("changed-since")), "{}", stale.body);
    let version = etag(&server.read(&path, &[]).await);
    assert_eq!(cancel(version.clone()).await.status, 200);
    assert_eq!(cancel(version).await.status, 412, "it is not as it was seen any more");
}

#[tokio::test]
async fn a_start_that_waits_is_answered_with_the_end_or_with_the_run() {
    let server = Server::with("", &[("slow.yaml", SLOW), ("takes.yaml", TAKES)]).await;
    let body = json!({ "inputs": { "n": 41 } });
    let key = [("idempotency-key", "k")];
    for repeated in [Value::Null, json!(true)] {
        let ended = server.post("/playbooks/takes/runs?wait=30s", &body, &key).await;
        assert_eq!((ended.status, &ended.body["status"]), (200, &json!("succeeded")), "{}", ended.body);
        assert_eq!(ended.body["steps"]["sum"]["next"], json!(42), "{}", ended.body);
        assert_eq!((&ended.body["end"], &ended.body["repeated"]), (&json!("succeeded"), &repeated));
    }
    let begun = Instant::now();
    let goes_on = server.post("/playbooks/slow/runs?wait=1s", &json!({}), &[]).await;
    assert_eq!((goes_on.status, &goes_on.body["status"]), (202, &json!("waiting")), "{}", goes_on.body);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it was waited for");
    for wrong in ["30", "0s", "61s", "1m", "-1s", "1.5s", ""] {
        let refused = server.post(&format!("/playbooks/slow/runs?wait={wrong}"), &json!({}), &[]).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("query-wrong")), "{wrong}");
    }
    assert_eq!(server.get("/runs?playbook=slow").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_server_that_stops_lets_those_go_who_wait() {
    let mut server = Server::with("", &[("slow.yaml", SLOW)]).await;
    let url = server.url("/playbooks/slow/runs?wait=60s");
    let call = tokio::spawn(server.send(reqwest::Method::POST, url, "{}"));
    while server.get("/runs?playbook=slow").await["items"] == json!([]) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.tell_to_stop().await;
    let answer = call.await.expect("it does not panic");
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(server.ended().await, Some(0));
}

#[tokio::test]
async fn the_events_of_a_run_that_is_over_end() {
    let server = Server::start().await;
    let ended = server.post("/playbooks/quick/runs?wait=30s", &json!({}), &[]).await;
    let path = format!("/runs/{}/events", ended.body["run"].as_str().expect("it has an id"));
    let limit = Duration::from_secs(60);
    let all = tokio::time::timeout(limit, server.read(&path, &[])).await.expect("it ends");
    let text = all.body.as_str().expect("it is text").to_owned();
    assert!(text.contains("run_started") && text.contains("run_ended"), "{text}");
    let seen = tokio::time::timeout(limit, server.read(&format!("{path}?after=9999"), &[])).await;
    assert_eq!(seen.expect("it ends").body, json!(""));
    let wrong = server.read(&path, &[("last-event-id", "x")]).await;
    assert_eq!((wrong.status, &wrong.body["code"]), (400, &json!("last-event-id-wrong")));
}

#[tokio::test]
async fn runs_are_counted_by_how_they_ended_also_after_a_restart() {
    let mut server = Server::with("", &[("slow.yaml", SLOW)]).await;
    server.post("/playbooks/quick/runs?wait=30s", &json!({}), &[]).await;
    let run = server.post("/playbooks/slow/runs", &json!({}), &[]).await.body["run"].clone();
    let cancel = format!("/runs/{}/cancel", run.as_str().expect("it has an id"));
    assert_eq!(server.post(&cancel, &json!({}), &[]).await.status, 200);
    for again in [false, true] {
        if again {
            server.die_and_come_back().await;
        }
        let text = server.call("GET", "/metrics", &[], "").await.body;
        let text = text.as_str().expect("it is text");
        for line in [
            "quell_runs_ended_total{end=\"succeeded\"} 1",
            "quell_runs_ended_total{end=\"failed\"} 0",
            "quell_runs_ended_total{end=\"cancelled\"} 1",
            "quell_runs_total 2",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
        }
    }
}
