//! What the old server did after the backup is on record nowhere: a server on what was
//! imported sends nothing of it again by itself.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path as UrlPath, Query};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::house::{Place, Server};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

const DESK: &str = r#"connector: desk
title: The desk
proven: simulated
operations:
  owner:
    effect: R
    input: { of: { type: string, required: true } }
    request: { method: GET, path: "/owner/${input.of}" }
    success: ${ status == 200 }
    output: { name: "${ body.name }" }
  find:
    effect: R
    input: { mark: { type: string, required: true } }
    request: { method: GET, path: /tickets, query: { mark: "${ input.mark }" } }
    success: ${ status == 200 }
    matches: ${ size(body.found) }
    output: { number: "${ body.found[0] }" }
  ticket:
    effect: N
    input: { mark: { type: string } }
    request: { method: POST, path: /tickets, body: { mark: "${ input.mark }" } }
    success: ${ status == 200 }
    output: { number: "${ body.number }" }
    marker: mark
    reconcile: { with: find, within: 1s, absent: resend }
  letter:
    effect: N
    input: { mark: { type: string } }
    request: { method: POST, path: /tickets, body: { mark: "${ input.mark }" } }
    success: ${ status == 200 }
    output: { number: "${ body.number }" }
    marker: mark
    reconcile: { with: find, within: 1s }
"#;

/// Each asks who the owner is, and goes on when the desk says so.
const PLAYBOOKS: [(&str, &str); 5] = [
    ("files", "{ id: ticket, call: desk.ticket }"),
    ("writes", "{ id: letter, call: desk.letter }"),
    ("calls", "{ id: filing, playbook: filing }"),
    ("filing", ""),
    ("looks", ""),
];

/// A desk that keeps books, and answers who an owner is once it is told to.
struct Desk {
    address: std::net::SocketAddr,
    /// Every request, in order.
    asked: Arc<Mutex<Vec<String>>>,
    tickets: Arc<Mutex<Vec<String>>>,
    answers: watch::Sender<bool>,
}

impl Desk {
    async fn start() -> Self {
        let asked = Arc::new(Mutex::new(Vec::<String>::new()));
        let tickets = Arc::new(Mutex::new(Vec::<String>::new()));
        let (answers, told) = watch::channel(false);
        let note = |asked: &Arc<Mutex<Vec<String>>>, line: String| {
            asked.lock().expect("no test panics here").push(line);
        };
        let seen = Arc::clone(&asked);
        let owner = move |UrlPath(of): UrlPath<String>| {
            note(&seen, format!("owner {of}"));
            let mut told = told.clone();
            async move {
                let _ = told.wait_for(|answers| *answers).await;
                Json(json!({ "name": "priya" }))
            }
        };
        let (seen, kept) = (Arc::clone(&asked), Arc::clone(&tickets));
        let find = move |Query(query): Query<std::collections::HashMap<String, String>>| {
            let mark = query.get("mark").cloned().unwrap_or_default();
            note(&seen, format!("find {mark}"));
            let tickets = kept.lock().expect("no test panics here");
            let found: Vec<&String> = tickets.iter().filter(|ticket| **ticket == mark).collect();
            let body = Json(json!({ "found": found }));
            async move { body }
        };
        let (seen, kept) = (Arc::clone(&asked), Arc::clone(&tickets));
        let ticket = move |Json(body): Json<Value>| {
            let mark = body["mark"].as_str().unwrap_or_default().to_owned();
            note(&seen, format!("ticket {mark}"));
            kept.lock().expect("no test panics here").push(mark.clone());
            async move { Json(json!({ "number": mark })) }
        };
        let routes = Router::new().route("/owner/{of}", get(owner)).route("/tickets", get(find));
        let routes = routes.route("/tickets", post(ticket));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, asked, tickets, answers }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics here").clone()
    }

    fn tickets(&self) -> Vec<String> {
        self.tickets.lock().expect("no test panics here").clone()
    }

    async fn until_asked(&self, times: usize) {
        let began = Instant::now();
        while self.asked().len() < times {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.asked());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn place(&self, dir: &Path, data: &str) -> Place {
        let place = Place::new(dir, &dir.join(data), None);
        let settings = format!(
            "listen: 127.0.0.1:0\nplaybooks: playbooks\nconnector_specs: specs\nconnectors:\n  desk: {{ use: desk, url: \"http://{}\" }}\n",
            self.address
        );
        std::fs::write(dir.join("quell.yaml"), settings).expect("it is written");
        std::fs::remove_file(dir.join("specs/stub.yaml")).expect("it was there");
        std::fs::remove_file(dir.join("playbooks/once.yaml")).expect("it was there");
        std::fs::write(dir.join("specs/desk.yaml"), DESK).expect("it is written");
        for (name, then) in PLAYBOOKS {
            let first = match name {
                "filing" => "{ id: ticket, call: desk.ticket }".to_owned(),
                name => format!("{{ id: owner, enrich: desk.owner, with: {{ of: {name} }}, timeout: 5m }}"),
            };
            let steps: Vec<String> = [first.as_str(), then]
                .iter()
                .filter(|step| !step.is_empty())
                .map(|step| format!("  - {step}\n"))
                .collect();
            let text = format!(
                "playbook: {name}\nversion: 1\ntitle: {name} a thing\nposture: overt\nsteps:\n{}",
                steps.concat()
            );
            std::fs::write(dir.join(format!("playbooks/{name}.yaml")), text).expect("it is written");
        }
        place
    }
}

