//! Complete durable runs a second: five steps, two of them HTTP calls to a stub,
//! at 1, 16 and 64 at once; beside what the disk and the stub can do at most,
//! measured in the same run. `cargo bench --bench runs`.

#[path = "house/mod.rs"]
mod house;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use house::{disk_bytes, follow, house, one, restarted, rss_mib, serve_stub};

/// Runs at each level; enough for a p99 that means something.
const RUNS: usize = 6000;

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
