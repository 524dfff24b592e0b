//! What retention erases is gone and stays gone, and the chain holds over it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use quell::domain::erasure::{Erasure, Rule};
use quell::domain::event::{Entry, Event};
use quell::domain::id::{RunId, ScheduleId, StreamId};
use quell::domain::value::{Digest, digest};
use quell::store::error::StoreError;
use quell::store::export::{Exporter, Form, export};
use quell::store::journal::{Append, Batch, Erase, Head, Journal};
use quell::store::sled::compact::{compact, compact_at_start};
use quell::store::sled::journal::SledJournal;
use quell::store::sled::restore::{check, restore};
use serde_json::{Value, json};

use crate::common::{AT, alert, append, batch, blob, block_on, incident, one, open, run, whys};
use crate::disk::{meddle, record_key};

/// Somebody's name: in entries, in a content, in a large content, in a large record.
const WHO: &str = "dana.whitfield@example.org";

fn content(n: u128) -> Vec<u8> {
    format!("{{\"alert\":{n},\"user\":\"{WHO}\"}}").into_bytes()
}

/// Too large for sled, so it becomes a file.
fn large_content(n: u128) -> Vec<u8> {
    content(n).repeat(3000)
}

/// Text that does not compress, with the name in it, too large for sled.
fn large_text(n: u128) -> String {
    let noise = (0u64..4000).map(|k| digest(format!("{n}/{k}").as_bytes()).to_string());
    format!("{WHO} {}", noise.collect::<String>())
}

fn received(name: Digest) -> Event {
    Event::AlertReceived {
        source: "siem".to_owned(),
        source_id: None,
        title: format!("{WHO} copied a file"),
        severity: 50,
        digest: name,
        rule: None,
        subject: None,
        by: None,
        counts: None,
        shape_unknown: false,
    }
}

/// An alert, its incident and its run: six records, a key, two contents.
async fn story(journal: &dyn Journal, n: u128) {
    let first = Batch {
        appends: vec![
            Append { stream: alert(n), after: 0, at: AT, events: vec![received(digest(&content(n)))] },
            append(incident(n), 0, &[WHO]),
            append(run(n), 0, &[WHO, "a"]),
        ],
        blobs: vec![blob(content(n)), blob(large_content(n))],
        keys: vec![format!("delivery-{n}")],
        ..Batch::default()
    };
    journal.append(first).await.expect("new");
    for seq in 2..5 {
        journal.append(one(run(n), seq, WHO)).await.expect("goes on");
    }
    journal.append(one(run(n), 5, &large_text(n))).await.expect("goes on");
    journal.append(one(incident(n), 1, "closed")).await.expect("goes on");
}

fn all_of(n: u128, journal: &dyn Journal) -> Erase {
    Erase {
        of: incident(n),
        at: AT,
        rule: Rule::ClosedIncidents,
        kept_seconds: 400 * 86_400,
        streams: vec![alert(n), incident(n), run(n)],
        contents: vec![digest(&content(n)), digest(&large_content(n))],
        seen: journal.head().position,
    }
}

fn content_of(n: u128, journal: &dyn Journal) -> Erase {
    Erase {
        of: alert(n),
        rule: Rule::RawAlerts,
        kept_seconds: 90 * 86_400,
        streams: Vec::new(),
        ..all_of(n, journal)
    }
}

fn erasure(entry: &Entry) -> &Erasure {
    match &entry.event {
        Event::Erased(erasure) => erasure,
        other => panic!("{other:?} is no such fact"),
    }
}

async fn exported(journal: Arc<dyn Journal>) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::new();
    let head = journal.head();
    export(Exporter::new(journal, head, Form::Readable), &mut out).await?;
    Ok(out)
}

