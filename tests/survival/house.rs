//! A directory with settings, playbooks and a connector, and the lives of the
//! server that runs in it, one after the other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quell::domain::event::Entry;
use quell::store::journal::Journal;
use quell::store::sled::journal::{Options, SledJournal};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::peer::{Executioner, Moment, Peer};
use crate::post::Post;

const QUELL: &str = env!("CARGO_BIN_EXE_quell");

/// How long anything may take before a test gives up. Far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Who may do what; the token is the name, said twice.
pub const OPERATOR: &str = "operator@example.com";
pub const LEAD: &str = "lead@example.com";
pub const OWNER: &str = "owner@example.com";

const CONNECTOR: &str = include_str!("house/peer.yaml");

/// A test that lacks something may be left out, but for CI.
pub fn leave_out(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI nothing is left out: {why}");
    eprintln!("left out: {why}");
}

fn token(who: &str) -> String {
    format!("{who}-{who}")
}

/// Where a server lives.
pub struct Place {
    dir: tempfile::TempDir,
    pub executioner: Arc<Executioner>,
    pub peer: Peer,
    pub post: Post,
    http: reqwest::Client,
}

/// How a life of the server ends before its work is done.
#[derive(Debug, Clone, Default)]
pub enum Death {
    /// It does not.
    #[default]
    None,
    /// At the nth point that it passes.
    AtPoint(u64),
    /// At the first of these points, or at the nth.
    AtFirstOf(u64, Vec<String>),
    /// By a peer, at its nth request.
    ByPeer(Moment, u64),
}

impl Place {
    pub async fn new(playbooks: &[(&str, &str)]) -> Self {
        let executioner = Arc::new(Executioner::default());
        let (peer, post) = (Peer::start(&executioner).await, Post::start(&executioner).await);
        let dir = tempfile::tempdir().expect("there is room");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("is written");
        for made in ["playbooks", "specs"] {
            std::fs::create_dir(dir.path().join(made)).expect("it is made");
        }
        let tokens: String = [(OPERATOR, "admin"), (LEAD, "approver"), (OWNER, "reader")]
            .map(|(who, role)| {
                let sha256: [u8; 32] = Sha256::digest(token(who)).into();
                let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("    - {{ who: {who}, sha256: {sha256}, roles: [{role}] }}\n")
            })
            .concat();
        write(
            "quell.yaml",
            &format!(
                "listen: 127.0.0.1:0\npublic_url: http://quell.example.com\ndata: data\nplaybooks: playbooks\nconnector_specs: specs\n\
                 sources:\n  open: {{ use: generic }}\n\
                 guardrails:\n  caps: {{ people_per_run: 1000, per_10_minutes: 1000, per_day: 1000 }}\n\
                 mail: {{ connector: post, from: quell@example.com }}\n\
                 connectors:\n  peer: {{ use: peer, url: \"http://{}\" }}\n  post: {{ use: smtp, url: \"smtp://{}\" }}\n\
                 access:\n  tokens:\n{tokens}",
                peer.address, post.address
            ),
        );
        write("specs/peer.yaml", CONNECTOR);
        for (name, text) in playbooks {
            write(&format!("playbooks/{name}.yaml"), text);
        }
        Self { dir, executioner, peer, post, http: reqwest::Client::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, through: &[&str]) -> Command {
        let words: Vec<&str> = through.iter().copied().chain([QUELL]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.dir.path());
        for name in ["QUELL_SERVER", "QUELL_DIE_AT", "QUELL_POINTS"] {
            command.env_remove(name);
        }
        command.env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs a command to its end.
    pub fn quell(&self, args: &[&str]) -> (Option<i32>, String) {
        let out = self.command(&[]).args(args).output().expect("the binary starts");
        let text =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.code(), text)
    }

    /// Starts the server.
    pub fn live(&self, death: &Death) -> Life<'_> {
        self.live_through(&[], &[], death)
    }

