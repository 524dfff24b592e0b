//! Entries in plain words.

use super::parts::step_title;
use super::{Dossier, MAIL, Sources};
use crate::domain::alert::Fate;
use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event, RunEnd, SetAside};
use crate::domain::incident::IncidentChange;
use crate::domain::incident::{Move, MoveKind};
use crate::domain::outcome::{Evidence, FailureClass, Outcome};
use crate::domain::run::{StepEnd, StepKey};

mod holding;
mod people;

/// One entry, told.
pub(super) struct Told {
    pub kind: &'static str,
    pub step: Option<StepKey>,
    pub text: String,
    pub actor: String,
    pub detail: bool,
}

/// An exchange in one line.
pub(super) fn exchange(evidence: &Evidence) -> String {
    format!("{} → {}", evidence.request, evidence.response)
}

/// What an exchange proves; without one, what the phase would have given.
pub(super) fn proves(title: &str, phase: Phase, succeeded: bool, exchange: Option<&Evidence>) -> String {
    let is_mail = exchange.is_some_and(|exchange| exchange.request.starts_with(MAIL));
    let what = match phase {
        // Nobody has answered yet: the server that took the mail is no person.
        Phase::Act if is_mail => return format!("{title}: the message as it was sent"),
        Phase::Capture => "the state before",
        Phase::Announce => "the message to the approvers",
        Phase::Act => "the answer",
        Phase::Verify => "the read-back",
        Phase::UndoCheck => "the state before lifting",
        Phase::Undo => "the answer to lifting",
        Phase::UndoVerify => "the read-back after lifting",
        Phase::Reconcile => "whether it happened",
        Phase::Remind => "the reminder",
        Phase::Recheck => "a later read-back",
        Phase::Warn => "the notice before lifting",
    };
    let how = if succeeded { "" } else { " (failed)" };
    format!("{title}: {what}{how}")
}

/// Who speaks when a person or the run's own rules do.
const PLAYBOOK: &str = "playbook";

/// The entry in plain words; nothing for those that only carry bookkeeping.
pub(super) fn tell(sources: &Sources<'_>, dossier: &Dossier, entry: &Entry) -> Option<Told> {
    let told = of_incident(entry).or_else(|| of_run(entry)).or_else(|| of_step(sources, entry));
    let told = told.or_else(|| of_uncertain(sources, &entry.event));
    let told = told.or_else(|| people::of_question(sources, dossier, &entry.event));
    let told = told.or_else(|| people::of_approval(sources, dossier, &entry.event));
    told.or_else(|| holding::of_containment(sources, dossier, &entry.event))
}

fn line(kind: &'static str, step: Option<&StepKey>, actor: &str, text: String) -> Option<Told> {
    Some(Told { kind, step: step.cloned(), text, actor: actor.to_owned(), detail: false })
}

fn detail(kind: &'static str, step: &StepKey, text: String) -> Option<Told> {
    line(kind, Some(step), PLAYBOOK, text).map(|told| Told { detail: true, ..told })
}

