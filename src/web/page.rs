//! Pages for people. Nothing is decided by a step that a program takes by itself:
//!
//! ```text
//!   GET ── the question ── POST ── the answer in words, a box to tick,
//!                                  and what only this page holds ── POST ── decided
//! ```
//! A mail scanner follows links, a form filler posts a form as it stands; neither
//! ticks the box of the second page.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::domain::id::ApprovalId;
use crate::domain::inputs::GivenInputs;
use crate::domain::playbook::{InputKind, InputSpec};
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, digest};
use crate::service::error::{ServiceError, Sort};
use crate::service::people::OpenQuestion;
use crate::service::unchanged::OnlyIf;
use crate::web::problem::{Problem, RefusedBecause};
use crate::web::server::Web;

/// No script, nothing from elsewhere, in nobody's frame, told to nobody.
const PAGE_HEADERS: &[(HeaderName, &str)] = &[
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    // Told to nobody else; with `no-referrer` a browser would not say either that a form
    // comes from our own page.
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
];

/// `GET /q/{token}`.
pub async fn question(State(web): State<Web>, Path(token): Path<String>) -> Response {
    match web.service.question_behind(&token).await {
        Ok(question) => question_page(&web, &question, None, StatusCode::OK),
        Err(error) => error_page(&web, &error),
    }
}

/// `POST /q/{token}`: repeats the answer for confirmation; confirmed, it counts.
pub async fn answer(
    State(web): State<Web>,
    Path(token): Path<String>,
    form: Result<Form<BTreeMap<String, String>>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return unread(&web, &rejection),
    };
    let question = match web.service.question_behind(&token).await {
        Ok(question) => question,
        Err(error) => return error_page(&web, &error),
    };
    let again = |message: &str| question_page(&web, &question, Some(message), StatusCode::BAD_REQUEST);
    if !question.open {
        return question_page(&web, &question, None, StatusCode::CONFLICT);
    }
    let Some(choice) = form.get("choice") else { return again("Please choose one of the answers.") };
    let Some((_, label)) = question.choices.iter().find(|(known, _)| known == choice) else {
        return again("What was sent is none of the answers. Please choose one of those below.");
    };
    let fields = match fields_of(&question, &form) {
        Ok(fields) => fields,
        Err(message) => return again(&message),
    };
    let answer = AnswerToConfirm { token: &token, choice, label, fields };
    let confirm = |message| confirmation_page(&web, &question, &answer, &form, message);
    let Some(given) = form.get("confirm") else { return confirm(None) };
    if let Err(error) = web.service.confirmed(given, &token, &answer.digest()) {
        return confirm(Some(&error.message));
    }
    if form.get("sure").is_none_or(|sure| sure != "yes") {
        return confirm(Some("Please tick the box if this is your answer."));
    }
    match web.service.answer(question.id, &question.person, choice, &answer.fields, &OnlyIf::default()).await
    {
        Ok(()) => match web.service.question_behind(&token).await {
            Ok(question) => question_page(&web, &question, None, StatusCode::OK),
            Err(error) => error_page(&web, &error),
        },
        Err(error) if error.sort == Sort::Wrong => again(&error.message),
        Err(error) if error.sort == Sort::Refused => {
            question_page(&web, &question, Some(&error.message), StatusCode::CONFLICT)
        }
        Err(error) => error_page(&web, &error),
    }
}

/// An answer that somebody is about to give.
struct AnswerToConfirm<'a> {
    token: &'a str,
    choice: &'a str,
    label: &'a str,
    fields: GivenInputs,
}

impl AnswerToConfirm<'_> {
    /// What a confirmation holds for: another choice or field needs another.
    fn digest(&self) -> Digest {
        digest(
            json!({ "choice": self.choice, "values": self.fields.values, "texts": self.fields.texts })
                .to_string()
                .as_bytes(),
        )
    }
}

/// The answer in words, with a box to tick. Only this page holds what confirms it.
fn confirmation_page(
    web: &Web,
    question: &OpenQuestion,
    answer: &AnswerToConfirm<'_>,
    form: &BTreeMap<String, String>,
    message: Option<&str>,
) -> Response {
    let said: Vec<Value> = question
        .fields
        .iter()
        .filter_map(|field| {
            let text = form.get(&format!("field.{}", field.name)).filter(|text| !text.trim().is_empty())?;
            Some(json!({ "name": field.name, "label": title(field), "text": text }))
        })
        .collect();
    let context = json!({
        "state": "confirm", "text": question.text, "person": question.person, "message": message,
        "choice": answer.choice, "label": answer.label, "said": said,
        "confirm": web.service.confirmation(answer.token, &answer.digest()),
    });
    let status = if message.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    page(web, "pages/question.html", &context, status)
}

fn title(field: &InputSpec) -> &str {
    field.label.as_deref().unwrap_or(&field.name)
}

