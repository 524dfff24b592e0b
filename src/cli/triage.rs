//! `quell merge`, `quell split`, `quell except`, `quell detections`: what belongs
//! together, what is kept quiet for a time, and how often rules are right.

use serde_json::{Map, Value, json};

use crate::cli::args::{DetectionsArgs, ExceptArgs, SplitArgs};
use crate::cli::client::Client;
use crate::cli::decide::id_text;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint;
use crate::cli::list::cell;
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::time::Timestamp;
use crate::yaml::units::parse_duration_within;

/// The longest that is asked for; the server knows what it allows.
const DAYS_MOST: u64 = 365;

/// Pages of rules that are read to find the worst: more rules than any house has.
const PAGES_MAX: usize = 100;

/// Makes all of one incident part of another.
///
/// # Errors
/// When the server refuses it, or no server answers.
pub async fn merge(
    (from, into, why): (&str, &str, &str),
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let (from, into) = (id_text(from)?, id_text(into)?);
    let row = client.post(&format!("/incidents/{from}/merge"), &json!({ "into": into, "why": why })).await?;
    told(&row, &format!("{from} is part of {into} now, and closed"), into, screen);
    Ok(Exit::Done)
}

/// Takes some alerts of an incident into a new one.
///
/// # Errors
/// When the server refuses it, or no server answers.
pub async fn split(args: &SplitArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let from = id_text(&args.incident)?;
    let body = json!({ "alerts": args.alerts, "why": args.why });
    let row = client.post(&format!("/incidents/{from}/split"), &body).await?;
    let new = row.get("id").and_then(Value::as_str).unwrap_or_default();
    let many = args.alerts.len();
    let alerts = if many == 1 { "1 alert is".to_owned() } else { format!("{many} alerts are") };
    told(&row, &format!("{alerts} in {new} now"), new, screen);
    Ok(Exit::Done)
}

fn told(row: &Value, done: &str, id: &str, screen: &Screen) {
    if screen.json() {
        screen.document(row);
    } else {
        screen.line(&format!("{}; see it with `{}`", visible(done), hint(&format!("show {id}"))));
    }
}

/// Makes an exception, or ends one.
///
/// # Errors
/// When the server refuses it, or no server answers.
pub async fn except(args: &ExceptArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    if let Some(id) = &args.end {
        let id = id_text(id)?;
        let body = args.why.as_ref().map_or_else(|| json!({}), |why| json!({ "why": why }));
        let row = client.post(&format!("/exceptions/{id}/end"), &body).await?;
        told(&row, &format!("{id} has ended: its alerts have effect again"), id, screen);
        return Ok(Exit::Done);
    }
    let mut body = Map::new();
    let texts = [
        ("rule", &args.rule),
        ("owner", &args.owner),
        ("why", &args.why),
        ("source", &args.source),
        ("subject", &args.subject),
        ("host", &args.host),
        ("when", &args.when),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.to_owned(), Value::from(text.clone()));
        }
    }
    let holds = parse_duration_within(&args.holds, DAYS_MOST).map_err(|why| {
        let message =
            format!("`--for {}` {why}; write a number and a unit: 12h, 7d", args.holds.escape_debug());
        CliError::new(Exit::Wrong, "bad-duration", message)
    })?;
    let until = Timestamp::from_millis(chrono::Utc::now().timestamp_millis()).after(holds);
    body.insert("until".to_owned(), json!(until));
    if let Some(severity) = args.severity_max {
        body.insert("severity_max".to_owned(), Value::from(severity));
    }
    let row = client.post("/exceptions", &Value::Object(body)).await?;
    let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
    told(&row, &format!("{id} holds until {}", until.to_minute()), id, screen);
    Ok(Exit::Done)
}

/// Lists how often the rules of detectors fired and were right; of one rule, what to
/// write to whoever answers for it.
///
/// # Errors
/// When there is no such rule, or no server answers.
pub async fn detections(args: &DetectionsArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    if let (Some(source), Some(rule)) = (&args.source, &args.rule) {
        return message(source, rule, client, screen).await;
    }
    let mut rows = Vec::new();
    let mut after = String::new();
    for _ in 0..PAGES_MAX {
        let page = client.get(&format!("/detections?limit=500{after}")).await?;
        rows.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    if let Some(source) = &args.source {
        rows.retain(|row| row.get("source").and_then(Value::as_str) == Some(source));
    }
    // Those that were wrong most often stand first, then the loudest.
    let count = |row: &Value, path: &str| row.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    rows.sort_by_key(|row| std::cmp::Reverse((count(row, "/verdicts/wrong"), count(row, "/alerts"))));
    let left_out = rows.len().saturating_sub(args.limit);
    rows.truncate(args.limit);
    if screen.json() {
        screen.document(&json!({ "items": rows, "left_out": left_out }));
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        screen.line("no rule has fired");
        return Ok(Exit::Done);
    }
    let share = |row: &Value, path: &str| {
        let number = |name: &str| row.pointer(&format!("{path}/{name}")).and_then(Value::as_f64);
        match (number("share"), number("low"), number("high")) {
            (Some(share), Some(low), Some(high)) => {
                format!("{:.0} % ({:.0} to {:.0})", share * 100.0, low * 100.0, high * 100.0)
            }
            _ => "-".to_owned(),
        }
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                cell(row.get("source")),
                cell(row.get("rule")),
                cell(row.get("alerts")),
                cell(row.get("incidents")),
                share(row, "/true_positives"),
                share(row, "/false_positives"),
                cell(row.get("suppressed")),
            ]
        })
        .collect();
    screen.table(&["SOURCE", "RULE", "ALERTS", "INCIDENTS", "RIGHT", "WRONG", "SUPPRESSED"], &cells);
    Ok(Exit::Done)
}

/// What to write to whoever answers for a rule.
async fn message(source: &str, rule: &str, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let query = reqwest::Url::parse_with_params("http://localhost/", [("source", source), ("rule", rule)])
        .map_err(|error| CliError::new(Exit::Wrong, "rule-wrong", error.to_string()))?;
    let document = client.get(&format!("/detections/message?{}", query.query().unwrap_or_default())).await?;
    if screen.json() {
        screen.document(&document);
        return Ok(Exit::Done);
    }
    let text = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let to = match text("/message/to") {
        "" => "nobody is named; write the owner under `triage: detection_owners:` of the settings",
        to => to,
    };
    screen.line(&format!("{} {}", screen.paint(Style::Dim, "To:"), visible(to)));
    screen.line(&format!("{} {}", screen.paint(Style::Dim, "Subject:"), visible(text("/message/subject"))));
    screen.line("");
    for line in text("/message/text").lines() {
        screen.line(&visible(line));
    }
    Ok(Exit::Done)
}
