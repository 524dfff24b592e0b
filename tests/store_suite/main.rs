//! What every journal keeps its word on (this file), and what the one on a disk
//! does beyond: it refuses what is damaged (`disk`), and loses nothing that it
//! acknowledged (`process`).

use std::collections::HashMap;
use std::sync::Arc;

use quell::domain::event::Entry;
use quell::domain::id::StreamId;
use quell::domain::time::Timestamp;
use quell::domain::value::digest;
use quell::store::admit::{MAX_BLOB_BYTES, MAX_KEY_BYTES};
use quell::store::codec::MAX_RECORD_BYTES;
use quell::store::error::StoreError;
use quell::store::export::{Exporter, Form, export};
use quell::store::journal::{Batch, FOLLOW_BUFFER_BATCHES, Journal, Rest};
use quell::store::memory::MemoryJournal;
use quell::store::sled::restore::restore;
use tokio::sync::broadcast::error::RecvError;

use common::{AT, alert, append, batch, blob, block_on, incident, one, open, run, schedule, whys};

use erased::{
    a_copy_begun_before_something_was_erased_says_that_it_is_not_whole,
    a_record_that_two_incidents_share_goes_with_the_second, a_stream_that_moved_on_is_not_erased,
    an_erased_incident_is_gone_and_the_others_stay, nobody_but_erasing_says_that_something_was_erased,
    the_firing_of_a_schedule_outlives_the_run_that_it_started,
    what_is_erased_goes_through_an_export_as_erased,
};

mod common;
mod disk;
mod erased;
mod exported;
mod measure;
mod process;

/// Runs each named check on each kind of journal.
macro_rules! journal_suite {
    ($($check:ident),* $(,)?) => {
        mod memory {
            $(#[test]
            fn $check() {
                super::block_on(super::$check(std::sync::Arc::new(super::MemoryJournal::new())));
            })*
        }
        mod sled {
            $(#[test]
            fn $check() {
                let dir = tempfile::tempdir().expect("a directory");
                let journal = super::open(dir.path()).expect("opens");
                super::block_on(super::$check(std::sync::Arc::new(journal)));
            })*
        }
    };
}

journal_suite!(
    a_stream_reads_back_in_order_and_from_any_entry_on,
    a_writer_who_missed_an_entry_is_told_and_writes_nothing,
    a_batch_over_two_streams_is_all_or_nothing,
    a_stream_may_come_twice_in_a_batch,
    an_append_without_events_only_checks,
    a_taken_key_refuses_the_batch_and_names_the_stream,
    a_scan_gives_whole_records_in_order_and_goes_on_where_it_stopped,
    followers_see_every_batch_in_order_and_hear_when_they_are_too_slow,
    blobs_small_and_large_come_back,
    where_a_run_rests_is_kept_with_the_record_that_led_there,
    a_blob_with_another_digest_is_refused,
    the_head_covers_every_record,
    many_writers_each_see_their_own_entries_in_order,
    values_at_the_limits_are_taken_and_beyond_them_refused,
    an_export_holds_all_of_it_and_is_imported_with_the_same_head,
    an_empty_journal_is_exported_and_imported,
    an_erased_incident_is_gone_and_the_others_stay,
    what_is_erased_goes_through_an_export_as_erased,
    a_copy_begun_before_something_was_erased_says_that_it_is_not_whole,
    a_stream_that_moved_on_is_not_erased,
    a_record_that_two_incidents_share_goes_with_the_second,
    the_firing_of_a_schedule_outlives_the_run_that_it_started,
    nobody_but_erasing_says_that_something_was_erased,
);

