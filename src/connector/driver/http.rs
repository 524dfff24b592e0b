//! HTTP with JSON, over reqwest.
//!
//! Where a call may go is fixed when the connector is configured: the scheme,
//! host and port of its `url`. Values from the world become path segments and
//! query values, percent-encoded, and can change neither; redirects are not
//! followed; proxies of the environment are not used; some addresses are never
//! called, whatever a name resolves to (see `address`).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Client, Method, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::connector::driver::address::{GuardedResolver, never_called};
use crate::connector::driver::redact::Redactor;
use crate::domain::outcome::{Failure, FailureClass};
use crate::domain::value::{Value, truncate_text};
use crate::encoding;
use crate::encoding::numbers::kept_exactly;
use crate::failpoint::pass_with;

/// How long to wait for a connection, its encryption included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for the next bytes of an answer: slow reports take some
/// seconds, and nothing that is alive is silent for half a minute.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections kept open for each peer.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// The longest a peer's `Retry-After` is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The longest request line kept for the record, in bytes.
const LINE_BYTES_MAX: usize = 500;

/// A request put together, values already rendered.
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// Path segments, not encoded.
    pub path: Vec<String>,
    /// Query values, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers beside the secret one.
    pub headers: Vec<(String, String)>,
    /// A body and its media type.
    pub body: Option<(Vec<u8>, String)>,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// A peer's answer.
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case. One that comes several times is joined by
    /// `, ` (RFC 9110 §5.3); `set-cookie`, which cannot be joined, is a list.
    pub headers: Value,
    /// The body as JSON (at most 128 levels deep, serde_json's own limit); text
    /// when it is not JSON, null when empty. It is the peer's own, with our
    /// secrets should it repeat them: it decides and is written back.
    pub body: Result<Value, Unread>,
    /// The body as it is kept for the record: unpacked, without our secrets.
    pub bytes: Vec<u8>,
    /// How long the peer asks us to wait.
    pub retry_after: Option<Duration>,
}

/// A body that could not be read as its sender labels it.
pub struct Unread {
    /// Why, with the label.
    pub why: String,
    /// What of it can be shown all the same, bytes that are not text made
    /// visible; it may hold secrets. Empty when nothing can.
    pub shown: String,
}

/// One peer.
pub struct HttpDriver {
    client: Client,
    base: Url,
    auth: Option<(HeaderName, HeaderValue)>,
    redactor: Redactor,
    body_bytes_max: usize,
}

