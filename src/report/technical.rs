//! The technical report: the whole record of one run, in tables.
//!
//! Two clocks stand side by side: the actor's (what the detector says
//! happened when) and the responder's (when each entry was written).

use serde::Serialize;

use crate::domain::run::StepEnd;
use crate::domain::time::Timestamp;
use crate::projection::dossier::{Dossier, Noted, RunPart};
use crate::report::header::{Header, header};
use crate::report::words;

mod gaps;
mod review;
mod rows;

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimeRow {
    /// The actor's clock; empty on lines of the responder's.
    pub actor_time: String,
    /// The responder's clock; empty on lines of the actor's.
    pub responder_time: String,
    /// What happened.
    pub text: String,
    /// Who or what did it.
    pub by: String,
    /// The entry.
    pub cite: String,
}

/// A line with a name, a text and the entry it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it is about.
    pub name: String,
    /// What is said.
    pub text: String,
    /// The entry; empty where none is.
    pub cite: String,
}

/// A line of the evidence table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvidenceRow {
    /// What it proves.
    pub what: String,
    /// `connector.operation`.
    pub source: String,
    /// What was sent.
    pub request: String,
    /// What was answered.
    pub response: String,
    /// SHA-256 of the answer's body.
    pub sha256: String,
    /// Its length.
    pub size: String,
    /// When it was collected.
    pub at: String,
    /// The entry.
    pub cite: String,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// Something with a title, a list of named values and the entries it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Its title.
    pub title: String,
    /// How it stands.
    pub state: String,
    /// A free text: the wording of a question.
    pub text: String,
    /// Named values.
    pub pairs: Vec<Pair>,
    /// The command that undoes it; empty when there is nothing to undo.
    pub undo: String,
    /// The entries.
    pub cites: String,
}

/// The whole record of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Technical {
    /// The head.
    pub header: Header,
    /// The incident's title, or the playbook's.
    pub title: String,
    /// How the run stands, in one sentence.
    pub summary: Line,
    /// Facts on the run and the alert.
    pub about: Vec<Line>,
    /// What happened, in the order of time.
    pub timeline: Vec<TimeRow>,
    /// Accounts, machines, data and places that the alert names.
    pub scope: Vec<Line>,
    /// Exchanges with systems.
    pub evidence: Vec<EvidenceRow>,
    /// Questions with their answers.
    pub questions: Vec<Card>,
    /// Approvals.
    pub approvals: Vec<Card>,
    /// Containments.
    pub containments: Vec<Card>,
    /// What failed or is uncertain.
    pub troubles: Vec<Line>,
    /// Causes, what is to be done, what went right and wrong.
    pub review: Vec<Line>,
    /// Reads of systems that the record rests on.
    pub queries: Vec<Line>,
    /// What the record does not say.
    pub gaps: Vec<Line>,
    /// Notes on the incident.
    pub notes: Vec<Line>,
    /// Technique ids.
    pub techniques: Vec<Line>,
    /// Indicators of compromise.
    pub iocs: Vec<Line>,
    /// Lines left out because a list was full.
    pub left_out: usize,
}

/// Writes the record.
pub fn technical(dossier: &Dossier, template: &str, audience: &str, generated_at: Timestamp) -> Technical {
    let title = dossier.incident.title.clone().filter(|title| !title.is_empty());
    Technical {
        header: header(dossier, template, audience, generated_at),
        title: title.unwrap_or_else(|| dossier.run.title.clone()),
        summary: summary(&dossier.run),
        about: about(dossier),
        timeline: rows::timeline(dossier),
        scope: dossier.alerts().flat_map(rows::scope).collect(),
        evidence: rows::evidence(dossier),
        questions: dossier.questions.iter().map(rows::question).collect(),
        approvals: dossier.approvals.iter().map(rows::approval).collect(),
        containments: dossier.containments.iter().map(rows::containment).collect(),
        troubles: troubles(dossier),
        review: review::review(dossier),
        queries: review::queries(dossier),
        gaps: gaps::gaps(dossier),
        notes: dossier
            .incident
            .notes
            .iter()
            .map(|note| {
                let by = note.by.as_ref().map(|by| format!("{by}: ")).unwrap_or_default();
                noted(&note.at.to_minute(), note, &format!("{by}{}", note.value))
            })
            .collect(),
        techniques: rows::techniques(dossier),
        iocs: dossier.alerts().flat_map(rows::iocs).collect(),
        left_out: dossier.left_out,
    }
}

