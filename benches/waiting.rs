//! What runs cost that only wait: memory, how soon a server with so many is ready
//! again, and how late it wakes those whose time comes then. Half of them wait for a
//! time, half for two people's yes.
//! `cargo bench --bench waiting`, or with numbers of runs behind `--`.

#[path = "house/mod.rs"]
mod house;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use house::{disk_bytes, ready, rss_mib, serve};
use quell::app::house::{TOKEN_FILE, open};
use quell::domain::time::Timestamp;
use quell::projection::runs::RunStatus;
use quell::service::house::Service;
use quell::service::runs::RunOrder;
use quell::settings::Settings;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How many wait, when nobody says.
const LEVELS: &[usize] = &[0, 1_000, 100_000];

/// Started at the same time while the store is filled.
const AT_ONCE: usize = 64;

/// Runs whose time comes after the restart.
const SOON: usize = 100;

/// How long those wait.
const SOON_AFTER: Duration = Duration::from_secs(15);

/// What a server may take of memory, however many runs wait, in MiB.
const RSS_MIB_MAX: f64 = 150.0;

/// How soon it must be ready again, in seconds.
const READY_SECONDS_MAX: f64 = 10.0;

/// The first word of the process that fills a store.
const FILL: &str = "fill";

/// How long the last runs may take until they wait.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// And for each run: half of them send a mail, of which some 200 a second leave.
const SETTLES_A_RUN: Duration = Duration::from_millis(8);

const PLAYBOOKS: &[(&str, &str)] = &[
    (
        "playbooks/pause.yaml",
        "playbook: pause\nversion: 1\ntitle: Waits for a time\nposture: overt\nsteps:\n  - { id: name, set: { name: ledger } }\n  - { id: pause, wait: 20d }\n  - { id: done, finish: { disposition: benign } }\n",
    ),
    (
        "playbooks/soon.yaml",
        "playbook: soon\nversion: 1\ntitle: Waits a little\nposture: overt\nsteps:\n  - { id: pause, wait: 15s }\n",
    ),
    (
        "playbooks/asks.yaml",
        "playbook: asks\nversion: 1\ntitle: Waits for people\nposture: overt\nsteps:\n  - { id: name, set: { name: ledger } }\n  - id: decide\n    approval: { by: [\"group:ir-leads\", \"group:hr\"], within: 20d }\n    steps:\n      - { id: note, set: { done: true } }\n  - { id: done, finish: { disposition: benign } }\n",
    ),
];

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let [_, fill_word, dir, runs] = &words[..]
        && fill_word == FILL
    {
        return runtime.block_on(fill(Path::new(dir), runs.parse().expect("a number")));
    }
    let asked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let levels = if asked.is_empty() { LEVELS.to_vec() } else { asked };
    std::fs::create_dir_all("target").expect("it is made");
    for runs in levels {
        let dir = tempfile::tempdir_in("target").expect("there is room");
        // In a process of its own, so that its memory and its lock are gone afterwards.
        let filled = Command::new(std::env::current_exe().expect("it has a path"))
            .args([FILL.as_ref(), dir.path().as_os_str(), runs.to_string().as_ref()])
            .status();
        assert!(filled.is_ok_and(|status| status.success()), "the store was not filled");
        runtime.block_on(told_again(dir.path(), runs));
    }
}

/// The settings and playbooks of the house that is measured.
fn write_house(dir: &Path, smtp: SocketAddr) -> String {
    let settings = format!(
        "data: data\nplaybooks: playbooks\nmail: {{ connector: mail, from: quell@example.com }}\npeople: {{ groups: {{ ir-leads: [ana@example.com], hr: [lee@example.com] }} }}\nconnectors:\n  mail: {{ use: smtp, url: \"smtp://{smtp}\" }}\n"
    );
    for (name, text) in PLAYBOOKS.iter().chain(&[("quell.yaml", settings.as_str())]) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        std::fs::write(path, text).expect("it is written");
    }
    settings
}

