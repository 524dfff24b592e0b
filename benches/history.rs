//! What a run costs as the history grows: the same runs of five steps on a store
//! that holds ten thousand, a hundred thousand … of them already, and how soon a server on
//! such a store is ready again. `cargo bench --bench history`, or with sizes of the
//! history behind `--`.

#[path = "house/mod.rs"]
mod house;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use house::{disk_bytes, follow, house, one, restarted, rss_mib, serve_stub};
use quell::app::shelf::VIEWS_FILE;

/// Histories, when nobody says: some ten minutes.
const LEVELS: &[usize] = &[10_000, 100_000, 1_000_000];

/// Runs that are measured at each level, the last of it: a second or so. With a
/// quarter of that the same history gave paces that differed by half.
const MEASURED: usize = 8_000;

/// Of those, one in so many goes alone.
const ALONE: usize = 8;

/// How much of its pace with a short history a server must keep with a long one.
/// Half, because the two are minutes apart on a machine that does other things too.
const KEPT_PACE: f64 = 0.5;

/// Histories from which on that is held against the first.
const HELD_FROM: usize = 100_000;

/// The first word of the process that makes the history longer.
const GROW: &str = "grow";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let [_, grow_word, dir, from, to] = &words[..]
        && grow_word == GROW
    {
        let number = |word: &String| word.parse().expect("a number");
        return runtime.block_on(grow(Path::new(dir), number(from), number(to)));
    }
    let asked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let levels = if asked.is_empty() { LEVELS.to_vec() } else { asked };
    std::fs::create_dir_all("target").expect("it is made");
    let dir = tempfile::tempdir_in("target").expect("there is room");
    let mut from = 0;
    for to in levels {
        // In a process of its own, so that its memory and its lock are gone afterwards.
        let grown = Command::new(std::env::current_exe().expect("it has a path"))
            .args([GROW.as_ref(), dir.path().as_os_str()])
            .args([from.to_string(), to.to_string()])
            .status();
        assert!(grown.is_ok_and(|status| status.success()), "the history did not grow");
        let (after, rss) = runtime.block_on(restarted(dir.path(), &[]));
        println!("{to:>8} runs: ready again after {after:.2} s, RSS {rss:.0} MiB");
        // As the first start of a new version does.
        std::fs::remove_file(dir.path().join("data").join(VIEWS_FILE)).expect("they lie there");
        let (after, _) = runtime.block_on(restarted(dir.path(), &[]));
        println!("{to:>8} runs: ready after {after:.2} s when all views are folded anew");
        from = to;
    }
}

/// Makes the history longer, and measures the last runs of it.
async fn grow(dir: &Path, from: usize, to: usize) {
    let service = house(dir, serve_stub().await).await;
    let ended = follow(&service);
    let many = |runs: usize, at_once: usize| {
        let (service, ended) = (&service, &ended);
        async move {
            let began = Instant::now();
            let mut times: Vec<Duration> =
                stream::iter(0..runs).map(|_| one(service, ended)).buffer_unordered(at_once).collect().await;
            times.sort_unstable();
            let p50 = times.get(times.len() / 2).copied().unwrap_or_default();
            (runs as f64 / began.elapsed().as_secs_f64(), p50.as_secs_f64() * 1000.0)
        }
    };
    let measured = MEASURED.min(to - from);
    let alone = measured / ALONE;
    many(to - from - measured, 64).await;
    let before = disk_bytes(dir);
    let (rate, _) = many(measured - alone, 64).await;
    let (_, p50) = many(alone, 1).await;
    println!(
        "{to:>8} runs: {rate:>6.0} runs/s at 64 at once, p50 of a run alone {p50:.2} ms, RSS {:.0} MiB, {} bytes a run on disk ({} for the last)",
        rss_mib("self"),
        disk_bytes(&dir.join("data")) / to as u64,
        disk_bytes(dir).saturating_sub(before) / measured as u64,
    );
    let pace = dir.join("pace");
    match std::fs::read_to_string(&pace) {
        Ok(first) => {
            let share = rate / first.parse::<f64>().expect("it is a number");
            println!("{to:>8} runs: {share:.2} of the first pace");
            assert!(to < HELD_FROM || share >= KEPT_PACE, "a run costs more with a longer history");
        }
        Err(_) => std::fs::write(&pace, rate.to_string()).expect("it is written"),
    }
}