/// Alerts and incidents.
fn of_incident(entry: &Entry) -> Option<Told> {
    match &entry.event {
        Event::AlertReceived { source, title, severity, by, .. } => {
            let text = match by {
                Some(_) => format!("Alert of {source} handed in, severity {severity} of 100: {title}"),
                None => format!("Alert received, severity {severity} of 100: {title}"),
            };
            line("alert_received", None, by.as_deref().unwrap_or(source), text)
        }
        Event::Erased(erasure) => line("erased", None, "retention", erasure.words()),
        Event::AlertTriaged { fate: Fate::Joined { news, because, .. }, seen, .. } => {
            let severity =
                seen.as_ref().map_or(String::new(), |seen| format!(", severity {} of 100", seen.severity));
            let shares: Vec<&str> = because.iter().map(|because| because.tie.words()).collect();
            let text = format!("{} {}{severity}: {}", entry.stream, news.words(), shares.join(", "));
            line("alert_joined", None, "triage", text)
        }
        Event::AlertTriaged { fate, .. } => {
            let many = fate.runs().len();
            let text = match fate {
                Fate::NoPlaybook { .. } => "Alert triaged: no playbook wanted it".to_owned(),
                _ if many == 1 => "Alert triaged: a run was started".to_owned(),
                _ => format!("Alert triaged: {many} runs were started"),
            };
            line("alert_triaged", None, "triage", text)
        }
        Event::IncidentOpened { title, .. } => {
            line("incident_opened", None, "triage", format!("Incident opened: {title}"))
        }
        Event::IncidentChanged { change } => {
            let by = change.by.as_deref().unwrap_or(PLAYBOOK);
            line("incident_changed", None, by, changed(change)?)
        }
        Event::AlertsMoved(moved) => {
            let Move { kind, to, alerts, by, why, .. } = &**moved;
            let many = alerts.len();
            let text = match kind {
                MoveKind::Merge => format!("Incident merged into {to} with its {many} alerts: {why}"),
                MoveKind::Split => format!("{many} alerts moved to {to}: {why}"),
            };
            line("alerts_moved", None, by, text)
        }
        Event::AlertsCame { from, alerts, by, why } => {
            line("alerts_came", None, by, format!("{from} with {alerts} alerts was merged into this: {why}"))
        }
        Event::UndoOrdered(order) => {
            let many = order.containments.len();
            let what = if many == 1 { "one containment".to_owned() } else { format!("{many} containments") };
            let why = order.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let over = if order.anyway { ", also over what somebody else changed since" } else { "" };
            let text = format!("Incident: {what} to be lifted, the newest first{over}{why}");
            line("undo_ordered", None, &order.by, text)
        }
        _ => None,
    }
}

/// The run as a whole.
fn of_run(entry: &Entry) -> Option<Told> {
    match &entry.event {
        Event::RunStarted(run) => {
            let again = run.again.map(|old| format!(", to do {old} once more")).unwrap_or_default();
            let text = format!("Run of playbook {} version {} started{again}", run.playbook, run.version);
            line("run_started", None, &run.by, text)
        }
        Event::RunQueued { urgency } => {
            let text = format!("Run waits for its turn ({urgency}): others go first");
            line("run_queued", None, PLAYBOOK, text)
        }
        Event::RunAdmitted {} => {
            line("run_admitted", None, PLAYBOOK, "The turn of the run has come".to_owned())
        }
        Event::RunEnding { end, why, .. } => {
            line("run_ending", None, PLAYBOOK, format!("Run is ending ({}): {why}", run_end(*end)))
        }
        Event::RunQuarantined(SetAside { why, .. }) => line(
            "run_quarantined",
            None,
            PLAYBOOK,
            format!("Run set aside until a person releases it: {why}"),
        ),
        Event::RunReleased { by, why } => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            line("run_released", None, by, format!("Run released, it goes on from where it stood{why}"))
        }
        Event::RunEnded { end } => line("run_ended", None, PLAYBOOK, format!("Run {}", run_end(*end))),
        _ => None,
    }
}

fn run_end(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "succeeded",
        RunEnd::Failed => "failed",
        RunEnd::Cancelled => "cancelled",
    }
}

fn changed(change: &IncidentChange) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(severity) = change.severity {
        parts.push(format!("severity {severity} of 100"));
    }
    if let Some(status) = change.status {
        parts.push(format!("status {}", format!("{status:?}").to_lowercase()));
    }
    if change.disposition.is_some() {
        parts.push("a disposition was set".to_owned());
    }
    if let Some(assignee) = &change.assignee {
        parts.push(format!("assigned to {assignee}"));
    }
    if !change.tags.is_empty() {
        parts.push(format!("tagged {}", change.tags.join(", ")));
    }
    if let Some(note) = &change.note {
        parts.push(format!("note: {note}"));
    }
    if let (false, Some(why)) = (parts.is_empty(), &change.why) {
        parts.push(format!("because: {why}"));
    }
    (!parts.is_empty()).then(|| format!("Incident: {}", parts.join("; ")))
}

