//! A peer on loopback that answers exactly the bytes a test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the peer does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes this and keeps the connection.
    Say(String),
    /// Writes this and closes.
    SayAndClose(Vec<u8>),
    /// Writes this and resets.
    SayAndReset(Vec<u8>),
    /// Writes a head, then a body of this many bytes as fast as it is taken.
    Flood(String, usize),
    /// Writes this one byte a second.
    Drip(String),
    /// Never answers.
    Silence,
    /// Answers after this long.
    Late(Duration, String),
    /// Repeats the whole request as the body of an answer with this status.
    Echo(u16),
}

/// A running peer.
pub struct Peer {
    pub url: String,
    pub connections: Arc<AtomicUsize>,
    /// Bytes of answers that were taken from the peer.
    pub written: Arc<AtomicUsize>,
    /// The most requests that were being answered at one time.
    pub at_once: Arc<AtomicUsize>,
    /// Every request as it came.
    pub requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Counters {
    written: Arc<AtomicUsize>,
    now: AtomicUsize,
    at_once: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

pub async fn peer(act: Act) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (connections, written, at_once) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let counters = Arc::new(Counters {
        written: Arc::clone(&written),
        now: AtomicUsize::new(0),
        at_once: Arc::clone(&at_once),
        requests: Arc::clone(&requests),
    });
    let accepted = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, act.clone(), Arc::clone(&counters)));
        }
    });
    Peer { url, connections, written, at_once, requests, task }
}

async fn serve(mut stream: TcpStream, act: Act, counters: Arc<Counters>) {
    while let Some(request) = request(&mut stream).await {
        let now = counters.now.fetch_add(1, Ordering::SeqCst) + 1;
        counters.at_once.fetch_max(now, Ordering::SeqCst);
        counters.requests.lock().push(request.clone());
        let go_on = answer(&mut stream, &act, &request, &counters.written).await;
        counters.now.fetch_sub(1, Ordering::SeqCst);
        if !go_on {
            return;
        }
    }
}

async fn answer(stream: &mut TcpStream, act: &Act, request: &str, written: &AtomicUsize) -> bool {
    match act {
        Act::Say(text) => stream.write_all(text.as_bytes()).await.is_ok(),
        Act::SayAndClose(bytes) => {
            let _ = stream.write_all(bytes).await;
            false
        }
        Act::SayAndReset(bytes) => {
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = stream.set_zero_linger();
            false
        }
        Act::Flood(head, bytes) => {
            let _ = stream.write_all(head.as_bytes()).await;
            let chunk = [b'a'; 64 * 1024];
            let mut left = *bytes;
            while left > 0 {
                match stream.write(&chunk[..left.min(chunk.len())]).await {
                    Ok(taken) if taken > 0 => {
                        left -= taken;
                        written.fetch_add(taken, Ordering::SeqCst);
                    }
                    _ => return false,
                }
            }
            false
        }
        Act::Drip(text) => {
            for byte in text.bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            false
        }
        Act::Silence => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            false
        }
        Act::Late(wait, text) => {
            tokio::time::sleep(*wait).await;
            stream.write_all(text.as_bytes()).await.is_ok()
        }
        Act::Echo(status) => {
            let text = response(*status, &[("content-type", "text/plain")], request);
            stream.write_all(text.as_bytes()).await.is_ok()
        }
    }
}

/// One request, head and body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}

/// A right answer as text.
pub fn response(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n" + body
}
