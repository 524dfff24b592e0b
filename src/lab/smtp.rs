//! The mail server: SMTP (RFC 5321) on loopback with PIPELINING (RFC 2920),
//! 8BITMIME (RFC 6152) and SIZE (RFC 1870). It takes mail for anybody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::lab::mail::{self, Received};
use crate::lab::world::World;

/// Bytes that a mail may have, announced as SIZE.
pub const MAIL_BYTES_MAX: usize = 1024 * 1024;
/// Recipients of one mail (RFC 5321, section 4.5.3.1.8, asks for 100).
pub const RECIPIENTS_MAX: usize = 100;
/// Bytes of a command line: the 512 of section 4.5.3.1.4 and room for the
/// parameters of extensions.
pub const COMMAND_BYTES_MAX: usize = 2_048;
/// Clients connected at once.
pub const CLIENTS_MAX: usize = 64;
/// How long a client may be silent (section 4.5.3.2.7).
pub const SILENCE_MAX: Duration = Duration::from_secs(300);

const GREETING: &str = "220 mail.example.com ESMTP practice range\r\n";
/// Bytes of a mail read at a time; lines may be longer.
const CHUNK_BYTES: usize = 8 * 1024;

/// Serves until stopped; connections under way are cut, and their clients do
/// not know then whether the mail arrived, as in the real world.
pub async fn serve(listener: TcpListener, world: Arc<World>, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopped| *stopped) => return,
            Some(_) = clients.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => {
                // A reply leaves at once: it would wait for up to 40 ms otherwise.
                let _ = stream.set_nodelay(true);
                stream
            }
            Err(error) => {
                // Out of file handles, say: let some go first.
                tracing::warn!(%error, "the lab's mail server could not take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (world, place) = (Arc::clone(&world), Arc::clone(&room).try_acquire_owned());
        clients.spawn(async move {
            let ended = match place {
                Ok(_place) => Dialogue::new(stream, world).run().await,
                Err(_) => refuse(stream).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a mail client left");
            }
        });
    }
}

async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"421 too many connections, try again later\r\n").await
}

/// What follows a reply.
enum Next {
    Go,
    Quit,
}

/// One client.
struct Dialogue {
    stream: BufReader<TcpStream>,
    world: Arc<World>,
    greeted: bool,
    from: Option<String>,
    to: Vec<String>,
}

impl Dialogue {
    fn new(stream: TcpStream, world: Arc<World>) -> Self {
        Self { stream: BufReader::new(stream), world, greeted: false, from: None, to: Vec::new() }
    }