pub async fn an_erased_incident_is_gone_and_the_others_stay(journal: Arc<dyn Journal>) {
    story(&*journal, 1).await;
    story(&*journal, 2).await;
    let before = journal.head();
    let receipt = journal.erase(all_of(1, &*journal)).await.expect("is erased");
    assert_eq!(receipt.position, before.position + 1);
    assert_eq!(erasure(&receipt.entries[0]).records, [(1, 6)]);

    assert_eq!(journal.read(run(1), 0).await, Ok(Vec::new()));
    assert_eq!(journal.read(alert(1), 0).await, Ok(Vec::new()));
    let left = journal.read(incident(1), 0).await.expect("reads");
    assert_eq!((left.len(), left[0].seq), (1, 3), "the fact alone");
    for bytes in [content(1), large_content(1)] {
        assert_eq!(journal.blob(digest(&bytes)).await, Ok(None));
    }
    // The delivery is known still, so it starts nothing again.
    assert_eq!(journal.key("delivery-1").await, Ok(Some(alert(1))));
    // The numbers go on where they were: nobody takes it for a new one.
    let stale = journal.append(one(run(1), 0, "anew")).await;
    assert_eq!(stale, Err(StoreError::Conflict { stream: run(1), expected: 0, found: 6 }));

    assert_eq!(journal.read(run(2), 0).await.expect("reads").len(), 6);
    assert_eq!(journal.blob(digest(&content(2))).await, Ok(Some(content(2).into())));
    let all = journal.scan(0, usize::MAX).await.expect("reads");
    assert!(all.iter().all(|(position, _)| *position > 6), "{all:?}");
    assert_eq!(all.last().map(|(position, _)| *position), Some(13));
    // In small steps the same, over the gap too.
    let mut steps = Vec::new();
    while let step = journal.scan(steps.last().map_or(0, |(at, _)| *at), 1).await.expect("reads")
        && !step.is_empty()
    {
        steps.extend(step);
    }
    assert_eq!(steps, all);
    journal.append(one(run(2), 6, "goes on")).await.expect("as before");
    assert_eq!(whys(&journal.read(run(2), 6).await.expect("reads")), [(7, "goes on")]);
}

pub async fn what_is_erased_goes_through_an_export_as_erased(journal: Arc<dyn Journal>) {
    story(&*journal, 1).await;
    story(&*journal, 2).await;
    journal.erase(content_of(2, &*journal)).await.expect("is erased");
    journal.erase(all_of(1, &*journal)).await.expect("is erased");
    let lines = exported(journal.clone()).await.expect("is written");
    let dir = tempfile::tempdir().expect("a directory");
    let verified = restore(&dir.path().join("store"), &mut &lines[..]).expect("is imported");
    assert_eq!((verified.records, verified.erased, verified.head), (14, 6, journal.head()));
    let again = open(&dir.path().join("store")).expect("opens");
    assert_eq!(again.scan(0, 9999).await, journal.scan(0, 9999).await);
    assert_eq!(again.key("delivery-1").await, Ok(Some(alert(1))));
    let stale = again.append(one(run(1), 0, "anew")).await;
    assert!(matches!(stale, Err(StoreError::Conflict { found: 6, .. })), "{stale:?}");
    assert_eq!(again.verify().await.map(|verified| verified.erased), Ok(6));

    // A file that was made without the fact, and fits in itself, is refused.
    let refused = check(dir.path(), &mut &without_the_last_record(&lines)[..]);
    let why = refused.expect_err("nothing accounts for the tombstones").to_string();
    assert!(why.contains("record 1 was erased, and nothing in the journal says so"), "{why}");
}

/// The same export without its last record, with counts and head that fit.
fn without_the_last_record(lines: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(lines).expect("is text");
    let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let last = values.iter().rposition(|line| line.get("record").is_some()).expect("there are records");
    let record = values[last]["record"]["base64"].as_str().expect("is text");
    let record = BASE64.decode(record).expect("is base64");
    let mut out = Vec::new();
    for (nth, mut line) in values.into_iter().enumerate() {
        if nth == last {
            continue;
        }
        if let Some(export) = line.get_mut("export") {
            export["head"]["position"] = json!(export["head"]["position"].as_u64().expect("a number") - 1);
            export["head"]["hash"] = json!(hex::encode(&record[9..41]));
        }
        if let Some(end) = line.get_mut("end") {
            end["records"] = json!(end["records"].as_u64().expect("a number") - 1);
            end["sha256"] = json!(digest(&out).to_string());
        }
        out.extend(format!("{line}\n").bytes());
    }
    out
}

