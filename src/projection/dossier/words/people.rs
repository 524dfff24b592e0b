//! Questions and approvals in plain words.

use super::{PLAYBOOK, Told, line};
use crate::domain::approval::{ApprovalProgress, Verdict};
use crate::domain::event::Event;
use crate::domain::run::StepKey;
use crate::projection::dossier::parts::step_title;
use crate::projection::dossier::{Dossier, Sources};

pub(super) fn of_approval(sources: &Sources<'_>, dossier: &Dossier, event: &Event) -> Option<Told> {
    let title = |key: &StepKey| step_title(sources.plan, key);
    let approval_step = |id| {
        let part = dossier.approvals.iter().find(|part| part.id == id);
        part.map(|part| &part.step)
    };
    let named = |key: Option<&StepKey>| key.map(|key| format!("{}: ", title(key))).unwrap_or_default();
    match event {
        Event::ApprovalRequested { key, by, each, until, .. } => {
            let asked = ApprovalProgress::new(by, *each, []).asked();
            let text = format!("{}: approval asked of {asked} until {}", title(key), until.to_minute());
            line("approval_requested", Some(key), PLAYBOOK, text)
        }
        Event::ApprovalGiven { approval, by, counts_for, approve, note } => {
            let step = approval_step(*approval);
            let said = word(*approve, counts_for, note.as_deref());
            line("approval_given", step, by, format!("{}{said}", named(step)))
        }
        Event::ApprovalEscalated { approval, until } => {
            let step = approval_step(*approval);
            let text = format!("{}nobody decided; asked again until {}", named(step), until.to_minute());
            line("approval_escalated", step, PLAYBOOK, text)
        }
        Event::ApprovalClosed { approval, verdict } => {
            let step = approval_step(*approval);
            let verdict = match verdict {
                Verdict::Approved => "all who were needed said yes",
                Verdict::Rejected => "rejected",
                Verdict::Silent => "nobody decided in time, which counts as no",
                Verdict::Withdrawn => "withdrawn: the run ended first",
            };
            line("approval_closed", step, PLAYBOOK, format!("{}{verdict}", named(step)))
        }
        _ => None,
    }
}

pub(super) fn of_question(sources: &Sources<'_>, dossier: &Dossier, event: &Event) -> Option<Told> {
    let title = |key: &StepKey| step_title(sources.plan, key);
    let question_step = |id| {
        let part = dossier.questions.iter().find(|part| part.id == id);
        part.map(|part| &part.step)
    };
    let named = |key: Option<&StepKey>| key.map(|key| format!("{}: ", title(key))).unwrap_or_default();
    match event {
        Event::QuestionAsked { key, asked, until, delivered, .. } => {
            let unsure = if *delivered { "" } else { " (it is not sure that the message left)" };
            let who = asked.join(", ");
            let text = format!("{}: asked {who} until {}{unsure}", title(key), until.to_minute());
            line("question_asked", Some(key), PLAYBOOK, text)
        }
        Event::QuestionAnswered { question, by, choice, .. } => {
            let step = question_step(*question);
            line("question_answered", step, by, format!("{}answered: {choice}", named(step)))
        }
        Event::QuestionSilent { question, choice } => {
            let step = question_step(*question);
            let text = format!("{}nobody answered in time, which counts as: {choice}", named(step));
            line("question_silent", step, PLAYBOOK, text)
        }
        _ => None,
    }
}

/// A person's yes or no, what it counts for, and why.
fn word(approve: bool, counts_for: &[String], note: Option<&str>) -> String {
    let word = if approve { "approved" } else { "rejected" };
    let counts = match counts_for {
        [] => String::new(),
        entries => format!(" for {}", entries.join(", ")),
    };
    let note = note.map(|note| format!(": {note}")).unwrap_or_default();
    format!("{word}{counts}{note}")
}
