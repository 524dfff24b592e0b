//! One dossier of several runs, as a report of their incident tells them.

use std::collections::BTreeMap;

use super::{Dossier, Item, LINES_MAX};
use crate::domain::id::StreamId;

impl Dossier {
    /// All that the journal says about several runs of one incident, each folded with
    /// its number, the first first; none of none.
    ///
    /// What is the incident's alone is taken from the latest run, whose sources hold all
    /// of it; how it ended is what a person said, else what was said last.
    pub fn of_several(runs: Vec<Dossier>) -> Option<Dossier> {
        let mut runs = runs.into_iter().rev();
        let mut all = runs.next()?;
        let mut lines = std::mem::take(&mut all.timeline);
        for earlier in runs {
            all.earlier.insert(0, earlier.run);
            let told = all.incident.disposition.as_ref().map(|noted| (noted.by.is_some(), noted.at));
            let says = earlier.incident.disposition.as_ref().map(|noted| (noted.by.is_some(), noted.at));
            if says > told {
                all.incident.disposition = earlier.incident.disposition;
            }
            if let Some(part) = earlier.alert {
                if all.alert.is_none() {
                    all.alert = Some(part);
                } else if all.alerts().all(|known| known.alert.id != part.alert.id) {
                    all.more_alerts.push(part);
                }
            }
            all.alert_erased = all.alert_erased.or(earlier.alert_erased);
            lines.extend(earlier.timeline);
            put_before(&mut all.steps, earlier.steps);
            put_before(&mut all.evidence, earlier.evidence);
            put_before(&mut all.questions, earlier.questions);
            put_before(&mut all.approvals, earlier.approvals);
            put_before(&mut all.containments, earlier.containments);
            put_before(&mut all.uncertain, earlier.uncertain);
            all.last = all.last.into_iter().chain(earlier.last).max_by_key(|moment| moment.at);
            all.entries += earlier.entries;
            all.left_out += earlier.left_out;
        }
        all.timeline = once_each(lines);
        all.cut_lists();
        Some(all)
    }

    /// Keeps [`LINES_MAX`] of the lists that are bounded in one run too, and counts what
    /// is left out.
    fn cut_lists(&mut self) {
        let cut = |len: usize| len.saturating_sub(LINES_MAX);
        self.left_out += cut(self.timeline.len()) + cut(self.steps.len()) + cut(self.evidence.len());
        self.timeline.truncate(LINES_MAX);
        self.steps.truncate(LINES_MAX);
        self.evidence.truncate(LINES_MAX);
    }
}

fn put_before<T>(list: &mut Vec<T>, mut earlier: Vec<T>) {
    earlier.append(list);
    *list = earlier;
}

/// The lines in the order of time, each entry told once: as the run tells it whose
/// alert it was, and not as that of another alert that joined.
fn once_each(mut lines: Vec<Item>) -> Vec<Item> {
    let entry = |line: &Item| (line.cite.stream, line.cite.seq);
    let mut told: BTreeMap<(StreamId, u64), u16> = BTreeMap::new();
    for line in &lines {
        let run = told.entry(entry(line)).or_insert(line.cite.run);
        if *run == 0 {
            *run = line.cite.run;
        }
    }
    lines.retain(|line| {
        let tells = told.get(&entry(line)) == Some(&line.cite.run);
        if tells {
            told.remove(&entry(line));
        }
        tells
    });
    lines.sort_by_key(|line| line.at);
    lines
}
