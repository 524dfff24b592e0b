//! A mail server that keeps every mail it took.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::{Counted, Executioner, Moment};

/// One mail that was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    pub id: String,
    pub subject: String,
}

/// A running mail server.
#[derive(Clone)]
pub struct Post {
    pub address: std::net::SocketAddr,
    pub mails: Arc<Mutex<Vec<Mail>>>,
}

impl Post {
    pub async fn start(executioner: &Arc<Executioner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let mails = Arc::new(Mutex::new(Vec::new()));
        let (kept, executioner) = (Arc::clone(&mails), Arc::clone(executioner));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = Counted::new(stream, &executioner.open);
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&executioner)));
            }
        });
        Self { address, mails }
    }

    /// The mails whose subject begins so.
    pub fn about(&self, subject: &str) -> Vec<Mail> {
        self.mails.lock().iter().filter(|mail| mail.subject.starts_with(subject)).cloned().collect()
    }
}

type Connection = BufReader<Counted<TcpStream>>;

async fn serve(
    stream: Counted<TcpStream>,
    mails: Arc<Mutex<Vec<Mail>>>,
    executioner: Arc<Executioner>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 here").await?;
    loop {
        let line = line(&mut stream).await?;
        match line.split([' ', '\r', ':']).next().unwrap_or_default().to_uppercase().as_str() {
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    text.push_str(&self::line(&mut stream).await?);
                }
                let fate = executioner.fate();
                if matches!(fate, Some(Moment::Dropped | Moment::Taken)) {
                    executioner.kill();
                }
                if fate == Some(Moment::Dropped) {
                    return None;
                }
                mails.lock().push(read(&text));
                if matches!(fate, Some(Moment::Done | Moment::Half)) {
                    executioner.kill();
                }
                say(&mut stream, "250 2.0.0 taken").await?;
            }
            "QUIT" => {
                say(&mut stream, "221 bye").await?;
                return None;
            }
            _ => say(&mut stream, "250 ok").await?,
        }
    }
}

/// How long a connection may be silent: longer than any test takes.
const SILENCE: Duration = Duration::from_secs(600);

async fn line(stream: &mut Connection) -> Option<String> {
    let mut line = String::new();
    let read = tokio::time::timeout(SILENCE, stream.read_line(&mut line)).await.ok()?.ok()?;
    (read > 0).then_some(line)
}

async fn say(stream: &mut Connection, words: &str) -> Option<()> {
    stream.write_all(format!("{words}\r\n").as_bytes()).await.ok()
}

/// What of a mail is looked at; long headers come in several lines.
fn read(text: &str) -> Mail {
    let head = text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
    let header = |name: &str| {
        let found = head.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().trim().to_owned()
    };
    Mail { id: header("Message-ID:"), subject: header("Subject:") }
}
