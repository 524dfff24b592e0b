//! What must hold once a world has come to its end, whatever was killed when:
//! the journal, the peers' own books and what was acknowledged fit together.

use std::collections::{BTreeMap, BTreeSet};

use quell::domain::approval::Verdict;
use quell::domain::command::Phase;
use quell::domain::event::{Entry, Event};
use quell::domain::id::StreamId;
use quell::domain::run::StepEnd;

use crate::world::{World, named};

/// The record of one run.
#[derive(Default)]
struct Record<'a> {
    entries: Vec<&'a Entry>,
    incident: String,
    ended: bool,
}

/// Effects that are never repeated blindly, by the names of the steps.
fn is_once(step: &str) -> bool {
    step.starts_with("tell") || is_asked_for(step) || matches!(step, "notice" | "brief")
}

/// Effects that their peer can be asked for by their mark.
fn is_asked_for(step: &str) -> bool {
    step.starts_with("open") || step.starts_with("order")
}

fn is_keyed(step: &str) -> bool {
    step.starts_with("pay")
}

/// Every promise, over the whole journal.
pub fn hold(world: &World, entries: &[Entry]) -> Result<(), String> {
    let mut runs: BTreeMap<String, Record<'_>> = BTreeMap::new();
    for entry in entries {
        if let StreamId::Run(run) = entry.stream {
            let record = runs.entry(run.to_string()).or_default();
            if let Event::RunStarted(started) = &entry.event {
                record.incident = started.incident.to_string();
            }
            record.ended |= matches!(entry.event, Event::RunEnded { .. });
            record.entries.push(entry);
        }
    }
    nothing_is_lost(world, &runs)?;
    for (run, record) in &runs {
        let within = |why: String| format!("{run}: {why}\n{}", told(record));
        attempts_end_once(record).map_err(within)?;
        effects_are_as_recorded(world, run, record).map_err(within)?;
        only_what_was_lost_is_uncertain(record).map_err(within)?;
        nothing_acts_without_its_yes(record).map_err(within)?;
        held_and_lifted(world, record).map_err(within)?;
    }
    books_hold_nothing_else(world, &runs)?;
    acknowledged_is_on_record(world, entries)?;
    mails_have_one_id(world)
}

fn told(record: &Record<'_>) -> String {
    let lines = record.entries.iter().map(|entry| format!("{:>4} {} {:?}", entry.seq, entry.at, entry.event));
    lines.map(|line| line.chars().take(240).collect::<String>()).collect::<Vec<_>>().join("\n")
}

/// Each run that was wanted is there once and has ended; there is no other but
/// those that a run called.
fn nothing_is_lost(world: &World, runs: &BTreeMap<String, Record<'_>>) -> Result<(), String> {
    let wanted: BTreeSet<&str> = world.wanted.iter().filter_map(|wanted| wanted.run.as_deref()).collect();
    for run in &wanted {
        if !runs.get(*run).is_some_and(|record| record.ended) {
            return Err(format!("{run} was acknowledged, and has no end on record"));
        }
    }
    let mut called = 0;
    for (run, record) in runs {
        let starts = record.entries.iter().filter_map(|entry| match &entry.event {
            Event::RunStarted(started) => Some(started.parent.is_some()),
            _ => None,
        });
        let starts: Vec<bool> = starts.collect();
        match starts.as_slice() {
            [true] => called += 1,
            [false] if wanted.contains(run.as_str()) => {}
            _ => return Err(format!("{run} was wanted by nobody, or started several times: {starts:?}")),
        }
        if !record.ended {
            return Err(format!("{run} has no end on record"));
        }
    }
    let everything = world.wanted.iter().filter(|wanted| wanted.playbook == "everything").count();
    if called != everything {
        return Err(format!("{called} runs were called by {everything}"));
    }
    Ok(())
}

