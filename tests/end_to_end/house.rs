//! A lab and a server in directories of their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const QUELL: &str = env!("CARGO_BIN_EXE_quell");

/// What a command printed, on both outputs.
pub struct Out {
    pub status: ExitStatus,
    pub text: String,
}

pub fn quell(args: &[&str], dir: &Path) -> Out {
    let out = Command::new(QUELL)
        .args(args)
        .current_dir(dir)
        .env("QUELL_TEST_TOKEN", "0123456789abcdef0123456789abcdef")
        .env_remove("QUELL_SERVER")
        .output()
        .expect("the binary starts");
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    Out { status: out.status, text }
}

pub struct Lab {
    dir: TempDir,
}

impl Lab {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("there is room") }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("lab")
    }

    pub fn play(&self, args: &[&str]) -> Out {
        let data = self.data();
        quell(&[&["--data", data.to_str().expect("it is text"), "lab"], args].concat(), self.dir.path())
    }

    /// Plays until a line says this, then kills the process as a power cut would.
    pub fn play_until(&self, moment: &str) {
        let mut child = Command::new(QUELL)
            .args(["--data", self.data().to_str().expect("it is text"), "lab", "--exit", "--pace", "0.3"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut seen = String::new();
        for line in lines {
            let line = line.expect("it is text");
            seen.push_str(&line);
            seen.push('\n');
            if line.contains(moment) {
                child.kill().expect("it is killed");
                child.wait().expect("it is gone");
                return;
            }
        }
        child.wait().expect("it is gone");
        panic!("“{moment}” was never said:\n{seen}");
    }

    /// How often the identity server was told to suspend somebody.
    pub fn suspensions(&self) -> usize {
        let world = std::fs::read_to_string(self.data().join("world/world.json")).expect("the world is kept");
        let world: Value = serde_json::from_str(&world).expect("it is JSON");
        let writes = world["writes"].as_array().expect("writes are kept");
        writes
            .iter()
            .filter(|write| write["method"] == "PATCH" && write["body"].to_string().contains("false"))
            .count()
    }

    pub fn reports(&self) -> Vec<PathBuf> {
        let dir = std::fs::read_dir(self.data().join("reports")).expect("reports are kept");
        dir.map(|entry| entry.expect("it is readable").path()).collect()
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub kind: String,
    pub retry_after: Option<u64>,
    pub body: Value,
}

pub struct Server {
    child: Child,
    pub base: String,
    token: String,
    dir: TempDir,
}

/// Looks, 20 ms apart, for a server that starts: a minute, for a machine that is busy.
const LOOKS: usize = 3000;

const SETTINGS: &str = "listen: 127.0.0.1:0\ndata: data\nplaybooks: playbooks\nsources:\n  open: { use: generic }\n  signed: { use: generic, auth: { standard_webhooks: \"${env:QUELL_TEST_TOKEN}\" } }\n";

const QUICK: &str = "playbook: quick\nversion: 1\ntitle: Quick\nposture: overt\nsteps:\n  - id: sum\n    set: { two: \"${ 1 + 1 }\" }\n";

const YEARLY: &str = "playbook: yearly\nversion: 1\ntitle: Yearly\nposture: overt\non:\n  - schedule: { cron: \"0 3 29 2 *\", timezone: Asia/Kathmandu, missed: run_once, overlap: queue }\nsteps:\n  - id: sum\n    set: { two: \"${ 1 + 1 }\" }\n";

impl Server {
    pub async fn start() -> Self {
        Self::with("", &[]).await
    }

    /// A server with more settings and playbooks.
    pub async fn with(settings: &str, more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        std::fs::write(dir.path().join("quell.yaml"), format!("{SETTINGS}{settings}"))
            .expect("it is written");
        let playbooks = dir.path().join("playbooks");
        std::fs::create_dir(&playbooks).expect("it is made");
        let shipped =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks/departing-employee-exfiltration.yaml");
        std::fs::copy(shipped, playbooks.join("departing.yaml")).expect("it is copied");
        std::fs::write(playbooks.join("quick.yaml"), QUICK).expect("it is written");
        std::fs::write(playbooks.join("yearly.yaml"), YEARLY).expect("it is written");
        for (name, text) in more {
            std::fs::write(playbooks.join(name), text).expect("it is written");
        }
        let mut server = Self { child: serve(dir.path()), base: String::new(), token: String::new(), dir };
        server.until_ready().await;
        server
    }

    /// Kills the process as a power cut would, and starts it again.
    pub async fn die_and_come_back(&mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is gone");
        // Where the one before listened.
        std::fs::remove_file(self.dir.path().join("data/address")).expect("it was there");
        self.child = serve(self.dir.path());
        self.until_ready().await;
    }

    async fn until_ready(&mut self) {
        let address = self.dir.path().join("data/address");
        let mut base = None;
        for _ in 0..LOOKS {
            base = std::fs::read_to_string(&address).ok().filter(|text| text.ends_with('\n'));
            if base.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.base = base.expect("the server says where it listens").trim().to_owned();
        let token = std::fs::read_to_string(self.dir.path().join("data/token"));
        self.token = token.expect("the token is there").trim().to_owned();
        let http = reqwest::Client::new();
        for _ in 0..LOOKS {
            let answer = http.get(format!("{}/readyz", self.base)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server never got ready");
    }

    /// Where it keeps everything.
    pub fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// Ends it as a power cut would.
    pub fn stop_hard(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Tells it to stop, as a supervisor does, and waits until it takes no calls any more.
    pub async fn tell_to_stop(&self) {
        let told = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(told.expect("there is a shell").success());
        let http = reqwest::Client::new();
        while http.get(format!("{}/healthz", self.base)).send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its exit code, once it has ended by itself.
    pub async fn ended(&mut self) -> Option<i32> {
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as a power cut would, if it has not ended yet, and starts it again.
    pub async fn again(mut self) -> Self {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.home().join("data/address"));
        self.child = serve(self.home());
        self.until_ready().await;
        self
    }

    /// Its settings file, for the command line.
    pub fn settings(&self) -> String {
        self.home().join("quell.yaml").display().to_string()
    }

    /// The operator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    pub async fn deliver(&self, source: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        let request = reqwest::Client::new()
            .post(self.url(&format!("/alerts/{source}")))
            .header("content-type", "application/json")
            .body(body);
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    pub async fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let request = reqwest::Client::new()
            .post(self.url(path))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body.to_string());
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// A call by somebody whose token is their address.
    pub async fn post_as(&self, who: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.send_as(who, reqwest::Method::POST, path, body, headers).await
    }

    /// The same with any method.
    pub async fn send_as(
        &self,
        who: &str,
        method: reqwest::Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let request = reqwest::Client::new()
            .request(method, self.url(path))
            .bearer_auth(who)
            .header("content-type", "application/json")
            .body(body.to_string());
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// Any call to an address outside or inside the API, with the operator's token.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("it is a method");
        let request = reqwest::Client::new()
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .body(body.to_owned());
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// The command line, as the operator of this server uses it.
    pub fn quell(&self, args: &[&str]) -> Out {
        let data = self.home().join("data");
        quell(&[&["--data", data.to_str().expect("it is text")][..], args].concat(), self.home())
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let request = reqwest::Client::new()
            .patch(self.url(path))
            .bearer_auth(&self.token)
            .header("content-type", "application/json");
        answer(request.body(body.to_string())).await
    }

    /// A call that goes on while the server is used for others.
    pub fn send(
        &self,
        method: reqwest::Method,
        url: String,
        body: &'static str,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let request = reqwest::Client::new().request(method, url).bearer_auth(&self.token);
        answer(request.header("content-type", "application/json").body(body))
    }

    /// Reads something, with the headers of the answer.
    pub async fn read(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", &format!("/api/v1{path}"), headers, "").await
    }

    pub async fn get(&self, path: &str) -> Value {
        answer(reqwest::Client::new().get(self.url(path)).bearer_auth(&self.token)).await.body
    }
}

fn serve(dir: &Path) -> Child {
    Command::new(QUELL)
        .arg("serve")
        .current_dir(dir)
        .env("QUELL_TEST_TOKEN", "0123456789abcdef0123456789abcdef")
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("the server answers");
    let status = answer.status().as_u16();
    let kind = answer
        .headers()
        .get("content-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let retry_after = answer.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
    let headers = answer.headers().clone();
    let text = answer.text().await.expect("the answer is whole");
    Answer {
        status,
        headers,
        kind,
        retry_after,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
