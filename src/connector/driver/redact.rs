//! Takes secrets out of everything that is shown or kept.
//!
//! A peer may repeat what it was sent: in an error text, in an answer's body.
//! Secrets are known by value here, so they are found wherever they stand, also
//! in the forms that transports put them into.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use crate::domain::value::truncate_text;

/// The longest part of a peer's words that a message repeats, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 400;

/// Shorter secrets are not looked for: they would be found in every other word.
const SECRET_BYTES_MIN: usize = 4;

/// Stands where a secret stood.
const HIDDEN: &str = "…";

/// Finds secrets by value.
pub struct Redactor {
    /// Every form of every secret, the longest first.
    forms: Vec<SecretString>,
}

impl Redactor {
    /// One that finds these secrets, as they are and as JSON, base64, hex and
    /// percent-encoded text.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.expose_secret();
            if secret.len() < SECRET_BYTES_MIN {
                continue;
            }
            let json = in_json(secret);
            let form: String = reqwest::Url::parse_with_params("x:y", [("", secret)])
                .map_or_else(|_| String::new(), |url| url.query().unwrap_or_default()[1..].to_owned());
            forms.extend([
                secret.to_owned(),
                // An error that quotes another error.
                in_json(&json),
                json,
                form.replace('+', "%20"),
                form,
                STANDARD.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
                hex::encode(secret),
            ]);
        }
        forms.retain(|form| form.len() >= SECRET_BYTES_MIN);
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms: forms.into_iter().map(SecretString::from).collect() }
    }

    /// The text for a message: without secrets, control and direction
    /// characters made visible, at most [`MESSAGE_BYTES_MAX`] bytes.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.hide(&mut text);
        let mut visible = String::with_capacity(text.len().min(2 * MESSAGE_BYTES_MAX));
        for c in text.chars() {
            if visible.len() > MESSAGE_BYTES_MAX {
                break;
            }
            if c.is_control() || turns_text(c) {
                visible.extend(c.escape_default());
            } else {
                visible.push(c);
            }
        }
        truncate_text(&visible, MESSAGE_BYTES_MAX).into_owned()
    }

    /// The bytes of an answer without secrets; the same bytes when it held none.
    pub fn clean_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&bytes);
        if !self.forms.iter().any(|form| text.contains(form.expose_secret())) {
            drop(text);
            return bytes;
        }
        let mut text = text.into_owned();
        self.hide(&mut text);
        text.into_bytes()
    }

    fn hide(&self, text: &mut String) {
        for form in &self.forms {
            if text.contains(form.expose_secret()) {
                *text = text.replace(form.expose_secret(), HIDDEN);
            }
        }
    }
}

/// As it stands between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Characters that make a terminal or a page show text in another order
/// (Unicode Bidirectional Algorithm, explicit formatting characters).
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_it_can_come_back_in() {
        let secret = SecretString::from("s3cr\"t +/ü?".to_owned());
        let redactor = Redactor::new([&secret]);
        let plain = secret.expose_secret();
        for form in [
            plain.to_owned(),
            serde_json::json!({ "said": plain }).to_string(),
            STANDARD.encode(plain),
            hex::encode(plain),
            "s3cr%22t+%2B%2F%C3%BC%3F".to_owned(),
            "s3cr%22t%20%2B%2F%C3%BC%3F".to_owned(),
        ] {
            let shown = redactor.clean(&format!("before {form} after"));
            assert!(shown.contains(HIDDEN) && !shown.contains("s3cr"), "{form}: {shown}");
            let kept = redactor.clean_bytes(form.clone().into_bytes());
            assert_ne!(kept, form.clone().into_bytes(), "{form}");
        }
        let other = b"{\"a\":1}\xff".to_vec();
        assert_eq!(redactor.clean_bytes(other.clone()), other);
    }

    #[test]
    fn a_message_stays_one_short_line() {
        let redactor = Redactor::new([]);
        assert_eq!(redactor.clean("x\n\u{1b}[2J\u{202e}y"), "x\\n\\u{1b}[2J\\u{202e}y");
        assert!(redactor.clean(&"ü".repeat(1_000_000)).len() <= MESSAGE_BYTES_MAX + 3);
    }
}
