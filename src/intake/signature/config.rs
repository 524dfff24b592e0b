//! The settings of a door, and the secrets as bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::intake::signature::certificate::NetworkError;
use crate::intake::signature::signed::LayoutError;
use crate::intake::signature::{Encoding, Key, SECRETS_MAX};

/// The settings of a door, secrets resolved. Every list of secrets holds one, or
/// two while they rotate.
#[derive(Debug)]
pub enum DoorConfig {
    /// No proof at all. Only for a server that listens on loopback.
    Open,
    /// `Authorization: Bearer SECRET`.
    Bearer {
        /// The secrets.
        secrets: Vec<SecretString>,
    },
    /// The secret itself in a header, as in `X-Api-Key: SECRET`.
    Header {
        /// The secrets.
        secrets: Vec<SecretString>,
        /// The header.
        header: String,
        /// What stands before the secret; may be empty.
        prefix: String,
    },
    /// Okta's event hooks: the secret in a header, and their handshake.
    Okta {
        /// The secrets.
        secrets: Vec<SecretString>,
        /// The header; Okta calls it the authentication field.
        header: String,
    },
    /// HMAC-SHA256 over the body, or over a time and the body. Without a time it
    /// proves the sender, not the moment: the same body is the same delivery.
    HmacSha256 {
        /// The secrets.
        secrets: Vec<SecretString>,
        /// The header, such as `X-Signature-256`.
        header: String,
        /// What stands before the signature, such as `sha256=`; may be empty.
        prefix: String,
        /// How the signature is written.
        encoding: Encoding,
        /// The time that is signed with the body.
        stamp: Option<Stamp>,
    },
    /// <https://docs.slack.dev/authentication/verifying-requests-from-slack>, and
    /// the handshake of the Events API.
    Slack {
        /// The signing secrets of the app.
        secrets: Vec<SecretString>,
    },
    /// <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>.
    GitHub {
        /// The secrets.
        secrets: Vec<SecretString>,
    },
    /// <https://www.standardwebhooks.com>, symmetric (`v1`).
    StandardWebhooks {
        /// The secrets: `whsec_` and base64, or the text itself as the key.
        secrets: Vec<SecretString>,
    },
    /// Mutual TLS that ends at a proxy, which tells in a header whose certificate
    /// it was. Whoever reaches the port without it could write the header too, so
    /// only the proxies that are named are believed.
    Certificate {
        /// The header.
        header: String,
        /// SHA-256 or SHA-1 of certificates, in hex; colons may stand between.
        fingerprints: Vec<String>,
        /// Subject names, as the proxy writes them.
        subjects: Vec<String>,
        /// Addresses of the proxies, or networks such as `10.0.0.0/8`.
        from: Vec<String>,
    },
}

/// A time that is signed with the body.
#[derive(Debug)]
pub struct Stamp {
    /// The header that holds it: seconds since 1970, or milliseconds.
    pub header: String,
    /// What is signed, such as `{timestamp}.{body}`.
    pub layout: String,
}

/// Settings that make no door.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoorConfigError {
    /// No secret, or too many.
    #[error("{count} secrets are given; give 1, or 2 while they rotate")]
    Secrets {
        /// How many.
        count: usize,
    },
    /// A secret that can be guessed.
    #[error(
        "secret {number} has {bytes} bytes; it needs at least {least}: make one with `openssl rand -base64 32`"
    )]
    ShortSecret {
        /// Which, from 1.
        number: usize,
        /// Bytes it has.
        bytes: usize,
        /// Bytes it needs.
        least: usize,
    },
    /// `whsec_` without base64 after it.
    #[error("secret {number} starts with `whsec_` but what follows is not base64; copy it again")]
    NotBase64 {
        /// Which, from 1.
        number: usize,
    },
    /// A name that no header can have.
    #[error("`{header}` cannot be the name of a header")]
    Header {
        /// The name.
        header: String,
    },
    /// A layout that does not say what is signed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No certificate is let in.
    #[error("no certificate is let in; name some under `fingerprints` or `subjects`")]
    NoCertificates,
    /// A fingerprint that is none.
    #[error("`{0}` is no fingerprint; it takes 64 hexadecimal digits (SHA-256), or 40 (SHA-1)")]
    Fingerprint(String),
    /// No proxy is named, or one that is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// A name that a header can have.
pub(super) fn header_name(header: String) -> Result<String, DoorConfigError> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-_!#$%&'*+.^`|~".contains(&b);
    if header.is_empty() || !header.bytes().all(is_token) {
        return Err(DoorConfigError::Header { header: header.escape_debug().to_string() });
    }
    Ok(header)
}

/// The secrets as bytes, each long enough.
pub(super) fn bytes(
    secrets: &[SecretString],
    least: usize,
    whsec: bool,
) -> Result<Vec<Vec<u8>>, DoorConfigError> {
    if secrets.is_empty() || secrets.len() > SECRETS_MAX {
        return Err(DoorConfigError::Secrets { count: secrets.len() });
    }
    let read = |(at, secret): (usize, &SecretString)| {
        let number = at + 1;
        let text = secret.expose_secret();
        let bytes = match text.strip_prefix("whsec_") {
            Some(rest) if whsec => {
                STANDARD.decode(rest).map_err(|_| DoorConfigError::NotBase64 { number })?
            }
            _ => text.as_bytes().to_vec(),
        };
        if bytes.len() < least {
            return Err(DoorConfigError::ShortSecret { number, bytes: bytes.len(), least });
        }
        Ok(bytes)
    };
    secrets.iter().enumerate().map(read).collect()
}

/// The secrets as keys.
pub(super) fn keys(secrets: &[SecretString], least: usize, whsec: bool) -> Result<Vec<Key>, DoorConfigError> {
    let key = |secret: &Vec<u8>| Key::new_from_slice(secret).expect("HMAC takes keys of any length");
    Ok(bytes(secrets, least, whsec)?.iter().map(key).collect())
}
