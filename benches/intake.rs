//! Alerts in: how many a second are accepted durably over HTTP, what reading one
//! costs, and what a storm does. Peers are measured beside them in the same run: a
//! server that keeps nothing, the disk alone, a JSON parser.
//!
//! ```text
//! cargo bench --bench intake                              everything, at full size
//! cargo bench --bench intake -- burst alerts=10000 keys=100
//!   parts: read, matching, doors, burst, killed       sizes: alerts=, keys=, senders=
//! ```

#[path = "house/mod.rs"]
mod house;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use house::{Asked, ready, serve};
use parking_lot::{Mutex, RwLock};
use quell::domain::expr::Expr;
use quell::domain::expr::scope::{Root, Scope};
use quell::domain::id::AlertId;
use quell::domain::time::Timestamp;
use quell::domain::trigger::TriggerIndex;
use quell::intake::normalise::normalise;
use quell::intake::shipped::shipped;
use quell::intake::source::SourceSpec;
use reqwest::Client;
use serde_json::{Value, json};
use ulid::Ulid;

/// What the server may take of memory at its peak, in MiB, whatever storms.
const RSS_MIB_MAX: f64 = 512.0;

/// How long each payload is read again and again.
const READ_FOR: Duration = Duration::from_millis(700);

/// How long a sender waits before it sends again what was not acknowledged.
const AGAIN: Duration = Duration::from_millis(50);

/// Payloads that lie in `tests/alerts`, with the source that reads them.
const SAMPLES: &[(&str, &str)] = &[
    ("generic", "generic"),
    ("alertmanager", "alertmanager-firing-group"),
    ("okta-system-log", "okta-system-log-page"),
    ("guardduty", "guardduty-high"),
    ("msgraph-alerts-v2", "msgraph-alertv2-anonymous-login"),
    ("defender-xdr", "defender-xdr-incident"),
    ("crowdstrike", "crowdstrike-detection-flat"),
    ("netskope", "netskope-dlp"),
    ("github-webhook", "github-webhook-secret-scanning-alert"),
    ("ocsf-detection-finding", "ocsf-2004-sechub-guardduty"),
];

/// How many playbooks there are where triggers are matched.
const PLAYBOOKS: [usize; 3] = [10, 100, 1000];

/// A playbook for each alert of a storm; those at the doors are below its severity.
const PLAYBOOK: &str = "playbook: look\nversion: 1\ntitle: Look\nposture: overt\non: [ { alert: \"${ alert.severity >= 60 }\" } ]\nsteps:\n  - { id: sum, set: { two: \"${ 1 + 1 }\" } }\n";

const SETTINGS: &str = "data: data\nplaybooks: playbooks\nsources:\n  open: { use: generic }\n";

fn main() {
    let asked = Asked::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    std::fs::create_dir_all("target").expect("it is made");
    if asked.wants("read") {
        SAMPLES.iter().for_each(|(source, sample)| read(source, sample));
    }
    if asked.wants("matching") {
        PLAYBOOKS.into_iter().for_each(matching);
    }
    if asked.wants("doors") {
        runtime.block_on(doors(asked.size("alerts").unwrap_or(20_000)));
    }
    for (part, killed) in [("burst", false), ("killed", true)] {
        if asked.wants(part) {
            runtime.block_on(burst(
                asked.size("alerts").unwrap_or(100_000),
                asked.size("keys").unwrap_or(1000),
                asked.size("senders").unwrap_or(64),
                killed,
            ));
        }
    }
}

/// One payload to its alerts, again and again, on one core.
fn read(source: &str, sample: &str) {
    let spec = SourceSpec::read(source, shipped(source).expect("it is shipped")).expect("it is right");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/alerts/{sample}.json"));
    let body = std::fs::read(path).expect("a sample");
    let now = Timestamp::from_millis(1_795_427_682_123);
    let mut number = 0;
    let mut new_id = || {
        number += 1;
        AlertId::new(Ulid::from_parts(1, number))
    };
    let (reads, alerts) = rate(|| {
        let read = normalise(&spec, source, black_box(&body), None, now, &mut new_id);
        black_box(read.expect("it is read")).len()
    });
    let (parses, _) = rate(|| {
        black_box(serde_json::from_slice::<Value>(black_box(&body)).expect("it is JSON"));
        1
    });
    println!(
        "read {source:<24} {:>6} bytes: {alerts:>8.0} alerts/s on a core; a JSON parser alone is {:>5.1} times as fast",
        body.len(),
        parses / reads,
    );
}