/// Every intent has one outcome, or was lost, before it is there again (a new
/// look after another act counts from one).
fn attempts_end_once(record: &Record<'_>) -> Result<(), String> {
    let mut open = BTreeSet::new();
    for entry in &record.entries {
        match &entry.event {
            Event::AttemptStarted { key, phase, attempt, .. } => {
                let is_new = open.insert((key.to_string(), *phase, *attempt));
                if !is_new {
                    return Err(format!("{key} {phase} {attempt} begins anew while it is under way"));
                }
            }
            Event::AttemptEnded { key, phase, attempt, .. }
            | Event::AttemptLost { key, phase, attempt, .. } => {
                let was_open = open.remove(&(key.to_string(), *phase, *attempt));
                if !was_open {
                    return Err(format!("{key} {phase} {attempt} ends without an intent"));
                }
            }
            _ => {}
        }
    }
    match open.iter().find(|(_, phase, _)| !phase.tells() && !phase.watches()) {
        Some(intent) => Err(format!("the intent {intent:?} has neither an outcome nor was it lost")),
        None => Ok(()),
    }
}

/// Done: once. Failed, skipped: never. Uncertain: once or never.
fn effects_are_as_recorded(world: &World, run: &str, record: &Record<'_>) -> Result<(), String> {
    for entry in &record.entries {
        let Event::StepEnded { key, end, .. } = &entry.event else { continue };
        let step = key.to_string();
        let loops = record
            .entries
            .iter()
            .any(|entry| matches!(&entry.event, Event::StepExpanded { key: known, .. } if known == key));
        if loops {
            continue;
        }
        let happened = world.effects(run, &record.incident, &step);
        if is_once(&step) || is_keyed(&step) {
            let fits = match end {
                StepEnd::Succeeded => happened == 1,
                // Who can ask need not wait for a person, unless there is nothing to find.
                StepEnd::Uncertain if is_asked_for(&step) => happened == 0,
                StepEnd::Uncertain => is_once(&step) && happened <= 1,
                _ => happened == 0,
            };
            if !fits {
                return Err(format!("`{step}` is {end:?} on record, and happened {happened} times"));
            }
        } else if step.starts_with("read") && *end == StepEnd::Succeeded {
            let what = (run.to_owned(), named(&step).replace("read_large", "large"));
            if world.place.peer.books.lock().read.get(&what).copied().unwrap_or(0) == 0 {
                return Err(format!("`{step}` was read on record, and nobody asked for it"));
            }
        }
    }
    Ok(())
}

