//! Prometheus Alertmanager, as Debian ships it, delivers to a running Quell.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use quell::domain::event::Event;
use quell::store::journal::Journal;
use quell::store::sled::journal::{Options, SledJournal};
use serde_json::{Value, json};

use crate::servers::{Server, free_port, start, tool};

const SECRET: &str = "secret-of-the-alertmanager-0123456789";

/// Looks, 50 ms apart, for what must come: a minute, for a machine that is busy.
const LOOKS: usize = 1200;

/// A running Quell, stopped when dropped.
struct Quell {
    child: Child,
    base: String,
    token: String,
}

impl Drop for Quell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Quell {
    async fn start(dir: &Path) -> Self {
        let settings = "listen: 127.0.0.1:0\ndata: data\nplaybooks: playbooks\nsources:\n  alertmanager: { use: alertmanager, auth: { bearer: \"${env:QUELL_TEST_SECRET}\" } }\n";
        std::fs::write(dir.join("quell.yaml"), settings).expect("it is written");
        std::fs::create_dir(dir.join("playbooks")).expect("it is made");
        let child = Command::new(env!("CARGO_BIN_EXE_quell"))
            .arg("serve")
            .current_dir(dir)
            .env("QUELL_TEST_SECRET", SECRET)
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut quell = Self { child, base: String::new(), token: String::new() };
        for _ in 0..LOOKS {
            let told = std::fs::read_to_string(dir.join("data/address")).unwrap_or_default();
            if let Some(base) = told.strip_suffix('\n') {
                quell.base = base.to_owned();
                let token = std::fs::read_to_string(dir.join("data/token")).expect("the token is there");
                quell.token = token.trim().to_owned();
                return quell;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Quell never said where it listens");
    }

    async fn get(&self, path: &str) -> Value {
        let request =
            reqwest::Client::new().get(format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token);
        let text = request.send().await.expect("it answers").text().await.expect("the answer is whole");
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// The stored alerts, once there are so many.
    async fn alerts(&self, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        for _ in 0..LOOKS {
            let page = self.get("/alerts").await;
            found = page["items"].as_array().expect("items").clone();
            if found.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(found.len(), count, "{found:#?}");
        found
    }
}

/// An Alertmanager that sends to this Quell, firing and resolved alike.
fn alertmanager(program: &std::path::PathBuf, dir: &Path, quell: &Quell) -> Server {
    let config = format!(
        "route: {{ receiver: quell, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h }}\n\
         receivers:\n  - name: quell\n    webhook_configs:\n      - url: {}/api/v1/alerts/alertmanager\n        send_resolved: true\n        \
         http_config: {{ authorization: {{ type: Bearer, credentials: {SECRET} }} }}\n",
        quell.base
    );
    let file = dir.join("am.yml");
    std::fs::write(&file, config).expect("it is written");
    let (file, data) = (file.display().to_string(), dir.join("am").display().to_string());
    let port = free_port();
    let arguments = [
        &format!("--config.file={file}"),
        &format!("--storage.path={data}"),
        &format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=",
    ];
    start(program, &arguments, port)
}

/// Tells Alertmanager of alerts, as Prometheus does.
async fn tell(alertmanager: &Server, alerts: &Value) {
    let url = format!("http://127.0.0.1:{}/api/v2/alerts", alertmanager.port);
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let answer = request.body(alerts.to_string()).send().await.expect("it answers");
    assert_eq!(answer.status(), 200);
}

fn alert(instance: &str, user: &str, starts: &str, ends: Option<&str>) -> Value {
    let mut alert = json!({
        "labels": { "alertname": "MassDownload", "severity": "critical", "instance": instance, "user": user },
        "annotations": { "summary": "Many files were read at once" },
        "startsAt": starts,
        "generatorURL": "http://prometheus.example.com/graph",
    });
    if let Some(ends) = ends {
        alert["endsAt"] = json!(ends);
    }
    alert
}

#[tokio::test]
async fn a_group_that_fires_and_is_resolved_is_stored_both_times() {
    let Some(program) = tool("prometheus-alertmanager") else { return };
    let dir = tempfile::tempdir().expect("there is room");
    let quell = Quell::start(dir.path()).await;
    let alertmanager = alertmanager(&program, dir.path(), &quell);
    let now = chrono::Utc::now();
    let time = |seconds: i64| (now + chrono::TimeDelta::seconds(seconds)).to_rfc3339();
    let (starts, later) = (time(-60), time(-30));
    let firing = json!([
        alert("fs-1", "jdoe@corp.example", &starts, None),
        alert("fs-2", "asmith@corp.example", &later, None),
    ]);
    tell(&alertmanager, &firing).await;
    let stored = quell.alerts(2).await;
    for row in &stored {
        let id = row["id"].as_str().expect("an id");
        assert_eq!(row["title"], "MassDownload", "{row}");
        assert_eq!(row["severity"], 95, "{row}");
        assert!(id.starts_with("alt_"), "{row}");
    }
    let ended = time(-1);
    let resolved = json!([
        alert("fs-1", "jdoe@corp.example", &starts, Some(&ended)),
        alert("fs-2", "asmith@corp.example", &later, Some(&ended)),
    ]);
    tell(&alertmanager, &resolved).await;
    quell.alerts(4).await;
    drop(quell);
    let stored = contents(&dir.path().join("data/store")).await;
    for host in ["fs-1", "fs-2"] {
        let of_host: Vec<&Value> = stored.iter().filter(|alert| alert["host"]["name"] == host).collect();
        let statuses: Vec<&Value> = of_host.iter().map(|alert| &alert["status"]).collect();
        assert_eq!(statuses, [&json!("open"), &json!("closed")], "{host}");
        // One finding, whose end is known as its own.
        assert_eq!(of_host[0]["fingerprint"], of_host[1]["fingerprint"], "{host}");
        assert_eq!(of_host[0]["source_id"], of_host[1]["source_id"], "{host}");
        assert_eq!(of_host[0]["user"]["email"].as_str().map(|mail| mail.contains('@')), Some(true));
    }
}

/// The stored contents of all alerts, the oldest first.
async fn contents(store: &Path) -> Vec<Value> {
    let journal = SledJournal::open(store, &Options::default()).expect("the store is sound");
    let mut found = Vec::new();
    for (_, entry) in journal.scan(0, 1000).await.expect("it is read") {
        if let Event::AlertReceived { digest, .. } = entry.event {
            let blob = journal.blob(digest).await.expect("it is read").expect("it is there");
            found.push(serde_json::from_slice(&blob).expect("an alert is JSON"));
        }
    }
    found
}
