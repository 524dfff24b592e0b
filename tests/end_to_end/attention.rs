//! What needs a person: one list of it, and the orders that take things off it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quell::lab::range::{Lab as Range, LabOptions};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::house::Server;

/// What a system says of whatever is asked.
const OWNED: &str = r#"{"name":"x","owner":{"email":"priya.nair@example.com"}}"#;

/// What an identity provider says of whomever is asked for: found, and active.
const DANA: &str = r#"{"totalResults":1,"Resources":[{"id":"7","userName":"dana.whitfield@example.com","displayName":"Dana Whitfield","active":true}],"id":"7","userName":"dana.whitfield@example.com","active":true}"#;

/// A system that takes calls and keeps them waiting, until it is told to answer.
pub struct Peer {
    pub address: String,
    came: watch::Receiver<usize>,
    /// The lines that requests began with.
    pub asked: Arc<Mutex<Vec<String>>>,
    pub answers: Arc<AtomicBool>,
    /// Whether it answers what only reads, whatever else it does.
    reads: Arc<AtomicBool>,
}

impl Peer {
    /// `speaks_first` is how mail servers begin: nothing is read before a greeting.
    pub async fn start(speaks_first: bool) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address").to_string();
        let (tell, came) = watch::channel(0);
        let answers = Arc::new(AtomicBool::new(false));
        let answering = Arc::clone(&answers);
        let reads = Arc::new(AtomicBool::new(false));
        let reading = Arc::clone(&reads);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                if !speaks_first && !stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    continue;
                }
                let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                noted.lock().expect("no test panics here").push(line);
                tell.send_modify(|count| *count += 1);
                let reads = reading.load(Ordering::SeqCst) && request.starts_with(b"GET");
                if answering.load(Ordering::SeqCst) || reads {
                    let body = if reads { DANA } else { OWNED };
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                kept.push(stream);
            }
        });
        Peer { address, came, asked, answers, reads }
    }

    pub async fn came(&mut self, times: usize) {
        self.came.wait_for(|count| *count >= times).await.expect("the peer is there");
    }
}

const LOOKS: &str = "playbook: looks\nversion: 1\ntitle: Looks\nposture: overt\nsteps:\n  - { id: system, enrich: assets.system, with: { name: x } }\n";

const TELLS: &str = "playbook: tells\nversion: 1\ntitle: Tells\nposture: overt\nsteps:\n  - { id: tell, notify: { to: [sam.okafor@example.com], subject: Hello, text: Hello } }\n";

const FAILS: &str = "playbook: fails\nversion: 1\ntitle: Fails\nposture: overt\nsteps:\n  - { id: gone, enrich: gone.system, with: { name: x }, retry: { times: 0 } }\n";

async fn start(server: &Server, playbook: &str) -> String {
    let started = server.post(&format!("/playbooks/{playbook}/runs"), &json!({}), &[]).await;
    started.body["run"].as_str().unwrap_or_else(|| panic!("{}", started.body)).to_owned()
}