async fn a_stream_reads_back_in_order_and_from_any_entry_on(journal: Arc<dyn Journal>) {
    let receipt = journal.append(batch(vec![append(run(1), 0, &["a", "b"])])).await.expect("new");
    assert_eq!((receipt.position, whys(&receipt.entries)), (1, vec![(1, "a"), (2, "b")]));
    journal.append(one(run(2), 0, "other")).await.expect("another stream");
    journal.append(one(run(1), 2, "c")).await.expect("goes on");
    let all = journal.read(run(1), 0).await.expect("reads");
    assert_eq!(whys(&all), [(1, "a"), (2, "b"), (3, "c")]);
    assert!(all.iter().all(|entry| entry.stream == run(1) && entry.at == AT));
    for (after, left) in [(1, 2), (2, 1), (3, 0), (99, 0), (u64::MAX, 0)] {
        assert_eq!(journal.read(run(1), after).await.expect("reads"), all[3 - left..]);
    }
    assert_eq!(journal.read(run(3), 0).await, Ok(Vec::new()));
    // The same ULID names another thing as another sort.
    assert_eq!(journal.read(incident(1), 0).await, Ok(Vec::new()));
}

async fn a_writer_who_missed_an_entry_is_told_and_writes_nothing(journal: Arc<dyn Journal>) {
    journal.append(one(run(1), 0, "a")).await.expect("new");
    for expected in [0, 2, u64::MAX] {
        let refused = journal.append(one(run(1), expected, "b")).await;
        assert_eq!(refused, Err(StoreError::Conflict { stream: run(1), expected, found: 1 }));
    }
    assert_eq!(journal.head().position, 1);
    assert_eq!(journal.read(run(1), 0).await.expect("reads").len(), 1);
    journal.append(one(run(1), 1, "b")).await.expect("after reading again");
}

async fn a_batch_over_two_streams_is_all_or_nothing(journal: Arc<dyn Journal>) {
    journal.append(one(run(2), 0, "there")).await.expect("new");
    let (name, bytes) = blob(b"plan".to_vec());
    let both = Batch {
        appends: vec![append(run(1), 0, &["a"]), append(run(2), 0, &["stale"])],
        blobs: vec![(name, bytes)],
        keys: vec!["delivery-1".to_owned()],
        ..Batch::default()
    };
    assert!(matches!(journal.append(both).await, Err(StoreError::Conflict { .. })));
    assert_eq!(journal.read(run(1), 0).await, Ok(Vec::new()));
    assert_eq!(journal.key("delivery-1").await, Ok(None));
    assert_eq!(journal.blob(name).await, Ok(None));

    let both = batch(vec![append(run(1), 0, &["a"]), append(run(2), 1, &["b"])]);
    assert_eq!(journal.append(both).await.expect("fits").position, 2);
    assert_eq!(whys(&journal.read(run(2), 0).await.expect("reads")), [(1, "there"), (2, "b")]);
}

async fn a_stream_may_come_twice_in_a_batch(journal: Arc<dyn Journal>) {
    let twice = batch(vec![append(run(1), 0, &["a"]), append(run(2), 0, &["b"]), append(run(1), 1, &["c"])]);
    journal.append(twice).await.expect("fits");
    assert_eq!(whys(&journal.read(run(1), 0).await.expect("reads")), [(1, "a"), (2, "c")]);
    let wrong = batch(vec![append(run(3), 0, &["a"]), append(run(3), 0, &["b"])]);
    assert!(matches!(journal.append(wrong).await, Err(StoreError::Conflict { found: 1, .. })));
}

async fn an_append_without_events_only_checks(journal: Arc<dyn Journal>) {
    let looked = batch(vec![append(run(1), 0, &["a"]), append(run(2), 0, &[])]);
    assert_eq!(journal.append(looked).await.expect("fits").position, 1);
    assert_eq!(journal.read(run(2), 0).await, Ok(Vec::new()));
    let receipt = journal.append(batch(vec![append(run(1), 1, &[])])).await.expect("fits");
    assert_eq!((receipt.position, receipt.entries.len()), (1, 0));
    let stale = batch(vec![append(run(1), 0, &[])]);
    assert!(matches!(journal.append(stale).await, Err(StoreError::Conflict { .. })));
    journal.append(one(run(2), 0, "b")).await.expect("is still new");
}

