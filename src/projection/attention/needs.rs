//! The list of what needs a person at one moment.

use std::fmt;
use std::str::FromStr;

use super::{About, Item, Need, PAST_SHOWN, Raised, Unread};
use crate::domain::firing::SkipReason;
use crate::domain::id::{IncidentId, RunId, ScheduleId};
use crate::domain::incident::Status;
use crate::domain::run::Hold;
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::digest;
use crate::projection::approvals::ApprovalRow;
use crate::projection::containments::ContainmentRow;
use crate::projection::containments::standing::Trouble;
use crate::projection::questions::QuestionRow;
use crate::projection::runs::RunStatus;
use crate::projection::schedules::ScheduleRow;
use crate::projection::views::Views;

/// A place in the list of what needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    /// As an item names it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in the list of what needs a person")]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let fits = text.len() <= 64 && text.split('_').count() == 4;
        if fits && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Ok(Self(text.to_owned()));
        }
        Err(NoPlace(text.chars().take(64).collect::<String>().escape_debug().to_string()))
    }
}

impl Item {
    /// An item about the whole house or one run. Among items of one sort the
    /// severest come first, then those that wait longest.
    pub fn new(need: Need, of: Option<(RunId, &Views)>, about: &str, since: Timestamp, what: String) -> Item {
        let row = of.and_then(|(run, views)| views.runs.get(run));
        let incident = row.as_ref().map(|row| row.incident);
        let severity = of.and_then(|(_, views)| Some(views.incidents.get(incident?)?.severity));
        let run = of.map(|(run, _)| run);
        let mark = digest(format!("{run:?}/{about}").as_bytes()).to_string();
        let place = format!(
            "{:02}_{:03}_{:013}_{}",
            need as u8,
            u8::MAX - severity.unwrap_or(0),
            since.millis().max(0),
            &mark[..16]
        );
        Item {
            place,
            need,
            name: need.name(),
            what,
            since,
            until: None,
            run,
            playbook: row.map(|row| row.playbook.to_string()),
            incident,
            severity,
            step: None,
            id: None,
            target: None,
            commands: Vec::new(),
        }
    }

    pub(super) fn at(self, step: &StepKey) -> Item {
        Item { step: Some(step.clone()), ..self }
    }

    pub(super) fn named(self, id: impl fmt::Display, until: Option<Timestamp>) -> Item {
        Item { id: Some(id.to_string()), until, ..self }
    }

    pub(super) fn next<const N: usize>(self, commands: [String; N]) -> Item {
        Item { commands: commands.into(), ..self }
    }
}

impl Views {
    /// All that needs a person now, the most urgent first.
    pub fn needs(&self, now: Timestamp) -> Vec<Item> {
        let raised = self.attention.raised.iter();
        let raised = raised.filter_map(|((run, about), raised)| self.raised(*run, about, raised, now));
        let held = self.containments.watched().filter_map(|row| self.containment(&row, now));
        let asked = self.approvals.pressing(now).filter_map(|row| self.approval(&row, now));
        let untold = self.attention.raised.iter().filter_map(|((run, about), _)| match about {
            About::Untold(step) => self.untold(*run, step, now),
            _ => None,
        });
        let asked = asked.chain(untold);
        let questions = self.questions.pressing(now).filter_map(|row| self.question(&row, now));
        let firings = self.schedules.armed().filter_map(|(id, row)| not_started(id, row, now));
        let unread =
            self.attention.unread.iter().filter_map(|(source, unread)| not_read(source, unread, now));
        let items = raised.chain(held).chain(asked).chain(questions).chain(firings).chain(unread);
        let items = items.chain(self.held_since_restore());
        let mut items: Vec<Item> = items.map(|item| self.released_first(item)).collect();
        items.sort_by(|a, b| a.place.cmp(&b.place));
        items
    }

    /// A run that is set aside takes nobody's word until it is released.
    pub(super) fn released_first(&self, item: Item) -> Item {
        let words = [
            Need::Uncertain,
            Need::ApprovalOverdue,
            Need::QuestionOverdue,
            Need::Undelivered,
            Need::Yours,
            Need::Deciding,
            Need::Answering,
        ];
        let row = item.run.and_then(|run| self.runs.get(run));
        match row.filter(|row| row.status == RunStatus::Quarantined && words.contains(&item.need)) {
            Some(row) => item.next([format!("quell release {}", row.id)]),
            None => item,
        }
    }

    fn is_closed(&self, incident: Option<IncidentId>) -> bool {
        let row = incident.and_then(|incident| self.incidents.get(incident));
        row.is_some_and(|row| row.status == Status::Closed)
    }

