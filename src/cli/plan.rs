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
use crate::domain::inputs::GivenInputs;
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
    let texts = pairs(&args.inputs)?;
    let preview = if client.is_up().await {
        let body = json!({ "alert": alert, "source": args.source, "input_texts": texts });
        client.post(&format!("/playbooks/{name}/plan"), &body).await?
    } else {
        let house = open(settings, settings.listen).await?;
        let service = &house.service;
        let alert = alert.map(|raw| service.alert_by_hand(raw, args.source.as_deref())).transpose()?;
        let preview = service.preview(name, alert, &GivenInputs { texts, ..GivenInputs::default() }).await?;
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
    let branches = preview.get("branches").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (place, branch) in branches.iter().enumerate() {
        let answers = cell(branch.get("answers"));
        screen.line("");
        let title = if answers.is_empty() {
            "What would happen:".to_owned()
        } else {
            format!("{}. If answered {answers}:", place + 1)
        };
        screen.line(&screen.paint(Style::Bold, &visible(&title)));
        for line in branch.get("lines").and_then(Value::as_array).into_iter().flatten() {
            // A condition may stand on several lines in its file.
            let line = cell(Some(line)).split_whitespace().collect::<Vec<_>>().join(" ");
            screen.line(&format!("  {}", visible(&line)));
        }
        screen.line(&format!("  {}", screen.paint(Style::Dim, &visible(&cell(branch.get("end"))))));
    }
    screen.line("");
    overview(branches, screen);
    let left_out = preview.get("left_out").and_then(Value::as_u64).unwrap_or_default();
    if left_out > 0 {
        let count = branches.len();
        let least = if preview.get("counted") == Some(&Value::Bool(true)) { "" } else { "at least " };
        let told = format!("{count} branches are shown; {least}{left_out} more were left out.");
        screen.line(&screen.paint(Style::Yellow, &told));
    }
    Ok(Exit::Done)
}

/// One row a branch: the answers that lead there, how it ends, what would be contained.
fn overview(branches: &[Value], screen: &Screen) {
    let answers: Vec<Vec<(&str, &str)>> = branches
        .iter()
        .map(|branch| {
            let given = branch.get("answers").and_then(Value::as_array).into_iter().flatten();
            given.filter_map(Value::as_str).filter_map(|answer| answer.split_once(": ")).collect()
        })
        .collect();
    let mut questions: Vec<&str> = Vec::new();
    for (step, _) in answers.iter().flatten() {
        if !questions.contains(step) {
            questions.push(step);
        }
    }
    let rows: Vec<Vec<String>> = branches
        .iter()
        .zip(&answers)
        .enumerate()
        .map(|(place, (branch, answers))| {
            let of =
                |step: &&str| answers.iter().find(|(of, _)| of == step).map_or("–", |(_, given)| given);
            let contained = cell(branch.get("contained"));
            let contained = if contained.is_empty() { "nothing".to_owned() } else { contained };
            let mut row = vec![(place + 1).to_string()];
            row.extend(questions.iter().map(|step| of(step).to_owned()));
            row.extend([cell(branch.get("outcome")), contained]);
            row
        })
        .collect();
    let headings: Vec<&str> =
        std::iter::once("").chain(questions).chain(["ENDS", "WOULD BE CONTAINED"]).collect();
    screen.table(&headings, &rows);
}