/// The typed fields out of a form, in which everything is text.
fn fields_of(question: &OpenQuestion, form: &BTreeMap<String, String>) -> Result<GivenInputs, String> {
    let mut fields = Map::new();
    for field in &question.fields {
        let Some(text) = form
            .get(&format!("field.{}", field.name))
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
        else {
            continue;
        };
        let title = title(field);
        let value = match field.kind {
            InputKind::Boolean => Some(Value::from(matches!(text, "true" | "yes" | "on"))),
            kind => kind.read(text),
        };
        let value = value.ok_or_else(|| format!("{title} takes {}.", field.kind.takes_words()))?;
        fields.insert(field.name.clone(), value);
    }
    Ok(GivenInputs::from(fields))
}

/// Has refusals of the layer that every request passes said by a page, where people
/// came with a browser.
pub async fn in_words_for_people(State(web): State<Web>, request: Request, next: Next) -> Response {
    let for_people = request.uri().path().starts_with("/q/");
    let refused = next.run(request).await;
    let Some(RefusedBecause(error)) = refused.extensions().get::<RefusedBecause>().filter(|_| for_people)
    else {
        return refused;
    };
    let context = json!({ "title": "Nothing was answered", "text": error.message });
    let mut shown = page(&web, "pages/notice.html", &context, refused.status());
    if let Some(after) = refused.headers().get(header::RETRY_AFTER) {
        shown.headers_mut().insert(header::RETRY_AFTER, after.clone());
    }
    shown
}

/// A form that could not be read.
fn unread(web: &Web, rejection: &FormRejection) -> Response {
    let (status, text) = match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "This takes the form of the page. Please open the link again and use the button there.",
        ),
        _ => (StatusCode::BAD_REQUEST, "What was sent cannot be read. Please open the link again."),
    };
    page(web, "pages/notice.html", &json!({ "title": "Nothing was answered", "text": text }), status)
}

fn question_page(web: &Web, question: &OpenQuestion, message: Option<&str>, status: StatusCode) -> Response {
    let state = match (&question.answer, question.open) {
        (Some(_), _) => "answered",
        (None, true) => "open",
        (None, false) => "closed",
    };
    // Used once, the link tells no more about the case: mail is forwarded and
    // searched for years.
    if state == "answered" {
        let at = question.answered_at.map(minute);
        let context = json!({ "state": state, "at": at, "message": message });
        return page(web, "pages/question.html", &context, status);
    }
    let choices: Vec<Value> =
        question.choices.iter().map(|(value, label)| json!({ "value": value, "label": label })).collect();
    let fields: Vec<Value> = question
        .fields
        .iter()
        .map(|field| json!({ "name": field.name, "label": title(field), "required": field.required }))
        .collect();
    let context = json!({
        "state": state, "text": question.text, "person": question.person, "choices": choices, "fields": fields,
        "until": minute(question.until), "message": message,
    });
    page(web, "pages/question.html", &context, status)
}

fn minute(at: Timestamp) -> String {
    at.to_minute()
}

fn error_page(web: &Web, error: &ServiceError) -> Response {
    let status = match error.sort {
        Sort::Absent => StatusCode::NOT_FOUND,
        Sort::Busy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let context = json!({ "title": "This page cannot be shown", "text": error.message });
    page(web, "pages/notice.html", &context, status)
}

/// `GET /`: what answers here, and where its doors are. Of the house itself it
/// tells nothing: whoever reads it is not signed in.
pub async fn home(State(web): State<Web>) -> Response {
    page(&web, "pages/home.html", &json!({}), StatusCode::OK)
}

/// `GET /approvals/{id}`: where an approval mail leads. It tells how to decide
/// and nothing about the case: whoever reads it is not signed in.
pub async fn approval(State(web): State<Web>, Path(id): Path<String>) -> Response {
    let verdict = id.parse::<ApprovalId>().ok().and_then(|id| {
        let views = web.service.views.read();
        views.approvals.get(id).map(|row| row.verdict)
    });
    let Some(verdict) = verdict else {
        return error_page(
            &web,
            &ServiceError::new(Sort::Absent, "link-unknown", "there is no such approval here"),
        );
    };
    if verdict.is_some() {
        let text = format!(
            "Nothing is asked any more. On a machine with your token, run: quell show {id} to see how it was decided"
        );
        let context = json!({ "title": "This approval is decided", "text": text });
        return page(&web, "pages/notice.html", &context, StatusCode::OK);
    }
    let text = format!(
        "Approvals are given by people who are signed in, never by following a link. On a machine with your token, run: quell show {id} to see what is asked, then quell approve {id} or quell reject {id}"
    );
    page(
        &web,
        "pages/notice.html",
        &json!({ "title": "An approval is waiting", "text": text }),
        StatusCode::OK,
    )
}

fn page(web: &Web, template: &str, context: &Value, status: StatusCode) -> Response {
    match web.service.world.templates.html(template, context) {
        Ok(html) => {
            let mut response = (status, html).into_response();
            for (name, value) in PAGE_HEADERS {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
        Err(error) => Problem::new(Sort::Own, "page", error.to_string()).into_response(),
    }
}
