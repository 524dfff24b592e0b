//! What a value may look like that a caller gives. The description of the API and
//! the check of what comes are made of the same shape, so that neither says more
//! than the other.

use serde_json::{Value, json};

/// Characters of a text that people write: a paragraph or two.
const TEXT_CHARS_MAX: usize = 2000;

/// Bytes of a file that is handed over as text: what a body may have.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Characters of a cursor of the list of what needs a person.
const PLACE_CHARS_MAX: usize = 64;

/// At least one character that can be seen, as a pattern.
const SEEN: &str = r"[^\s\u0000-\u001f\u007f-\u00a0\ufeff]";

/// Characters of a ULID.
const ULID_CHARS: usize = 26;

/// The shape of one value.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Words of a person: something to be seen, up to [`TEXT_CHARS_MAX`].
    Words,
    /// Any text.
    Text,
    /// The text of a file.
    File,
    /// An id with this prefix.
    Id(&'static str),
    /// The id of a rule among detections: 32 hexadecimal digits.
    Rule,
    /// A place in the list of what needs a person.
    Place,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A point in time, RFC 3339.
    Time,
    /// A whole number from the first to the last.
    Whole(u64, u64),
    /// Whole seconds up to this many, written `30s`.
    Seconds(u64),
    /// Yes or no.
    Flag,
    /// An object.
    Object,
    /// An object whose values are texts.
    Texts,
    /// Any JSON.
    Any,
    /// A list of such values, at least and at most so many.
    List(&'static Shape, usize, usize),
}

impl Shape {
    /// The shape as a JSON Schema.
    pub fn schema(self) -> Value {
        match self {
            Self::Words => json!({
                "type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX, "pattern": SEEN,
            }),
            Self::Text => json!({ "type": "string" }),
            Self::File => json!({ "type": "string", "maxLength": FILE_BYTES_MAX }),
            Self::Id(prefix) => {
                json!({ "type": "string", "pattern": format!("^{prefix}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}$") })
            }
            Self::Rule => json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }),
            Self::Place => json!({
                "type": "string", "maxLength": PLACE_CHARS_MAX,
                "pattern": "^[0-9A-Za-z]{1,2}_[0-9A-Za-z]{1,3}_[0-9A-Za-z]{1,13}_[0-9A-Za-z]{1,40}$",
            }),
            Self::OneOf(words) => json!({ "type": "string", "enum": words }),
            Self::Time => json!({ "type": "string", "format": "date-time" }),
            Self::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Self::Seconds(most) => json!({ "type": "string", "pattern": seconds_pattern(most) }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Object => json!({ "type": "object" }),
            Self::Texts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            Self::Any => json!({}),
            Self::List(of, least, most) => {
                json!({ "type": "array", "items": of.schema(), "minItems": least, "maxItems": most })
            }
        }
    }

    /// Whether a value of a body has this shape.
    ///
    /// # Errors
    /// What it must be instead, to stand after the name of the value.
    pub fn check(self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Any, _) | (Self::Flag, Value::Bool(_)) | (Self::Object, Value::Object(_)) => Ok(()),
            (Self::Whole(least, most), Value::Number(number)) => match number.as_u64() {
                Some(number) if (least..=most).contains(&number) => Ok(()),
                _ => Err(format!("it must be a whole number from {least} to {most}, and it is {number}")),
            },
            (Self::List(of, least, most), Value::Array(items)) => {
                if !(least..=most).contains(&items.len()) {
                    return Err(format!("it must have {least} to {most} items, and it has {}", items.len()));
                }
                items.iter().try_for_each(|item| of.check(item))
            }
            (Self::Texts, Value::Object(texts)) if texts.values().all(Value::is_string) => Ok(()),
            // Only behind `?` is a number or a yes written as text.
            (Self::Whole(..) | Self::Flag, Value::String(_)) => Err(self.is_needed()),
            (_, Value::String(text)) => self.check_text(text),
            _ => Err(self.is_needed()),
        }
    }

    /// Whether a text has this shape, as it stands after `?` or in a body.
    ///
    /// # Errors
    /// As [`Shape::check`].
    pub fn check_text(self, text: &str) -> Result<(), String> {
        let fits = match self {
            Self::Text | Self::Any => true,
            Self::Words => return check_words(text),
            Self::File => text.len() <= FILE_BYTES_MAX,
            Self::Id(prefix) => {
                let ulid = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
                ulid.is_some_and(is_ulid)
            }
            Self::Rule => text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            Self::Place => is_place(text),
            Self::OneOf(words) => words.contains(&text),
            Self::Time => text.parse::<crate::domain::time::Timestamp>().is_ok(),
            Self::Whole(least, most) => {
                let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
                digits && text.parse().is_ok_and(|number| (least..=most).contains(&number))
            }
            Self::Seconds(most) => {
                let digits = text.strip_suffix('s').filter(|digits| !digits.starts_with('0'));
                let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
                digits
                    .and_then(|digits| digits.parse().ok())
                    .is_some_and(|seconds| (1..=most).contains(&seconds))
            }
            Self::Flag => matches!(text, "true" | "false"),
            Self::Object | Self::Texts | Self::List(..) => false,
        };
        if fits { Ok(()) } else { Err(self.is_needed()) }
    }

    /// What the value must be, in words.
    fn is_needed(self) -> String {
        match self {
            Self::Words | Self::Text => "it must be text".to_owned(),
            Self::File => format!("it must be text of at most {FILE_BYTES_MAX} bytes"),
            Self::Id(prefix) => {
                format!("it must be an id such as `{prefix}_01J9ZQ6E5V7N8T3K2M4P6R8S0W`")
            }
            Self::Rule | Self::Place => {
                "it must be a place in this list; use `next` of the page before".to_owned()
            }
            Self::OneOf(words) => format!("it must be one of: {}", words.join(", ")),
            Self::Time => "it must be a time such as `2026-11-26T10:00:00Z`".to_owned(),
            Self::Whole(least, most) => format!("it must be a whole number from {least} to {most}"),
            Self::Seconds(most) => format!("it must be 1s to {most}s, such as `30s`"),
            Self::Flag => "it must be true or false".to_owned(),
            Self::Object => "it must be an object".to_owned(),
            Self::Texts => "it must be an object of texts".to_owned(),
            Self::Any => "it must be JSON".to_owned(),
            Self::List(..) => "it must be a list".to_owned(),
        }
    }
}

