//! Stores that earlier versions left still open, add up to the same, and verify.
//!
//! `format-1/` holds two stores as the version before `quell store` wrote them:
//! the lab's story played to its end (`done`), and one killed right after the
//! suspension (`killed`). Beside each: its entries and its views, as that
//! version told them. All of it is the lab's own invention.
//!
//! A new format gets a new directory beside this one, made by
//! `COMPAT_FROM=STORE COMPAT_TO=DIR cargo test --test compat -- --ignored`
//! with the version that is about to be left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quell::domain::alert::Alert;
use quell::domain::erasure::{Erasure, Rule};
use quell::domain::event::{Entry, Event};
use quell::domain::evolve::evolve;
use quell::domain::id::{RunId, StreamId};
use quell::domain::plan::Plan;
use quell::domain::run::RunState;
use quell::domain::value::digest;
use quell::projection::alerts::AlertFilter;
use quell::projection::approvals::ApprovalFilter;
use quell::projection::containments::ContainmentFilter;
use quell::projection::incidents::IncidentFilter;
use quell::projection::questions::QuestionFilter;
use quell::projection::runs::RunFilter;
use quell::projection::views::Views;
use quell::store::journal::Journal;
use quell::store::sled::journal::{Options, SledJournal};
use serde_json::{Value, json};

/// Files of a store that are kept; the others are made again.
const FILES: [&str; 3] = ["db", "head", "conf"];

/// More entries than any of the golden stores has.
const ALL: usize = 100_000;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/format-1").join(name)
}

fn unpacked(path: &Path) -> Vec<u8> {
    let packed = std::fs::read(path).expect("the golden file is there");
    lz4_flex::block::decompress_size_prepended(&packed).expect("it is whole")
}

/// The golden store in a directory of its own.
fn laid_out(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("there is room");
    for file in FILES {
        let bytes = unpacked(&golden(name).join(format!("{file}.lz4")));
        std::fs::write(dir.path().join(file), bytes).expect("it is written");
    }
    dir
}

fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn views_of(entries: &[Entry]) -> Value {
    let mut views = Views::default();
    entries.iter().for_each(|entry| views.apply(entry));
    json!({
        "alerts": views.alerts.list(&AlertFilter::default(), None, 100).items,
        "incidents": views.incidents.list(&IncidentFilter::default(), None, 100).items,
        "runs": views.runs.list(&RunFilter::default(), None, 100).items,
        "approvals": views.approvals.list(ApprovalFilter::default(), None, 100).items,
        "questions": views.questions.list(QuestionFilter::default(), None, 100).items,
        "containments": views.containments.list(&ContainmentFilter::default(), None, 100).items,
    })
}

/// What `then` said is still said. What is new beside it is no difference.
fn assert_says(at: &str, then: &Value, now: &Value) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for (key, value) in then {
                let at = format!("{at}.{key}");
                assert_says(&at, value, now.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(then), Value::Array(now)) => {
            assert_eq!(then.len(), now.len(), "{at}");
            then.iter().zip(now).enumerate().for_each(|(n, (then, now))| {
                assert_says(&format!("{at}[{n}]"), then, now);
            });
        }
        _ => assert_eq!(then, now, "{at}"),
    }
}

/// The state that the entries of a run add up to.
fn replayed(journal: &SledJournal, run: RunId) -> RunState {
    let entries = block_on(journal.read(StreamId::Run(run), 0)).expect("reads");
    let Event::RunStarted(started) = &entries[0].event else { panic!("a run begins with its start") };
    let content = |digest| block_on(journal.blob(digest)).expect("reads").expect("the content is kept");
    let plan: Plan = serde_json::from_slice(&content(started.plan)).expect("the plan reads");
    let alert: Option<Alert> =
        started.alert.map(|alert| serde_json::from_slice(&content(alert.digest)).expect("the alert reads"));
    let mut state = RunState::new(Arc::new(plan), alert.map(Arc::new));
    for entry in &entries {
        evolve(&mut state, entry).expect("the record adds up");
    }
    state
}

fn stays_as_it_was(name: &str) {
    let dir = laid_out(name);
    let journal = SledJournal::open(dir.path(), &Options::default()).expect("the old store opens");
    let verified = block_on(journal.verify()).expect("the old store verifies");
    let entries: Vec<Entry> =
        block_on(journal.scan(0, ALL)).expect("reads").into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(verified.entries, entries.len() as u64);

    let told = unpacked(&golden(name).join("entries.jsonl.lz4"));
    let told: Vec<Value> = told
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line is JSON"))
        .collect();
    assert_eq!(told.len(), entries.len());
    for (line, entry) in told.iter().zip(&entries) {
        let now = serde_json::to_value(entry).expect("an entry is JSON");
        assert_says("entry", &line["entry"], &now);
        let read: Entry = serde_json::from_value(line["entry"].clone()).expect("an old line reads");
        assert_eq!(read, *entry);
    }

    let views: Value =
        serde_json::from_slice(&unpacked(&golden(name).join("views.json.lz4"))).expect("the views are JSON");
    assert_says("views", &views, &views_of(&entries));

    let mut runs = BTreeMap::new();
    for entry in &entries {
        if let StreamId::Run(run) = entry.stream {
            runs.insert(run, entry.seq);
        }
    }
    assert!(!runs.is_empty());
    for (run, last) in runs {
        let state = replayed(&journal, run);
        assert_eq!(state.seq, last);
        assert_eq!(state.ended.is_some(), name == "done", "{name}: {run}");
    }
}

