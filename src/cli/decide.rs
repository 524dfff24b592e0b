//! A person's word: approve, reject, answer, settle.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::args::{AnswerArgs, DecideArgs, Happened, SettleArgs};
use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::cli::list::cell;
use crate::cli::screen::Screen;

/// `quell approve` and `quell reject`.
///
/// # Errors
/// When the server refuses it.
pub async fn decide(
    args: &DecideArgs,
    approve: bool,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let verb = if approve { "approve" } else { "reject" };
    let id = id_text(&args.approval)?;
    let row = client.post(&format!("/approvals/{id}/{verb}"), &json!({ "note": args.note })).await?;
    if screen.json() {
        screen.document(&row);
        return Ok(Exit::Done);
    }
    match row.get("verdict").and_then(Value::as_str) {
        Some(verdict) => screen.line(&format!("{id} is {verdict}; the run goes on")),
        None => screen.line(&format!(
            "noted; {id} waits until {}: {}",
            cell(row.get("until")),
            cell(row.get("needs"))
        )),
    }
    Ok(Exit::Done)
}

/// `quell answer`.
///
/// # Errors
/// When the server refuses it.
pub async fn answer(args: &AnswerArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let id = id_text(&args.question)?;
    let fields = pairs(&args.fields)?;
    let done = client
        .post(&format!("/questions/{id}/answer"), &json!({ "choice": args.choice, "field_texts": fields }))
        .await?;
    if screen.json() {
        screen.document(&done)
    } else {
        screen.line(&format!("{id} is answered: {}", args.choice))
    }
    Ok(Exit::Done)
}

/// `quell settle`.
///
/// # Errors
/// When the server refuses it.
pub async fn settle(args: &SettleArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let id = id_text(&args.run)?;
    let body =
        json!({ "step": args.step, "happened": args.happened == Happened::Happened, "note": args.note });
    let done = client.post(&format!("/runs/{id}/settle"), &body).await?;
    if screen.json() {
        screen.document(&done)
    } else {
        screen.line(&format!("step {} of {id} is settled; the run goes on", args.step))
    }
    Ok(Exit::Done)
}

/// An id that may stand in a path.
///
/// # Errors
/// When it holds anything but letters, digits and underscores.
pub fn id_text(text: &str) -> Result<&str, CliError> {
    if !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(text);
    }
    Err(CliError::new(
        Exit::Wrong,
        "id-wrong",
        format!("`{}` is no id; one looks like run_01J9ZQ6E5V7N8T3K2M4P6R8S0W", text.escape_debug()),
    ))
}

/// `name=value` pairs. What a value means is said by the declared type of its name.
///
/// # Errors
/// When one has no `=`, or a name is given twice.
pub fn pairs(given: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let wrong = |message: String| CliError::new(Exit::Wrong, "pair-wrong", message);
    let mut texts = BTreeMap::new();
    for pair in given {
        let Some((name, text)) = pair.split_once('=') else {
            let shown = pair.escape_debug();
            return Err(wrong(format!("`{shown}` has no `=`; write name=value, such as user={shown}")));
        };
        if texts.insert(name.to_owned(), text.to_owned()).is_some() {
            return Err(wrong(format!("`{}` is given twice; give it once", name.escape_debug())));
        }
    }
    Ok(texts)
}
