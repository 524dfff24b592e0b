//! Who may call what. Everything is denied unless a token's role allows it;
//! tokens are kept as digests only, and compared in constant time.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::service::error::Sort;
use crate::web::problem::Problem;
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

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let refused = || {
            Problem::new(
                Sort::Unknown,
                "token-needed",
                "this needs a token: send `Authorization: Bearer TOKEN`, or set QUELL_TOKEN for the command line",
            )
        };
        let given = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(refused)?;
        let sha256: [u8; 32] = Sha256::digest(given.trim().as_bytes()).into();
        // All are compared, so that the time taken does not tell which one fits.
        let mut found = None;
        for token in web.tokens.iter() {
            if bool::from(token.sha256.ct_eq(&sha256)) {
                found = Some(Caller { who: token.who.clone(), roles: token.roles.clone() });
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
}
