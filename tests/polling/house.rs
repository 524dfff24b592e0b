//! A server that polls the list, in a directory of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::feed::{Feed, TOKEN};

const QUELL: &str = env!("CARGO_BIN_EXE_quell");

pub const CONNECTOR: &str = "connector: feed\ntitle: Feed\nproven: simulated\nauth: { header: authorization, value: \"Bearer ${ secret.token }\" }\noperations:\n  list_events:\n    effect: R\n    input: { since: { type: string, required: true } }\n    request: { method: GET, path: /events, query: { since: \"${ input.since }\" } }\n    success: ${ status == 200 }\n    output: { events: \"${ body.events }\", next: \"${ body.next }\" }\n  forget:\n    effect: I\n    input: { since: { type: string, required: true } }\n    request: { method: PUT, path: /events, body: { since: \"${ input.since }\" } }\n";

const PLAYBOOK: &str = "playbook: each\nversion: 1\ntitle: Each\nposture: overt\non:\n  - alert: ${ alert.severity > 50 }\nsteps:\n  - id: sum\n    set: { two: \"${ 1 + 1 }\" }\n";

pub const POLL: &str = "operation: feed.list_events, with: { since: \"${ cursor }\" }, first: c0, cursor: \"${ output.next }\", alerts: \"${ output.events }\", every: 1s, timeout: 2s";

/// How long anything may take, on a machine that is busy.
const SOON: Duration = Duration::from_secs(120);

pub struct House {
    pub dir: TempDir,
    child: Option<Child>,
    base: String,
}

impl House {
    /// A directory with everything the server needs; it does not run yet.
    pub fn of(feed: &Feed) -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        write(
            dir.path(),
            &feed.address.to_string(),
            &format!("feed: {{ use: generic, poll: {{ {POLL} }} }}"),
        );
        Self { dir, child: None, base: String::new() }
    }

    /// Changes its settings before it runs.
    pub fn settings(&mut self, change: impl Fn(String) -> String) {
        let path = self.dir.path().join("quell.yaml");
        let settings = std::fs::read_to_string(&path).expect("they are there");
        std::fs::write(&path, change(settings)).expect("they are written");
    }

    /// Starts it; it dies at the points that `die_at` lists.
    pub fn start(&mut self, die_at: Option<&str>) {
        let _ = std::fs::remove_file(self.dir.path().join("data/address"));
        let mut command = Command::new(QUELL);
        command.arg("serve").current_dir(self.dir.path()).env("QUELL_FEED_TOKEN", TOKEN);
        command.stdout(Stdio::null()).stderr(Stdio::null()).env_remove("QUELL_DIE_AT");
        if let Some(point) = die_at {
            let list = self.dir.path().join("points");
            std::fs::write(&list, point).expect("it is written");
            command.env("QUELL_DIE_AT", format!("@{}", list.display()));
        }
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    /// Waits until it answers.
    pub async fn ready(&mut self) {
        let path = self.dir.path().join("data/address");
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < SOON, "the server never got ready");
            let base = std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
            if let Some(base) = base {
                self.base = base.trim().to_owned();
                let answer = reqwest::get(format!("{}/readyz", self.base)).await;
                if answer.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it has died by itself.
    #[cfg(feature = "failpoints")]
    pub async fn died(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let began = Instant::now();
        while child.try_wait().expect("it can be asked").is_none() {
            assert!(began.elapsed() < SOON, "it never came to the point");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn token(&self) -> String {
        let token = std::fs::read_to_string(self.dir.path().join("data/token")).expect("it is there");
        token.trim().to_owned()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.get_as(&self.token(), path).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Value {
        let request = reqwest::Client::new().get(format!("{}/api/v1{path}", self.base));
        let answer = request.bearer_auth(token).send().await.expect("it answers");
        serde_json::from_str(&answer.text().await.expect("it is whole")).expect("it is JSON")
    }

    pub async fn text(&self, path: &str) -> String {
        let request = reqwest::Client::new().get(format!("{}{path}", self.base)).bearer_auth(self.token());
        request.send().await.expect("it answers").text().await.expect("it is whole")
    }

    /// The first thing that people are told to look at.
    pub async fn told(&self) -> Value {
        let began = Instant::now();
        loop {
            let needs = self.get("/attention").await;
            if let Some(told) = needs["items"].as_array().and_then(|items| items.first()) {
                return told.clone();
            }
            assert!(began.elapsed() < SOON, "nobody is told");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let request =
            reqwest::Client::new().post(format!("{}/api/v1{path}", self.base)).body(body.to_owned());
        let answer = request.header("content-type", "application/json").send().await.expect("it answers");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("whole")).unwrap_or_default())
    }

    pub fn quell(&self, args: &[&str]) -> String {
        quell(self.dir.path(), args)
    }

    /// Everything in a list of the API.
    pub async fn all(&self, family: &str) -> Vec<Value> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/{family}?limit=500{after}")).await;
            found.extend(page["items"].as_array().expect("items").clone());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    }

    /// How often each event became an alert.
    pub async fn taken(&self) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        for alert in self.all("alerts").await {
            *taken.entry(alert["title"].as_str().expect("a title").to_owned()).or_default() += 1;
        }
        taken
    }

    /// How the poll stands.
    pub async fn poll(&self) -> Value {
        self.get("/polls").await["items"][0].clone()
    }

    /// Waits until the journal says that the list was read up to here.
    pub async fn read_to(&self, cursor: &str) {
        let began = Instant::now();
        loop {
            let poll = self.poll().await;
            if poll["cursor"] == cursor {
                return;
            }
            assert!(began.elapsed() < SOON, "it never read to {cursor}: {poll}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Each event of the list is one alert and has one run, and nothing else is there.
    pub async fn holds_each_once(&self, count: usize) {
        let taken = self.taken().await;
        let twice: Vec<_> = taken.iter().filter(|(_, times)| **times != 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert_eq!(taken.len(), count);
        assert_eq!(self.all("runs").await.len(), count);
    }
}

/// The files of a server whose sources are these.
pub fn write(dir: &Path, address: &str, sources: &str) {
    for (name, text) in [("specs/feed.yaml", CONNECTOR), ("playbooks/each.yaml", PLAYBOOK)] {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        std::fs::write(path, text).expect("it is written");
    }
    let settings = format!(
        "listen: 127.0.0.1:0\ndata: data\nplaybooks: playbooks\nconnector_specs: specs\nconnectors:\n  feed: {{ use: feed, url: \"http://{address}\", auth: {{ token: \"${{env:QUELL_FEED_TOKEN}}\" }} }}\nsources:\n  {sources}\n"
    );
    std::fs::write(dir.join("quell.yaml"), settings).expect("it is written");
}

pub fn quell(dir: &Path, args: &[&str]) -> String {
    let out = Command::new(QUELL)
        .args(args)
        .current_dir(dir)
        .env("QUELL_FEED_TOKEN", TOKEN)
        .env_remove("QUELL_SERVER")
        .output()
        .expect("the binary starts");
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}
