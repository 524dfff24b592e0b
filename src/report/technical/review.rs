//! Looking back: causes, what is to be done by whom, what went right and wrong.
//!
//! The journal knows what was tried and what came of it. Why it happened and
//! what is to change, people say with tags on the incident.

use super::{Line, line};
use crate::domain::run::StepEnd;
use crate::projection::dossier::{Cite, Dossier};
use crate::report::words;

/// What people may say, by tag, and what a reader finds it under.
const SAID: [(&str, &str); 6] = [
    ("root-cause", "Root cause"),
    ("remediation", "Remediation (what, owner, date)"),
    ("detection", "Detection changes"),
    ("went-right", "What went right"),
    ("went-wrong", "What went wrong"),
    ("cost", "Cost"),
];

/// Entries that one line names; more tell a reader nothing.
const CITES_MAX: usize = 4;

/// How a person puts a fact on record.
pub(super) fn how_to_tell(dossier: &Dossier, key: &str) -> String {
    let id = dossier.incident.id.map_or_else(|| "inc_…".to_owned(), |id| id.to_string());
    format!("record it with: quell incident {id} --tag \"{key}: …\"")
}

/// What is on record of each, from facts and from people.
pub(super) fn review(dossier: &Dossier) -> Vec<Line> {
    let mut lines = Vec::new();
    for (key, name) in SAID {
        let before = lines.len();
        match key {
            "went-right" => lines.extend(went_right(dossier, name)),
            "went-wrong" => lines.extend(went_wrong(dossier, name)),
            _ => {}
        }
        for tag in &dossier.incident.tags {
            let said = tag.value.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')).map(str::trim);
            if let Some(said) = said.filter(|said| !said.is_empty()) {
                lines.push(line(name, said, tag.cite));
            }
        }
        if lines.len() == before {
            lines.push(line(name, format!("not yet recorded; {}.", how_to_tell(dossier, key)), ""));
        }
    }
    lines
}

fn cites(all: impl Iterator<Item = Cite>) -> String {
    let mut all = all.map(|cite| cite.to_string());
    let told = all.by_ref().take(CITES_MAX).collect::<Vec<_>>().join(", ");
    match all.count() {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

fn went_right(dossier: &Dossier, name: &str) -> Option<Line> {
    let held: Vec<Cite> = dossier.containments.iter().filter_map(|part| Some(part.verified?.cite)).collect();
    let many = words::count(held.len(), "containment was", "containments were");
    (!held.is_empty())
        .then(|| line(name, format!("{many} confirmed by reading back."), cites(held.into_iter())))
}

fn went_wrong(dossier: &Dossier, name: &str) -> Option<Line> {
    let failed = dossier.steps.iter().filter(|part| part.outcome == Some(StepEnd::Failed));
    let failed = failed.filter_map(|part| Some(part.ended?.cite));
    let unsure = dossier.uncertain.iter().map(|part| part.since.cite);
    let stuck = dossier.containments.iter().filter_map(|part| Some(part.stuck.as_ref()?.cite));
    let all: Vec<Cite> = failed.chain(unsure).chain(stuck).collect();
    let many = words::count(all.len(), "step", "steps");
    let text = format!("{many} failed, could not be lifted or left a doubt; see above.");
    (!all.is_empty()).then(|| line(name, text, cites(all.into_iter())))
}

/// What was asked of systems, each once, with the entries that hold the answers.
pub(super) fn queries(dossier: &Dossier) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for part in dossier.evidence.iter().filter(|part| part.exchange.request.starts_with("GET ")) {
        let text = &part.exchange.request;
        match lines.iter_mut().find(|known| known.name == part.exchange.source && known.text == *text) {
            Some(known) => known.cite = format!("{}, {}", known.cite, part.cite),
            None => lines.push(line(&part.exchange.source, text.clone(), part.cite)),
        }
    }
    lines
}
