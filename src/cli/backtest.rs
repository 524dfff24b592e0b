//! `quell backtest`: what a changed playbook would have decided about stored alerts.

use std::path::Path;

use serde_json::{Value, json};

use crate::app::house::{now, open_to_read};
use crate::app::load::load_all;
use crate::cli::args::BacktestArgs;
use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::cli::run::playbook_name;
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::time::Timestamp;
use crate::domain::value::truncate_text;
use crate::playbook::file::text_of;
use crate::playbook::library::Library;
use crate::service::backtest::decision::{BranchChange, Kind};
use crate::service::backtest::{Backtest, Cut, Difference, Draft, Form, Order, Told};
use crate::service::preview::how::Reads;
use crate::settings::Settings;
use crate::yaml::units::parse_duration_within;

/// How far back `--since` may reach, in days: as long as anything is kept.
const SINCE_DAYS_MAX: u64 = 3650;

/// How many differences are shown to people; programs get all.
const SHOWN_MAX: usize = 100;

/// The longest title in a row, in bytes.
const TITLE_BYTES: usize = 48;

/// Compares on the running server if there is one, else on the store of the data
/// directory. Differences make it end with 1, so that a check of changes can ask.
///
/// # Errors
/// When one of the two playbooks is not there or has mistakes, or alerts cannot be read.
pub async fn backtest(
    args: &BacktestArgs,
    settings: &Settings,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let back = parse_duration_within(&args.since, SINCE_DAYS_MAX).map_err(|wrong| {
        let message = format!("`--since {}` {wrong}; write 90d or 12h", args.since.escape_debug());
        CliError::new(Exit::Wrong, "since-wrong", message)
    })?;
    let order = Order {
        new: form(&args.playbook, settings)?,
        old: args.against.as_deref().map(|against| against_form(against, settings)).transpose()?,
        since: now().before(back),
        limit: args.limit,
        reads: args.reads,
    };
    let found: Backtest = if client.is_up().await {
        let answer = client.post("/backtests", &body(&order)).await?;
        serde_json::from_value(answer).map_err(|error| {
            let message = format!("the server's answer is none of this version: {error}");
            CliError::new(Exit::Own, "answer-unreadable", message)
        })?
    } else {
        if !settings.data.exists() {
            let message = format!(
                "there is no store in {}, and no server answers; name them with --data or --config",
                settings.data.display()
            );
            return Err(CliError::new(Exit::Own, "store-missing", message));
        }
        open_to_read(settings).await?.backtest(order).await?
    };
    if screen.json() {
        screen.document(&found);
    } else {
        show(&found, screen);
    }
    Ok(if found.differences.is_empty() { Exit::Done } else { Exit::Failed })
}

/// A file, or the name of a playbook in the library.
fn form(given: &str, settings: &Settings) -> Result<Form, CliError> {
    let path = Path::new(given);
    let is_file = path.exists() || given.contains('/') || given.ends_with(".yaml") || given.ends_with(".yml");
    if is_file { draft(path, settings) } else { Ok(Form::Library(playbook_name(given)?.to_owned())) }
}

fn against_form(given: &str, settings: &Settings) -> Result<Form, CliError> {
    match given.parse() {
        Ok(version) => Ok(Form::Version(version)),
        Err(_) => form(given, settings),
    }
}

/// The text of a file in which no mistake was found by what is configured here.
fn draft(path: &Path, settings: &Settings) -> Result<Form, CliError> {
    let text = text_of(path).map_err(CliError::mistakes)?;
    let file = path.display().to_string();
    // Where the settings themselves are wrong, that is told once they are needed.
    if let Some(loaded) = load_all(settings).0 {
        let (_, mistakes) = Library::load([(file.clone(), text.clone())], &loaded.around);
        if !mistakes.is_empty() {
            return Err(CliError::mistakes(mistakes));
        }
    }
    Ok(Form::Draft(Draft { file, text }))
}

/// An order as the server takes it.
fn body(order: &Order) -> Value {
    let mut body = json!({ "since": order.since, "limit": order.limit, "reads": order.reads });
    match &order.new {
        Form::Draft(draft) => {
            body["text"] = json!(draft.text);
            body["file"] = json!(draft.file);
        }
        Form::Library(name) => body["playbook"] = json!(name),
        Form::Version(_) => {}
    }
    match &order.old {
        Some(Form::Draft(draft)) => {
            body["against_text"] = json!(draft.text);
            body["against_file"] = json!(draft.file);
        }
        Some(Form::Version(version)) => body["against_version"] = json!(version),
        Some(Form::Library(_)) | None => {}
    }
    body
}

