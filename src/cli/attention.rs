//! `quell attention`: all that needs a person.

use serde_json::Value;

use crate::cli::args::AttentionArgs;
use crate::cli::client::Client;
use crate::cli::decide::id_text;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint_of;
use crate::cli::list::cell;
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::time::Timestamp;

/// Prints what needs a person, each with the commands that come next.
///
/// # Errors
/// When no server answers, or it refuses the page.
pub async fn attention(args: &AttentionArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let mut path = format!("/attention?limit={}", args.limit);
    for (name, given) in [("run", &args.run), ("after", &args.after)] {
        if let Some(given) = given {
            path.push_str(&format!("&{name}={}", id_text(given)?));
        }
    }
    if args.mine {
        path.push_str("&mine=true");
    }
    let page = client.get(&path).await?;
    if screen.json() {
        screen.document(&page);
        return Ok(Exit::Done);
    }
    let items = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    if items.is_empty() {
        screen.line(if args.mine { "nothing is asked of you" } else { "nothing needs a person" });
        return Ok(Exit::Done);
    }
    print(&items, screen);
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        screen.line(&format!("more: add --after {next}"));
    }
    Ok(Exit::Done)
}

/// A row for each, what happened as its last cell, and under it what to do.
pub fn print(items: &[Value], screen: &Screen) {
    let headings = ["NEED", "SINCE", "RUN", "STEP", "TARGET", "WHAT"];
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let lines = screen.aligned(&headings, &rows);
    let (head, lines) = lines.split_first().map_or((None, &[][..]), |(head, lines)| (Some(head), lines));
    head.into_iter().for_each(|head| screen.line(&screen.paint(Style::Dim, head)));
    for (line, item) in lines.iter().zip(items) {
        screen.line(line);
        for command in item.get("commands").and_then(Value::as_array).into_iter().flatten() {
            let command = hint_of(&cell(Some(command)));
            let command = visible(&command);
            screen.line(&format!("  {} {}", screen.paint(Style::Yellow, "→"), command));
        }
    }
}

fn row(item: &Value) -> Vec<String> {
    let since = item.get("since").and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
    let since = since.map_or_else(|| "–".to_owned(), Timestamp::to_minute);
    let mut cells = vec![cell(item.get("name")), since];
    cells.extend(["run", "step", "target", "what"].map(|name| cell(item.get(name))));
    // One thing, one line.
    cells.iter().map(|cell| cell.replace('\n', " ")).collect()
}
