//! `quell incident`: what people put on record of an incident.

use serde_json::{Map, Value};

use crate::cli::args::IncidentArgs;
use crate::cli::client::Client;
use crate::cli::decide::id_text;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint;
use crate::cli::screen::Screen;
use crate::cli::show::show;

/// Changes the incident, or shows it when there is nothing to change.
///
/// # Errors
/// When the server refuses it, or no server answers.
pub async fn incident(args: &IncidentArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let id = id_text(&args.id)?;
    let mut body = Map::new();
    let texts = [
        ("status", &args.status),
        ("disposition", &args.disposition),
        ("assignee", &args.assignee),
        ("note", &args.note),
        ("why", &args.why),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.to_owned(), Value::from(text.clone()));
        }
    }
    if let Some(severity) = args.severity {
        body.insert("severity".to_owned(), Value::from(severity));
    }
    if !args.tags.is_empty() {
        body.insert("tags".to_owned(), Value::from(args.tags.clone()));
    }
    if body.is_empty() {
        return show(id, false, client, screen).await;
    }
    let row = client.patch(&format!("/incidents/{id}"), &Value::Object(body)).await?;
    if screen.json() {
        screen.document(&row)
    } else {
        screen.line(&format!("{id} is changed; see it with `{}`", hint(&format!("incident {id}"))))
    }
    Ok(Exit::Done)
}
