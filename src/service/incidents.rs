//! What people change of an incident.

use crate::domain::event::Event;
use crate::domain::id::{IncidentId, StreamId};
use crate::domain::incident::IncidentChange;
use crate::projection::incidents::IncidentRow;
use crate::scheduler::run::SchedulerError;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::unchanged::OnlyIf;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch};

/// The longest note, reason or tag, in characters: a paragraph. What is longer
/// belongs into a document that a note names.
const TEXT_CHARS_MAX: usize = 2000;

/// Tags of one change: more than anybody types.
const TAGS_MAX: usize = 20;

/// How often a change is tried again when a run changes the same incident in
/// the same moment.
pub(super) const TRIES_MAX: u32 = 8;

impl Service {
    /// Changes an incident as a person; the change carries who and why. Durable
    /// when it returns.
    ///
    /// # Errors
    /// When there is no such incident, nothing would change, a text is empty or
    /// too long, or the severity would be lowered without a reason.
    pub async fn change_incident(
        &self,
        id: IncidentId,
        change: IncidentChange,
        only_if: &OnlyIf,
    ) -> Result<IncidentRow, ServiceError> {
        self.caught_up().await;
        let row = |service: &Service| {
            let views = service.views.read();
            views
                .incidents
                .get(id)
                .map(|row| row.into_owned())
                .ok_or_else(|| ServiceError::absent("incident", &id))
        };
        let change = checked(change, self.unmerged(id)?.severity)?;
        self.append_to_incident(id, vec![Event::IncidentChanged { change }], only_if).await?;
        row(self)
    }

    /// Adds entries to an incident's stream. Durable and shown when it returns.
    ///
    /// # Errors
    /// When the journal does not take them.
    pub(super) async fn append_to_incident(
        &self,
        id: IncidentId,
        events: Vec<Event>,
        only_if: &OnlyIf,
    ) -> Result<(), ServiceError> {
        let stream = StreamId::Incident(id);
        for _ in 0..TRIES_MAX {
            let entries = self.journal.read(stream, 0).await?;
            if entries.iter().any(|entry| matches!(entry.event, Event::Erased(_))) {
                return Err(ServiceError::absent("incident", &id));
            }
            let after = entries.last().map_or(0, |entry| entry.seq);
            // The views are at least as far as what was read, and the append holds
            // only while that is the last entry.
            self.unchanged(only_if).await?;
            let append = Append { stream, after, at: self.now(), events: events.clone() };
            let batch = Batch { appends: vec![append], ..Batch::default() };
            match self.scheduler.start(Vec::new(), batch).await {
                Ok(receipt) => {
                    self.shown(Some(&receipt)).await;
                    return Ok(());
                }
                Err(SchedulerError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = format!("{id} changes too fast just now; nothing was written, please try again");
        Err(ServiceError::new(Sort::Busy, "incident-busy", message))
    }
}

/// The change as it is kept, or why it is not made.
fn checked(mut change: IncidentChange, severity: u8) -> Result<IncidentChange, ServiceError> {
    let wrong = |code: &str, message: String| ServiceError::new(Sort::Wrong, code, message);
    let texts = [
        ("the note", &mut change.note),
        ("the reason", &mut change.why),
        ("the assignee", &mut change.assignee),
    ];
    for (what, text) in texts {
        if let Some(text) = text {
            *text = plain(what, text)?;
        }
    }
    for tag in &mut change.tags {
        *tag = plain("a tag", tag)?;
    }
    if change.tags.len() > TAGS_MAX {
        let message =
            format!("a change adds at most {TAGS_MAX} tags, and this one has {}", change.tags.len());
        return Err(wrong("too-many", message));
    }
    let bare = IncidentChange { by: change.by.clone(), why: change.why.clone(), ..IncidentChange::default() };
    if change == bare {
        let message = "nothing is to be changed; give a severity, status, disposition, assignee, note or tag";
        return Err(wrong("nothing-changes", message.to_owned()));
    }
    match change.severity {
        Some(new) if new > 100 => {
            Err(wrong("out-of-range", format!("the severity goes from 0 to 100; {new} is no severity")))
        }
        Some(new) if new < severity && change.why.is_none() => {
            let message = format!(
                "the severity is {severity}; lowering it to {new} needs a reason, so that the record says why"
            );
            Err(wrong("reason-needed", message))
        }
        _ => Ok(change),
    }
}

pub(super) fn plain(what: &str, text: &str) -> Result<String, ServiceError> {
    let text = text.trim();
    let wrong = |code: &str, message: String| Err(ServiceError::new(Sort::Wrong, code, message));
    if text.is_empty() {
        return wrong("empty", format!("{what} is empty; leave it out, or say something"));
    }
    let long = text.chars().count();
    if long > TEXT_CHARS_MAX {
        return wrong("too-long", format!("{what} has {long} characters; at most {TEXT_CHARS_MAX} are kept"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(severity: Option<u8>, why: Option<&str>, note: Option<&str>) -> IncidentChange {
        IncidentChange {
            severity,
            why: why.map(str::to_owned),
            note: note.map(str::to_owned),
            by: Some("ana@example.com".to_owned()),
            ..IncidentChange::default()
        }
    }

    #[test]
    fn a_severity_rises_freely_and_falls_only_with_a_reason() {
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        for (wanted, answer) in [
            (change(Some(90), None, None), Ok(())),
            (change(Some(60), None, None), Ok(())),
            (change(Some(40), Some("the files were public"), None), Ok(())),
            (change(Some(40), None, None), Err("reason-needed")),
            (change(Some(101), None, None), Err("out-of-range")),
            (change(None, Some("because"), None), Err("nothing-changes")),
            (change(None, None, Some("  ")), Err("empty")),
            (change(None, None, Some(&long)), Err("too-long")),
        ] {
            let shown = format!("{wanted:?}");
            let came = checked(wanted, 60).map(|_| ()).map_err(|error| error.code);
            assert_eq!(came, answer.map_err(str::to_owned), "{shown}");
        }
    }
}
