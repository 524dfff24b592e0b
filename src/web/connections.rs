//! Connections: how many there are at once, and which of them ends for the others.
//!
//! ```text
//!   accept ─ Waits (head, in time) ─ Reads (body, in time) ─ Works ─ Waits ─ …
//! ```
//! Who connects is always accepted. When there are as many connections as may be,
//! the one ends that has waited longest without a whole request, of the address that
//! has most of them. So who sends slowly, or nothing, keeps nobody out.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::service::error::ServiceError;
use crate::service::gate::counted_as;
use crate::web::admission::HoldingBody;
use crate::web::limits::{CONNECTIONS_MAX, NoPlace, TrafficLimits};
use crate::web::problem::Problem;
use crate::web::sending::SendingStream;

/// How long the head of a request may take, from when the last answer was given, or
/// the connection was made, to its end. A connection that waits for its next request
/// is closed after as long.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// How long the other side may take nothing of an answer. What the system keeps for
/// it is full by then, some hundred kilobytes.
const TAKEN_TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes that the head of a request may have, and what is read of a body at a time.
/// Tokens and certificates of a proxy need some thousand.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Refusals that are written to connections at once; further ones are just closed.
const REFUSALS_MAX: usize = 64;

/// How long a refused caller has to read why.
const REFUSAL_TIME: Duration = Duration::from_millis(500);

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionPhase {
    /// No whole head of a request came since then.
    Waits(Instant),
    /// A head came, and since then no whole body.
    Reads(Instant),
    /// A request is being answered.
    Works,
    /// It ends for the sake of others.
    Closed,
}

/// One connection, as those see it that decide about it.
pub struct Connection {
    phase: Mutex<ConnectionPhase>,
    closed: Notify,
}

impl Connection {
    /// One that was accepted now.
    pub(super) fn new(now: Instant) -> Self {
        Self { phase: Mutex::new(ConnectionPhase::Waits(now)), closed: Notify::new() }
    }

    /// Since when it takes a place and gives nothing whole, if it does.
    fn idle_since(&self) -> Option<Instant> {
        match *self.phase.lock() {
            ConnectionPhase::Waits(since) | ConnectionPhase::Reads(since) => Some(since),
            ConnectionPhase::Works | ConnectionPhase::Closed => None,
        }
    }

    /// Moves on, unless it is closed.
    fn becomes(&self, next: ConnectionPhase) -> bool {
        let mut phase = self.phase.lock();
        if *phase != ConnectionPhase::Closed {
            *phase = next;
        }
        *phase != ConnectionPhase::Closed
    }

    /// A whole request came: it is answered, and is not closed before. False when it
    /// was closed already.
    pub fn works(&self) -> bool {
        self.becomes(ConnectionPhase::Works)
    }

    /// Closes it, unless a request is being answered.
    pub(super) fn close(&self) -> bool {
        let mut phase = self.phase.lock();
        if matches!(*phase, ConnectionPhase::Works | ConnectionPhase::Closed) {
            return false;
        }
        *phase = ConnectionPhase::Closed;
        self.closed.notify_one();
        true
    }
}

/// All connections.
struct Connections {
    limits: TrafficLimits,
    held: Mutex<BTreeMap<IpAddr, Vec<Arc<Connection>>>>,
}

impl Connections {
    fn new(limits: TrafficLimits) -> Self {
        Self { limits, held: Mutex::default() }
    }

    /// A place for a connection from there. One ends for it when all are taken.
    ///
    /// # Errors
    /// When all places are taken by requests that are being answered.
    fn enter(&self, from: IpAddr, now: Instant) -> Result<Arc<Connection>, NoPlace> {
        let mut held = self.held.lock();
        let own = held.get(&from).map_or(0, Vec::len);
        if own >= self.limits.connections_of_address {
            end_one(&mut held, from).ok_or(NoPlace::ConnectionsOfAddress)?;
        } else if held.values().map(Vec::len).sum::<usize>() >= self.limits.connections {
            let mut addresses: Vec<(usize, IpAddr)> =
                held.iter().map(|(address, connections)| (connections.len(), *address)).collect();
            addresses.sort_unstable_by_key(|(count, _)| std::cmp::Reverse(*count));
            let mut ended = addresses.into_iter().filter_map(|(_, address)| end_one(&mut held, address));
            ended.next().ok_or(NoPlace::Connections)?;
        }
        let connection = Arc::new(Connection::new(now));
        held.entry(from).or_default().push(Arc::clone(&connection));
        Ok(connection)
    }

