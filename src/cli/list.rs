//! Lists: alerts, runs, incidents, approvals, questions, containments, schedules.

use serde_json::Value;

use crate::cli::args::{AlertsArgs, ListArgs};
use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::cli::screen::Screen;

/// What a list shows: the path, a filter for what is not over, and its columns
/// as heading and JSON pointer.
pub struct Listing {
    path: &'static str,
    live: &'static str,
    empty: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

/// `quell alerts`.
pub const ALERTS: Listing = Listing {
    path: "/alerts",
    live: "",
    empty: "no alert has come in",
    columns: &[
        ("ALERT", "/id"),
        ("RECEIVED", "/received_at"),
        ("SEVERITY", "/severity"),
        ("SOURCE", "/source"),
        ("FATE", FATE),
        ("INCIDENT", "/incident"),
        ("TITLE", "/title"),
    ],
};

/// What became of an alert, in a word.
const FATE: &str = "/fate in a word";

/// All that a run waits for, in one cell.
const WAITS: &str = "/waiting_on";

/// Until when the first of them lasts.
const WAITS_UNTIL: &str = "/waiting_on until";

/// Columns that a cell with people in it may take.
const PEOPLE_CHARS_MAX: usize = 44;

/// `quell runs`.
pub const RUNS: Listing = Listing {
    path: "/runs",
    live: "",
    empty: "nothing has been run",
    columns: &[
        ("RUN", "/id"),
        ("STATUS", "/status"),
        ("PLAYBOOK", "/playbook"),
        ("STARTED", "/started_at"),
        ("WAITS ON", WAITS),
        ("UNTIL", WAITS_UNTIL),
        ("INCIDENT", "/incident"),
    ],
};
/// `quell incidents`.
pub const INCIDENTS: Listing = Listing {
    path: "/incidents",
    live: "",
    empty: "there is no incident",
    columns: &[
        ("INCIDENT", "/id"),
        ("SEVERITY", "/severity"),
        ("STATUS", "/status"),
        ("DISPOSITION", "/disposition"),
        ("ALERTS", "/alert_count"),
        ("SUBJECT", "/subject"),
        ("TITLE", "/title"),
    ],
};
/// `quell exceptions`.
pub const EXCEPTIONS: Listing = Listing {
    path: "/exceptions",
    live: "&holding=true",
    empty: "no exception holds",
    columns: &[
        ("EXCEPTION", "/id"),
        ("RULE", "/rule"),
        ("SUBJECT", "/subject"),
        ("UNTIL", "/until"),
        ("SUPPRESSED", "/suppressed"),
        ("OWNER", "/owner"),
        ("WHY", "/why"),
    ],
};

/// `quell approvals`.
pub const APPROVALS: Listing = Listing {
    path: "/approvals",
    live: "&open=true",
    empty: "no approval waits",
    columns: &[
        ("APPROVAL", "/id"),
        ("STEP", "/step"),
        ("NEEDS", "/needs"),
        ("UNTIL", "/until"),
        ("VERDICT", "/verdict"),
        ("RUN", "/run"),
    ],
};
/// `quell questions`.
pub const QUESTIONS: Listing = Listing {
    path: "/questions",
    live: "&open=true",
    empty: "no question waits",
    columns: &[
        ("QUESTION", "/id"),
        ("STEP", "/step"),
        ("ASKED", "/asked"),
        ("UNTIL", "/until"),
        ("ANSWER", "/answer/choice"),
        ("RUN", "/run"),
    ],
};
/// `quell containments`.
pub const CONTAINMENTS: Listing = Listing {
    path: "/containments",
    live: "&holding=true",
    empty: "nothing is contained",
    columns: &[
        ("CONTAINMENT", "/id"),
        ("STATE", "/state"),
        ("TARGET", "/target"),
        ("OPERATION", "/operation"),
        ("UNTIL", "/until"),
        ("LOOKED AT", "/looked_at"),
        ("BY", "/by"),
        ("RUN", "/run"),
        ("WHY", "/reason"),
    ],
};

/// `quell schedules`.
pub const SCHEDULES: Listing = Listing {
    path: "/schedules",
    live: "",
    empty: "no playbook has a schedule",
    columns: &[
        ("SCHEDULE", "/id"),
        ("PLAYBOOK", "/playbook"),
        ("CRON", "/cron"),
        ("ZONE", "/timezone"),
        ("MISSED", "/missed"),
        ("OVERLAP", "/overlap"),
        ("LAST", "/last/due"),
        ("NEXT", "/next"),
    ],
};

/// `quell polls`.
pub const POLLS: Listing = Listing {
    path: "/polls",
    live: "",
    empty: "no source is polled",
    columns: &[
        ("SOURCE", "/source"),
        ("OPERATION", "/operation"),
        ("EVERY", "/every"),
        ("LAST SUCCESS", "/last_success"),
        ("CURSOR", "/cursor"),
        ("TAKEN", "/taken"),
        ("FAILURES", "/failures"),
        ("NEXT", "/next"),
        ("WHY", "/why"),
    ],
};

/// Prints the alerts of the running server that are asked for.
///
/// # Errors
/// When a filter is no such thing, or no server answers.
pub async fn alerts(args: &AlertsArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let severity = args.severity_min.map(|least| least.to_string());
    let filters = [
        ("fate", &args.fate),
        ("source", &args.source),
        ("incident", &args.incident),
        ("severity_min", &severity),
    ];
    let given = filters.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
    let query = reqwest::Url::parse_with_params("http://localhost/", given)
        .map_err(|error| CliError::new(Exit::Wrong, "query-wrong", error.to_string()))?;
    let query = query.query().filter(|query| !query.is_empty());
    let query = query.map_or_else(String::new, |query| format!("&{query}"));
    page(&ALERTS, &args.list, &query, client, screen).await
}

/// Prints a list of the running server.
///
/// # Errors
/// When no server answers.
pub async fn list(
    listing: &Listing,
    args: &ListArgs,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let live = if args.all { "" } else { listing.live };
    page(listing, args, live, client, screen).await
}

async fn page(
    listing: &Listing,
    args: &ListArgs,
    live: &str,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let after = match &args.after {
        Some(id) if id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            format!("&after={id}")
        }
        Some(id) => {
            return Err(CliError::new(Exit::Wrong, "id-wrong", format!("`{id}` is no id")));
        }
        None => String::new(),
    };
    let mut page = client.get(&format!("{}?limit={}{live}{after}", listing.path, args.limit)).await?;
    // A page that had much to pass over may be empty, and goes on all the same.
    while page["items"].as_array().is_some_and(Vec::is_empty)
        && let Some(next) = page["next"].as_str()
    {
        page = client.get(&format!("{}?limit={}{live}&after={next}", listing.path, args.limit)).await?;
    }
    if screen.json() {
        screen.document(&page);
        return Ok(Exit::Done);
    }
    let items = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    if items.is_empty() {
        screen.line(listing.empty);
        return Ok(Exit::Done);
    }
    let headings: Vec<&str> = listing.columns.iter().map(|(heading, _)| *heading).collect();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| listing.columns.iter().map(|(_, pointer)| shown(item, pointer)).collect())
        .collect();
    screen.table(&headings, &rows);
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        screen.line(&format!("more: add --after {next}"));
    }
    Ok(Exit::Done)
}

