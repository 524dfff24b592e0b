//! `quell plan`: reads happen, effects become a plan.

use serde_json::{Value, json};

use crate::app::house::open;
use crate::cli::args::PlanArgs;
use crate::cli::client::Client;
use crate::cli::decide::pairs;
use crate::cli::exit::{CliError, Exit};
use crate::cli::list::cell;
use crate::cli::run::{playbook_name, read_alert};
use crate::cli::screen::{Screen, Style, visible};
use crate::settings::Settings;

/// Prints what a run would do: on the running server if there is one.
///
/// # Errors
/// When the playbook, the alert or the inputs are wrong.
pub async fn plan(
    args: &PlanArgs,
    settings: &Settings,
    client: &Client,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let alert = read_alert(args.alert.as_deref())?;
    let name = playbook_name(&args.playbook)?;
    let inputs = pairs(&args.inputs)?;
    let preview = if client.is_up().await {
        let body = json!({ "alert": alert, "source": args.source, "inputs": inputs });
        client.post(&format!("/playbooks/{name}/plan"), &body).await?
    } else {
        let house = open(settings, settings.listen).await?;
        let service = &house.service;
        let alert = alert.map(|raw| service.alert_by_hand(raw, args.source.as_deref())).transpose()?;
        let preview = service.preview(name, alert, Value::Object(inputs)).await?;
        house.stop();
        json!(preview)
    };
    if screen.json() {
        screen.document(&preview);
        return Ok(Exit::Done);
    }
    screen.line(&format!(
        "A dry run of {name}: reads were live, nothing was changed and nobody was written to."
    ));
    for branch in preview.get("branches").and_then(Value::as_array).into_iter().flatten() {
        let answers = cell(branch.get("answers"));
        screen.line("");
        let title = if answers.is_empty() {
            "What would happen:".to_owned()
        } else {
            format!("If answered {answers}:")
        };
        screen.line(&screen.paint(Style::Bold, &visible(&title)));
        for line in branch.get("lines").and_then(Value::as_array).into_iter().flatten() {
            screen.line(&format!("  {}", visible(&cell(Some(line)))));
        }
        screen.line(&format!("  {}", screen.paint(Style::Dim, &visible(&cell(branch.get("end"))))));
    }
    Ok(Exit::Done)
}
