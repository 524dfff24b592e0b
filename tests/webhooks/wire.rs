//! Requests byte by byte: what no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How long an answer may take. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a body is said to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    Length,
    /// By a length that is not its own.
    Said(u64),
    /// In chunks.
    Chunked,
    /// In chunks that never end, until there is an answer.
    Endless,
    /// A length, and then silence before its end.
    Stalls,
    /// A length, and then the sender hangs up.
    HangsUp,
}

pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub framing: Framing,
    /// The address that it comes from.
    pub from: [u8; 4],
}

#[derive(Debug)]
pub struct Answer {
    /// 0 when the server closed without a word.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body that were sent before it came.
    pub sent: u64,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The stable code of a refusal; empty when it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends a request on a connection of its own and reads the answer.
pub async fn send(to: SocketAddr, request: &Request) -> Answer {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((request.from, 0))).expect("an address of loopback");
    let mut stream = socket.connect(to).await.expect("the server listens");
    let mut head =
        format!("{} {} HTTP/1.1\r\nhost: quell\r\nconnection: close\r\n", request.method, request.path)
            .into_bytes();
    for (name, value) in &request.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    let length = request.body.len() as u64;
    let said = match request.framing {
        Framing::Length => format!("content-length: {length}"),
        Framing::Said(said) => format!("content-length: {said}"),
        Framing::Stalls | Framing::HangsUp => format!("content-length: {}", length + 1),
        Framing::Chunked | Framing::Endless => "transfer-encoding: chunked".to_owned(),
    };
    head.extend_from_slice(format!("{said}\r\n\r\n").as_bytes());
    // A server may answer and close before all of it came.
    let _ = stream.write_all(&head).await;
    let mut sent = length;
    match request.framing {
        Framing::Chunked => {
            let _ = stream.write_all(format!("{length:x}\r\n").as_bytes()).await;
            let _ = stream.write_all(&request.body).await;
            let _ = stream.write_all(b"\r\n0\r\n\r\n").await;
        }
        Framing::Endless => sent = until_answered(&mut stream).await,
        _ => {
            let _ = stream.write_all(&request.body).await;
        }
    }
    if request.framing == Framing::HangsUp {
        let _ = stream.shutdown().await;
    }
    let mut raw = Vec::new();
    let read = stream.read_to_end(&mut raw);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("the server answers in time");
    answer(&raw, sent)
}

/// Writes chunks until the server has had enough; gives the bytes of body sent.
async fn until_answered(stream: &mut TcpStream) -> u64 {
    let chunk = vec![b' '; 64 * 1024];
    let mut sent = 0;
    loop {
        let mut written = format!("{:x}\r\n", chunk.len()).into_bytes();
        written.extend_from_slice(&chunk);
        written.extend_from_slice(b"\r\n");
        let mut one = [0u8; 1];
        tokio::select! {
            biased;
            _ = stream.peek(&mut one) => return sent,
            done = async { stream.writable().await.map(|()| stream.try_write(&written)) } => match done {
                Ok(Ok(count)) if count == written.len() => sent += chunk.len() as u64,
                // Cut within a chunk: the server takes no more, and will say so.
                Ok(Ok(count)) => return sent + count as u64,
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => return sent,
            },
        }
    }
}

fn answer(raw: &[u8], sent: u64) -> Answer {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return Answer { status: 0, headers: Vec::new(), body: Vec::new(), sent };
    };
    let head = String::from_utf8(raw[..end].to_vec()).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header has a colon");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Answer {
        status: status.expect("an answer has a status"),
        headers: lines.map(header).collect(),
        body: raw[end + 4..].to_vec(),
        sent,
    }
}
