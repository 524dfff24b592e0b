//! Complete durable runs a second: five steps, two of them HTTP calls to a stub,
//! at 1, 16 and 64 at once; beside what the disk and the stub can do at most,
//! measured in the same run. `cargo bench --bench runs`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use quell::app::house::open;
use quell::domain::event::{Event, RunEnd};
use quell::domain::id::{RunId, StreamId};
use quell::service::house::Service;
use quell::service::runs::RunOrder;
use quell::settings::Settings;
use tokio::sync::oneshot;

/// Runs at each level; enough for a p99 that means something.
const RUNS: usize = 6000;

const CONNECTOR: &str = "connector: stub\ntitle: Stub\nproven: simulated\nlimits: { at_once: 256 }\noperations:\n  look:\n    effect: R\n    input: { name: { type: string, required: true } }\n    request: { method: GET, path: \"/look/${input.name}\" }\n    success: ${ status == 200 }\n    output: { owner: \"${ body.owner }\" }\n";

const PLAYBOOK: &str = "playbook: five\nversion: 1\ntitle: Five steps\nposture: overt\nsteps:\n  - { id: name, set: { name: ledger } }\n  - { id: first, enrich: stub.look, with: { name: \"${ steps.name.name }\" } }\n  - { id: score, set: { score: \"${ size(steps.first.owner) * 2 }\" } }\n  - { id: second, enrich: stub.look, with: { name: \"${ steps.first.owner }\" } }\n  - { id: done, finish: { disposition: benign } }\n";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(bench());
}

async fn bench() {
    std::fs::create_dir_all("target").expect("it is made");
    let dir = tempfile::tempdir_in("target").expect("there is room");
    let stub = serve_stub().await;
    println!("{:<34} {:>10.0} calls/s", "the stub alone, 64 at once", stub_ceiling(stub).await);
    for group in [1, 64] {
        let name = format!("the disk alone, {group} to a sync");
        println!("{name:<34} {:>10.0} appends/s", disk_rate(dir.path(), group));
    }
    server(dir.path()).await;
    let service = house(dir.path(), stub).await;
    let ended = follow(&service);
    let empty = disk_bytes(dir.path());
    let mut all = 0;
    for at_once in [1, 16, 64] {
        let before = disk_bytes(dir.path());
        let runs = if at_once == 1 { RUNS / 4 } else { RUNS };
        let began = Instant::now();
        let mut times: Vec<Duration> =
            stream::iter(0..runs).map(|_| one(&service, &ended)).buffer_unordered(at_once).collect().await;
        let took = began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        let bytes = disk_bytes(dir.path()).saturating_sub(before) / runs as u64;
        println!(
            "{at_once:>3} at once: {:>8.0} runs/s   p50 {:>7.2} ms   p99 {:>7.2} ms   {bytes:>6} bytes a run on disk   RSS {:.0} MiB",
            runs as f64 / took,
            at(0.5),
            at(0.99),
            rss_mib("self")
        );
        all += runs as u64;
    }
    let bytes = disk_bytes(dir.path()).saturating_sub(empty) / all;
    println!("{:<34} {bytes:>10} bytes a run", "on disk, over all of them");
}

type Ended = Arc<Mutex<HashMap<RunId, oneshot::Sender<RunEnd>>>>;

/// Tells whoever waits for a run that it has ended.
fn follow(service: &Arc<Service>) -> Ended {
    let ended = Ended::default();
    let (told, mut follow) = (Arc::clone(&ended), service.journal.follow());
    tokio::spawn(async move {
        while let Ok(receipt) = follow.recv().await {
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

async fn one(service: &Arc<Service>, ended: &Ended) -> Duration {
    let began = Instant::now();
    let order = RunOrder {
        playbook: "five".to_owned(),
        alert: None,
        inputs: serde_json::Map::new(),
        by: "bench".to_owned(),
        idempotency_key: None,
    };
    let run = service.start_run(order).await.expect("it starts");
    let (send, wait) = oneshot::channel();
    ended.lock().insert(run, send);
    // It may have ended before anybody waited.
    let over = service.views.read().runs.get(run).and_then(|row| row.end);
    let end = match over {
        Some(end) => end,
        None => {
            tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it ends").expect("it is told")
        }
    };
    assert_eq!(end, RunEnd::Succeeded, "{run}");
    ended.lock().remove(&run);
    began.elapsed()
}

/// A server that was just installed: how soon it takes alerts, and what it takes of
/// memory while nothing happens.
async fn server(dir: &std::path::Path) {
    use std::io::BufRead;
    let began = Instant::now();
    let mut server = std::process::Command::new(env!("CARGO_BIN_EXE_quell"))
        .args(["--data".as_ref(), dir.join("idle").as_os_str(), "serve".as_ref()])
        .args(["--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let out = std::io::BufReader::new(server.stdout.take().expect("it is piped"));
    let told = out.lines().map_while(Result::ok).find_map(|line| {
        let at = line.find("http://")?;
        line[at..].split([' ', ';']).next().map(str::to_owned)
    });
    let url = format!("{}/readyz", told.expect("it says where").trim_end_matches('/'));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("{:<34} {:>10.1} ms", "`quell serve` is ready after", began.elapsed().as_secs_f64() * 1000.0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("{:<34} {:>10.1} MiB", "`quell serve` idle, RSS", rss_mib(&server.id().to_string()));
    let _ = server.kill();
    let _ = server.wait();
}

async fn house(dir: &std::path::Path, stub: SocketAddr) -> Arc<Service> {
    for (name, text) in [("specs/stub.yaml", CONNECTOR), ("playbooks/five.yaml", PLAYBOOK)] {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        std::fs::write(path, text).expect("it is written");
    }
    let text = format!(
        "data: data\nplaybooks: playbooks\nconnector_specs: specs\nconnectors:\n  stub: {{ use: stub, url: \"http://{stub}\" }}\n"
    );
    let settings = Settings::read("quell.yaml", text.as_bytes(), dir).expect("the settings are right");
    let house = open(&settings, settings.listen).await.expect("it opens");
    let service = Arc::clone(&house.service);
    std::mem::forget(house);
    service
}

async fn serve_stub() -> SocketAddr {
    let routes = Router::new().route(
        "/look/{name}",
        get(|| async { ([("content-type", "application/json")], "{\"owner\":\"priya\"}") }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn stub_ceiling(stub: SocketAddr) -> f64 {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let began = Instant::now();
    let calls = 10_000;
    stream::iter(0..calls)
        .map(|_| async {
            client
                .get(format!("http://{stub}/look/x"))
                .send()
                .await
                .expect("it answers")
                .bytes()
                .await
                .expect("it is whole")
        })
        .buffer_unordered(64)
        .for_each(|_| async {})
        .await;
    f64::from(calls) / began.elapsed().as_secs_f64()
}

/// Appends a second that the disk makes durable when so many share one sync, each
/// as large as what a step writes.
fn disk_rate(dir: &std::path::Path, group: usize) -> f64 {
    use std::io::{Seek, Write};
    let mut file = std::fs::File::create(dir.join("sync")).expect("it is made");
    let bytes = vec![1; 700 * group];
    file.write_all(&bytes).expect("it is written");
    file.sync_all().expect("it is synced");
    let began = Instant::now();
    let syncs = 1000;
    for _ in 0..syncs {
        file.rewind().expect("it rewinds");
        file.write_all(&bytes).expect("it is written");
        file.sync_data().expect("it is synced");
    }
    (syncs * group) as f64 / began.elapsed().as_secs_f64()
}

fn disk_bytes(dir: &std::path::Path) -> u64 {
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

fn rss_mib(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
