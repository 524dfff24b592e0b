//! Alerts beside clients that take a place and give nothing: so many connections, on
//! every route, with and without a token, each sending a byte every few seconds and
//! connecting again when it is cut off. The same alerts without them, in the same run,
//! are the peer.
//!
//! ```text
//! cargo bench --bench slow                        1,000 of them, for half a minute
//! cargo bench --bench slow -- clients=100 alerts=50
//! ```

#[path = "house/mod.rs"]
mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use house::{Asked, ready, serve};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an alert may take to be acknowledged, of a hundred all but one.
const P99_MAX: Duration = Duration::from_millis(250);

/// Between two bytes of a slow client.
const BYTE_EVERY: Duration = Duration::from_secs(2);

/// Between two alerts.
const ALERT_EVERY: Duration = Duration::from_millis(20);

const SETTINGS: &str = "data: data\nplaybooks: playbooks\nsources:\n  open: { use: generic }\n";

fn main() {
    let asked = Asked::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    std::fs::create_dir_all("target").expect("it is made");
    let clients = asked.size("clients").unwrap_or(1000);
    runtime.block_on(slow(clients, asked.size("alerts").unwrap_or(1500)));
}

async fn slow(clients: usize, alerts: usize) {
    let dir = tempfile::tempdir_in("target").expect("there is room");
    std::fs::create_dir(dir.path().join("playbooks")).expect("it is made");
    std::fs::write(dir.path().join("quell.yaml"), SETTINGS).expect("it is written");
    let (mut child, base) = serve(dir.path(), &[]);
    ready(&base).await;
    let token = std::fs::read_to_string(dir.path().join("data/token")).expect("it is there");
    let alone = deliver(&base, "alone", alerts).await;

    let routes = routes(&base).await;
    let cut_off = Arc::new(AtomicUsize::new(0));
    let address = base.trim_start_matches("http://").to_owned();
    let mut holding = Vec::new();
    for number in 0..clients {
        let (method, path) = routes[number / 2 % routes.len()].clone();
        let bearer = (number % 2 == 0).then(|| format!("authorization: Bearer {}\r\n", token.trim()));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: quell\r\ncontent-type: application/json\r\n{}content-length: 1000\r\n\r\n",
            bearer.unwrap_or_default()
        );
        holding.push(tokio::spawn(hold(address.clone(), head, Arc::clone(&cut_off))));
    }
    // All of them are there before the first alert is.
    tokio::time::sleep(BYTE_EVERY).await;
    let beside = deliver(&base, "beside", alerts).await;
    holding.iter().for_each(tokio::task::JoinHandle::abort);
    let _ = child.kill();
    let _ = child.wait();

    let part = |times: &[Duration], of: usize| times[(times.len() * of / 100).min(times.len() - 1)];
    println!(
        "slow {clients} clients on {} routes, cut off {} times: alerts p50 {:?} p99 {:?} worst {:?}; without them p50 {:?} p99 {:?}",
        routes.len(),
        cut_off.load(Ordering::Relaxed),
        part(&beside, 50),
        part(&beside, 99),
        beside[beside.len() - 1],
        part(&alone, 50),
        part(&alone, 99),
    );
    assert!(part(&beside, 99) < P99_MAX, "alerts wait for slow clients");
}

/// How long each of so many alerts takes to be acknowledged, the quickest first: half
/// of them on one connection, half on a new one each.
async fn deliver(base: &str, name: &str, alerts: usize) -> Vec<Duration> {
    let url = format!("{base}/api/v1/alerts/open");
    let client = || Client::builder().no_proxy().build().expect("a client");
    let kept = client();
    let mut times = Vec::new();
    for number in 0..alerts {
        let sender = if number % 2 == 0 { kept.clone() } else { client() };
        let body = format!("{{\"source_id\":\"{name}-{number}\",\"title\":\"An alert\",\"severity\":40}}");
        let request = sender.post(&url).header("content-type", "application/json").body(body);
        let began = Instant::now();
        let answer = request.send().await.unwrap_or_else(|error| panic!("{name} {number}: {error}"));
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{name} {number}");
        times.push(began.elapsed());
        tokio::time::sleep(ALERT_EVERY).await;
    }
    times.sort();
    times
}

/// Every route that the server describes, and the pages that people open.
async fn routes(base: &str) -> Vec<(String, String)> {
    let client = Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{base}/api/v1/openapi.json")).send().await.expect("it answers");
    let described: Value = serde_json::from_slice(&answer.bytes().await.expect("whole")).expect("it is JSON");
    let paths = described["paths"].as_object().expect("paths");
    let mut routes = vec![
        ("GET".to_owned(), "/healthz".to_owned()),
        ("GET".to_owned(), "/q/x".to_owned()),
        ("POST".to_owned(), "/q/x".to_owned()),
        ("GET".to_owned(), "/nowhere".to_owned()),
    ];
    for (path, methods) in paths {
        let path: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { "open" } else { part }).collect();
        let methods = methods.as_object().expect("methods").keys();
        routes.extend(methods.map(|method| (method.to_uppercase(), path.join("/"))));
    }
    routes
}

/// A request whose body never ends, again and again.
async fn hold(address: String, head: String, cut_off: Arc<AtomicUsize>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await
            && stream.write_all(head.as_bytes()).await.is_ok()
        {
            let mut told = [0u8; 1024];
            loop {
                match tokio::time::timeout(BYTE_EVERY, stream.read(&mut told)).await {
                    // An answer came: what is sent further is taken or not.
                    Ok(Ok(read)) if read > 0 => {}
                    Ok(_) => break,
                    Err(_) if stream.write_all(b" ").await.is_err() => break,
                    Err(_) => {}
                }
            }
        }
        cut_off.fetch_add(1, Ordering::Relaxed);
        // Nobody hammers: this is about places that are held, not about a flood.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
