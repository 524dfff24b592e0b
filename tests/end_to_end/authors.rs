//! Who did something is on record, and who asked for something does not approve it.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::house::{Answer, Server, quell};

const ANA: &str = "ana@example.com";
const SAM: &str = "sam@example.com";

/// Asks for a yes before it reads from a system that is not there.
const GUARDED: &str = "playbook: guarded\nversion: 1\ntitle: Guarded\nposture: overt\non:\n  - alert: \"${ alert.source == 'open' }\"\nsteps:\n  - id: look\n    enrich: assets.system\n    with: { name: x }\n    retry: { times: 0 }\n    approval: { by: [\"group:ir-leads\"], within: 30m }\n";

const BY_INPUT: &str = "playbook: by-input\nversion: 1\ntitle: By input\nposture: overt\ninputs:\n  who: { type: string }\nsteps:\n  - id: look\n    enrich: assets.system\n    with: { name: \"${ inputs.who }\" }\n    retry: { times: 0 }\n    approval: { by: [\"group:ir-leads\"], within: 30m }\n";

fn settings() -> String {
    let token = |who: &str| {
        let sha256 = hex::encode(Sha256::digest(who));
        format!("{{ who: {who}, sha256: {sha256}, roles: [responder, approver] }}")
    };
    format!(
        "people: {{ groups: {{ ir-leads: [{ANA}, {SAM}], hr: [lee@example.com], legal: [noor@example.com], managers: [jo@example.com] }} }}\naccess: {{ tokens: [{}, {}] }}\nconnectors:\n  assets: {{ use: assets, url: \"http://127.0.0.1:9\", auth: {{ token: \"${{env:QUELL_TEST_TOKEN}}\" }} }}\n",
        token(ANA),
        token(SAM)
    )
}

