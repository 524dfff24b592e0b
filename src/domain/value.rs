//! Values as they travel between steps, and what can be said about one without
//! knowing what it means: its digest, its canonical text, a shortened form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Data read from an alert, given by a step or computed by an expression.
pub type Value = serde_json::Value;

/// The most bytes one value may hold, as JSON text. Larger data belongs in a
/// file; a value this large already fills several journal entries.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// A SHA-256 digest, written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: a digest is 64 hexadecimal digits")]
pub struct NotADigest(String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| NotADigest(truncate_text(text, 80).into_owned()))?;
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The SHA-256 digest of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The digest of a value's canonical text: two maps with the same entries have
/// the same digest, whatever the order their keys were written in. `1` and
/// `1.0` are different values.
pub fn digest_of(value: &Value) -> Digest {
    digest(canonical(value).as_bytes())
}

/// JSON text without spaces and with the keys of every map sorted by their bytes.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            // The order of a map depends on how the JSON library was built.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            text.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(item, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// About how many bytes a value takes as JSON text, without writing it down.
pub fn size_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size_of(item) + 1).sum::<usize>() + 2,
        Value::Object(map) => {
            map.iter().map(|(name, value)| name.len() + 4 + size_of(value)).sum::<usize>() + 2
        }
    }
}

/// `text` if it is at most `bytes_max` bytes long, else its beginning, cut
/// between characters, with `…` for the rest. The result is at most
/// `bytes_max` bytes plus the three of the ellipsis.
pub fn truncate_text(text: &str, bytes_max: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    let starts = text.char_indices().map(|(at, _)| at);
    let cut = starts.take_while(|at| *at <= bytes_max).last().unwrap_or(0);
    format!("{}…", &text[..cut]).into()
}

/// `value` made small enough to show: text over `text_bytes_max` bytes is cut,
/// lists and maps keep their first `items_max` entries, and what lies deeper
/// than four levels is left out as `…`.
pub fn shorten(value: &Value, text_bytes_max: usize, items_max: usize) -> Value {
    shorten_at(value, text_bytes_max, items_max, 4)
}

fn shorten_at(value: &Value, text_bytes_max: usize, items_max: usize, levels: usize) -> Value {
    let inner = |item: &Value| shorten_at(item, text_bytes_max, items_max, levels - 1);
    match value {
        Value::String(text) => Value::from(truncate_text(text, text_bytes_max)),
        Value::Array(_) | Value::Object(_) if levels == 0 => Value::from("…"),
        Value::Array(items) => {
            let mut kept: Vec<Value> = items.iter().take(items_max).map(inner).collect();
            if items.len() > items_max {
                kept.push(format!("… {} more", items.len() - items_max).into());
            }
            kept.into()
        }
        Value::Object(map) => {
            let mut kept: serde_json::Map<String, Value> = map
                .iter()
                .take(items_max)
                .map(|(key, item)| (truncate_text(key, text_bytes_max).into_owned(), inner(item)))
                .collect();
            if map.len() > items_max {
                let more = format!("{} more", map.len() - items_max);
                kept.insert("…".to_owned(), more.into());
            }
            kept.into()
        }
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_is_written_as_hex_and_read_back() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(digest(b"")));
        let text = serde_json::to_string(&digest(b"")).unwrap();
        assert_eq!(text, format!("\"{empty}\""));
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest(b""));
        for wrong in ["", "abc", &empty[1..], &format!("{empty}0"), &"g".repeat(64)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_order_of_keys_does_not_change_the_digest() {
        let a: Value = serde_json::from_str(r#"{"b":[1,{"y":1,"x":"é"}],"a":null}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":null,"b":[1,{"x":"é","y":1}]}"#).unwrap();
        assert_eq!(canonical(&a), r#"{"a":null,"b":[1,{"x":"é","y":1}]}"#);
        assert_eq!(digest_of(&a), digest_of(&b));
        assert_ne!(digest_of(&json!([1, 2])), digest_of(&json!([2, 1])));
        assert_ne!(digest_of(&json!(1)), digest_of(&json!("1")));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        for (text, max, expected) in
            [("short", 5, "short"), ("shorter", 5, "short…"), ("éé", 3, "é…"), ("é", 0, "…"), ("", 0, "")]
        {
            assert_eq!(truncate_text(text, max), expected, "{text} {max}");
        }
    }

    #[test]
    fn a_large_value_is_shown_short() {
        let value = json!({"list": [1, 2, 3, 4], "text": "abcdef", "deep": [[[[[1]]]]]});
        let expected = json!({
            "list": [1, 2, 3, "… 1 more"], "text": "abcd…", "deep": [[["…"]]]
        });
        assert_eq!(shorten(&value, 4, 3), expected);
    }
}
