//! The journal on a disk: kept when reopened, refused when damaged.

use std::path::Path;
use std::time::{Duration, Instant};

use quell::domain::value::digest;
use quell::store::error::StoreError;
use quell::store::journal::{Batch, Journal};
use quell::store::sled::journal::{Options, SledJournal};

use crate::common::{alert, append, blob, block_on, one, open, run};

/// Ten records of two streams, a key, and contents of both sorts.
async fn fill(journal: &SledJournal) {
    for seq in 0..5 {
        journal.append(one(run(1), seq, "kept")).await.expect("fits");
        journal.append(one(run(2), seq, &format!("{seq}"))).await.expect("fits");
    }
    let record = Batch {
        appends: vec![append(alert(1), 0, &["received"])],
        blobs: vec![blob(vec![1; 100]), blob(vec![2; 100_000])],
        keys: vec!["delivery-1".to_owned()],
        ..Batch::default()
    };
    journal.append(record).await.expect("fits");
}

fn filled(dir: &Path) {
    let journal = open(dir).expect("opens");
    block_on(fill(&journal));
}

/// Changes the store behind the journal's back.
pub fn meddle(dir: &Path, change: impl FnOnce(&::sled::Db)) {
    let config = ::sled::Config::new().path(dir).segment_size(8 << 20).flush_every_ms(None);
    let deadline = Instant::now() + Duration::from_secs(10);
    let db = loop {
        match config.open() {
            Ok(db) => break db,
            Err(error) if Instant::now() > deadline => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    change(&db);
    db.flush().expect("flushes");
}

/// The key of a record in the store.
pub fn record_key(position: u64) -> Vec<u8> {
    [b"r".as_slice(), &position.to_be_bytes()].concat()
}

fn refusal(dir: &Path) -> String {
    match open(dir) {
        Err(error @ StoreError::Damaged { .. }) => error.to_string(),
        Err(other) => panic!("refused otherwise: {other}"),
        Ok(_) => panic!("was opened"),
    }
}

#[test]
fn a_reopened_journal_keeps_everything_and_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    for round in 0..3u64 {
        let journal = open(dir.path()).expect("opens again");
        assert_eq!(journal.head().position, 11 + round);
        block_on(async {
            assert_eq!(journal.read(run(1), 0).await.expect("reads").len() as u64, 5 + round);
            assert_eq!(journal.key("delivery-1").await, Ok(Some(alert(1))));
            for bytes in [vec![1; 100], vec![2; 100_000]] {
                assert_eq!(journal.blob(digest(&bytes)).await, Ok(Some(bytes.into())));
            }
            let stale = journal.append(one(run(1), 0, "new?")).await;
            assert!(matches!(stale, Err(StoreError::Conflict { .. })));
            journal.append(one(run(1), 5 + round, "more")).await.expect("goes on");
            let verified = journal.verify().await.expect("holds");
            assert_eq!((verified.records, verified.entries), (12 + round, 12 + round));
        });
    }
    let blobs = dir.path().join("blobs");
    assert!(!blobs.exists() || std::fs::read_dir(blobs).expect("reads").next().is_none());
}

#[test]
fn a_cut_tail_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    meddle(dir.path(), |db| {
        db.remove(record_key(11)).expect("removes").expect("was there");
    });
    let why = refusal(dir.path());
    assert!(why.contains("ends at record 10, but record 11 was acknowledged"), "{why}");
    assert!(why.contains("restore the latest backup"), "{why}");
}

#[test]
fn a_changed_last_record_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    meddle(dir.path(), |db| {
        let mut record = db.get(record_key(11)).expect("reads").expect("is there").to_vec();
        let at = record.len() - 3;
        record[at] ^= 1;
        db.insert(record_key(11), record).expect("writes");
    });
    refusal(dir.path());
}

