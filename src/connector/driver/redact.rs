//! Takes secrets out of what is shown and kept, and only there: what decides, is
//! captured or is written back is the peer's own answer (`docs/answers.md`).
//!
//! A peer may repeat what it was sent: in an error text, in an answer's body.
//! Secrets are known by value here, so they are found wherever they stand, also
//! in the forms that transports put them into, and cut in two.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use crate::domain::value::{Value, truncate_text};

/// The longest part of a peer's words that a message repeats, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 400;

/// Shorter secrets are not looked for: they would be found in every other word.
const SECRET_BYTES_MIN: usize = 4;

/// Secrets of this length stand in a value by no accident; a shorter one may be
/// an ordinary word, such as a role.
const SURE_BYTES_MIN: usize = 8;

/// Forms of this length are found cut in two as well. Halves of shorter ones
/// are found in ordinary words.
const CUT_BYTES_MIN: usize = 12;

/// Stands where a secret stood.
const HIDDEN: &str = "…";

/// Stands for an answer that holds a secret in a way that cannot be cut out.
const LEFT_OUT: &str = "(left out: the answer repeats a secret of this connector)";

/// Finds secrets by value.
pub struct Redactor {
    /// Every form of every secret, the longest first.
    forms: Vec<Form>,
    /// The first and the last bytes of all forms: a text without any of them holds
    /// no secret. Most texts are such, and are gone through once.
    ends: Option<AhoCorasick>,
}

struct Form {
    text: SecretString,
    /// Whether where it stands, it stands by no accident.
    sure: bool,
}

impl Redactor {
    /// One that finds these secrets, as they are and as JSON, base64, hex and
    /// percent-encoded text.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut forms: Vec<(String, bool)> = Vec::new();
        for secret in secrets {
            let secret = secret.expose_secret();
            if secret.len() < SECRET_BYTES_MIN {
                continue;
            }
            let json = in_json(secret);
            let form: String = reqwest::Url::parse_with_params("x:y", [("", secret)])
                .map_or_else(|_| String::new(), |url| url.query().unwrap_or_default()[1..].to_owned());
            let all = [
                secret.to_owned(),
                // An error that quotes another error.
                in_json(&json),
                json,
                form.replace('+', "%20"),
                form,
                STANDARD.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
                hex::encode(secret),
            ];
            forms.extend(all.map(|form| (form, secret.len() >= SURE_BYTES_MIN)));
        }
        forms.retain(|(form, _)| form.len() >= SECRET_BYTES_MIN);
        forms.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let ends = forms.iter().flat_map(|(form, _)| {
            let bytes = form.as_bytes();
            [&bytes[..SECRET_BYTES_MIN], &bytes[bytes.len() - SECRET_BYTES_MIN..]]
        });
        let ends = AhoCorasick::new(ends).ok();
        let forms = forms.into_iter().map(|(text, sure)| Form { text: SecretString::from(text), sure });
        Self { forms: forms.collect(), ends }
    }

    /// The text for a message: without secrets, control and direction
    /// characters made visible, at most [`MESSAGE_BYTES_MAX`] bytes.
    pub fn clean(&self, text: &str) -> String {
        let text = self.hidden(text);
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

    /// What is kept of an answer for the record in place of its bytes; nothing
    /// when they hold no secret and can be kept as they are. `text` is what the
    /// bytes say, `body` the value that was read of it.
    pub fn kept(&self, text: &str, body: &Value) -> Option<String> {
        let shown = self.hidden(text);
        if shown == text && !self.is_in(&strings_of(body), |_| true) {
            return None;
        }
        // JSON may write a character as `\u0041`, which cannot be cut out of its text.
        let read = serde_json::from_str(&shown).unwrap_or_else(|_| Value::from(shown.as_str()));
        let hidden = !self.is_in(&strings_of(&read), |_| true);
        Some(if hidden { shown } else { LEFT_OUT.to_owned() })
    }

    /// Whether a secret stands in this value by no accident.
    pub fn is_in_value(&self, value: &Value) -> bool {
        self.is_in(&strings_of(value), |form| form.sure)
    }

    fn may_be_in(&self, text: &str) -> bool {
        self.ends.as_ref().is_none_or(|ends| ends.is_match(text))
    }

    fn is_in(&self, text: &str, wanted: impl Fn(&Form) -> bool) -> bool {
        if !self.may_be_in(text) {
            return false;
        }
        let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        self.forms.iter().filter(|form| wanted(form)).any(|form| {
            let secret = form.text.expose_secret();
            text.contains(secret)
                || secret.len() >= CUT_BYTES_MIN
                    // Broken over lines, or in two places.
                    && (joined.contains(secret) || halves_in(secret, text).is_some_and(Halves::are_whole))
        })
    }

    /// The text without secrets, whole ones and halves.
    fn hidden(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if !self.may_be_in(&text) {
            return text;
        }
        let forms = || self.forms.iter().map(|form| form.text.expose_secret());
        for secret in forms() {
            if text.contains(secret) {
                text = text.replace(secret, HIDDEN);
            }
        }
        for secret in forms().filter(|secret| secret.len() >= CUT_BYTES_MIN) {
            if let Some(halves) = halves_in(secret, &text) {
                for half in halves.told() {
                    text = text.replace(half, HIDDEN);
                }
            }
        }
        // Broken into more than two, over lines: where cannot be told.
        if self.is_in(&text, |_| true) { HIDDEN.to_owned() } else { text }
    }
}

