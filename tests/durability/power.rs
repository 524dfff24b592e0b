//! Power cuts. A writer's writes and syncs are recorded (by strace) and played
//! back up to a moment: what was synced is there, of what was not each 512-byte
//! sector may be there or not. `sync_file_range` counts for nothing, as its
//! manual says. What was acknowledged must be there, and the store must open.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use quell::store::journal::Journal;
use quell::store::sled::journal::{Options, SledJournal};

use crate::damage::{block_on, nth_batch};
use crate::house::leave_out;
use crate::{Chance, cases};

/// What a disk writes whole.
const SECTOR: usize = 512;

/// Batches that the recorded writer appends, beyond those of the first image.
const RECORDED: u64 = 150;
const BEFORE: u64 = 50;

const CHILD: &str = "DURABILITY_DIR";

#[test]
#[ignore = "a second process of another test"]
fn child_writes() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let journal = SledJournal::open(Path::new(&dir), &Options::default()).expect("opens");
    block_on(async {
        let from = journal.head().position;
        for n in from..from + RECORDED {
            let receipt = journal.append(small(n)).await.expect("fits");
            println!("kept:{}:", receipt.position);
        }
    });
}

/// Contents stay in sled: the files beside it are synced before they are named,
/// and are not played back here.
fn small(n: u64) -> quell::store::journal::Batch {
    let mut batch = nth_batch(n);
    batch.blobs.retain(|(_, bytes)| bytes.len() < 60_000);
    batch
}

enum Op {
    Write { file: String, at: usize, bytes: Vec<u8> },
    Synced(String),
    Kept(u64),
}

/// The bytes of a string that strace wrote as `\x41\x42…`.
fn unescaped(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|hex| u8::from_str_radix(hex, 16).expect("it is hexadecimal")).collect()
}

/// The name of the file that a call is about: `call(5</a/b/db>, …`.
fn file_of(args: &str) -> Option<String> {
    let (_, path) = args.split_once('<')?;
    let (path, _) = path.split_once('>')?;
    // Some versions write names as they are, others as they write bytes.
    let path = if path.starts_with("\\x") {
        String::from_utf8_lossy(&unescaped(path)).into_owned()
    } else {
        path.to_owned()
    };
    Some(path.rsplit('/').next()?.to_owned())
}

fn read_trace(text: &str) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut begun: HashMap<&str, String> = HashMap::new();
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(resumed) = call.strip_prefix("<... ") {
            if (resumed.starts_with("fdatasync") || resumed.starts_with("fsync"))
                && let Some(file) = begun.remove(thread)
            {
                assert!(resumed.ends_with("= 0"), "{resumed}");
                ops.push(Op::Synced(file));
            }
            continue;
        }
        let Some((name, args)) = call.split_once('(') else { continue };
        let Some(file) = file_of(args) else { continue };
        match name {
            "fdatasync" | "fsync" if args.contains("<unfinished") => {
                begun.insert(thread, file);
            }
            "fdatasync" | "fsync" => ops.push(Op::Synced(file)),
            "pwrite64" => {
                let mut pieces = args.split('"');
                let bytes = unescaped(pieces.nth(1).expect("it has bytes"));
                let rest = pieces.next().expect("it has a length and a place");
                let at = rest.split([',', ')', ' ', '<']).filter(|word| !word.is_empty()).nth(1);
                let at = at.expect("it has a place").parse().expect("it is a number");
                ops.push(Op::Write { file, at, bytes });
            }
            "write" if args.starts_with("1<") => {
                let said = unescaped(args.split('"').nth(1).unwrap_or_default());
                let said = String::from_utf8_lossy(&said).into_owned();
                if let Some(position) = said.split(':').nth(1).and_then(|position| position.parse().ok()) {
                    ops.push(Op::Kept(position));
                }
            }
            _ => {}
        }
    }
    ops
}

fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if image.len() < at + bytes.len() {
        image.resize(at + bytes.len(), 0);
    }
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What a cut after `ops` may leave: for each file, and what was acknowledged.
fn cut(first: &HashMap<String, Vec<u8>>, ops: &[Op], chance: &mut Chance) -> (HashMap<String, Vec<u8>>, u64) {
    let mut durable = first.clone();
    let mut pending: HashMap<&str, Vec<(usize, &[u8])>> = HashMap::new();
    let mut kept = 0;
    for op in ops {
        match op {
            Op::Write { file, at, bytes } => pending.entry(file).or_default().push((*at, bytes)),
            Op::Synced(file) => {
                let image = durable.entry(file.clone()).or_default();
                for (at, bytes) in pending.remove(file.as_str()).unwrap_or_default() {
                    put(image, at, bytes);
                }
            }
            Op::Kept(position) => kept = *position,
        }
    }
    // Nothing, all, or any sectors of what was not synced, in any order.
    let share = [0, 1, 2, 3, 4][chance.below(5)];
    for (file, mut writes) in pending {
        if chance.below(2) == 0 {
            writes.reverse();
        }
        let image = durable.entry(file.to_owned()).or_default();
        for (at, bytes) in writes {
            let mut from = 0;
            while from < bytes.len() {
                let to = bytes.len().min(from + SECTOR - (at + from) % SECTOR);
                if chance.below(4) < share {
                    put(image, at + from, &bytes[from..to]);
                }
                from = to;
            }
        }
    }
    (durable, kept)
}

#[test]
fn nothing_acknowledged_is_missing_after_a_power_cut() {
    let dir = tempfile::tempdir().expect("there is room");
    let store = dir.path().join("store");
    let journal = SledJournal::open(&store, &Options::default()).expect("opens");
    block_on(async {
        for n in 0..BEFORE {
            journal.append(small(n)).await.expect("fits");
        }
    });
    drop(journal);
    let mut first = HashMap::new();
    for file in ["db", "head", "conf"] {
        first.insert(file.to_owned(), std::fs::read(store.join(file)).expect("reads"));
    }
    let trace = dir.path().join("trace");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-y", "-xx", "-s", "20000000"])
        .args(["-e", "trace=pwrite64,fdatasync,fsync,write,ftruncate", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().expect("a path"))
        .args(["--exact", "power::child_writes", "--ignored", "--nocapture"])
        .env(CHILD, &store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        return leave_out("power cuts (strace is not here, or may not trace)");
    }
    let ops = read_trace(&std::fs::read_to_string(&trace).expect("reads"));
    let kept = ops.iter().filter(|op| matches!(op, Op::Kept(_))).count();
    assert_eq!(kept as u64, RECORDED, "the recording has every acknowledgement");

    let images = cases(60, 5000);
    let mut chance = Chance(2);
    let mut dropped = 0;
    for image in 0..images {
        let at = 1 + chance.below(ops.len());
        let (files, kept) = cut(&first, &ops[..at], &mut chance);
        let dir = dir.path().join("image");
        std::fs::create_dir_all(&dir).expect("it is made");
        for (name, bytes) in &files {
            if first.contains_key(name) {
                std::fs::write(dir.join(name), bytes).expect("it is written");
            }
        }
        let journal = SledJournal::open(&dir, &Options { min_free_bytes: u64::MAX })
            .unwrap_or_else(|error| panic!("image {image}, cut after {at} of {}: {error}", ops.len()));
        let head = journal.head().position;
        assert!(head >= kept, "image {image}, cut after {at}: {kept} acknowledged, {head} there");
        block_on(journal.verify()).unwrap_or_else(|error| panic!("image {image}, cut after {at}: {error}"));
        dropped += usize::from(head == kept);
        drop(journal);
        std::fs::remove_dir_all(&dir).expect("it is removed");
    }
    println!("{images} images of {} writes and syncs; {dropped} ended at what was acknowledged", ops.len());
}
