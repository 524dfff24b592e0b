//! What the HTTP servers of the practice range share: bearer tokens, problem
//! documents (RFC 9457), and serving on a port until told to stop.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Bytes a request's body may have: far above any request these servers know.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Whether the request carries this bearer token (RFC 6750).
pub fn bearer_is(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, given)) = given.and_then(|value| value.split_once(' ')) else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer") && bool::from(given.trim().as_bytes().ct_eq(token.as_bytes()))
}

/// A problem document.
pub fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    body_of(status, "application/problem+json", &body)
}

/// The answer to a request without the right token.
pub fn unauthorised() -> Response {
    let mut response =
        problem(StatusCode::UNAUTHORIZED, "send the token of this server as Authorization: Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// A JSON body with a media type of its own.
pub fn body_of(status: StatusCode, media_type: &'static str, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, media_type)], body.to_string()).into_response()
}

/// Serves until `stop` says so (or its sender is gone), then lets the requests
/// under way finish.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let router = router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let stopped = async move {
        // An error means that the sender is gone, which says the same.
        let _ = stop.wait_for(|stopped| *stopped).await;
    };
    // Small answers leave at once: they would wait for up to 40 ms otherwise.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "a server of the lab ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_under_the_bearer_scheme_opens() {
        for (given, opens) in [
            ("Bearer secret", true),
            ("bearer secret", true),
            ("Bearer secre", false),
            ("Bearer secretx", false),
            ("Basic secret", false),
            ("secret", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(given));
            assert_eq!(bearer_is(&headers, "secret"), opens, "{given:?}");
        }
        assert!(!bearer_is(&HeaderMap::new(), "secret"));
    }
}