/// The longest beginning and the longest end of a secret that stand in a text.
#[derive(Clone, Copy)]
struct Halves<'a> {
    secret: &'a str,
    beginning: &'a str,
    end: &'a str,
}

impl<'a> Halves<'a> {
    /// Whether the two are all of it.
    fn are_whole(self) -> bool {
        self.beginning.len() + self.end.len() >= self.secret.len()
    }

    /// Those that tell the secret, or half of it.
    fn told(self) -> impl Iterator<Item = &'a str> {
        let whole = self.are_whole();
        let halves = [self.beginning, self.end].into_iter();
        let long = move |half: &&str| whole || 2 * half.len() >= self.secret.len();
        halves.filter(|half| half.len() >= SECRET_BYTES_MIN).filter(long)
    }
}

/// What of a secret's beginning and end stands in the text; nothing when it is
/// too little to tell.
fn halves_in<'a>(secret: &'a str, text: &str) -> Option<Halves<'a>> {
    let cuts: Vec<usize> = secret.char_indices().map(|(at, _)| at).chain([secret.len()]).collect();
    // What holds a longer beginning holds a shorter one too, so halving finds the longest.
    let beginning = &secret[..cuts[cuts.partition_point(|&at| text.contains(&secret[..at])) - 1]];
    let end = &secret[cuts[cuts.partition_point(|&at| !text.contains(&secret[at..]))]..];
    let halves = Halves { secret, beginning, end };
    halves.told().next().is_some().then_some(halves)
}