    fn raised(&self, run: RunId, about: &About, raised: &Raised, now: Timestamp) -> Option<Item> {
        let incident = self.runs.get(run).map(|row| row.incident);
        if raised.past && (self.is_closed(incident) || raised.since.after(PAST_SHOWN) <= now) {
            return None;
        }
        let item = |need, what| Item::new(need, Some((run, self)), &format!("{about:?}"), raised.since, what);
        let what = &raised.what;
        // What may have happened is not done once more; it is known, and closed.
        let known = || -> Vec<String> {
            let close = incident.map(|incident| format!("quell incident {incident} --status closed"));
            [Some(format!("quell show {run}")), close].into_iter().flatten().collect()
        };
        Some(match about {
            // A matter of an approval, while that is open.
            About::Untold(_) => return None,
            About::Restored => {
                let commands = ["show", "release", "cancel"].map(|word| format!("quell {word} {run}"));
                item(Need::Restored, format!("the run is held: {what}")).next(commands)
            }
            About::Quarantined => item(Need::Quarantined, format!("the run is set aside: {what}"))
                .next([format!("quell release {run}"), format!("quell cancel {run}")]),
            About::Failed if raised.past => {
                // Closing the incident is no way out of what failed.
                item(Need::Failed, format!("the run failed: {what}"))
                    .next([format!("quell show {run}"), format!("quell rerun {run}")])
            }
            About::Failed => {
                item(Need::Failed, format!("the run is failing: {what}")).next([format!("quell show {run}")])
            }
            About::Expired(approval) => {
                let asked = self.approvals.get(*approval)?;
                let by = asked.by.join(", ");
                let what = format!("{what}; {by} were asked, and the run went on without their yes");
                let item = item(Need::Expired, what).at(&asked.step).named(approval, Some(asked.until));
                Item { commands: known(), ..item }
            }
            About::Uncertain(step) if raised.past => {
                let said = format!("it ended before anybody said whether it happened: {what}");
                Item { commands: known(), ..item(Need::Uncertain, said).at(step) }
            }
            About::Uncertain(step) => {
                let settle = |word| format!("quell settle {run} {} {word}", quoted(step));
                item(Need::Uncertain, format!("nobody can say whether it happened: {what}"))
                    .at(step)
                    .next([settle("happened"), settle("did-not")])
            }
        })
    }

    /// That the journal was read from a backup, for as long as runs are held for it.
    pub fn held_since_restore(&self) -> Option<Item> {
        let held = self.attention.raised.keys().filter(|(_, about)| *about == About::Restored).count();
        let restore = self.attention.last_restore().filter(|_| held > 0)?;
        let until = restore.fact.until.map(Timestamp::to_minute).unwrap_or_default();
        let (runs, are) = if held == 1 { ("run", "is") } else { ("runs", "are") };
        let what = format!(
            "the journal was read from a backup at {}, and what was done after {until} is not in it: {held} {runs} that may have gone on since {are} held until a person releases them",
            restore.at.to_minute()
        );
        let item = Item::new(Need::Restored, None, "restored", restore.at, what);
        Some(item.next(["quell attention".to_owned(), "quell release --all".to_owned()]))
    }

    fn containment(&self, row: &ContainmentRow, now: Timestamp) -> Option<Item> {
        let trouble = row.trouble(now)?;
        let id = row.id;
        let since = row.troubled_since(trouble, now);
        // What was done once cannot be lifted, so nothing but this ends it.
        if row.one_off && (self.is_closed(row.incident) || since.after(PAST_SHOWN) <= now) {
            return None;
        }
        let undo = format!("quell undo {id}");
        let show = format!("quell show {id}");
        let close = || row.incident.map(|incident| format!("quell incident {incident} --status closed"));
        let accept = if row.one_off { close() } else { Some(undo.clone()) };
        let failing = row.lift_failure.as_ref().map(|why| format!("; the last try: {why}"));
        let (need, what, commands) = match trouble {
            Trouble::Drifted => {
                let what = row.drifted.clone().unwrap_or_default();
                let what = format!("{what}. Contain again by a new run, or accept it");
                (Need::Drifted, what, [Some(show), accept])
            }
            Trouble::Unconfirmed if row.hold == Hold::MayHold => {
                let why = row.why.as_deref().unwrap_or("its outcome is not on record");
                let what = format!("it may hold: {why}. Look at the target yourself");
                (Need::Unconfirmed, what, [Some(show), None])
            }
            Trouble::Unconfirmed => {
                let what =
                    "it was accepted, and reading back did not show it: treat the target as NOT contained";
                (Need::Unconfirmed, what.to_owned(), [Some(show), accept])
            }
            Trouble::Stuck => {
                let what = format!(
                    "it could not be lifted: {}",
                    row.why.as_deref().unwrap_or("no reason is on record")
                );
                (Need::LiftStuck, what, [Some(undo), Some(show)])
            }
            Trouble::LiftOverdue => {
                let tries = match row.lift_tries {
                    0 => "it is not lifted".to_owned(),
                    1 => "one try to lift it did not take".to_owned(),
                    tries => format!("{tries} tries to lift it did not take"),
                };
                let what = format!("{tries}{}", failing.unwrap_or_default());
                (Need::LiftOverdue, what, [Some(show), None])
            }
            Trouble::Expiring => {
                let until = row.until.map(Timestamp::to_minute).unwrap_or_default();
                let what = format!("it lifts by itself at {until} unless somebody extends it");
                (Need::Expiring, what, [Some(format!("quell extend {id} --for 24h")), Some(undo)])
            }
        };
        let item = Item::new(need, Some((row.run, self)), &id.to_string(), since, what)
            .at(&row.step)
            .named(id, row.until);
        let commands = commands.into_iter().flatten().collect();
        Some(Item { target: Some(row.target.clone()), commands, ..item })
    }

