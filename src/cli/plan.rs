//! `quell plan`: reads happen, effects become a plan.

use serde_json::{Value, json};

use crate::app::house::open;
use crate::cli::args::PlanArgs;
use crate::cli::client::Client;
use crate::cli::decide::pairs;
use crate::cli::exit::{CliError, Exit};
use crate::cli::list::cell;
use crate::cli::run::{GivenAlert, playbook_name, read_alert};
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::alert::Alert;
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
        let mut body = json!({ "source": args.source, "input_texts": texts });
        alert.into_iter().for_each(|alert| alert.put_into(&mut body));
        client.post(&format!("/playbooks/{name}/plan"), &body).await?
    } else {
        let house = open(settings, settings.listen).await?;
        let service = &house.service;
        let alert = match alert {
            Some(GivenAlert::Payload(raw)) => Some(service.alert_for_plan(raw, args.source.as_deref())?),
            Some(GivenAlert::OnRecord(id)) => Some(Alert::clone(&*service.alert_on_record(id).await?.1)),
            None => None,
        };
        let preview = service.preview(name, alert, &GivenInputs { texts, ..GivenInputs::default() }).await?;
        house.stop();
        json!(preview)
    };
    let failing = preview.pointer("/summary/failing").and_then(Value::as_u64).unwrap_or_default();
    let exit = if failing > 0 { Exit::Failed } else { Exit::Done };
    if screen.json() {
        screen.document(&preview);
        return Ok(exit);
    }
    screen.line(&format!(
        "A dry run of {name}: reads were live, nothing was changed and nobody was written to. Every approval is taken as given."
    ));
    let branches = array(&preview, "branches");
    head(&preview, branches.len(), screen);
    overview(branches, screen);
    let ways = preview.pointer("/summary/ways").and_then(Value::as_u64).unwrap_or_default();
    for (place, branch) in branches.iter().enumerate() {
        detail(place, branch, ways, screen);
    }
    Ok(exit)
}

fn array<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn count(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// What holds over all ways, and what is not shown.
fn head(preview: &Value, shown: usize, screen: &Screen) {
    let summary = preview.get("summary").unwrap_or(&Value::Null);
    let (ways, left_out) = (count(summary, "ways"), count(preview, "left_out"));
    let warn = |text: String| screen.line(&screen.paint(Style::Yellow, &visible(&text)));
    screen.line("");
    let goes = match (ways, shown as u64 + left_out) {
        (1, _) => "There is one way it may go.".to_owned(),
        (_, 1) => {
            format!("There are {ways} ways it may go, by what people answer, all with the same outcome.")
        }
        (_, outcomes) => format!(
            "There are {ways} ways it may go, by what people answer, with {outcomes} different outcomes, the worst first."
        ),
    };
    screen.line(&goes);
    if summary.get("complete") == Some(&Value::Bool(false)) {
        warn(format!(
            "There are more ways than these {ways}: the others were not followed, and no count has them."
        ));
        for step in array(summary, "not_reached") {
            warn(format!("No way that was followed came to the step {}.", cell(Some(step))));
        }
    }
    if left_out > 0 {
        warn(format!(
            "{shown} outcomes are shown; {left_out} more were left out. All ways are counted here:"
        ));
    }
    if array(summary, "contains").is_empty() {
        screen.line("  contains  nothing, in no way");
    }
    for name in ["contains", "asks", "tells", "fails"] {
        for one in array(summary, name) {
            let what = cell(one.get("what"));
            let line = format!("  {name:<9} {what}, in {} of {ways} ways", count(one, "ways"));
            screen.line(&visible(&line));
        }
    }
    let unfollowed = count(summary, "unfollowed");
    if unfollowed > 0 {
        warn(format!("{unfollowed} of {ways} ways cannot be followed to their end; their outcome says why."));
    }
    screen.line("");
}

/// One outcome: the answers that lead there, what would happen, and how it ends.
fn detail(place: usize, branch: &Value, ways: u64, screen: &Screen) {
    let answers = cell(branch.get("answers"));
    let title = match count(branch, "ways") {
        _ if answers.is_empty() => "What would happen:".to_owned(),
        1 => format!("{}. If answered {answers}:", place + 1),
        of => format!("{}. In {of} of {ways} ways, such as if answered {answers}:", place + 1),
    };
    screen.line("");
    screen.line(&screen.paint(Style::Bold, &visible(&title)));
    for line in array(branch, "lines") {
        // A condition may stand on several lines in its file.
        let line = cell(Some(line)).split_whitespace().collect::<Vec<_>>().join(" ");
        screen.line(&format!("  {}", visible(&line)));
    }
    screen.line(&format!("  {}", screen.paint(Style::Dim, &visible(&cell(branch.get("end"))))));
}

/// One row an outcome: the answers that lead there, how it ends, what would be contained.
fn overview(branches: &[Value], screen: &Screen) {
    let mut questions: Vec<String> = Vec::new();
    for choices in branches.iter().flat_map(|branch| array(branch, "choices")) {
        let step = cell(choices.get("step"));
        if !questions.contains(&step) {
            questions.push(step);
        }
    }
    if questions.is_empty() {
        return;
    }
    let rows = branches.iter().enumerate().map(|(place, branch)| {
        let of = |step: &String| {
            let choices = array(branch, "choices");
            let asked = choices.iter().find(|choices| cell(choices.get("step")) == *step);
            let answers = asked.map(|choices| array(choices, "answers")).unwrap_or_default();
            let answers: Vec<String> = answers.iter().map(|answer| cell(Some(answer))).collect();
            if answers.is_empty() { "–".to_owned() } else { answers.join("/") }
        };
        let contained = cell(branch.get("contained"));
        let contained = if contained.is_empty() { "nothing".to_owned() } else { contained };
        let ends = branch.get("outcome").filter(|outcome| !outcome.is_null());
        let ends = ends.map_or_else(|| "not followed".to_owned(), |outcome| cell(Some(outcome)));
        let mut row = vec![(place + 1).to_string(), count(branch, "ways").to_string()];
        row.extend(questions.iter().map(of));
        row.extend([ends, contained]);
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let asked = questions.iter().map(String::as_str);
    let headings: Vec<&str> =
        ["", "WAYS"].into_iter().chain(asked).chain(["ENDS", "WOULD BE CONTAINED"]).collect();
    screen.table(&headings, &rows);
}
