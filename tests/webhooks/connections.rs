//! Connections that say nothing, or ever less: they end, and keep nobody out.

use std::time::{Duration, Instant};

use quell::web::connections::files;
use quell::web::limits::CONNECTIONS_MAX;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::case::Case;
use crate::house::{House, now};
use crate::wire::send;

/// How long a silent connection may live, and some for a machine that is busy.
const SILENT: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(40);

async fn until_closed(mut stream: TcpStream, began: Instant) -> (String, Duration) {
    let mut told = Vec::new();
    let read = stream.read_to_end(&mut told);
    let _ = tokio::time::timeout(Duration::from_secs(60), read).await.expect("it is closed in the end");
    (String::from_utf8_lossy(&told).into_owned(), began.elapsed())
}

#[tokio::test]
async fn who_never_ends_a_head_or_never_begins_one_is_cut_off() {
    let house = House::start().await;
    let begun = [
        "",
        "GET /healthz HTTP/1.1\r\nhost: quell\r\nx-slow: ",
        // A whole request, and no next one.
        "GET /healthz HTTP/1.1\r\nhost: quell\r\n\r\n",
    ];
    let began = Instant::now();
    let mut waits = Vec::new();
    for begun in begun {
        let mut stream = TcpStream::connect(house.address()).await.expect("the server listens");
        stream.write_all(begun.as_bytes()).await.expect("it is sent");
        waits.push(tokio::spawn(until_closed(stream, began)));
    }
    // One byte a second is silence too.
    let trickling = TcpStream::connect(house.address()).await.expect("the server listens");
    let (mut read, mut write) = trickling.into_split();
    let trickle = tokio::spawn(async move {
        while write.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut told = Vec::new();
    let ended = tokio::time::timeout(SILENT.end, read.read_to_end(&mut told)).await;
    assert!(ended.is_ok(), "the trickle is never cut off");
    trickle.abort();
    for (wait, begun) in waits.into_iter().zip(begun) {
        let (told, lived) = wait.await.expect("it ends");
        assert!(SILENT.contains(&lived), "{begun:?} lived {lived:?}");
        assert_eq!(told.starts_with("HTTP/1.1 200"), begun.ends_with("\r\n\r\n"), "{begun:?}: {told}");
    }
}

#[tokio::test]
async fn more_silent_connections_than_there_are_places_keep_nobody_out() {
    assert!(files() > 2 * CONNECTIONS_MAX as u64, "this process may not have as many files open");
    let house = House::start().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX + 40 {
        silent.push(TcpStream::connect(house.address()).await.expect("it is queued"));
    }
    let case = json!({ "case": "genuine", "status": 202, "body": r#"{"title":"In between"}"# });
    let case: Case = serde_json::from_value(case).expect("a case");
    let began = Instant::now();
    let answer = send(house.address(), &case.request("bearer", now())).await;
    assert_eq!(answer.status, 202, "{}", answer.json());
    // Before the silent ones are cut off for their silence.
    assert!(began.elapsed() < SILENT.start, "{:?}", began.elapsed());
    drop(silent);
    assert_eq!(house.alerts().await.len(), 1);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_waits_for_no_silent_connection() {
    let mut house = House::start().await;
    let mut silent = Vec::new();
    for begun in ["", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nhost: quell\r\n\r\n"] {
        let mut stream = TcpStream::connect(house.address()).await.expect("the server listens");
        stream.write_all(begun.as_bytes()).await.expect("it is sent");
        silent.push(stream);
    }
    let mut one = [0u8; 1];
    silent[2].read_exact(&mut one).await.expect("it answers");
    let began = Instant::now();
    house.stop().await;
    assert!(began.elapsed() < SILENT.end, "{:?}", began.elapsed());
    println!("stopped after {:?}", began.elapsed());
}
