use std::fs;
use std::panic::catch_unwind;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::domain::event::Event;
use crate::domain::id::{IncidentId, StreamId};
use crate::domain::incident::IncidentChange;
use crate::domain::time::Timestamp;
use crate::projection::key::Key;
use crate::service::follow::{Following, follow};
use crate::store::journal::{Append, Batch};
use crate::store::memory::MemoryJournal;

const TABLE: &str = "rows";

fn key(n: u32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

fn upto(position: u64) -> Upto {
    Upto { position, hash: Digest([7; 32]) }
}

/// A shelf with 500 rows that was closed well, and the rows.
fn shelf(path: &Path) -> Vec<Bytes> {
    let shelf = FileShelf::begin(path).expect("it begins");
    let rows: Vec<Bytes> = (0..500).rev().map(|n| (key(n), vec![n.to_le_bytes()[0]; 100])).collect();
    let put = rows.iter().map(|(key, row)| Change { table: TABLE, key: key.clone(), row: Some(row.clone()) });
    shelf.keep(put.collect(), upto(9)).expect("they are kept");
    rows
}

#[test]
fn what_was_kept_is_there_the_last_first_and_what_was_taken_out_is_not() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join(VIEWS_FILE);
    let rows = shelf(&path);
    let (shelf, said) = FileShelf::open(&path).expect("it opens").expect("it is ours");
    assert_eq!(said, upto(9));
    assert_eq!(shelf.newest(TABLE, &[], None, 1000), rows);
    assert_eq!(shelf.newest(TABLE, &key(3), Some(&key(6)), 2), rows[494..496]);
    let gone = Change { table: TABLE, key: key(4), row: None };
    shelf.keep(vec![gone], upto(10)).expect("it is kept");
    assert_eq!(shelf.get(TABLE, &key(4)), None);
    assert_eq!(shelf.get(TABLE, &key(5)), Some(rows[494].1.clone()));
    assert_eq!(shelf.get("no such table", &key(5)), None);
    assert_eq!(shelf.fault(), None);
}

#[test]
fn a_file_that_is_damaged_anywhere_is_refused_or_says_the_same() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join(VIEWS_FILE);
    let rows = shelf(&path);
    let whole = fs::read(&path).expect("it reads");
    let (mut refused, mut same) = (0, 0);
    for nth in 0..400 {
        let mut bytes = whole.clone();
        match nth % 4 {
            0..3 => bytes[nth * 7919 % whole.len()] ^= 1 << (nth % 8),
            _ => bytes.truncate(nth * 7919 % whole.len()),
        }
        fs::write(&path, &bytes).expect("it writes");
        let path = path.clone();
        let opened = catch_unwind(move || {
            FileShelf::open(&path)
                .map(|shelf| shelf.map(|(shelf, upto)| (shelf.newest(TABLE, &[], None, 1000), upto)))
        });
        match opened {
            Ok(Ok(Some((read, said)))) => {
                assert!(read == rows && said == upto(9), "damage {nth} went unseen");
                same += 1;
            }
            _ => refused += 1,
        }
    }
    println!("refused {refused}, the same {same}");
    assert!(refused > 100, "damage is seen");
}

async fn journal() -> Arc<dyn Journal> {
    let journal = MemoryJournal::default();
    for seq in 0..3 {
        let event = Event::IncidentChanged { change: Default::default() };
        let stream = StreamId::Incident(IncidentId::derived(ulid::Ulid(5), "a"));
        let append = Append { stream, after: seq, at: Timestamp::from_millis(5), events: vec![event] };
        journal.append(Batch { appends: vec![append], ..Batch::default() }).await.expect("it is appended");
    }
    Arc::new(journal)
}

#[tokio::test]
async fn a_file_of_another_journal_or_beyond_this_one_is_not_used() {
    let dir = TempDir::new().expect("a directory");
    let journal = journal().await;
    let (shelf, from) =
        open(dir.path(), &journal).await.expect("the journal reads").expect("the disk takes it");
    assert_eq!(from, 0);
    let head = journal.head();
    let here = Upto { position: head.position, hash: head.hash };
    shelf.keep(Vec::new(), here).expect("it is kept");
    drop(shelf);
    let again = |upto: Option<Upto>| {
        let (dir, journal) = (dir.path(), &journal);
        async move {
            let (shelf, from) =
                open(dir, journal).await.expect("the journal reads").expect("the disk takes it");
            if let Some(upto) = upto {
                shelf.keep(Vec::new(), upto).expect("it is kept");
            }
            from
        }
    };
    assert_eq!(again(None).await, 3);
    assert_eq!(again(Some(Upto { position: 2, ..here })).await, 3);
    assert_eq!(again(Some(Upto { position: 9, ..here })).await, 0, "the hash was that of another record");
    assert_eq!(again(Some(here)).await, 0, "it went beyond the journal");
    assert_eq!(again(None).await, 3);
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_stops_the_shelf_and_the_next_start_folds_anew() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join(VIEWS_FILE);
    shelf(&path);
    let (shelf, _) = FileShelf::open(&path).expect("it opens").expect("it is ours");
    shelf.doubt(TABLE);
    assert!(shelf.fault().is_some_and(|fault| fault.contains(TABLE)));
    assert!(shelf.keep(Vec::new(), upto(10)).is_err(), "what was folded since may be wrong");
    drop(shelf);
    assert!(FileShelf::open(&path).is_ok_and(|shelf| shelf.is_none()), "the file is gone");
}

/// Views over this journal and what is on the shelf, and how far the shelf went.
async fn following(dir: &Path, journal: &Arc<dyn Journal>) -> (Following, u64) {
    let (shelf, from) = open(dir, journal).await.expect("the journal reads").expect("the disk takes it");
    (follow(journal, Some(shelf), from).await.expect("the journal reads"), from)
}

#[tokio::test]
async fn a_start_reads_on_where_the_shelf_leaves_off() {
    let dir = TempDir::new().expect("a directory");
    let journal = journal().await;
    let id = IncidentId::derived(ulid::Ulid(5), "a");
    let note = |text: &str| Event::IncidentChanged {
        change: IncidentChange { note: Some(text.to_owned()), ..IncidentChange::default() },
    };
    let tell = async |after: u64, text: &str| {
        let append = Append {
            stream: StreamId::Incident(id),
            after,
            at: Timestamp::from_millis(9),
            events: vec![note(text)],
        };
        journal.append(Batch { appends: vec![append], ..Batch::default() }).await.expect("it is appended");
    };
    let (first, from) = following(dir.path(), &journal).await;
    assert_eq!(from, 0);
    tell(3, "kept").await;
    // Longer than a change may stay only in memory.
    let mut seen = first.seen.clone();
    seen.wait_for(|position| *position == 4).await.expect("it follows");
    for _ in 0..600 {
        let kept = first.shelf.as_ref().is_some_and(|shelf| shelf.get("incidents", &id.bytes()).is_some());
        if kept {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop((first, seen));
    // The follower holds the file until the journal tells it something.
    tell(4, "after").await;
    let path = dir.path().join(VIEWS_FILE);
    while FileShelf::open(&path).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (shelf, from) =
        open(dir.path(), &journal).await.expect("the journal reads").expect("the disk takes it");
    assert!((3..=5).contains(&from), "{from}");
    let second = follow(&journal, Some(shelf), from).await.expect("the journal reads");
    let notes: Vec<String> = {
        let views = second.views.read();
        let row = views.incidents.get(id).expect("it is there");
        row.notes.iter().map(|note| note.text.clone()).collect()
    };
    assert_eq!(notes, ["kept", "after"]);
}
