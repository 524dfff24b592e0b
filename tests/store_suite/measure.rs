//! Speed and size, for people.

use std::sync::Arc;
use std::time::Instant;

use quell::domain::value::digest;
use quell::store::journal::Journal;

use crate::common::{block_on, one, open, run};

/// The memory that this process has resident now.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or("VmRSS unknown").to_owned()
}

/// Speed and size, for people: `cargo test --release --test store_suite -- --ignored measure:: --nocapture`.
#[test]
#[ignore = "measures, asserts nothing"]
fn measure() {
    let dir = tempfile::tempdir_in(std::env::var("MEASURE_DIR").unwrap_or_else(|_| ".".to_owned()))
        .expect("a directory");
    println!("before: {}", memory());
    let journal = Arc::new(open(dir.path()).expect("opens"));
    let size = || -> u64 {
        let found = std::fs::read_dir(dir.path()).expect("reads");
        let sizes = found.map(|file| file.and_then(|file| file.metadata()).expect("reads"));
        use std::os::unix::fs::MetadataExt;
        sizes.filter(|file| file.is_file()).map(|file| file.blocks() * 512).sum()
    };
    let text = |n: u64| -> String {
        (0..11).map(|part| digest(&(n * 16 + part).to_be_bytes()).to_string()).collect()
    };
    block_on(async {
        let empty = size();
        println!("empty store: {empty} bytes on disk, {}", memory());
        let (mut times, began, count) = (Vec::new(), Instant::now(), 5000);
        for seq in 0..count {
            let record = one(run(1), seq, &text(seq));
            let one = Instant::now();
            journal.append(record).await.expect("fits");
            times.push(one.elapsed());
        }
        times.sort();
        let rate = count as f64 / began.elapsed().as_secs_f64();
        println!("alone: {rate:.0}/s, p50 {:?}, p99 {:?}", times[2500], times[4950]);
        println!("alone: {} bytes on disk per record", (size() - empty) / count);
        for writers in [64u64, 256] {
            let (before, began, each) = (size(), Instant::now(), 64_000 / writers);
            let tasks = (0..writers).map(|n| {
                let journal = journal.clone();
                tokio::spawn(async move {
                    let stream = run(u128::from(writers * 1000 + n));
                    let mut times = Vec::new();
                    for seq in 0..each {
                        let record = one(stream, seq, &text(n * 1000 + seq));
                        let one = Instant::now();
                        journal.append(record).await.expect("fits");
                        times.push(one.elapsed());
                    }
                    times
                })
            });
            let mut times = Vec::new();
            for task in tasks.collect::<Vec<_>>() {
                times.extend(task.await.expect("writes"));
            }
            let took = began.elapsed().as_secs_f64();
            times.sort();
            let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            let bytes = (size() - before) / times.len() as u64;
            let rate = times.len() as f64 / took;
            println!("{writers} writers: {rate:.0}/s, p50 {p50:?}, p99 {p99:?}, {bytes} bytes/record");
        }
        let before = size();
        let runs = (0..64u64).map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for nth in 0..200 {
                    let stream = run(u128::from(1_000_000 + n * 1000 + nth));
                    for seq in 0..3 {
                        let text = &text(nth * 1000 + n * 3 + seq)[..520];
                        journal.append(one(stream, seq, text)).await.expect("fits");
                    }
                }
            })
        });
        for run in runs.collect::<Vec<_>>() {
            run.await.expect("writes");
        }
        println!("a run of three 600-byte records: {} bytes", (size() - before) / 12_800);
        println!("after all that {}", memory());
    });
    drop(journal);
    let began = Instant::now();
    let journal = open(dir.path()).expect("opens");
    println!("opens in {:?}, {:?}", began.elapsed(), journal.head());
    println!("{} bytes on disk in all, {}", size(), memory());
}
