//! JSON text to a value, with limits checked while it is read.
//!
//! Stricter than `serde_json::from_str`: nesting is bounded by the caller and
//! a key written twice is a mistake, since two readers of such a text may see
//! two different alerts (RFC 8259, section 4).

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number};

use crate::domain::value::Value;
use crate::encoding::numbers::kept_exactly;
use crate::intake::text;

/// Characters of a sender's key that a message repeats.
const KEY_SHOWN_CHARS_MAX: usize = 60;

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonMistake {
    /// Nested deeper than allowed.
    #[error("it is nested too deeply")]
    TooDeep,
    /// One object says a key twice.
    #[error("the key `{key}` stands twice in one object, so readers may disagree on it")]
    DuplicateKey {
        /// The key, shortened and made harmless.
        key: String,
    },
    /// Not JSON.
    #[error("{why}")]
    Syntax {
        /// The parser's words, with line and column.
        why: String,
    },
}

/// Reads one JSON text with at most `depth` lists and maps inside one another.
/// Whole numbers from -2^63 to 2^64-1 are kept exactly, and what is no number of 64
/// bits is kept as text.
///
/// # Errors
/// The first mistake.
pub fn read(text: &str, depth: usize) -> Result<Value, JsonMistake> {
    let found = RefCell::new(None);
    let text = kept_exactly(text);
    let mut parser = serde_json::Deserializer::from_str(&text);
    let seed = Seed { depth, found: &found };
    let read = seed.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    read.map_err(|why| {
        let found = found.borrow_mut().take();
        found.unwrap_or_else(|| JsonMistake::Syntax { why: why.to_string() })
    })
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    depth: usize,
    found: &'a RefCell<Option<JsonMistake>>,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.refuse(JsonMistake::TooDeep)),
        }
    }

    fn refuse<E: serde::de::Error>(self, mistake: JsonMistake) -> E {
        let error = E::custom(&mistake);
        *self.found.borrow_mut() = Some(mistake);
        error
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value, E> {
        Ok(Value::Bool(is))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper::<A::Error>()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper::<A::Error>()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let key = text::one_line(&key, KEY_SHOWN_CHARS_MAX);
                return Err(self.refuse(JsonMistake::DuplicateKey { key }));
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// What a value is, in words.
#[must_use]
pub fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_every_digit() {
        for text in ["9007199254740993", "18446744073709551615", "-9223372036854775808"] {
            assert_eq!(read(text, 1).map(|value| value.to_string()), Ok(text.to_owned()));
        }
        let beyond = |text: &str| read(text, 1).expect("it is read");
        assert_eq!(beyond("18446744073709551616"), Value::from("18446744073709551616"));
        assert_ne!(beyond("100000000000000000001"), beyond("100000000000000000002"), "two alerts");
    }

    #[test]
    fn nesting_is_counted_over_lists_and_maps() {
        assert!(read(r#"{"a":[1]}"#, 2).is_ok());
        assert_eq!(read(r#"{"a":[[1]]}"#, 2), Err(JsonMistake::TooDeep));
        assert_eq!(read(&"[".repeat(1_000_000), 64), Err(JsonMistake::TooDeep));
    }

    #[test]
    fn a_key_written_twice_is_refused_even_when_written_differently() {
        let twice = r#"{"user":"a","us\u0065r":"b"}"#;
        assert_eq!(read(twice, 4), Err(JsonMistake::DuplicateKey { key: "user".to_owned() }));
    }

    #[test]
    fn text_after_the_value_is_a_mistake() {
        assert!(matches!(read("{} {}", 4), Err(JsonMistake::Syntax { .. })));
    }
}