impl HttpDriver {
    /// A peer at `address`, with the header that identifies us.
    ///
    /// # Errors
    /// When the address or the header cannot be used; says why.
    pub fn new(
        address: &str,
        auth: Option<(String, SecretString)>,
        mut secrets: Vec<SecretString>,
        body_bytes_max: usize,
    ) -> Result<Self, String> {
        let base = base(address)?;
        if let Some((_, value)) = &auth {
            // `Bearer abc` can come back whole or without its first word.
            let bare =
                value.expose_secret().split_once(' ').map(|(_, rest)| SecretString::from(rest.to_owned()));
            secrets.extend(bare);
            secrets.push(value.clone());
        }
        let auth = auth
            .map(|(name, value)| {
                let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header name"))?;
                let mut value = HeaderValue::from_str(value.expose_secret())
                    .map_err(|_| "the secret holds characters that a header cannot carry".to_owned())?;
                value.set_sensitive(true);
                Ok::<_, String>((name, value))
            })
            .transpose()?;
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(GuardedResolver))
            .user_agent(concat!("quell/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the HTTP client cannot be built: {error}"))?;
        Ok(Self { client, base, auth, redactor: Redactor::new(&secrets), body_bytes_max })
    }

    /// The request in one line, for the record: query values left out, since
    /// some peers take keys there.
    pub fn line(&self, request: &HttpRequest) -> String {
        let Ok(mut url) = self.url(request) else {
            return format!("{} {}", request.method, self.base);
        };
        url.set_query(None);
        let names: Vec<String> = request.query.iter().map(|(name, _)| format!("{name}=…")).collect();
        let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
        truncate_text(&format!("{} {url}{query}", request.method), LINE_BYTES_MAX).into_owned()
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// `Transient` when it surely was not sent, `Unknown` when it may have been,
    /// `Permanent` when it cannot be made.
    pub async fn send(&self, request: &HttpRequest) -> Result<HttpAnswer, Failure> {
        let url = self.url(request)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| permanent("request-wrong", "the method is none"))?;
        let mut built = self.client.request(method, url).timeout(request.timeout);
        for (name, value) in &request.headers {
            let name: HeaderName = name
                .parse()
                .map_err(|_| permanent("request-wrong", format!("`{name}` is no header name")))?;
            let value = HeaderValue::from_str(value).map_err(|_| {
                permanent(
                    "input-unusable",
                    format!(
                        "the header `{name}` would hold a line break or control character; nothing was sent"
                    ),
                )
            })?;
            built = built.header(name, value);
        }
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept-encoding")) {
            built = built.header("accept-encoding", encoding::ACCEPTED);
        }
        if let Some((bytes, media_type)) = &request.body {
            built = built.header("content-type", media_type).body(bytes.clone());
        }
        if let Some((name, value)) = &self.auth {
            built = built.header(name, value);
        }
        pass_with("http.sends", || request.method.clone());
        let response = built.send().await.map_err(|error| self.not_answered(&error))?;
        pass_with("http.answered", || request.method.clone());
        let answer = self.read(response).await;
        pass_with("http.read", || request.method.clone());
        answer
    }

    async fn read(&self, response: reqwest::Response) -> Result<HttpAnswer, Failure> {
        let status = response.status();
        let labels = response.headers().clone();
        let (body, bytes) = match self.bytes_of(response).await {
            Ok(bytes) => self.understood(&labels, bytes),
            // A refusal is one with its status alone, however its text ends.
            Err((_, why)) if status.is_client_error() => {
                (Err(Unread { why: format!("it {why}"), shown: String::new() }), Vec::new())
            }
            Err((code, why)) => {
                let message = self.clean(&format!("the answer (status {}) {why}", status.as_u16()));
                return Err(Failure::new(FailureClass::Unknown, code, message));
            }
        };
        let (headers, retry_after) = (headers_of(&labels), retry_after(&labels));
        Ok(HttpAnswer { status: status.as_u16(), headers, body, bytes, retry_after })
    }

    /// The bytes of an answer, to its end; else a code and why not.
    async fn bytes_of(&self, response: reqwest::Response) -> Result<Vec<u8>, (&'static str, String)> {
        let mut bytes = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| ("answer-cut", format!("broke off: {}", reason(&error))))?;
            if bytes.len() + chunk.len() > self.body_bytes_max {
                let why = format!("is larger than {} bytes; reading was stopped", self.body_bytes_max);
                return Err(("answer-too-large", why));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// What the bytes say, read as their sender labels them, and what of them is
    /// kept for the record. Secrets are taken out of the latter alone.
    fn understood(&self, labels: &HeaderMap, packed: Vec<u8>) -> (Result<Value, Unread>, Vec<u8>) {
        let codings = joined(labels, &CONTENT_ENCODING);
        let unpacked = match encoding::unpack(&packed, &codings, self.body_bytes_max) {
            Ok(Cow::Owned(bytes)) => Some(bytes),
            Ok(Cow::Borrowed(_)) => None,
            // What is still packed cannot be searched for secrets, so it is not kept.
            Err(why) => return (Err(Unread { why: why.to_string(), shown: String::new() }), Vec::new()),
        };
        let bytes = unpacked.unwrap_or(packed);
        let (body, kept) = match encoding::text(&bytes, &joined(labels, &CONTENT_TYPE)) {
            Ok(text) if text.is_empty() => (Ok(Value::Null), None),
            Ok(text) => {
                let body =
                    serde_json::from_str(&kept_exactly(&text)).unwrap_or_else(|_| Value::from(text.as_ref()));
                let kept = self.redactor.kept(&text, &body);
                (Ok(body), kept)
            }
            Err(why) => {
                // Two bytes a character leave zeros between those of a secret.
                let shown = encoding::shown(&bytes).replace('\0', "");
                let kept = self.redactor.kept(&shown, &Value::from(shown.as_str()));
                (Err(Unread { why: why.to_string(), shown }), kept)
            }
        };
        (body, kept.map_or(bytes, String::into_bytes))
    }

    /// Whether one of our secrets stands in this value, by no accident.
    pub fn has_secret(&self, value: &Value) -> bool {
        self.redactor.is_in_value(value)
    }

    /// The address of a request. Built by hand: the url crate drops line breaks
    /// and tabs from a segment, which would make one value into another.
    fn url(&self, request: &HttpRequest) -> Result<Url, Failure> {
        let mut path = self.base.path().trim_end_matches('/').to_owned();
        for segment in &request.path {
            if matches!(segment.as_str(), "." | "..") {
                return Err(permanent(
                    "input-unusable",
                    "a value that belongs into the address is made of dots; nothing was sent",
                ));
            }
            path.push('/');
            encode(segment, &mut path);
        }
        let mut url = self.base.clone();
        url.set_path(&path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    fn not_answered(&self, error: &reqwest::Error) -> Failure {
        let host = self.base.host_str().unwrap_or_default();
        if error.is_connect() {
            let port = self.base.port_or_known_default().unwrap_or_default();
            let message = format!(
                "{host}:{port} cannot be reached: {}; nothing was sent. Check that it is up, and the connector's `url` in the settings",
                reason(error)
            );
            return Failure::new(FailureClass::Transient, "unreachable", self.clean(&message));
        }
        if error.is_timeout() {
            return Failure::new(
                FailureClass::Unknown,
                "timeout",
                format!("{host} did not answer in time; nobody can say whether it acted"),
            );
        }
        if error.is_builder() {
            return permanent(
                "request-wrong",
                self.clean(&format!("the request cannot be made: {}", reason(error))),
            );
        }
        let message = format!("the connection to {host} broke after the request was sent: {}", reason(error));
        Failure::new(FailureClass::Unknown, "connection-cut", self.clean(&message))
    }

    /// The text without secrets, control characters made visible, not too long.
    pub fn clean(&self, text: &str) -> String {
        self.redactor.clean(text)
    }
}

fn permanent(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Permanent, code, message)
}

/// A configured address, or why it cannot be one. Never repeats a password.
fn base(address: &str) -> Result<Url, String> {
    let base = Url::parse(address).map_err(|error| format!("it is no address: {error}"))?;
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err("it must begin with https:// (or http:// on a network you trust)".to_owned());
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err("an address must hold no user or password; use `auth:`".to_owned());
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err("an address must end before `?` and `#`; operations declare their own query".to_owned());
    }
    let host = base.host_str().unwrap_or_default();
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if literal.is_some_and(never_called) {
        return Err(format!(
            "{host} is an address where cloud metadata lives, or none at all; it is never called"
        ));
    }
    Ok(base)
}