    /// A connection has ended.
    fn leave(&self, from: IpAddr, connection: &Arc<Connection>) {
        let mut held = self.held.lock();
        if let Some(own) = held.get_mut(&from) {
            own.retain(|one| !Arc::ptr_eq(one, connection));
            if own.is_empty() {
                held.remove(&from);
            }
        }
    }
}

/// Ends the connection of an address that has waited longest.
fn end_one(held: &mut BTreeMap<IpAddr, Vec<Arc<Connection>>>, of: IpAddr) -> Option<()> {
    let own = held.get_mut(&of)?;
    let mut idle: Vec<(Instant, usize)> = own
        .iter()
        .enumerate()
        .filter_map(|(place, connection)| Some((connection.idle_since()?, place)))
        .collect();
    idle.sort_unstable();
    // Who began to work meanwhile is passed over.
    let (_, place) = idle.into_iter().find(|(_, place)| own[*place].close())?;
    own.swap_remove(place);
    if own.is_empty() {
        held.remove(&of);
    }
    Some(())
}

/// What a process that may have more files open is raised to: both sides of each
/// connection on one machine, the store, and calls.
const FILES_WANTED: u64 = 4 * CONNECTIONS_MAX as u64;

/// How many files this process may have open, raised as far as it may raise it
/// itself and needs to.
pub fn files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let current = limit.current.unwrap_or(u64::MAX);
    let wanted = FILES_WANTED.min(most);
    if current >= wanted {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}

/// Serves until `stop` is done, then lets open calls end.
pub(super) async fn serve(
    mut listener: TcpListener,
    app: Router,
    limits: TrafficLimits,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Connections::new(limits));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let stopping = watch::Sender::new(false);
    // Nothing is ever sent: it ends once every connection has dropped its half.
    let (open, mut ended) = mpsc::channel::<()>(1);
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            next = accepted(&mut listener) => next,
            () = &mut stop => break,
        };
        let from = counted_as(peer.ip());
        match connections.enter(from, Instant::now()) {
            Ok(connection) => {
                let (app, stopping, open) = (app.clone(), stopping.subscribe(), open.clone());
                let connections = Arc::clone(&connections);
                tokio::spawn(async move {
                    hold(stream, peer, app, stopping, &connection).await;
                    connections.leave(from, &connection);
                    drop(open);
                });
            }
            Err(full) => {
                let Ok(place) = Arc::clone(&refusals).try_acquire_owned() else { continue };
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(REFUSAL_TIME, refuse(stream, full)).await;
                    drop(place);
                });
            }
        }
    }
    drop((listener, open));
    stopping.send_replace(true);
    let _ = ended.recv().await;
}

/// Says why a connection is not held, without waiting for what it asks.
async fn refuse(mut stream: TcpStream, full: NoPlace) -> std::io::Result<()> {
    stream.write_all(Problem(ServiceError::from(full)).written_out().as_bytes()).await?;
    stream.shutdown().await?;
    // Closed with something unread, the answer would be lost.
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// The next connection, set up for requests and answers.
async fn accepted(listener: &mut TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, peer) = Listener::accept(listener).await;
    send_at_once(&stream);
    (stream, peer)
}

/// What is written leaves at once. Otherwise the kernel keeps a small write back
/// until the one before is acknowledged, which a peer may put off for 40 ms: each
/// event of a stream and each second request of a pipeline would wait for that.
fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection answers slower than it could: TCP_NODELAY is not set");
    }
}

/// Set back to waiting once the answer is out.
struct WaitsAgain(Arc<Connection>);

impl Drop for WaitsAgain {
    fn drop(&mut self) {
        self.0.becomes(ConnectionPhase::Waits(Instant::now()));
    }
}