async fn a_taken_key_refuses_the_batch_and_names_the_stream(journal: Arc<dyn Journal>) {
    let keyed = |stream, keys: &[&str]| Batch {
        appends: vec![append(stream, 0, &["received"])],
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Batch::default()
    };
    journal.append(keyed(alert(1), &["crowd/1", "finding/7"])).await.expect("new");
    assert_eq!(journal.key("finding/7").await, Ok(Some(alert(1))));
    assert_eq!(journal.key("finding/").await, Ok(None));
    let again = journal.append(keyed(alert(2), &["crowd/2", "finding/7"])).await;
    assert_eq!(again, Err(StoreError::Taken { key: "finding/7".to_owned(), stream: alert(1) }));
    assert_eq!(journal.key("crowd/2").await, Ok(None));
    let doubled = journal.append(keyed(alert(3), &["x", "x"])).await;
    assert!(matches!(doubled, Err(StoreError::Malformed { .. })));
    let no_event = Batch { keys: vec!["y".to_owned()], ..Batch::default() };
    assert!(matches!(journal.append(no_event).await, Err(StoreError::Malformed { .. })));

    // A key may lead to any sort of stream.
    journal.append(keyed(schedule(1), &["schedule/1/09:00"])).await.expect("new");
    assert_eq!(journal.key("schedule/1/09:00").await, Ok(Some(schedule(1))));
    assert_eq!(journal.read(schedule(1), 0).await.map(|entries| entries.len()), Ok(1));

    // Two deliveries at once: exactly one is taken.
    let both = [4, 5].map(|n| journal.append(keyed(alert(n), &["crowd/9"])));
    let taken = futures_util::future::join_all(both).await;
    assert_eq!(taken.iter().filter(|result| result.is_ok()).count(), 1, "{taken:?}");
}

async fn a_scan_gives_whole_records_in_order_and_goes_on_where_it_stopped(journal: Arc<dyn Journal>) {
    assert_eq!(journal.scan(0, 10).await, Ok(Vec::new()));
    for n in 0..20 {
        let record = batch(vec![append(run(n), 0, &["a", "b"]), append(incident(n), 0, &["c"])]);
        journal.append(record).await.expect("new");
    }
    let all = journal.scan(0, usize::MAX).await.expect("reads");
    assert_eq!(all.len(), 60);
    let mut chunks = Vec::new();
    while let chunk = journal.scan(chunks.last().map_or(0, |&(at, _)| at), 4).await.expect("reads")
        && !chunk.is_empty()
    {
        assert_eq!(chunk.len(), 6, "two whole records");
        chunks.extend(chunk);
    }
    assert_eq!(chunks, all);
    assert!(all.iter().zip(0u64..).all(|((at, _), n)| *at == n / 3 + 1));
    assert_eq!(journal.scan(5, 0).await.expect("reads").len(), 3, "at least one record");
    assert_eq!(journal.scan(u64::MAX, 10).await, Ok(Vec::new()));
}

async fn followers_see_every_batch_in_order_and_hear_when_they_are_too_slow(journal: Arc<dyn Journal>) {
    let mut quick = journal.follow();
    let mut slow = journal.follow();
    for n in 0..=FOLLOW_BUFFER_BATCHES as u64 {
        journal.append(one(run(1), n, "x")).await.expect("fits");
        let seen = quick.recv().await.expect("is not behind");
        assert_eq!((seen.position, seen.entries[0].seq), (n + 1, n + 1));
        assert!(journal.head().position > n, "what is followed can be read");
    }
    assert_eq!(slow.recv().await, Err(RecvError::Lagged(1)));
    assert_eq!(slow.recv().await.expect("goes on").position, 2);
}

async fn blobs_small_and_large_come_back(journal: Arc<dyn Journal>) {
    let sizes = [0, 1, 700, 60 << 10, (60 << 10) + 1, 1 << 20];
    let blobs: Vec<_> = sizes.iter().map(|&size| blob(vec![7; size])).collect();
    let record = Batch { appends: vec![append(run(1), 0, &["a"])], blobs: blobs.clone(), ..Batch::default() };
    journal.append(record).await.expect("new");
    // The same again, and blobs without events.
    let again = Batch { blobs: blobs.clone(), ..Batch::default() };
    assert_eq!(journal.append(again).await.expect("is there").position, 1);
    let (late, bytes) = blob(vec![9; 10]);
    let alone = Batch { blobs: vec![(late, bytes)], ..Batch::default() };
    journal.append(alone).await.expect("needs no event");
    for (name, bytes) in blobs.into_iter().chain([(late, vec![9; 10])]) {
        assert_eq!(journal.blob(name).await, Ok(Some(bytes.into())));
    }
    assert_eq!(journal.blob(digest(b"never written")).await, Ok(None));
}

