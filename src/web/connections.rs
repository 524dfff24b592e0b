//! Connections: how many there are at once, and how long one may be silent.
//!
//! ```text
//!   a place ─ accept ─ head, in time ─ answer ─ head, in time ─ …   the place is free
//! ```
//! Who connects and says nothing, or ever less, holds a place for a few seconds.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How long the head of a request may take, from when the last answer was given, or
/// the connection was made, to its end. A connection that waits for its next request
/// is closed after as long.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections at once; further ones wait to be accepted. Half of the files that a
/// process may commonly have open: the rest is for the store and for calls.
pub const CONNECTIONS_MAX: u32 = 512;

/// Serves until `stop` is done, then lets open calls end.
pub(super) async fn serve(mut listener: TcpListener, app: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let stopping = watch::Sender::new(false);
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // Nobody closes it: there is always a place in the end.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, accepted(&mut listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        tokio::spawn(hold(stream, peer, app.clone(), stopping.subscribe(), place));
    }
    drop(listener);
    stopping.send_replace(true);
    // All places are free once the last connection has ended.
    let _ = places.acquire_many(CONNECTIONS_MAX).await;
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

/// One connection, to its end.
async fn hold(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    mut stopping: watch::Receiver<bool>,
    place: Option<OwnedSemaphorePermit>,
) {
    let app = TowerToHyperService::new(app);
    // The door of a source may believe a proxy, and counts who is wrong.
    let app = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.call(request)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), app));
    let stops = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stops => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, %peer, "a connection broke off");
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_connection_sends_small_writes_at_once() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (caller, (stream, peer)) = tokio::join!(TcpStream::connect(address), accepted(&mut listener));
        assert_eq!(peer, caller.and_then(|caller| caller.local_addr()).expect("it is connected"));
        assert!(stream.nodelay().expect("the option can be read"));
    }
}
