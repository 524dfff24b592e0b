//! A run: how it stands, whom it waits for, what happened.

use serde_json::Value;

use super::words::{awaited, head, items, minute, pair, second, text, title, word};
use crate::cli::list::cell;
use crate::cli::screen::{Screen, Style, visible};

/// Prints it.
pub(super) fn show(document: &Value, screen: &Screen) {
    let playbook = format!("{} version {}", text(document, "/run/playbook"), text(document, "/run/version"));
    head(screen, &word(document, "/status"), &playbook);
    pair(screen, "run", &text(document, "/run/id"));
    pair(screen, "incident", &text(document, "/incident/id"));
    pair(screen, "title", &text(document, "/incident/title"));
    let by = text(document, "/run/by");
    pair(screen, "started", &format!("{} by {by}", second(document, "/run/started/at")));
    pair(screen, "ended", &second(document, "/run/ended/at"));
    pair(screen, "why", &text(document, "/run/why"));
    pair(screen, "set aside", &text(document, "/run/quarantined/value"));
    let left_out = document.get("left_out").and_then(Value::as_u64).unwrap_or_default();
    if left_out > 0 {
        pair(screen, "left out", &format!("{left_out} lines, for there are too many"));
    }
    let waits = items(document, "/waiting_on");
    if !waits.is_empty() {
        title(screen, "Waits for:");
        let rows: Vec<Vec<String>> = waits
            .iter()
            .map(|wait| vec![text(wait, "/step"), awaited(wait), minute(wait, "/until"), asked_by(wait)])
            .collect();
        screen.table(&["STEP", "ON", "UNTIL", "ID"], &rows);
    }
    title(screen, "What happened:");
    for item in items(document, "/timeline") {
        // What people do carries who; the rest the run did by itself.
        let actor = text(item, "/actor");
        let actor = if actor.contains('@') { format!(" ({actor})") } else { String::new() };
        screen.line(&format!(
            "{} {} {}{}",
            screen.paint(Style::Dim, &cell(item.get("at"))),
            screen.paint(Style::Dim, &format!("{:<5}", cell(item.get("cite")))),
            visible(&cell(item.get("text"))),
            visible(&actor)
        ));
    }
}

/// The approval or question behind a wait.
fn asked_by(wait: &Value) -> String {
    let on = wait.get("on").and_then(Value::as_object);
    on.into_iter().flatten().map(|(_, id)| cell(Some(id))).next().unwrap_or_default()
}