fn of_step(sources: &Sources<'_>, entry: &Entry) -> Option<Told> {
    let title = |key: &StepKey| step_title(sources.plan, key);
    match &entry.event {
        Event::StepStarted { key, .. } => detail("step_started", key, format!("{}: started", title(key))),
        Event::StepExpanded { key, items } => {
            detail("step_expanded", key, format!("{}: {} items", title(key), items.len()))
        }
        Event::StepSlept { key, until } => {
            let text = format!("{}: waits until {}", title(key), until.to_minute());
            line("step_slept", Some(key), PLAYBOOK, text)
        }
        Event::StepEnded { key, end, why, .. } => {
            // A condition is the author's code; that it did not hold is what a reader wants.
            let why = match why {
                Some(why) if *end == StepEnd::Skipped && why.contains("` did not hold") => {
                    ", because its condition did not hold".to_owned()
                }
                Some(why) => format!(": {why}"),
                None => String::new(),
            };
            let text = format!("{}: {}{why}", title(key), end.name());
            let told = line("step_ended", Some(key), PLAYBOOK, text)?;
            Some(Told { detail: *end == StepEnd::Skipped && !key.at.is_empty(), ..told })
        }
        Event::AttemptEnded { key, phase, attempt, outcome } => {
            let again = matches!(outcome, Outcome::Failed { .. }) && comes_again(sources, entry, key, *phase);
            attempt_ended(&title(key), key, (*phase, *attempt), outcome, again)
        }
        Event::AttemptLost { key, phase, waited, .. } => {
            let what = if *waited {
                "only waited for its turn when the server stopped; nothing was sent"
            } else {
                "was never heard"
            };
            let of = if *waited { "" } else { "the outcome of " };
            let text = format!("{}: {of}{phase} {what}", title(key));
            line("attempt_lost", Some(key), PLAYBOOK, text)
        }
        Event::AttemptDue { key, phase, at } => {
            detail("attempt_due", key, format!("{}: {phase} comes next at {}", title(key), at.to_minute()))
        }
        _ => None,
    }
}

fn of_uncertain(sources: &Sources<'_>, event: &Event) -> Option<Told> {
    let title = |key: &StepKey| step_title(sources.plan, key);
    match event {
        Event::StepUncertain { key, what } => {
            let text = format!("{}: uncertain whether it happened: {what}", title(key));
            line("step_uncertain", Some(key), PLAYBOOK, text)
        }
        Event::StepSettled { key, happened, by, note } => {
            let said = if *happened { "it happened" } else { "it did not happen" };
            let note = note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            line("step_settled", Some(key), by, format!("{}: a person says that {said}{note}", title(key)))
        }
        _ => None,
    }
}

/// Whether the run went on to try this part of the step once more: of its next
/// entries the first about the step says so.
fn comes_again(sources: &Sources<'_>, failed: &Entry, key: &StepKey, phase: Phase) -> bool {
    let next = sources.run.partition_point(|entry| entry.seq <= failed.seq);
    let later = sources.run.get(next..).unwrap_or_default().iter();
    let about = later.map_while(|entry| match &entry.event {
        // Lifting begins again by looking.
        Event::AttemptDue { key: of, phase: due, .. }
            if of == key && (*due == phase || *due == Phase::UndoCheck) =>
        {
            Some(Some(true))
        }
        Event::StepEnded { key: of, .. }
        | Event::StepUncertain { key: of, .. }
        | Event::AttemptStarted { key: of, .. }
            if of == key =>
        {
            Some(Some(false))
        }
        Event::RunEnded { .. } => None,
        _ => Some(None),
    });
    about.flatten().next().unwrap_or(false)
}

fn attempt_ended(
    title: &str,
    key: &StepKey,
    (phase, attempt): (Phase, u32),
    outcome: &Outcome,
    again: bool,
) -> Option<Told> {
    match outcome {
        Outcome::Succeeded { evidence, .. } => {
            let what = proves(title, phase, true, evidence.as_ref());
            let answer = evidence.as_ref().map(|it| format!(" → {}", it.response)).unwrap_or_default();
            detail("attempt_ended", key, format!("{what}{answer}"))
        }
        Outcome::Failed { failure, evidence } => {
            let what = proves(title, phase, true, evidence.as_ref());
            let how = match failure.class {
                FailureClass::Transient if again => "failed, to be tried again",
                FailureClass::Transient | FailureClass::Permanent => "failed",
                FailureClass::Unknown => "nobody can say whether it happened",
            };
            let text = format!("{what}, attempt {attempt}: {how}: {}", failure.message);
            line("attempt_ended", Some(key), PLAYBOOK, text)
        }
    }
}