/// Names and texts of a value, one a line, as they are without quotes and escapes.
fn strings_of(value: &Value) -> String {
    fn collect(value: &Value, into: &mut String) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => into.push_str(&number.to_string()),
            Value::String(text) => into.push_str(text),
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(map) => map.iter().for_each(|(name, item)| {
                into.push_str(name);
                into.push('\n');
                collect(item, into);
            }),
        }
        into.push('\n');
    }
    let mut text = String::new();
    collect(value, &mut text);
    text
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
    use serde_json::json;

    use super::*;

    fn kept(redactor: &Redactor, text: &str) -> String {
        let body = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        redactor.kept(text, &body).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn a_secret_is_found_in_every_form_it_can_come_back_in() {
        let secret = SecretString::from("s3cr\"t +/ü?".to_owned());
        let redactor = Redactor::new([&secret]);
        let plain = secret.expose_secret();
        for form in [
            plain.to_owned(),
            json!({ "said": plain }).to_string(),
            STANDARD.encode(plain),
            hex::encode(plain),
            "s3cr%22t+%2B%2F%C3%BC%3F".to_owned(),
            "s3cr%22t%20%2B%2F%C3%BC%3F".to_owned(),
        ] {
            let shown = redactor.clean(&format!("before {form} after"));
            assert!(shown.contains(HIDDEN) && !shown.contains("s3cr"), "{form}: {shown}");
            assert!(kept(&redactor, &form).contains(HIDDEN), "{form}");
            assert!(redactor.is_in_value(&json!({ "a": [{ "b": form }] })), "{form}");
        }
        let other = "{\"a\":1}";
        assert_eq!(kept(&redactor, other), other);
        assert!(!redactor.is_in_value(&json!({ "a": ["s3cr", 1, null, true] })));
    }

    #[test]
    fn a_secret_that_is_cut_in_two_is_found() {
        let secret = SecretString::from("canary-0123456789-xyz".to_owned());
        let redactor = Redactor::new([&secret]);
        let plain = secret.expose_secret();
        for at in 1..plain.len() {
            let (one, other) = plain.split_at(at);
            for text in [
                json!({ "a": one, "b": other }).to_string(),
                json!({ "a": [other, { "b": one }] }).to_string(),
                format!("first {one}\r\nthen {other}"),
                format!("{one}\r\n {other}"),
            ] {
                let (shown, kept) = (redactor.clean(&text), kept(&redactor, &text));
                for shown in [&shown, &kept] {
                    let longer = if at * 2 >= plain.len() { one } else { other };
                    assert!(
                        !shown.contains(longer) && shown.contains('…') | shown.contains("left out"),
                        "{text}: {shown}"
                    );
                }
            }
            assert!(redactor.is_in_value(&json!({ "a": one, "b": other })), "{one} {other}");
        }
        // A long secret, as some wrap base64 after 76 characters.
        let long = SecretString::from("k".repeat(20) + &"0123456789abcdef".repeat(16));
        let redactor = Redactor::new([&long]);
        let encoded = STANDARD.encode(long.expose_secret());
        let wrapped: Vec<&str> =
            encoded.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let shown = redactor.clean(&wrapped.join("\r\n"));
        assert_eq!(shown, HIDDEN);
        // Cut off in the middle of it, as an answer that breaks off does.
        let half = &long.expose_secret()[..150];
        assert!(!redactor.clean(&format!("at {half}")).contains("0123456789"));
    }

    #[test]
    fn a_secret_in_escapes_is_left_out_with_its_answer() {
        let secret = SecretString::from("hunter2-hunter2".to_owned());
        let redactor = Redactor::new([&secret]);
        let text = "{\"said\":\"\\u0068unter2-\\u0068unter2\",\"more\":1}";
        assert_eq!(kept(&redactor, text), LEFT_OUT);
    }

    #[test]
    fn an_ordinary_word_that_is_a_secret_somewhere_refuses_no_value() {
        let word = SecretString::from("admin".to_owned());
        let redactor = Redactor::new([&word]);
        assert!(!redactor.is_in_value(&json!({ "role": "admin" })));
        assert_eq!(redactor.clean("role admin"), "role …", "and it is shown nowhere all the same");
        let long = SecretString::from("administrator-of-all".to_owned());
        let redactor = Redactor::new([&long]);
        assert!(!redactor.is_in_value(&json!({ "role": "administrator" })));
        assert!(redactor.is_in_value(&json!({ "role": "administrator-of-all" })));
    }

    #[test]
    fn a_message_stays_one_short_line() {
        let redactor = Redactor::new([]);
        assert_eq!(redactor.clean("x\n\u{1b}[2J\u{202e}y"), "x\\n\\u{1b}[2J\\u{202e}y");
        assert!(redactor.clean(&"ü".repeat(1_000_000)).len() <= MESSAGE_BYTES_MAX + 3);
    }
}
