//! What the benches share: a house whose playbook asks a stub, and what a process
//! and a directory take.

// Each bench uses its part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use quell::app::house::open;
use quell::domain::event::{Event, RunEnd};
use quell::domain::id::{RunId, StreamId};
use quell::service::house::Service;
use quell::service::runs::RunOrder;
use quell::settings::Settings;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

/// The connector of the system that is asked.
pub const CONNECTOR: &str = "connector: stub\ntitle: Stub\nproven: simulated\nlimits: { at_once: 256 }\noperations:\n  look:\n    effect: R\n    input: { name: { type: string, required: true } }\n    request: { method: GET, path: \"/look/${input.name}\" }\n    success: ${ status == 200 }\n    output: { owner: \"${ body.owner }\" }\n";

const PLAYBOOK: &str = "playbook: five\nversion: 1\ntitle: Five steps\nposture: overt\nsteps:\n  - { id: name, set: { name: ledger } }\n  - { id: first, enrich: stub.look, with: { name: \"${ steps.name.name }\" } }\n  - { id: score, set: { score: \"${ size(steps.first.owner) * 2 }\" } }\n  - { id: second, enrich: stub.look, with: { name: \"${ steps.first.owner }\" } }\n  - { id: done, finish: { disposition: benign } }\n";

/// What is asked for behind `--`: parts by name, and sizes such as `runs=600`.
pub struct Asked {
    parts: Vec<String>,
    sizes: HashMap<String, usize>,
}

impl Asked {
    /// The words of this process.
    pub fn read() -> Self {
        let mut asked = Self { parts: Vec::new(), sizes: HashMap::new() };
        for word in std::env::args().skip(1).filter(|word| !word.starts_with('-')) {
            match word.split_once('=').and_then(|(name, size)| Some((name.to_owned(), size.parse().ok()?))) {
                Some((name, size)) => drop(asked.sizes.insert(name, size)),
                None => asked.parts.push(word),
            }
        }
        asked
    }

    /// Whether a part is asked for: all are when none is named.
    pub fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|word| word == part)
    }

    /// A size, when one was named.
    pub fn size(&self, name: &str) -> Option<usize> {
        self.sizes.get(name).copied()
    }
}

/// Who waits for the end of which run.
pub type Ended = Arc<Mutex<HashMap<RunId, oneshot::Sender<RunEnd>>>>;

/// Tells whoever waits for a run that it has ended.
pub fn follow(service: &Arc<Service>) -> Ended {
    let ended = Ended::default();
    let (told, mut follow) = (Arc::clone(&ended), service.journal.follow());
    tokio::spawn(async move {
        loop {
            let receipt = match follow.recv().await {
                Ok(receipt) => receipt,
                // Who waits for those looks at the views.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            for entry in receipt.entries.iter() {
                if let (StreamId::Run(run), Event::RunEnded { end }) = (entry.stream, &entry.event)
                    && let Some(waiting) = told.lock().remove(&run)
                {
                    let _ = waiting.send(*end);
                }
            }
        }
    });
    ended
}

/// How long a run may take.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// How the views say that a run ended.
async fn shown_as_ended(service: &Arc<Service>, run: RunId) -> RunEnd {
    loop {
        let over = service.views.read().runs.get(run).and_then(|row| row.end);
        match over {
            Some(end) => return end,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// One run to its end, and how long that took.
pub async fn one(service: &Arc<Service>, ended: &Ended) -> Duration {
    let began = Instant::now();
    let order = RunOrder {
        playbook: "five".to_owned(),
        on: quell::service::again::RunOn::Nothing,
        again: None,
        inputs: quell::domain::inputs::GivenInputs::default(),
        by: "bench".to_owned(),
        idempotency: None,
        waits: false,
    };
    let run = service.start_run(order).await.expect("it starts").run;
    let (send, wait) = oneshot::channel();
    ended.lock().insert(run, send);
    let end = tokio::time::timeout(ENDS_WITHIN, async {
        tokio::select! {
            told = wait => told.expect("it is told"),
            // It may have ended before anybody waited.
            shown = shown_as_ended(service, run) => shown,
        }
    });
    let end = end.await.expect("it ends");
    assert_eq!(end, RunEnd::Succeeded, "{run}");
    ended.lock().remove(&run);
    began.elapsed()
}

/// Settings, the playbook and the stub's connector in a directory; the settings' text.
pub fn house_files(dir: &Path, stub: SocketAddr) -> String {
    for (name, text) in [("specs/stub.yaml", CONNECTOR), ("playbooks/five.yaml", PLAYBOOK)] {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        std::fs::write(path, text).expect("it is written");
    }
    let text = format!(
        "data: data\nplaybooks: playbooks\nconnector_specs: specs\nconnectors:\n  stub: {{ use: stub, url: \"http://{stub}\" }}\n"
    );
    std::fs::write(dir.join("quell.yaml"), &text).expect("it is written");
    text
}

/// A house over a directory, in this process.
pub async fn house(dir: &Path, stub: SocketAddr) -> Arc<Service> {
    let text = house_files(dir, stub);
    let settings = Settings::read("quell.yaml", text.as_bytes(), dir).expect("the settings are right");
    let house = open(&settings, settings.listen).await.expect("it opens");
    let service = Arc::clone(&house.service);
    std::mem::forget(house);
    service
}

/// A system that answers at once.
pub async fn serve_stub() -> SocketAddr {
    let routes = Router::new().route(
        "/look/{name}",
        get(|| async { ([("content-type", "application/json")], "{\"owner\":\"priya\"}") }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// A server on the settings of a directory, and where it listens.
pub fn serve(dir: &Path, words: &[&str]) -> (Child, String) {
    use std::io::BufRead;
    let mut server = Command::new(env!("CARGO_BIN_EXE_quell"))
        .current_dir(dir)
        .args(words)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let out = std::io::BufReader::new(server.stdout.take().expect("it is piped"));
    let told = out.lines().map_while(Result::ok).find_map(|line| {
        let at = line.find("http://")?;
        line[at..].split([' ', ';']).next().map(str::to_owned)
    });
    (server, told.expect("it says where it listens").trim_end_matches('/').to_owned())
}

/// Waits until the server says that it is ready.
pub async fn ready(url: &str) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    while !client.get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How soon a server on what was left is ready, in seconds, and what it then takes
/// of memory, in MiB.
pub async fn restarted(dir: &Path, words: &[&str]) -> (f64, f64) {
    let began = Instant::now();
    let (mut server, url) = serve(dir, words);
    ready(&url).await;
    let after = began.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rss = rss_mib(&server.id().to_string());
    let _ = server.kill();
    let _ = server.wait();
    (after, rss)
}

/// What a directory takes on the disk.
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// The processor time that a process took so far, of all its threads.
pub fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program may hold blanks; it ends with the last bracket.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    // The kernel counts in hundredths of a second on every Linux that Rust runs on.
    ticks / 100.0
}

/// The resident memory of a process.
pub fn rss_mib(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
