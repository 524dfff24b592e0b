//! `quell run`: on the running server if there is one, else in this process.

use std::path::Path;

use serde_json::{Value, json};

use crate::app::house::{local_user, open};
use crate::cli::args::{PlanArgs, RunArgs};
use crate::cli::client::Client;
use crate::cli::decide::{id_text, pairs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint;
use crate::cli::input::read_input;
use crate::cli::list::cell;
use crate::cli::progress::Progress;
use crate::cli::screen::Screen;
use crate::domain::event::{Event, RunEnd};
use crate::domain::id::{AlertId, RunId, StreamId};
use crate::domain::inputs::GivenInputs;
use crate::intake::json;
use crate::intake::normalise::ALERT_DEPTH_MAX;
use crate::service::again::RunOn;
use crate::service::house::Service;
use crate::service::runs::RunOrder;
use crate::settings::Settings;

/// The largest file that is read as an alert, in MiB: what the door takes.
const ALERT_MIB_MAX: u64 = 1;

/// An alert as the command line names it.
pub enum GivenAlert {
    /// What a file or standard input says.
    Payload(Value),
    /// One on record.
    OnRecord(AlertId),
}

impl GivenAlert {
    /// As the API takes it.
    pub fn put_into(self, body: &mut Value) {
        match self {
            Self::Payload(raw) => body["alert"] = raw,
            Self::OnRecord(id) => body["alert_id"] = json!(id),
        }
    }
}

/// An alert out of a file, of standard input for `-`, or on record.
///
/// # Errors
/// When it cannot be read, is too large or is no JSON.
pub fn read_alert(path: Option<&Path>) -> Result<Option<GivenAlert>, CliError> {
    let Some(path) = path else { return Ok(None) };
    if let Some(id) = path.to_str().and_then(|text| text.parse().ok()) {
        return Ok(Some(GivenAlert::OnRecord(id)));
    }
    const CODE: &str = "alert-unreadable";
    let bytes = read_input(path, ALERT_MIB_MAX, CODE, "the alert ")?;
    let no_json = |error: &dyn std::fmt::Display| {
        let says = format!("the alert {} cannot be read: it is no JSON: {error}", path.display());
        CliError::new(Exit::Wrong, CODE, says)
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| no_json(&error))?;
    let raw = json::read(text, ALERT_DEPTH_MAX).map_err(|error| no_json(&error))?;
    Ok(Some(GivenAlert::Payload(raw)))
}

/// `quell run`.
///
/// # Errors
/// When the run cannot be started or followed.
pub async fn run(
    args: &RunArgs,
    settings: &Settings,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let what = &args.what;
    let alert = read_alert(what.alert.as_deref())?;
    if client.is_up().await {
        return run_there(what, alert, args.wait, client, screen).await;
    }
    run_here(what, alert, settings, screen).await
}

async fn run_there(
    what: &PlanArgs,
    alert: Option<GivenAlert>,
    wait: bool,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let name = playbook_name(&what.playbook)?;
    let mut body = json!({ "source": what.source, "input_texts": pairs(&what.inputs)? });
    alert.into_iter().for_each(|alert| alert.put_into(&mut body));
    let started = client.post(&format!("/playbooks/{name}/runs"), &body).await?;
    told(&started, wait, client, screen).await
}

/// `quell rerun`.
///
/// # Errors
/// When the server refuses it, or the run cannot be followed.
pub async fn rerun(run: &str, wait: bool, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let id = id_text(run)?;
    let started = client.post(&format!("/runs/{id}/rerun"), &json!({})).await?;
    if !screen.json() {
        let (playbook, version) = (cell(started.get("playbook")), cell(started.get("version")));
        screen.line(&format!("{id} is done once more by {playbook}, version {version}"));
    }
    told(&started, wait, client, screen).await
}

/// Says how to follow a run that was started, or follows it to its end.
async fn told(started: &Value, wait: bool, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let run = started.get("run").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !wait {
        if screen.json() {
            screen.document(started)
        } else {
            screen.line(&format!("{run} is under way; follow it with `{}`", hint(&format!("show {run}"))))
        }
        return Ok(Exit::Done);
    }
    let mut progress = Progress::new(*screen, None);
    client.follow(&run, |entry| progress.entry(entry)).await?;
    Ok(ended(progress.end))
}

async fn run_here(
    what: &PlanArgs,
    alert: Option<GivenAlert>,
    settings: &Settings,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let house = open(settings, settings.listen).await?;
    let service = &house.service;
    let on = match alert {
        Some(GivenAlert::Payload(raw)) => {
            RunOn::Alert(Box::new(service.alert_by_hand(raw, what.source.as_deref())?))
        }
        Some(GivenAlert::OnRecord(id)) => RunOn::Stored(id),
        None => RunOn::Nothing,
    };
    let order = RunOrder {
        playbook: what.playbook.clone(),
        on,
        again: None,
        inputs: GivenInputs { texts: pairs(&what.inputs)?, ..GivenInputs::default() },
        by: local_user(),
        idempotency: None,
        waits: false,
    };
    let run = service.start_run(order).await?.run;
    let end = follow_here(service, run, screen).await?;
    house.stop();
    house.drained().await;
    Ok(ended(end))
}

/// Prints a run of this process as it goes, until it ends.
///
/// # Errors
/// When the journal cannot be read.
pub async fn follow_here(service: &Service, run: RunId, screen: &Screen) -> Result<Option<RunEnd>, CliError> {
    let stream = StreamId::Run(run);
    let mut follow = service.journal.follow();
    let state = service.scheduler.replay(run).await.map_err(crate::service::error::ServiceError::from)?;
    let mut progress = Progress::new(*screen, Some(&state.plan.playbook));
    let mut seen = 0;
    loop {
        let entries =
            service.journal.read(stream, seen).await.map_err(crate::service::error::ServiceError::from)?;
        for entry in &entries {
            seen = entry.seq;
            progress.entry(entry);
            if matches!(entry.event, Event::RunEnded { .. }) {
                return Ok(progress.end);
            }
        }
        loop {
            match follow.recv().await {
                Ok(receipt) if receipt.entries.iter().any(|entry| entry.stream == stream) => break,
                Ok(_) => {}
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => break,
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return Ok(None),
            }
        }
    }
}

/// A playbook's name that may stand in a path.
///
/// # Errors
/// When it is none.
pub fn playbook_name(text: &str) -> Result<&str, CliError> {
    if !text.is_empty()
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
    {
        return Ok(text);
    }
    Err(CliError::new(
        Exit::Wrong,
        "playbook-unknown",
        format!("`{}` is no name of a playbook; list them with `{}`", text.escape_debug(), hint("check")),
    ))
}

fn ended(end: Option<RunEnd>) -> Exit {
    if end == Some(RunEnd::Succeeded) { Exit::Done } else { Exit::Failed }
}
