//! The description of the API against the server, by a program that nobody here
//! wrote: Schemathesis makes requests of the description, valid ones and invalid
//! ones, and holds the answers against it. `tests/tools.sh` installs it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::house::Server;
use crate::servers::tool;

/// The same requests each time.
const SEED: &str = "20261201";

/// Requests of each kind for each call; more find little and take long.
const EXAMPLES: &str = "8";

/// What the description can say of a valid request is that it is understood: it may
/// name what is not there, or ask for what cannot be done with what is here.
const UNDERSTOOD: &str = r#"["2xx", "3xx", "401", "403", "404", "409", "412", "422", "429", "503"]"#;

/// How an invalid request is refused.
const REFUSED: &str = r#"["400", "401", "403", "404", "408", "409", "412", "413", "415", "422"]"#;

/// Waits for a time that does not come.
const SLOW: &str =
    "playbook: slow\nversion: 1\ntitle: Slow\nposture: overt\nsteps:\n  - { id: rest, wait: 12h }\n";

/// A server in which there is one of most things, and the settings by which they are
/// named in requests. Calls without a right token are tried elsewhere, on
/// every route (`doors.rs`): so many wrong ones are slowed, which is not looked at here.
async fn seeded(server: &Server) -> String {
    let ended = server.post("/playbooks/quick/runs?wait=30s", &json!({}), &[]).await;
    server.post("/playbooks/slow/runs", &json!({}), &[]).await;
    let alert = json!({ "source_id": "a-1", "title": "A file left", "category": "dlp", "severity": 20 });
    let alert = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    let until = (chrono::Utc::now() + chrono::Days::new(30)).to_rfc3339();
    let exception = json!({ "rule": "r", "owner": "ana@example.com", "why": "noise", "until": until });
    let exception = server.post("/exceptions", &exception, &[]).await;
    let incidents = server.get("/incidents").await;
    let schedules = server.get("/schedules").await;
    let things = [
        ("/runs/{id}", "id", ended.body["run"].clone()),
        ("/incidents/{id}", "id", incidents["items"][0]["id"].clone()),
        ("/exceptions/{id}", "id", exception.body["id"].clone()),
        ("/schedules/{id}", "id", schedules["items"][0]["id"].clone()),
        ("/playbooks/{name}", "name", json!("quick")),
        ("/sources/{source}", "source", json!("open")),
    ];
    let mut settings = format!(
        "[generation]\nallow-extra-parameters = false\n[checks.positive_data_acceptance]\nexpected-statuses = {UNDERSTOOD}\n[checks.negative_data_rejection]\nexpected-statuses = {REFUSED}\n[checks.ignored_auth]\nenabled = false\n"
    );
    for (path, name, value) in things {
        assert!(value.is_string(), "{path}: {value}");
        let start = regex_of(path);
        settings.push_str(&format!(
            "[[operations]]\ninclude-path-regex = '^{start}'\nparameters = {{ \"path.{name}\" = {value} }}\n"
        ));
    }
    let alert = &alert.body["alerts"][0]["id"];
    assert!(alert.is_string(), "{alert}");
    settings.push_str(&format!(
        "[[operations]]\ninclude-name = 'GET /alerts/{{source}}'\nparameters = {{ \"path.source\" = {alert} }}\n"
    ));
    settings
}

fn regex_of(path: &str) -> String {
    path.replace('{', "\\{").replace('}', "\\}")
}

fn schemathesis(program: &Path, server: &Server, settings: &Path) -> (bool, String) {
    let out = Command::new(program)
        .args(["--config-file", &settings.display().to_string(), "run"])
        .arg(server.url("/openapi.json"))
        .args(["--header", &format!("Authorization: Bearer {}", server.token())])
        .args(["--seed", SEED, "--max-examples", EXAMPLES, "--generation-database", "none"])
        .args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure"])
        .args(["--workers", "1", "--request-timeout", "60", "--no-color", "--warnings", "off"])
        .stdin(Stdio::null())
        .output()
        .expect("schemathesis starts");
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_takes_and_refuses_what_its_description_says() {
    let Some(program) = tool("schemathesis") else { return };
    let server = Server::with("", &[("slow.yaml", SLOW)]).await;
    let dir = tempfile::tempdir().expect("there is room");
    let settings = dir.path().join("schemathesis.toml");
    std::fs::write(&settings, seeded(&server).await).expect("it is written");
    let (fits, told) = schemathesis(&program, &server, &settings);
    assert!(fits, "{told}");
    assert!(told.contains("No issues found") || told.contains("passed"), "{told}");
}
