//! What callers send, read into checked values; what cannot be read is refused
//! with a problem document in plain words.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{
    FromRequest, FromRequestParts, MatchedPath, OptionalFromRequest, Query as AxumQuery, Request,
};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::encoding::numbers::kept_exactly;
use crate::service::error::Sort;
use crate::web::openapi::{Described, Given};
use crate::web::problem::Problem;
use crate::web::routes::{ENTRIES_MAX, described};
use crate::web::shapes::Shape;

/// Words of a caller that a refusal repeats; more would drown it.
const REPEATED_CHARS_MAX: usize = 200;

/// A JSON body, sent or received. As an `Option` it may be missing, as when a
/// `POST` needs nothing said.
pub struct Json<T>(pub T);

/// The part of an address after `?`.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let described = call_of(request.method(), request.extensions());
        let bytes = whole(request, state).await?;
        if bytes.is_empty() {
            return Err(wrong("body-missing", "this needs a body: send a JSON object"));
        }
        must_be_json(&headers)?;
        read(&bytes, described.map_or(&[], |call| call.body)).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let headers = request.headers().clone();
        let described = call_of(request.method(), request.extensions());
        let bytes = whole(request, state).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        must_be_json(&headers)?;
        read(&bytes, described.map_or(&[], |call| call.body)).map(|body| Some(Self(body)))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query =
            |error: String| wrong("query-wrong", format!("the part after `?` cannot be used: {error}"));
        // Read twice: `T` alone would say neither which key is wrong nor what it held.
        let given = AxumQuery::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| query("write it as name=value&name=value".to_owned()))?;
        let mut seen = BTreeMap::new();
        for (name, text) in given.0 {
            if seen.insert(name.clone(), text).is_some() {
                return Err(query(format!("`{}` stands there twice", repeated(&name))));
            }
        }
        let asked = AxumQuery::<T>::try_from_uri(&parts.uri).map(|AxumQuery(asked)| Self(asked));
        let asked = asked.map_err(|rejection| {
            let told = rejection.body_text();
            let told = told.rsplit_once("query string: ").map_or(told.as_str(), |(_, told)| told);
            let (name, why) = told.split_once(": ").unwrap_or(("", told));
            let why = words(why);
            match seen.get(name) {
                Some(text) => query(format!("`{}={}`: {why}", repeated(name), repeated(text))),
                None => query(words(told)),
            }
        })?;
        let described = call_of(&parts.method, &parts.extensions);
        for given in described.map_or(&[][..], |call| call.query) {
            let Some(text) = seen.get(given.name) else { continue };
            given.shape.check_text(text).map_err(|why| {
                if given.name == "after" {
                    let message = format!("`after` is no place in this list: `{}`, {why}", repeated(text));
                    return wrong("cursor-wrong", message);
                }
                query(format!("`{}={}`: {why}", given.name, repeated(text)))
            })?;
        }
        Ok(asked)
    }
}

/// What the description of the API says of a call.
fn call_of(method: &Method, extensions: &Extensions) -> Option<&'static Described> {
    let path = extensions.get::<MatchedPath>()?.as_str().strip_prefix("/api/v1")?;
    described(&method.as_str().to_ascii_lowercase(), path)
}

fn wrong(code: &str, message: impl Into<String>) -> Problem {
    Problem::new(Sort::Wrong, code, message)
}

fn repeated(text: &str) -> String {
    let short: String = text.chars().take(REPEATED_CHARS_MAX).collect();
    short.escape_debug().to_string()
}

async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Problem::new(
                Sort::TooLarge,
                "body-too-large",
                "the body is larger than 1 MiB; nothing was done",
            );
        }
        wrong("body-unread", "the body broke off before its end; nothing was done. Send it again")
    })
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let given = if kind.is_empty() { "no content-type".to_owned() } else { format!("`{}`", repeated(&kind)) };
    Err(Problem::new(
        Sort::OtherType,
        "body-not-json",
        format!("this takes JSON, and the body came with {given}; send `content-type: application/json`"),
    ))
}

