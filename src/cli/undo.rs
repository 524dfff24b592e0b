//! Ending, lifting, going on: cancel, undo, extend, release.

use serde_json::json;

use crate::cli::client::Client;
use crate::cli::decide::id_text;
use crate::cli::exit::{CliError, Exit};
use crate::cli::screen::Screen;
use crate::domain::time::Timestamp;
use crate::yaml::units::parse_duration;

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
    if also_undo { undo(run, why, client, screen).await } else { Ok(Exit::Done) }
}

/// `quell release`.
///
/// # Errors
/// When the server refuses it.
pub async fn release(
    run: &str,
    note: Option<&str>,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let id = id_text(run)?;
    let done = client.post(&format!("/runs/{id}/release"), &json!({ "note": note })).await?;
    if screen.json() {
        screen.document(&done)
    } else {
        screen.line(&format!("{id} goes on from where it stood; see `quell show {id}`"))
    }
    Ok(Exit::Done)
}

/// `quell undo`.
///
/// # Errors
/// When the server refuses it.
pub async fn undo(id: &str, why: Option<&str>, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let id = id_text(id)?;
    let path =
        if id.starts_with("ctn_") { format!("/containments/{id}/undo") } else { format!("/runs/{id}/undo") };
    let done = client.post(&path, &json!({ "why": why })).await?;
    if screen.json() {
        screen.document(&done)
    } else {
        screen.line(&format!("lifting {id}; see `quell containments`"))
    }
    Ok(Exit::Done)
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