pub async fn a_copy_begun_before_something_was_erased_says_that_it_is_not_whole(journal: Arc<dyn Journal>) {
    story(&*journal, 1).await;
    let mut exporter = Exporter::new(journal.clone(), journal.head(), Form::Compact);
    exporter.next().await.expect("begins");
    journal.erase(all_of(1, &*journal)).await.expect("is erased");
    let failed = loop {
        match exporter.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it passes for whole"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(failed.contains("take it again"), "{failed}");
}

pub async fn a_stream_that_moved_on_is_not_erased(journal: Arc<dyn Journal>) {
    story(&*journal, 1).await;
    let order = all_of(1, &*journal);
    journal.append(one(run(1), 6, "lives")).await.expect("goes on");
    let refused = journal.erase(order).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(journal.read(run(1), 0).await.expect("reads").len(), 7);
}

pub async fn a_record_that_two_incidents_share_goes_with_the_second(journal: Arc<dyn Journal>) {
    let shared = batch(vec![append(incident(1), 0, &["a"]), append(incident(2), 0, &["b"])]);
    journal.append(shared).await.expect("new");
    journal.append(one(incident(1), 1, "closed")).await.expect("goes on");
    let order = |n: u128, seen| Erase {
        streams: vec![incident(n)],
        contents: Vec::new(),
        seen,
        ..all_of(n, &*journal)
    };
    let first = journal.erase(order(1, 2)).await.expect("is erased");
    assert_eq!(erasure(&first.entries[0]).records, [(2, 2)]);
    assert_eq!(whys(&journal.read(incident(2), 0).await.expect("reads")), [(1, "b")]);
    let second = journal.erase(order(2, 3)).await.expect("is erased");
    assert_eq!(erasure(&second.entries[0]).records, [(1, 1)], "the fact of the first stays");
    let left = journal.scan(0, 99).await.expect("reads");
    assert_eq!(left.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 4]);
    exported(journal.clone()).await.expect("is whole");
}

pub async fn the_firing_of_a_schedule_outlives_the_run_that_it_started(journal: Arc<dyn Journal>) {
    let schedule = StreamId::Schedule(ScheduleId::new(ulid::Ulid::from_parts(0, 1)));
    let StreamId::Run(id) = run(1) else { unreachable!("it is a run") };
    let fired = Event::ScheduleFired { due: AT, run: RunId::new(id.ulid()) };
    let both = batch(vec![
        Append { stream: schedule, after: 0, at: AT, events: vec![fired] },
        append(incident(1), 0, &["opened"]),
        append(run(1), 0, &[WHO]),
    ]);
    journal.append(both).await.expect("new");
    let order = Erase { streams: vec![incident(1), run(1)], contents: Vec::new(), ..all_of(1, &*journal) };
    journal.erase(order).await.expect("is erased");
    assert_eq!(journal.read(schedule, 0).await.expect("reads").len(), 1);
    assert_eq!(journal.read(run(1), 0).await, Ok(Vec::new()));
    let lines = exported(journal.clone()).await.expect("is whole");
    let dir = tempfile::tempdir().expect("a directory");
    let verified = check(dir.path(), &mut &lines[..]).expect("holds");
    assert_eq!((verified.erased, verified.entries), (1, 2));
}

pub async fn nobody_but_erasing_says_that_something_was_erased(journal: Arc<dyn Journal>) {
    story(&*journal, 1).await;
    let receipt = journal.erase(content_of(1, &*journal)).await.expect("is erased");
    let fact = receipt.entries[0].event.clone();
    let forged = Append { stream: alert(1), after: 2, at: AT, events: vec![fact] };
    let refused = journal.append(batch(vec![forged])).await;
    assert!(matches!(refused, Err(StoreError::Malformed { .. })), "{refused:?}");
}

