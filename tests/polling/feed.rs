//! A list of events with a cursor, as vendors offer one.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// How the list answers once.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    /// A status, with what it says of coming back.
    Says(u16, Option<u64>),
    /// Not at all.
    Hangs,
    /// What it answered last, once more.
    Repeats,
    /// A page whose cursor is where the page began.
    StandsStill,
    /// A page that leads back to the beginning, wherever it does not begin there.
    Circles,
    /// No JSON.
    Babbles,
}

#[derive(Default)]
struct Kept {
    events: Vec<Value>,
    moods: VecDeque<Mood>,
    /// Where each request that was let in began.
    asked: Vec<String>,
    last: Option<Value>,
    unlettered: usize,
    /// Events of one page where that is not [`PAGE`].
    page: Option<usize>,
    /// Events of one page where the list counts by whole seconds.
    by_second: Option<usize>,
}

/// The list, and what was asked of it.
#[derive(Clone)]
pub struct Feed {
    kept: Arc<Mutex<Kept>>,
    pub address: SocketAddr,
}

/// Events of one page.
pub const PAGE: usize = 300;

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

impl Feed {
    pub async fn open() -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let routes = Router::new().route("/events", get(events)).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { kept, address }
    }

    /// Puts more events at the end of the list.
    pub fn grow(&self, count: usize) {
        let mut kept = self.kept.lock();
        for _ in 0..count {
            let number = kept.events.len();
            kept.events.push(json!({ "source_id": format!("ev-{number}"), "title": format!("Event {number}"), "severity": 60 }));
        }
    }

    /// Puts this at the end of the list.
    pub fn put(&self, event: Value) {
        self.kept.lock().events.push(event);
    }

    /// The next answers, each once; then it answers well.
    pub fn next(&self, moods: &[Mood]) {
        self.kept.lock().moods.extend(moods);
    }

    /// From now on all of it is one page.
    pub fn whole(&self) {
        self.kept.lock().page = Some(usize::MAX / 2);
    }

    /// From now on a page begins with the first event of its second, and holds so many.
    pub fn count_by_seconds(&self, page: usize) {
        self.kept.lock().by_second = Some(page);
    }

    /// Moods that were not shown yet.
    pub fn moods_left(&self) -> usize {
        self.kept.lock().moods.len()
    }

    pub fn asked(&self) -> Vec<String> {
        self.kept.lock().asked.clone()
    }

    /// Requests that brought no secret.
    pub fn unlettered(&self) -> usize {
        self.kept.lock().unlettered
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    since: String,
}

async fn events(
    State(kept): State<Arc<Mutex<Kept>>>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let mood = {
        let mut kept = kept.lock();
        if headers.get("authorization").is_none_or(|token| token != format!("Bearer {TOKEN}").as_str()) {
            kept.unlettered += 1;
            return StatusCode::UNAUTHORIZED.into_response();
        }
        kept.asked.push(asked.since.clone());
        kept.moods.pop_front()
    };
    match mood {
        Some(Mood::Says(status, after)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let wait = after.map(|after| [("retry-after", after.to_string())]);
            return match wait {
                Some(wait) => (status, wait, "no").into_response(),
                None => (status, "no").into_response(),
            };
        }
        Some(Mood::Hangs) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        Some(Mood::Babbles) => return "<html>welcome</html>".into_response(),
        Some(Mood::Repeats) => {
            let last = kept.lock().last.clone();
            if let Some(last) = last {
                return axum::Json(last).into_response();
            }
        }
        Some(Mood::StandsStill | Mood::Circles) | None => {}
    }
    let mut kept = kept.lock();
    if let Some(most) = kept.by_second {
        let second = |event: &Value| event["second"].as_u64().unwrap_or(0);
        let since: u64 = asked.since.strip_prefix('c').and_then(|since| since.parse().ok()).unwrap_or(0);
        let page: Vec<Value> =
            kept.events.iter().filter(|event| second(event) >= since).take(most).cloned().collect();
        let next = page.last().map_or(since, second);
        return axum::Json(json!({ "events": page, "next": format!("c{next}") })).into_response();
    }
    let from: usize = asked.since.strip_prefix('c').and_then(|since| since.parse().ok()).unwrap_or(0);
    let to = (from + kept.page.unwrap_or(PAGE)).min(kept.events.len());
    let page = kept.events.get(from..to).unwrap_or_default().to_vec();
    let next = match mood {
        Some(Mood::StandsStill) => asked.since,
        Some(Mood::Circles) if from > 0 => "c0".to_owned(),
        _ => format!("c{to}"),
    };
    let answer = json!({ "events": page, "next": next });
    kept.last = Some(answer.clone());
    axum::Json(answer).into_response()
}
