//! The real server on a disk that the tests may harm, and tools to harm it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::Notify;

const QUELL: &str = env!("CARGO_BIN_EXE_quell");

/// How long anything may take before a test gives up. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

const SETTINGS: &str =
    "listen: 127.0.0.1:0\nplaybooks: playbooks\nconnector_specs: specs\nsources:\n  open: { use: generic }\n";

const CONNECTOR: &str = "connector: stub\ntitle: Stub\nproven: simulated\noperations:\n  look:\n    effect: R\n    input: { name: { type: string, required: true } }\n    request: { method: GET, path: \"/look/${input.name}\" }\n    success: ${ status == 200 }\n    output: { owner: \"${ body.owner }\" }\n  send:\n    effect: N\n    input: { name: { type: string, required: true } }\n    request: { method: POST, path: \"/send/${input.name}\" }\n    success: ${ status == 200 }\n    output: { owner: \"${ body.owner }\" }\n";

const PLAYBOOKS: [(&str, &str); 1] = [(
    "once",
    "playbook: once\nversion: 1\ntitle: Send once\nposture: overt\nsteps:\n  - { id: sent, call: stub.send, with: { name: ledger }, timeout: 5m }\n",
)];

/// Whether a test that lacks something may be left out.
pub fn leave_out(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI nothing is left out: {why}");
    eprintln!("left out: {why}");
}

/// A system that answers when it is told to, and counts what it was sent.
pub struct Peer {
    pub address: std::net::SocketAddr,
    sent: Arc<AtomicUsize>,
    answer: Arc<Notify>,
}

impl Peer {
    pub async fn start() -> Self {
        let (sent, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counted, told) = (Arc::clone(&sent), Arc::clone(&answer));
        let body = || ([("content-type", "application/json")], "{\"owner\":\"priya\"}");
        let send = move || {
            let (counted, told) = (Arc::clone(&counted), Arc::clone(&told));
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                told.notified().await;
                body()
            }
        };
        let routes = Router::new()
            .route("/look/{name}", get(move || async move { body() }))
            .route("/send/{name}", post(send));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, sent, answer }
    }

    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// Answers the call that waits, or the next one.
    pub fn answer(&self) {
        self.answer.notify_one();
    }
}

/// A directory with settings, playbooks and a connector.
pub struct Place {
    pub dir: PathBuf,
    pub data: PathBuf,
}

impl Place {
    /// Settings in `dir`, data in `data`.
    pub fn new(dir: &Path, data: &Path, peer: Option<&Peer>) -> Self {
        let url = peer.map_or("127.0.0.1:9".to_owned(), |peer| peer.address.to_string());
        let settings = format!("{SETTINGS}connectors:\n  stub: {{ use: stub, url: \"http://{url}\" }}\n");
        std::fs::create_dir_all(dir.join("playbooks")).expect("it is made");
        std::fs::create_dir_all(dir.join("specs")).expect("it is made");
        std::fs::write(dir.join("quell.yaml"), settings).expect("it is written");
        std::fs::write(dir.join("specs/stub.yaml"), CONNECTOR).expect("it is written");
        for (name, text) in PLAYBOOKS {
            std::fs::write(dir.join(format!("playbooks/{name}.yaml")), text).expect("it is written");
        }
        Self { dir: dir.to_owned(), data: data.to_owned() }
    }

    fn command(&self, through: &[&str]) -> Command {
        let words: Vec<&str> = through.iter().copied().chain([QUELL]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("--data").arg(&self.data).current_dir(&self.dir);
        command.env_remove("QUELL_SERVER").env("NO_COLOR", "1");
        command
    }

    /// Runs a command to its end.
    pub fn quell(&self, args: &[&str]) -> (Option<i32>, String) {
        let out = self.command(&[]).args(args).output().expect("the binary starts");
        let text =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.code(), text)
    }

    /// Starts the server, through another program when one is named.
    pub fn serve(&self, through: &[&str]) -> Server {
        let log = std::fs::File::create(self.dir.join("server.log")).expect("it is made");
        let child = self
            .command(through)
            .arg("serve")
            .stdout(log.try_clone().expect("it is the same file"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        Server { child, log: self.dir.join("server.log"), data: self.data.clone(), base: None }
    }
}

/// A running server.
pub struct Server {
    child: Child,
    log: PathBuf,
    data: PathBuf,
    base: Option<String>,
}

pub struct Answer {
    pub status: u16,
    pub retry_after: bool,
    pub body: Value,
}

impl Server {
    /// What it said, for messages.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it says that it listens; none when it ended before.
    pub async fn base(&mut self) -> Option<String> {
        let began = Instant::now();
        while self.base.is_none() && began.elapsed() < PATIENCE {
            let said = self.said();
            let word = said.split_whitespace().map(|word| word.trim_end_matches(';'));
            self.base = word.filter(|word| word.starts_with("http://127")).map(str::to_owned).next();
            if self.base.is_none() && self.child.try_wait().expect("it can be asked").is_some() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.base.clone()
    }

    pub async fn ask(&mut self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let base = self.base().await?;
        let token = std::fs::read_to_string(self.data.join("token")).unwrap_or_default();
        let method = method.parse().expect("it is one");
        let mut request =
            reqwest::Client::new().request(method, format!("{base}{path}")).bearer_auth(token.trim());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.timeout(PATIENCE).send().await.ok()?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().contains_key("retry-after");
        let text = answer.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Answer { status, retry_after, body })
    }

    pub async fn deliver(&mut self, nth: usize) -> Option<Answer> {
        let alert = json!({ "source_id": format!("a-{nth}"), "title": "A file left", "category": "dlp", "severity": 20 });
        self.ask("POST", "/api/v1/alerts/open", Some(alert)).await
    }

    /// Waits until `/readyz` has this status.
    pub async fn until_ready_says(&mut self, status: u16) {
        let began = Instant::now();
        let mut last = None;
        while began.elapsed() < PATIENCE {
            last = self.ask("GET", "/readyz", None).await.map(|answer| answer.status);
            if last == Some(status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("/readyz never said {status}, but {last:?}:\n{}", self.said());
    }

    /// The status of a run, once it is one of these.
    pub async fn until_run_is(&mut self, run: &str, wanted: &[&str]) -> String {
        let began = Instant::now();
        let mut last = Value::Null;
        while began.elapsed() < PATIENCE {
            if let Some(answer) = self.ask("GET", "/api/v1/runs", None).await {
                let rows = answer.body["items"].as_array().cloned().unwrap_or_default();
                last = rows.into_iter().find(|row| row["id"] == run).unwrap_or_default();
                if wanted.iter().any(|wanted| last["status"] == *wanted) {
                    return last["status"].as_str().unwrap_or_default().to_owned();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the run never was {wanted:?}, but {last}:\n{}", self.said());
    }

    pub async fn start_run(&mut self, playbook: &str) -> String {
        let path = format!("/api/v1/playbooks/{playbook}/runs");
        let answer = self.ask("POST", &path, Some(json!({}))).await.expect("it answers");
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["run"].as_str().expect("it has an id").to_owned()
    }

    /// Ends it as a power cut would, but for the disk.
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is gone");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server did not end:\n{}", self.said());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tmpfs of its own.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one; none where that is not permitted.
    pub fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).expect("it is made");
        let size = format!("size={mebibytes}m");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        done.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes every byte.
    pub fn fill(&self) {
        use std::io::Write;
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(self.filler()).expect("opens");
        for size in [1 << 20, 4096, 1] {
            let bytes = vec![1; size];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    /// Gives all of it back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it is removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