fn filled(dir: &Path) -> SledJournal {
    let journal = open(dir).expect("opens");
    block_on(async {
        story(&journal, 1).await;
        story(&journal, 2).await;
    });
    journal
}

fn version(dir: &Path) -> Vec<u8> {
    let mut found = Vec::new();
    meddle(dir, |db| found = db.get("f").expect("reads").expect("is there").to_vec());
    found
}

fn damage(dir: &Path) -> String {
    let journal = open(dir).expect("opens");
    match block_on(journal.verify()) {
        Err(error @ StoreError::Damaged { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_is_of_the_new_format_from_the_first_erasing_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = filled(dir.path());
    drop(journal);
    assert_eq!(version(dir.path()), 1u32.to_be_bytes(), "a program without tombstones can still read it");
    let journal = open(dir.path()).expect("opens");
    block_on(journal.erase(content_of(1, &journal))).expect("is erased");
    drop(journal);
    assert_eq!(version(dir.path()), 2u32.to_be_bytes());
    let journal = open(dir.path()).expect("opens");
    block_on(journal.verify()).expect("holds");
    drop(journal);
    meddle(dir.path(), |db| drop(db.insert("f", &3u32.to_be_bytes())));
    let refused = open(dir.path()).map(|_| ()).expect_err("is newer").to_string();
    assert!(refused.contains("version 3, this program reads up to 2"), "{refused}");
}

#[test]
fn a_crash_right_after_the_fact_is_made_good_when_the_store_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(filled(dir.path()));
    // Everything as it was before anything was removed.
    let mut before = Vec::new();
    meddle(dir.path(), |db| {
        let kept = (1..=6).map(record_key).chain([blob_key(&content(1))]);
        before = kept.map(|key| (key.clone(), db.get(&key).expect("reads").expect("is there"))).collect();
    });
    let files = files_of(dir.path());
    let kept: Vec<_> = files.iter().map(|path| (path, std::fs::read(path).expect("reads"))).collect();
    let journal = open(dir.path()).expect("opens");
    block_on(journal.erase(all_of(1, &journal))).expect("is erased");
    let head = journal.head();
    drop(journal);
    // The first records are buried already, the later ones not.
    for buried in [0, 3, 6] {
        meddle(dir.path(), |db| {
            for (key, value) in &before[buried..] {
                db.insert(key, value).expect("writes");
            }
            db.insert([b"p".as_slice(), &13u64.to_be_bytes()].concat(), &[]).expect("writes");
        });
        kept.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("writes"));
        let journal = open(dir.path()).expect("opens");
        assert_eq!(journal.head(), head);
        let verified = block_on(journal.verify()).expect("holds");
        assert_eq!((verified.erased, verified.contents), (6, 3), "the other story keeps its own");
        assert_eq!(block_on(journal.read(run(1), 0)), Ok(Vec::new()));
    }
}

fn blob_key(bytes: &[u8]) -> Vec<u8> {
    [b"b".as_slice(), &digest(bytes).0].concat()
}

fn files_of(dir: &Path) -> BTreeSet<std::path::PathBuf> {
    let found = std::fs::read_dir(dir.join("blobs-sha256")).expect("reads");
    found.map(|file| file.expect("reads").path()).collect()
}

#[test]
fn a_tombstone_that_the_journal_does_not_account_for_is_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = filled(dir.path());
    block_on(journal.erase(all_of(1, &journal))).expect("is erased");
    drop(journal);
    let tombstones = |dir: &Path| {
        let mut found = Vec::new();
        meddle(dir, |db| found = db.get(record_key(3)).expect("reads").expect("is there").to_vec());
        found
    };
    let ours = tombstones(dir.path());

    // Somebody makes a record of the other incident go, with its right hash.
    let mut record = Vec::new();
    let mut forge = ours.clone();
    meddle(dir.path(), |db| {
        record = db.get(record_key(9)).expect("reads").expect("is there").to_vec();
        forge[1..41].copy_from_slice(&record[1..41]);
        forge[41..73].copy_from_slice(&digest(&record).0);
        let theirs = run(2).to_string();
        let at = forge.windows(30).position(|part| part == run(1).to_string().as_bytes()).expect("is named");
        forge[at..at + 30].copy_from_slice(theirs.as_bytes());
        db.insert(record_key(9), forge.clone()).expect("writes");
    });
    let why = damage(dir.path());
    assert!(why.contains("record 9 was erased, and nothing in the journal says so"), "{why}");
    meddle(dir.path(), |db| drop(db.insert(record_key(9), record)));
    block_on(open(dir.path()).expect("opens").verify()).expect("holds again");

    // A tombstone that tells another number than was there.
    let mut other = ours.clone();
    let last = other.len() - 4;
    assert_eq!(other[last], 4, "the number of the last entry");
    other[last] = 9;
    meddle(dir.path(), |db| drop(db.insert(record_key(3), other)));
    let refused = open(dir.path()).and_then(|journal| block_on(journal.verify())).expect_err("is damage");
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");

    // What was erased is put back.
    meddle(dir.path(), |db| {
        db.insert(record_key(3), ours).expect("writes");
        db.insert(blob_key(&content(1)), content(1)).expect("writes");
    });
    let why = damage(dir.path());
    assert!(why.contains("which was erased, is there"), "{why}");
}

