//! `quell ingest`: alerts from a file or a pipe, as their source would send them.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::app::house::now;
use crate::app::load::source_rules;
use crate::cli::args::IngestArgs;
use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint;
use crate::cli::input::read_input;
use crate::cli::list::cell;
use crate::cli::screen::{Screen, visible};
use crate::domain::alert::Alert;
use crate::domain::id::AlertId;
use crate::intake::normalise::{ALERTS_MAX, normalise};
use crate::settings::Settings;

/// The largest file, in MiB: a day of alerts of a large house.
const FILE_MIB_MAX: u64 = 512;

/// The most bytes that are handed over at a time: well below what a delivery may
/// have, and few enough that its answer comes soon.
const PART_BYTES_MAX: usize = 256 << 10;

/// The most alerts that are handed over at a time.
const PART_ALERTS_MAX: usize = ALERTS_MAX / 4;

/// Hands alerts to the running server, or prints them.
///
/// # Errors
/// When the file cannot be read, the source is not there, or something of the file
/// is no alert; what was taken before that is said.
pub async fn ingest(
    args: &IngestArgs,
    settings: &Settings,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let bytes = read_input(&args.file, FILE_MIB_MAX, "file-unreadable", "")?;
    let parts = parts(&bytes);
    if args.dry_run {
        return dry_run(args, settings, &parts, screen);
    }
    let name = &args.source;
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(CliError::new(
            Exit::Wrong,
            "source-unknown",
            format!("`{}` is no source", visible(name)),
        ));
    }
    let (mut taken, mut known, mut started) = (0, 0, 0);
    for part in parts {
        let sent = client.post_bytes(&format!("/sources/{name}/alerts"), part.kind, part.bytes).await;
        let answer = sent.map_err(|error| {
            let so_far = taken + known;
            if so_far == 0 { error } else { error.beside(format!("{so_far} alert(s) before it were taken; giving the whole file again takes none of them twice")) }
        })?;
        if screen.json() {
            screen.document(&answer);
        }
        for alert in answer["alerts"].as_array().into_iter().flatten() {
            let again = alert["duplicate"] == Value::Bool(true);
            if again {
                known += 1
            } else {
                taken += 1
            }
            started += alert["runs"].as_array().filter(|_| !again).map_or(0, Vec::len);
            if !screen.json() {
                screen.line(&told(alert, again));
                for cut in alert["cut"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    screen.line(&visible(&format!("  names {cut}")));
                }
            }
        }
    }
    if !screen.json() {
        screen.line(&format!(
            "{taken} taken, {known} known already, {started} run(s) started; `{}` lists them",
            hint("alerts")
        ));
    }
    Ok(Exit::Done)
}

/// One alert that the server took, in a line.
fn told(alert: &Value, again: bool) -> String {
    let id = cell(alert.get("id"));
    let first = alert["runs"].as_array().and_then(|runs| runs.first());
    let started = first.map(|run| format!("started {}", cell(Some(run))));
    let what = match (alert["fate"].as_str(), started) {
        _ if again => "known already".to_owned(),
        (Some("joined"), None) => format!("joined {}", cell(alert.get("incident"))),
        (Some("joined"), Some(started)) => format!("joined {}, {started}", cell(alert.get("incident"))),
        (_, Some(started)) => started,
        (Some("suppressed"), None) => format!("suppressed: {}", cell(alert["reasons"].get(0))),
        (Some("ended"), None) => "ended at its detector".to_owned(),
        _ => match alert["reasons"].get(0) {
            Some(miss) => format!("no playbook wanted it: {}", cell(Some(miss))),
            None => "no playbook wanted it".to_owned(),
        },
    };
    visible(&format!("{id}  {what}  {}", cell(alert.get("title"))))
}

