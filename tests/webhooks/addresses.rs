//! Who is wrong too often is refused unread, by address; and locks nobody else out.
//! One house that is reached from several addresses, as it would be from a network.

use std::net::SocketAddr;

use axum::Extension;
use axum::extract::ConnectInfo;
use quell::app::house::{House, open};
use quell::settings::Settings;
use quell::web::limits::TrafficLimits;
use quell::web::server::routes;
use serde_json::json;
use tokio::net::TcpListener;

use crate::case::Case;
use crate::house::{SECRETS, now};
use crate::wire::{Answer, send};

/// Where the house is reached by somebody who has this address.
async fn as_from(house: &House, address: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let here = listener.local_addr().expect("an address");
    let peer = SocketAddr::new(address.parse().expect("an address"), 40_000);
    let routes =
        routes(house.web.clone(), TrafficLimits::for_files(1024)).layer(Extension(ConnectInfo(peer)));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    here
}

async fn deliver(to: SocketAddr, id: usize, signed: &str) -> Answer {
    let case = json!({ "case": "address", "id": format!("msg_{id}"), "signed": signed, "status": 202, "body": format!("{{\"title\":\"{id}\"}}") });
    let case: Case = serde_json::from_value(case).expect("a case");
    send(to, &case.request("standard", now())).await
}

/// The statuses of so many forged deliveries.
async fn forge(to: SocketAddr, count: usize) -> (usize, Vec<Answer>) {
    let mut unread = Vec::new();
    let mut read = 0;
    for id in 0..count {
        let answer = deliver(to, id, "other").await;
        match answer.status {
            401 => read += 1,
            _ => unread.push(answer),
        }
    }
    (read, unread)
}

#[tokio::test]
async fn a_forger_is_refused_unread_and_locks_no_sender_out() {
    let dir = tempfile::tempdir().expect("there is room");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, SECRETS[0]).expect("it is written");
    std::fs::create_dir(dir.path().join("playbooks")).expect("it is made");
    let text = format!(
        "data: data\nplaybooks: playbooks\nsources:\n  standard: {{ use: generic, auth: {{ standard_webhooks: \"${{file:{}}}\" }}, limits: {{ shared: 10.9.0.0/16 }} }}\n",
        secret.display()
    );
    let settings = Settings::read("quell.yaml", text.as_bytes(), dir.path()).expect("it is right");
    let house = open(&settings, SocketAddr::from(([127, 0, 0, 1], 1))).await.expect("it opens");
    let forger = as_from(&house, "203.0.113.66").await;
    let (read, unread) = forge(forger, 60).await;
    assert!((20..=30).contains(&read), "{read} of 60 were read");
    for answer in &unread {
        assert_eq!((answer.status, answer.code().as_str()), (429, "too-many-wrong"), "{}", answer.json());
        let wait: u64 =
            answer.header("retry-after").and_then(|wait| wait.parse().ok()).expect("it says when");
        assert!((1..=3).contains(&wait), "{wait}");
    }
    // Not even a right one is read from there, so that nothing can be guessed. Asked as
    // soon as one more was read: the next is three seconds away.
    while deliver(forger, 61, "other").await.status != 401 {}
    assert_eq!(deliver(forger, 1, "first").await.status, 429);
    let sender = as_from(&house, "198.51.100.7").await;
    assert_eq!(deliver(sender, 1, "first").await.status, 202, "another address");
    // Whoever forges from where the sender is, or from behind a proxy that is named.
    let named = as_from(&house, "10.9.1.2").await;
    for shared in [sender, named] {
        assert_eq!(forge(shared, 40).await.0, 40, "all are read");
        assert_eq!(deliver(shared, 2, "first").await.status, 202);
    }
    house.stop();
}
