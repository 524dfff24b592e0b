//! Durations and sizes as people write them.

use std::time::Duration;

/// The longest duration, in days: a year with a leap day. Longer is a typing
/// mistake, or a date.
pub const DURATION_DAYS_MAX: u64 = 366;

/// The largest size, in bytes (1 TiB). No limit that people set is larger.
pub const SIZE_BYTES_MAX: u64 = 1 << 40;

/// Longest first: parts of a sum stand in this order.
const DURATION_UNITS: &[(&str, u64)] =
    &[("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// `90s`, `30m`, `4h`, `7d`, `2w`, `500ms`, and sums with the longer unit
/// first, each once: `1h30m`. From 1 ms to [`DURATION_DAYS_MAX`] days.
///
/// # Errors
/// What is wrong, as the end of a sentence that starts with the word itself.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_duration_within(text, DURATION_DAYS_MAX)
}

/// The same, up to another number of days.
///
/// # Errors
/// As [`parse_duration`].
pub fn parse_duration_within(text: &str, days_max: u64) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let (number, unit, after) = part(rest);
        if number.is_empty() {
            return Err(format!("has `{}` where a number should be", clip(rest)));
        }
        if unit.is_empty() {
            return Err(match after.chars().next() {
                Some(c) => format!("has `{c}` where a unit should be (w, d, h, m, s or ms)"),
                None => format!("has no unit after {}", clip(number)),
            });
        }
        let Some(at) = DURATION_UNITS.iter().position(|(name, _)| *name == unit) else {
            let unit = clip(unit);
            return Err(format!("has the unit `{unit}`; units are w, d, h, m, s and ms"));
        };
        if at < next_unit {
            return Err("must name each unit once, the longer one first".to_owned());
        }
        next_unit = at + 1;
        millis = number
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(DURATION_UNITS[at].1))
            .and_then(|part| millis.checked_add(part))
            .unwrap_or(u64::MAX);
        rest = after;
    }
    match millis {
        0 => Err("is shorter than 1ms".to_owned()),
        _ if millis <= days_max.saturating_mul(86_400_000) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("is longer than {days_max}d")),
    }
}

/// `512B`, `64KB` (thousands), `1MiB` (powers of 1024), up to `GB` and `GiB`.
/// From 1 byte to [`SIZE_BYTES_MAX`].
///
/// # Errors
/// What is wrong, as the end of a sentence that starts with the word itself.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit, after) = part(text);
    if number.is_empty() {
        return Err("does not start with a number".to_owned());
    }
    let known = SIZE_UNITS.iter().find(|(name, _)| *name == unit);
    let (Some((_, factor)), true) = (known, after.is_empty()) else {
        return Err("needs one of the units B, KB, MB, GB, KiB, MiB, GiB".to_owned());
    };
    let bytes = number.parse::<u64>().ok().and_then(|count| count.checked_mul(*factor)).unwrap_or(u64::MAX);
    match bytes {
        0 => Err("is smaller than 1B".to_owned()),
        1..=SIZE_BYTES_MAX => Ok(bytes),
        _ => Err("is larger than 1024GiB".to_owned()),
    }
}

/// Leading digits, then letters, then the rest.
fn part(text: &str) -> (&str, &str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, text) = text.split_at(digits);
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (unit, after) = text.split_at(letters);
    (number, unit, after)
}

fn clip(text: &str) -> String {
    text.chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::{SIZE_BYTES_MAX, parse_duration, parse_size};

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("1ms", 1),
            ("500ms", 500),
            ("90s", 90_000),
            ("30m", 1_800_000),
            ("4h", 14_400_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("1h30m", 5_400_000),
            ("1w1d1h1m1s1ms", 694_861_001),
            ("366d", 31_622_400_000),
        ] {
            let read = parse_duration(text).map(|d| d.as_millis());
            assert_eq!(read, Ok(millis), "{text}");
        }
    }

    #[test]
    fn other_durations_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is empty"),
            ("0s", "is shorter than 1ms"),
            ("30", "has no unit after 30"),
            ("m", "has `m` where a number should be"),
            ("30 m", "has ` ` where a unit should be (w, d, h, m, s or ms)"),
            ("1.5h", "has `.` where a unit should be (w, d, h, m, s or ms)"),
            ("-5m", "has `-5m` where a number should be"),
            ("30M", "has the unit `M`; units are w, d, h, m, s and ms"),
            ("1y", "has the unit `y`; units are w, d, h, m, s and ms"),
            ("30m1h", "must name each unit once, the longer one first"),
            ("1m1m", "must name each unit once, the longer one first"),
            ("366d1ms", "is longer than 366d"),
            ("99999999999999999999w", "is longer than 366d"),
            ("18446744073709551615w", "is longer than 366d"),
            ("٣m", "has `٣m` where a number should be"),
        ] {
            assert_eq!(parse_duration(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_or_refused() {
        for (text, bytes) in [
            ("1B", Some(1)),
            ("64KB", Some(64_000)),
            ("1MiB", Some(1_048_576)),
            ("1024GiB", Some(SIZE_BYTES_MAX)),
            ("1025GiB", None),
            ("0KB", None),
            ("64", None),
            ("64kb", None),
            ("KB", None),
            ("1.5MB", None),
            ("1MB2KB", None),
            ("99999999999999999999GB", None),
        ] {
            assert_eq!(parse_size(text).ok(), bytes, "{text}");
        }
    }
}
