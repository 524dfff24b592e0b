//! Handshakes: a vendor asks whether the address is ours by a value that it wants
//! back. Nothing is stored for one. What is sent back is short and printable, so
//! that nobody makes us say markup or break a line.

use crate::domain::value::Value;
use crate::intake::json;
use crate::intake::signature::{Door, DoorError, Handshake, Header, only};

/// The header of Okta's question.
pub const OKTA_CHALLENGE: &str = "x-okta-verification-challenge";

/// Characters of a value that is sent back. Okta's and Slack's have some fifty.
const CHALLENGE_CHARS_MAX: usize = 256;

/// Bytes of a body that may be Slack's question: it holds three short texts.
const QUESTION_BYTES_MAX: usize = 4096;

/// Levels of Slack's question.
const QUESTION_DEPTH_MAX: usize = 4;

impl Door {
    /// The value that Okta wants back, when this door is one for Okta and the
    /// headers ask. Okta asks before it ever sends the secret.
    ///
    /// # Errors
    /// When it asks with a value that is not sent back.
    pub fn okta_asks(&self, headers: &[Header<'_>]) -> Result<Option<String>, DoorError> {
        if self.handshake != Handshake::Okta {
            return Ok(None);
        }
        let asked = only(headers, OKTA_CHALLENGE)?;
        asked.map(|value| sound(value).ok_or(DoorError::Challenge)).transpose()
    }

    /// The value that Slack wants back, when this door is one for Slack and the
    /// body asks. Only for a body that [`Door::verify`] let in.
    ///
    /// # Errors
    /// When it asks with a value that is not sent back.
    pub fn slack_asks(&self, body: &[u8]) -> Result<Option<String>, DoorError> {
        if self.handshake != Handshake::Slack || body.len() > QUESTION_BYTES_MAX {
            return Ok(None);
        }
        let text = std::str::from_utf8(body).ok();
        let Some(question) = text.and_then(|text| json::read(text, QUESTION_DEPTH_MAX).ok()) else {
            return Ok(None);
        };
        if question.get("type").and_then(Value::as_str) != Some("url_verification") {
            return Ok(None);
        }
        let value = question.get("challenge").and_then(Value::as_str).and_then(sound);
        value.map(Some).ok_or(DoorError::Challenge)
    }
}

/// Letters, digits and signs that mean nothing to a browser or a terminal.
fn sound(value: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+/=:".contains(&b);
    let is = (1..=CHALLENGE_CHARS_MAX).contains(&value.len()) && value.bytes().all(plain);
    is.then(|| value.to_owned())
}
