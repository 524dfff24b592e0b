//! Mail over SMTP (RFC 5321), with lettre.
//!
//! The commands are sent one by one here, since a mail cannot be asked for
//! again: until `DATA` is accepted a failure surely sent nothing, after that
//! only the server's own answer says so. Connections are kept for the next mail.

use std::collections::BTreeMap;
use std::time::Duration;

use lettre::Message;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use crate::connector::driver::address;
use crate::connector::driver::redact::Redactor;
use crate::domain::outcome::{Failure, FailureClass};
use crate::domain::value::Value;
use crate::failpoint::pass;

/// Ports of RFC 8314 (implicit TLS) and RFC 6409 (submission).
const PORT_TLS: u16 = 465;
const PORT_SUBMISSION: u16 = 587;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections kept for the next mail, and for how long: servers close idle
/// ones after some minutes (RFC 5321 §4.5.3.2.7 asks for five).
const IDLE_MAX: usize = 4;
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

/// "Start mail input" (RFC 5321 §4.3.2): the one reply after which the text goes.
const START_OF_TEXT: u16 = 354;

/// People one mail may go to; RFC 5321 §4.5.3.1.8 has servers take 100.
const RECIPIENTS_MAX: usize = 100;

/// How the connection is protected.
enum Security {
    /// TLS from the first byte.
    Tls(TlsParameters),
    /// STARTTLS, required.
    StartTls(TlsParameters),
    /// None: on this machine only.
    Plain,
}

/// One mail server.
pub struct SmtpDriver {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    redactor: Redactor,
}

/// A mail that was taken.
pub struct Sent {
    /// The server's words.
    pub response: String,
    /// The message as it was handed over, headers and all.
    pub message: Vec<u8>,
}

