//! Characters that no authored file may contain.

use crate::yaml::codes;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::{Place, advance, after_mark};
use crate::yaml::reader::DIAGNOSTICS_MAX;
use std::sync::Arc;

/// Characters that steer a terminal or reorder what a reviewer sees
/// (CVE-2021-42574). YAML 1.2.2, section 5.1 forbids the control characters.
fn is_refused(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// One mistake for each refused character, up to [`DIAGNOSTICS_MAX`].
pub(super) fn refused_characters(file: &Arc<str>, text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut last = after_mark(text);
    let mut position = (1, 1);
    for (at, c) in text.char_indices() {
        // A carriage return alone ends a line for YAML but not for editors.
        let lone_return = c == '\r' && text.as_bytes().get(at + 1) != Some(&b'\n');
        // A byte order mark is one only at the start; elsewhere it is invisible.
        let stray_mark = c == '\u{feff}' && at > 0;
        if !lone_return && !stray_mark && !is_refused(c) {
            continue;
        }
        position = advance(position, &text[last..at]);
        last = at;
        let place = Place {
            start: at,
            end: at + c.len_utf8(),
            line: position.0,
            column: position.1,
            end_line: position.0,
            end_column: position.1 + 1,
        };
        let message = format!("the character U+{:04X} cannot be used in a file", c as u32);
        found.push(
            Diagnostic::error(codes::YAML_CHARACTER, file, place, message)
                .label("invisible here")
                .help("remove it; in double quotes it can be written as an escape such as \\u001b"),
        );
        if found.len() == DIAGNOSTICS_MAX {
            break;
        }
    }
    found
}