    async fn run(mut self) -> io::Result<()> {
        self.say(GREETING).await?;
        loop {
            let line = self.read_until_newline(COMMAND_BYTES_MAX).await?;
            if line.is_empty() {
                return Ok(());
            }
            if !line.ends_with(b"\n") {
                return self.say("500 line too long\r\n").await;
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Next::Quit = self.command(&line).await? {
                return Ok(());
            }
        }
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(reply.as_bytes()).await
    }

    /// Up to a newline, the end of the stream, or `max` bytes.
    async fn read_until_newline(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(max as u64);
        tokio::time::timeout(SILENCE_MAX, limited.read_until(b'\n', &mut line))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(line)
    }

    async fn command(&mut self, line: &str) -> io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let reply = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.greet();
                format!(
                    "250-mail.example.com\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE {MAIL_BYTES_MAX}\r\n"
                )
            }
            "HELO" => {
                self.greet();
                "250 mail.example.com\r\n".to_owned()
            }
            "MAIL" => self.mail(rest).to_owned(),
            "RCPT" => self.rcpt(rest).to_owned(),
            "DATA" => return self.data().await.map(|()| Next::Go),
            "RSET" => {
                self.reset();
                "250 forgotten\r\n".to_owned()
            }
            "NOOP" => "250 fine\r\n".to_owned(),
            "VRFY" => "252 send it and see\r\n".to_owned(),
            "QUIT" => {
                self.say("221 goodbye\r\n").await?;
                return Ok(Next::Quit);
            }
            _ => "500 unknown command\r\n".to_owned(),
        };
        self.say(&reply).await?;
        Ok(Next::Go)
    }

    fn greet(&mut self) {
        self.greeted = true;
        self.reset();
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn mail(&mut self, rest: &str) -> &'static str {
        if !self.greeted || self.from.is_some() {
            return "503 not now\r\n";
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return "501 say MAIL FROM:<address>\r\n";
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name.to_ascii_uppercase().as_str(), value.parse::<usize>()) {
                ("SIZE", Ok(size)) if size > MAIL_BYTES_MAX => {
                    return "552 the mail is too large\r\n";
                }
                ("SIZE", Ok(_)) | ("BODY", _) => {}
                _ => return "555 unknown parameter\r\n",
            }
        }
        self.from = Some(from.to_owned());
        "250 ok\r\n"
    }

    fn rcpt(&mut self, rest: &str) -> &'static str {
        if self.from.is_none() {
            return "503 MAIL comes first\r\n";
        }
        let Some((to, parameters)) = path(rest, "TO:") else {
            return "501 say RCPT TO:<address>\r\n";
        };
        if !parameters.is_empty() {
            return "555 unknown parameter\r\n";
        }
        if !to.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty()) {
            return "550 no such mailbox\r\n";
        }
        if self.to.len() >= RECIPIENTS_MAX {
            return "452 too many recipients\r\n";
        }
        self.to.push(to.to_owned());
        "250 ok\r\n"
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.from.is_none() || self.to.is_empty() {
            return self.say("503 MAIL and RCPT come first\r\n").await;
        }
        self.say("354 end with a dot on its own line\r\n").await?;
        let mail = self.read_mail().await?;
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        let reply = match mail {
            None => "552 the mail is too large\r\n".to_owned(),
            Some(raw) => match mail::receive(&self.world, from, to, &raw).await {
                Ok(Received::Kept(id)) => format!("250 kept as {id}\r\n"),
                Ok(Received::Full) => "452 this world is full\r\n".to_owned(),
                Err(error) => {
                    tracing::error!(%error, "a mail could not be kept");
                    "451 could not keep it, try again later\r\n".to_owned()
                }
            },
        };
        self.say(&reply).await
    }

    /// The mail up to its final dot, without the doubled dots (section 4.5.2);
    /// `None` when it was too large, after reading it to its end.
    async fn read_mail(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut mail = Vec::new();
        let mut too_large = false;
        // The last two bytes tell whether a line starts: only CR LF ends one,
        // so that a lone LF cannot smuggle in the final dot.
        let mut tail = *b"\r\n";
        loop {
            let mut chunk = self.read_until_newline(CHUNK_BYTES).await?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let starts_line = tail == *b"\r\n";
            if starts_line && chunk == b".\r\n" {
                return Ok((!too_large).then_some(mail));
            }
            for byte in &chunk {
                tail = [tail[1], *byte];
            }
            if starts_line && chunk.first() == Some(&b'.') {
                chunk.remove(0);
            }
            too_large |= mail.len() + chunk.len() > MAIL_BYTES_MAX;
            if !too_large {
                mail.append(&mut chunk);
            }
        }
    }
}

/// The address in `FROM:<address> parameters`, and the parameters.
fn path<'l>(rest: &'l str, label: &str) -> Option<(&'l str, &'l str)> {
    let given = rest.get(..label.len())?;
    if !given.eq_ignore_ascii_case(label) {
        return None;
    }
    let (address, parameters) = rest[label.len()..].trim_start().strip_prefix('<')?.split_once('>')?;
    Some((address, parameters.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_out_of_their_brackets() {
        for (rest, expected) in [
            ("FROM:<a@b>", Some(("a@b", ""))),
            ("from: <a@b> SIZE=1", Some(("a@b", "SIZE=1"))),
            ("FROM:<>", Some(("", ""))),
            ("FROM:a@b", None),
            ("TO:<a@b>", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(path(rest, "FROM:"), expected, "{rest:?}");
        }
    }
}