/// Percent-encodes one path segment (RFC 3986 §3.3). Of the characters allowed
/// there, those that servers give a meaning of their own (`;` starts a
/// parameter, `+` may mean a space) are encoded too.
fn encode(segment: &str, into: &mut String) {
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'@'
            | b':'
            | b'$'
            | b','
            | b'('
            | b')'
            | b'!'
            | b'*' => into.push(char::from(byte)),
            _ => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// The innermost reason of an error: reqwest's own words repeat the address.
fn reason(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

/// The headers as expressions see them.
fn headers_of(headers: &HeaderMap) -> Value {
    let texts = headers.keys().map(|name| {
        let value = match name {
            // RFC 9110 §5.3: a comma may stand in it.
            name if *name == SET_COOKIE => Value::Array(fields(headers, name).map(Value::from).collect()),
            name => Value::from(joined(headers, name)),
        };
        (name.as_str().to_owned(), value)
    });
    Value::Object(texts.collect())
}

/// All fields of this name in one text (RFC 9110 §5.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    fields(headers, name).collect::<Vec<_>>().join(", ")
}

fn fields<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = Cow<'a, str>> {
    headers.get_all(name).iter().map(|value| encoding::field_text(value.as_bytes()))
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a very long time.
        return Some(text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs).min(RETRY_AFTER_MAX));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let wait = date.signed_duration_since(chrono::Utc::now()).to_std().unwrap_or_default();
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
