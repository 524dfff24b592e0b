//! What the record does not say. Said out loud, so that silence is not read as
//! "nothing was found".

use super::review::how_to_tell;
use super::{Line, line};
use crate::projection::dossier::Dossier;
use crate::report::header::tag;
use crate::report::stated::answered;
use crate::report::words;

/// What a table says where the journal has nothing.
const NOT_KNOWN: &str = "not yet on record";

/// All gaps.
pub(super) fn gaps(dossier: &Dossier) -> Vec<Line> {
    let mut lines = Vec::new();
    of_alert(dossier, &mut lines);
    of_steps(dossier, &mut lines);
    if dossier.evidence.is_empty() {
        lines.push(line("Evidence", "No exchange with a system is on record.", ""));
    }
    for (key, name) in [("impact", "Impact"), ("data", "Data")] {
        if tag(dossier, key).is_none() && answered(dossier, key).is_empty() {
            lines.push(line(name, format!("{NOT_KNOWN}; {}.", how_to_tell(dossier, key)), ""));
        }
    }
    if dossier.untold_runs > 0 {
        let others = words::count(dossier.untold_runs, "other run", "other runs");
        lines.push(line("Runs", format!("The incident has {others} that this does not tell."), ""));
    }
    if dossier.left_out > 0 {
        lines.push(line(
            "Length",
            format!("{} lines are left out; the journal holds them.", dossier.left_out),
            "",
        ));
    }
    lines
}

/// What is told of an alert whose content retention removed.
fn erased(dossier: &Dossier) -> String {
    let when = dossier.alert_erased.map(|moment| moment.at.to_minute()).unwrap_or_default();
    format!(
        "The content of the alert was removed by retention on {when}; what stands here is the rest of the record."
    )
}

/// What the alert does not say.
fn of_alert(dossier: &Dossier, lines: &mut Vec<Line>) {
    match &dossier.alert {
        None if dossier.alert_erased.is_some() => lines.push(line("Alert", erased(dossier), "")),
        None => lines.push(line("Alert", "There is no alert: the run was started without one.", "")),
        Some(part) => {
            let alert = &part.alert;
            let missing = [
                (alert.event_time.is_none(), "when it happened"),
                (alert.hosts.is_empty() && alert.host == Default::default(), "on which machine"),
                (alert.objects.is_empty(), "which data"),
                (alert.dest == Default::default(), "where data went"),
                (alert.techniques.is_empty(), "by which technique"),
            ];
            let missing: Vec<&str> =
                missing.iter().filter(|(absent, _)| *absent).map(|(_, what)| *what).collect();
            if !missing.is_empty() {
                lines.push(line("Alert", format!("It does not say {}.", missing.join(", ")), part.cite));
            }
        }
    }
}

/// What people and systems did not say.
fn of_steps(dossier: &Dossier, lines: &mut Vec<Line>) {
    for part in &dossier.questions {
        match &part.end {
            None => lines.push(line(&part.title, "The answer is still awaited.", part.sent.cite)),
            Some(end) if end.by.is_none() => lines.push(line(&part.title, "Nobody answered.", end.when.cite)),
            Some(_) => {}
        }
        if !part.delivered {
            lines.push(line(&part.title, "It is not sure that the question was delivered.", part.sent.cite));
        }
    }
    for part in dossier.containments.iter().filter(|part| part.verified.is_none() && part.changed) {
        lines.push(line(&part.title, "It was never read back whether this holds.", part.accepted.cite));
    }
}
