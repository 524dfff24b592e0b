//! Every code a mistake of this room can carry, with what it means.
//!
//! Codes are stable: tests, editors and pipelines match on them. A code is
//! never reused with another meaning.

/// `(code, meaning)`, sorted by code.
pub const CODES: &[(&str, &str)] = &[
    (BAD_DURATION, "a duration that cannot be read or is out of bounds"),
    (BAD_ID, "an id with characters that ids cannot have"),
    (BAD_SIZE, "a size that cannot be read or is out of bounds"),
    (EMPTY, "text or a list that must not be empty"),
    (MISSING_KEY, "a map lacks a key that it needs"),
    (NOT_ONE_OF, "a word that is not among the words allowed here"),
    (OUT_OF_RANGE, "a number outside its bounds"),
    (UNKNOWN_KEY, "a key that has no meaning in its map"),
    (WRONG_TYPE, "a value of another kind than its key takes"),
    (YAML_ALIAS, "an alias (`*name`), which is refused"),
    (YAML_ANCHOR, "an anchor (`&name`), which is refused"),
    (YAML_BOOLEAN, "`True`, `FALSE` and the like, which tools read differently"),
    (YAML_CHARACTER, "a control or text-direction character in the file"),
    (YAML_DIRECTIVE, "a `%` directive, which is refused"),
    (YAML_DOCUMENTS, "a second document in the file"),
    (YAML_DUPLICATE_KEY, "a key written twice in one map"),
    (YAML_KEY, "a key that is not text"),
    (YAML_MERGE_KEY, "a merge key (`<<`), which is refused"),
    (YAML_NUMBER, "a number that cannot be kept exactly as written"),
    (YAML_SYNTAX, "text that is not YAML"),
    (YAML_TAB, "a tab where YAML wants spaces"),
    (YAML_TAG, "a tag (`!name`), which is refused"),
    (YAML_TOO_DEEP, "lists and maps nested deeper than the limit"),
    (YAML_TOO_LARGE, "a file or a text above its limit in bytes"),
    (YAML_TOO_MANY, "more values in one file than the limit"),
    (YAML_UTF8, "bytes that are not UTF-8"),
];

pub const BAD_DURATION: &str = "bad-duration";
pub const BAD_ID: &str = "bad-id";
pub const BAD_SIZE: &str = "bad-size";
pub const EMPTY: &str = "empty";
pub const MISSING_KEY: &str = "missing-key";
pub const NOT_ONE_OF: &str = "not-one-of";
pub const OUT_OF_RANGE: &str = "out-of-range";
pub const UNKNOWN_KEY: &str = "unknown-key";
pub const WRONG_TYPE: &str = "wrong-type";
pub const YAML_ALIAS: &str = "yaml-alias";
pub const YAML_ANCHOR: &str = "yaml-anchor";
pub const YAML_BOOLEAN: &str = "yaml-boolean";
pub const YAML_CHARACTER: &str = "yaml-character";
pub const YAML_DIRECTIVE: &str = "yaml-directive";
pub const YAML_DOCUMENTS: &str = "yaml-documents";
pub const YAML_DUPLICATE_KEY: &str = "yaml-duplicate-key";
pub const YAML_KEY: &str = "yaml-key";
pub const YAML_MERGE_KEY: &str = "yaml-merge-key";
pub const YAML_NUMBER: &str = "yaml-number";
pub const YAML_SYNTAX: &str = "yaml-syntax";
pub const YAML_TAB: &str = "yaml-tab";
pub const YAML_TAG: &str = "yaml-tag";
pub const YAML_TOO_DEEP: &str = "yaml-too-deep";
pub const YAML_TOO_LARGE: &str = "yaml-too-large";
pub const YAML_TOO_MANY: &str = "yaml-too-many";
pub const YAML_UTF8: &str = "yaml-utf8";

#[cfg(test)]
mod tests {
    use super::CODES;

    #[test]
    fn codes_are_sorted_unique_and_kebab_case() {
        assert!(CODES.windows(2).all(|two| two[0].0 < two[1].0));
        for (code, meaning) in CODES {
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{code}"
            );
            assert!(!meaning.is_empty(), "{code} needs a meaning");
        }
    }
}
