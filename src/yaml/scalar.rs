//! What a bare word means: YAML 1.2 core schema, with the words refused that
//! other readers understand differently or that lose what was written.
//!
//! Source of the rules: YAML 1.2.2, section 10.3.2 (tag resolution).

use serde_json::Number;

use crate::yaml::codes;
use crate::yaml::diagnostic::quoted;
use crate::yaml::node::NodeValue;

/// Why a bare word is refused.
#[derive(Debug, PartialEq)]
pub(super) struct RefusedWord {
    pub code: &'static str,
    pub message: String,
    pub help: String,
}

/// The meaning of a scalar without quotes. `no`, `yes`, `on` and `off` are text.
pub(super) fn resolve(word: &str) -> Result<NodeValue, RefusedWord> {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(NodeValue::Null),
        "true" => return Ok(NodeValue::Bool(true)),
        "false" => return Ok(NodeValue::Bool(false)),
        "True" | "TRUE" | "False" | "FALSE" => {
            return Err(RefusedWord {
                code: codes::YAML_BOOLEAN,
                message: format!("{} is not a boolean and not clearly text", quoted(word)),
                help: format!("write `{}`, or \"{word}\" in quotes if it is text", word.to_lowercase()),
            });
        }
        _ => {}
    }
    if !word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(NodeValue::Str(word.to_owned()));
    }
    integer(word).or_else(|| float(word)).unwrap_or_else(|| Ok(NodeValue::Str(word.to_owned())))
}

fn refused_number(word: &str, why: &str) -> RefusedWord {
    RefusedWord {
        code: codes::YAML_NUMBER,
        message: format!("the number {} {why}", quoted(word)),
        help: "put it in quotes if it is text".to_owned(),
    }
}

/// A number of which something would be lost: a version `1.10` comes back as 1.1, an
/// id `12e5` as 1200000.0.
fn written_otherwise(word: &str, number: &impl std::fmt::Display) -> RefusedWord {
    RefusedWord {
        code: codes::YAML_NUMBER,
        message: format!("the number {} would come back as {number}", quoted(word)),
        help: format!("write \"{word}\" in quotes if it is text, or {number} if it is a number"),
    }
}

fn integer(word: &str) -> Option<Result<NodeValue, RefusedWord>> {
    let (digits, radix) = match word.get(..2) {
        Some("0x") => (&word[2..], 16),
        Some("0o") => (&word[2..], 8),
        _ => (word.strip_prefix(['+', '-']).unwrap_or(word), 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        let why = "starts with 0: some readers take it as octal, and the 0 would be lost";
        return Some(Err(refused_number(word, why)));
    }
    let parsed = if radix == 10 { word.parse() } else { i64::from_str_radix(digits, radix) };
    Some(match parsed {
        Ok(number) if number.to_string() != word => Err(written_otherwise(word, &number)),
        Ok(number) => Ok(NodeValue::Int(number)),
        Err(_) => Err(refused_number(word, "does not fit into 64 bits")),
    })
}

fn float(word: &str) -> Option<Result<NodeValue, RefusedWord>> {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Some(Err(refused_number(word, "is not a finite number")));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|text| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && all_digits(digits)
    });
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    if !has_digits || !all_digits(whole) || !all_digits(fraction) || !exponent_ok {
        return None;
    }
    Some(match word.parse::<f64>() {
        Ok(number) if number.is_finite() => match Number::from_f64(number).map(|number| number.to_string()) {
            Some(written) if written != word => Err(written_otherwise(word, &written)),
            _ => Ok(NodeValue::Float(number)),
        },
        _ => Err(refused_number(word, "is too large")),
    })
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::yaml::codes;
    use crate::yaml::node::NodeValue::{self, Bool, Float, Int, Null};

    #[test]
    fn bare_words_mean_what_yaml_1_2_says() {
        let text = |word: &str| NodeValue::Str(word.to_owned());
        for (word, meaning) in [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("true", Bool(true)),
            ("false", Bool(false)),
            ("no", text("no")),
            ("on", text("on")),
            ("Yes", text("Yes")),
            ("off", text("off")),
            ("0", Int(0)),
            ("-12", Int(-12)),
            ("9223372036854775807", Int(i64::MAX)),
            ("-9223372036854775808", Int(i64::MIN)),
            ("1.5", Float(1.5)),
            ("-0.5", Float(-0.5)),
            ("1.0", Float(1.0)),
            ("1_000", text("1_000")),
            ("0b11", text("0b11")),
            ("12:30", text("12:30")),
            ("2026-01-02", text("2026-01-02")),
            ("1.2.3", text("1.2.3")),
            ("10.0.0.1", text("10.0.0.1")),
            ("30m", text("30m")),
            (".", text(".")),
            ("-", text("-")),
            ("+", text("+")),
            ("1e", text("1e")),
            ("0x", text("0x")),
            ("0x+1", text("0x+1")),
            ("-0x1", text("-0x1")),
            ("é0", text("é0")),
            ("1é", text("1é")),
        ] {
            assert_eq!(resolve(word), Ok(meaning), "{word}");
        }
    }

    #[test]
    fn words_that_would_lose_or_change_something_are_refused() {
        for (word, code) in [
            ("True", codes::YAML_BOOLEAN),
            ("FALSE", codes::YAML_BOOLEAN),
            ("007", codes::YAML_NUMBER),
            ("-01", codes::YAML_NUMBER),
            ("9223372036854775808", codes::YAML_NUMBER),
            ("0xFFFFFFFFFFFFFFFFF", codes::YAML_NUMBER),
            ("+7", codes::YAML_NUMBER),
            ("0x1F", codes::YAML_NUMBER),
            ("0o17", codes::YAML_NUMBER),
            ("-.5", codes::YAML_NUMBER),
            ("1.", codes::YAML_NUMBER),
            ("1e3", codes::YAML_NUMBER),
            ("1.10", codes::YAML_NUMBER),
            ("12e5", codes::YAML_NUMBER),
            ("0.123456789012345678", codes::YAML_NUMBER),
            ("1e999", codes::YAML_NUMBER),
            (".inf", codes::YAML_NUMBER),
            ("-.INF", codes::YAML_NUMBER),
            (".nan", codes::YAML_NUMBER),
        ] {
            assert_eq!(resolve(word).map_err(|r| r.code), Err(code), "{word}");
        }
    }
}