/// Words of a person are said in full or refused; what nobody can see says nothing.
fn check_words(text: &str) -> Result<(), String> {
    let long = text.chars().count();
    if long > TEXT_CHARS_MAX {
        return Err(format!("it has {long} characters, and at most {TEXT_CHARS_MAX} are kept"));
    }
    if text.chars().any(|c| !c.is_whitespace() && !c.is_control() && c != '\u{feff}') {
        return Ok(());
    }
    Err("it is empty; leave it out, or say something".to_owned())
}

fn is_ulid(text: &str) -> bool {
    let crockford = |b: u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b));
    text.len() == ULID_CHARS && text.as_bytes()[0] <= b'7' && text.bytes().all(crockford)
}

fn is_place(text: &str) -> bool {
    let parts: Vec<&str> = text.split('_').collect();
    let plain = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.len() <= PLACE_CHARS_MAX && parts.len() == 4 && parts.iter().all(plain)
}

/// Whole numbers from 1 to `most`, which has two digits, and an `s`.
fn seconds_pattern(most: u64) -> String {
    let (tens, ones) = (most / 10, most % 10);
    format!("^([1-9]|[1-{}][0-9]|{tens}[0-{ones}])s$", tens.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_takes_what_it_describes_and_says_what_it_takes() {
        let run = "run_01J9ZQ6E5V7N8T3K2M4P6R8S0W";
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        for (shape, takes, refuses) in [
            (Shape::Id("run"), vec![json!(run)], vec![json!(run.to_lowercase()), json!("run_8"), json!(7)]),
            (Shape::Words, vec![json!("why")], vec![json!(""), json!(" \n"), json!(long), json!(null)]),
            (
                Shape::Whole(1, 500),
                vec![json!(1), json!(500)],
                vec![json!(0), json!(501), json!(1.5), json!("1")],
            ),
            (Shape::OneOf(&["a", "b"]), vec![json!("b")], vec![json!("c"), json!("A")]),
            (
                Shape::Seconds(60),
                vec![json!("1s"), json!("60s")],
                vec![json!("0s"), json!("61s"), json!("007s")],
            ),
            (Shape::Time, vec![json!("2026-11-26T10:00:00Z")], vec![json!("2026-11-26"), json!("now")]),
            (
                Shape::List(&Shape::Flag, 1, 2),
                vec![json!([true])],
                vec![json!([]), json!([1]), json!([true, true, true])],
            ),
        ] {
            for value in takes {
                assert_eq!(shape.check(&value), Ok(()), "{shape:?}: {value}");
            }
            for value in refuses {
                let why = shape.check(&value).expect_err("it is refused");
                assert!(why.starts_with("it "), "{shape:?}: {value}: {why}");
            }
        }
        assert_eq!(seconds_pattern(60), "^([1-9]|[1-5][0-9]|6[0-0])s$");
    }

    #[test]
    fn a_number_after_the_question_mark_has_digits_alone() {
        for (text, fits) in
            [("5", true), ("+5", false), ("", false), ("501", false), ("0", false), ("5.0", false)]
        {
            assert_eq!(Shape::Whole(1, 500).check_text(text).is_ok(), fits, "{text}");
        }
    }
}
