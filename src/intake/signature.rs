//! Whether a delivery comes from whom it says: the door of a source.
//!
//! ```text
//! headers + body + peer + now ─Door::verify→ Delivery | DoorError
//!
//! signature  the door and its refusals      config       what settings make one
//! signed     HMAC: own, Slack, GitHub       standard     Standard Webhooks
//! certificate  mutual TLS at a proxy        challenge    Okta's and Slack's handshakes
//! ```
//! Comparisons take the same time wherever two texts differ. What a refusal
//! says helps the owner of a source and nobody who forges: that a time is out
//! of the window is told only after the signature proved right.

use std::net::IpAddr;

use hmac::Hmac;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::time::Timestamp;
use crate::intake::signature::certificate::Certificate;
use crate::intake::signature::config::{bytes, header_name, keys};
use crate::intake::signature::signed::Signed;

pub use crate::intake::signature::config::{DoorConfig, DoorConfigError, Stamp};

pub mod certificate;
pub mod challenge;
pub mod config;
pub mod signed;
mod standard;

/// Bytes of a secret for Standard Webhooks (its specification: 24 to 64).
pub const STANDARD_SECRET_BYTES_MIN: usize = 24;

/// Bytes of any other secret: 128 bits, more than anybody tries out.
pub const SECRET_BYTES_MIN: usize = 16;

/// Secrets of a door that live at once: the old and the new while they rotate.
pub const SECRETS_MAX: usize = 2;

/// Seconds that the signed time of a delivery may differ from ours (Standard
/// Webhooks and Slack: five minutes).
pub const WINDOW_SECONDS: i64 = 300;

/// Bytes of a header that is read.
const HEADER_BYTES_MAX: usize = 4096;

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
    /// A certificate's name from somebody who is no proxy of ours.
    #[error(
        "this source takes deliveries only by the proxies that its settings name under `from`, and this one came from elsewhere"
    )]
    Elsewhere,
    /// A certificate that is not let in.
    #[error(
        "this certificate is none of those that this source lets in; check `fingerprints` and `subjects`"
    )]
    Certificate,
    /// A value that is not sent back.
    #[error("the value of the handshake is not one that is sent back: 1 to 256 plain characters")]
    Challenge,
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
            Self::Elsewhere => "proxy-unknown",
            Self::Certificate => "certificate-unknown",
            Self::Challenge => "challenge-malformed",
        }
    }
}

/// A delivery that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the signature proves to be the same in every copy of it: the same id
    /// is the same delivery. None where nothing about the body is proven.
    pub id: Option<String>,
}

/// How a vendor asks whether an address is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    None,
    Okta,
    Slack,
}

/// What a delivery must show.
pub struct Door {
    kind: Kind,
    handshake: Handshake,
}

enum Kind {
    Open,
    /// Digests of the secrets, and where one stands.
    Secret {
        secrets: Vec<[u8; 32]>,
        place: Place,
    },
    Signed(Signed),
    StandardWebhooks(Vec<Key>),
    Certificate(Certificate),
}

/// Where a secret stands that is sent as it is.
enum Place {
    Bearer,
    Header { header: String, prefix: String },
}

/// A key with its state, ready to sign; holds no copy of the secret.
type Key = Hmac<Sha256>;

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.kind {
            Kind::Open => "Door(open)",
            Kind::Secret { place: Place::Bearer, .. } => "Door(bearer)",
            Kind::Secret { .. } => "Door(header)",
            Kind::Signed(_) => "Door(signed)",
            Kind::StandardWebhooks(_) => "Door(standard-webhooks)",
            Kind::Certificate(_) => "Door(certificate)",
        })
    }
}

