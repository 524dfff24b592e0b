//! A server with a source behind every door, and its lives.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use quell::domain::time::Timestamp;
use quell::store::journal::Journal;
use quell::store::sled::journal::{Options, SledJournal};
use serde_json::Value;

use crate::wire::{Framing, Request, send};

/// The live secrets of every door, and one that none has.
pub const SECRETS: [&str; 3] = [
    "first-secret-of-the-door-0123456789",
    "second-secret-of-the-door-012345678",
    "a-secret-that-no-door-has-012345678",
];

/// A certificate that is let in.
pub const FINGERPRINT: &str = "5f8e2a1c9b3d4e6f7081a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";

const SETTINGS: &str = include_str!("quell.yaml");

/// Looks, 20 ms apart, for a server that starts: a minute, for a machine that is busy.
const LOOKS: usize = 3000;

pub struct House {
    dir: tempfile::TempDir,
    child: Option<Child>,
    address: SocketAddr,
    token: String,
}

impl House {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with these playbooks.
    pub async fn with(playbooks: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        std::fs::write(dir.path().join("quell.yaml"), SETTINGS).expect("it is written");
        std::fs::create_dir(dir.path().join("playbooks")).expect("it is made");
        for (name, text) in playbooks {
            std::fs::write(dir.path().join("playbooks").join(name), text).expect("it is written");
        }
        let mut house =
            Self { dir, child: None, address: SocketAddr::from(([127, 0, 0, 1], 0)), token: String::new() };
        house.live().await;
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn live(&mut self) {
        let _ = std::fs::remove_file(self.path("data/address"));
        let log = std::fs::File::options().create(true).append(true).open(self.path("log"));
        let child = Command::new(env!("CARGO_BIN_EXE_quell"))
            .arg("serve")
            .current_dir(self.dir.path())
            .env("FIRST", SECRETS[0])
            .env("SECOND", SECRETS[1])
            .env("QUELL_LOG", "debug,sled=info")
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn();
        self.child = Some(child.expect("the binary starts"));
        for _ in 0..LOOKS {
            let told = std::fs::read_to_string(self.path("data/address")).unwrap_or_default();
            if let Some(address) = told.strip_suffix('\n').and_then(|url| url.strip_prefix("http://")) {
                self.address = address.parse().expect("an address");
                let token = std::fs::read_to_string(self.path("data/token")).expect("the token is there");
                self.token = token.trim().to_owned();
                if self.get("/readyz").await.0 == 200 {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server never got ready");
    }

    /// Ends it as a power cut would.
    pub fn die(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is killed");
            child.wait().expect("it is gone");
        }
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("it lives");
        let told = Command::new("kill").arg(child.id().to_string()).status();
        assert!(told.is_ok_and(|told| told.success()), "it is told");
        for _ in 0..LOOKS {
            if child.try_wait().expect("it can be asked").is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = child.kill();
        panic!("the server never stopped");
    }

    /// Ends it, and says where its journal ends.
    pub fn head(&mut self) -> String {
        self.die();
        let journal =
            SledJournal::open(&self.path("data/store"), &Options::default()).expect("the store is sound");
        format!("{:?}", journal.head())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address, as the operator sees it.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let request = Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![("authorization".to_owned(), format!("Bearer {}", self.token).into_bytes())],
            body: Vec::new(),
            framing: Framing::Length,
            from: [127, 0, 0, 1],
        };
        let answer = send(self.address, &request).await;
        (answer.status, answer.json())
    }

    /// Every alert that is stored.
    pub async fn alerts(&self) -> Vec<Value> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = self.get(&format!("/api/v1/alerts?limit=500{after}")).await;
            assert_eq!(status, 200, "{page}");
            found.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    }

    /// What the server logged in all its lives. Every line is one JSON text, and no
    /// byte of it steers a terminal.
    pub fn sound_log(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).expect("the log is text");
        for line in log.lines() {
            assert!(!line.chars().any(char::is_control), "a control character in the log: {line:?}");
            let read: Result<Value, _> = serde_json::from_str(line);
            assert!(read.is_ok(), "a line of the log that is no JSON: {line}");
        }
        for secret in SECRETS {
            assert!(!log.contains(secret), "a secret in the log");
        }
        log
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.die();
    }
}

/// The time now, in seconds.
pub fn now() -> i64 {
    let now: Timestamp = chrono::Utc::now().into();
    now.millis() / 1000
}
