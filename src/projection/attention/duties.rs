//! What people are asked and have not said yet: open approvals and questions that
//! nothing is wrong with. What is overdue or did not arrive is among the needs.

use std::time::Duration;

use super::{About, Item, Need};
use crate::domain::address::same_address;
use crate::domain::id::{ApprovalId, QuestionId, RunId};
use crate::domain::run::StepKey;
use crate::domain::signal::Person;
use crate::domain::time::{Timestamp, duration_text};
use crate::projection::approvals::ApprovalRow;
use crate::projection::questions::QuestionRow;
use crate::projection::views::Views;

/// Approvals, and questions, that are looked at for one list, the oldest first: reading
/// that many rows from the disk takes some tenths of a second.
const DUTIES_MAX: usize = 20_000;

impl Views {
    /// What people are asked, that of `caller` first.
    pub fn duties(&self, caller: &Person, now: Timestamp) -> Vec<Item> {
        let approvals = self.approvals.open_in_time(now).take(DUTIES_MAX);
        let told = approvals.filter(|row| !self.is_untold(row.run, &row.step));
        let approvals = told.map(|row| self.to_decide(&row, caller, now));
        let questions = self.questions.open_in_time(now).take(DUTIES_MAX);
        let questions = questions.map(|row| self.to_answer(&row, caller, now));
        let listed = approvals.chain(questions).map(|item| self.released_first(item));
        let further = [
            (self.approvals.open_len(), "approvals", "quell approvals"),
            (self.questions.open_len(), "questions", "quell questions"),
        ];
        let further =
            further.into_iter().filter(|(open, ..)| *open > DUTIES_MAX).map(|(open, what, command)| {
                let text =
                    format!("{open} {what} are open, and only the oldest {DUTIES_MAX} are looked at here");
                Item::new(Need::Deciding, None, what, now, text).next([command.to_owned()])
            });
        listed.chain(further).collect()
    }

    /// Whether the word of this person is still wanted on an approval or a question.
    pub fn is_asked_of(&self, id: &str, caller: &Person) -> bool {
        if let Some(row) = id.parse::<ApprovalId>().ok().and_then(|id| self.approvals.get(id)) {
            return wants(&row, caller);
        }
        let question = id.parse::<QuestionId>().ok().and_then(|id| self.questions.get(id));
        question.is_some_and(|row| row.is_open() && row.asked.iter().any(|entry| caller.is_named_by(entry)))
    }

    fn is_untold(&self, run: RunId, step: &StepKey) -> bool {
        self.attention.raised.contains_key(&(run, About::Untold(step.clone())))
    }

    fn to_decide(&self, row: &ApprovalRow, caller: &Person, now: Timestamp) -> Item {
        let id = row.id;
        let need = if wants(row, caller) { Need::Yours } else { Need::Deciding };
        let what = format!("it waits for a yes, {}: {}", left(row.until, now), row.needs);
        let item = Item::new(need, Some((row.run, self)), &id.to_string(), row.asked_at, what);
        let next = [format!("quell show {id}"), format!("quell approve {id}"), format!("quell reject {id}")];
        item.at(&row.step).named(id, Some(row.until)).next(next)
    }

    fn to_answer(&self, row: &QuestionRow, caller: &Person, now: Timestamp) -> Item {
        let id = row.id;
        let mine = row.asked.iter().any(|entry| caller.is_named_by(entry));
        let need = if mine { Need::Yours } else { Need::Answering };
        let what = format!("it waits for an answer, {}: {}", left(row.until, now), row.asked.join(", "));
        let item = Item::new(need, Some((row.run, self)), &id.to_string(), row.asked_at, what);
        item.at(&row.step).named(id, Some(row.until)).next([format!("quell show {id}")])
    }
}

/// Whether an approval still wants this person's yes.
fn wants(row: &ApprovalRow, caller: &Person) -> bool {
    let said = row.given.iter().any(|given| same_address(&given.by, &caller.address));
    !said && row.verdict.is_none() && row.progress().missing().any(|(entry, _)| caller.is_named_by(entry))
}

/// How long is left, in words: whole minutes, below that whole seconds.
fn left(until: Timestamp, now: Timestamp) -> String {
    let seconds = until.since(now).as_secs();
    let seconds = if seconds < 60 { seconds } else { seconds - seconds % 60 };
    format!("{} left", duration_text(Duration::from_secs(seconds)))
}