/// Prints the alerts, and stores nothing.
fn dry_run(
    args: &IngestArgs,
    settings: &Settings,
    parts: &[Part],
    screen: &Screen,
) -> Result<Exit, CliError> {
    let spec = source_rules(settings, &args.source).map_err(|known| {
        let says = format!("there is no source `{}`; there are: {}", visible(&args.source), known.join(", "));
        CliError::new(Exit::Wrong, "source-unknown", says)
    })?;
    let mut count: u64 = 0;
    for part in parts {
        // Ids of a dry run only tell its alerts apart.
        let mut new_id = || {
            count += 1;
            AlertId::new(ulid::Ulid::from_parts(0, u128::from(count)))
        };
        let alerts = normalise(&spec, &args.source, &part.bytes, Some(part.kind), now(), &mut new_id)
            .map_err(|error| CliError::new(Exit::Wrong, error.code(), error))?;
        for alert in &alerts {
            if screen.json() {
                screen.document(alert);
            } else {
                shown(alert, screen);
            }
        }
    }
    Ok(Exit::Done)
}

/// An alert as a person checks it: what decides about somebody's access first.
fn shown(alert: &Alert, screen: &Screen) {
    let subject = alert.user.email.as_ref().or(alert.user.name.as_ref()).or(alert.user.id.as_ref());
    let severity = match &alert.vendor_severity {
        Some(word) => format!("{} (`{word}`)", alert.severity),
        None => alert.severity.to_string(),
    };
    let host = alert.host.name.as_deref().unwrap_or("none");
    let time = alert.event_time.map_or_else(|| "no time".to_owned(), |time| time.to_string());
    let service = if alert.user.service { " (a service account)" } else { "" };
    let actor = alert.actor.shown().or(alert.actor.id.as_deref());
    let actor = actor.map_or_else(String::new, |actor| format!(", done by {actor}"));
    let ended = if alert.status.is_open() { "" } else { "  (ended at its detector)" };
    let lines = [
        format!("{}{ended}", alert.title),
        format!("  subject {}{service}{actor}, host {host}", subject.map_or("none", String::as_str)),
        format!("  severity {severity}, {time}, id {}", alert.source_id.as_deref().unwrap_or("none")),
    ];
    let cut = alert.counts.words().into_iter().map(|words| format!("  names {words}"));
    let unknown = "  its shape is unknown to the rules of the source: a person must look at it";
    let unknown = alert.shape_unknown.then(|| unknown.to_owned());
    for line in lines.into_iter().chain(cut).chain(unknown) {
        screen.line(&visible(&line));
    }
}

/// Some alerts of the file.
struct Part {
    kind: &'static str,
    bytes: Vec<u8>,
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// The file in parts that a delivery may have. What is no list and no lines of JSON
/// stays whole: the source's rules know what it is, or say why it is nothing.
fn parts(bytes: &[u8]) -> Vec<Part> {
    let whole = || vec![Part { kind: JSON, bytes: bytes.to_vec() }];
    let parts = match serde_json::from_slice::<Vec<&RawValue>>(bytes) {
        Ok(items) => {
            let items = items.iter().map(|item| item.get().as_bytes());
            gathered(items, |items| [b"[", &*items.join(&b","[..]), b"]"].concat(), JSON)
        }
        Err(_) if serde_json::from_slice::<&RawValue>(bytes).is_ok() => whole(),
        Err(_) => {
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
            gathered(lines, |lines| lines.join(&b"\n"[..]), LINES)
        }
    };
    if parts.is_empty() { whole() } else { parts }
}

fn gathered<'a>(
    items: impl Iterator<Item = &'a [u8]>,
    join: impl Fn(&[&[u8]]) -> Vec<u8>,
    kind: &'static str,
) -> Vec<Part> {
    let (mut parts, mut group, mut bytes) = (Vec::new(), Vec::new(), 0);
    for item in items {
        if !group.is_empty() && (bytes + item.len() > PART_BYTES_MAX || group.len() == PART_ALERTS_MAX) {
            parts.push(Part { kind, bytes: join(&group) });
            (group, bytes) = (Vec::new(), 0);
        }
        bytes += item.len();
        group.push(item);
    }
    if !group.is_empty() {
        parts.push(Part { kind, bytes: join(&group) });
    }
    parts
}