/// What a column shows of an item.
fn shown(item: &Value, pointer: &str) -> String {
    let waits = item.get("waiting_on").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match pointer {
        WAITS => people(waits),
        WAITS_UNTIL => {
            let until = waits.iter().filter_map(|wait| wait.get("until")?.as_str()).min();
            until.map_or_else(|| cell(None), str::to_owned)
        }
        // A fate is a map with one key, its name.
        FATE => {
            let fate = item.get("fate").and_then(Value::as_object).and_then(|fate| fate.keys().next());
            fate.map_or_else(|| "not triaged yet".to_owned(), |name| name.replace('_', " "))
        }
        _ => cell(item.pointer(pointer)),
    }
}

/// The people that a run waits for: `3 people: lee@example.com, noor@example.…`;
/// where it waits for nobody, the step that waits.
fn people(waits: &[Value]) -> String {
    let mut who: Vec<String> = Vec::new();
    for name in waits.iter().filter_map(|wait| wait.get("who")?.as_array()).flatten() {
        let name = cell(Some(name));
        if !who.contains(&name) {
            who.push(name);
        }
    }
    let text = match who.len() {
        0 => cell(waits.first().and_then(|wait| wait.get("step"))),
        1 => who.remove(0),
        count => {
            let what = if who.iter().any(|name| name.starts_with("group:")) { "asked" } else { "people" };
            format!("{count} {what}: {}", who.join(", "))
        }
    };
    if text.chars().count() <= PEOPLE_CHARS_MAX {
        return text;
    }
    text.chars().take(PEOPLE_CHARS_MAX - 1).chain(['…']).collect()
}

/// A value in a cell.
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_shows_all_the_people_it_waits_for_as_far_as_they_fit() {
        let wait = |who: &[&str], until: &str| json!({ "step": "a", "who": who, "until": until });
        let item = |waits: &[Value]| json!({ "waiting_on": waits });
        let (lee, noor) = ("lee.park@example.com", "noor.haddad@example.com");
        let one = item(&[wait(&[lee], "2026-11-27"), wait(&[lee], "2026-11-26")]);
        assert_eq!((shown(&one, WAITS), shown(&one, WAITS_UNTIL)), (lee.to_owned(), "2026-11-26".to_owned()));
        let two = shown(&item(&[wait(&[lee], ""), wait(&[noor], "")]), WAITS);
        assert_eq!(two, "2 people: lee.park@example.com, noor.haddad…");
        let group = shown(&item(&[wait(&["group:hr", "group:legal"], "")]), WAITS);
        assert_eq!(group, "2 asked: group:hr, group:legal");
        assert_eq!(shown(&item(&[wait(&[], "")]), WAITS), "a");
        assert_eq!(shown(&item(&[]), WAITS), "–");
    }
}
