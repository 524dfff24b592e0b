//! An approval: what a yes lets happen, who is needed, who said what.

use serde_json::Value;

use super::words::{head, input, items, minute, pair, second, text, title, word};
use crate::cli::hint::hint;
use crate::cli::list::cell;
use crate::cli::screen::{Screen, visible};

/// Prints it.
pub(super) fn show(document: &Value, screen: &Screen) {
    let open = document.get("verdict").is_none_or(Value::is_null);
    let stands = if open { "waits".to_owned() } else { word(document, "/verdict") };
    let id = text(document, "/id");
    head(screen, &stands, &id);
    pair(screen, "run", &text(document, "/run"));
    pair(screen, "step", &text(document, "/step"));
    pair(screen, "needs a yes", &text(document, "/needs"));
    let again =
        if document.get("escalated") == Some(&Value::Bool(true)) { ", and a second time" } else { "" };
    pair(screen, "asked", &format!("{}{again}", second(document, "/asked_at")));
    let silence = match text(document, "/if_silent").as_str() {
        "escalate" if again.is_empty() => "silence is asked once more, and then is a no",
        _ => "silence is a no",
    };
    let silence = if open { format!("; {silence}") } else { String::new() };
    pair(screen, "until", &format!("{}{silence}", minute(document, "/until")));
    pair(screen, "decided", &second(document, "/closed_at"));
    pair(screen, "binds", &text(document, "/binds"));
    covers(document, screen);
    title(screen, "Who said what:");
    let given = items(document, "/given");
    if given.is_empty() {
        screen.line("nobody yet");
    }
    for word in given {
        screen.line(&visible(&said(word)));
    }
    if open {
        title(screen, "To decide:");
        screen.line(&hint(&format!("approve {id} --note WHY")));
        screen.line(&hint(&format!("reject {id} --note WHY")));
    }
}

/// The steps of a block, or the one step.
fn covers(document: &Value, screen: &Screen) {
    let mut covered = items(document, "/covers").to_vec();
    if covered.is_empty() {
        covered.extend(document.get("asks").filter(|asks| asks.is_object()).cloned());
    }
    if covered.is_empty() {
        return;
    }
    title(screen, "A yes lets these steps act:");
    let rows: Vec<Vec<String>> = covered
        .iter()
        .map(|step| {
            let given = match step.get("input") {
                None | Some(Value::Null) => "known once the steps before it have ended".to_owned(),
                Some(value) => input(value),
            };
            vec![text(step, "/step"), text(step, "/operation"), given, text(step, "/target")]
        })
        .collect();
    // Of a block the input is what was known when people were asked; the rest comes.
    let known = rows.iter().any(|row| !row[3].is_empty());
    let headings: &[&str] = match (known, document.get("asks").is_some_and(Value::is_object)) {
        (true, _) => &["STEP", "OPERATION", "INPUT", "TARGET"],
        (false, true) => &["STEP", "OPERATION", "INPUT"],
        (false, false) => &["STEP", "OPERATION", "INPUT, AS FAR AS KNOWN"],
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row[..headings.len()].to_vec()).collect();
    screen.table(headings, &rows);
}

fn said(word: &Value) -> String {
    let verb = if word.get("approve") == Some(&Value::Bool(true)) { "yes" } else { "no" };
    let counts = text(word, "/counts_for");
    let counts = if counts.is_empty() { String::new() } else { format!(" for {counts}") };
    let note = text(word, "/note");
    let note = if note.is_empty() { String::new() } else { format!(": {note}") };
    format!("{}  {}  {verb}{counts}{note}", second(word, "/at"), cell(word.get("by")))
}
