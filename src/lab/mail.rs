//! The mail that arrived: how it is kept, and a page of JSON for a person to
//! read it. A mail that was sent twice is there twice.

use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::http::problem;
use crate::lab::world::{MAILS_MAX, Mail, World, WorldError};

/// Bytes of a mail's text, and of its HTML, that are kept: beyond what a
/// person reads.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;

/// What became of a mail that came in whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Kept under this id.
    Kept(String),
    /// The world holds as many mails as it can.
    Full,
}

/// Keeps a mail, then wakes whoever reads mail.
pub async fn receive(
    world: &Arc<World>,
    from: String,
    to: Vec<String>,
    raw: &[u8],
) -> Result<Received, WorldError> {
    let mut mail = read(raw);
    mail.time = world.now();
    mail.from = from;
    mail.to = to;
    let received = world
        .change(move |state| {
            if state.mails.len() >= MAILS_MAX {
                return Received::Full;
            }
            mail.id = format!("m-{:06}", state.mails.len() + 1);
            let id = mail.id.clone();
            state.mails.push(mail);
            Received::Kept(id)
        })
        .await?;
    world.mail_arrived.notify_one();
    Ok(received)
}

fn read(raw: &[u8]) -> Mail {
    let mut mail = Mail {
        id: String::new(),
        time: chrono::DateTime::UNIX_EPOCH,
        from: String::new(),
        to: Vec::new(),
        subject: String::new(),
        message_id: String::new(),
        text: String::new(),
        html: None,
        attachments: Vec::new(),
    };
    let Some(message) = MessageParser::default().parse(raw) else {
        mail.text = short(&String::from_utf8_lossy(raw));
        return mail;
    };
    mail.subject = message.subject().unwrap_or_default().to_owned();
    mail.message_id = message.message_id().unwrap_or_default().to_owned();
    mail.text = short(&message.body_text(0).unwrap_or_default());
    // The parser also offers plain text as HTML; only what was sent as HTML counts.
    mail.html = message.html_part(0).and_then(|part| match &part.body {
        PartType::Html(html) => Some(short(html)),
        _ => None,
    });
    mail.attachments =
        message.attachments().map(|part| part.attachment_name().unwrap_or("unnamed").to_owned()).collect();
    mail
}

fn short(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only mails to this address.
    to: Option<String>,
}

/// The routes.
pub fn router(world: Arc<World>) -> Router {
    Router::new().route("/mail", get(list)).route("/mail/{id}", get(one)).with_state(world)
}

async fn list(
    Shared(world): Shared<Arc<World>>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(Wanted { to })) = wanted else {
        return problem(StatusCode::BAD_REQUEST, "list all mails, or those ?to= one address");
    };
    let state = world.state();
    let is_to =
        |mail: &&Mail| to.as_ref().is_none_or(|to| mail.to.iter().any(|at| at.eq_ignore_ascii_case(to)));
    let mails: Vec<Value> = state.mails.iter().filter(is_to).map(record).collect();
    Json(Value::Array(mails)).into_response()
}

async fn one(Shared(world): Shared<Arc<World>>, Path(id): Path<String>) -> Response {
    let state = world.state();
    let Some(mail) = state.mails.iter().find(|mail| mail.id == id) else {
        return problem(StatusCode::NOT_FOUND, &format!("no mail has the id {id:?}"));
    };
    let mut body = record(mail);
    body["html"] = json!(mail.html);
    body["acted"] = state
        .acted
        .iter()
        .filter(|acted| acted.mail == id)
        .map(|acted| json!({ "person": acted.person, "time": acted.time, "outcome": acted.outcome }))
        .collect();
    Json(body).into_response()
}

fn record(mail: &Mail) -> Value {
    json!({
        "id": mail.id,
        "time": mail.time,
        "from": mail.from,
        "to": mail.to,
        "subject": mail.subject,
        "message_id": mail.message_id,
        "text": mail.text,
        "attachments": mail.attachments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_with_two_bodies_and_an_attachment_is_read_as_its_parts() {
        let raw = concat!(
            "Subject: =?utf-8?q?Fr=C3=A5ga?=\r\nMessage-ID: <1@lab>\r\nMIME-Version: 1.0\r\n",
            "Content-Type: multipart/mixed; boundary=o\r\n\r\n",
            "--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n",
            "--i\r\nContent-Type: text/plain\r\n\r\nplain\r\n",
            "--i\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n--i--\r\n",
            "--o\r\nContent-Type: text/csv; name=a.csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1\r\n",
            "--o--\r\n",
        );
        let mail = read(raw.as_bytes());
        assert_eq!((mail.subject.as_str(), mail.message_id.as_str()), ("Fråga", "1@lab"));
        assert_eq!(mail.text.trim(), "plain");
        assert_eq!(mail.html.as_deref().map(str::trim), Some("<p>rich</p>"));
        assert_eq!(mail.attachments, ["a.csv"]);
    }

    #[test]
    fn plain_text_is_not_taken_for_html_and_junk_is_still_kept() {
        let mail = read(b"Subject: x\r\n\r\nhello\r\n");
        assert_eq!((mail.text.trim(), mail.html), ("hello", None));
        assert_eq!(read(b"").text, "");
    }
}
