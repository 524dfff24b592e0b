//! An export that was changed on its way is refused, and leaves nothing behind.

use std::sync::Arc;

use quell::store::error::StoreError;
use quell::store::export::{Exporter, Form, export};
use quell::store::journal::{Batch, Journal};
use quell::store::memory::MemoryJournal;
use quell::store::sled::restore::{check, restore};
use quell::store::sled::salvage::Salvaged;

use crate::common::{alert, append, blob, block_on, one, open, run};

/// A small journal, exported.
fn lines() -> Vec<u8> {
    block_on(async {
        let journal = Arc::new(MemoryJournal::new());
        for seq in 0..4 {
            journal.append(one(run(1), seq, &format!("{seq}"))).await.expect("fits");
        }
        let record = Batch {
            appends: vec![append(alert(1), 0, &["received"])],
            blobs: vec![blob(vec![1; 100])],
            keys: vec!["delivery-1".to_owned()],
            ..Batch::default()
        };
        journal.append(record).await.expect("fits");
        let mut out = Vec::new();
        export(Exporter::new(journal.clone(), journal.head(), Form::Compact), &mut out)
            .await
            .expect("written");
        out
    })
}

fn refusal(lines: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    match restore(&store, &mut &*lines) {
        Err(error @ StoreError::Export { .. }) => {
            let left: Vec<_> = std::fs::read_dir(dir.path()).expect("reads").collect();
            assert!(left.is_empty(), "{left:?} is left after: {error}");
            error.to_string()
        }
        Err(other) => panic!("refused otherwise: {other}"),
        Ok(verified) => panic!("was imported: {verified:?}"),
    }
}

#[test]
fn every_line_that_is_lost_doubled_swapped_or_changed_is_noticed() {
    let whole = lines();
    let pieces: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for n in 0..pieces.len() {
        let mut lost = pieces.clone();
        lost.remove(n);
        refusal(&lost.concat());
        let mut doubled = pieces.clone();
        doubled.insert(n, pieces[n]);
        refusal(&doubled.concat());
        if n > 0 {
            let mut swapped = pieces.clone();
            swapped.swap(n, n - 1);
            refusal(&swapped.concat());
        }
        let mut changed = whole.clone();
        let at = pieces[..n].concat().len() + pieces[n].len() / 2;
        changed[at] ^= 1;
        refusal(&changed);
    }
}

#[test]
fn a_file_that_was_cut_off_says_so() {
    let whole = lines();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        let why = refusal(&whole[..cut]);
        assert!(why.contains("breaks off"), "{why}");
        assert!(why.contains("take another backup"), "{why}");
    }
}

#[test]
fn an_export_of_a_newer_program_is_refused_with_words() {
    let text = String::from_utf8(lines()).expect("is text");
    let newer = text.replacen("\"version\":1", "\"version\":2,\"more\":true", 1);
    let why = refusal(newer.as_bytes());
    assert!(why.contains("version 2, this program reads up to 1"), "{why}");
}

#[test]
fn a_check_of_a_file_leaves_nothing_behind() {
    let work = tempfile::tempdir().expect("a directory");
    let verified = check(work.path(), &mut &lines()[..]).expect("holds");
    assert_eq!((verified.records, verified.contents, verified.keys), (5, 1, 1));
    assert_eq!(std::fs::read_dir(work.path()).expect("reads").count(), 0);
}

#[test]
fn a_damaged_store_is_saved_up_to_its_damage_and_not_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path()).expect("opens");
    block_on(async {
        for seq in 0..10 {
            journal.append(one(run(1), seq, &format!("{seq}"))).await.expect("fits");
        }
    });
    drop(journal);
    // Record 7 is changed behind the journal's back.
    crate::disk::meddle(dir.path(), |db| {
        let key = crate::disk::record_key(7);
        let mut record = db.get(&key).expect("reads").expect("is there").to_vec();
        record[20] ^= 1;
        db.insert(key, record).expect("writes");
    });
    let before = std::fs::read(dir.path().join("db")).expect("reads");
    let work = tempfile::tempdir().expect("a directory");
    let salvaged = Salvaged::open(dir.path(), work.path()).expect("is saved");
    assert_eq!(salvaged.head().position, 6);
    let missing = salvaged.missing().expect("something is missing").to_string();
    assert!(missing.contains("record 7 does not follow"), "{missing}");
    let mut out = Vec::new();
    let head = salvaged.head();
    block_on(export(Exporter::new(Arc::new(salvaged), head, Form::Readable), &mut out)).expect("is written");
    assert_eq!(std::fs::read_dir(work.path()).expect("reads").count(), 0, "the copy is gone");
    assert!(std::fs::read(dir.path().join("db")).expect("reads") == before, "the store is as it was");

    let restored = tempfile::tempdir().expect("a directory");
    let verified = restore(restored.path(), &mut &out[..]).expect("what was saved is whole in itself");
    assert_eq!(verified.records, 6);
}