#[test]
fn a_finished_story_of_format_1_reads_as_it_was_written() {
    stays_as_it_was("done");
}

#[test]
fn a_story_of_format_1_that_was_cut_off_reads_as_it_was_written() {
    stays_as_it_was("killed");
}

fn entries_of(name: &str) -> Vec<Entry> {
    let dir = laid_out(name);
    let journal = SledJournal::open(dir.path(), &Options::default()).expect("the old store opens");
    block_on(journal.scan(0, ALL)).expect("reads").into_iter().map(|(_, entry)| entry).collect()
}

#[test]
fn a_story_that_retention_erased_is_forgotten_as_if_it_had_never_been() {
    let (erased, stays) = (entries_of("done"), entries_of("killed"));
    let streams: BTreeSet<StreamId> = erased.iter().map(|entry| entry.stream).collect();
    let incident = streams.iter().find(|stream| matches!(stream, StreamId::Incident(_)));
    let last = erased.last().expect("there are entries");
    let erasure = Erasure {
        rule: Rule::ClosedIncidents,
        kept_seconds: 86_400,
        streams: streams.iter().copied().collect(),
        records: Vec::new(),
        contents: Vec::new(),
        seal: digest(b""),
    };
    let fact = Entry {
        stream: *incident.expect("there is one"),
        seq: 99,
        at: last.at,
        event: Event::Erased(Box::new(erasure)),
    };
    let folded = |entries: &mut dyn Iterator<Item = &Entry>| {
        let mut views = Views::default();
        entries.for_each(|entry| views.apply(entry));
        views
    };
    // The one story between the halves of the other, then the fact; and after a restart.
    let (early, late) = stays.split_at(stays.len() / 2);
    let live = folded(&mut early.iter().chain(&erased).chain(late).chain([&fact]));
    let restarted = folded(&mut early.iter().chain(late).chain([&fact]));
    assert_eq!(live.alerts, restarted.alerts);
    assert_eq!(live.incidents, restarted.incidents);
    assert_eq!(live.runs, restarted.runs);
    assert_eq!(live.approvals, restarted.approvals);
    assert_eq!(live.questions, restarted.questions);
    assert_eq!(live.reports, restarted.reports);
    assert_eq!(live.schedules, restarted.schedules);
    assert_eq!(live.attention, restarted.attention);
    assert_eq!(live.orders, restarted.orders);
    // Places in an order have gaps where something was; the order is the same.
    let contained = |views: &Views| {
        let mut rows = views.containments.list(&ContainmentFilter::default(), None, 100).items;
        rows.sort_unstable_by_key(|row| row.nth);
        for row in &mut rows {
            (row.nth, row.first_intent, row.last_intent) = (0, 0, 0);
        }
        let since = views.containments.targets_since(quell::domain::time::Timestamp::EPOCH, u64::MAX);
        (rows, since)
    };
    assert_eq!(contained(&live), contained(&restarted));
    assert_eq!(live.runs.len(), 1);
}

#[test]
#[ignore = "makes golden files from the store in COMPAT_FROM"]
fn make_golden_files() {
    let (Some(from), Some(to)) = (std::env::var_os("COMPAT_FROM"), std::env::var_os("COMPAT_TO")) else {
        panic!("name the store in COMPAT_FROM and the directory in COMPAT_TO");
    };
    let to = Path::new(&to);
    std::fs::create_dir_all(to).expect("it is made");
    let keep = |name: &str, bytes: &[u8]| {
        let packed = lz4_flex::block::compress_prepend_size(bytes);
        std::fs::write(to.join(format!("{name}.lz4")), packed).expect("it is written");
    };
    for file in FILES {
        keep(file, &std::fs::read(Path::new(&from).join(file)).expect("the store is there"));
    }
    let journal = SledJournal::open(Path::new(&from), &Options::default()).expect("opens");
    let numbered = block_on(journal.scan(0, ALL)).expect("reads");
    let lines: Vec<String> = numbered
        .iter()
        .map(|(position, entry)| format!("{}\n", json!({ "position": position, "entry": entry })))
        .collect();
    keep("entries.jsonl", lines.concat().as_bytes());
    let entries: Vec<Entry> = numbered.into_iter().map(|(_, entry)| entry).collect();
    keep("views.json", views_of(&entries).to_string().as_bytes());
}
