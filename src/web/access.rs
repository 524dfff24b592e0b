//! Who may call what. Everything is denied unless its route declares who may;
//! tokens are kept as digests only, and compared in constant time.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::service::error::Sort;
use crate::web::limits::CountedKind;
use crate::web::openapi::Answer;
use crate::web::problem::Problem;
use crate::web::routes::ROUTES;
use crate::web::server::Web;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Look at things.
    Reader,
    /// Start runs, cancel, undo, extend, settle.
    Responder,
    /// Approve and reject what is asked of them, and look.
    Approver,
    /// All of it.
    Admin,
}

impl Role {
    /// The role of this name.
    pub fn named(name: &str) -> Option<Role> {
        Some(match name {
            "reader" => Role::Reader,
            "responder" => Role::Responder,
            "approver" => Role::Approver,
            "admin" => Role::Admin,
            _ => return None,
        })
    }
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: it tells nothing of what is here.
    Open,
    /// Everybody, also when there is room for nothing else.
    Health,
    /// Senders of alerts, as far as their source lets them in; also when there is
    /// room for nothing else.
    Sender,
    /// Who holds a personal link.
    Link,
    /// Who has a token with this role.
    Token(Role),
    /// As `Token`; and who asks a source for a handshake, without one.
    TokenOrHandshake(Role),
}

/// Where the addresses of [`ROUTES`] begin.
const API: &str = "/api/v1";

/// What [`ROUTES`] does not say by a role.
const BESIDE: &[(&str, &str, Access)] = &[
    ("get", "/", Access::Open),
    ("get", "/q/{token}", Access::Link),
    ("post", "/q/{token}", Access::Link),
    ("get", "/approvals/{id}", Access::Open),
    ("get", "/healthz", Access::Health),
    ("get", "/readyz", Access::Health),
    ("get", "/metrics", Access::Token(Role::Reader)),
    ("get", "/api/v1/openapi.json", Access::Open),
    ("get", "/api/v1/alerts/{source}", Access::TokenOrHandshake(Role::Reader)),
    ("post", "/api/v1/alerts/{source}", Access::Sender),
];

/// What no route declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undeclared {
    /// The address.
    Path,
    /// This method of it.
    Method,
}

/// Who may use a route, and what its answer counts as. `path` is as the router has it.
///
/// # Errors
/// When it is not declared; it is refused then.
pub fn declared(method: &Method, path: &str) -> Result<(Access, CountedKind), Undeclared> {
    // A server answers `HEAD` as it would `GET`, without the body.
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let is = |name: &str| name.eq_ignore_ascii_case(method.as_str());
    let of_api = ROUTES.iter().find(|(route, _)| path.strip_prefix(API) == Some(route));
    let described = of_api.and_then(|(_, methods)| methods.iter().find(|one| is(one.method)));
    let streams = described.is_some_and(|one| one.answer == Answer::Events);
    let kind = if streams { CountedKind::Stream } else { CountedKind::Request };
    let beside = BESIDE.iter().find(|(name, route, _)| is(name) && *route == path);
    let by_role = || described.and_then(|one| Role::named(one.role?)).map(Access::Token);
    match beside.map(|(_, _, access)| *access).or_else(by_role) {
        Some(access) => Ok((access, kind)),
        None if of_api.is_some() || BESIDE.iter().any(|(_, route, _)| *route == path) => {
            Err(Undeclared::Method)
        }
        None => Err(Undeclared::Path),
    }
}

/// One token that is let in.
pub struct Token {
    /// Whose it is.
    pub who: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may do.
    pub roles: Vec<Role>,
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Mail address.
    pub who: String,
    /// SHA-256 of the token.
    pub token: [u8; 32],
    roles: Vec<Role>,
}

