//! Incidents and alerts: what came in, what was run on it, what people noted.

use serde_json::{Value, json};

use super::words::{awaited, head, items, pair, second, text, title, word};
use crate::cli::client::Client;
use crate::cli::exit::CliError;
use crate::cli::screen::{Screen, Style, visible};

/// Alerts of an incident that are told one by one; a storm is counted.
const ALERTS_TOLD: usize = 20;

/// Runs of an incident that are told, the newest.
const RUNS_TOLD: usize = 100;

/// A line of the timeline: when, and what.
type Line = (String, String);

/// Prints an incident.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn incident(document: &Value, client: &Client, screen: &Screen) -> Result<(), CliError> {
    head(screen, &word(document, "/status"), &text(document, "/title"));
    pair(screen, "incident", &text(document, "/id"));
    pair(screen, "severity", &format!("{} of 100", text(document, "/severity")));
    pair(screen, "disposition", &word(document, "/disposition"));
    pair(screen, "subject", &text(document, "/subject"));
    pair(screen, "assignee", &text(document, "/assignee"));
    pair(screen, "tags", &text(document, "/tags"));
    pair(screen, "merged into", &text(document, "/merged_into"));
    pair(screen, "related", &text(document, "/related"));
    let mut lines = vec![(text(document, "/opened_at"), "incident opened".to_owned())];
    let alerts = items(document, "/alerts");
    for id in alerts.iter().filter_map(Value::as_str).take(ALERTS_TOLD) {
        let alert = client.get(&format!("/alerts/{id}")).await?;
        lines.push(came(&alert));
    }
    if alerts.len() > ALERTS_TOLD {
        let count = text(document, "/alert_count");
        pair(screen, "alerts", &format!("{count}, of which {ALERTS_TOLD} are told"));
    }
    lines.extend(runs(&text(document, "/id"), &[], client).await?);
    for note in items(document, "/notes") {
        lines.push((text(note, "/at"), note_line(note)));
    }
    timeline(lines, screen);
    Ok(())
}

/// Prints an alert.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn alert(document: &Value, client: &Client, screen: &Screen) -> Result<(), CliError> {
    let fate = document.get("fate").and_then(Value::as_object).and_then(|fate| fate.iter().next());
    let (name, fate) = fate.map_or(("", &Value::Null), |(name, fate)| (name.as_str(), fate));
    let stands = match name {
        "run_started" => "run started",
        "joined" => "joined an incident",
        "suppressed" => "suppressed",
        "ended" => "ended at its detector",
        "no_playbook" => "no playbook wanted it",
        _ => "not triaged yet",
    };
    head(screen, stands, &text(document, "/title"));
    pair(screen, "alert", &text(document, "/id"));
    pair(screen, "source", &text(document, "/source"));
    pair(screen, "handed in by", &text(document, "/by"));
    pair(screen, "source id", &text(document, "/source_id"));
    pair(screen, "severity", &format!("{} of 100", text(document, "/severity")));
    pair(screen, "rule", &text(document, "/rule"));
    pair(screen, "subject", &text(document, "/subject"));
    for cut in items(document, "/cut").iter().filter_map(Value::as_str) {
        pair(screen, "names", cut);
    }
    if document["shape_unknown"] == true {
        pair(screen, "shape", "unknown to the rules of the source: a person must look at it");
    }
    let incident = text(document, "/incident");
    pair(screen, "incident", &incident);
    for related in items(document, "/related_because").iter().filter_map(Value::as_str) {
        pair(screen, "related", related);
    }
    let mut lines = vec![came(document)];
    let started = items(fate, "/runs");
    if !started.is_empty() {
        lines.extend(runs(&incident, started, client).await?);
    }
    for reason in items(document, "/reasons") {
        lines.push((text(document, "/received_at"), text(&json!({ "reason": reason }), "/reason")));
    }
    timeline(lines, screen);
    Ok(())
}

/// A note with the person who wrote it.
fn note_line(note: &Value) -> String {
    let by = note.get("by").and_then(Value::as_str).unwrap_or("a playbook");
    format!("note by {by}: {}", text(note, "/text"))
}

fn came(alert: &Value) -> Line {
    let told = format!(
        "alert {} from {}, severity {} of 100: {}",
        text(alert, "/id"),
        text(alert, "/source"),
        text(alert, "/severity"),
        text(alert, "/title")
    );
    let told = match alert.pointer("/fate/joined/news").and_then(Value::as_str) {
        Some("ended") => format!("{told} (its detector ended the finding)"),
        Some("back") => format!("{told} (the finding is back)"),
        _ => told,
    };
    (text(alert, "/received_at"), told)
}

/// The runs of an incident, or those of them that are named: how each began and
/// stands.
async fn runs(incident: &str, only: &[Value], client: &Client) -> Result<Vec<Line>, CliError> {
    let page = client.get(&format!("/runs?incident={incident}&limit={RUNS_TOLD}")).await?;
    let mut lines = Vec::new();
    for run in items(&page, "/items") {
        if !only.is_empty() && !run.get("id").is_some_and(|id| only.contains(id)) {
            continue;
        }
        let (id, playbook, by) = (text(run, "/id"), text(run, "/playbook"), text(run, "/by"));
        lines.push((text(run, "/started_at"), format!("run {id} of {playbook} started by {by}")));
        let (ended, status) = (text(run, "/ended_at"), word(run, "/status"));
        if !ended.is_empty() {
            lines.push((ended, format!("run {id} ended: {status}")));
            continue;
        }
        let waits: Vec<String> = items(run, "/waiting_on").iter().map(awaited).collect();
        let waits = if waits.is_empty() { String::new() } else { format!(" for {}", waits.join(", ")) };
        let since = text(run, "/waiting_on/0/since");
        let since = if since.is_empty() { text(run, "/started_at") } else { since };
        lines.push((since, format!("run {id} stands at: {status}{waits}")));
    }
    if let (Some(_), Some((at, _))) = (page["next"].as_str(), lines.last().cloned()) {
        lines.push((at, format!("more runs than {RUNS_TOLD}: `quell runs --incident {incident}` lists all")));
    }
    Ok(lines)
}

fn timeline(mut lines: Vec<Line>, screen: &Screen) {
    // RFC 3339 in UTC: the order of the texts is the order in time.
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    title(screen, "What is known:");
    for (at, told) in lines {
        let at = second(&json!({ "at": at }), "/at");
        screen.line(&format!("{}  {}", screen.paint(Style::Dim, &at), visible(&told)));
    }
}
