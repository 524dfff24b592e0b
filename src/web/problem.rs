//! Errors as problem documents (RFC 9457), with the code the command line shows.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::service::error::{ServiceError, Sort};

/// Seconds after which a caller that we could not serve may come back.
const RETRY_AFTER_SECONDS: u64 = 2;

/// A call that was not carried out.
pub struct Problem(pub ServiceError);

impl Problem {
    /// A problem of this sort.
    pub fn new(sort: Sort, code: &str, message: impl Into<String>) -> Self {
        Self(ServiceError::new(sort, code, message))
    }
}

impl From<ServiceError> for Problem {
    /// What came was read and is as described, so that what is wrong about it is what
    /// it says of the things here.
    fn from(error: ServiceError) -> Self {
        let sort = if error.sort == Sort::Wrong { Sort::OtherContent } else { error.sort };
        Self(ServiceError { sort, ..error })
    }
}

/// The status that a sort of no has.
fn status(sort: Sort) -> StatusCode {
    match sort {
        Sort::Wrong | Sort::Malformed => StatusCode::BAD_REQUEST,
        Sort::Unknown => StatusCode::UNAUTHORIZED,
        Sort::Forbidden => StatusCode::FORBIDDEN,
        Sort::Absent => StatusCode::NOT_FOUND,
        Sort::Refused => StatusCode::CONFLICT,
        Sort::Changed => StatusCode::PRECONDITION_FAILED,
        Sort::OtherContent => StatusCode::UNPROCESSABLE_ENTITY,
        Sort::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Sort::OtherType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Sort::OtherMethod => StatusCode::METHOD_NOT_ALLOWED,
        Sort::TooOften => StatusCode::TOO_MANY_REQUESTS,
        Sort::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Sort::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Sort::Own => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// That so much comes at once is no failure, and a flood must not fill the log.
const NOT_LOGGED: [&str; 5] =
    ["queue-full", "bodies-full", "requests-full", "streams-full", "connection-closed"];

impl Problem {
    /// The document.
    fn document(&self) -> String {
        let status = status(self.0.sort);
        json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": self.0.code,
            "detail": self.0.message,
        })
        .to_string()
    }

    /// The whole answer as it goes over the wire, for a connection that nobody serves.
    pub fn written_out(&self) -> String {
        let (status, body) = (status(self.0.sort), self.document());
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nretry-after: {RETRY_AFTER_SECONDS}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status(self.0.sort);
        if status.is_server_error() && !NOT_LOGGED.contains(&self.0.code.as_str()) {
            tracing::error!(code = %self.0.code, message = %self.0.message, "a call failed");
        }
        let mut response = (status, self.document()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.0.sort {
            Sort::Busy | Sort::TooOften => {
                let seconds = self.0.retry_after.unwrap_or(RETRY_AFTER_SECONDS);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Sort::Unknown => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        // A page says it in its own way.
        response.extensions_mut().insert(RefusedBecause(self.0));
        response
    }
}

/// Why a call was not carried out, beside the document that tells it.
#[derive(Clone)]
pub struct RefusedBecause(pub ServiceError);

/// Makes a problem document of an answer that the router gave by itself: a
/// path that is no text.
pub async fn in_words(answer: Response) -> Response {
    let status = answer.status();
    let ours = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        [&b"application/problem+json"[..], b"text/html; charset=utf-8"].contains(&kind.as_bytes())
    });
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let problem = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Sort::TooLarge, "body-too-large", "the body is larger than 1 MiB; nothing was done")
        }
        status if status.is_client_error() => {
            Problem::new(Sort::Wrong, "request-wrong", "the address holds something that is no text in UTF-8")
        }
        _ => Problem::new(Sort::Own, "unanswered", "the server could not answer; its log says why"),
    };
    problem.into_response()
}