async fn where_a_run_rests_is_kept_with_the_record_that_led_there(journal: Arc<dyn Journal>) {
    let id = |n| match run(n) {
        StreamId::Run(id) => id,
        _ => unreachable!("it is a run"),
    };
    let rest = |seq, wake: Option<i64>| Rest { seq, wake: wake.map(Timestamp::from_millis), rules: 1 };
    let resting = |n, after, rest| Batch { rests: vec![(id(n), rest)], ..one(run(n), after, "waits") };
    journal.append(resting(1, 0, Some(rest(1, Some(5))))).await.expect("new");
    journal.append(resting(2, 0, Some(rest(1, None)))).await.expect("new");
    journal.append(resting(3, 0, Some(rest(1, Some(9))))).await.expect("new");
    // A later one replaces it; a batch that is refused changes nothing; what is over rests no more.
    journal.append(resting(1, 1, Some(rest(2, Some(7))))).await.expect("goes on");
    assert!(journal.append(resting(2, 7, None)).await.is_err());
    journal.append(resting(3, 1, None)).await.expect("goes on");
    let expected = HashMap::from([(id(1), rest(2, Some(7))), (id(2), rest(1, None))]);
    assert_eq!(journal.rests().await, Ok(expected));
}

async fn a_blob_with_another_digest_is_refused(journal: Arc<dyn Journal>) {
    let wrong = Batch { blobs: vec![(digest(b"a"), b"b".to_vec())], ..Batch::default() };
    assert!(matches!(journal.append(wrong).await, Err(StoreError::Malformed { .. })));
    assert_eq!(journal.blob(digest(b"a")).await, Ok(None));
}

async fn the_head_covers_every_record(journal: Arc<dyn Journal>) {
    let mut heads = vec![journal.head()];
    for n in 0..3 {
        journal.append(one(run(1), n, "same")).await.expect("fits");
        let head = journal.head();
        assert_eq!(head.position, n + 1);
        assert!(heads.iter().all(|before| before.hash != head.hash));
        heads.push(head);
    }
}