/// How often a second it is done, and how many it gives a second.
fn rate(mut work: impl FnMut() -> usize) -> (f64, f64) {
    let (mut times, mut given) = (0u32, 0usize);
    let began = Instant::now();
    while began.elapsed() < READ_FOR {
        given += work();
        times += 1;
    }
    let took = began.elapsed().as_secs_f64();
    (f64::from(times) / took, given as f64 / took)
}

/// Which of so many triggers want an alert, by the index and by asking each; both say the same.
fn matching(playbooks: usize) {
    let triggers: Vec<Expr> = (0..playbooks).map(trigger).collect();
    let named: Vec<String> = (0..playbooks).map(|number| format!("playbook-{number}")).collect();
    let index = TriggerIndex::new(named.iter().map(String::as_str).zip(&triggers));
    let alerts: Vec<Value> = (0..100).map(|number| normalised(number * playbooks / 100, number)).collect();
    let mut held = 0;
    for alert in &alerts {
        let root = Root::from(alert);
        let scope = Scope::new().with_root("alert", &root);
        let found: Vec<usize> = index.decide(alert, &scope).into_iter().map(|(place, _)| place).collect();
        let each =
            triggers.iter().enumerate().filter(|(_, trigger)| trigger.eval_bool(&scope).unwrap_or(true));
        assert_eq!(found, each.map(|(place, _)| place).collect::<Vec<_>>());
        held += found.len();
    }
    let mut next = 0;
    let mut asked = |decide: &dyn Fn(&Value, &Scope<'_>) -> usize| {
        next += 1;
        let alert = &alerts[next % alerts.len()];
        let root = Root::from(alert);
        black_box(decide(alert, &Scope::new().with_root("alert", &root)));
        1
    };
    let (by_index, _) = rate(|| asked(&|alert, scope| index.decide(alert, scope).len()));
    let (one_by_one, _) = rate(|| {
        asked(&|_, scope| triggers.iter().filter(|trigger| trigger.eval_bool(scope).unwrap_or(true)).count())
    });
    println!(
        "matching {playbooks:>5} playbooks: {by_index:>8.0} alerts/s on a core, of which each is wanted by {:.2}; asking each of them {one_by_one:>8.0}/s, {:.1} times as slow",
        held as f64 / alerts.len() as f64,
        by_index / one_by_one,
    );
}

/// One of the sorts of triggers that people write.
fn trigger(number: usize) -> Expr {
    let text = match number % 6 {
        0 => format!("alert.rule.name == \"Rule {number}\""),
        1 => format!("alert.source == \"source-{}\" && alert.severity >= 60", number % 40),
        2 => format!("alert.category == \"dlp\" && alert.rule.id == \"r-{number}\""),
        3 => format!("alert.severity >= 90 && alert.user.email.endsWith(\"@unit-{number}.example.com\")"),
        4 => format!("alert.user.email.startsWith(\"svc-{number}\")"),
        _ => format!(
            "alert.rule.name in [\"Rule {number}\", \"Rule {}\"] && size(alert.objects) > 0",
            number + 6
        ),
    };
    Expr::parse(&text).expect("it reads")
}

/// An alert that a few of them may want.
fn normalised(number: usize, nth: usize) -> Value {
    let payload = json!({
        "source_id": nth, "title": "Upload", "category": "dlp", "severity": 50 + nth % 50,
        "rule": { "id": format!("r-{number}"), "name": format!("Rule {number}") },
        "user": { "email": format!("svc-{nth}@unit-{number}.example.com") },
        "objects": [{ "name": "forecast.xlsx" }],
    });
    let spec = SourceSpec::read("generic", shipped("generic").expect("it is shipped")).expect("it is right");
    let now = Timestamp::from_millis(1_795_427_682_123);
    let mut new_id = || AlertId::new(Ulid::from_parts(1, nth as u128));
    let source = format!("source-{}", nth % 40);
    let alerts = normalise(&spec, &source, payload.to_string().as_bytes(), None, now, &mut new_id);
    serde_json::to_value(&alerts.expect("it is read")[0]).expect("it is JSON")
}