impl Door {
    /// Builds a door.
    ///
    /// # Errors
    /// Settings that would let anybody in, or nobody.
    pub fn new(config: DoorConfig) -> Result<Self, DoorConfigError> {
        let handshake = match &config {
            DoorConfig::Okta { .. } => Handshake::Okta,
            DoorConfig::Slack { .. } => Handshake::Slack,
            _ => Handshake::None,
        };
        let secret = |secrets: &[_], place| {
            let secrets = bytes(secrets, SECRET_BYTES_MIN, false)?;
            let secrets = secrets.iter().map(|secret| Sha256::digest(secret).into()).collect();
            Ok::<_, DoorConfigError>(Kind::Secret { secrets, place })
        };
        let kind = match config {
            DoorConfig::Open => Kind::Open,
            DoorConfig::Bearer { secrets } => secret(&secrets, Place::Bearer)?,
            DoorConfig::Header { secrets, header, prefix } => {
                secret(&secrets, Place::Header { header: header_name(header)?, prefix })?
            }
            DoorConfig::Okta { secrets, header } => {
                secret(&secrets, Place::Header { header: header_name(header)?, prefix: String::new() })?
            }
            DoorConfig::HmacSha256 { secrets, header, prefix, encoding, stamp } => {
                let keys = keys(&secrets, SECRET_BYTES_MIN, false)?;
                Kind::Signed(Signed::new(keys, header, prefix, encoding, stamp)?)
            }
            DoorConfig::Slack { secrets } => {
                Kind::Signed(Signed::slack(keys(&secrets, SECRET_BYTES_MIN, false)?))
            }
            DoorConfig::GitHub { secrets } => {
                Kind::Signed(Signed::github(keys(&secrets, SECRET_BYTES_MIN, false)?))
            }
            DoorConfig::StandardWebhooks { secrets } => {
                Kind::StandardWebhooks(keys(&secrets, STANDARD_SECRET_BYTES_MIN, true)?)
            }
            DoorConfig::Certificate { header, fingerprints, subjects, from } => {
                Kind::Certificate(Certificate::new(header, &fingerprints, &subjects, &from)?)
            }
        };
        Ok(Self { kind, handshake })
    }

    /// Whether it asks for no proof, so that it may stand on loopback only.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open)
    }

    /// Whether its sender takes 200 and 204 for success and nothing else: Okta
    /// sends a delivery again that was answered with 202.
    #[must_use]
    pub fn wants_plain_ok(&self) -> bool {
        self.handshake == Handshake::Okta
    }

    /// Whether many senders may stand behind this address: it is a proxy that the
    /// settings name.
    #[must_use]
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        matches!(&self.kind, Kind::Certificate(certificate) if certificate.believes(Some(peer)))
    }

    /// Checks one delivery, `body` being its bytes exactly as they came and `peer`
    /// who is connected to us.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn verify(
        &self,
        headers: &[Header<'_>],
        body: &[u8],
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Delivery, DoorError> {
        match &self.kind {
            Kind::Open => Ok(Delivery { id: None }),
            Kind::Secret { secrets, place } => shown(secrets, place, headers),
            Kind::Signed(signed) => signed.verify(headers, body, now),
            Kind::StandardWebhooks(keys) => standard::verify(keys, headers, body, now),
            Kind::Certificate(certificate) => certificate.verify(headers, peer),
        }
    }
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

/// Whether a signed time is one of now. Asked only once the signature proved right.
fn in_window(signed: Timestamp, now: Timestamp) -> Result<(), DoorError> {
    let age = (now.millis() / 1000).saturating_sub(signed.millis() / 1000);
    if age > WINDOW_SECONDS {
        return Err(DoorError::TooOld);
    }
    if age < -WINDOW_SECONDS {
        return Err(DoorError::TooNew);
    }
    Ok(())
}

/// A secret that is sent as it is.
fn shown(secrets: &[[u8; 32]], place: &Place, headers: &[Header<'_>]) -> Result<Delivery, DoorError> {
    let given = match place {
        Place::Bearer => {
            let text = only(headers, AUTHORIZATION)?.ok_or(DoorError::Missing(AUTHORIZATION))?;
            match text.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
                _ => return Err(DoorError::Wrong),
            }
        }
        Place::Header { header, prefix } => {
            let text = only(headers, header)?.ok_or(DoorError::MissingOwn)?;
            text.strip_prefix(prefix.as_str()).ok_or(DoorError::Wrong)?
        }
    };
    // Digests are compared, so that not even the length of a secret shows.
    let digest: [u8; 32] = Sha256::digest(given.as_bytes()).into();
    let right = secrets.iter().fold(subtle::Choice::from(0), |right, secret| right | secret.ct_eq(&digest));
    if bool::from(right) { Ok(Delivery { id: None }) } else { Err(DoorError::Wrong) }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod scheme_tests;
