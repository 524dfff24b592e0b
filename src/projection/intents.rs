//! What entries say of acts whose intent is on record: whether they may have
//! happened, or surely did not.

use crate::domain::command::Phase;
use crate::domain::event::{Event, Intended};
use crate::domain::outcome::{FailureClass, Outcome};
use crate::domain::run::{StepEnd, StepKey};

/// What an entry says of an act that contains something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ActNews<'a> {
    /// It is about to be sent.
    Intended(&'a Intended),
    /// It was sent, and its outcome was never heard, for this reason.
    Unheard(&'a str),
    /// This attempt did nothing; of those before it that says nothing.
    NotThisTime,
    /// Surely nothing was done, by any attempt.
    NotDone,
    /// Nobody can say, and nobody is asked any more.
    NeverKnown,
}

/// What the event says, and of which step.
pub fn act_news(event: &Event) -> Option<(&StepKey, ActNews<'_>)> {
    Some(match event {
        Event::AttemptStarted { key, contains: Some(intended), .. } => (key, ActNews::Intended(intended)),
        Event::AttemptLost { key, phase: Phase::Act, waited, .. } => match waited {
            true => (key, ActNews::NotThisTime),
            false => (key, ActNews::Unheard("the server stopped while it was sent")),
        },
        Event::AttemptEnded { key, phase: Phase::Act, outcome: Outcome::Failed { failure, .. }, .. } => {
            match failure.class {
                FailureClass::Unknown => (key, ActNews::Unheard(&failure.message)),
                FailureClass::Transient | FailureClass::Permanent => (key, ActNews::NotThisTime),
            }
        }
        Event::StepEnded { key, end: StepEnd::Uncertain, .. } => (key, ActNews::NeverKnown),
        Event::StepEnded { key, .. } | Event::StepSettled { key, happened: false, .. } => {
            (key, ActNews::NotDone)
        }
        _ => return None,
    })
}
