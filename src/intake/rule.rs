//! One rule: where a value comes from, as one `${ … }` or several to try.
//!
//! A candidate that fails (a missing key, text where a number is wanted) or
//! gives nothing is "absent, try the next"; it never fails the alert. What
//! counts as nothing: null, empty text, lists and maps, and the words by
//! which the source says that it does not know.

use crate::domain::expr::scope::Scope;
use crate::domain::expr::template::Template;
use crate::domain::value::Value;
use crate::intake::text;
use crate::yaml::codes;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::yaml::shape::{Field, Reader};

/// Code of a mistake: an expression that cannot be read.
pub const BAD_EXPRESSION: &str = "bad-expression";

/// Code of a mistake: an expression names what is not there.
pub const UNKNOWN_NAME: &str = "unknown-name";

/// Candidates of one rule; more are a sign of two sources in one file.
pub const CANDIDATES_MAX: usize = 16;

/// Words by which detectors say that they do not know, in lower case. A
/// source adds its own with `absent`.
pub const ABSENT_WORDS: &[&str] = &["", "n/a", "unknown", "redacted", "null", "-"];

/// A source file while it is read: where mistakes go, and its text.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Collects the mistakes.
    pub reader: &'a Reader,
    /// The whole file, to find the place inside a text.
    pub source: &'a str,
}

/// What a rule sees: the names of its expressions, and what counts as absent.
#[derive(Clone)]
pub struct Sight<'a> {
    /// `raw`, `envelope`, and `item` within a list.
    pub scope: Scope<'a>,
    /// The source's own words for "not known", in lower case.
    pub absent: &'a [String],
}

impl Sight<'_> {
    /// Whether a value says nothing.
    #[must_use]
    pub fn is_absent(&self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) => {
                let word = text.trim().to_lowercase();
                ABSENT_WORDS.contains(&word.as_str()) || self.absent.contains(&word)
            }
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// Candidates in the order they are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule(Vec<Template>);

impl Rule {
    /// Reads one text or a list of texts. `names` are the roots that its
    /// expressions may use.
    #[must_use]
    pub fn read(field: Field<'_>, names: &[&str], reading: Reading<'_>) -> Option<Self> {
        let fields = field.one_or_many();
        if fields.is_empty() || fields.len() > CANDIDATES_MAX {
            let message = format!("a rule has 1 to {CANDIDATES_MAX} candidates, this one {}", fields.len());
            field.mistake(
                codes::OUT_OF_RANGE,
                message,
                "remove the key, or the candidates that never give anything",
            );
            return None;
        }
        let read: Vec<_> = fields.iter().filter_map(|one| template(*one, names, reading)).collect();
        (read.len() == fields.len()).then_some(Self(read))
    }

    /// Whether an expression of it uses the root `name`.
    #[must_use]
    pub fn uses(&self, name: &str) -> bool {
        let mut paths = self.0.iter().flat_map(|one| &one.references().paths);
        paths.any(|path| path.first().is_some_and(|root| root == name))
    }

    /// Values that are the same for every alert, as the author wrote them.
    pub fn fixed(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|one| one.is_plain()).map(Template::source)
    }

    /// Everything the candidates give, in order, absent ones included as far
    /// as they could be worked out.
    pub fn given<'a>(&'a self, sight: &'a Sight<'_>) -> impl Iterator<Item = Value> + 'a {
        self.0.iter().filter_map(|one| one.render(&sight.scope).ok())
    }

    /// The first candidate that is there and that `take` accepts.
    pub fn first<T>(&self, sight: &Sight<'_>, mut take: impl FnMut(&Value) -> Option<T>) -> Option<T> {
        self.given(sight).filter(|value| !sight.is_absent(value)).find_map(|value| take(&value))
    }
}

/// Reads one candidate.
fn template(field: Field<'_>, names: &[&str], reading: Reading<'_>) -> Option<Template> {
    let written = field.text()?;
    let report = |code, start, end, message: String, help: String| {
        let place = field.node().place_within(reading.source, start, end);
        let mistake = Diagnostic::error(code, reading.reader.file(), place, message);
        reading.reader.report(mistake.help(help));
    };
    let template = match Template::parse(&Value::String(written.to_owned())) {
        Ok(template) => template,
        Err(mistakes) => {
            for mistake in mistakes {
                let help = "expressions are CEL over `raw`, as in ${ raw.user.email }".to_owned();
                report(BAD_EXPRESSION, mistake.range.start, mistake.range.end, mistake.message, help);
            }
            return None;
        }
    };
    let mut sound = true;
    for root in template.references().paths.iter().filter_map(|path| path.first()) {
        if names.contains(&root.as_str()) {
            continue;
        }
        sound = false;
        let known: Vec<_> = names.iter().map(|name| quoted(name)).collect();
        let help = match did_you_mean(root, names) {
            Some(meant) => format!("did you mean {}?", quoted(&meant)),
            None => format!("here are {}; a key of the payload is written `raw.{root}`", known.join(", ")),
        };
        let start = written.find(root.as_str()).unwrap_or(0);
        report(
            UNKNOWN_NAME,
            start,
            start + root.len(),
            format!("nothing here is called {}", quoted(root)),
            help,
        );
    }
    sound.then_some(template)
}

/// A value as one line of text; lists and maps are none.
#[must_use]
pub fn as_text(value: &Value, chars_max: usize) -> Option<String> {
    let text = match value {
        Value::String(text) => text::one_line(text, chars_max),
        Value::Bool(is) => is.to_string(),
        Value::Number(_) => as_whole_text(value)?,
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A number as text. Numbers too large to be exact are none: two ids that
/// differ in their last digits must not become one.
fn as_whole_text(value: &Value) -> Option<String> {
    /// 2^53: whole numbers above are no longer exact as floating point.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let number = value.as_number()?;
    let exact = number.is_i64() || number.is_u64() || number.as_f64()?.abs() < EXACT_MAX;
    exact.then(|| number.to_string())
}

/// A count or size: a whole number from 0 to 2^63-1, also as text.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
pub fn as_count(value: &Value) -> Option<i64> {
    let number = match value {
        Value::String(text) => text.trim().parse::<i64>().ok()?,
        Value::Number(number) => match number.as_i64() {
            Some(number) => number,
            None => number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15)? as i64,
        },
        _ => return None,
    };
    (number >= 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_become_text_only_while_every_digit_is_sure() {
        assert_eq!(
            as_text(&json!(3_418_413_930_156_140_790_i64), 64).as_deref(),
            Some("3418413930156140790")
        );
        assert_eq!(as_text(&json!(u64::MAX), 64).as_deref(), Some("18446744073709551615"));
        assert_eq!(as_text(&json!(2.33e20), 64), None);
        assert_eq!(as_text(&json!({"a": 1}), 64), None);
        assert_eq!(as_text(&json!("  "), 64), None);
    }

    #[test]
    fn counts_are_whole_and_not_negative() {
        for (value, count) in [
            (json!(7), Some(7)),
            (json!("66119"), Some(66119)),
            (json!(3.0), Some(3)),
            (json!(3.5), None),
            (json!(-1), None),
            (json!(9_223_372_036_854_775_808_u64), None),
            (json!("many"), None),
        ] {
            assert_eq!(as_count(&value), count, "{value}");
        }
    }
}
