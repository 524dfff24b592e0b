//! The outside world: a system that does what it is asked, and keeps books of
//! its own of all that it was asked. It may kill who calls it while it works.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a large answer: more than the journal keeps inside its database.
const LARGE_BYTES: usize = 300_000;

/// When a peer kills who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request is there, and gets lost.
    Dropped,
    /// The request is there; it is carried out.
    Taken,
    /// It was carried out; nothing was answered.
    Done,
    /// Half of the answer has left.
    Half,
    /// It was carried out, and nobody is killed: the connection is cut.
    Cut,
}

pub const MOMENTS: [Moment; 4] = [Moment::Dropped, Moment::Taken, Moment::Done, Moment::Half];

/// Holds the server's process, and kills it when a peer has been asked so often.
#[derive(Default)]
pub struct Executioner {
    pub child: Mutex<Option<Child>>,
    pub plan: Mutex<Option<(Moment, u64)>>,
    /// Connections that peers have open.
    pub open: Arc<AtomicUsize>,
}

/// Counts as an open connection until it is dropped.
pub struct Counted<T>(pub T, Arc<AtomicUsize>);

impl<T> Counted<T> {
    pub fn new(one: T, open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(one, Arc::clone(open))
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A door that counts who is inside.
struct Door(TcpListener, Arc<AtomicUsize>);

impl axum::serve::Listener for Door {
    type Io = Counted<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, from)) = self.0.accept().await {
                return (Counted::new(stream, &self.1), from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Executioner {
    pub fn kill(&self) {
        if let Some(child) = self.child.lock().as_mut() {
            let _ = child.kill();
        }
    }

    /// The moment at which this call kills its caller, if it does.
    pub fn fate(&self) -> Option<Moment> {
        let mut plan = self.plan.lock();
        let (moment, left) = plan.as_mut()?;
        *left = left.saturating_sub(1);
        let moment = *moment;
        if *left > 0 {
            return None;
        }
        *plan = None;
        Some(moment)
    }
}

/// One effect: the run that wanted it, and what it is.
pub type What = (String, String);

/// An effect that can be asked for.
pub struct Marked {
    pub what: What,
    /// What the peer calls it.
    pub number: usize,
    /// Looks that do not show it yet.
    pub unseen: u32,
}

/// The peer's own books.
#[derive(Default)]
pub struct Books {
    /// Every request, as it came.
    pub asked: Vec<String>,
    /// Effects that happen as often as they are asked for.
    pub once: BTreeMap<What, u32>,
    /// Effects that happen once for each key.
    pub keyed: BTreeMap<What, BTreeSet<String>>,
    /// Effects that can be asked for, by the mark that they came with.
    pub marked: BTreeMap<String, Marked>,
    /// How many looks do not show such an effect yet; none = now so, now so.
    pub lag: Option<u32>,
    /// Who is suspended.
    pub suspended: BTreeMap<String, bool>,
    /// What was read, how often.
    pub read: BTreeMap<What, u32>,
    /// Writes to accounts.
    pub writes: BTreeMap<String, u32>,
}

/// A running peer.
#[derive(Clone)]
pub struct Peer {
    pub address: SocketAddr,
    pub books: Arc<Mutex<Books>>,
}

#[derive(Clone)]
struct Shared {
    books: Arc<Mutex<Books>>,
    executioner: Arc<Executioner>,
}

impl Peer {
    pub async fn start(executioner: &Arc<Executioner>) -> Self {
        let books = Arc::new(Mutex::new(Books::default()));
        let shared = Shared { books: Arc::clone(&books), executioner: Arc::clone(executioner) };
        let routes = Router::new().fallback(asked).with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let door = Door(listener, Arc::clone(&executioner.open));
        tokio::spawn(async move { axum::serve(door, routes).await });
        Self { address, books }
    }
}

async fn asked(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path() == "/" {
        return StatusCode::NO_CONTENT.into_response();
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let fate = shared.executioner.fate();
    shared.books.lock().asked.push(format!("{method} {uri} {key} {}", String::from_utf8_lossy(&body)));
    if matches!(fate, Some(Moment::Dropped | Moment::Taken)) {
        shared.executioner.kill();
    }
    if fate == Some(Moment::Dropped) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let (status, answer) = shared.books.lock().carry_out(&method, &uri, key, &body);
    if fate == Some(Moment::Done) {
        shared.executioner.kill();
    }
    if fate == Some(Moment::Cut) {
        let cut = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
        return (status, Body::from_stream(cut)).into_response();
    }
    let text = answer.to_string();
    let head = (status, [("content-type", "application/json")]);
    if fate != Some(Moment::Half) {
        return (head.0, head.1, text).into_response();
    }
    let half = Bytes::from(text[..text.len() / 2].to_owned());
    let executioner = shared.executioner;
    let rest = futures_util::stream::once(async move {
        // What was written before has left by now, or leaves with the process dead.
        tokio::task::yield_now().await;
        executioner.kill();
        Err::<Bytes, _>(std::io::Error::other("cut"))
    });
    let parts = futures_util::stream::iter([Ok::<_, std::io::Error>(half)]).chain(rest);
    (head.0, head.1, Body::from_stream(parts)).into_response()
}

impl Books {
    fn carry_out(&mut self, method: &Method, uri: &Uri, key: String, body: &[u8]) -> (StatusCode, Value) {
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        let what = |run: &str, what: &str| (run.to_owned(), what.to_owned());
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["people", name]) => {
                let active = !self.suspended.get(*name).copied().unwrap_or(false);
                (StatusCode::OK, json!({ "count": 1, "id": name, "name": name, "active": active }))
            }
            ("PUT", ["people", name, "active"]) => {
                let wanted: Value = serde_json::from_slice(body).unwrap_or_default();
                *self.writes.entry((*name).to_owned()).or_default() += 1;
                self.suspended.insert((*name).to_owned(), wanted["active"] == json!(false));
                (StatusCode::OK, json!({}))
            }
            ("POST", ["keyed", run, name]) => {
                self.keyed.entry(what(run, name)).or_default().insert(key);
                (StatusCode::OK, json!({ "done": true }))
            }
            ("POST", ["once", run, name]) => {
                *self.once.entry(what(run, name)).or_default() += 1;
                (StatusCode::OK, json!({ "done": true }))
            }
            ("POST", ["marked", run, name]) => {
                let wanted: Value = serde_json::from_slice(body).unwrap_or_default();
                let mark = wanted["mark"].as_str().unwrap_or_default().to_owned();
                *self.once.entry(what(run, name)).or_default() += 1;
                let lag = self.lag.unwrap_or(self.asked.len() as u32 % 3);
                let number = self.marked.len() + 1;
                self.marked.entry(mark).or_insert(Marked { what: what(run, name), number, unseen: lag });
                (StatusCode::OK, json!({ "number": number }))
            }
            ("GET", ["marked"]) => {
                let query = reqwest::Url::parse(&format!("http://peer{uri}")).expect("an address");
                let mark = query.query_pairs().next().map(|(_, mark)| mark.into_owned()).unwrap_or_default();
                let seen = self.marked.get(&mark).filter(|marked| marked.unseen == 0);
                let found: Vec<usize> = seen.into_iter().map(|marked| marked.number).collect();
                if let Some(marked) = self.marked.get_mut(&mark) {
                    marked.unseen = marked.unseen.saturating_sub(1);
                }
                (StatusCode::OK, json!({ "found": found }))
            }
            ("POST", ["refused", ..]) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "why": "no" })),
            ("GET", ["read", run, name]) => {
                let turns = self.read.entry(what(run, name)).or_default();
                *turns += 1;
                let large = if *name == "large" { "x".repeat(LARGE_BYTES) } else { String::new() };
                (StatusCode::OK, json!({ "turns": turns, "large": large, "run": run }))
            }
            _ => (StatusCode::NOT_FOUND, json!({})),
        }
    }
}
