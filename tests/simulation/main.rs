//! Deterministic simulation of the core: a seed makes a playbook, a world with
//! faults, people, crashes and clock jumps; time is virtual. The same seed
//! gives the same trace. On a broken promise the seed is printed.
//!
//! `QUELL_SEEDS=20000` runs more; `QUELL_SEED=17` runs one and prints its trace.

mod approvals;
mod caps;
mod chance;
mod clocks;
mod deeds;
mod entries;
mod failures;
mod found;
mod life;
mod lifting;
mod loops;
#[cfg(feature = "planted-bugs")]
mod planted;
mod playbooks;
mod process;
mod promises;
mod properties;
mod quarantine;
mod range;
mod refusals;
mod sketches;
mod views;

use std::collections::BTreeSet;

use quell::domain::value::digest;

use crate::range::Range;

/// Seeds of an ordinary run.
const SEEDS: u64 = 3000;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("QUELL_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("QUELL_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[test]
fn whatever_fails_and_whenever_it_stops_the_promises_hold() {
    let (mut crashes, mut uncertain, mut contained, mut lifted, mut failures) = (0, 0, 0, 0, 0);
    let (mut jumps, mut fired) = (0, 0);
    let (mut called, mut released, mut drifted, mut reminded, mut disputed) = (0, 0, 0, 0, 0);
    let mut reconciled = 0;
    let (mut stops, mut called_off) = (0, 0);
    for seed in seeds() {
        let mut range = Range::new(seed, true);
        if let Err(broken) = range.play() {
            panic!("seed {seed}: {broken}\n{}", range.trace());
        }
        if std::env::var_os("QUELL_SEED").is_some() {
            println!("{}", range.trace());
        }
        crashes += range.crashes;
        uncertain += range.uncertain;
        contained += range.contained;
        lifted += range.lifted;
        failures += range.failures;
        called += range.called;
        released += range.released;
        drifted += range.drifted;
        reminded += range.reminded;
        jumps += range.jumps;
        fired += range.timers.fired;
        disputed += range.disputed;
        reconciled += range.reconciled;
        stops += range.stops;
        called_off += range.called_off;
    }
    println!(
        "crashes {crashes}, uncertain {uncertain}, contained {contained}, lifted {lifted}, failures {failures}"
    );
    println!("clocks set {jumps} times, timers fired {fired}, stops {stops}, called off {called_off}");
    println!(
        "called {called}, released {released}, drifted {drifted}, reminded {reminded}, disputed {disputed}, reconciled {reconciled}"
    );
    if seeds().len() > 1000 {
        // The test would prove nothing if these never happened.
        assert!(crashes > 1000 && uncertain > 10 && contained > 100 && lifted > 100 && failures > 500);
        assert!(called > 100 && released > 0 && reminded > 100 && disputed > 20 && reconciled > 20);
        assert!(jumps > 1000 && fired > 1000);
        assert!(stops > 1000 && called_off > 100);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut traces = BTreeSet::new();
    for seed in 0..100 {
        let trace = |seed| {
            let mut range = Range::new(seed, true);
            let _ = range.play();
            digest(range.trace().as_bytes())
        };
        let first = trace(seed);
        assert_eq!(first, trace(seed), "seed {seed}");
        traces.insert(first);
    }
    assert_eq!(traces.len(), 100, "another seed gives another trace");
}

/// Seeds of whole processes: each is some hundred appends and up to six deaths.
const PROCESSES: u64 = 60;

#[test]
fn a_process_that_dies_around_any_append_carries_out_each_attempt_once_and_ends_every_run() {
    let seeds = seeds().into_iter().take_while(|seed| *seed < PROCESSES || long());
    let (mut deaths, mut lost, mut carried_out) = (0, 0, 0);
    for seed in seeds {
        let shown = process::play(seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        if seed < 10 {
            let again = process::play(seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
            assert_eq!(shown, again, "seed {seed}: the same seed gives the same trace");
        }
        deaths += shown.deaths;
        lost += shown.lost;
        carried_out += shown.carried_out;
    }
    println!("deaths {deaths}, lost {lost}, carried out {carried_out}");
    if carried_out > 1000 {
        assert!(deaths > 100 && lost > 20, "the test would prove nothing without them");
    }
}

fn long() -> bool {
    std::env::var_os("QUELL_LONG").is_some()
}

/// Seeds of runs whose journal is read from a backup.
const RESTORES: u64 = 600;

#[test]
fn after_a_backup_is_read_back_what_can_be_asked_for_happens_once() {
    let mut found = 0;
    for seed in seeds().into_iter().take_while(|seed| *seed < RESTORES || long()) {
        let mut range = Range::new(seed, true);
        if let Err(broken) = range.play_and_restore() {
            panic!("seed {seed}: {broken}\n{}", range.trace());
        }
        found += range.asked_first;
    }
    println!("found by their mark {found}");
    assert!(found > 20 || seeds().len() < 1000, "the test would prove nothing without them: {found}");
}

#[test]
fn crashing_at_every_journal_point_of_a_run_changes_nothing_in_the_world() {
    for seed in 0..40 {
        let mut calm = Range::new(seed, false);
        calm.play().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        for point in 1..=calm.appends {
            let mut range = Range::new(seed, false);
            range.crash_at = Some(point);
            if let Err(broken) = range.play() {
                panic!("seed {seed}, stopped after append {point}: {broken}\n{}", range.trace());
            }
            assert_eq!(range.crashes, 1, "seed {seed}: append {point} was reached");
        }
    }
}