#[test]
fn a_flipped_hash_in_the_chain_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    meddle(dir.path(), |db| {
        let mut record = db.get(record_key(6)).expect("reads").expect("is there").to_vec();
        record[20] ^= 1;
        db.insert(record_key(6), record).expect("writes");
    });
    let why = refusal(dir.path());
    assert!(why.contains("record 6 does not follow"), "{why}");
}

#[test]
fn a_missing_record_in_the_middle_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    meddle(dir.path(), |db| {
        db.remove(record_key(4)).expect("removes").expect("was there");
    });
    let why = refusal(dir.path());
    assert!(why.contains("record 4 is missing"), "{why}");
}

#[test]
fn the_head_of_another_journal_is_refused() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another")];
    filled(dirs[0].path());
    let journal = open(dirs[1].path()).expect("opens");
    block_on(async {
        for seq in 0..4 {
            journal.append(one(run(7), seq, "elsewhere")).await.expect("fits");
        }
    });
    drop(journal);
    let [ours, other] = [0, 1].map(|n: usize| dirs[n].path().join("head"));
    std::fs::copy(&other, &ours).expect("copies");
    let why = refusal(dirs[0].path());
    assert!(why.contains("record 4 is not the one that was acknowledged"), "{why}");
}

#[test]
fn a_lost_file_is_refused_and_not_begun_anew() {
    for (name, told) in [("head", "says what was acknowledged"), ("db", "11 records were")] {
        let dir = tempfile::tempdir().expect("a directory");
        filled(dir.path());
        std::fs::remove_file(dir.path().join(name)).expect("removes");
        let why = refusal(dir.path());
        assert!(why.contains(told), "{why}");
    }
}

#[test]
fn a_lost_large_content_is_found_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path()).expect("opens");
    let long: String = (0..40_000).map(|n: u32| digest(&n.to_be_bytes()).to_string()).collect();
    block_on(journal.append(one(run(1), 0, &long))).expect("fits");
    drop(journal);
    let contents = dir.path().join("blobs-sha256");
    for found in std::fs::read_dir(contents).expect("reads") {
        std::fs::write(found.expect("reads").path(), b"else").expect("writes");
    }
    let why = refusal(dir.path());
    assert!(why.contains("is not what was written"), "{why}");
}

#[test]
fn a_store_of_a_newer_program_is_refused_with_words() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    meddle(dir.path(), |db| {
        db.insert(b"f", &3u32.to_be_bytes()).expect("writes");
    });
    let why = refusal(dir.path());
    assert!(why.contains("version 3, this program reads up to 2"), "{why}");
    assert!(why.contains("or a newer one"), "{why}");
}

#[test]
fn a_mark_of_a_newer_program_is_refused_with_words_before_sled_is_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    let path = dir.path().join("head");
    let mut bytes = std::fs::read(&path).expect("reads");
    for at in [0, 4096] {
        bytes[at..at + 8].copy_from_slice(b"quell\0h2");
    }
    std::fs::write(&path, bytes).expect("writes");
    let before = std::fs::read(dir.path().join("db")).expect("reads");
    let why = refusal(dir.path());
    assert!(why.contains("version 2, this program reads up to 1"), "{why}");
    assert!(why.contains("or a newer one"), "{why}");
    assert!(std::fs::read(dir.path().join("db")).expect("reads") == before);
}