fn show(found: &Backtest, screen: &Screen) {
    let told = |side: &Told| format!("version {} ({})", side.version, side.from);
    screen.line(&visible(&format!(
        "A backtest of {}: {}, the new, against {}, the old. Nothing was done, nothing was written, and nobody was written to.",
        found.playbook,
        told(&found.new),
        told(&found.old),
    )));
    screen.line(match found.reads {
        Reads::None => {
            "No system was asked: each step that reads got no answer, and the plans follow what the playbook does then. `--reads live` asks, and gets the answers of today, not of then."
        }
        Reads::Live => "Systems were asked: their answers are those of today, not of then.",
    });
    for (side, which) in [(&found.old, "old"), (&found.new, "new")] {
        if !side.triggered {
            screen.line(&format!("The {which} one has no trigger on alerts: no alert starts it."));
        }
    }
    screen.line("");
    let counts = &found.counts;
    let row = [
        counts.looked_at,
        counts.wanted_old,
        counts.wanted_new,
        counts.wanted_both,
        counts.undecided_old,
        counts.undecided_new,
        counts.differ,
    ];
    screen.table(
        &["ALERTS", "OLD STARTS", "NEW STARTS", "BOTH START", "OLD UNDECIDED", "NEW UNDECIDED", "DIFFER"],
        &[row.map(|count| count.to_string()).to_vec()],
    );
    if counts.erased > 0 {
        screen.line(&format!(
            "{} more are there by name alone: retention erased what they said.",
            counts.erased
        ));
    }
    if let Some(cut) = found.cut {
        let told = match cut {
            Cut::Limit => "There are older ones since then: these were as many as asked for (--limit).",
            Cut::Time => {
                "There are older ones since then: it took too long. Ask for fewer, or for less time."
            }
        };
        screen.line(&screen.paint(Style::Yellow, told));
    }
    screen.line("");
    if found.differences.is_empty() {
        screen.line(&format!("Nothing differs since {}.", minute(found.since)));
        return;
    }
    differences(&found.differences, screen);
}

/// One row an alert, with the two decisions under it.
fn differences(all: &[Difference], screen: &Screen) {
    let rows: Vec<Vec<String>> = all
        .iter()
        .take(SHOWN_MAX)
        .map(|one| {
            let how = match one.change.kind {
                Kind::StartsRun => "starts a run",
                Kind::StartsNoRun => "starts no run any more",
                Kind::GoesAnotherWay => "goes another way",
                Kind::Undecided => "is undecided",
            };
            vec![
                one.alert.to_string(),
                minute(one.received_at),
                one.severity.to_string(),
                one.subject.clone().unwrap_or_else(|| "–".to_owned()),
                truncate_text(&one.title, TITLE_BYTES).into_owned(),
                how.to_owned(),
            ]
        })
        .collect();
    let headings = ["ALERT", "RECEIVED", "SEVERITY", "SUBJECT", "TITLE", "NOW"];
    let lines = screen.aligned(&headings, &rows);
    screen.line(&screen.paint(Style::Dim, &lines[0]));
    for (line, one) in lines[1..].iter().zip(all) {
        screen.line(&screen.paint(Style::Bold, line));
        screen.line(&format!("  old: {}", one_line(&one.change.old.words)));
        screen.line(&format!("  new: {}", one_line(&one.change.new.words)));
        one.change.branches.iter().for_each(|branch| branch_change(branch, screen));
    }
    if all.len() > SHOWN_MAX {
        let more = all.len() - SHOWN_MAX;
        screen.line(&format!("{more} more differ; `--format json` lists all."));
    }
}

fn branch_change(branch: &BranchChange, screen: &Screen) {
    if !branch.answers.is_empty() {
        let only = match (&branch.end_old, &branch.end_new) {
            (Some(_), None) => " (only the old one asks so)",
            (None, Some(_)) => " (only the new one asks so)",
            _ => "",
        };
        screen.line(&format!("    if answered {}{only}:", one_line(&branch.answers.join(", "))));
    }
    let ends = |end: &Option<String>| end.clone().into_iter().map(|end| format!("ends: {end}"));
    let same_end = branch.end_old == branch.end_new;
    let old = branch.only_old.iter().cloned().chain(ends(&branch.end_old).filter(|_| !same_end));
    let new = branch.only_new.iter().cloned().chain(ends(&branch.end_new).filter(|_| !same_end));
    let old = old.map(|text| (Style::Red, "-", text));
    let lines: Vec<_> = old.chain(new.map(|text| (Style::Green, "+", text))).collect();
    for (style, sign, text) in &lines {
        screen.line(&screen.paint(*style, &format!("      {sign} {}", one_line(text))));
    }
    if lines.is_empty() {
        screen.line("      the same, in another order");
    }
}

fn minute(at: Timestamp) -> String {
    at.to_minute()
}

/// Conditions may stand on several lines in their file.
fn one_line(text: &str) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
