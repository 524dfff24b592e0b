//! A lab in a directory of its own, and plain requests to it.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Client, Method};
use serde_json::Value;

use crate::lab::range::{Lab, LabOptions};

pub const SEED: u64 = 42;

/// Removed when dropped.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("quell-lab-{}", ulid::Ulid::new())))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn now() -> DateTime<Utc> {
    "2026-09-14T08:00:00Z".parse().expect("a real time")
}

pub fn options(dir: &Dir) -> LabOptions {
    LabOptions { data: dir.0.clone(), seed: SEED, now: now(), pace: 0.0 }
}

pub async fn lab(dir: &Dir) -> Lab {
    Lab::start(options(dir)).await.expect("the lab starts")
}

pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

/// A request; the body is JSON or nothing.
pub async fn ask(
    method: &str,
    url: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Reply {
    let method: Method = method.parse().expect("a method");
    let mut request = Client::builder().no_proxy().build().expect("a client").request(method, url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/scim+json").body(body.to_string());
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = serde_json::from_str(&response.text().await.expect("a body")).unwrap_or(Value::Null);
    Reply { status, headers, body }
}

pub async fn get(url: &str, token: &str) -> Reply {
    ask("GET", url, Some(token), &[], None).await
}

/// Waits until something holds, or fails after ten seconds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for: {what}");
}

/// Sends one plain mail through the lab's server, with another's client.
pub async fn send_mail(lab: &Lab, to: &[&str], subject: &str, text: &str) {
    use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
    let mut mail = Message::builder()
        .from("Quell <quell@example.com>".parse().expect("an address"))
        .message_id(Some(format!("<{subject}@test>")))
        .subject(subject);
    for to in to {
        mail = mail.to(to.parse().expect("an address"));
    }
    let mail = mail.body(text.to_owned()).expect("a mail");
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(lab.smtp_addr.port())
        .build();
    let sent = transport.send(mail).await.expect("the server takes it");
    assert!(sent.is_positive());
}