    /// Starts the server through another program, with more environment.
    pub fn live_through(&self, through: &[&str], env: &[(&str, &str)], death: &Death) -> Life<'_> {
        let log = self.path("server.log");
        let points = self.path("points");
        let _ = std::fs::remove_file(&points);
        let out = std::fs::File::create(&log).expect("it is made");
        let mut command = self.command(through);
        command.envs(env.iter().copied()).env("QUELL_POINTS", &points);
        *self.executioner.plan.lock() = None;
        match death {
            Death::None => {}
            Death::AtPoint(nth) => {
                command.env("QUELL_DIE_AT", nth.to_string());
            }
            Death::AtFirstOf(nth, names) => {
                let list = self.path("die-at");
                std::fs::write(&list, names.join("\n")).expect("it is written");
                command.env("QUELL_DIE_AT", format!("{nth}@{}", list.display()));
            }
            Death::ByPeer(moment, nth) => *self.executioner.plan.lock() = Some((*moment, *nth)),
        }
        let child = command
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("it is the same file"))
            .stderr(out)
            .spawn()
            .expect("the binary starts");
        *self.executioner.child.lock() = Some(child);
        Life { place: self, log, points, base: None }
    }

    /// Waits until peers are through with everything that a server which is
    /// gone had sent them: what they have not done by then, they never do.
    pub async fn settle_down(&self) {
        // Connections are let in in their order: once these are, all before them are.
        self.knock(self.peer.address, "GET / HTTP/1.1\r\nhost: peer\r\nconnection: close\r\n\r\n").await;
        self.knock(self.post.address, "QUIT\r\n").await;
        let began = Instant::now();
        while self.executioner.open.load(Ordering::SeqCst) > 0 {
            assert!(began.elapsed() < PATIENCE, "connections of a dead server stay open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn knock(&self, address: SocketAddr, words: &str) {
        let mut stream = TcpStream::connect(address).await.expect("the peer is there");
        stream.write_all(words.as_bytes()).await.expect("the peer listens");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }

    /// Everything in the journal. No server may be running.
    pub async fn entries(&self) -> Vec<Entry> {
        let dir = self.path("data/store");
        let journal = SledJournal::open(&dir, &Options::default()).expect("the journal opens");
        let scanned = journal.scan(0, usize::MAX).await.expect("the journal reads");
        scanned.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// One life of the server, from start to end.
pub struct Life<'a> {
    place: &'a Place,
    log: PathBuf,
    points: PathBuf,
    base: Option<String>,
}

impl Life<'_> {
    /// What it said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The points that it passed; the last one with a cross when it died there.
    pub fn points(&self) -> Vec<String> {
        read_lines(&self.points)
    }

    /// The status with which it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.place.executioner.child.lock().as_mut()?.try_wait().expect("it can be asked")
    }

    /// Waits until it takes calls; false when it ended before.
    pub async fn is_up(&mut self) -> bool {
        let began = Instant::now();
        while self.base.is_none() {
            assert!(began.elapsed() < PATIENCE, "the server never said where it listens:\n{}", self.said());
            let said = self.said();
            let mut lines = said.lines().filter_map(|line| line.strip_prefix("quell listens on "));
            self.base = lines.next().and_then(|rest| Some(rest.split_once(';')?.0.to_owned()));
            if self.base.is_none() {
                if self.ended().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        true
    }

    /// Calls the API as somebody; nothing when it ended before it answered.
    pub async fn call(&mut self, who: &str, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        self.call_with(who, method, path, &[], body).await
    }

    pub async fn call_with(
        &mut self,
        who: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Option<Answer> {
        if !self.is_up().await {
            return None;
        }
        let url = format!("{}/api/v1{path}", self.base.as_deref().unwrap_or_default());
        let method = method.parse().expect("it is one");
        let mut request = self.place.http.request(method, url).bearer_auth(token(who)).timeout(PATIENCE);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// All rows of a list.
    pub async fn list(&mut self, path: &str) -> Option<Vec<Value>> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{sign}limit=500{after}");
            let answer = self.call(OPERATOR, "GET", &page, None).await?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            rows.extend(answer.body["items"].as_array().cloned().unwrap_or_default());
            match answer.body["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Some(rows),
            }
        }
    }

    /// Ends it as a power cut would, but for the disk.
    pub fn kill(self) {
        self.place.executioner.kill();
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(self) -> ExitStatus {
        let id = self.place.executioner.child.lock().as_ref().map(std::process::Child::id);
        if let Some(id) = id {
            let _ = Command::new("kill").arg(id.to_string()).status();
        }
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the server did not stop:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        let child = self.place.executioner.child.lock().take();
        if let Some(mut child) = child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
