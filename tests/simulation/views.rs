//! Views say the same whether their rows are in memory or on disk, whenever
//! those were put there, and however often the process was gone in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use quell::domain::event::Entry;
use quell::domain::id::RunId;
use quell::domain::time::Timestamp;
use quell::domain::value::Digest;
use quell::projection::attention::Item;
use quell::projection::runs::{RunFilter, RunStatus};
use quell::projection::shelf::{Bytes, Change, Shelf, Upto};
use quell::projection::views::Views;

use crate::chance::Chance;
use crate::entries::others;
use crate::range::Range;

/// Stories of this many seeds are told at once.
const RUNS: u64 = 12;

type Kept = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

#[derive(Default)]
struct Memory {
    rows: Mutex<Kept>,
    upto: Mutex<u64>,
}

impl Shelf for Memory {
    fn get(&self, table: &'static str, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.lock().get(&(table, key.to_vec())).cloned()
    }

    fn newest(&self, table: &'static str, least: &[u8], below: Option<&[u8]>, limit: usize) -> Vec<Bytes> {
        let rows = self.rows.lock();
        let of = rows.iter().rev().filter(|((of, key), _)| {
            *of == table && **key >= *least && below.is_none_or(|below| **key < *below)
        });
        of.take(limit).map(|((_, key), row)| (key.clone(), row.clone())).collect()
    }

    fn keep(&self, changes: Vec<Change>, upto: Upto) -> Result<(), String> {
        let mut rows = self.rows.lock();
        for change in changes {
            match change.row {
                Some(row) => drop(rows.insert((change.table, change.key), row)),
                None => drop(rows.remove(&(change.table, change.key))),
            }
        }
        *self.upto.lock() = upto.position;
        Ok(())
    }

    fn doubt(&self, table: &'static str) {
        panic!("a row of {table} is not what was written");
    }

    fn fault(&self) -> Option<String> {
        None
    }
}

/// The journals of many runs, shuffled into one: entries of one run in their order.
fn story(chance: &mut Chance, first: u64) -> Vec<Entry> {
    let mut runs: Vec<Vec<Entry>> = (first..first + RUNS)
        .map(|seed| {
            let mut range = Range::new(seed, true);
            range.play().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
            range.journal().iter().rev().cloned().collect()
        })
        .collect();
    let mut told = Vec::new();
    while !runs.is_empty() {
        let nth = usize::try_from(chance.below(runs.len() as u64)).expect("it is small");
        told.extend(runs[nth].pop());
        runs.retain(|run| !run.is_empty());
    }
    told
}

/// Folds a story on a shelf that is written, or fails to be, at any moment, in a
/// process that is gone at any moment.
fn fold(story: &[Entry], chance: &mut Chance) -> Views {
    let memory = Arc::new(Memory::default());
    let shelf: Arc<dyn Shelf> = memory.clone();
    let mut views = Views::on(&shelf);
    let mut taken: Option<(Vec<Change>, u64)> = None;
    let mut at = 0;
    while at < story.len() {
        views.apply(&story[at]);
        at += 1;
        match (taken.take(), chance.below(40)) {
            (_, 0) => {
                views = Views::on(&shelf);
                at = usize::try_from(*memory.upto.lock()).expect("it is small");
            }
            (None, 1..=4) => taken = Some((views.take(), at as u64)),
            (Some(_), 5..=6) => views.put_back(),
            (Some((changes, position)), 7..=20) => {
                shelf.keep(changes, Upto { position, hash: Digest([0; 32]) }).expect("memory takes it");
                views.settle();
            }
            (other, _) => taken = other,
        }
    }
    views
}

/// What people are shown.
fn shown(views: &Views) -> (Vec<Item>, Vec<RunId>, Vec<RunId>, Vec<RunId>) {
    let ids = |filter: RunFilter| {
        let (mut ids, mut before): (Vec<RunId>, Option<RunId>) = (Vec::new(), None);
        loop {
            let page = views.runs.list(&filter, before, 5);
            ids.extend(page.items.iter().map(|row| row.id));
            match page.next {
                Some(next) => before = Some(next.parse().expect("a cursor is an id")),
                None => return ids,
            }
        }
    };
    let failed = RunFilter { status: Some(RunStatus::Failed), ..RunFilter::default() };
    let live = RunFilter { live: true, ..RunFilter::default() };
    let now = Timestamp::from_millis(2_000_000_000_000);
    (views.needs(now), ids(RunFilter::default()), ids(failed), ids(live))
}

#[test]
fn views_on_disk_say_what_views_in_memory_say() {
    for first in (0..60 * RUNS).step_by(RUNS as usize) {
        let mut chance = Chance::new(first);
        let story = story(&mut chance, first);
        let mut plain = Views::default();
        story.iter().for_each(|entry| plain.apply(entry));
        let kept = fold(&story, &mut chance);
        assert_eq!(shown(&kept), shown(&plain), "stories from {first}");
        assert!(kept == plain, "stories from {first}");
        // The test would prove nothing about pages if one held all.
        assert_eq!(plain.runs.len(), RUNS);
    }
}

#[test]
fn so_do_views_of_any_entries() {
    let entries = prop::collection::vec(others(), 0..60);
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let told = runner.run(&(entries, any::<u64>()), |(entries, seed)| {
        let mut plain = Views::default();
        entries.iter().for_each(|entry| plain.apply(entry));
        prop_assert!(fold(&entries, &mut Chance::new(seed)) == plain);
        Ok(())
    });
    told.expect("they say the same");
}
