//! Whether a delivery comes from whom it says: the door of a source.
//!
//! ```text
//! headers + body + now ─Door::verify→ Delivery | DoorError
//! ```
//! Comparisons take the same time wherever two texts differ. What a refusal
//! says helps the owner of a source and nobody who forges: that a time is out
//! of the window is told only after the signature proved right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::time::Timestamp;

/// Bytes of a secret for Standard Webhooks (its specification: 24 to 64).
pub const STANDARD_SECRET_BYTES_MIN: usize = 24;

/// Bytes of any other secret: 128 bits, more than anybody tries out.
pub const SECRET_BYTES_MIN: usize = 16;

/// Secrets of a door that live at once: the old and the new while they rotate.
pub const SECRETS_MAX: usize = 2;

/// Seconds that the time of a Standard Webhooks delivery may differ from ours
/// (its reference libraries: five minutes).
pub const WINDOW_SECONDS: i64 = 300;

/// Signatures read from one header; senders that rotate send two.
const SIGNATURES_MAX: usize = 8;

/// Bytes of a header that is read.
const HEADER_BYTES_MAX: usize = 4096;

/// Bytes of a delivery's id. It becomes a key of the store.
const ID_BYTES_MAX: usize = 256;

const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";
const AUTHORIZATION: &str = "authorization";

/// A header as it came: its name in any case, and its bytes.
pub type Header<'a> = (&'a str, &'a [u8]);

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits of either case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// The settings of a door, secrets resolved.
#[derive(Debug)]
pub enum DoorConfig {
    /// No proof at all. Only for a server that listens on loopback.
    Open,
    /// `Authorization: Bearer SECRET`.
    Bearer {
        /// One, or two while they rotate.
        secrets: Vec<SecretString>,
    },
    /// HMAC-SHA256 over the body. It proves the sender, not the moment: a
    /// delivery sent again is told by the alert's own id.
    HmacSha256 {
        /// One, or two while they rotate.
        secrets: Vec<SecretString>,
        /// The header, such as `X-Hub-Signature-256`.
        header: String,
        /// What stands before the signature, such as `sha256=`; may be empty.
        prefix: String,
        /// How the signature is written.
        encoding: Encoding,
    },
    /// <https://www.standardwebhooks.com>, symmetric (`v1`).
    StandardWebhooks {
        /// One, or two while they rotate: `whsec_` and base64, or the text
        /// itself as the key.
        secrets: Vec<SecretString>,
    },
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
}

/// Why a delivery was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// A header that proves the sender is missing or empty.
    #[error("the delivery is not signed: the header `{0}` is missing; set up the secret at the sender")]
    Missing(&'static str),
    /// The header that the settings name is missing.
    #[error(
        "the delivery is not signed: the header that this source expects is missing; set up the secret at the sender"
    )]
    MissingOwn,
    /// A header came twice, so that two readers may read two things.
    #[error("a header of the signature came more than once; one proxy on the way repeats it")]
    Repeated,
    /// A header that cannot be read.
    #[error("a header of the signature cannot be read; check how the sender is set up")]
    Malformed,
    /// The signature or token is not right.
    #[error(
        "the signature is wrong; check that both sides have the same secret and nothing changes the body on the way"
    )]
    Wrong,
    /// Rightly signed, too long ago.
    #[error(
        "the delivery was signed more than {WINDOW_SECONDS} seconds ago; check both clocks, or have it sent anew"
    )]
    TooOld,
    /// Rightly signed, in the future.
    #[error("the delivery was signed more than {WINDOW_SECONDS} seconds in the future; check both clocks")]
    TooNew,
}

impl DoorError {
    /// Stable and kebab-case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing(_) | Self::MissingOwn => "signature-missing",
            Self::Repeated => "signature-repeated",
            Self::Malformed => "signature-malformed",
            Self::Wrong => "signature-wrong",
            Self::TooOld => "signature-too-old",
            Self::TooNew => "signature-too-new",
        }
    }
}

/// A delivery that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The sender's id of it, when it is signed: the same id is the same
    /// delivery.
    pub id: Option<String>,
}

/// What a delivery must show.
pub struct Door(Kind);

enum Kind {
    Open,
    Bearer(Vec<[u8; 32]>),
    HmacSha256 { keys: Vec<Key>, header: String, prefix: String, encoding: Encoding },
    StandardWebhooks(Vec<Key>),
}

/// A key with its state, ready to sign; holds no copy of the secret.
type Key = Hmac<Sha256>;

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Kind::Open => "Door(open)",
            Kind::Bearer(_) => "Door(bearer)",
            Kind::HmacSha256 { .. } => "Door(hmac-sha256)",
            Kind::StandardWebhooks(_) => "Door(standard-webhooks)",
        })
    }
}