impl SmtpDriver {
    /// A server at `smtps://host[:465]` (TLS from the first byte),
    /// `smtp://host[:587]` (STARTTLS required), or `smtp://127.0.0.1:port`
    /// (plain, on this machine only).
    ///
    /// # Errors
    /// When the address is none; says why.
    pub fn new(address: &str, secrets: &BTreeMap<String, SecretString>) -> Result<Self, String> {
        let url = reqwest::Url::parse(address).map_err(|error| format!("it is no address: {error}"))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or("it names no host")?
            .trim_matches(['[', ']'])
            .to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address must hold no user or password; use `auth:`".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("the address of a mail server ends after its port".to_owned());
        }
        let literal = host.parse::<std::net::IpAddr>().ok();
        if literal.is_some_and(address::never_called) {
            return Err(format!(
                "{host} is an address where cloud metadata lives, or none at all; it is never called"
            ));
        }
        let here = address::is_own_name(&host) || literal.is_some_and(|ip| ip.is_loopback());
        let tls = || {
            TlsParameters::new(host.clone())
                .map_err(|error| format!("TLS for {host} cannot be set up: {error}"))
        };
        let (security, usual) = match url.scheme() {
            "smtps" => (Security::Tls(tls()?), PORT_TLS),
            "smtp" if here => (Security::Plain, PORT_SUBMISSION),
            "smtp" => (Security::StartTls(tls()?), PORT_SUBMISSION),
            other => {
                return Err(format!("`{other}` is no way to send mail; write smtps://host or smtp://host"));
            }
        };
        let credentials = match (secrets.get("user"), secrets.get("password")) {
            (Some(user), Some(password)) => {
                Some(Credentials::new(user.expose_secret().to_owned(), password.expose_secret().to_owned()))
            }
            (None, None) if secrets.is_empty() => None,
            _ => return Err("`auth` of a mail server needs `user` and `password`".to_owned()),
        };
        let port = url.port().unwrap_or(usual);
        // As `AUTH PLAIN` carries them (RFC 4616 §2), should a server repeat the command.
        let pair = secrets.get("user").zip(secrets.get("password")).map(|(user, password)| {
            SecretString::from(format!("\0{}\0{}", user.expose_secret(), password.expose_secret()))
        });
        let redactor = Redactor::new(secrets.get("password").into_iter().chain(pair.as_ref()));
        Ok(Self { host, port, security, credentials, idle: Mutex::new(Vec::new()), redactor })
    }

    /// The request in one line, for the record.
    pub fn line(&self, input: &Value) -> String {
        let count = input.get("to").and_then(Value::as_array).map_or(1, Vec::len);
        format!("MAIL via {} to {count} recipient(s)", self.host)
    }

    /// Sends one mail within `timeout`.
    ///
    /// # Errors
    /// `Permanent` when it cannot be written or the server refuses it,
    /// `Transient` when the server surely did not take it, `Unknown` when the
    /// connection broke after the text began, and it may have.
    pub async fn send(&self, input: &Value, timeout: Duration) -> Result<Sent, Failure> {
        let message = message(input)?;
        let deadline = Instant::now() + timeout;
        let mut connection = self.connection(deadline).await?;
        pass("mail.connected");
        match timeout_at(deadline, self.begin(&mut connection, &message)).await {
            Ok(begun) => begun?,
            Err(_) => return Err(self.too_slow()),
        }
        let formatted = message.formatted();
        pass("mail.begun");
        match timeout_at(deadline, hand_over(&mut connection, &formatted)).await {
            // A reply that asks for more neither takes the mail nor refuses it.
            Ok(Ok(response)) if !is_done(&response) => {
                Err(self.unsure(&format!("{} answered the mail with `{}`", self.host, words(&response))))
            }
            Ok(Ok(response)) => {
                pass("mail.taken");
                self.keep(connection);
                Ok(Sent { response: self.redactor.clean(&words(&response)), message: formatted })
            }
            // A server that says no then never delivers it (RFC 5321 §4.2.5).
            Ok(Err(error)) if error.is_permanent() || error.is_transient() => Err(self.not_begun(&error)),
            Ok(Err(error)) => Err(self.unsure(&format!(
                "the connection to {} broke while it took the mail: {}",
                self.host,
                root(&error)
            ))),
            Err(_) => {
                Err(self.unsure(&format!("{} did not say in time whether it took the mail", self.host)))
            }
        }
    }

    /// Everything before the mail's text. The server has no mail until all of it
    /// was answered and the text was sent.
    async fn begin(&self, connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), Failure> {
        let envelope = message.envelope();
        let mut options = Vec::new();
        // A server without SMTPUTF8 refuses such an address itself (RFC 6531 §3.5).
        let ascii = envelope
            .to()
            .iter()
            .chain(envelope.from())
            .all(|address| AsRef::<str>::as_ref(address).is_ascii());
        if !ascii && connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            options.push(MailParameter::SmtpUtfEight);
        }
        let fits = |command: &str, reply: Result<Response, Error>, expected: fn(&Response) -> bool| {
            let reply = reply.map_err(|error| self.not_begun(&error))?;
            if expected(&reply) { Ok(()) } else { Err(self.out_of_turn(command, &reply)) }
        };
        let reply = connection.command(Mail::new(envelope.from().cloned(), options)).await;
        fits("MAIL", reply, is_done)?;
        for recipient in envelope.to() {
            let reply = connection.command(Rcpt::new(recipient.clone(), vec![])).await;
            fits("RCPT", reply, is_done)?;
        }
        fits("DATA", connection.command(Data).await, |reply| reply.has_code(START_OF_TEXT))
    }

    /// A connection that is ready for a mail: a kept one that still answers, or
    /// a new one. Nothing of a mail is sent.
    async fn connection(&self, deadline: Instant) -> Result<AsyncSmtpConnection, Failure> {
        while let Some((mut kept, since)) = self.kept() {
            let alive = since.elapsed() < IDLE_TIME_MAX
                && timeout_at(deadline, kept.test_connected()).await == Ok(true);
            if alive {
                return Ok(kept);
            }
        }
        match timeout_at(deadline, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(self.too_slow()),
        }
    }

    fn kept(&self) -> Option<(AsyncSmtpConnection, Instant)> {
        self.idle.lock().pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX && !connection.has_broken() {
            idle.push((connection, Instant::now()));
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let found = address::resolve(&self.host, self.port).await.map_err(|why| {
            Failure::new(FailureClass::Transient, "mail-unreachable", format!("{why}; nothing was sent"))
        })?;
        let hello = ClientId::default();
        let (first, then) = match &self.security {
            Security::Tls(tls) => (Some(tls.clone()), None),
            Security::StartTls(tls) => (None, Some(tls.clone())),
            Security::Plain => (None, None),
        };
        let failed = |error| self.not_begun(&error);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(found.as_slice(), Some(CONNECT_TIMEOUT), &hello, first, None)
                .await
                .map_err(failed)?;
        if let Some(tls) = then {
            connection.starttls(tls, &hello).await.map_err(failed)?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await.map_err(failed)?;
        }
        Ok(connection)
    }

    /// A failure after which the server surely has no mail: it said so, or was
    /// never given one.
    fn not_begun(&self, error: &Error) -> Failure {
        let host = &self.host;
        let (class, code, message) = if error.is_permanent() {
            (FailureClass::Permanent, "mail-refused", format!("{host} refused the mail: {error}"))
        } else if error.is_transient() {
            (FailureClass::Transient, "mail-deferred", format!("{host} did not take the mail now: {error}"))
        } else if error.is_client() {
            (
                FailureClass::Permanent,
                "mail-impossible",
                format!("the mail cannot be handed to {host}: {error}"),
            )
        } else {
            (
                FailureClass::Transient,
                "mail-unreachable",
                format!(
                    "{host} cannot be reached: {}; nothing was sent. Check that it is up, and the mail connector's address in the settings",
                    root(error)
                ),
            )
        };
        Failure::new(class, code, self.redactor.clean(&message))
    }

    /// A reply that RFC 5321 §4.3.2 does not know there: what is answered may be
    /// another command, so nothing more is said on this connection.
    fn out_of_turn(&self, command: &str, reply: &Response) -> Failure {
        let message = format!(
            "{} answered {command} with `{}`, which does not fit; nothing was sent",
            self.host,
            words(reply)
        );
        Failure::new(FailureClass::Transient, "mail-out-of-turn", self.redactor.clean(&message))
    }

    fn too_slow(&self) -> Failure {
        Failure::new(
            FailureClass::Transient,
            "mail-unreachable",
            format!("{} did not answer in time; nothing was sent", self.host),
        )
    }

    fn unsure(&self, what: &str) -> Failure {
        Failure::new(
            FailureClass::Unknown,
            "mail-unknown",
            self.redactor.clean(&format!("{what}; nobody can say whether the mail was taken")),
        )
    }
}

