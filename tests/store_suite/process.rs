//! With a second process, which may be killed: this test binary runs itself.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quell::domain::value::digest;
use quell::store::error::StoreError;
use quell::store::journal::{Batch, Journal};
use quell::store::sled::journal::{Options, SledJournal};

use crate::common::{blob, block_on, one, open, run};

const CHILD: &str = "STORE_SUITE_DIR";

fn child(name: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

/// What the child says after `mark`, line by line.
fn told(child: &mut Child, mark: &'static str) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    lines
        .map_while(Result::ok)
        .filter_map(move |line| line.split_once(mark).map(|(_, rest)| rest.trim().to_owned()))
}

#[test]
#[ignore = "a second process of another test"]
fn child_holds() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let _journal = open(Path::new(&dir)).expect("opens");
    println!("\nheld: yes");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_second_process_is_told_quickly_that_the_journal_is_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut holder = child("process::child_holds", dir.path());
    assert_eq!(told(&mut holder, "held:").next().as_deref(), Some("yes"));
    let began = Instant::now();
    let refused = SledJournal::open(dir.path(), &Options::default());
    let took = began.elapsed();
    holder.kill().expect("ends");
    holder.wait().expect("ends");
    match refused {
        Err(error @ StoreError::Locked { .. }) => {
            assert!(error.to_string().contains("talk to that server"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two processes have it open"),
    }
    assert!(took < Duration::from_secs(1), "{took:?}");
    open(dir.path()).expect("a killed process holds nothing");
}

/// Streams the killed writer writes to at once.
const KILLED_WRITERS: u128 = 8;

#[test]
#[ignore = "a second process of another test"]
fn child_writes_until_killed() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let journal = Arc::new(open(Path::new(&dir)).expect("opens"));
    block_on(async {
        let writers = (0..KILLED_WRITERS).map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut seq = journal.read(run(n), 0).await.expect("reads").len() as u64;
                loop {
                    let long = if seq % 97 == 13 { 90_000 } else { 300 };
                    let text: String = "kept ".chars().cycle().take(long).collect();
                    let record = Batch {
                        blobs: vec![blob(format!("{n}/{seq}").into_bytes().repeat(long / 8))],
                        ..one(run(n), seq, &text)
                    };
                    journal.append(record).await.expect("fits");
                    seq += 1;
                    println!("\nkept: {n} {seq}");
                }
            })
        });
        futures_util::future::join_all(writers).await;
    });
}

#[test]
fn nothing_acknowledged_is_missing_after_kill_9() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = [0u64; KILLED_WRITERS as usize];
    for round in 0..10u64 {
        let mut writer = child("process::child_writes_until_killed", dir.path());
        let mut lines = told(&mut writer, "kept:");
        let mut note = |line: &str| {
            let (n, seq) = line.split_once(' ').expect("two numbers");
            let (n, seq) = (n.parse::<usize>().expect("is one"), seq.parse().expect("is one"));
            acknowledged[n] = acknowledged[n].max(seq);
        };
        note(&lines.next().expect("the writer starts"));
        // Chance from the clock: some rounds end in the first batches.
        let chance = u64::from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").subsec_micros() % 150);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(chance + round));
            writer.kill().expect("is killed");
            writer.wait().expect("ends");
        });
        lines.for_each(|line| note(&line));
        killer.join().expect("kills");
        let journal = open(dir.path()).expect("opens after every kill");
        block_on(async {
            for (n, &seq) in acknowledged.iter().enumerate() {
                let entries = journal.read(run(n as u128), 0).await.expect("reads");
                assert!(entries.len() as u64 >= seq, "round {round}, writer {n}: {seq} missing");
                for seq in 0..seq {
                    let long = if seq % 97 == 13 { 90_000 } else { 300 };
                    let bytes = format!("{n}/{seq}").into_bytes().repeat(long / 8);
                    let found = journal.blob(digest(&bytes)).await.expect("reads");
                    assert_eq!(found.as_deref(), Some(bytes.as_slice()));
                }
            }
            journal.verify().await.expect("holds");
        });
    }
    assert!(acknowledged.iter().sum::<u64>() > 0, "the writers wrote");
}