/// Starts so many runs and waits until all of them wait.
async fn fill(dir: &Path, runs: usize) {
    let text = write_house(dir, serve_mail().await);
    let settings = Settings::read("quell.yaml", text.as_bytes(), dir).expect("the settings are right");
    let house = open(&settings, settings.listen).await.expect("it opens");
    let service = Arc::clone(&house.service);
    let began = Instant::now();
    stream::iter(0..runs)
        .map(|number| start(&service, if number.is_multiple_of(2) { "pause" } else { "asks" }))
        .buffer_unordered(AT_ONCE)
        .for_each(|()| async {})
        .await;
    loop {
        let running = {
            let views = service.views.read();
            views.runs.live_len() as u64 - views.runs.live_standing(RunStatus::Waiting)
        };
        if running == 0 {
            break;
        }
        assert!(
            began.elapsed() < SETTLES_WITHIN + SETTLES_A_RUN * u32::try_from(runs).expect("it is small"),
            "{running} do not wait"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "{runs:>7} wait: filled in {:.1} s, RSS of the process that filled it {:.0} MiB",
        began.elapsed().as_secs_f64(),
        rss_mib("self")
    );
    for _ in 0..SOON {
        start(&service, "soon").await;
    }
    house.stop();
}

async fn start(service: &Arc<Service>, playbook: &str) {
    let order = RunOrder {
        playbook: playbook.to_owned(),
        on: quell::service::again::RunOn::Nothing,
        again: None,
        inputs: quell::domain::inputs::GivenInputs::default(),
        by: "bench".to_owned(),
        idempotency: None,
        waits: false,
    };
    service.start_run(order).await.expect("it starts");
}

/// Starts a server on what was left, and says how soon it is ready, what it takes,
/// and how late it wakes those whose time comes.
async fn told_again(dir: &Path, runs: usize) {
    let began = Instant::now();
    let (mut server, url) = serve(dir, &[]);
    ready(&url).await;
    let after = began.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rss = rss_mib(&server.id().to_string());
    let late = lateness(dir, &url).await;
    println!(
        "{runs:>7} wait: ready again after {after:.2} s, RSS {rss:.0} MiB, {} bytes a run on disk; of {} whose time came, the latest was woken {} ms late, none early; RSS then {:.0} MiB",
        disk_bytes(&dir.join("data")) / (runs.max(1) as u64),
        late.len(),
        late.last().copied().unwrap_or(0),
        rss_mib(&server.id().to_string()),
    );
    let _ = server.kill();
    let _ = server.wait();
    assert!(rss < RSS_MIB_MAX, "{runs} waiting runs take {rss:.0} MiB");
    assert!(after < READY_SECONDS_MAX, "with {runs} waiting runs it is ready after {after:.1} s");
}

/// How late those were woken whose time came after the restart, in milliseconds.
async fn lateness(dir: &Path, url: &str) -> Vec<i64> {
    let token = std::fs::read_to_string(dir.join("data").join(TOKEN_FILE)).expect("the operator has a token");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let began = Instant::now();
    loop {
        let asked =
            client.get(format!("{url}/api/v1/runs?playbook=soon&limit=500")).bearer_auth(token.trim());
        let answer = asked.send().await.expect("it answers").bytes().await.expect("it is whole");
        let page: serde_json::Value = serde_json::from_slice(&answer).expect("it is JSON");
        let time = |row: &serde_json::Value, name: &str| {
            row[name].as_str().and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::millis)
        };
        let rows = page["items"].as_array().cloned().unwrap_or_default();
        let late = rows.iter().filter_map(|row| Some(time(row, "ended_at")? - time(row, "started_at")?));
        let soon = i64::try_from(SOON_AFTER.as_millis()).expect("it is small");
        let mut late: Vec<i64> = late.map(|took| took - soon).collect();
        if late.len() == SOON {
            late.sort_unstable();
            assert!(late[0] >= 0, "one was woken early");
            return late;
        }
        assert!(began.elapsed() < SETTLES_WITHIN, "{} of {SOON} were woken", late.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A mail server that takes everything and keeps nothing.
async fn serve_mail() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (read, mut write) = socket.into_split();
                let mut lines = BufReader::new(read).lines();
                let mut in_data = false;
                let _ = write.write_all(b"220 ready\r\n").await;
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer: &[u8] = match (in_data, line.as_str()) {
                        (true, ".") => {
                            in_data = false;
                            b"250 taken\r\n"
                        }
                        (true, _) => continue,
                        (false, line) if line.eq_ignore_ascii_case("data") => {
                            in_data = true;
                            b"354 go on\r\n"
                        }
                        (false, line) if line.eq_ignore_ascii_case("quit") => b"221 bye\r\n",
                        (false, _) => b"250 yes\r\n",
                    };
                    if write.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
