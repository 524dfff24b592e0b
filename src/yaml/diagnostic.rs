//! One mistake of an author: what, where, and how to put it right.

use crate::yaml::node::Place;
use std::sync::Arc;

/// Characters of an author's own word that a message repeats; more would drown it.
const QUOTED_CHARS_MAX: usize = 60;

/// Characters of a word that suggestions look at, since the distance between
/// two words costs the product of their lengths.
const SUGGEST_CHARS_MAX: usize = 64;

/// Names listed in a help text; a longer list helps nobody.
const NAMES_LISTED_MAX: usize = 20;

/// Whether the file can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    /// `error` or `warning`, as shown and as written to JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake, or one thing to look at again, in an authored file.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Stable and kebab-case; those of this room are in `codes::CODES`.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// The name of the file as the author knows it.
    pub file: Arc<str>,
    pub place: Place,
    /// Short text beside the underline; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places of the same file that explain the mistake.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// A mistake that keeps the file from being used.
    #[must_use]
    pub fn error(code: &'static str, file: &Arc<str>, place: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            file: Arc::clone(file),
            place,
            label: String::new(),
            help: None,
            related: Vec::new(),
        }
    }

    /// Something suspicious in a file that can be used.
    #[must_use]
    pub fn warning(code: &'static str, file: &Arc<str>, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, file, place, message) }
    }

    /// The same, when what could be looked past must be put right.
    #[must_use]
    pub fn into_error(mut self) -> Self {
        self.severity = Severity::Error;
        self
    }

    /// Puts text beside the underline.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at another place of the same file.
    #[must_use]
    pub fn also(mut self, place: Place, text: impl Into<String>) -> Self {
        self.related.push((place, text.into()));
        self
    }
}

/// An author's word in backticks, shortened if it is long.
#[must_use]
pub fn quoted(word: &str) -> String {
    let mut shown: String = word.chars().take(QUOTED_CHARS_MAX).collect();
    if shown.len() < word.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The candidate that `word` was most likely meant to be, if one is near.
///
/// Near means: equal but for case, or within a third of the length of `word`
/// in edits (swapped neighbours count as one). The first of equals wins.
#[must_use]
pub fn did_you_mean<S: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = S>) -> Option<String> {
    let length = word.chars().take(SUGGEST_CHARS_MAX + 1).count();
    if length == 0 || length > SUGGEST_CHARS_MAX {
        return None;
    }
    let edits_max = length.max(3) / 3;
    let lower = word.to_lowercase();
    let mut best: Option<(usize, String)> = None;
    for candidate in candidates {
        let candidate = candidate.as_ref();
        if candidate.is_empty() || candidate.chars().count() > SUGGEST_CHARS_MAX {
            continue;
        }
        let edits = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        let near = edits <= edits_max && edits < candidate.chars().count();
        if near && best.as_ref().is_none_or(|(least, _)| edits < *least) {
            best = Some((edits, candidate.to_owned()));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Words in backticks with commas between, in their order.
pub(super) fn list_of(words: &[&str]) -> String {
    let mut listed: Vec<_> = words.iter().take(NAMES_LISTED_MAX).map(|w| quoted(w)).collect();
    if words.len() > NAMES_LISTED_MAX {
        listed.push("…".to_owned());
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{did_you_mean, quoted};

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let known = ["within", "when", "with", "owner_check", "id", "if"];
        for (word, meant) in [
            ("witihn", Some("within")),
            ("wihen", Some("when")),
            ("owner-check", Some("owner_check")),
            ("OwnerCheck", Some("owner_check")),
            ("ID", Some("id")),
            ("x", None),
            ("severity", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(word, known).as_deref(), meant, "{word}");
        }
        assert_eq!(did_you_mean(&"a".repeat(1_000_000), known), None);
    }

    #[test]
    fn a_long_word_is_shortened_in_messages() {
        assert_eq!(quoted("within"), "`within`");
        assert_eq!(quoted(&"é".repeat(61)), format!("`{}…`", "é".repeat(60)));
    }
}
