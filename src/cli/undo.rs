//! Ending, lifting, going on: cancel, undo, extend, release.

use serde_json::{Value, json};

use crate::cli::args::{ReleaseArgs, UndoArgs};
use crate::cli::client::Client;
use crate::cli::decide::id_text;
use crate::cli::exit::{CliError, Exit};
use crate::cli::list::cell;
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::time::Timestamp;
use crate::yaml::units::parse_duration;

/// How long the command waits for what comes of an order to lift, in seconds.
/// Most targets are lifted and read back in less than one; what is tried again
/// later is not waited for, and what takes longer goes on.
const WAIT_SECONDS: u64 = 20;

/// `quell cancel`.
///
/// # Errors
/// When the server refuses it.
pub async fn cancel(
    run: &str,
    also_undo: bool,
    why: Option<&str>,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let id = id_text(run)?;
    let done = client.post(&format!("/runs/{id}/cancel"), &json!({ "why": why })).await?;
    if screen.json() {
        screen.document(&done)
    } else {
        screen.line(&format!("{id} is cancelled; what is in flight ends first"))
    }
    if !also_undo {
        return Ok(Exit::Done);
    }
    let done = client.post(&format!("/runs/{id}/undo"), &body(&[], false, false, why)).await?;
    Ok(told(id, &done, screen))
}

/// `quell release`.
///
/// # Errors
/// When the server does not take the order.
pub async fn release(args: &ReleaseArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let runs = args.runs.iter().map(|run| id_text(run)).collect::<Result<Vec<&str>, _>>()?;
    let order = json!({ "runs": runs, "all": args.all, "note": args.note });
    let done = client.post("/runs/release", &order).await?;
    let items = done.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_released = |item: &&Value| item.get("released").and_then(Value::as_bool) == Some(true);
    let refused = items.len() - items.iter().filter(is_released).count();
    let exit = if refused == 0 { Exit::Done } else { Exit::Refused };
    if screen.json() {
        screen.document(&done);
        return Ok(exit);
    }
    for item in items {
        let style = if is_released(&item) { Style::Green } else { Style::Red };
        let text = format!("{} {}", cell(item.get("run")), cell(item.get("says")));
        screen.line(&screen.paint(style, &visible(&text)));
    }
    match (items, refused) {
        ([], _) => screen.line("no run is set aside"),
        ([one], 0) => screen.line(&format!("see `quell show {}`", cell(one.get("run")))),
        (all, 0) => screen.line(&format!("{} runs go on", all.len())),
        (all, refused) => screen.line(&format!("{} go on, {refused} do not", all.len() - refused)),
    }
    Ok(exit)
}

/// `quell undo`.
///
/// # Errors
/// When it is not said what is to be lifted, or the server refuses it.
pub async fn undo(args: &UndoArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let named = [&args.id, &args.containment, &args.incident].into_iter().flatten().next();
    let id = id_text(named.map_or("", String::as_str))?;
    let family = match id.split('_').next() {
        Some("ctn") if args.incident.is_none() => "containments",
        Some("inc") if args.containment.is_none() => "incidents",
        Some("run") if args.id.is_some() => "runs",
        _ => {
            let message = format!(
                "`{id}` is nothing that can be lifted this way; say `quell undo run_… [STEP…]`, `--containment ctn_…` or `--incident inc_…`"
            );
            return Err(CliError::new(Exit::Wrong, "id-wrong", message));
        }
    };
    let only: Vec<&str> = args.steps.iter().chain(&args.only).map(String::as_str).collect();
    let body = body(&only, args.plan, args.anyway, args.why.as_deref());
    let done = client.post(&format!("/{family}/{id}/undo"), &body).await?;
    Ok(told(id, &done, screen))
}

fn body(only: &[&str], plan: bool, anyway: bool, why: Option<&str>) -> Value {
    json!({ "only": only, "plan": plan, "anyway": anyway, "why": why, "wait_seconds": WAIT_SECONDS })
}

/// Prints what becomes of each; what could not be lifted is a failure.
fn told(id: &str, done: &Value, screen: &Screen) -> Exit {
    let plan = done.get("plan").and_then(Value::as_bool) == Some(true);
    let items = done.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let refused = items
        .iter()
        .any(|item| matches!(item.get("fate").and_then(Value::as_str), Some("refused" | "may_hold")));
    let exit = if refused { Exit::Failed } else { Exit::Done };
    if screen.json() {
        screen.document(done);
        return exit;
    }
    if plan {
        let what = "What lifting would do, in this order: targets were looked at, nothing was changed.";
        screen.line(what);
    } else {
        screen.line(&format!("Lifting {id}, the newest first:"));
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let of = |name: &str| cell(item.get(name));
            vec![of("place"), of("containment"), of("step"), of("target"), of("fate").replace('_', " ")]
        })
        .collect();
    screen.table(&["", "CONTAINMENT", "STEP", "TARGET", if plan { "WOULD" } else { "STATE" }], &rows);
    for item in items {
        detail(item, screen);
    }
    exit
}

/// What one line of the table cannot hold: from which state to which, what
/// somebody else changed, who else holds it.
fn detail(item: &Value, screen: &Screen) {
    let place = cell(item.get("place"));
    screen.line(&format!("  {place}. {}", visible(&cell(item.get("says")))));
    for field in item.get("fields").and_then(Value::as_array).into_iter().flatten() {
        let of = |name: &str| field.get(name).map_or_else(|| "not seen".to_owned(), Value::to_string);
        let (sign, style) = match field.get("state").and_then(Value::as_str) {
            Some("changed") => ("≠", Style::Red),
            Some("as_left") => ("→", Style::Green),
            _ => ("=", Style::Dim),
        };
        let text = format!(
            "     {sign} {}: before {}, as we left it {}, now {}",
            cell(field.get("name")),
            of("before"),
            of("left"),
            of("now")
        );
        screen.line(&screen.paint(style, &visible(&text)));
    }
    let beside = cell(item.get("beside"));
    if !beside.is_empty() && beside != "–" {
        screen.line(&screen.paint(Style::Yellow, &format!("     also held by {}", visible(&beside))));
    }
}

/// `quell extend`.
///
/// # Errors
/// When the duration is none, or the server refuses it.
pub async fn extend(
    containment: &str,
    hold: &str,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let id = id_text(containment)?;
    let hold = parse_duration(hold).map_err(|why| {
        let message =
            format!("`--for {}` {why}; write a number and a unit: 90s, 30m, 24h, 7d", hold.escape_debug());
        CliError::new(Exit::Wrong, "bad-duration", message)
    })?;
    let done =
        client.post(&format!("/containments/{id}/extend"), &json!({ "seconds": hold.as_secs() })).await?;
    if screen.json() {
        screen.document(&done)
    } else {
        let until = done.get("until").and_then(serde_json::Value::as_str).unwrap_or_default();
        let until = until.parse::<Timestamp>().map_or_else(|_| until.to_owned(), Timestamp::to_minute);
        screen.line(&format!("{id} holds until {until} now"))
    }
    Ok(Exit::Done)
}