async fn items(server: &mut Server) -> Vec<Value> {
    let page = server.ask("GET", "/api/v1/attention", None).await.expect("it answers").body;
    page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

/// A backup with these runs in flight, then more work until each has ended or the server is
/// killed, and an import of that backup elsewhere.
async fn restored(
    dir: &Path,
    desk: &Desk,
    playbooks: &[&str],
    goes_on: bool,
) -> (Vec<String>, Place, String) {
    let place = desk.place(dir, "data");
    let mut server = place.serve(&[]);
    server.until_ready_says(200).await;
    let mut runs = Vec::new();
    for playbook in playbooks {
        runs.push(server.start_run(playbook).await);
    }
    desk.until_asked(runs.len()).await;
    let backup = dir.join("backup.jsonl").display().to_string();
    let (code, said) = place.quell(&["store", "backup", &backup]);
    assert_eq!(code, Some(0), "{said}");
    if goes_on {
        desk.answers.send_replace(true);
        for run in &runs {
            server.until_run_is(run, &["succeeded"]).await;
        }
    }
    server.kill();
    desk.answers.send_replace(true);
    let other = desk.place(dir, "other");
    let (code, said) = other.quell(&["store", "import", &backup]);
    assert_eq!(code, Some(0), "{said}");
    (runs, other, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_import_nothing_goes_on_until_a_person_says_so_and_what_was_done_is_found_by_its_mark() {
    let dir = tempfile::tempdir().expect("there is room");
    let desk = Desk::start().await;
    let (runs, other, imported) = restored(dir.path(), &desk, &["files", "calls"], true).await;
    let (done, asked) = (desk.tickets(), desk.asked().len());
    assert_eq!(done.len(), 2, "both went on after the backup: {done:?}");

    let mut server = other.serve(&[]);
    server.until_ready_says(200).await;
    // What comes now is done; what was in flight is not touched.
    let fresh = server.start_run("looks").await;
    server.until_run_is(&fresh, &["succeeded"]).await;
    assert_eq!(desk.asked().len(), asked + 1, "nothing of it is asked or sent: {:?}", desk.asked());
    for run in &runs {
        server.until_run_is(run, &["quarantined"]).await;
    }
    for told in ["2 runs were in flight there", "serve", "attention", "release RUN", "release --all"] {
        assert!(imported.contains(told), "`{told}` in {imported}");
    }
    let said = server.said();
    for told in ["2 runs that may have gone on since are held until a person releases them", "release --all"]
    {
        assert!(said.contains(told), "`{told}` in {said}");
    }
    let needs = items(&mut server).await;
    assert_eq!(needs.len(), 3, "the restore and each of its runs: {needs:#?}");
    assert!(needs.iter().all(|item| item["need"] == "restored"), "{needs:#?}");
    for (run, may) in [(&runs[0], "ticket (desk.ticket)"), (&runs[1], "filing (filing)")] {
        let item = needs.iter().find(|item| item["run"] == **run).expect("it is listed");
        let what = item["what"].as_str().unwrap_or_default();
        assert!(what.contains("It may have done: ") && what.contains(may), "{what}");
        let release = json!(format!("quell release {run}"));
        assert!(item["commands"].as_array().is_some_and(|commands| commands.contains(&release)), "{item}");
    }

    let (code, said) = other.quell(&["release", "--all", "--note", "the old server is off"]);
    assert_eq!(code, Some(0), "{said}");
    for run in &runs {
        server.until_run_is(run, &["succeeded"]).await;
    }
    assert_eq!(desk.tickets(), done, "each was found by its mark: {:?}", desk.asked());
    let run = server.ask("GET", &format!("/api/v1/runs/{}", runs[0]), None).await.expect("it answers").body;
    let told = run.to_string();
    for what in ["operator@localhost", "the old server is off", "it may have been sent after the backup"] {
        assert!(told.contains(what), "`{what}` in {told}");
    }
    assert_eq!(items(&mut server).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_before_a_restore_is_asked_for_before_its_first_sending() {
    let dir = tempfile::tempdir().expect("there is room");
    let desk = Desk::start().await;
    let (runs, other, _) = restored(dir.path(), &desk, &["files", "writes", "calls"], false).await;
    let (code, _) = other.quell(&["store", "verify"]);
    assert_eq!(code, Some(0));
    let mut server = other.serve(&[]);
    server.until_ready_says(200).await;
    let (code, said) = other.quell(&["release", "--all"]);
    assert_eq!(code, Some(0), "{said}");
    server.until_run_is(&runs[0], &["succeeded"]).await;
    server.until_run_is(&runs[2], &["succeeded"]).await;
    // A no proves nothing at this one, as its connector says.
    server.until_run_is(&runs[1], &["needs_person"]).await;
    assert_eq!(desk.tickets().len(), 2, "{:?}", desk.asked());
    let (code, said) = other.quell(&["settle", &runs[1], "letter", "did-not", "--note", "looked"]);
    assert_eq!(code, Some(0), "{said}");
    server.until_run_is(&runs[1], &["succeeded"]).await;
    let (asked, mut tickets) = (desk.asked(), desk.tickets());
    let first = |line: String| asked.iter().position(|asked| *asked == line);
    for mark in &tickets {
        let (found, sent) = (first(format!("find {mark}")), first(format!("ticket {mark}")));
        assert!(found.is_some() && found < sent, "{mark} is asked for first: {asked:?}");
    }
    tickets.sort();
    tickets.dedup();
    assert_eq!(tickets.len(), runs.len(), "each is sent once: {asked:?}");
}
