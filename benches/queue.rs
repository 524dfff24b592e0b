//! How soon a critical alert is at work while low ones queue: from its delivery to
//! the first call to the system that its playbook asks. That system takes a second
//! for each answer, so that the queue stays long. `cargo bench --bench queue`, or
//! with lengths of the queue behind `--`.

#[path = "house/mod.rs"]
mod house;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path as Asked, State};
use axum::routing::get;
use futures_util::stream::{self, StreamExt};
use house::{CONNECTOR, rss_mib};
use quell::app::house::open;
use quell::domain::urgency::Urgency;
use quell::service::house::Service;
use quell::settings::Settings;
use serde_json::json;
use tokio::sync::mpsc;

/// Low alerts that wait, when nobody says.
const LEVELS: &[usize] = &[0, 1_000, 100_000];

/// Delivered at the same time while the queue is filled.
const AT_ONCE: usize = 64;

/// Critical alerts that are measured, one after the other.
const MEASURED: usize = 20;

/// How soon a critical alert must be at work, however many wait.
const AT_WORK_WITHIN: Duration = Duration::from_secs(5);

/// How long the system takes for an answer.
const SLOW: Duration = Duration::from_secs(1);

const PLAYBOOK: &str = "playbook: look\nversion: 1\ntitle: Look\nposture: overt\non: [ { alert: \"${ true }\" } ]\nsteps:\n  - { id: look, enrich: stub.look, with: { name: \"${ alert.title }\" } }\n";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let asked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let levels = if asked.is_empty() { LEVELS.to_vec() } else { asked };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    std::fs::create_dir_all("target").expect("it is made");
    for waiting in levels {
        let dir = tempfile::tempdir_in("target").expect("there is room");
        runtime.block_on(bench(dir.path(), waiting));
    }
}

async fn bench(dir: &Path, waiting: usize) {
    let (tell, mut calls) = mpsc::unbounded_channel();
    let service = house(dir, serve_slow(tell).await).await;
    let began = Instant::now();
    stream::iter(0..waiting)
        .map(|number| deliver(&service, format!("low-{number}"), 25))
        .buffer_unordered(AT_ONCE)
        .for_each(|()| async {})
        .await;
    let filled = began.elapsed().as_secs_f64();
    let mut times = Vec::with_capacity(MEASURED);
    for number in 0..MEASURED {
        let title = format!("critical-{number}");
        let began = Instant::now();
        deliver(&service, title.clone(), 95).await;
        while calls.recv().await.expect("the system is asked") != title {}
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let lengths = service.scheduler.queue_lengths();
    let low = lengths.iter().find(|(urgency, _)| *urgency == Urgency::Low).map_or(0, |(_, length)| *length);
    println!(
        "{waiting:>7} low alerts: accepted at {:>6.0}/s, {low:>6} wait; a critical one is at work after {:>6.1} ms (p50), {:>6.1} ms (the slowest of {MEASURED}); RSS {:.0} MiB",
        waiting as f64 / filled,
        times[MEASURED / 2].as_secs_f64() * 1000.0,
        times[MEASURED - 1].as_secs_f64() * 1000.0,
        rss_mib("self"),
    );
    assert!(times[MEASURED - 1] < AT_WORK_WITHIN, "a critical alert waited behind {waiting} low ones");
}

async fn deliver(service: &Arc<Service>, title: String, severity: u8) {
    let alert = json!({ "source_id": title, "title": title, "category": "network", "severity": severity });
    service.ingest("open", "bench", None, alert.to_string().as_bytes()).await.expect("it is taken");
}

async fn house(dir: &Path, stub: SocketAddr) -> Arc<Service> {
    for (name, text) in [("specs/stub.yaml", CONNECTOR), ("playbooks/look.yaml", PLAYBOOK)] {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        std::fs::write(path, text).expect("it is written");
    }
    let text = format!(
        "data: data\nplaybooks: playbooks\nconnector_specs: specs\nsources:\n  open: {{ use: generic }}\nconnectors:\n  stub: {{ use: stub, url: \"http://{stub}\" }}\n"
    );
    let settings = Settings::read("quell.yaml", text.as_bytes(), dir).expect("the settings are right");
    let house = open(&settings, settings.listen).await.expect("it opens");
    let service = Arc::clone(&house.service);
    std::mem::forget(house);
    service
}

/// A system that tells whom it was asked for, and takes its time.
async fn serve_slow(tell: mpsc::UnboundedSender<String>) -> SocketAddr {
    async fn answer(
        State(tell): State<mpsc::UnboundedSender<String>>,
        Asked(name): Asked<String>,
    ) -> axum::Json<serde_json::Value> {
        let _ = tell.send(name);
        tokio::time::sleep(SLOW).await;
        axum::Json(json!({ "owner": "priya" }))
    }
    let routes = Router::new().route("/look/{name}", get(answer)).with_state(tell);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}