impl Caller {
    /// Lets the call through when the caller has the role.
    ///
    /// # Errors
    /// A 403 problem that says what is missing.
    pub fn may(&self, role: Role) -> Result<&str, Problem> {
        let looks = role == Role::Reader && !self.roles.is_empty();
        if looks || self.roles.contains(&role) || self.roles.contains(&Role::Admin) {
            return Ok(&self.who);
        }
        let missing = format!("{role:?}").to_lowercase();
        Err(Problem::new(
            Sort::Forbidden,
            "role-missing",
            format!(
                "{} may not do this: the role `{missing}` is needed; an admin can add it under `access.tokens`",
                self.who
            ),
        ))
    }
}

fn token_needed() -> Problem {
    Problem::new(
        Sort::Unknown,
        "token-needed",
        "this needs a token: send `Authorization: Bearer TOKEN`, or set QUELL_TOKEN for the command line",
    )
}

/// Who calls, by the token in the headers.
///
/// # Errors
/// When there is no token, or nobody has it.
pub fn caller(tokens: &[Token], headers: &HeaderMap) -> Result<Caller, Problem> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(token_needed)?;
    let sha256: [u8; 32] = Sha256::digest(given.trim().as_bytes()).into();
    // All are compared, so that the time taken does not tell which one fits.
    let mut found = None;
    for token in tokens {
        if bool::from(token.sha256.ct_eq(&sha256)) {
            found = Some(Caller { who: token.who.clone(), token: sha256, roles: token.roles.clone() });
        }
    }
    found.ok_or_else(|| {
        Problem::new(
            Sort::Unknown,
            "token-unknown",
            "this token is none of this server's; ask for one, or name the data directory with --data on the server's own machine",
        )
    })
}

/// Who calls, as the layer that every request passes has found out.
impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Problem> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(token_needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The routes of the router, as its source has them: address and method.
    fn routed() -> Vec<(String, String)> {
        let source = include_str!("server.rs");
        let (api, pages) = source.split_once(".nest(").expect("the API is nested");
        let mut found = Vec::new();
        for (prefix, part) in [(API, api), ("", pages)] {
            for route in part.split(".route(\"").skip(1) {
                let (path, rest) = route.split_once('"').expect("an address");
                let handlers = rest.split("\n").next().unwrap_or_default();
                for method in ["get", "post", "patch", "put", "delete"] {
                    if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}("))
                    {
                        found.push((format!("{prefix}{path}"), method.to_uppercase()));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn every_route_declares_who_may_use_it_and_nothing_else_is_declared() {
        let routed = routed();
        assert!(routed.len() >= 50, "{routed:?}");
        for (path, method) in &routed {
            let method: Method = method.parse().expect("a method");
            assert!(declared(&method, path).is_ok(), "{method} {path} does not declare who may use it");
        }
        let is_routed = |method: &str, path: &str| {
            routed.iter().any(|(route, of)| route == path && of.eq_ignore_ascii_case(method))
        };
        for (method, path, _) in BESIDE {
            assert!(is_routed(method, path), "{method} {path} is declared and leads nowhere");
        }
        for (path, methods) in ROUTES {
            for one in *methods {
                let path = format!("{API}{path}");
                assert!(is_routed(one.method, &path), "{} {path} is described and leads nowhere", one.method);
                assert_eq!(one.role.is_some(), one.role.and_then(Role::named).is_some(), "{path}: its role");
            }
        }
    }

    #[test]
    fn what_is_not_declared_is_refused() {
        for (method, path, refused) in [
            (Method::GET, "/api/v1/runs/{id}/secrets", Undeclared::Path),
            (Method::GET, "", Undeclared::Path),
            (Method::GET, "/runs", Undeclared::Path),
            (Method::DELETE, "/api/v1/runs/{id}", Undeclared::Method),
            (Method::OPTIONS, "/q/{token}", Undeclared::Method),
        ] {
            assert_eq!(declared(&method, path), Err(refused), "{method} {path}");
        }
        let events = declared(&Method::GET, "/api/v1/runs/{id}/events");
        assert_eq!(events, Ok((Access::Token(Role::Reader), CountedKind::Stream)));
        assert_eq!(declared(&Method::HEAD, "/healthz"), Ok((Access::Health, CountedKind::Request)));
    }
}