#[test]
fn what_is_wrong_beside_the_chain_is_found_by_the_full_check() {
    type Case = (&'static str, &'static str, fn(&::sled::Db));
    let cases: [Case; 4] = [
        ("a lost index place", "is missing in the index", |db| {
            let place = db.scan_prefix(b"s").next().expect("is there").expect("reads").0;
            db.remove(place).expect("removes");
        }),
        ("a place of nothing", "the index holds 12 places, the records have 11", |db| {
            let (place, last) = db.scan_prefix(b"s").next().expect("is there").expect("reads");
            let mut other = place.to_vec();
            *other.last_mut().expect("is long") = 10;
            db.insert(other, last).expect("writes");
        }),
        ("a changed content", "is not what was written", |db| {
            let content = db.scan_prefix(b"b").next().expect("is there").expect("reads").0;
            db.insert(content, vec![9; 10]).expect("writes");
        }),
        ("a key to nowhere", "which is not there", |db| {
            let (key, mut leads) = db.scan_prefix(b"k").next().expect("is there").expect("reads");
            leads[7] = 3;
            db.insert(key, leads).expect("writes");
        }),
    ];
    for (what, told, change) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        filled(dir.path());
        meddle(dir.path(), change);
        let why = match open(dir.path()) {
            Ok(journal) => block_on(journal.verify()).expect_err(what).to_string(),
            Err(error) => error.to_string(),
        };
        assert!(why.contains(told), "{what}: {why}");
    }
}

#[test]
fn garbage_in_the_store_is_told_as_damage_and_never_a_panic() {
    for at in [0, 100, 1500, 3000] {
        let dir = tempfile::tempdir().expect("a directory");
        filled(dir.path());
        let path = dir.path().join("db");
        let mut bytes = std::fs::read(&path).expect("reads");
        let end = (at + 900).min(bytes.len());
        bytes[at..end].fill(0xA5);
        std::fs::write(&path, bytes).expect("writes");
        // Either sled noticed nothing amiss because nothing was, or it is told.
        match open(dir.path()) {
            Ok(journal) => assert!(block_on(journal.verify()).is_ok()),
            Err(StoreError::Damaged { .. } | StoreError::Io { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_and_still_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    let full = Options { min_free_bytes: u64::MAX };
    let journal = SledJournal::open(dir.path(), &full).expect("opens");
    block_on(async {
        assert_eq!(journal.health(), Err(StoreError::Full));
        assert_eq!(journal.append(one(run(9), 0, "a")).await, Err(StoreError::Full));
        assert_eq!(journal.read(run(1), 0).await.expect("reads").len(), 5);
    });
    drop(journal);
    let journal = open(dir.path()).expect("opens");
    block_on(journal.append(one(run(9), 0, "a"))).expect("there is space again");
}

/// Names a small disk that the test may fill, such as a tmpfs of 40 MiB.
const SMALL_DISK: &str = "STORE_SUITE_SMALL_DISK";

#[test]
#[ignore = "needs a small disk of its own, named by STORE_SUITE_SMALL_DISK"]
fn a_disk_that_is_really_full_stops_the_journal_and_opens_again() {
    let Some(disk) = std::env::var_os(SMALL_DISK) else {
        return;
    };
    let dir = Path::new(&disk).join("journal");
    let heedless = Options { min_free_bytes: 0 };
    let journal = SledJournal::open(&dir, &heedless).expect("opens");
    let long: String = (0..600u32).map(|n| digest(&n.to_be_bytes()).to_string()).collect();
    let mut kept = journal.head().position;
    let first = block_on(async {
        loop {
            match journal.append(one(run(1), kept, &long)).await {
                Ok(receipt) => kept = receipt.position,
                Err(error) => break error,
            }
        }
    });
    assert!(first.to_string().contains("no space is left"), "{first}");
    let later = block_on(journal.append(one(run(2), 0, "a")));
    assert!(matches!(later, Err(StoreError::Stopped { .. })), "{later:?}");
    assert!(matches!(journal.health(), Err(StoreError::Stopped { .. })));
    drop(journal);
    // Whoever filled the disk takes the last bytes too.
    let rest = Path::new(&disk).join("rest");
    let mut file = std::fs::File::create(&rest).expect("is created");
    while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}

    // Again and again: a supervisor restarts what stopped.
    for _ in 0..5 {
        let journal = open(&dir).expect("opens on a full disk");
        block_on(async {
            assert_eq!(journal.health(), Err(StoreError::Full));
            let entries = journal.read(run(1), 0).await.expect("reads");
            assert!(entries.len() as u64 >= kept);
            journal.verify().await.expect("holds");
        });
    }
}
