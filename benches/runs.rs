//! Complete durable runs a second: five steps, two of them HTTP calls to a stub,
//! at 1, 16 and 64 at once; as a user meets them (`api`: a real `quell serve`, asked
//! over HTTP by this process, each answer given at the end of its run) and without
//! the doors (`inside`: the same house in this process); beside what the disk and the
//! stub can do at most (`ceilings`), all measured in the same run.
//!
//! ```text
//! cargo bench --bench runs                     everything, at full size
//! cargo bench --bench runs -- api runs=600     parts: ceilings, inside, api
//! ```

#[path = "house/mod.rs"]
mod house;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use house::{
    Asked, cpu_seconds, disk_bytes, follow, house, house_files, one, ready, restarted, rss_mib, serve,
    serve_stub,
};
use reqwest::Client;
use serde_json::Value;

/// Runs at each level; enough for a p99 that means something.
const RUNS: usize = 6000;

/// How many runs are under way at once, level by level.
const AT_ONCE: [usize; 3] = [1, 16, 64];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(bench());
}

async fn bench() {
    let asked = Asked::read();
    let runs = asked.size("runs").unwrap_or(RUNS);
    std::fs::create_dir_all("target").expect("it is made");
    let dir = tempfile::tempdir_in("target").expect("there is room");
    let stub = serve_stub().await;
    if asked.wants("ceilings") {
        println!("{:<34} {:>10.0} calls/s", "the stub alone, 64 at once", stub_ceiling(stub).await);
        for group in [1, 64] {
            let name = format!("the disk alone, {group} to a sync");
            println!("{name:<34} {:>10.0} appends/s", disk_rate(dir.path(), group));
        }
        server(dir.path()).await;
    }
    if asked.wants("inside") {
        let dir = dir.path().join("inside");
        let service = house(&dir, stub).await;
        let ended = follow(&service);
        levels("inside", &dir, "self", runs, || one(&service, &ended)).await;
    }
    if asked.wants("api") {
        over_the_api(&dir.path().join("api"), stub, runs).await;
    }
}

/// Runs that are started over HTTP, and whose ends the answers tell.
async fn over_the_api(dir: &Path, stub: SocketAddr, runs: usize) {
    house_files(dir, stub);
    let (mut server, url) = serve(dir, &[]);
    ready(&url).await;
    let token = std::fs::read_to_string(dir.join("data/token")).expect("the server wrote one");
    let client = Client::builder().no_proxy().build().expect("a client");
    let request = client
        .post(format!("{url}/api/v1/playbooks/five/runs?wait=30s"))
        .bearer_auth(token.trim())
        .header("content-type", "application/json")
        .body("{}");
    levels("api", dir, &server.id().to_string(), runs, || async {
        let began = Instant::now();
        let answer = request.try_clone().expect("its body is in memory").send().await.expect("it answers");
        let run: Value =
            serde_json::from_slice(&answer.bytes().await.expect("it is whole")).expect("it is JSON");
        assert_eq!(run["end"], "succeeded", "{run}");
        began.elapsed()
    })
    .await;
    server.kill().expect("it ends");
    server.wait().expect("it ended");
}

/// So many runs at each level, and what they took of `process` and of the disk.
async fn levels<F: Future<Output = Duration>>(
    name: &str,
    dir: &Path,
    process: &str,
    runs: usize,
    one: impl Fn() -> F,
) {
    let (empty, mut all) = (disk_bytes(dir), 0);
    for at_once in AT_ONCE {
        let runs = if at_once == 1 { runs / 4 } else { runs };
        let (before, cpu, began) = (disk_bytes(dir), cpu_seconds(process), Instant::now());
        let mut times: Vec<Duration> =
            stream::iter(0..runs).map(|_| one()).buffer_unordered(at_once).collect().await;
        let took = began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        println!(
            "{name:<6} {at_once:>3} at once: {:>6.0} runs/s   p50 {:>6.2} ms   p99 {:>6.2} ms   {:>5.2} cores   {:>4.0} us CPU a run   {:>6} bytes a run   RSS {:.0} MiB",
            runs as f64 / took,
            at(0.5),
            at(0.99),
            (cpu_seconds(process) - cpu) / took,
            (cpu_seconds(process) - cpu) * 1e6 / runs as f64,
            disk_bytes(dir).saturating_sub(before) / runs as u64,
            rss_mib(process)
        );
        all += runs as u64;
    }
    let bytes = disk_bytes(dir).saturating_sub(empty) / all;
    println!("{name:<6} on disk, over all of them: {bytes} bytes a run");
}

/// A server that was just installed: how soon it takes alerts, and what it takes of
/// memory while nothing happens.
async fn server(dir: &std::path::Path) {
    let (after, rss) = restarted(dir, &["--data", "idle"]).await;
    println!("{:<34} {:>10.1} ms", "`quell serve` is ready after", after * 1000.0);
    println!("{:<34} {:>10.1} MiB", "`quell serve` idle, RSS", rss);
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
