//! Clocks that jump, and timers that must not care: each fires once, and none
//! before its time by the clock that the run is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quell::domain::approval::Verdict;
use quell::domain::command::Phase;
use quell::domain::event::{Entry, Event};
use quell::domain::id::{ApprovalId, ContainmentId, QuestionId};
use quell::domain::playbook::{Body, Playbook};
use quell::domain::run::{StepEnd, StepKey};
use quell::domain::time::Timestamp;

use crate::chance::Chance;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// How long a server is down when it is down for long.
pub const DOWN: Duration = Duration::from_secs(7 * DAY);

/// Where a clock is after somebody, or something, has set it.
pub fn jump(chance: &mut Chance, now: Timestamp) -> Timestamp {
    let some = Duration::from_secs(chance.below(4000));
    match chance.below(8) {
        0 => now.after(Duration::from_secs(1)),
        1 => now.before(Duration::from_secs(1)),
        2 => now.after(Duration::from_secs(2 * HOUR)),
        3 => now.before(Duration::from_secs(2 * HOUR)),
        4 => now.after(Duration::from_secs(40 * DAY)),
        5 | 6 => now.after(some),
        _ => now.before(some / 4),
    }
}

/// The timers of one run, as its record sets them.
#[derive(Default)]
pub struct Timers {
    started: Option<Timestamp>,
    sleeps: BTreeMap<StepKey, Timestamp>,
    due: BTreeMap<(StepKey, Phase), Timestamp>,
    approvals: BTreeMap<ApprovalId, (Timestamp, bool)>,
    /// The steps that ask.
    asking: BTreeMap<ApprovalId, StepKey>,
    questions: BTreeMap<QuestionId, (StepKey, Timestamp, Timestamp, u32)>,
    boxes: BTreeMap<ContainmentId, Timestamp>,
    held: BTreeMap<StepKey, ContainmentId>,
    lifting: BTreeSet<ContainmentId>,
    pub fired: usize,
}

impl Timers {
    /// Takes in what is recorded now, or says which timer fired wrongly.
    pub fn see(&mut self, playbook: &Playbook, entry: &Entry) -> Result<(), String> {
        let now = entry.at;
        match &entry.event {
            Event::RunStarted(_) => self.started = Some(now),
            Event::RunEnding { why, .. } if why.starts_with("the run took longer") => {
                let until = self.started.zip(playbook.within).map(|(since, within)| since.after(within));
                self.fire("the run's own time", until, now)?;
            }
            Event::StepSlept { key, until } => {
                self.sleeps.insert(key.clone(), *until);
            }
            Event::StepEnded { key, why, .. } if says_not_held(why) => {
                if self.held.get(key).is_some_and(|id| self.lifting.contains(id)) {
                    return Err(format!("{key} was contained and lifted, and fails for not being held"));
                }
            }
            Event::StepEnded { key, end, .. } => {
                let slept = self.sleeps.remove(key);
                if *end == StepEnd::Succeeded && slept.is_some() {
                    self.fire(&format!("the pause of {key}"), slept, now)?;
                }
            }
            Event::AttemptDue { key, phase, at } => {
                self.due.insert((key.clone(), *phase), *at);
            }
            Event::AttemptStarted { key, phase, .. } => {
                let due = self.due.remove(&(key.clone(), *phase));
                if due.is_some() {
                    self.fire(&format!("{phase} of {key}"), due, now)?;
                }
            }
            _ => return self.see_people(playbook, &entry.event, now),
        }
        Ok(())
    }

    fn see_people(&mut self, playbook: &Playbook, event: &Event, now: Timestamp) -> Result<(), String> {
        match event {
            Event::ApprovalRequested { key, approval, until, .. } => {
                self.asking.insert(*approval, key.clone());
                self.approvals.insert(*approval, (*until, false));
            }
            Event::ApprovalEscalated { approval, until } => {
                let before = self.approvals.insert(*approval, (*until, true));
                if before.is_some_and(|(_, again)| again) {
                    return Err(format!("{approval} was asked a third time"));
                }
                // Who is asked once more is told at once.
                let key = self.asking.get(approval).ok_or("an approval nobody asked for")?;
                self.due.remove(&(key.clone(), Phase::Announce));
                self.fire("an approval's silence", before.map(|(until, _)| until), now)?;
            }
            Event::ApprovalClosed { approval, verdict } => {
                let until = self.approvals.remove(approval).map(|(until, _)| until);
                if *verdict == Verdict::Silent {
                    self.fire("an approval's deadline", until, now)?;
                }
            }
            Event::QuestionAsked { key, question, until, .. } => {
                self.questions.insert(*question, (key.clone(), now, *until, 0));
            }
            Event::QuestionReminded { question, nth, .. } => {
                let asked = self.questions.get_mut(question);
                let (key, since, _, next) = asked.ok_or("a reminder of no open question")?;
                if *nth != *next {
                    return Err(format!("reminder {nth} of {key} comes, and {next} is next"));
                }
                *next += 1;
                let after = playbook.step(&key.id).and_then(|(_, step)| match &step.body {
                    Body::Perform(action) => {
                        action.question.as_ref()?.reminders.get(*nth as usize).map(|reminder| reminder.after)
                    }
                    _ => None,
                });
                let due = after.map(|after| since.after(after));
                self.fire("a reminder", due, now)?;
            }
            Event::QuestionSilent { question, .. } => {
                let until = self.questions.remove(question).map(|(_, _, until, _)| until);
                self.fire("a question's deadline", until, now)?;
            }
            Event::ContainmentAccepted { key, containment, until, .. } => {
                self.held.insert(key.clone(), *containment);
                self.boxes.extend(until.map(|until| (*containment, until)));
            }
            Event::ContainmentExtended { containment, until, .. } => {
                self.boxes.insert(*containment, *until);
            }
            Event::UndoRequested { containment, by, .. } => {
                self.lifting.insert(*containment);
                let until = self.boxes.remove(containment);
                if by == "time box" {
                    self.fire("a time box", until, now)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A timer fires: it was set, it is taken away, and its time has come.
    fn fire(&mut self, what: &str, due: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
        let due = due.ok_or_else(|| format!("{what} fires, and was not set"))?;
        self.fired += 1;
        if now < due {
            return Err(format!("{what} fires at {now}, and is due at {due}"));
        }
        Ok(())
    }
}

fn says_not_held(why: &Option<String>) -> bool {
    why.as_ref().is_some_and(|why| why.contains("reading back did not show it"))
}
