//! Every failure has a way forward: what was stored is run on again, by its id.

use serde_json::{Value, json};

use crate::house::Server;

/// Fails at a system that is not there.
const BRITTLE: &str = "playbook: brittle\nversion: 3\ntitle: Brittle\nposture: overt\ninputs:\n  depth: { type: integer, default: 2 }\non:\n  - alert: \"${ alert.severity >= 60 }\"\nsteps:\n  - id: look\n    enrich: assets.system\n    with: { name: x }\n    retry: { times: 0 }\n";

const SETTINGS: &str = "connectors:\n  assets: { use: assets, url: \"http://127.0.0.1:9\", auth: { token: \"${env:QUELL_TEST_TOKEN}\" } }\n";

async fn ended(server: &Server, run: &str) -> Value {
    for _ in 0..3000 {
        let row = server.get(&format!("/runs/{run}")).await;
        if row["status"] != "running" && row["status"] != "ending" && row["status"] != "queued" {
            return row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{run} goes on");
}

async fn delivered(server: &Server, severity: u8) -> Value {
    let alert = json!({ "source_id": format!("a-{severity}"), "title": "A file left", "severity": severity, "odd": { "k": [1, "ü"] } });
    let taken = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    taken.body["alerts"][0].clone()
}

/// The id after this word in what a command printed.
fn named<'a>(text: &'a str, prefix: &str) -> &'a str {
    let at = text.rfind(prefix).unwrap_or_else(|| panic!("no {prefix} in {text}"));
    text[at..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().expect("it is there")
}

#[tokio::test]
async fn a_failed_run_is_done_once_more_in_its_incident() {
    let server = Server::with(SETTINGS, &[("brittle.yaml", BRITTLE)]).await;
    let alert = delivered(&server, 60).await;
    let run = alert["runs"][0].as_str().expect("it started a run");
    ended(&server, run).await;
    let told = server.quell(&["attention"]).text;
    assert!(told.contains(&format!("rerun {run}")) && !told.contains("--status closed"), "{told}");
    let again = server.quell(&["rerun", run]);
    assert!(again.status.success() && again.text.contains("by brittle, version 3"), "{}", again.text);
    let (new, old) = (named(again.text.split("once more").nth(1).expect("told"), "run_").to_owned(), run);
    assert_ne!(new, old);
    let (new_row, old_row) = (ended(&server, &new).await, ended(&server, old).await);
    assert_eq!(new_row["incident"]["id"], old_row["incident"]["id"], "{new_row}");
    let of_both = old_row["incident"]["id"].as_str().expect("it has one");
    let told = server.quell(&["report", of_both, "--template", "technical", "--format", "markdown"]).text;
    assert!(told.contains("run 1 #1") && told.contains("run 2 #1"), "{told}");
    let told = server.quell(&["report", &new, "--template", "executive", "--format", "markdown"]).text;
    assert!(told.contains("1 other run of this incident is not told here"), "{told}");
    let shown = server.quell(&["show", &new]).text;
    assert!(shown.contains(&format!("{old} once more")), "{shown}");
    let incident = alert["incident"].as_str().expect("it has one");
    server.quell(&["incident", incident, "--status", "closed"]);
    let refused = server.quell(&["rerun", old]);
    assert_eq!(refused.status.code(), Some(3), "{}", refused.text);
    assert!(refused.text.contains(&format!("incident {incident} --status open")), "{}", refused.text);
}

#[tokio::test]
async fn an_alert_on_record_is_run_on_and_planned_on_and_read_as_it_was_sent() {
    let server = Server::with(SETTINGS, &[("brittle.yaml", BRITTLE)]).await;
    let alert = delivered(&server, 20).await;
    let id = alert["id"].as_str().expect("it has an id");
    assert_eq!(alert["fate"], "no_playbook", "{alert}");
    let raw = server.quell(&["show", id, "--raw"]).text;
    let raw: Value = serde_json::from_str(&raw).unwrap_or_else(|_| panic!("{raw}"));
    assert_eq!((&raw["odd"]["k"][1], &raw["source_id"]), (&json!("ü"), &json!("a-20")));
    let planned = server.quell(&["plan", "brittle", "--alert", id]);
    assert!(planned.text.contains("A dry run of brittle"), "{}", planned.text);
    let started = server.quell(&["run", "brittle", "--alert", id]);
    assert!(started.status.success(), "{}", started.text);
    let run = named(&started.text, "run_").to_owned();
    let row = ended(&server, &run).await;
    assert_eq!(row["alert"]["alert"]["id"].as_str(), Some(id), "{row}");
    // An order with an alert on record starts one run, however often it is sent.
    let body = json!({ "alert_id": id });
    let key = [("idempotency-key", "k-1")];
    let first = server.post("/playbooks/brittle/runs", &body, &key).await;
    let second = server.post("/playbooks/brittle/runs", &body, &key).await;
    assert_eq!((first.status, &first.body["run"]), (second.status, &second.body["run"]), "{}", second.body);
    assert_ne!(first.body["run"], json!(run));
    let both = json!({ "alert_id": id, "alert": {} });
    assert_eq!(server.post("/playbooks/brittle/runs", &both, &[]).await.body["code"], "alert-twice");
    let nobody = server.quell(&["run", "brittle", "--alert", "alt_01J9ZQ6E5V7N8T3K2M4P6R8S0W"]);
    assert_eq!(nobody.status.code(), Some(3), "{}", nobody.text);
}

#[tokio::test]
async fn the_same_key_does_a_run_once_more_once() {
    let server = Server::with(SETTINGS, &[("brittle.yaml", BRITTLE)]).await;
    let alert = delivered(&server, 60).await;
    let run = alert["runs"][0].as_str().expect("it started a run");
    ended(&server, run).await;
    let key = [("idempotency-key", "k-1")];
    let first = server.post(&format!("/runs/{run}/rerun"), &json!({}), &key).await;
    let second = server.post(&format!("/runs/{run}/rerun"), &json!({}), &key).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(
        (&first.body["run"], &json!(true)),
        (&second.body["run"], &second.body["repeated"]),
        "{}",
        second.body
    );
}

#[tokio::test]
async fn a_failed_run_on_an_alert_without_incident_is_done_once_more_in_its_incident() {
    let server = Server::with(SETTINGS, &[("brittle.yaml", BRITTLE)]).await;
    let alert = delivered(&server, 20).await;
    let started = server.post("/playbooks/brittle/runs", &json!({ "alert_id": alert["id"] }), &[]).await;
    let run = started.body["run"].as_str().expect("a run");
    let old = ended(&server, run).await;
    let again = server.post(&format!("/runs/{run}/rerun"), &json!({}), &[]).await;
    assert_eq!(again.status, 201, "{}", again.body);
    let new = ended(&server, again.body["run"].as_str().expect("a run")).await;
    assert_eq!(new["incident"]["id"], old["incident"]["id"]);
}

const WAITS: &str = "playbook: waits\nversion: 1\ntitle: Waits\nposture: overt\ninputs:\n  who: { type: string }\nsteps:\n  - id: look\n    enrich: assets.system\n    with: { name: x }\n    approval: { by: [\"group:ir-leads\"], within: 30m }\n";

#[tokio::test]
async fn a_run_that_goes_on_is_not_done_once_more_beside_itself() {
    let server = Server::with(SETTINGS, &[("waits.yaml", WAITS)]).await;
    let started = server.post("/playbooks/waits/runs", &json!({ "inputs": { "who": "x" } }), &[]).await;
    let run = started.body["run"].as_str().unwrap_or_else(|| panic!("{}", started.body));
    let again = server.post(&format!("/runs/{run}/rerun"), &json!({}), &[]).await;
    assert_eq!((again.status, &again.body["code"]), (409, &json!("run-goes-on")), "{}", again.body);
}
