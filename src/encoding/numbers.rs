//! Numbers of JSON that a reader would change: they are kept as text.
//!
//! Readers keep whole numbers of 64 bits and the 15 to 17 digits of a double
//! (RFC 8259, section 6). An id of 20 digits comes back as another id.

use std::borrow::Cow;

/// The same JSON, with each number in quotes that 64 bits or a double do not hold
/// exactly. Text that is no JSON comes back with mistakes of its own.
pub fn kept_exactly(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let (mut written, mut from, mut at) = (String::new(), 0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let rest = bytes.iter().skip(at);
                let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let end = at + rest.take_while(is_part).count();
                let number = json.get(at..end).unwrap_or_default();
                if !is_kept(number) {
                    written.push_str(json.get(from..at).unwrap_or_default());
                    written.extend(["\"", number, "\""]);
                    from = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if from == 0 {
        return Cow::Borrowed(json);
    }
    written.push_str(json.get(from..).unwrap_or_default());
    Cow::Owned(written)
}

/// The place after a string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether a number is read as what is written. What is no number is left to its reader.
fn is_kept(number: &str) -> bool {
    // So many characters are exact whatever they are.
    const CHARS_SURE: usize = 15;
    if number.len() <= CHARS_SURE && !number.contains(['e', 'E']) {
        return true;
    }
    if !number.contains(['.', 'e', 'E']) {
        let digits = number.strip_prefix('-').unwrap_or(number);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return !is_whole || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    }
    match (number.parse::<f64>(), Decimal::of(number)) {
        (Ok(read), Some(written)) if read.is_finite() => Decimal::of(&format!("{read:e}")) == Some(written),
        _ => true,
    }
}

/// What a number says, however it is written: `1.50e3` is 15 and 2 zeros.
#[derive(Debug, PartialEq)]
struct Decimal {
    negative: bool,
    /// Without zeros around them.
    digits: String,
    /// The power of ten of the last of them.
    power: i64,
}

impl Decimal {
    fn of(number: &str) -> Option<Self> {
        let (mantissa, power) = match number.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
            None => (number, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{}{fraction}", whole.trim_start_matches('-'));
        let trimmed = all.trim_end_matches('0');
        let digits = trimmed.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, power: 0 });
        }
        let zeros = i64::try_from(all.len() - trimmed.len()).ok()?;
        let power = power.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
        Some(Self { negative: mantissa.starts_with('-'), digits, power })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_that_would_be_changed_is_kept_as_text_and_others_stay_numbers() {
        for (json, kept) in [
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "\"18446744073709551616\""),
            ("-9223372036854775809", "\"-9223372036854775809\""),
            ("[100000000000000000000000,1]", "[\"100000000000000000000000\",1]"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("0.123456789012345678", "\"0.123456789012345678\""),
            ("1.000000000000000000", "1.000000000000000000"),
            ("1e300", "1e300"),
            ("1.10", "1.10"),
            (
                r#"{"a":"99999999999999999999","\"b":99999999999999999999}"#,
                r#"{"a":"99999999999999999999","\"b":"99999999999999999999"}"#,
            ),
            ("1e400", "1e400"),
            ("", ""),
        ] {
            assert_eq!(kept_exactly(json), kept, "{json}");
        }
    }

    const NUMBER: &str = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?";

    proptest! {
        #[test]
        fn two_numbers_that_differ_are_read_as_two(one in NUMBER, other in NUMBER) {
            let read = |text: &str| {
                serde_json::from_str::<serde_json::Value>(&kept_exactly(text)).expect("it is JSON")
            };
            if read(&one) == read(&other) {
                prop_assert_eq!(Decimal::of(&one), Decimal::of(&other));
            }
        }

        #[test]
        fn any_text_is_gone_through_to_its_end(text in ".*") {
            let kept = kept_exactly(&text);
            prop_assert_eq!(kept.replace('"', ""), text.replace('"', ""));
        }
    }
}