/// Asks until the list of what needs a person is as wanted.
async fn until(server: &Server, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut items = Vec::new();
    for _ in 0..1500 {
        let page = server.get("/attention").await;
        items = page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone();
        if wanted(&items) {
            return items;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to that: {items:#?}");
}

fn needs(items: &[Value]) -> Vec<&str> {
    items.iter().filter_map(|item| item["need"].as_str()).collect()
}

/// The item's commands, given as they stand.
fn obey(server: &Server, item: &Value, which: usize) -> String {
    let command = item["commands"][which].as_str().expect("it says what to do").to_owned();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let out = server.quell(&words);
    assert!(out.status.success(), "{command}: {}", out.text);
    out.text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_person_is_in_one_list_and_each_line_says_how_to_end_it() {
    let (mut assets, mut mail) = (Peer::start(false).await, Peer::start(true).await);
    let settings = format!(
        "mail: {{ connector: smtp, from: quell@example.com }}\nconnectors:\n  smtp: {{ use: smtp, url: \"smtp://{}\" }}\n  assets: {{ use: assets, url: \"http://{}\", auth: {{ token: \"${{env:QUELL_TEST_TOKEN}}\" }} }}\n  gone: {{ use: assets, url: \"http://127.0.0.1:9\", auth: {{ token: \"${{env:QUELL_TEST_TOKEN}}\" }} }}\n",
        mail.address, assets.address
    );
    let playbooks = [("looks.yaml", LOOKS), ("tells.yaml", TELLS), ("fails.yaml", FAILS)];
    let mut server = Server::with(&settings, &playbooks).await;
    assert!(server.quell(&["attention"]).text.contains("nothing needs a person"));
    let (tells, looks) = (start(&server, "tells").await, start(&server, "looks").await);
    mail.came(1).await;
    for time in 1..=3 {
        assets.came(time).await;
        server.die_and_come_back().await;
    }
    let fails = start(&server, "fails").await;
    let items = until(&server, |items| items.len() == 3).await;
    assert_eq!(needs(&items), ["uncertain", "quarantined", "failed"], "the most urgent first");
    for (item, run, step) in [
        (&items[0], &tells, json!("tell")),
        (&items[1], &looks, json!(null)),
        (&items[2], &fails, json!(null)),
    ] {
        assert_eq!((&item["run"], &item["step"]), (&json!(run), &step), "{item}");
        assert!(item["since"].as_str().is_some() && item["incident"].as_str().is_some(), "{item}");
    }
    assert!(items[1]["what"].as_str().is_some_and(|what| what.contains("3 times in a row")), "{items:#?}");
    let page = server.get("/attention?limit=1").await;
    let next = page["next"].as_str().expect("there is more");
    let rest = server.get(&format!("/attention?after={next}")).await;
    assert_eq!(needs(rest["items"].as_array().expect("a list")), ["quarantined", "failed"]);
    let shown = server.quell(&["attention"]);
    assert_eq!(shown.status.code(), Some(0), "{}", shown.text);
    for told in [format!("settle {tells} tell happened"), format!("release {looks}")] {
        assert!(shown.text.contains(&told), "{told} in {}", shown.text);
    }
    assert_eq!(server.get("/runs?playbook=looks").await["items"][0]["status"], "quarantined");
    set_aside_until_released(&server, &looks).await;

    // Each line is ended by what it says.
    obey(&server, &items[0], 0);
    assets.answers.store(true, Ordering::SeqCst);
    let out = server.quell(&["release", &looks, "--note", "the inventory was mended"]);
    assert!(out.status.success(), "{}", out.text);
    // Done once more, it fails once more, in its incident, and is listed instead.
    obey(&server, &items[2], 1);
    let again = until(&server, |items| {
        items.len() == 1 && items[0]["run"] != json!(fails) && items[0]["need"] == "failed"
    })
    .await;
    assert_eq!(again[0]["incident"], items[2]["incident"]);
    let incident = again[0]["incident"].as_str().expect("it has one");
    assert!(server.quell(&["incident", incident, "--status", "closed"]).status.success());
    until(&server, <[Value]>::is_empty).await;
    assert!(server.quell(&["attention"]).text.contains("nothing needs a person"));
    let timeline = server.get(&format!("/runs/{looks}")).await["timeline"].to_string();
    for told in ["Run set aside until a person releases it", "the inventory was mended", "operator@localhost"]
    {
        assert!(timeline.contains(told), "{told} in {timeline}");
    }
    let again = server.post(&format!("/runs/{looks}/release"), &json!({}), &[]).await;
    assert_eq!((again.status, &again.body["code"]), (409, &json!("not-quarantined")), "{}", again.body);
}

/// A run that is set aside says so wherever it is shown, and takes no other order.
async fn set_aside_until_released(server: &Server, run: &str) {
    let shown = server.quell(&["show", run]).text;
    for told in ["set aside", "Needs a person:", &format!("release {run}")] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    let settled = server.quell(&["settle", run, "system", "happened"]);
    assert_eq!(settled.status.code(), Some(3), "{}", settled.text);
    assert!(settled.text.contains("quell release"), "{}", settled.text);
}

const HOLDS: &str = "playbook: holds\nversion: 1\ntitle: Holds\nposture: compromise\nsteps:\n  - id: stop\n    note: The account sends mail to everybody\n    contain: scim.suspend_user\n    with: { user: dana.whitfield@example.com }\n    for: 72h\n    approval: { by: [\"group:ir-leads\"], within: 30m }\n";

/// What Sam sends as a bearer token.
const SAMS_TOKEN: &str = "sams-own-token-of-this-test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_contained_is_listed_with_who_why_and_until_when_and_a_lift_that_fails_needs_a_person() {
    let dir = tempfile::tempdir().expect("there is room");
    let options = LabOptions { data: dir.path().to_owned(), seed: 7, now: chrono::Utc::now(), pace: 1.0 };
    let range = Range::start(options).await.expect("the range starts");
    let token = dir.path().join("identity-token");
    std::fs::write(&token, &range.tokens.identity).expect("it is written");
    let sha256 = hex::encode(Sha256::digest(SAMS_TOKEN));
    let settings = format!(
        "people: {{ groups: {{ ir-leads: [sam.okafor@example.com], hr: [lee.park@example.com], legal: [noor.haddad@example.com], managers: [jo.lindqvist@example.com] }} }}\naccess: {{ tokens: [{{ who: sam.okafor@example.com, sha256: {sha256}, roles: [approver] }}] }}\nconnectors:\n  scim: {{ use: scim, url: \"{}/scim/v2\", auth: {{ token: \"${{file:{}}}\" }} }}\n",
        range.identity_url,
        token.display()
    );
    let server = Server::with(&settings, &[("holds.yaml", HOLDS)]).await;
    let run = start(&server, "holds").await;
    let mut waiting = Value::Null;
    while waiting.is_null() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        waiting = server.get("/approvals?open=true").await["items"][0]["id"].clone();
    }
    // Nobody here sends mail, so that nobody was told.
    let items = until(&server, |items| !items.is_empty()).await;
    assert_eq!((needs(&items), &items[0]["id"]), (vec!["undelivered"], &waiting), "{items:#?}");
    let approve = server.url(&format!("/approvals/{}/approve", waiting.as_str().expect("it has an id")));
    let approved =
        reqwest::Client::new().post(approve).bearer_auth(SAMS_TOKEN).send().await.expect("answers");
    assert_eq!(approved.status(), 200);
    let mut row = Value::Null;
    while row["hold"] != json!("verified") {
        tokio::time::sleep(Duration::from_millis(20)).await;
        row = server.get("/containments?holding=true").await["items"][0].clone();
    }
    assert_eq!(row["by"], json!(["sam.okafor@example.com"]), "{row}");
    assert_eq!(row["reason"], json!("The account sends mail to everybody"), "{row}");
    assert_eq!((&row["state"], &row["playbook"]), (&json!("holds"), &json!("holds")), "{row}");
    assert!(row["until"].as_str().is_some() && row["looked_at"].as_str().is_some(), "{row}");
    let listed = server.quell(&["containments"]).text;
    for told in ["dana.whitfield@example.com", "sam.okafor@example.com", "The account sends mail", &run] {
        assert!(listed.contains(told), "{told} in {listed}");
    }
    assert!(server.quell(&["attention"]).text.contains("nothing needs a person"));

    // The identity provider is gone, so that lifting fails again and again.
    range.stop().await;
    let undone = server.quell(&["undo", &run]);
    assert!(undone.status.success(), "{}", undone.text);
    let items = until(&server, |items| !items.is_empty()).await;
    assert_eq!(needs(&items), ["lift_overdue"]);
    assert_eq!((&items[0]["id"], &items[0]["run"]), (&row["id"], &json!(run)), "{items:#?}");
    assert!(items[0]["what"].as_str().is_some_and(|what| what.contains("the last try")), "{items:#?}");
    let shown = obey(&server, &items[0], 0);
    assert!(shown.contains("last try to lift"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_set_aside_in_mid_act_is_listed_with_what_it_may_hold() {
    let peer = Peer::start(false).await;
    peer.reads.store(true, Ordering::SeqCst);
    let settings = format!(
        "people: {{ groups: {{ ir-leads: [sam.okafor@example.com], hr: [lee.park@example.com], legal: [noor.haddad@example.com], managers: [jo.lindqvist@example.com] }} }}\naccess: {{ tokens: [{{ who: sam.okafor@example.com, sha256: {}, roles: [approver] }}] }}\nconnectors:\n  scim: {{ use: scim, url: \"http://{}\", auth: {{ token: \"${{env:QUELL_TEST_TOKEN}}\" }} }}\n",
        hex::encode(Sha256::digest(SAMS_TOKEN)),
        peer.address
    );
    let holds = format!("{HOLDS}    retry: {{ times: 5 }}\n");
    let mut server = Server::with(&settings, &[("holds.yaml", &holds)]).await;
    let run = start(&server, "holds").await;
    let mut waiting = Value::Null;
    while waiting.is_null() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        waiting = server.get("/approvals?open=true").await["items"][0]["id"].clone();
    }
    let approve = server.url(&format!("/approvals/{}/approve", waiting.as_str().expect("it has an id")));
    let approved = reqwest::Client::new().post(approve).bearer_auth(SAMS_TOKEN).send().await;
    assert_eq!(approved.expect("answers").status(), 200);
    for time in 1..=3 {
        let acts = || {
            let asked = peer.asked.lock().expect("no test panics here");
            asked.iter().filter(|line| line.starts_with("PATCH")).count()
        };
        let looked = std::time::Instant::now();
        while acts() < time {
            assert!(looked.elapsed() < Duration::from_secs(60), "it never acts for the {time}th time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let row = server.get("/containments?holding=true").await["items"][0].clone();
        assert_eq!((&row["hold"], &row["state"]), (&json!("may_hold"), &json!("may hold")), "{row}");
        server.die_and_come_back().await;
    }
    let items = until(&server, |items| needs(items).contains(&"unconfirmed")).await;
    assert!(needs(&items).contains(&"quarantined"), "{items:#?}");
    let item = items.iter().find(|item| item["need"] == "unconfirmed").expect("it is there");
    assert!(item["what"].as_str().is_some_and(|what| what.contains("may hold")), "{item}");
    let page = server.get(&format!("/containments?run={run}")).await;
    let row = &page["items"][0];
    assert_eq!(
        (&row["hold"], &row["operation"]),
        (&json!("may_hold"), &json!("scim.suspend_user")),
        "{page}"
    );
    let listed = server.quell(&["containments"]).text;
    for told in ["may hold", "dana.whitfield@example.com"] {
        assert!(listed.contains(told), "{told} in {listed}");
    }
    let undone = server.quell(&["undo", &run]);
    assert_eq!(undone.status.code(), Some(1), "{}", undone.text);
    assert!(undone.text.contains("may hold"), "{}", undone.text);
    let shown = server.get(&format!("/runs/{run}")).await;
    assert_eq!(shown["containments"][0]["hold"], json!("may_hold"), "{shown}");
}
