//! The sender's severity on our scale of 0 to 100.
//!
//! ```text
//! informational 10 · low 25 · medium 50 · high 75 · critical 95
//! ```
//! A severity that is absent or not understood is 50: never lower, since a
//! gap in our table must not make an alert small.

use crate::domain::value::Value;

/// What an unknown or absent severity counts as.
pub const UNKNOWN: u8 = 50;

/// The most there is.
pub const MOST: u8 = 100;

/// Words that every source understands unless it says otherwise, in lower case.
const WORDS: &[(&str, u8)] = &[
    ("info", 10),
    ("information", 10),
    ("informational", 10),
    ("low", 25),
    ("minor", 25),
    ("medium", 50),
    ("moderate", 50),
    ("warning", 50),
    ("high", 75),
    ("major", 75),
    ("severe", 75),
    ("critical", 95),
    ("fatal", 100),
];

/// How a sender's numbers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// No numbers; those that come are not understood.
    Words,
    /// 0 to this, straight.
    UpTo(u8),
    /// 1 to this, where 1 is informational or low and the last critical.
    FromOne(u8),
    /// `severity_id` of OCSF.
    Ocsf,
}

impl Scale {
    /// The scales as a source file names them.
    pub const NAMES: [&'static str; 6] = ["words", "0-100", "0-10", "0-15", "1-5", "ocsf"];

    /// The scale of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "words" => Self::Words,
            "0-100" => Self::UpTo(100),
            "0-10" => Self::UpTo(10),
            "0-15" => Self::UpTo(15),
            "1-5" => Self::FromOne(5),
            "ocsf" => Self::Ocsf,
            _ => return None,
        })
    }

    /// A number on our scale. Above the top is the top, since some scores have
    /// no bound; below the bottom is not understood.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
    fn number(self, number: f64) -> Option<u8> {
        let share = |top: u8| (number / f64::from(top) * 100.0).round().clamp(0.0, 100.0) as u8;
        match self {
            Self::Words => None,
            Self::UpTo(top) => (number >= 0.0).then(|| share(top)),
            Self::FromOne(top) => (number >= 1.0).then(|| share(top)),
            // OCSF 1.x, severity_id: 0 unknown, 99 other.
            Self::Ocsf => [(1.0, 10), (2.0, 25), (3.0, 50), (4.0, 75), (5.0, 95), (6.0, 100)]
                .into_iter()
                .find_map(|(id, ours)| (number == id).then_some(ours)),
        }
    }
}

/// How a source's severities are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What its numbers mean.
    pub scale: Scale,
    /// Its own words, in lower case; they come before the common ones.
    pub words: Vec<(String, u8)>,
}

impl Reading {
    /// Our number for the sender's word or number; `None` when not understood.
    #[must_use]
    pub fn of(&self, value: &Value) -> Option<u8> {
        let word = match value {
            Value::String(text) => text.trim().to_lowercase(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        if let Some((_, ours)) = self.words.iter().find(|(known, _)| *known == word) {
            return Some(*ours);
        }
        if let Some((_, ours)) = WORDS.iter().find(|(known, _)| *known == word) {
            return Some(*ours);
        }
        let number = word.parse::<f64>().ok().filter(|number| number.is_finite())?;
        self.scale.number(number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_scale_reads_its_words_and_numbers() {
        for (scale, value, ours) in [
            ("words", json!("High"), Some(75)),
            ("words", json!(" CRITICAL "), Some(95)),
            ("words", json!(2), None),
            ("words", json!("unknown"), None),
            ("0-100", json!(70), Some(70)),
            ("0-100", json!("70"), Some(70)),
            ("0-100", json!(1e9), Some(100)),
            ("0-100", json!(-1), None),
            ("0-10", json!(8.5), Some(85)),
            ("0-15", json!(12), Some(80)),
            ("1-5", json!(2), Some(40)),
            ("1-5", json!(0), None),
            ("ocsf", json!(99), None),
            ("ocsf", json!(5), Some(95)),
            ("0-100", json!("NaN"), None),
            ("0-100", json!("inf"), None),
            ("0-100", json!(true), None),
        ] {
            let reading = Reading { scale: Scale::named(scale).expect(scale), words: Vec::new() };
            assert_eq!(reading.of(&value), ours, "{scale} {value}");
        }
    }

    #[test]
    fn a_source_s_own_words_come_first() {
        let words = vec![("2".to_owned(), 25), ("high".to_owned(), 90)];
        let reading = Reading { scale: Scale::UpTo(100), words };
        assert_eq!(reading.of(&json!(2)), Some(25));
        assert_eq!(reading.of(&json!("High")), Some(90));
    }
}
