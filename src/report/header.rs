//! What stands at the head of every report.

use serde::Serialize;

use crate::domain::id::ReportId;
use crate::domain::run::{Hold, StepEnd};
use crate::domain::time::Timestamp;
use crate::projection::dossier::Dossier;
use crate::report::words;

/// How a report may be passed on, unless an incident tag `classification:…`
/// says otherwise. Reports about people are need-to-know by default.
const CLASSIFICATION: &str = "Confidential, need to know";

/// The head of a report, as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Header {
    /// Names this report: the same run, template, audience and last entry give
    /// the same id in every format.
    pub report: String,
    /// Its version: the record it was written from.
    pub version: String,
    /// The incident.
    pub incident: String,
    /// The run.
    pub run: String,
    /// How it may be passed on.
    pub classification: String,
    /// For whom.
    pub audience: String,
    /// Who wrote it.
    pub author: String,
    /// Who approved it.
    pub approver: String,
    /// When it was written, UTC.
    pub generated: String,
    /// The last entry it takes in: its time.
    pub as_of: String,
    /// The last entry it takes in: its number.
    pub as_of_entry: String,
    /// That more is to come: `As of entry #12, before the run ended`; empty
    /// once the run has ended.
    pub written: String,
    /// How complete and settled the record is.
    pub confidence: Confidence,
}

/// How far a reader may rely on the record: on what it holds, not on any
/// suspicion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confidence {
    /// high, medium or low.
    pub level: &'static str,
    /// Why.
    pub why: String,
}

/// The value of the last incident tag `key:…`.
pub fn tag<'a>(dossier: &'a Dossier, key: &str) -> Option<(&'a str, String)> {
    dossier.incident.tags.iter().rev().find_map(|tag| {
        let value = tag.value.strip_prefix(key)?.strip_prefix(':')?.trim();
        (!value.is_empty()).then(|| (value, tag.cite.to_string()))
    })
}

/// The head of the report on `dossier`.
pub fn header(dossier: &Dossier, template: &str, audience: &str, generated_at: Timestamp) -> Header {
    const UNKNOWN: &str = "not known";
    let last = dossier.last;
    let entry = dossier.entries;
    let label = match dossier.earlier.len() {
        0 => format!("{template}/{audience}/{entry}"),
        earlier => format!("{template}/{audience}/{} runs/{entry}", earlier + 1),
    };
    let id = dossier.run.id.map(|run| ReportId::derived(run.ulid(), &label));
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    Header {
        report: or_unknown(id.map(|id| id.to_string())),
        version: format!("1.{entry}"),
        incident: or_unknown(dossier.incident.id.map(|id| id.to_string())),
        run: match dossier.runs().filter_map(|run| run.id).map(|id| id.to_string()).collect::<Vec<_>>() {
            runs if runs.is_empty() => UNKNOWN.to_owned(),
            runs => runs.join(", "),
        },
        classification: tag(dossier, "classification").map_or(CLASSIFICATION, |(text, _)| text).to_owned(),
        audience: match audience.strip_prefix("group:").unwrap_or(audience) {
            "" => "responders".to_owned(),
            audience => audience.to_owned(),
        },
        author: "written by the orchestrator from its journal".to_owned(),
        approver: "not reviewed by a person".to_owned(),
        generated: generated_at.to_minute(),
        as_of: or_unknown(last.map(|last| last.at.to_minute())),
        as_of_entry: last.map_or_else(|| "none".to_owned(), |last| last.cite.to_string()),
        written: written(dossier),
        confidence: confidence(dossier),
    }
}

/// What is still to come, and what is not told here.
fn written(dossier: &Dossier) -> String {
    let told = dossier.earlier.len() + 1;
    let open = dossier.runs().filter(|run| run.ended.is_none()).count();
    let to_come = dossier.last.filter(|_| open > 0).map(|last| match told {
        1 => format!("As of entry {}, before the run ended", last.cite),
        _ => format!("As of entry {}, before {open} of {told} runs ended", last.cite),
    });
    let untold = (dossier.untold_runs > 0).then(|| {
        let others = words::count(dossier.untold_runs, "other run", "other runs");
        format!(
            "{others} of this incident {} not told here",
            if dossier.untold_runs == 1 { "is" } else { "are" }
        )
    });
    to_come.into_iter().chain(untold).collect::<Vec<_>>().join(". ")
}

fn confidence(dossier: &Dossier) -> Confidence {
    let low = doubts(dossier);
    if !low.is_empty() {
        return Confidence { level: "low", why: low.join("; ") };
    }
    let missing = missing(dossier);
    if !missing.is_empty() {
        return Confidence { level: "medium", why: missing.join("; ") };
    }
    Confidence { level: "high", why: "every step ended and was answered".to_owned() }
}

/// `1 step failed`; nothing for none.
fn some(count: usize, one: &str, many: &str) -> Option<String> {
    (count > 0).then(|| words::count(count, one, many))
}

/// What nobody can say.
fn doubts(dossier: &Dossier) -> Vec<String> {
    let open = dossier.uncertain.iter().filter(|part| part.settled.is_none());
    let stuck = dossier.containments.iter().filter(|part| part.hold == Hold::Stuck);
    let may_hold = dossier.containments.iter().filter(|part| part.hold == Hold::MayHold);
    let drifted = dossier.containments.iter().filter(|part| part.drift().is_some());
    let drifted_words = ["containment is no longer in force", "containments are no longer in force"];
    let stuck_words = ["containment could not be lifted", "containments could not be lifted"];
    let all = [
        some(may_hold.count(), "containment may hold", "containments may hold"),
        some(open.count(), "step is uncertain", "steps are uncertain"),
        some(drifted.count(), drifted_words[0], drifted_words[1]),
        some(stuck.count(), stuck_words[0], stuck_words[1]),
    ];
    all.into_iter().flatten().collect()
}

/// What is not there yet, or never came.
fn missing(dossier: &Dossier) -> Vec<String> {
    let silent = dossier.questions.iter();
    let silent = silent.filter(|part| part.end.as_ref().is_none_or(|end| end.by.is_none()));
    let failed = dossier.steps.iter();
    let failed = failed.filter(|part| part.outcome == Some(StepEnd::Failed));
    let unread = dossier.containments.iter().filter(|part| part.hold == Hold::Accepted);
    let unread_words = ["containment is not confirmed", "containments are not confirmed"];
    let no_alert = dossier.alert.is_none();
    let running = dossier.runs().filter(|run| run.end.is_none()).count();
    let all = [
        no_alert.then(|| match dossier.alert_erased {
            Some(_) => "the content of the alert was removed by retention".to_owned(),
            None => "there is no alert".to_owned(),
        }),
        some(silent.count(), "question has no answer", "questions have no answer"),
        some(failed.count(), "step failed", "steps failed"),
        some(unread.count(), unread_words[0], unread_words[1]),
        match dossier.earlier.len() {
            0 => (running > 0).then(|| "the run has not ended".to_owned()),
            _ => some(running, "run has not ended", "runs have not ended"),
        },
        some(
            dossier.untold_runs,
            "other run of the incident is not told",
            "other runs of the incident are not told",
        ),
    ];
    all.into_iter().flatten().collect()
}