/// The body as a `T`.
fn read<T: DeserializeOwned>(bytes: &[u8], described: &[Given]) -> Result<T, Problem> {
    let no_json = |error: &dyn std::fmt::Display| {
        wrong("body-not-json", format!("the body is no JSON: {}", words(&error.to_string())))
    };
    let text = std::str::from_utf8(bytes).map_err(|error| no_json(&error))?;
    let mut body: Value = serde_json::from_str(&kept_exactly(text)).map_err(|error| no_json(&error))?;
    let Value::Object(fields) = &mut body else {
        return Err(wrong("body-wrong", "the body must be a JSON object, such as {\"why\": \"…\"}"));
    };
    // An optional value that is null is a value that is not there.
    fields.retain(|name, value| {
        !(value.is_null() && described.iter().any(|given| given.name == name && !given.required))
    });
    // A whole number may be written with a point and a zero.
    for given in described.iter().filter(|given| matches!(given.shape, Shape::Whole(..))) {
        if let Some(value) = fields.get_mut(given.name)
            && let Some(whole) = whole_number(value)
        {
            *value = Value::from(whole);
        }
    }
    let fields = fields.clone();
    let told = match T::deserialize(&body) {
        Ok(value) => {
            for given in described {
                let Some(value) = fields.get(given.name) else { continue };
                let unfit =
                    |why| wrong("body-wrong", format!("the body cannot be used: `{}`: {why}", given.name));
                given.shape.check(value).map_err(unfit)?;
            }
            return Ok(value);
        }
        Err(error) => error.to_string(),
    };
    // The field without which the same mistake is not made is the wrong one.
    let culprit = fields.keys().find(|name| {
        let mut without = fields.clone();
        without.remove(*name);
        T::deserialize(&Value::Object(without)).err().is_none_or(|error| error.to_string() != told)
    });
    let why = words(&told);
    Err(match culprit.filter(|_| !told.starts_with("unknown field") && !told.starts_with("missing field")) {
        Some(name) => wrong("body-wrong", format!("the body cannot be used: `{}`: {why}", repeated(name))),
        None => wrong("body-wrong", format!("the body cannot be used: {why}")),
    })
}

/// The whole number that a number with a point is; nothing for all that is large
/// enough to be inexact.
fn whole_number(value: &Value) -> Option<u64> {
    let text = value.as_f64().filter(|_| value.is_f64())?.to_string();
    text.parse().ok().filter(|whole| *whole < ENTRIES_MAX)
}

/// What a reader of values says, without the words of the language it is
/// written in. What stands in quotes is the caller's own and stays.
fn words(told: &str) -> String {
    const WORDS: [(&str, &str); 23] = [
        ("unknown field ", "there is no "),
        (", expected one of ", "; there are "),
        (", there are no fields", "; nothing can be said here"),
        ("missing field ", "it lacks "),
        ("duplicate field ", "it has twice the field "),
        ("invalid type: map", "it is an object"),
        ("invalid type: sequence", "it is a list"),
        ("invalid type: string ", "it is the text "),
        ("invalid type: ", "it is "),
        ("invalid value: ", "it is "),
        ("invalid digit found in string", "it must be a whole number, not below 0"),
        ("cannot parse integer from empty string", "it must be a whole number, and it is empty"),
        ("number too large to fit in target type", "the number is too large"),
        ("provided string was not ", "it must be "),
        ("expected u64", "it must be a whole number, not below 0"),
        ("expected usize", "it must be a whole number, not below 0"),
        ("expected u8", "it must be a whole number from 0 to 255"),
        ("expected i64", "it must be a whole number"),
        ("expected a boolean", "it must be true or false"),
        ("expected a string", "it must be text"),
        ("expected a map", "it must be an object"),
        ("expected a sequence", "it must be a list"),
        (", expected ", "; there is "),
    ];
    let mut out = String::with_capacity(told.len());
    let mut quoted = None;
    let mut plain = String::new();
    let flush = |plain: &mut String, out: &mut String| {
        out.push_str(&WORDS.iter().fold(std::mem::take(plain), |text, (from, to)| text.replace(from, to)));
    };
    for c in told.chars() {
        match quoted {
            None if matches!(c, '`' | '"') => {
                flush(&mut plain, &mut out);
                out.push(c);
                quoted = Some(c);
            }
            None => plain.push(c),
            Some(mark) => {
                out.push(c);
                quoted = (c != mark).then_some(mark);
            }
        }
    }
    flush(&mut plain, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Map;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sent {
        seconds: u64,
        #[serde(default)]
        why: Option<String>,
        #[serde(default)]
        inputs: Map<String, Value>,
        #[serde(default)]
        happened: bool,
    }

    #[test]
    fn a_body_that_cannot_be_used_is_refused_in_words() {
        for (body, says) in [
            ("{", "the body is no JSON"),
            ("[]", "must be a JSON object"),
            ("{}", "it lacks `seconds`"),
            (r#"{"seconds":"5"}"#, "`seconds`: it is the text \"5\", it must be a whole number"),
            (r#"{"seconds":-5}"#, "`seconds`: it is integer `-5`, it must be a whole number, not below 0"),
            (r#"{"seconds":5,"inputs":[]}"#, "`inputs`: it is a list, it must be an object"),
            (
                r#"{"seconds":5,"happened":"yes"}"#,
                "`happened`: it is the text \"yes\", it must be true or false",
            ),
            (r#"{"seconds":5,"wy":"x"}"#, "there is no `wy`; there are `seconds`, `why`"),
        ] {
            let told = match read::<Sent>(body.as_bytes(), &[]) {
                Err(problem) => problem.0.message,
                Ok(sent) => panic!("{body} is taken as {sent:?}"),
            };
            assert!(told.contains(says), "{body}: {told}");
            for word in ["struct", "u64", "Sent", "usize", "Option", "deserialize", "serde"] {
                assert!(!told.contains(word), "{body}: {told}");
            }
        }
    }
}
