//! What the people of a case say next: its answers and approvals, in the order of time.

use super::Rehearsal;
use crate::domain::address::address_key;
use crate::domain::event::Event;
use crate::domain::id::QuestionId;
use crate::domain::signal::{Person, Signal};
use crate::domain::time::Timestamp;
use crate::yaml::node::Place;

/// What a person is to say.
pub(super) struct ScriptedWord {
    /// When.
    pub(super) at: Timestamp,
    /// Names it and what it is about.
    pub(super) name: String,
    /// Where it stands in the file.
    pub(super) place: Place,
    /// What is said.
    pub(super) signal: Signal,
}

impl Rehearsal<'_> {
    /// What a person says next, and when.
    pub(super) fn next_word(&self) -> Option<ScriptedWord> {
        let mut words = Vec::new();
        for (id, asked) in self.state.questions.iter().filter(|(_, asked)| !asked.closed) {
            let Some(answer) = self.case.answers.get(&*asked.key.id) else {
                continue;
            };
            let name = id.to_string();
            let by = answer.by.clone().or_else(|| asked.asked.first().cloned()).unwrap_or_default();
            let signal = Signal::Answer {
                question: *id,
                by,
                choice: answer.choice.clone(),
                fields: answer.fields.clone(),
            };
            let at = self.since_asked(*id).after(answer.after);
            words.push(ScriptedWord { at, name, place: answer.place, signal });
        }
        for (id, asked) in self.state.approvals.iter().filter(|(_, asked)| !asked.closed) {
            let since = self.state.steps.get(&asked.key).map_or(self.now, |step| step.since);
            for (at, decision) in self.case.approvals.get(&*asked.key.id).into_iter().flatten().enumerate() {
                let by = Person {
                    address: address_key(&decision.by),
                    groups: self.people.groups_of(&decision.by),
                };
                let signal = Signal::Decide {
                    approval: *id,
                    by,
                    approve: decision.approve,
                    note: decision.note.clone(),
                };
                let (name, at) = (format!("{id}/{at}"), since.after(decision.after));
                words.push(ScriptedWord { at, name, place: decision.place, signal });
            }
        }
        words.into_iter().filter(|word| !self.said.contains(&word.name)).min_by_key(|word| word.at)
    }

    fn since_asked(&self, id: QuestionId) -> Timestamp {
        let sent =
            self.played.entries.iter().find(
                |entry| matches!(&entry.event, Event::QuestionAsked { question, .. } if *question == id),
            );
        sent.map_or(self.now, |entry| entry.at)
    }
}