fn line(name: &str, text: impl Into<String>, cite: impl ToString) -> Line {
    Line { name: name.to_owned(), text: text.into(), cite: cite.to_string() }
}

fn noted<T>(name: &str, noted: &Noted<T>, text: &str) -> Line {
    line(name, text, noted.cite)
}

fn summary(run: &RunPart) -> Line {
    let name = format!("{} version {}", run.playbook, run.version);
    match (run.end, run.ended.or(run.ending), run.started) {
        (Some(end), Some(when), _) => {
            let why = run.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            line(&name, format!("The run {} on {}{why}", words::run_end(end), when.at.to_minute()), when.cite)
        }
        (_, _, Some(when)) => {
            line(&name, format!("The run began on {} and has not ended", when.at.to_minute()), when.cite)
        }
        _ => line(&name, "The journal holds no start of this run", ""),
    }
}

fn about(dossier: &Dossier) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(dossier.earlier.iter().map(summary));
    for (run, when) in dossier.runs().filter_map(|run| Some((run, run.started?))) {
        lines.push(line("Started by", run.by.clone(), when.cite));
        lines.push(line("Posture", format!("{:?}", run.posture).to_lowercase(), when.cite));
        lines.push(line("Playbook SHA-256", run.source.to_string(), when.cite));
    }
    let incident = &dossier.incident;
    for severity in &incident.severity {
        let text =
            format!("{} ({}), {}", severity.value, words::severity(severity.value), severity.at.to_minute());
        lines.push(noted("Severity", severity, &text));
    }
    if let Some(status) = &incident.status {
        lines.push(noted("Status", status, words::status(status.value)));
    }
    if let Some(disposition) = &incident.disposition {
        lines.push(noted("Disposition (inferred)", disposition, words::disposition(disposition.value)));
    }
    if let Some(assignee) = &incident.assignee {
        lines.push(noted("Assignee", assignee, &assignee.value));
    }
    if !incident.tags.is_empty() {
        let tags: Vec<&str> = incident.tags.iter().map(|tag| tag.value.as_str()).collect();
        let last = incident.tags.last().map(|tag| tag.cite.to_string()).unwrap_or_default();
        lines.push(line("Tags", tags.join(", "), last));
    }
    lines.extend(dossier.alerts().flat_map(rows::alert));
    lines
}

fn troubles(dossier: &Dossier) -> Vec<Line> {
    let mut lines = Vec::new();
    for part in &dossier.uncertain {
        let name = format!("{}: uncertain", part.title);
        match &part.settled {
            None => {
                let text =
                    format!("{}. Nobody has said yet whether it happened.", part.what.trim_end_matches('.'));
                lines.push(line(&name, text, part.since.cite));
            }
            Some(said) => {
                let what = if said.happened { "it happened" } else { "it did not happen" };
                let note = said.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
                let text =
                    format!("{}. Settled by {}: {what}{note}.", part.what.trim_end_matches('.'), said.by);
                lines.push(line(&name, text, format!("{}, {}", part.since.cite, said.when.cite)));
            }
        }
    }
    for part in
        dossier.steps.iter().filter(|part| matches!(part.outcome, Some(StepEnd::Failed | StepEnd::Cancelled)))
    {
        let outcome = part.outcome.map_or("", words::step_end);
        let why = part.why.as_deref().unwrap_or("no reason is on record");
        let cite = part.ended.map(|when| when.cite.to_string()).unwrap_or_default();
        lines.push(line(&format!("{}: {outcome}", part.title), why, cite));
    }
    for noted_why in dossier.runs().filter_map(|run| run.quarantined.as_ref()) {
        let text = format!("{}. It waits until a person releases or cancels it.", noted_why.value);
        lines.push(noted("The run is set aside", noted_why, &text));
    }
    for part in &dossier.containments {
        if let Some(drifted) = part.drift() {
            lines.push(noted(&format!("{}: not in force any more", part.title), drifted, &drifted.value));
        }
        if let Some(stuck) = &part.stuck {
            lines.push(noted(&format!("{}: could not be lifted", part.title), stuck, &stuck.value));
        }
    }
    lines
}
