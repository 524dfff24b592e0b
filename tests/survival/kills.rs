//! `kill -9` at every point, over seeds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::house::Death;
use crate::peer::MOMENTS;
use crate::world::World;
use crate::{Chance, cases, laws};

/// Worlds that are played at the same time: they mostly wait.
const AT_ONCE: usize = 4;

/// Lives after which a world is left to come to its end.
const LIVES_MAX: usize = 60;

/// Points of which each life dies at the first that it passes.
const SOUGHT: usize = 12;

/// What all worlds together have seen.
#[derive(Default)]
struct Ledger {
    next_seed: u64,
    restarts: usize,
    worlds: usize,
    uncertain: usize,
    died_at: BTreeSet<String>,
    passed: BTreeSet<String>,
}

/// How this life shall end: at a point where nobody died before, at any point,
/// or by a peer.
fn death(chance: &mut Chance, life: usize, fresh: &[String]) -> Death {
    if life >= LIVES_MAX {
        return Death::None;
    }
    let nth = if chance.percent(20) { 1 + chance.below(20) } else { 20 + chance.below(120) };
    match chance.below(10) {
        0..=1 => Death::ByPeer(MOMENTS[chance.below(4) as usize], 1 + chance.below(7)),
        2..=9 if !fresh.is_empty() => {
            let sought = (0..SOUGHT).map(|_| fresh[chance.below(fresh.len() as u64) as usize].clone());
            Death::AtFirstOf(200, sought.collect())
        }
        _ => Death::AtPoint(nth),
    }
}

/// Plays a world to its end and holds it to the laws.
async fn play(seed: u64, points: &[String], ledger: &Mutex<Ledger>) -> World {
    let mut world = World::new(seed).await;
    for life in 0.. {
        let fresh: Vec<String> = {
            let died = &mut ledger.lock().died_at;
            died.extend(world.died_at.iter().cloned());
            points.iter().filter(|point| !died.contains(*point)).cloned().collect()
        };
        let end = death(&mut world.chance, life, &fresh);
        match world.live(&end).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(why) => panic!("seed {seed}, life {life} ({end:?}): {why}\n{}", world.story()),
        }
    }
    let (code, said) = world.place.quell(&["store", "verify"]);
    assert_eq!(code, Some(0), "seed {seed}: {said}\n{}", world.story());
    let entries = world.place.entries().await;
    if let Err(why) = laws::hold(&world, &entries) {
        panic!("seed {seed}: {why}\n{}", world.story());
    }
    world
}

/// The points that a world passes in which nobody dies.
async fn all_points() -> Vec<String> {
    let mut world = World::new(0).await;
    let over = world.live(&Death::None).await.unwrap_or_else(|why| panic!("without a kill: {why}"));
    assert!(over);
    let entries = world.place.entries().await;
    laws::hold(&world, &entries).unwrap_or_else(|why| panic!("without a kill: {why}"));
    world.passed.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whenever_it_is_killed_no_run_is_lost_and_nothing_is_done_twice() {
    let points = Arc::new(all_points().await);
    let began = Instant::now();
    let one = std::env::var("QUELL_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let restarts = cases(120, 10_000);
    let ledger = Arc::new(Mutex::new(Ledger { next_seed: one.unwrap_or(1), ..Ledger::default() }));
    let players = (0..if one.is_some() { 1 } else { AT_ONCE }).map(|_| {
        let (ledger, points) = (Arc::clone(&ledger), Arc::clone(&points));
        tokio::spawn(async move {
            loop {
                let seed = {
                    let mut ledger = ledger.lock();
                    if ledger.restarts >= restarts || (one.is_some() && ledger.worlds > 0) {
                        return;
                    }
                    ledger.next_seed += 1;
                    ledger.next_seed - 1
                };
                let world = play(seed, &points, &ledger).await;
                let mut ledger = ledger.lock();
                ledger.worlds += 1;
                ledger.restarts += world.deaths;
                ledger.uncertain += world.acknowledged.settled.len();
                ledger.died_at.extend(world.died_at);
                ledger.passed.extend(world.passed);
            }
        })
    });
    for player in players.collect::<Vec<_>>() {
        if let Err(broken) = player.await {
            std::panic::resume_unwind(broken.into_panic());
        }
    }
    let ledger = ledger.lock();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} worlds, {} restarts in {seconds:.0} s ({:.1} a second), killed at {} of {} named points, {} steps settled",
        ledger.worlds,
        ledger.restarts,
        ledger.restarts as f64 / seconds,
        ledger.died_at.len(),
        ledger.passed.union(&ledger.died_at).count(),
        ledger.uncertain
    );
    if one.is_none() {
        // The test would prove little if these did not happen.
        assert!(ledger.died_at.len() >= 40, "{:?}", ledger.died_at);
        assert!(ledger.uncertain > 0);
    }
}