/// Whether any file of the store has this in it.
fn is_found(dir: &Path, needle: &[u8]) -> usize {
    let mut found = 0;
    for file in std::fs::read_dir(dir).expect("reads") {
        let path = file.expect("reads").path();
        if path.is_dir() {
            found += is_found(&path, needle);
        } else {
            let bytes = std::fs::read(&path).expect("reads");
            found += bytes.windows(needle.len()).filter(|part| *part == needle).count();
        }
    }
    found
}

/// A store with two stories, one of them erased.
fn erased(dir: &Path) -> Head {
    let journal = filled(dir);
    block_on(journal.erase(all_of(1, &journal))).expect("is erased");
    journal.head()
}

/// The large content of the other story has the name in it, and stays.
fn only_what_stays(dir: &Path) {
    let journal = open(dir).expect("opens");
    let verified = block_on(journal.verify()).expect("holds");
    assert_eq!((verified.erased, verified.uncompacted), (6, false));
    assert_eq!(block_on(journal.blob(digest(&content(2)))), Ok(Some(content(2).into())));
    assert_eq!(block_on(journal.key("delivery-1")), Ok(Some(alert(1))));
    block_on(journal.append(one(run(2), 6, "goes on"))).expect("as before");
    drop(journal);
    assert_eq!(is_found(dir, b"\"alert\":1,"), 0, "the content of the erased alert");
    assert!(is_found(dir, b"\"alert\":2,") > 0, "that of the other");
}

#[test]
fn no_byte_of_what_was_erased_is_in_the_files_once_they_were_written_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let head = erased(dir.path());
    assert_eq!(files_of(dir.path()).len(), 2, "large contents go at once");
    let freed = is_found(dir.path(), b"\"alert\":1,");
    println!("found {freed} times in sled's free space after erasing");
    let began = std::time::Instant::now();
    let sizes = compact_at_start(dir.path(), || Ok(())).expect("is written").expect("something was erased");
    println!("{sizes:?} in {:?}", began.elapsed());
    assert_eq!(compact_at_start(dir.path(), || Ok(())), Ok(None), "once is enough");
    assert_eq!(open(dir.path()).expect("opens").head(), head);
    only_what_stays(dir.path());
    compact(dir.path()).expect("can be asked for at any time");
    only_what_stays_but_for_one_more(dir.path());
}

fn only_what_stays_but_for_one_more(dir: &Path) {
    let journal = open(dir).expect("opens");
    assert_eq!(block_on(journal.read(run(2), 6)).map(|entries| entries.len()), Ok(1));
    block_on(journal.verify()).expect("holds");
}