impl Door {
    /// Builds a door.
    ///
    /// # Errors
    /// Settings that would let anybody in, or nobody.
    pub fn new(config: DoorConfig) -> Result<Self, DoorConfigError> {
        Ok(Self(match config {
            DoorConfig::Open => Kind::Open,
            DoorConfig::Bearer { secrets } => {
                let secrets = bytes(&secrets, SECRET_BYTES_MIN, false)?;
                Kind::Bearer(secrets.iter().map(|secret| Sha256::digest(secret).into()).collect())
            }
            DoorConfig::HmacSha256 { secrets, header, prefix, encoding } => {
                let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-_!#$%&'*+.^`|~".contains(&b);
                if header.is_empty() || !header.bytes().all(is_token) {
                    return Err(DoorConfigError::Header { header });
                }
                let keys = keys(&bytes(&secrets, SECRET_BYTES_MIN, false)?);
                Kind::HmacSha256 { keys, header, prefix, encoding }
            }
            DoorConfig::StandardWebhooks { secrets } => {
                Kind::StandardWebhooks(keys(&bytes(&secrets, STANDARD_SECRET_BYTES_MIN, true)?))
            }
        }))
    }

    /// Whether it asks for no proof, so that it may stand on loopback only.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.0, Kind::Open)
    }

    /// Checks one delivery, `body` being its bytes exactly as they came.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn verify(&self, headers: &[Header<'_>], body: &[u8], now: Timestamp) -> Result<Delivery, DoorError> {
        match &self.0 {
            Kind::Open => Ok(Delivery { id: None }),
            Kind::Bearer(secrets) => bearer(secrets, headers),
            Kind::HmacSha256 { keys, header, prefix, encoding } => {
                let text = only(headers, header)?.ok_or(DoorError::MissingOwn)?;
                let written = text.strip_prefix(prefix.as_str()).ok_or(DoorError::Wrong)?;
                let signature = decode(written, *encoding).ok_or(DoorError::Wrong)?;
                let right = any_matches(keys, &[body], &[signature]);
                if right { Ok(Delivery { id: None }) } else { Err(DoorError::Wrong) }
            }
            Kind::StandardWebhooks(keys) => standard(keys, headers, body, now),
        }
    }
}

/// The secrets as bytes, each long enough.
fn bytes(secrets: &[SecretString], least: usize, whsec: bool) -> Result<Vec<Vec<u8>>, DoorConfigError> {
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

fn keys(secrets: &[Vec<u8>]) -> Vec<Key> {
    let key = |secret: &Vec<u8>| Key::new_from_slice(secret).expect("HMAC takes keys of any length");
    secrets.iter().map(key).collect()
}

/// The one value of a header, as text.
fn only<'a>(headers: &[Header<'a>], name: &str) -> Result<Option<&'a str>, DoorError> {
    let mut values =
        headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(DoorError::Repeated);
    }
    if value.len() > HEADER_BYTES_MAX {
        return Err(DoorError::Malformed);
    }
    let text = std::str::from_utf8(value).map_err(|_| DoorError::Malformed)?.trim();
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn bearer(secrets: &[[u8; 32]], headers: &[Header<'_>]) -> Result<Delivery, DoorError> {
    let text = only(headers, AUTHORIZATION)?.ok_or(DoorError::Missing(AUTHORIZATION))?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(DoorError::Wrong),
    };
    // Digests are compared, so that not even the length of a secret shows.
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let right = secrets.iter().fold(subtle::Choice::from(0), |right, secret| right | secret.ct_eq(&digest));
    if bool::from(right) { Ok(Delivery { id: None }) } else { Err(DoorError::Wrong) }
}

/// Signs `{id}.{timestamp}.{body}`; the header holds `v1,BASE64` one or more
/// times with spaces between (Standard Webhooks 1.0.0, "Signature scheme").
fn standard(
    keys: &[Key],
    headers: &[Header<'_>],
    body: &[u8],
    now: Timestamp,
) -> Result<Delivery, DoorError> {
    let required = |name| only(headers, name)?.ok_or(DoorError::Missing(name));
    let id = required(WEBHOOK_ID)?;
    let timestamp = required(WEBHOOK_TIMESTAMP)?;
    let written = required(WEBHOOK_SIGNATURE)?;
    // A dot in the id could move bytes between id, time and body unseen.
    let sound_id = id.len() <= ID_BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
    if !sound_id || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DoorError::Malformed);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| DoorError::Malformed)?;
    let signatures: Vec<Vec<u8>> = written
        .split_ascii_whitespace()
        .take(SIGNATURES_MAX)
        .filter_map(|one| decode(one.strip_prefix("v1,")?, Encoding::Base64))
        .collect();
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    if !any_matches(keys, &parts, &signatures) {
        return Err(DoorError::Wrong);
    }
    let age = (now.millis() / 1000).saturating_sub(seconds);
    if age > WINDOW_SECONDS {
        return Err(DoorError::TooOld);
    }
    if age < -WINDOW_SECONDS {
        return Err(DoorError::TooNew);
    }
    Ok(Delivery { id: Some(id.to_owned()) })
}

fn decode(written: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(written).ok(),
        Encoding::Base64 => STANDARD.decode(written).ok(),
    }
}

/// Whether any key signs `parts` as any of `signatures` says. Every pair is
/// tried, each in constant time.
fn any_matches(keys: &[Key], parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    let mut right = false;
    for key in keys {
        let signed = parts.iter().fold(key.clone(), |signed, part| signed.chain_update(part));
        for signature in signatures {
            right |= signed.clone().verify_slice(signature).is_ok();
        }
    }
    right
}

#[cfg(test)]
mod tests;