/// Uncertain is what may not be repeated, and was under way when the process
/// was gone: its last intent was lost.
fn only_what_was_lost_is_uncertain(record: &Record<'_>) -> Result<(), String> {
    let mut lost: BTreeMap<String, bool> = BTreeMap::new();
    for entry in &record.entries {
        match &entry.event {
            Event::AttemptStarted { key, phase: Phase::Act, .. }
            | Event::AttemptEnded { key, phase: Phase::Act, .. } => {
                lost.insert(key.to_string(), false);
            }
            Event::AttemptLost { key, phase: Phase::Act, .. } => {
                lost.insert(key.to_string(), true);
            }
            Event::StepUncertain { key, .. } => {
                let step = key.to_string();
                if step.starts_with("order") {
                    return Err(format!("`{step}` is uncertain, and a no there is trusted"));
                }
                if !is_once(&step) || lost.get(&step) != Some(&true) {
                    return Err(format!("`{step}` is uncertain, and was not lost under way"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What needs a yes acts after it.
fn nothing_acts_without_its_yes(record: &Record<'_>) -> Result<(), String> {
    let mut approved = false;
    for entry in &record.entries {
        match &entry.event {
            Event::ApprovalClosed { verdict, .. } => approved = *verdict == Verdict::Approved,
            Event::AttemptStarted { key, phase: Phase::Act, .. } if &*key.id == "suspend" && !approved => {
                return Err("`suspend` acts without a yes".to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

/// What was contained was verified, is lifted on record, and is lifted in truth.
fn held_and_lifted(world: &World, record: &Record<'_>) -> Result<(), String> {
    let (mut held, mut lifted) = (BTreeMap::new(), BTreeMap::new());
    for entry in &record.entries {
        match &entry.event {
            Event::ContainmentAccepted { containment, target, .. } => {
                let before = held.insert(*containment, target.clone());
                if before.is_some() {
                    return Err(format!("{target} was contained twice by one step"));
                }
            }
            Event::ContainmentLifted { containment, .. } => *lifted.entry(*containment).or_insert(0) += 1,
            Event::StepEnded { key, end, .. }
                if matches!(&*key.id, "suspend" | "boxed" | "held")
                    && !matches!(end, StepEnd::Succeeded | StepEnd::Undone) =>
            {
                return Err(format!("`{key}` ended as {end:?}"));
            }
            _ => {}
        }
    }
    for (id, target) in &held {
        if lifted.get(id) != Some(&1) {
            return Err(format!("{target} was lifted {:?} times on record", lifted.get(id)));
        }
        let books = world.place.peer.books.lock();
        if books.suspended.get(target) != Some(&false) {
            return Err(format!(
                "{target} is lifted on record, and at the peer {:?}",
                books.suspended.get(target)
            ));
        }
    }
    Ok(())
}

/// Nothing happened at a peer that no run wanted; a key stays the same.
fn books_hold_nothing_else(world: &World, runs: &BTreeMap<String, Record<'_>>) -> Result<(), String> {
    let books = world.place.peer.books.lock();
    let intents: BTreeSet<(String, String)> = runs
        .iter()
        .flat_map(|(run, record)| {
            record.entries.iter().filter_map(move |entry| match &entry.event {
                Event::AttemptStarted { key, phase: Phase::Act, .. } => {
                    Some((run.clone(), named(&key.to_string())))
                }
                _ => None,
            })
        })
        .collect();
    for what in books.once.keys().chain(books.keyed.keys()) {
        if !intents.contains(what) {
            return Err(format!("{what:?} happened without a durable intent"));
        }
    }
    let mut marked = BTreeSet::new();
    if let Some(again) = books.marked.values().find(|marked_as| !marked.insert(&marked_as.what)) {
        return Err(format!("{:?} came under two marks", again.what));
    }
    let held: BTreeSet<&str> = runs
        .values()
        .flat_map(|record| &record.entries)
        .filter_map(|entry| match &entry.event {
            Event::ContainmentAccepted { target, .. } => Some(target.as_str()),
            _ => None,
        })
        .collect();
    match books.suspended.keys().find(|name| !held.contains(name.as_str())) {
        Some(name) => Err(format!("{name} was touched, and no run says so")),
        None => Ok(()),
    }
}

/// A yes, an answer, a word on what happened: acknowledged is on record, once.
fn acknowledged_is_on_record(world: &World, entries: &[Entry]) -> Result<(), String> {
    let (mut given, mut answered) = (BTreeMap::new(), BTreeMap::new());
    let mut settled = BTreeSet::new();
    for entry in entries {
        match &entry.event {
            Event::ApprovalGiven { approval, .. } => *given.entry(approval.to_string()).or_insert(0) += 1,
            Event::QuestionAnswered { question, .. } => {
                *answered.entry(question.to_string()).or_insert(0) += 1;
            }
            Event::StepSettled { key, happened, .. } => {
                settled.insert((entry.stream.to_string(), key.to_string(), *happened));
            }
            _ => {}
        }
    }
    let known = &world.acknowledged;
    for (what, ids, found) in [("a yes", &known.approvals, &given), ("an answer", &known.answers, &answered)]
    {
        if let Some(id) = ids.iter().find(|id| !found.contains_key(*id)) {
            return Err(format!("{what} to {id} was acknowledged, and is not on record"));
        }
        if let Some((id, times)) = found.iter().find(|(_, times)| **times != 1) {
            return Err(format!("{what} to {id} is on record {times} times"));
        }
    }
    match known.settled.iter().find(|one| !settled.contains(*one)) {
        Some(one) => Err(format!("{one:?} was acknowledged, and is not on record")),
        None => Ok(()),
    }
}

/// Who is asked for a yes or an answer may get the mail again after a kill in
/// the middle of it; then it is the same mail.
fn mails_have_one_id(world: &World) -> Result<(), String> {
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mail in world.place.post.about("Approval needed") {
        ids.entry(mail.subject).or_default().insert(mail.id);
    }
    match ids.iter().find(|(_, ids)| ids.len() != 1) {
        Some((subject, ids)) => Err(format!("`{subject}` went out as {} different mails", ids.len())),
        None => Ok(()),
    }
}