/// Alerts a second that a real server has made durable before it answers, by so many
/// senders that keep their connections; beside it a server that keeps nothing.
async fn doors(alerts: usize) {
    let nothing = serve_nothing().await;
    for senders in [1, 16, 64] {
        let count = if senders == 1 { alerts.div_ceil(5) } else { alerts };
        let dir = laid_out();
        let server = Server::start(dir.path()).await;
        let sent =
            storm(&server.base, count, senders, |number| alert(number, &format!("door-{number}"), 40)).await;
        assert_eq!(sent.acknowledged.len(), count, "each is an alert of its own");
        let peer = Arc::new(RwLock::new(nothing.clone()));
        let bare = storm(&peer, count, senders, |number| alert(number, &format!("door-{number}"), 40)).await;
        let synced = syncs(dir.path());
        println!(
            "doors {senders:>3} senders: {:>7.0} alerts/s   {}   RSS {:.0} MiB; a server that keeps nothing {:>7.0}/s ({:.2} of it); the disk alone syncs {synced:>6.0} times a second ({:.1} alerts a sync of that)",
            sent.rate(),
            sent.times(),
            server.peak_mib(),
            bare.rate(),
            sent.rate() / bare.rate(),
            sent.rate() / synced,
        );
    }
}

/// Many alerts about few findings, from many senders, each of which sends again what
/// was not acknowledged. `killed`: the server dies half-way and is started again.
async fn burst(alerts: usize, keys: usize, senders: usize, killed: bool) {
    let dir = laid_out();
    let mut server = Server::start(dir.path()).await;
    let base = Arc::clone(&server.base);
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    let of = move |number: usize| {
        counted.store(number, Ordering::Relaxed);
        alert(number, &format!("key-{}", number % keys), 60)
    };
    let storming = tokio::spawn(async move { storm(&base, alerts, senders, of).await });
    let mut peak: f64 = 0.0;
    if killed {
        while done.load(Ordering::Relaxed) < alerts / 2 && !storming.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        peak = server.peak_mib();
        server.killed(dir.path()).await;
    }
    let sent = storming.await.expect("they all end");
    peak = peak.max(server.peak_mib());
    let stored: BTreeSet<String> = server.all("alerts").await.into_iter().collect();
    let lost = sent.acknowledged.difference(&stored).count();
    let incidents = server.all("incidents").await.len();
    println!(
        "{} {alerts} alerts about {keys} findings from {senders} senders: {:>7.0} alerts/s   {}   {incidents} incidents   {lost} lost   {} sent again   peak RSS {peak:.0} MiB",
        if killed { "killed" } else { "burst " },
        sent.rate(),
        sent.times(),
        sent.again,
    );
    assert_eq!(lost, 0, "what was acknowledged is there");
    assert_eq!(incidents, keys.min(alerts), "one incident for each finding");
    assert!(peak < RSS_MIB_MAX, "the server took {peak:.0} MiB");
}

fn alert(number: usize, key: &str, severity: u8) -> String {
    json!({
        "source_id": key,
        "title": format!("Upload of {key} to a personal account"),
        "category": "dlp",
        "severity": severity,
        "rule": { "id": "r-7", "name": "Personal upload" },
        "user": { "email": format!("{key}@example.com") },
        "host": { "name": format!("lt-{key}") },
        "dest": { "domain": "drive.example.net" },
        "objects": [{ "name": "forecast.xlsx", "bytes": 48_211 }],
        "number": number,
    })
    .to_string()
}

/// What came of a storm.
struct Sent {
    times: Vec<Duration>,
    took: Duration,
    /// The ids of the alerts that were acknowledged.
    acknowledged: BTreeSet<String>,
    /// Deliveries that were not acknowledged, and sent once more.
    again: usize,
}

impl Sent {
    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    fn times(&self) -> String {
        let at = |share: f64| {
            let place = (self.times.len().saturating_sub(1)) as f64 * share;
            self.times.get(place as usize).map_or(0.0, Duration::as_secs_f64) * 1000.0
        };
        format!("p50 {:>6.2} ms   p99 {:>7.2} ms", at(0.5), at(0.99))
    }
}