/// One connection, to its end.
async fn hold(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    mut stopping: watch::Receiver<bool>,
    connection: &Arc<Connection>,
) {
    let app = TowerToHyperService::new(app);
    let own = Arc::clone(connection);
    // The door of a source may believe a proxy, and counts who is wrong.
    let app = service_fn(move |mut request: Request<Incoming>| {
        own.becomes(ConnectionPhase::Reads(Instant::now()));
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&own));
        let (answer, answered) = (app.call(request), WaitsAgain(Arc::clone(&own)));
        async move { answer.await.map(|answer| answer.map(|body| Body::new(HoldingBody::new(body, answered)))) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);
    let mut served =
        pin!(server.serve_connection(TokioIo::new(SendingStream::new(stream, TAKEN_TIME_MAX)), app));
    let stops = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = connection.closed.notified() => {
            return tracing::trace!(%peer, "a connection that waited longest ended for others");
        }
        () = stops => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, %peer, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> TrafficLimits {
        TrafficLimits { connections: 4, connections_of_address: 3, ..TrafficLimits::for_files(128) }
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[tokio::test]
    async fn an_accepted_connection_sends_small_writes_at_once() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let (caller, (stream, peer)) = tokio::join!(TcpStream::connect(at), accepted(&mut listener));
        assert_eq!(peer, caller.and_then(|caller| caller.local_addr()).expect("it is connected"));
        assert!(stream.nodelay().expect("the option can be read"));
    }

    #[test]
    fn who_waited_longest_ends_for_who_comes_and_never_one_that_is_answered() {
        let (connections, began) = (Connections::new(limits()), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let held: Vec<_> =
            (0..3).map(|second| connections.enter(address(1), at(second)).expect("there is room")).collect();
        // The first is answered, the second began to send a body just now.
        assert!(held[0].works());
        held[1].becomes(ConnectionPhase::Reads(at(3)));
        let fourth = connections.enter(address(1), at(4)).expect("one ends for it");
        assert!(!held[2].works(), "it waited longest");
        assert!(held[1].works() && fourth.works());
        assert_eq!(connections.enter(address(1), at(5)).err(), Some(NoPlace::ConnectionsOfAddress));
        let other = connections.enter(address(2), at(5)).expect("the last place");
        let third = connections.enter(address(3), at(6)).expect("one that waits ends for it");
        assert!(!other.works() && third.works());
        assert_eq!(connections.enter(address(4), at(7)).err(), Some(NoPlace::Connections));
        held[1].becomes(ConnectionPhase::Waits(at(8)));
        assert!(connections.enter(address(4), at(9)).is_ok(), "once one is answered, there is room");
        connections.leave(address(1), &held[0]);
        connections.leave(address(1), &fourth);
        assert!(!connections.held.lock().contains_key(&address(1)), "nothing is left of who is gone");
    }

    #[test]
    fn an_address_with_many_connections_loses_one_before_one_with_few() {
        let (connections, began) = (Connections::new(limits()), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let few = connections.enter(address(1), at(0)).expect("there is room");
        let many: Vec<_> =
            (1..4).map(|second| connections.enter(address(2), at(second)).expect("there is room")).collect();
        assert!(connections.enter(address(3), at(5)).is_ok());
        assert!(few.works(), "it waited longest, and is the only one of its address");
        let closed: Vec<bool> = many.iter().map(|one| one.idle_since().is_none()).collect();
        assert_eq!(closed, [true, false, false]);
    }

    #[tokio::test]
    async fn a_connection_that_is_not_held_is_told_why() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        for (full, status, code) in [
            (NoPlace::ConnectionsOfAddress, "HTTP/1.1 429 ", "too-many-connections"),
            (NoPlace::Connections, "HTTP/1.1 503 ", "connections-full"),
        ] {
            let (caller, (stream, _)) = tokio::join!(TcpStream::connect(at), accepted(&mut listener));
            let mut caller = caller.expect("it is connected");
            caller.write_all(b"GET / HTTP/1.1\r\nhost: quell\r\n\r\n").await.expect("it is sent");
            let refusing = tokio::spawn(refuse(stream, full));
            let mut told = String::new();
            caller.read_to_string(&mut told).await.expect("it is told");
            drop(caller);
            refusing.await.expect("it ends").expect("it is written");
            let (head, body) = told.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.starts_with(status) && head.contains("retry-after: 2"), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            let problem: serde_json::Value = serde_json::from_str(body).expect("a problem document");
            assert_eq!(problem["code"], code);
        }
    }
}
