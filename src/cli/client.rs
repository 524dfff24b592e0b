//! Speaks to a running server: one process opens the store, so the command
//! line asks it over HTTP.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use crate::cli::exit::{CliError, Exit, PLAYBOOK_UNKNOWN};
use crate::cli::hint::hint;
use crate::domain::event::Entry;
use crate::settings::Settings;

/// How long a call may take. Our own server answers in milliseconds; a report
/// of a long run takes a second.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to look for a server before saying that there is none.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A running server.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// The file in the data directory that holds the local operator's token.
pub const TOKEN_FILE: &str = "token";

/// The file in the data directory that says where the server listens.
pub const ADDRESS_FILE: &str = "address";

impl Client {
    /// A client of the server that these settings describe: `QUELL_SERVER`, else
    /// where the server of the data directory says it listens, else the settings.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(settings: &Settings) -> Result<Client, CliError> {
        let base = std::env::var("QUELL_SERVER")
            .ok()
            .or_else(|| read_line(&settings.data.join(ADDRESS_FILE)))
            .unwrap_or_else(|| format!("http://{}", settings.listen));
        let token = std::env::var("QUELL_TOKEN").ok().or_else(|| read_line(&settings.data.join(TOKEN_FILE)));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| CliError::new(Exit::Own, "http", error))?;
        Ok(Client { http, base: base.trim_end_matches('/').to_owned(), token })
    }

    /// Where the server is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether a server answers.
    pub async fn is_up(&self) -> bool {
        let answer = self.http.get(format!("{}/healthz", self.base)).timeout(LOOK_TIMEOUT).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// When no server answers, or it says no.
    pub async fn get(&self, path: &str) -> Result<Value, CliError> {
        let text = self.call(self.http.get(self.url(path))).await?;
        parse(&text)
    }

    /// Orders something.
    ///
    /// # Errors
    /// When no server answers, or it says no.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        parse(&self.post_text(path, body).await?)
    }

    /// Changes something.
    ///
    /// # Errors
    /// When no server answers, or it says no.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let request = self.http.patch(self.url(path));
        let request = request.header("content-type", "application/json").body(body.to_string());
        parse(&self.call(request).await?)
    }

    /// Hands over bytes as they are.
    ///
    /// # Errors
    /// When no server answers, or it says no.
    pub async fn post_bytes(&self, path: &str, kind: &str, body: Vec<u8>) -> Result<Value, CliError> {
        let request = self.http.post(self.url(path)).header("content-type", kind).body(body);
        parse(&self.call(request).await?)
    }

    /// Orders something whose answer is a text.
    ///
    /// # Errors
    /// When no server answers, or it says no.
    pub async fn post_text(&self, path: &str, body: &Value) -> Result<String, CliError> {
        let request =
            self.http.post(self.url(path)).header("content-type", "application/json").body(body.to_string());
        self.call(request).await
    }

    /// Follows a run until it ends, handing over each entry.
    ///
    /// # Errors
    /// When the server goes away.
    pub async fn follow(&self, run: &str, mut each: impl FnMut(&Entry)) -> Result<(), CliError> {
        let request = self.authorised(self.http.get(self.url(&format!("/runs/{run}/events"))));
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            return Err(problem(status, &answer.text().await.unwrap_or_default()));
        }
        let mut stream = answer.bytes_stream();
        let mut buffer = Vec::new();
        while let Some(chunk) = stream.next().await {
            buffer.extend_from_slice(&chunk.map_err(|error| self.unreachable(&error))?);
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = buffer.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&event);
                let data: String =
                    text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
                if let Ok(entry) = serde_json::from_str::<Entry>(&data) {
                    each(&entry);
                }
            }
        }
        Ok(())
    }

    /// Orders something whose answer is long, and hands over each piece of it as
    /// it comes. It may take as long as it takes.
    ///
    /// # Errors
    /// When no server answers, it says no, the connection breaks, or `each`
    /// takes no more.
    pub async fn download(
        &self,
        path: &str,
        each: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> Result<(), CliError> {
        let request = self.authorised(self.http.post(self.url(path)));
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            return Err(problem(status, &answer.text().await.unwrap_or_default()));
        }
        let mut stream = answer.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| self.unreachable(&error))?;
            each(&chunk).map_err(|error| {
                CliError::new(Exit::Own, "file", format!("what came cannot be written: {error}"))
            })?;
        }
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<String, CliError> {
        let answer = self
            .authorised(request)
            .timeout(CALL_TIMEOUT)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        let mut stream = answer.bytes_stream();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| self.unreachable(&error))?);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(CliError::new(
                    Exit::Own,
                    "answer-too-large",
                    "the server's answer is larger than 64 MiB",
                ));
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() { Ok(text) } else { Err(problem(status.as_u16(), &text)) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let why = if error.is_connect() { "nothing answers there" } else { "the connection failed" };
        CliError::new(
            Exit::Own,
            "server-unreachable",
            format!(
                "the server at {} cannot be reached: {why}; start it with `{}`, or name another with QUELL_SERVER",
                self.base,
                hint("serve")
            ),
        )
    }
}

fn read_line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn parse(text: &str) -> Result<Value, CliError> {
    serde_json::from_str(text).map_err(|error| {
        CliError::new(
            Exit::Own,
            "answer-unreadable",
            format!("the server's answer is no JSON: {error}; is it a Quell server?"),
        )
    })
}

/// A problem document as the command line tells it.
fn problem(status: u16, text: &str) -> CliError {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let field = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = field("code").unwrap_or_else(|| format!("http-{status}"));
    let exit = match status {
        _ if code == PLAYBOOK_UNKNOWN => Exit::Wrong,
        400 | 405 | 413 | 415 | 422 => Exit::Wrong,
        401 | 403 | 404 | 409 | 412 => Exit::Refused,
        _ => Exit::Own,
    };
    let message = field("detail").unwrap_or_else(|| format!("the server answered {status}"));
    CliError::new(exit, &code, message)
}
