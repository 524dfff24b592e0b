//! `quell show`: one of anything, with its timeline.

use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::decide::id_text;
use crate::cli::exit::{CliError, Exit};
use crate::cli::list::cell;
use crate::cli::screen::{Screen, Style, visible};

mod approval;
mod containment;
mod needs;
mod run;
mod story;
mod words;

/// Shows one thing by its id.
///
/// # Errors
/// When there is no such thing, or no server answers.
pub async fn show(id: &str, raw: bool, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let id = id_text(id)?;
    let family = match id.split('_').next() {
        Some("run") => "runs",
        Some("inc") => "incidents",
        Some("apr") => "approvals",
        Some("qst") => "questions",
        Some("ctn") => "containments",
        Some("alt") => "alerts",
        Some("sch") => "schedules",
        Some("exc") => "exceptions",
        _ => {
            return Err(CliError::new(
                Exit::Wrong,
                "id-wrong",
                format!(
                    "`{id}` names nothing that can be shown; an id begins with run_, inc_, apr_, qst_, ctn_, sch_, exc_ or alt_"
                ),
            ));
        }
    };
    if raw {
        if family != "alerts" {
            let message = format!("`{id}` is no alert; --raw shows what the sender of an alert sent");
            return Err(CliError::new(Exit::Wrong, "id-wrong", message));
        }
        screen.document(&client.get(&format!("/alerts/{id}/raw")).await?["raw"]);
        return Ok(Exit::Done);
    }
    let document = client.get(&format!("/{family}/{id}")).await?;
    if screen.json() {
        screen.document(&document);
        return Ok(Exit::Done);
    }
    match family {
        "runs" => {
            run::show(&document, screen);
            needs::show(id, client, screen).await?;
        }
        "approvals" => approval::show(&document, screen),
        "containments" => {
            let run = match document.get("run").and_then(Value::as_str) {
                Some(run) => client.get(&format!("/runs/{run}")).await.ok(),
                None => None,
            };
            containment::show(&document, run.as_ref(), screen);
        }
        "incidents" => story::incident(&document, client, screen).await?,
        "alerts" => story::alert(&document, client, screen).await?,
        _ => fields(&document, screen, 0),
    }
    Ok(Exit::Done)
}

fn fields(value: &Value, screen: &Screen, depth: usize) {
    let indent = "  ".repeat(depth);
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Object(_) => {
                screen.line(&format!("{indent}{}", screen.paint(Style::Dim, name)));
                fields(value, screen, depth + 1);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                screen.line(&format!("{indent}{}", screen.paint(Style::Dim, name)));
                for item in items {
                    fields(item, screen, depth + 1);
                }
            }
            // Pairs, such as the choices of a question: one a line.
            Value::Array(items) if items.iter().any(Value::is_array) => {
                screen.line(&format!("{indent}{}", screen.paint(Style::Dim, name)));
                for item in items {
                    let words: Vec<String> =
                        item.as_array().into_iter().flatten().map(|word| cell(Some(word))).collect();
                    screen.line(&format!("{indent}  {}", visible(&words.join("  "))));
                }
            }
            other => screen.line(&format!(
                "{indent}{}  {}",
                screen.paint(Style::Dim, &format!("{name:<14}")),
                visible(&cell(Some(other)))
            )),
        }
    }
}