async fn many_writers_each_see_their_own_entries_in_order(journal: Arc<dyn Journal>) {
    let writers = (0..64u128).map(|n| {
        let journal = journal.clone();
        tokio::spawn(async move {
            for seq in 0..20 {
                let why = format!("{n}/{seq}");
                let receipt = journal.append(one(run(n), seq, &why)).await.expect("fits");
                assert!(journal.head().position >= receipt.position);
                let last = journal.read(run(n), seq).await.expect("reads");
                assert_eq!(whys(&last), [(seq + 1, why.as_str())]);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no writer fails");
    }
    let all = journal.scan(0, usize::MAX).await.expect("reads");
    let positions: Vec<u64> = all.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, (1..=64 * 20).collect::<Vec<u64>>());
}

async fn values_at_the_limits_are_taken_and_beyond_them_refused(journal: Arc<dyn Journal>) {
    // Text that does not compress, around the size where records become files.
    let noise = |size: usize| -> String {
        let words = (0u64..).flat_map(|n| digest(&n.to_be_bytes()).0);
        words.map(|byte| char::from(b' ' + byte % 95)).take(size).collect()
    };
    for (n, size) in [(1, 40_000), (2, 61_000), (3, 80_000), (4, 1 << 20), (5, MAX_RECORD_BYTES - 200)] {
        let long = noise(size);
        journal.append(one(run(n), 0, &long)).await.expect("is within the limit");
        assert_eq!(whys(&journal.read(run(n), 0).await.expect("reads")), [(1, long.as_str())]);
    }
    let key = "k".repeat(MAX_KEY_BYTES);
    let keyed = |key: &str, stream| Batch { keys: vec![key.to_owned()], ..one(stream, 0, "a") };
    journal.append(keyed(&key, run(6))).await.expect("is within the limit");
    assert_eq!(journal.key(&key).await, Ok(Some(run(6))));
    let zeros = blob(vec![0; MAX_BLOB_BYTES]);
    let name = zeros.0;
    let full = Batch { blobs: vec![zeros], ..Batch::default() };
    journal.append(full).await.expect("is within the limit");
    assert_eq!(journal.blob(name).await.expect("reads").map(|b| b.len()), Some(MAX_BLOB_BYTES));

    let before = journal.head();
    let too_large = [
        one(run(9), 0, &"x".repeat(MAX_RECORD_BYTES)),
        keyed(&format!("{key}k"), run(9)),
        Batch { blobs: vec![blob(vec![0; MAX_BLOB_BYTES + 1])], ..Batch::default() },
        batch((0..300).map(|n| append(run(n + 100), 0, &["a"])).collect()),
    ];
    for batch in too_large {
        assert!(matches!(journal.append(batch).await, Err(StoreError::TooLarge { .. })));
    }
    assert_eq!(journal.head(), before);
    journal.health().expect("a refusal harms nothing");
}

async fn an_export_holds_all_of_it_and_is_imported_with_the_same_head(journal: Arc<dyn Journal>) {
    for n in 0..1500 {
        journal.append(one(run(n / 2), n as u64 % 2, "x")).await.expect("fits");
    }
    let record = Batch {
        appends: vec![append(alert(1), 0, &[&"long ".repeat(40_000)])],
        blobs: vec![blob(vec![1; 100]), blob(vec![2; 100_000]), blob(Vec::new())],
        keys: vec!["delivery-1".to_owned(), "Zürich \" \n".to_owned()],
        ..Batch::default()
    };
    journal.append(record).await.expect("fits");
    let head = journal.head();
    let mut out = Vec::new();
    let exporter = Exporter::new(journal.clone(), head, Form::Readable);
    // What comes later is not in it.
    journal.append(one(run(9000), 0, "later")).await.expect("fits");
    let counts = export(exporter, &mut out).await.expect("is written");
    assert_eq!((counts.records, counts.keys), (1501, 2));
    let entries = out.split(|byte| *byte == b'\n').filter_map(|line| {
        let line: serde_json::Value = serde_json::from_slice(line).ok()?;
        serde_json::from_value::<Vec<Entry>>(line.get("record")?.get("entries")?.clone()).ok()
    });
    assert_eq!(entries.flatten().count(), 1501);

    let mut compact = Vec::new();
    export(Exporter::new(journal.clone(), head, Form::Compact), &mut compact).await.expect("is written");
    assert!(compact.len() < out.len());
    for lines in [out, compact] {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("store");
        let verified = restore(&dir, &mut &lines[..]).expect("is imported");
        assert_eq!((verified.head, verified.entries), (head, 1501));
        let again = open(&dir).expect("opens");
        assert_eq!(again.head(), head);
        assert_eq!(again.key("Zürich \" \n").await, Ok(Some(alert(1))));
        for bytes in [vec![1; 100], vec![2; 100_000], Vec::new()] {
            assert_eq!(again.blob(digest(&bytes)).await, Ok(Some(bytes.into())));
        }
        assert_eq!(again.scan(0, 9999).await, Ok(scan_until(&*journal, head.position).await));
        again.append(one(run(0), 2, "goes on")).await.expect("fits");
        drop(again);
        let refused = restore(&dir, &mut &lines[..]);
        assert!(matches!(refused, Err(StoreError::Occupied { .. })), "{refused:?}");
    }
}

async fn scan_until(journal: &dyn Journal, until: u64) -> Vec<(u64, Entry)> {
    let mut all = journal.scan(0, 9999).await.expect("reads");
    all.retain(|(position, _)| *position <= until);
    all
}

async fn an_empty_journal_is_exported_and_imported(journal: Arc<dyn Journal>) {
    let mut out = Vec::new();
    export(Exporter::new(journal.clone(), journal.head(), Form::Compact), &mut out)
        .await
        .expect("is written");
    let dir = tempfile::tempdir().expect("a directory");
    let verified = restore(dir.path(), &mut &out[..]).expect("is imported into an empty directory");
    assert_eq!((verified.records, verified.head), (0, journal.head()));
}