    /// An open approval whose approvers could not be told, unless it presses for
    /// another reason.
    fn untold(&self, run: RunId, step: &StepKey, now: Timestamp) -> Option<Item> {
        let asked = self.approvals.of_run(run);
        let open = asked.iter().find(|row| row.step == *step && row.verdict.is_none())?;
        let presses = open.escalated || open.until <= now;
        if presses { None } else { self.approval(open, now) }
    }

    fn approval(&self, row: &ApprovalRow, now: Timestamp) -> Option<Item> {
        let id = row.id;
        let (by, needs) = (row.by.join(", "), &row.needs);
        let untold = || self.attention.raised.get(&(row.run, About::Untold(row.step.clone())));
        let (need, since, what) = if row.until <= now {
            let what = format!("its time is up and the run has not gone on; it waits for a yes: {needs}");
            (Need::ApprovalOverdue, row.until, what)
        } else if row.escalated {
            let until = row.until.to_minute();
            let what = format!("nobody decided in time; asked once more until {until}: {needs}");
            (Need::ApprovalOverdue, row.asked_at, what)
        } else {
            let raised = untold()?;
            let what = format!("{by} could not be told that they are asked: {}", raised.what);
            (Need::Undelivered, raised.since, what)
        };
        let item = Item::new(need, Some((row.run, self)), &id.to_string(), since, what);
        let next = [format!("quell approve {id}"), format!("quell reject {id}")];
        Some(item.at(&row.step).named(id, Some(row.until)).next(next))
    }

    fn question(&self, row: &QuestionRow, now: Timestamp) -> Option<Item> {
        let id = row.id;
        let asked = row.asked.join(", ");
        let (need, since, what) = if row.until <= now {
            let what = format!("its time is up and the run has not gone on; {asked} did not answer");
            (Need::QuestionOverdue, row.until, what)
        } else if !row.delivered {
            let what = format!("nobody can say whether the question reached {asked}; ask them another way");
            (Need::Undelivered, row.asked_at, what)
        } else {
            return None;
        };
        let item = Item::new(need, Some((row.run, self)), &id.to_string(), since, what);
        Some(item.at(&row.step).named(id, Some(row.until)).next([format!("quell show {id}")]))
    }
}

/// A step as a shell takes it: brackets would be a pattern.
fn quoted(step: &StepKey) -> String {
    if step.at.is_empty() { step.to_string() } else { format!("'{step}'") }
}

/// A source that sent what its rules do not know, until a week after the last.
fn not_read(source: &str, unread: &Unread, now: Timestamp) -> Option<Item> {
    if unread.last_at.after(PAST_SHOWN) <= now {
        return None;
    }
    let many = if unread.count == 1 { "1 payload" } else { &*format!("{} payloads", unread.count) };
    let what = format!(
        "{many} of the source `{source}` had a shape that its rules do not know; the last was kept as {}, “{}”",
        unread.last, unread.title
    );
    let item = Item::new(Need::Unread, None, source, unread.since, what).named(unread.last, None);
    Some(item.next([format!("quell show {}", unread.last)]))
}

/// A schedule whose last firing could not start a run.
fn not_started(id: ScheduleId, row: &ScheduleRow, now: Timestamp) -> Option<Item> {
    let last = row.last.as_ref()?;
    let Some(SkipReason::CannotStart(why)) = &last.skipped else { return None };
    if last.at.after(PAST_SHOWN) <= now {
        return None;
    }
    let what = format!("the firing of {} could not start a run: {why}", last.due.to_minute());
    let item = Item::new(Need::NotStarted, None, &id.to_string(), last.at, what).named(id, None);
    let commands = vec!["quell schedules".to_owned(), "quell check".to_owned()];
    Some(Item { playbook: Some(row.playbook.clone()), commands, ..item })
}
