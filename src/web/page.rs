//! Pages for people. A `GET` shows and changes nothing, so that a mail scanner
//! that follows links decides nothing; only a `POST` with the form's button does.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::domain::id::ApprovalId;
use crate::domain::inputs::GivenInputs;
use crate::domain::playbook::InputKind;
use crate::domain::time::Timestamp;
use crate::service::error::{ServiceError, Sort};
use crate::service::people::OpenQuestion;
use crate::service::unchanged::OnlyIf;
use crate::web::problem::Problem;
use crate::web::server::Web;

/// No script, nothing from elsewhere, in nobody's frame, told to nobody.
const PAGE_HEADERS: &[(HeaderName, &str)] = &[
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
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

/// `POST /q/{token}`.
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
    // Only the form's own button decides: a program that follows links and
    // sends what it finds has not read the question.
    if form.get("decide").is_none_or(|decide| decide != "yes") {
        let message = "Please choose an answer and send it with the button below.";
        return question_page(&web, &question, Some(message), StatusCode::BAD_REQUEST);
    }
    let Some(choice) = form.get("choice") else {
        return question_page(
            &web,
            &question,
            Some("Please choose one of the answers."),
            StatusCode::BAD_REQUEST,
        );
    };
    if question.open && !question.choices.iter().any(|(known, _)| known == choice) {
        let message = "What was sent is none of the answers. Please choose one of those below.";
        return question_page(&web, &question, Some(message), StatusCode::BAD_REQUEST);
    }
    let fields = match fields_of(&question, &form) {
        Ok(fields) => fields,
        Err(message) => {
            return question_page(&web, &question, Some(&message), StatusCode::BAD_REQUEST);
        }
    };
    match web.service.answer(question.id, &question.person, choice, &fields, &OnlyIf::default()).await {
        Ok(()) => match web.service.question_behind(&token).await {
            Ok(question) => question_page(&web, &question, None, StatusCode::OK),
            Err(error) => error_page(&web, &error),
        },
        Err(error) if error.sort == Sort::Wrong => {
            question_page(&web, &question, Some(&error.message), StatusCode::BAD_REQUEST)
        }
        Err(error) if error.sort == Sort::Refused => {
            question_page(&web, &question, Some(&error.message), StatusCode::CONFLICT)
        }
        Err(error) => error_page(&web, &error),
    }
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
        let title = field.label.as_deref().unwrap_or(&field.name);
        let value = match field.kind {
            InputKind::Boolean => Some(Value::from(matches!(text, "true" | "yes" | "on"))),
            kind => kind.read(text),
        };
        let value = value.ok_or_else(|| format!("{title} takes {}.", field.kind.takes_words()))?;
        fields.insert(field.name.clone(), value);
    }
    Ok(GivenInputs::from(fields))
}

/// A form that could not be read.
fn unread(web: &Web, rejection: &FormRejection) -> Response {
    let (status, text) = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            (StatusCode::PAYLOAD_TOO_LARGE, "What was sent is larger than 1 MiB. Please shorten it.")
        }
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
    let fields: Vec<Value> = question.fields.iter().map(|field| json!({ "name": field.name, "label": field.label.as_deref().unwrap_or(&field.name), "required": field.required })).collect();
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
    let known =
        id.parse::<ApprovalId>().ok().is_some_and(|id| web.service.views.read().approvals.get(id).is_some());
    if !known {
        return error_page(
            &web,
            &ServiceError::new(Sort::Absent, "link-unknown", "there is no such approval here"),
        );
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
