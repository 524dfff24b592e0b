//! Sentences on what must be decided and what comes next.

use super::{Decision, LINES_MAX, Sentence, Writer, shorten};
use crate::domain::event::RunEnd;
use crate::domain::incident::Status;
use crate::domain::run::Hold;
use crate::domain::time::Timestamp;
use crate::projection::dossier::{ApprovalPart, Cite, ContainmentPart};

/// Where no date is on record.
const NO_DATE: &str = "as soon as possible";

impl Writer<'_> {
    pub(super) fn decisions(&self) -> Vec<Decision> {
        let mut all = Vec::new();
        let mut add = |text: String, cite: Cite, by: Option<Timestamp>| {
            let by = by.map_or_else(|| NO_DATE.to_owned(), |at| format!("by {}", at.to_minute()));
            all.push(Decision { what: Sentence::fact(text, &[cite]), by });
        };
        for part in self.dossier.approvals.iter().filter(|part| part.verdict.is_none()) {
            let text = format!("Approve or reject {} ({}).", self.step(&part.title), self.roles(part));
            add(text, part.asked.cite, Some(part.until));
        }
        for part in self.dossier.uncertain.iter().filter(|part| part.settled.is_none()) {
            add(
                format!("Find out and say whether {} took effect.", self.step(&part.title)),
                part.since.cite,
                None,
            );
        }
        for part in &self.dossier.containments {
            if let Some((text, cite, by)) = self.on_containment(part) {
                add(text, cite, by);
            }
        }
        for run in self.dossier.runs() {
            let which = self.response(run);
            if let Some(noted) = &run.quarantined {
                add(format!("Release or end {which}, which is set aside."), noted.cite, None);
            }
            if let (Some(RunEnd::Failed), Some(when)) = (run.end, run.ended.or(run.ending)) {
                add(format!("Say how {which} goes on: it stopped before its end."), when.cite, None);
            }
        }
        let count = all.len();
        if count > LINES_MAX {
            all.truncate(LINES_MAX - 1);
            let more =
                format!("Decide {} more matters, which `quell attention` lists.", count - LINES_MAX + 1);
            all.push(Decision { what: Sentence::plain(more), by: "as soon as possible".to_owned() });
        }
        all
    }

    /// What is to be decided on a containment.
    fn on_containment(&self, part: &ContainmentPart) -> Option<(String, Cite, Option<Timestamp>)> {
        let title = self.step(&part.title);
        if let (Hold::Stuck, Some(stuck)) = (part.hold, &part.stuck) {
            let text = if part.changed_since.is_empty() {
                format!("Lift {title} by hand, or leave it.")
            } else {
                format!("Somebody else changed what {title} had changed: say what is to stand.")
            };
            return Some((text, stuck.cite, None));
        }
        if let Some(drifted) = part.drift() {
            let text = format!("Contain again, or accept that {title} is no longer in force.");
            return Some((text, drifted.cite, None));
        }
        if !part.changed || !matches!(part.hold, Hold::Accepted | Hold::Verified) {
            return None;
        }
        let extended = part.extended.as_ref().map(|noted| noted.cite);
        let cite = extended.unwrap_or(part.accepted.cite);
        match part.until {
            Some(_) => {
                let text = format!("Keep {title} in force longer, or let it lift.");
                Some((text, cite, part.until))
            }
            // What has no way back is never lifted.
            None if part.undo.is_none() => None,
            None => Some((format!("Say when {title} is to be lifted."), cite, None)),
        }
    }

    /// Whose yes is still needed, as roles.
    fn roles(&self, part: &ApprovalPart) -> String {
        let mut roles: Vec<String> = part
            .progress()
            .missing()
            .map(|(by, people)| match (by.strip_prefix("group:"), people) {
                (Some(group), 1) => self.quoted(&group.replace(['-', '_'], " ")),
                (Some(group), people) => {
                    format!("{people} different people of {}", self.quoted(&group.replace(['-', '_'], " ")))
                }
                (None, _) => "a named approver".to_owned(),
            })
            .collect();
        roles.dedup();
        roles.join(" and ")
    }

    pub(super) fn next_steps(&self) -> Vec<Sentence> {
        let dossier = self.dossier;
        let mut lines = Vec::new();
        for part in dossier.questions.iter().filter(|part| part.end.is_none()) {
            let text = format!(
                "The answer to {} is awaited until {}.",
                self.step(&part.title),
                part.until.to_minute()
            );
            lines.push(Sentence::fact(text, &[part.sent.cite]));
        }
        for part in dossier.steps.iter().filter(|part| part.ended.is_none()) {
            if let (Some(due), Some(started)) = (part.due, part.started) {
                let text = format!("{} goes on at {}.", self.step_of(part), due.to_minute());
                lines.push(Sentence::fact(text, &[started.cite]));
            }
        }
        for part in
            dossier.containments.iter().filter(|part| matches!(part.hold, Hold::Accepted | Hold::Verified))
        {
            if let Some(until) = part.until.filter(|_| part.changed && part.drift().is_none()) {
                let title = self.step(&part.title);
                let text =
                    format!("{title} lifts by itself on {} unless a person extends it.", until.to_minute());
                let cite = part.extended.as_ref().map_or(part.accepted.cite, |noted| noted.cite);
                lines.push(Sentence::fact(text, &[cite]));
            }
        }
        shorten(&mut lines);
        let all_ended = dossier.runs().all(|run| run.end.is_some());
        let closed = dossier.incident.status.as_ref().is_some_and(|noted| noted.value == Status::Closed);
        if lines.is_empty() {
            lines.push(Sentence::plain(match (all_ended, closed) {
                (false, _) => "The response continues with its next step.",
                (true, true) => "None; the incident is closed.",
                (true, false) => "A person reviews the incident and closes it.",
            }));
        }
        lines
    }

    pub(super) fn owner(&self) -> Sentence {
        match &self.dossier.incident.assignee {
            Some(noted) => match noted.value.strip_prefix("group:") {
                Some(group) => {
                    let role = self.quoted(&group.replace(['-', '_'], " "));
                    Sentence::fact(format!("The role {role} owns this incident."), &[noted.cite])
                }
                None => Sentence::fact("A named person, in the incident record.", &[noted.cite]),
            },
            None => Sentence::plain("Not yet assigned."),
        }
    }

    pub(super) fn next_update(&self) -> Sentence {
        let dossier = self.dossier;
        let approvals = dossier.approvals.iter().filter(|part| part.verdict.is_none());
        let questions = dossier.questions.iter().filter(|part| part.end.is_none());
        let holds = dossier
            .containments
            .iter()
            .filter(|part| part.changed && matches!(part.hold, Hold::Accepted | Hold::Verified));
        let due = approvals
            .map(|part| (part.until, part.asked.cite))
            .chain(questions.map(|part| (part.until, part.sent.cite)))
            .chain(holds.filter_map(|part| Some((part.until?, part.accepted.cite))))
            .min_by_key(|(at, _)| *at);
        match due {
            Some((at, cite)) => Sentence::fact(
                format!("At the next deadline, {}, or when something changes.", at.to_minute()),
                &[cite],
            ),
            None if dossier.runs().all(|run| run.end.is_some()) => Sentence::plain("None is planned."),
            None => Sentence::plain("When the next step ends."),
        }
    }
}
