//! Many runs at once: who goes first, what the door says when it is full, and
//! how a server stops. The peer answers when the test says so, never by time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::house::{Answer, Server};

/// An asset inventory that holds each call until it is let go.
struct Peer {
    url: String,
    calls: Arc<Calls>,
}

struct Calls {
    asked: Mutex<Vec<String>>,
    answers: Semaphore,
}

impl Peer {
    async fn start() -> Self {
        let calls = Arc::new(Calls { asked: Mutex::new(Vec::new()), answers: Semaphore::new(0) });
        let routes = Router::new().route("/assets/{name}", get(Self::answer)).with_state(Arc::clone(&calls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, calls }
    }

    async fn answer(State(calls): State<Arc<Calls>>, Path(name): Path<String>) -> axum::Json<Value> {
        calls.asked.lock().expect("it is whole").push(name.clone());
        calls.answers.acquire().await.expect("it stays open").forget();
        axum::Json(json!({ "name": name, "owner": { "email": "priya.nair@example.com" } }))
    }

    /// Lets so many calls be answered.
    fn let_go(&self, calls: usize) {
        self.calls.answers.add_permits(calls);
    }

    /// What was asked for, in order.
    fn asked(&self) -> Vec<String> {
        self.calls.asked.lock().expect("it is whole").clone()
    }

    /// Waits until so many calls have come.
    async fn asked_for(&self, count: usize) -> Vec<String> {
        until("the peer is asked", async || self.asked().len() >= count).await;
        self.asked()
    }

    fn settings(&self, limits: &str, at_once: usize) -> String {
        format!(
            "limits: {limits}\nconnectors:\n  assets: {{ use: assets, url: \"{}\", auth: {{ token: \"${{env:QUELL_TEST_TOKEN}}\" }}, at_once: {at_once} }}\n",
            self.url
        )
    }
}

const LOOK: &str = "playbook: look\nversion: 1\ntitle: Look\nposture: overt\non: [ { alert: \"${ alert.category == 'network' }\" } ]\nsteps:\n  - id: first\n    enrich: assets.system\n    with: { name: \"${ alert.title }\" }\n    timeout: 5m\n  - id: second\n    enrich: assets.system\n    with: { name: \"${ alert.title }-again\" }\n    timeout: 5m\n";

async fn start(peer: &Peer, limits: &str) -> Server {
    Server::with(&peer.settings(limits, 100), &[("look.yaml", LOOK)]).await
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: it never came to that");
}

async fn deliver(server: &Server, title: &str, severity: u8) -> Answer {
    let alert = json!({ "source_id": title, "title": title, "category": "network", "severity": severity });
    server.deliver("open", alert.to_string().into_bytes(), &[]).await
}

/// Delivers low alerts, the first of which is at work then, and gives their runs.
async fn low(server: &Server, peer: &Peer, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut runs = Vec::new();
    for number in numbers {
        let answer = deliver(server, &format!("low-{number}"), 25).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        runs.push(answer.body["alerts"][0]["runs"][0].as_str().expect("it starts a run").to_owned());
    }
    peer.asked_for(1).await;
    runs
}

async fn by_status(server: &Server) -> BTreeMap<String, usize> {
    let runs = server.get("/runs?limit=500").await;
    let mut counts = BTreeMap::new();
    for run in runs["items"].as_array().expect("it is a list") {
        *counts.entry(run["status"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}

async fn all_succeeded(server: &Server, count: usize) {
    until("all runs succeed", async || {
        by_status(server).await == BTreeMap::from([("succeeded".to_owned(), count)])
    })
    .await;
}

/// Each of these once, each with its second step.
fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = names.flat_map(|name| [format!("{name}-again"), name]).collect();
    all.sort();
    all
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_critical_alert_overtakes_all_low_ones_that_wait() {
    let peer = Peer::start().await;
    let server = start(&peer, "{ runs_at_once: 1 }").await;
    low(&server, &peer, 0..20).await;
    assert_eq!(by_status(&server).await.get("queued"), Some(&19));
    let metrics = server.call("GET", "/metrics", &[], "").await.body;
    let counted =
        metrics.as_str().is_some_and(|text| text.contains("quell_runs_queued{severity=\"low\"} 19"));
    assert!(counted, "{metrics}");
    let listed = server.quell(&["runs"]).text;
    assert!(listed.contains("queued"), "{listed}");
    let critical = deliver(&server, "critical-0", 95).await;
    assert_eq!(critical.status, 202, "{}", critical.body);
    // The run at work ends; whose turn is it?
    peer.let_go(2);
    assert_eq!(peer.asked_for(3).await[..3], ["low-0", "low-0-again", "critical-0"]);
    peer.let_go(1000);
    all_succeeded(&server, 21).await;
    let low = (0..20).map(|number| format!("low-{number}"));
    assert_eq!(sorted(peer.asked()), each_once(low.chain(["critical-0".to_owned()])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_come_back_stores_nothing_of_it_and_loses_nothing() {
    let peer = Peer::start().await;
    let server = start(&peer, "{ runs_at_once: 1, queue: 5 }").await;
    // One at work, four in the queue; the last place is for what is high.
    low(&server, &peer, 0..5).await;
    let refused = deliver(&server, "low-5", 25).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("queue-full")), "{}", refused.body);
    assert_eq!(refused.kind, "application/problem+json");
    assert!(refused.retry_after.is_some_and(|after| after > 0), "it says when to come back");
    assert_eq!(
        server.get("/alerts").await["items"].as_array().map(Vec::len),
        Some(5),
        "nothing of it is stored"
    );
    let nothing_to_do = json!({ "title": "nobody wants it", "category": "other", "severity": 25 });
    let taken = server.deliver("open", nothing_to_do.to_string().into_bytes(), &[]).await;
    assert_eq!(taken.status, 202, "an alert that starts no run needs no room: {}", taken.body);
    assert_eq!(deliver(&server, "high-0", 75).await.status, 202);
    assert_eq!(deliver(&server, "critical-0", 95).await.status, 503, "now it is full for all");
    let by_hand = server.post("/playbooks/quick/runs", &json!({}), &[]).await;
    assert_eq!((by_hand.status, by_hand.retry_after.is_some()), (503, true), "{}", by_hand.body);
    peer.let_go(1000);
    all_succeeded(&server, 6).await;
    assert_eq!(deliver(&server, "low-5", 25).await.status, 202);
    assert_eq!(deliver(&server, "critical-0", 95).await.status, 202);
    all_succeeded(&server, 8).await;
    let names = (0..6).map(|number| format!("low-{number}"));
    let names = names.chain(["high-0", "critical-0"].map(str::to_owned));
    assert_eq!(sorted(peer.asked()), each_once(names), "each accepted run ran once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_its_turn_can_be_cancelled_and_then_does_nothing() {
    let peer = Peer::start().await;
    let server = start(&peer, "{ runs_at_once: 1 }").await;
    let runs = low(&server, &peer, 0..4).await;
    // Orders that make no sense yet leave it in the queue.
    let undone = server.post(&format!("/runs/{}/undo", runs[1]), &json!({}), &[]).await;
    assert_eq!(undone.status, 409, "{}", undone.body);
    let cancelled = server.quell(&["cancel", &runs[2]]);
    assert_eq!(cancelled.status.code(), Some(0), "{}", cancelled.text);
    peer.let_go(1000);
    let ended = BTreeMap::from([("cancelled".to_owned(), 1), ("succeeded".to_owned(), 3)]);
    until("the others end", async || by_status(&server).await == ended).await;
    let others = [0, 1, 3].map(|number| format!("low-{number}"));
    assert_eq!(sorted(peer.asked()), each_once(others.into_iter()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_records_what_is_under_way_begins_nothing_new_and_goes_on_when_started_again() {
    let peer = Peer::start().await;
    let mut server = start(&peer, "{ runs_at_once: 2 }").await;
    low(&server, &peer, 0..6).await;
    peer.asked_for(2).await;
    server.tell_to_stop().await;
    peer.let_go(2);
    assert_eq!(server.ended().await, Some(0));
    assert_eq!(sorted(peer.asked()), ["low-0", "low-1"], "no step and no run began after the signal");
    peer.let_go(1000);
    let server = server.again().await;
    all_succeeded(&server, 6).await;
    let names = (0..6).map(|number| format!("low-{number}"));
    assert_eq!(sorted(peer.asked()), each_once(names), "nothing was lost, and nothing was asked for twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_twice_it_ends_at_once_and_nothing_that_waited_is_lost() {
    let peer = Peer::start().await;
    let mut server = start(&peer, "{ runs_at_once: 1 }").await;
    low(&server, &peer, 0..4).await;
    server.tell_to_stop().await;
    server.tell_to_stop().await;
    assert_eq!(server.ended().await, Some(1));
    peer.let_go(1000);
    let server = server.again().await;
    all_succeeded(&server, 4).await;
    let asked = peer.asked();
    let times = |name: &str| asked.iter().filter(|asked| *asked == name).count();
    assert_eq!(times("low-0"), 2, "a read that was under way is read again");
    for name in (1..4).map(|number| format!("low-{number}")) {
        assert_eq!((times(&name), times(&format!("{name}-again"))), (1, 1), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_playbook_is_held_to_its_limit_and_holds_up_no_other() {
    let other = LOOK.replace("playbook: look", "playbook: other").replace("'network'", "'cloud'");
    let peer = Peer::start().await;
    let limits = peer.settings("{ runs_at_once: 3, playbooks: { look: 1 } }", 100);
    let server = Server::with(&limits, &[("look.yaml", LOOK), ("other.yaml", &other)]).await;
    low(&server, &peer, 0..3).await;
    let alert = json!({ "title": "cloud-0", "category": "cloud", "severity": 25 });
    assert_eq!(server.deliver("open", alert.to_string().into_bytes(), &[]).await.status, 202);
    assert_eq!(peer.asked_for(2).await, ["low-0", "cloud-0"]);
    assert_eq!(by_status(&server).await.get("queued"), Some(&2));
    peer.let_go(1000);
    all_succeeded(&server, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_is_held_to_its_limit_and_the_critical_call_goes_first() {
    let peer = Peer::start().await;
    let server = Server::with(&peer.settings("{ runs_at_once: 50 }", 1), &[("look.yaml", LOOK)]).await;
    low(&server, &peer, 0..6).await;
    assert_eq!(deliver(&server, "critical-0", 95).await.status, 202);
    let at_work = BTreeMap::from([("running".to_owned(), 7)]);
    assert_eq!(by_status(&server).await, at_work, "all are at work, and one call is made");
    let wait = "quell_calls_waiting{connector=\"assets\"} 6";
    until("the other calls wait", async || {
        let metrics = server.call("GET", "/metrics", &[], "").await.body;
        metrics.as_str().is_some_and(|text| text.contains(wait))
    })
    .await;
    assert_eq!(peer.asked(), ["low-0"]);
    peer.let_go(1);
    assert_eq!(peer.asked_for(2).await, ["low-0", "critical-0"]);
    // Calls that wait for their turn when the server stops were never sent.
    let mut server = server;
    server.tell_to_stop().await;
    peer.let_go(1);
    assert_eq!(server.ended().await, Some(0));
    assert_eq!(peer.asked(), ["low-0", "critical-0"]);
    peer.let_go(1000);
    let server = server.again().await;
    all_succeeded(&server, 7).await;
    let names = (0..6).map(|number| format!("low-{number}")).chain(["critical-0".to_owned()]);
    assert_eq!(sorted(peer.asked()), each_once(names), "nothing was asked for twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_another_takes_no_place_from_it() {
    let outer = "playbook: outer\nversion: 1\ntitle: Outer\nposture: overt\non: [ { alert: \"${ alert.category == 'cloud' }\" } ]\nsteps:\n  - id: inner\n    playbook: inner\n";
    let inner = "playbook: inner\nversion: 1\ntitle: Inner\nposture: overt\nsteps:\n  - id: system\n    enrich: assets.system\n    with: { name: inner }\n";
    let peer = Peer::start().await;
    let settings = peer.settings("{ runs_at_once: 1 }", 100);
    let server = Server::with(&settings, &[("outer.yaml", outer), ("inner.yaml", inner)]).await;
    peer.let_go(1000);
    for number in 0..4 {
        let alert = json!({ "title": format!("cloud-{number}"), "category": "cloud", "severity": 25 });
        assert_eq!(server.deliver("open", alert.to_string().into_bytes(), &[]).await.status, 202);
    }
    all_succeeded(&server, 8).await;
    assert_eq!(peer.asked(), ["inner"; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_goes_on_also_when_its_sender_hangs_up_before_the_answer() {
    use tokio::io::AsyncWriteExt;
    let peer = Peer::start().await;
    let server = start(&peer, "{ runs_at_once: 50 }").await;
    peer.let_go(1000);
    let address = server.base.trim_start_matches("http://").to_owned();
    for number in 0..20 {
        let title = format!("low-{number}");
        let body = json!({ "source_id": title, "title": title, "category": "network", "severity": 25 });
        let body = body.to_string();
        let request = format!(
            "POST /api/v1/alerts/open HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        // Dropped here: nobody waits for the answer, and some may not even be read.
    }
    assert_eq!(deliver(&server, "last", 25).await.status, 202);
    until("all that were accepted end", async || {
        let accepted = server.get("/alerts").await["items"].as_array().map_or(0, Vec::len);
        by_status(&server).await == BTreeMap::from([("succeeded".to_owned(), accepted)])
    })
    .await;
}
