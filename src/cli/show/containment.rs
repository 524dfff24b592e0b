//! A containment: what holds, who approved it, when it was read back, the way back.

use serde_json::Value;

use super::words::{head, items, minute, pair, second, text, title, word};
use crate::cli::hint::hint;
use crate::cli::screen::Screen;

/// Prints it. `run` is everything about the run that made it, when it can be had.
pub(super) fn show(document: &Value, run: Option<&Value>, screen: &Screen) {
    let id = text(document, "/id");
    let is = |name: &str| document.get(name) == Some(&Value::Bool(true));
    let part = run
        .and_then(|run| items(run, "/containments").iter().find(|part| part.get("id") == document.get("id")));
    let of_part = |pointer: &str| part.map(|part| text(part, pointer)).unwrap_or_default();
    let stands = if is("one_off") { "done".to_owned() } else { word(document, "/hold") };
    head(screen, &stands, &text(document, "/target"));
    pair(screen, "containment", &id);
    pair(screen, "stands", &text(document, "/state"));
    pair(screen, "operation", &text(document, "/operation"));
    pair(screen, "step", &text(document, "/step"));
    pair(screen, "run", &text(document, "/run"));
    pair(screen, "incident", &text(document, "/incident"));
    pair(screen, "because", &of_part("/reason"));
    if document.get("changed") == Some(&Value::Bool(false)) {
        pair(screen, "changed", "nothing: the target was so before");
    }
    pair(screen, "before", &of_part("/before"));
    pair(screen, "accepted", &second(document, "/accepted_at"));
    let showed = of_part("/showed");
    let showed = if showed.is_empty() { String::new() } else { format!(": {showed}") };
    let read = second(document, "/verified_at");
    pair(
        screen,
        "read back",
        &if read.is_empty() { "not yet".to_owned() } else { format!("{read}{showed}") },
    );
    if document.get("looks").and_then(Value::as_u64).unwrap_or_default() > 0 {
        let drifted = text(document, "/drifted");
        let found = if drifted.is_empty() { "it still holds".to_owned() } else { drifted };
        pair(screen, "looked again", &format!("{}: {found}", second(document, "/looked_at")));
    }
    pair(screen, "told of its end", &second(document, "/warned_at"));
    pair(screen, "last try to lift", &text(document, "/lift_failure"));
    pair(screen, "lifted", &second(document, "/lifted_at"));
    pair(screen, "why", &text(document, "/why"));
    let until = match (text(document, "/until").is_empty(), is("one_off")) {
        (false, _) => minute(document, "/until"),
        (true, true) => "for good: there is no way back".to_owned(),
        (true, false) => "somebody lifts it".to_owned(),
    };
    pair(screen, "until", &until);
    for approver in part.map(|part| items(part, "/approvers")).unwrap_or_default() {
        pair(screen, "approved by", &format!("{}, {}", text(approver, "/value"), second(approver, "/at")));
    }
    // Without the run nobody knows whether there is a way back; then it is tried.
    let way_back = part.is_none_or(|part| part.get("undo").is_some_and(Value::is_string));
    let holds = !is("one_off") && document.get("hold").and_then(Value::as_str) != Some("lifted");
    if holds {
        title(screen, "To change it:");
        if way_back {
            pair(screen, "lift it now", &hint(&format!("undo {id} --why WHY")));
        }
        if !text(document, "/until").is_empty() {
            pair(screen, "hold it longer", &hint(&format!("extend {id} --for 24h")));
        }
    }
}