#[test]
fn a_stop_while_the_file_is_written_anew_harms_nothing() {
    // A half copy is taken away.
    let dir = tempfile::tempdir().expect("a directory");
    erased(dir.path());
    let copy = dir.path().join("compacted");
    std::fs::create_dir(&copy).expect("is made");
    std::fs::write(copy.join("db"), b"half").expect("is written");
    block_on(open(dir.path()).expect("opens").verify()).expect("holds");
    assert!(!copy.exists());

    // A whole one is put in place, however far that had come.
    let other = tempfile::tempdir().expect("a directory");
    erased(other.path());
    for moved in [&[][..], &["db"][..], &["db", "conf"][..]] {
        std::fs::create_dir(&copy).expect("is made");
        for file in ["db", "conf"] {
            let to = if moved.contains(&file) { dir.path() } else { &copy };
            std::fs::copy(other.path().join(file), to.join(file)).expect("is copied");
        }
        std::fs::copy(other.path().join("head"), dir.path().join("head")).expect("is copied");
        std::fs::write(copy.join("whole"), b"").expect("is written");
        block_on(open(dir.path()).expect("opens").verify()).expect("holds");
        assert!(!copy.exists());
    }
}

#[cfg(feature = "failpoints")]
mod killed {
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "STORE_SUITE_ERASES";

    #[test]
    #[ignore = "a second process of another test"]
    fn child_erases_and_compacts() {
        let Some(dir) = std::env::var_os(CHILD) else { return };
        let dir = Path::new(&dir);
        let journal = open(dir).expect("opens");
        block_on(journal.erase(all_of(1, &journal))).expect("is erased");
        drop(journal);
        compact(dir).expect("is written");
    }

    #[test]
    fn killed_anywhere_on_the_way_it_is_erased_in_the_end_or_not_begun() {
        for point in [
            "append.taken",
            "append.flushed",
            "append.marked",
            "erase.begins",
            "erase.replaced",
            "erase.removed",
            "erase.done",
            "compact.copied",
            "compact.whole",
            "compact.renamed",
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let names = dir.path().join("die-at");
            let what = if point.starts_with("append") { ":erased" } else { "" };
            std::fs::write(&names, format!("{point}{what}\n")).expect("is written");
            let store = dir.path().join("store");
            drop(filled(&store));
            let ended = Command::new(std::env::current_exe().expect("a path"))
                .args(["--exact", "erased::killed::child_erases_and_compacts", "--ignored"])
                .env(CHILD, &store)
                .env("QUELL_DIE_AT", format!("@{}", names.display()))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("starts");
            assert!(ended.code().is_none(), "{point}: it was not killed: {ended}");
            let journal = open(&store).unwrap_or_else(|error| panic!("{point}: {error}"));
            let verified = block_on(journal.verify()).unwrap_or_else(|error| panic!("{point}: {error}"));
            let begun = point != "append.taken";
            assert_eq!(verified.erased, if begun { 6 } else { 0 }, "{point}");
            let left = block_on(journal.read(run(1), 0)).expect("reads").len();
            assert_eq!(left, if begun { 0 } else { 6 }, "{point}");
            drop(journal);
            if begun {
                compact_at_start(&store, || Ok(())).expect("is written");
                only_what_stays(&store);
            }
        }
    }
}

#[test]
fn a_copy_of_a_store_holds_no_byte_of_what_was_erased() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path()).expect("opens");
    block_on(story(&journal, 1));
    assert!(is_found(dir.path(), WHO.as_bytes()) > 0, "the test looks where it is");
    block_on(journal.erase(all_of(1, &journal))).expect("is erased");
    assert_eq!(files_of(dir.path()).len(), 0, "large contents are gone at once");
    let freed = is_found(dir.path(), WHO.as_bytes());
    println!("found {freed} times in sled's freed space after erasing");
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let lines = block_on(exported(journal)).expect("is written");
    assert!(!lines.windows(WHO.len()).any(|part| part == WHO.as_bytes()));
    let copy = tempfile::tempdir().expect("a directory");
    restore(&copy.path().join("store"), &mut &lines[..]).expect("is imported");
    assert_eq!(is_found(copy.path(), WHO.as_bytes()), 0);
}
