//! The parser's refusals in the author's words.

use crate::yaml::codes;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::Place;
use crate::yaml::reader::YAML_DEPTH_MAX;
use granit_parser::ErrorKind;
use std::sync::Arc;

const SPACES: &str = "indent with spaces";
const SAME_COLUMN: &str =
    "entries of one map or list start at the same column; indent what belongs to an entry further";
const QUOTE_COLON: &str = "put text that contains `: ` in quotes; if this line is an entry of its own, align it with the entries around it";
const QUOTE_FLOW: &str =
    "separate entries with commas; put text that contains `,`, `[`, `]`, `{`, `}` or `: ` in quotes";
const ESCAPES: &str =
    "in double quotes a backslash starts an escape: write `\\\\` for a backslash, or use single quotes";

pub(super) const FLATTEN: &str = "flatten the file";

/// What is said of lists and maps past [`YAML_DEPTH_MAX`].
pub(super) fn too_deep() -> String {
    format!("lists and maps are nested deeper than {YAML_DEPTH_MAX}")
}

/// The mistake that ends reading, at the place the parser gave.
pub(super) fn diagnose(kind: &ErrorKind, file: &Arc<str>, place: Place) -> Diagnostic {
    let (code, message, help) = words(kind);
    let diagnostic = Diagnostic::error(code, file, place, message).label("here");
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// Whether the parser refuses a tab.
pub(super) fn is_tab(kind: &ErrorKind) -> bool {
    words(kind).0 == codes::YAML_TAB
}

fn words(kind: &ErrorKind) -> (&'static str, String, Option<&'static str>) {
    use ErrorKind as K;
    let (code, message, help) = match kind {
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabAtBlockScalarStart
        | K::TabInPlainScalar => (codes::YAML_TAB, "a tab cannot be used here", SPACES),
        K::RecursionLimitExceeded => {
            return (codes::YAML_TOO_DEEP, too_deep(), Some(FLATTEN));
        }
        K::DirectiveDisallowed => (
            codes::YAML_DIRECTIVE,
            "`%` directives are not used here",
            "remove the line; if it is text, put it in quotes",
        ),
        K::UndeclaredTagHandle => {
            (codes::YAML_TAG, "tags are not used here", "remove the tag; if it is text, put it in quotes")
        }
        _ => {
            let (message, help) = syntax_words(kind);
            return (codes::YAML_SYNTAX, message, help);
        }
    };
    (code, message.to_owned(), Some(help))
}

fn syntax_words(kind: &ErrorKind) -> (String, Option<&'static str>) {
    use ErrorKind as K;
    let (message, help) = match kind {
        K::UnclosedFlowCollection { open } => {
            return (format!("this `{open}` is never closed"), Some(QUOTE_FLOW));
        }
        K::MismatchedFlowCollectionEnd { open, close } => {
            let message = format!("`{close}` does not close `{open}`");
            return (message, Some(QUOTE_FLOW));
        }
        K::UnexpectedCharacter { character } => {
            let message = format!("a value cannot start with `{character}`");
            return (message, Some("put it in quotes"));
        }
        K::UnclosedQuotedScalar => (
            "these quotes are never closed",
            "close them; two single quotes ('') stand for one inside single quotes",
        ),
        K::MappingValueNotAllowed => ("`:` cannot be used here", QUOTE_COLON),
        K::SimpleKeyExpected | K::InvalidSimpleKey => (
            "this line is neither `key: value` nor part of the text above",
            "add `:` after the key, or indent the line if it continues a text",
        ),
        K::InvalidIndentation
        | K::ExpectedBlockMappingKey
        | K::ExpectedBlockSequenceEntry
        | K::BlockSequenceEntryNotAllowed
        | K::InvalidBlockScalarIndent => ("this line does not fit the lines above it", SAME_COLUMN),
        K::ExpectedFlowMappingSeparator
        | K::ExpectedFlowSequenceSeparator
        | K::MisplacedFlowCollectionEnd
        | K::FlowMappingValueAdjacentCollection
        | K::InvalidColonPlacement => ("a list or map in brackets is broken here", QUOTE_FLOW),
        K::UnknownQuotedScalarEscape | K::InvalidQuotedScalarHexEscape | K::InvalidUnicodeEscape => {
            ("an escape that YAML does not know", ESCAPES)
        }
        K::InvalidTrailingSingleQuotedScalar | K::InvalidTrailingDoubleQuotedScalar => {
            ("text goes on after the closing quotes", "put the whole value in quotes")
        }
        K::CommentNotSeparated => {
            ("a comment needs a space before `#`", "add a space, or put the text in quotes")
        }
        other => return (other.to_string(), Some("look at this line and the one above it")),
    };
    (message.to_owned(), Some(help))
}
