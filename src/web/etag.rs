//! Versions of documents: `ETag` on what is read, `If-None-Match` to read it only
//! when it changed, `If-Match` to change it only when it did not.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::service::error::Sort;
use crate::service::unchanged::{Document, OnlyIf, version};
use crate::web::problem::Problem;
use crate::web::server::Web;

/// The largest document that gets a version: longer ones are read in pages.
const TAGGED_BYTES_MAX: u64 = 8 << 20;

/// Versions that one header may name.
const TAGS_MAX: usize = 20;

/// Gives every JSON document that is read its strong `ETag`, and answers 304 when the
/// caller has it.
pub async fn tag(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let bytes = response.body().size_hint().exact().filter(|bytes| *bytes <= TAGGED_BYTES_MAX);
    let (true, StatusCode::OK, true, Some(bytes)) = (reads, response.status(), is_json, bytes) else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::try_from(bytes).unwrap_or(usize::MAX)).await else {
        let message = "the answer could not be read to its end; the server's log says why";
        return Problem::new(Sort::Own, "unanswered", message).into_response();
    };
    let now = version(&body);
    set(&mut parts.headers, &now);
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let is_known = known.as_ref().and_then(|known| known.to_str().ok()).is_some_and(|known| {
        known.split(',').map(str::trim).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(now.as_str())
        })
    });
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

/// A document with its version, as the answer to a change of it.
pub fn changed(status: StatusCode, document: &Value) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(document)
        .map_err(|error| Problem::new(Sort::Own, "document-unwritable", error.to_string()))?;
    let now = version(&bytes);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response();
    set(response.headers_mut(), &now);
    Ok(response)
}

fn set(headers: &mut HeaderMap, version: &str) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        headers.insert(header::ETAG, tag);
    }
}

/// The versions that `If-Match` names; nothing without the header, or for `*`.
pub struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// What a change of this document needs.
    pub fn of(self, document: Document) -> OnlyIf {
        self.0.map_or_else(OnlyIf::default, |versions| OnlyIf::version_is(document, versions))
    }
}

impl FromRequestParts<Web> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Problem> {
        read(&parts.headers, &header::IF_MATCH).map(Self)
    }
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<String>>, Problem> {
    let given: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    if given.is_empty() {
        return Ok(None);
    }
    let texts: Vec<&str> = given.iter().filter_map(|value| value.to_str().ok()).collect();
    let tags: Vec<&str> = texts.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    if texts.len() == given.len() && tags == ["*"] {
        return Ok(None);
    }
    let versions: Option<Vec<String>> = tags.iter().map(|tag| quoted(tag)).collect();
    match versions {
        Some(versions) if texts.len() == given.len() && versions.len() <= TAGS_MAX => Ok(Some(versions)),
        _ => Err(Problem::new(
            // It has none of these versions, whatever was meant.
            Sort::Changed,
            "if-match-wrong",
            format!(
                "`If-Match` takes `*`, or up to {TAGS_MAX} versions in double quotes as `ETag` gave them; nothing was changed"
            ),
        )),
    }
}

/// What stands in quotes. A weak version matches nothing here.
fn quoted(tag: &str) -> Option<String> {
    let (weak, tag) = tag.strip_prefix("W/").map_or((false, tag), |tag| (true, tag));
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('"') {
        return None;
    }
    Some(if weak { format!("W/{inner}") } else { inner.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_a_star_or_versions_in_quotes() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_MATCH, value.parse().expect("it is a header"));
            }
            read(&headers, &header::IF_MATCH).map_err(|problem| problem.0.code)
        };
        let versions = |all: &[&str]| Ok(Some(all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>()));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"a\", \"b\"", "\"c\""]), versions(&["a", "b", "c"]));
        assert_eq!(read(&["W/\"a\""]), versions(&["W/a"]), "a weak one is equal to nothing");
        for wrong in ["a", "\"a", "", "\"a\",", "*, \"a\"", "\"a\"b\""] {
            assert_eq!(read(&[wrong]), Err("if-match-wrong".to_owned()), "{wrong}");
        }
    }
}
