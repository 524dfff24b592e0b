//! Parts of documents in words, and the lines that hold them.

use serde_json::Value;

use crate::cli::list::cell;
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::time::Timestamp;

/// Columns kept for what a line is about.
const NAME_WIDTH: usize = 14;

/// Prints `name  text`, unless there is nothing to say.
pub(super) fn pair(screen: &Screen, name: &str, text: &str) {
    if !text.is_empty() {
        let name = screen.paint(Style::Dim, &format!("{name:<NAME_WIDTH$}"));
        screen.line(&format!("{name}  {}", visible(text)));
    }
}

/// Prints what stands above everything: how it stands, and what it is.
pub(super) fn head(screen: &Screen, stands: &str, what: &str) {
    let style = match stands {
        "succeeded" | "approved" | "verified" | "lifted" | "closed" => Style::Green,
        "failed" | "rejected" | "silent" | "stuck" | "needs a person" | "quarantined" => Style::Red,
        _ => Style::Yellow,
    };
    screen.line(&format!(
        "{}  {}",
        screen.paint(style, &visible(stands)),
        screen.paint(Style::Bold, &visible(what))
    ));
}

/// Prints the title of some lines below it.
pub(super) fn title(screen: &Screen, text: &str) {
    screen.line("");
    screen.line(&screen.paint(Style::Bold, text));
}

/// The text at a pointer; empty when there is none.
pub(super) fn text(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        some => cell(some),
    }
}

/// A word of the API as people read it: `needs_person` → `needs person`.
pub(super) fn word(document: &Value, pointer: &str) -> String {
    match text(document, pointer).as_str() {
        "needs_person" => "needs a person".to_owned(),
        other => other.replace('_', " "),
    }
}

/// A time at a pointer, to the second.
pub(super) fn second(document: &Value, pointer: &str) -> String {
    let text = text(document, pointer);
    match text.split_once('.') {
        Some((whole, _)) if text.parse::<Timestamp>().is_ok() => {
            format!("{} UTC", whole.replacen('T', " ", 1))
        }
        _ => text,
    }
}

/// A time at a pointer, to the minute.
pub(super) fn minute(document: &Value, pointer: &str) -> String {
    let text = text(document, pointer);
    text.parse::<Timestamp>().map_or(text, Timestamp::to_minute)
}

/// The items of a list.
pub(super) fn items<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    document.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What is handed over, in one line: `user=dana@example.com, reason=…`.
pub(super) fn input(value: &Value) -> String {
    let Value::Object(map) = value else { return cell(Some(value)) };
    let pairs = map.iter().map(|(name, value)| match value {
        Value::Object(_) | Value::Array(_) => format!("{name}={value}"),
        plain => format!("{name}={}", cell(Some(plain))),
    });
    pairs.collect::<Vec<_>>().join(", ")
}

/// Whom or what a run waits for there.
pub(super) fn awaited(wait: &Value) -> String {
    let needs = text(wait, "/needs");
    if !needs.is_empty() {
        return needs;
    }
    let who = text(wait, "/who");
    match (who.is_empty(), wait.get("on").and_then(Value::as_str)) {
        (false, _) => who,
        (true, Some("attempt")) => "the next attempt".to_owned(),
        (true, Some("time")) => "a point in time".to_owned(),
        (true, Some(other)) => other.replace('_', " "),
        (true, None) => "nobody known".to_owned(),
    }
}