/// The approval that the only run of the server waits for.
async fn waiting(server: &Server) -> String {
    for _ in 0..1500 {
        let page = server.get("/approvals?open=true").await;
        if let Some(id) = page["items"][0]["id"].as_str() {
            return id.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody was asked: {}", server.get("/runs").await);
}

async fn approve(server: &Server, who: &str, approval: &str) -> Answer {
    server.post_as(who, &format!("/approvals/{approval}/approve"), &json!({}), &[]).await
}

async fn is_refused_to_ana_and_open_to_sam(server: &Server, why: &str) {
    let approval = waiting(server).await;
    let own = approve(server, ANA, &approval).await;
    assert_eq!((own.status, &own.body["code"]), (409, &json!("own-request")), "{}", own.body);
    assert!(own.body["detail"].as_str().is_some_and(|told| told.contains(why)), "{}", own.body);
    let other = approve(server, SAM, &approval).await;
    assert_eq!(other.status, 200, "{}", other.body);
}

#[tokio::test]
async fn who_handed_an_alert_in_cannot_approve_what_follows() {
    let server = Server::with(&settings(), &[("guarded.yaml", GUARDED)]).await;
    let alert = json!({ "title": "Forged", "severity": 60, "handed_in_by": SAM });
    let taken = server.post_as(ANA, "/sources/open/alerts", &alert, &[]).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let id = taken.body["alerts"][0]["id"].as_str().expect("it has an id");
    assert_eq!(server.get(&format!("/alerts/{id}")).await["by"], json!(ANA));
    assert!(server.quell(&["show", id]).text.contains(ANA));
    let run = taken.body["alerts"][0]["runs"][0].as_str().expect("it started a run");
    let told = server.quell(&["report", run, "--template", "technical", "--format", "markdown"]).text;
    assert!(told.contains(ANA), "{told}");
    is_refused_to_ana_and_open_to_sam(&server, "handed in the alert").await;
}

#[tokio::test]
async fn who_ran_a_playbook_on_an_alert_cannot_approve_what_follows() {
    let server = Server::with(&settings(), &[("guarded.yaml", GUARDED)]).await;
    let body = json!({ "alert": { "title": "Forged", "severity": 60 } });
    let started = server.post_as(ANA, "/playbooks/guarded/runs", &body, &[]).await;
    assert_eq!(started.status, 201, "{}", started.body);
    assert_eq!(server.get("/alerts").await["items"][0]["by"], json!(ANA));
    is_refused_to_ana_and_open_to_sam(&server, "started this run").await;
}

#[tokio::test]
async fn an_alert_of_a_source_is_nobodys_request() {
    let server = Server::with(&settings(), &[("guarded.yaml", GUARDED)]).await;
    let alert = json!({ "title": "Seen", "severity": 60, "handed_in_by": ANA, "by": ANA });
    let taken = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    assert_eq!(server.get("/alerts").await["items"][0]["by"], Value::Null);
    let approval = waiting(&server).await;
    let said = approve(&server, ANA, &approval).await;
    assert_eq!(said.status, 200, "{}", said.body);
}

#[tokio::test]
async fn what_an_approval_still_needs_is_told_until_it_is_decided() {
    let two = GUARDED.replace("by: [\"group:ir-leads\"]", "by: [\"group:ir-leads\"], each: 2");
    let server = Server::with(&settings(), &[("guarded.yaml", &two)]).await;
    let taken = server.deliver("open", br#"{"title":"Seen","severity":60}"#.to_vec(), &[]).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let approval = waiting(&server).await;
    let run = server.get("/runs").await["items"][0]["id"].as_str().expect("there is one").to_owned();
    let words = [&["approvals"][..], &["show", &approval], &["show", &run]];
    for word in words {
        let told = server.quell(word).text;
        assert!(told.contains("2 different people of ir-leads") && !told.contains("to go"), "{told}");
    }
    let mine = async |who: &str| {
        let page = server.send_as(who, reqwest::Method::GET, "/attention?mine=true", &json!(null), &[]).await;
        page.body["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|item| item["name"].clone())
            .collect::<Vec<_>>()
    };
    let told = server.quell(&["attention"]).text;
    assert!(told.contains(&format!("approve {approval}")), "{told}");
    assert!(server.quell(&["attention", "--mine"]).text.contains("nothing is asked of you"));
    // There is no mail server here, so that nobody was told.
    let asked = vec![json!("not delivered")];
    assert_eq!((mine(ANA).await, mine(SAM).await), (asked.clone(), asked.clone()));
    let said = approve(&server, ANA, &approval).await;
    assert_eq!((mine(ANA).await, mine(SAM).await), (vec![], asked));
    assert_eq!(said.body["needs"], "2 different people of ir-leads; 1 said yes, 1 to go", "{}", said.body);
    for word in words {
        let told = server.quell(word).text;
        assert!(told.contains("2 different people of ir-leads; 1 said yes, 1 to go"), "{told}");
    }
    let said = approve(&server, SAM, &approval).await;
    assert_eq!(
        (&said.body["verdict"], &said.body["needs"]),
        (&json!("approved"), &json!("2 different people of ir-leads"))
    );
    assert!(!server.quell(&["show", &approval]).text.contains("to go"));
    assert_eq!(mine(SAM).await, Vec::<Value>::new());
    let page = reqwest::get(server.url("").replace("/api/v1", &format!("/approvals/{approval}")))
        .await
        .expect("it answers");
    let page = page.text().await.expect("it is text");
    assert!(page.contains("is decided") && !page.contains("waiting"), "{page}");
}

#[tokio::test]
async fn notes_and_changes_of_an_incident_have_authors() {
    let server = Server::with(&settings(), &[]).await;
    let run = server.post_as(SAM, "/playbooks/quick/runs", &json!({}), &[]).await;
    let run = run.body["run"].as_str().expect("it has an id").to_owned();
    let rows = server.get("/incidents").await;
    let incident = rows["items"][0]["id"].as_str().expect("it has an id").to_owned();
    let path = format!("/incidents/{incident}");
    let change = json!({ "note": "Called the CFO", "assignee": SAM });
    let changed = server.send_as(ANA, reqwest::Method::PATCH, &path, &change, &[]).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(server.get(&path).await["notes"][0]["by"], json!(ANA));
    let shown = server.quell(&["show", &incident]).text;
    assert!(shown.contains(&format!("note by {ANA}: Called the CFO")), "{shown}");
    let report = server.quell(&["report", &run, "--template", "technical", "--format", "markdown"]).text;
    let line = report.lines().find(|line| line.starts_with("- ") && line.contains("Called the CFO"));
    assert!(line.is_some_and(|line| line.contains(ANA)), "{report}");
}

#[test]
fn a_run_without_a_server_is_started_by_the_user_of_the_machine() {
    let dir = tempfile::tempdir().expect("there is room");
    assert!(quell(&["init", "."], dir.path()).status.success());
    let out = quell(&["run", "first", "--alert", "alert.json", "--format", "json"], dir.path());
    let login = std::process::Command::new("id").arg("-un").output().expect("there is `id`").stdout;
    let login = String::from_utf8(login).expect("it is text").trim().to_lowercase();
    assert!(out.text.contains(&format!("{login}@localhost")), "{login}: {}", out.text);
}

#[tokio::test]
async fn who_gave_the_inputs_cannot_approve_when_another_does_the_run_once_more() {
    let server = Server::with(&settings(), &[("by-input.yaml", BY_INPUT)]).await;
    let started =
        server.post_as(ANA, "/playbooks/by-input/runs", &json!({ "inputs": { "who": "victim" } }), &[]).await;
    assert_eq!(started.status, 201, "{}", started.body);
    let run = started.body["run"].as_str().expect("a run").to_owned();
    waiting(&server).await;
    let ended = server.post_as(SAM, &format!("/runs/{run}/cancel"), &json!({}), &[]).await;
    assert_eq!(ended.status, 200, "{}", ended.body);
    for _ in 0..1500 {
        if server.get("/approvals?open=true").await["items"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = server.post_as(SAM, &format!("/runs/{run}/rerun"), &json!({}), &[]).await;
    assert_eq!(again.status, 201, "{}", again.body);
    let approval = waiting(&server).await;
    let own = approve(&server, ANA, &approval).await;
    assert_eq!((own.status, &own.body["code"]), (409, &json!("own-request")), "{}", own.body);
}