/// Whether it says that what was asked is done (2yz, RFC 5321 §4.2.1).
fn is_done(reply: &Response) -> bool {
    reply.code().severity == Severity::PositiveCompletion
}

/// The mail's text with what ends it, written in one piece. In two, the second would
/// wait until the first is acknowledged, which a server may put off for 40 ms.
async fn hand_over(connection: &mut AsyncSmtpConnection, formatted: &[u8]) -> Result<Response, Error> {
    match std::str::from_utf8(formatted) {
        Ok(text) => connection.command(Ended(text)).await,
        Err(_) => connection.message(formatted).await,
    }
}

/// A mail as it goes over the line: a dot that begins a line is doubled, and a line
/// with a dot alone ends it (RFC 5321 §4.5.2).
struct Ended<'a>(&'a str);

impl std::fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.starts_with('.') {
            f.write_str(".")?;
        }
        write!(f, "{}\r\n.\r\n", self.0.replace("\r\n.", "\r\n.."))
    }
}

fn words(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().next().unwrap_or_default())
}

/// The innermost reason of an error.
fn root(error: &Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

/// The mail that an input describes. Addresses and headers are typed, so that a
/// line break in a value cannot add a header or a command.
fn message(input: &Value) -> Result<Message, Failure> {
    let wrong = |message: String| Failure::new(FailureClass::Permanent, "mail-wrong", message);
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let address = |text: &str| {
        text.parse::<Mailbox>()
            .map_err(|_| wrong(format!("`{}` is no mail address; nothing was sent", text.escape_debug())))
    };
    let subject = text("subject").ok_or_else(|| wrong("a mail needs a subject".to_owned()))?;
    if subject.chars().any(char::is_control) {
        return Err(wrong(
            "the subject holds a line break or control character; nothing was sent".to_owned(),
        ));
    }
    let mut builder = Message::builder().from(address(text("from").unwrap_or_default())?).subject(subject);
    let to: Vec<&str> = match input.get("to") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    };
    if to.is_empty() {
        return Err(wrong("the mail has no recipient; nothing was sent".to_owned()));
    }
    if to.len() > RECIPIENTS_MAX {
        return Err(wrong(format!(
            "a mail goes to at most {RECIPIENTS_MAX} recipients, and this one has {}; nothing was sent",
            to.len()
        )));
    }
    for recipient in to {
        builder = builder.to(address(recipient)?);
    }
    let id_in = |name: &str| match text(name) {
        Some(id) if id.chars().any(|c| c.is_control() || c.is_whitespace() || !c.is_ascii()) => {
            Err(wrong(format!("`{name}` is no Message-ID; nothing was sent")))
        }
        id => Ok(id.map(str::to_owned)),
    };
    if let Some(id) = id_in("message_id")? {
        builder = builder.message_id(Some(id));
    }
    if let Some(id) = id_in("in_reply_to")? {
        builder = builder.in_reply_to(id.clone()).references(id);
    }
    let plain = text("text").unwrap_or_default().to_owned();
    let built = match text("html") {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(plain, html.to_owned())),
        None => builder.header(lettre::message::header::ContentType::TEXT_PLAIN).body(plain),
    };
    built.map_err(|error| wrong(format!("the mail cannot be written: {error}")))
}

#[cfg(test)]
#[path = "smtp_tests.rs"]
mod tests;
