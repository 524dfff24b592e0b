//! Signatures over the body, or over a time and the body: any sender's own,
//! Slack's and GitHub's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use sha2::{Digest as _, Sha256};

use crate::domain::time::Timestamp;
use crate::intake::signature::config::{Stamp, header_name};
use crate::intake::signature::{
    Delivery, DoorConfigError, DoorError, Encoding, Header, Key, in_window, only,
};

/// Digits from which on a time counts milliseconds: as seconds it would lie
/// behind the year 5000.
const MILLIS_DIGITS: usize = 12;

/// A layout that does not say what is signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Not both of time and body, or one of them twice.
    #[error(
        "`{0}` does not say what is signed: `{{timestamp}}` and `{{body}}` stand in it once each, as in `{{timestamp}}.{{body}}`"
    )]
    Parts(String),
    /// Digits of the time could be moved into the body.
    #[error(
        "in `{0}` nothing keeps time and body apart; put a sign that is no digit between them, as the sender does"
    )]
    Apart(String),
}

/// A part of what is signed.
enum Part {
    Text(String),
    Time,
    Body,
}

/// The time that is signed with the body, and how.
struct Timed {
    header: String,
    layout: Vec<Part>,
}

/// Signatures in a header.
pub(super) struct Signed {
    keys: Vec<Key>,
    header: String,
    prefix: String,
    encoding: Encoding,
    timed: Option<Timed>,
    /// Whether the body alone tells deliveries apart, whenever it was signed.
    same_body_is_same: bool,
}

impl Signed {
    pub(super) fn new(
        keys: Vec<Key>,
        header: String,
        prefix: String,
        encoding: Encoding,
        stamp: Option<Stamp>,
    ) -> Result<Self, DoorConfigError> {
        let header = header_name(header)?;
        let timed = match stamp {
            None => None,
            Some(Stamp { header, layout }) => {
                Some(Timed { header: header_name(header)?, layout: parts(&layout)? })
            }
        };
        let same_body_is_same = timed.is_none();
        Ok(Self { keys, header, prefix, encoding, timed, same_body_is_same })
    }

    /// `X-Slack-Signature: v0=HEX` over `v0:TIME:BODY`. Slack signs a delivery
    /// anew when it sends it again, and each body holds an id of its event: so
    /// the body tells which delivery it is.
    pub(super) fn slack(keys: Vec<Key>) -> Self {
        let layout = vec![Part::Text("v0:".to_owned()), Part::Time, Part::Text(":".to_owned()), Part::Body];
        Self {
            keys,
            header: "X-Slack-Signature".to_owned(),
            prefix: "v0=".to_owned(),
            encoding: Encoding::Hex,
            timed: Some(Timed { header: "X-Slack-Request-Timestamp".to_owned(), layout }),
            same_body_is_same: true,
        }
    }

    /// `X-Hub-Signature-256: sha256=HEX` over the body. The delivery's own id
    /// (`X-GitHub-Delivery`) is not signed, so it tells nothing.
    pub(super) fn github(keys: Vec<Key>) -> Self {
        Self {
            keys,
            header: "X-Hub-Signature-256".to_owned(),
            prefix: "sha256=".to_owned(),
            encoding: Encoding::Hex,
            timed: None,
            same_body_is_same: true,
        }
    }

    pub(super) fn verify(
        &self,
        headers: &[Header<'_>],
        body: &[u8],
        now: Timestamp,
    ) -> Result<Delivery, DoorError> {
        let text = only(headers, &self.header)?.ok_or(DoorError::MissingOwn)?;
        let time = match &self.timed {
            None => "",
            Some(timed) => only(headers, &timed.header)?.ok_or(DoorError::MissingOwn)?,
        };
        let millis = match &self.timed {
            None => None,
            Some(_) => Some(millis(time).ok_or(DoorError::Malformed)?),
        };
        let written = text.strip_prefix(self.prefix.as_str()).ok_or(DoorError::Wrong)?;
        let signature = decode(written, self.encoding).ok_or(DoorError::Wrong)?;
        let signed = self.signed(time, body);
        if !any_matches(&self.keys, &signed, &[signature]) {
            return Err(DoorError::Wrong);
        }
        if let Some(millis) = millis {
            in_window(Timestamp::from_millis(millis), now)?;
        }
        let told_by: &[&[u8]] = if self.same_body_is_same { &[body] } else { &signed };
        let digest = told_by.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize();
        Ok(Delivery { id: Some(format!("sha256:{}", hex::encode(digest))) })
    }

    /// What is signed, in parts.
    fn signed<'a>(&'a self, time: &'a str, body: &'a [u8]) -> Vec<&'a [u8]> {
        let Some(timed) = &self.timed else {
            return vec![body];
        };
        let part = |part: &'a Part| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Time => time.as_bytes(),
            Part::Body => body,
        };
        timed.layout.iter().map(part).collect()
    }
}

/// A time as senders write it: seconds, or milliseconds.
fn millis(written: &str) -> Option<i64> {
    if !written.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = written.parse().ok()?;
    if written.len() >= MILLIS_DIGITS { Some(number) } else { number.checked_mul(1000) }
}

fn parts(layout: &str) -> Result<Vec<Part>, LayoutError> {
    const TIME: &str = "{timestamp}";
    const BODY: &str = "{body}";
    let wrong = || LayoutError::Parts(layout.escape_debug().to_string());
    if layout.matches(TIME).count() != 1 || layout.matches(BODY).count() != 1 {
        return Err(wrong());
    }
    let (time, body) = (layout.find(TIME).ok_or_else(wrong)?, layout.find(BODY).ok_or_else(wrong)?);
    let ends = if time < body { (time + TIME.len(), body) } else { (body + BODY.len(), time) };
    let between = &layout[ends.0..ends.1];
    if !between.bytes().any(|b| !b.is_ascii_digit()) {
        return Err(LayoutError::Apart(layout.escape_debug().to_string()));
    }
    let text = |text: &str| Part::Text(text.to_owned());
    let first = layout[..time.min(body)].to_owned();
    let last = &layout[(time + TIME.len()).max(body + BODY.len())..];
    let (one, other) = if time < body { (Part::Time, Part::Body) } else { (Part::Body, Part::Time) };
    Ok(vec![Part::Text(first), one, text(between), other, text(last)])
}

pub(super) fn decode(written: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(written).ok(),
        Encoding::Base64 => STANDARD.decode(written).ok(),
    }
}

/// Whether any key signs `parts` as any of `signatures` says. Every pair is
/// tried, each in constant time.
pub(super) fn any_matches(keys: &[Key], parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    let mut right = false;
    for key in keys {
        let signed = parts.iter().fold(key.clone(), |signed, part| signed.chain_update(part));
        for signature in signatures {
            right |= signed.clone().verify_slice(signature).is_ok();
        }
    }
    right
}