/// Sends so many alerts, each until it is acknowledged, by senders that keep their connections.
async fn storm(
    base: &Arc<RwLock<String>>,
    count: usize,
    senders: usize,
    of: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Sent {
    let (next, of) = (Arc::new(AtomicUsize::new(0)), Arc::new(of));
    let kept = Arc::new(Mutex::new((Vec::with_capacity(count), BTreeSet::new(), 0usize)));
    let kept_open = Client::builder().no_proxy().tcp_nodelay(true).pool_max_idle_per_host(senders);
    let client = kept_open.build().expect("a client");
    let began = Instant::now();
    let sending = (0..senders).map(|_| {
        let (base, next, of, kept) =
            (Arc::clone(base), Arc::clone(&next), Arc::clone(&of), Arc::clone(&kept));
        let client = client.clone();
        tokio::spawn(async move {
            let (mut times, mut ids, mut again) = (Vec::new(), BTreeSet::new(), 0);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    break;
                }
                let body = of(number);
                loop {
                    let began = Instant::now();
                    if let Some(found) = deliver(&client, &base, body.clone()).await {
                        times.push(began.elapsed());
                        ids.extend(found);
                        break;
                    }
                    again += 1;
                    tokio::time::sleep(AGAIN).await;
                }
            }
            let mut kept = kept.lock();
            kept.0.extend(times);
            kept.1.extend(ids);
            kept.2 += again;
        })
    });
    for sender in sending.collect::<Vec<_>>() {
        sender.await.expect("it ends");
    }
    let took = began.elapsed();
    let (mut times, acknowledged, again) = std::mem::take(&mut *kept.lock());
    times.sort_unstable();
    Sent { times, took, acknowledged, again }
}

/// The ids of the alerts, when the delivery was acknowledged.
async fn deliver(client: &Client, base: &RwLock<String>, body: String) -> Option<Vec<String>> {
    let url = format!("{}/api/v1/alerts/open", base.read());
    let request = client.post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.ok()?;
    if answer.status() != 202 {
        return None;
    }
    let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
    let alerts = answer["alerts"].as_array()?.iter();
    Some(alerts.filter_map(|alert| Some(alert["id"].as_str()?.to_owned())).collect())
}

fn laid_out() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in("target").expect("there is room");
    std::fs::create_dir(dir.path().join("playbooks")).expect("it is made");
    std::fs::write(dir.path().join("playbooks/look.yaml"), PLAYBOOK).expect("it is written");
    std::fs::write(dir.path().join("quell.yaml"), SETTINGS).expect("it is written");
    dir
}

/// A real server, which may die and come back at another address.
struct Server {
    child: Child,
    base: Arc<RwLock<String>>,
    token: String,
}

impl Server {
    async fn start(dir: &Path) -> Self {
        let (child, base) = serve(dir, &[]);
        ready(&base).await;
        let token = std::fs::read_to_string(dir.join("data/token")).expect("it is there").trim().to_owned();
        Self { child, base: Arc::new(RwLock::new(base)), token }
    }

    /// Ends as a power cut would end it, and is started again.
    async fn killed(&mut self, dir: &Path) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let (child, base) = serve(dir, &[]);
        ready(&base).await;
        self.child = child;
        *self.base.write() = base;
    }

    /// The most resident memory it ever took, in MiB.
    fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// The ids in a list of the API, page by page.
    async fn all(&self, family: &str) -> Vec<String> {
        let client = Client::builder().no_proxy().build().expect("a client");
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let url = format!("{}/api/v1/{family}?limit=500{after}", self.base.read());
            let answer = client.get(url).bearer_auth(&self.token).send().await.expect("it answers");
            let page: Value =
                serde_json::from_slice(&answer.bytes().await.expect("whole")).expect("it is JSON");
            let items = page["items"].as_array().expect("items").iter();
            ids.extend(items.filter_map(|item| Some(item["id"].as_str()?.to_owned())));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return ids,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that reads a delivery, keeps nothing, and answers as ours does.
async fn serve_nothing() -> String {
    async fn answer(body: axum::Json<Value>) -> (axum::http::StatusCode, axum::Json<Value>) {
        let id = body.0["source_id"].clone();
        (
            axum::http::StatusCode::ACCEPTED,
            axum::Json(json!({ "alerts": [{ "id": id, "duplicate": false }] })),
        )
    }
    let routes = Router::new().route("/api/v1/alerts/{source}", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

/// How often a second the disk syncs a record's worth of bytes, one after the other.
fn syncs(dir: &Path) -> f64 {
    use std::io::{Seek, Write};
    let mut file = std::fs::File::create(dir.join("sync")).expect("it is made");
    file.write_all(&[1; 1500]).expect("it is written");
    file.sync_all().expect("it is synced");
    let (began, times) = (Instant::now(), 500);
    for _ in 0..times {
        file.rewind().expect("it rewinds");
        file.write_all(&[1; 1500]).expect("it is written");
        file.sync_data().expect("it is synced");
    }
    f64::from(times) / began.elapsed().as_secs_f64()
}
