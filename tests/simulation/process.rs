//! The real scheduler over a journal in memory: the process dies around the
//! appends that a seed chooses and starts again, until every run has ended.
//! Writing a report is the effect that is watched; it never succeeds here, so
//! that it is tried again and waited for.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast;
use tokio::task::yield_now;
use ulid::Ulid;

use quell::connector::hub::Hub;
use quell::domain::command::{Command, Phase};
use quell::domain::event::{Entry, Event, RunStarted};
use quell::domain::id::{IncidentId, RunId, StreamId};
use quell::domain::owed::commands;
use quell::domain::run::StepKey;
use quell::domain::signal::Signal;
use quell::domain::time::Timestamp;
use quell::domain::value::{Digest, Value};
use quell::guard::contained::Contained;
use quell::guard::people::People;
use quell::guard::verdict::Guard;
use quell::playbook::library::{Library, Prepared};
use quell::projection::dossier::Dossier;
use quell::report::templates::{TEMPLATES, Templates};
use quell::scheduler::run::{Scheduler, Start};
use quell::step::kind::Surroundings;
use quell::step::link::LinkKey;
use quell::step::world::{Records, World};
use quell::store::error::StoreError;
use quell::store::journal::{Batch, Erase, Head, Journal, Parts, Place, Receipt, Rest, Stored};
use quell::store::memory::MemoryJournal;

use crate::chance::Chance;

/// A run that calls a run of the other, once for each item.
const CALLER: &str = "
playbook: caller
version: 1
title: Writes, waits, and lets another write
posture: overt
steps:
  - { id: first, report: { template: executive }, on_error: continue }
  - { id: rest, wait: 2h }
  - id: each
    for_each: ${ [1, 2] }
    on_error: continue
    steps:
      - { id: other, playbook: callee, on_error: continue }
      - { id: again, report: { template: technical }, on_error: continue }
";
const CALLEE: &str = "
playbook: callee
version: 1
title: Writes twice
posture: overt
steps:
  - { id: one, report: { template: executive }, on_error: continue, retry: { times: 1 } }
  - { id: two, report: { template: executive }, on_error: continue, retry: { times: 1 } }
";

/// Lives of one process; after the last nothing kills it any more.
const LIVES: usize = 6;
/// Rounds of all tasks after which everybody who can go on has gone on.
const ROUNDS: usize = 40;
/// Turns of one life that count as stuck.
const TURNS_MAX: usize = 500;

thread_local! {
    static CLOCK: Cell<i64> = const { Cell::new(0) };
    static WATCH: RefCell<Watch> = RefCell::new(Watch::default());
}

/// What is watched of the simulation on this thread.
#[derive(Default)]
struct Watch {
    kept: Option<Arc<MemoryJournal>>,
    carried_out: BTreeSet<(RunId, StepKey, u32)>,
    broken: Option<String>,
}

fn now() -> Timestamp {
    Timestamp::from_millis(CLOCK.get())
}

/// The attempts to act whose intents are durable and whose outcomes are not.
fn in_flight(entries: &[Entry]) -> BTreeSet<(StepKey, u32)> {
    let mut open = BTreeSet::new();
    for entry in entries {
        match &entry.event {
            Event::AttemptStarted { key, phase: Phase::Act, attempt, .. } => {
                open.insert((key.clone(), *attempt));
            }
            Event::AttemptEnded { key, attempt, .. } | Event::AttemptLost { key, attempt, .. } => {
                open.remove(&(key.clone(), *attempt));
            }
            _ => {}
        }
    }
    open
}

/// A report is being written for this run: is that what the journal says?
async fn carried_out(run: RunId) {
    let Some(kept) = WATCH.with_borrow(|watch| watch.kept.clone()) else { return };
    let entries = kept.read(StreamId::Run(run), 0).await.unwrap_or_default();
    let attempt = in_flight(&entries).into_iter().next();
    WATCH.with_borrow_mut(|watch| {
        let broken = match attempt {
            None => Some(format!("{run} acts before its intent was durable")),
            Some((key, attempt)) => (!watch.carried_out.insert((run, key.clone(), attempt)))
                .then(|| format!("attempt {attempt} of {key} was carried out twice")),
        };
        watch.broken = watch.broken.take().or(broken);
    });
}

/// Whoever writes a report asks here first.
struct Watched;

impl Records for Watched {
    fn dossier(&self, run: RunId, _number: u16) -> BoxFuture<'_, Result<Dossier, String>> {
        async move {
            carried_out(run).await;
            Err("nothing can be read now".to_owned())
        }
        .boxed()
    }

    fn keep_report(&self, name: String, _bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        async { Ok(name) }.boxed()
    }

    fn kept_report(&self, _name: String) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        async { Err("not here".to_owned()) }.boxed()
    }

    fn contained<'a>(
        &'a self,
        _run: RunId,
        _act: Option<&'a StepKey>,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Contained, String>> {
        async { Ok(Contained::default()) }.boxed()
    }
}

/// A disk that takes its time, and a process that dies at one of its appends.
struct Mortal {
    kept: Arc<MemoryJournal>,
    chance: parking_lot::Mutex<Chance>,
    /// Appends before it dies.
    left: AtomicU64,
    dead: AtomicBool,
}

impl Stored for Mortal {
    fn parts(&self, from: Place, until: u64) -> BoxFuture<'_, Result<Parts, StoreError>> {
        self.kept.parts(from, until)
    }

    fn erased_at(&self) -> u64 {
        self.kept.erased_at()
    }
}

impl Journal for Mortal {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        async move {
            let (rounds, written) = {
                let mut chance = self.chance.lock();
                (chance.below(6), chance.percent(50))
            };
            for _ in 0..rounds {
                yield_now().await;
            }
            if self.dead.load(Ordering::SeqCst) {
                return pending().await;
            }
            if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
                return self.kept.append(batch).await;
            }
            self.dead.store(true, Ordering::SeqCst);
            if written {
                self.kept.append(batch).await?;
            }
            // Nobody hears of it.
            pending().await
        }
        .boxed()
    }

    fn erase(&self, order: Erase) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        self.kept.erase(order)
    }

    fn read(&self, stream: StreamId, after: u64) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.kept.read(stream, after)
    }

    fn scan(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<(u64, Entry)>, StoreError>> {
        self.kept.scan(after, limit)
    }

    fn blob(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<[u8]>>, StoreError>> {
        self.kept.blob(digest)
    }

    fn key(&self, key: &str) -> BoxFuture<'_, Result<Option<StreamId>, StoreError>> {
        self.kept.key(key)
    }

    fn rests(&self) -> BoxFuture<'_, Result<HashMap<RunId, Rest>, StoreError>> {
        self.kept.rests()
    }

    fn head(&self) -> Head {
        self.kept.head()
    }

    fn follow(&self) -> broadcast::Receiver<Receipt> {
        self.kept.follow()
    }

    fn health(&self) -> Result<(), StoreError> {
        self.kept.health()
    }
}

/// The same for all: reading its templates takes longer than all the rest.
fn world() -> Arc<World> {
    static WORLD: OnceLock<Arc<World>> = OnceLock::new();
    let world = || {
        Arc::new(World {
            hub: Hub::new(BTreeMap::new(), now),
            people: People::default(),
            templates: Templates::load(TEMPLATES, std::iter::empty())
                .unwrap_or_else(|errors| panic!("{errors:?}")),
            guard: Guard::default(),
            mail: None,
            mail_from: "quell@example.com".to_owned(),
            public_url: "http://127.0.0.1:1".to_owned(),
            links: LinkKey::new([7; 32]),
            records: Arc::new(Watched),
            now,
        })
    };
    Arc::clone(WORLD.get_or_init(world))
}

fn caller() -> Arc<Prepared> {
    static CALLER_PLAN: OnceLock<Arc<Prepared>> = OnceLock::new();
    let prepared = || {
        let around = Surroundings {
            connectors: BTreeMap::new(),
            templates: TEMPLATES
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            groups: None,
            configured: None,
            playbooks: BTreeMap::new(),
        };
        let files = [("caller.yaml", CALLER), ("callee.yaml", CALLEE)];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let (library, mistakes) = Library::load(files, &around);
        assert!(mistakes.is_empty(), "{mistakes:#?}");
        Arc::clone(&library.playbooks["caller"])
    };
    Arc::clone(CALLER_PLAN.get_or_init(prepared))
}

/// What a seed showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How often the process died.
    pub deaths: u32,
    /// Reports that were begun.
    pub carried_out: usize,
    /// Attempts that were lost with their process.
    pub lost: usize,
    /// Runs that ended.
    pub ended: usize,
    /// The hash over all records of the journal.
    pub trace: String,
}

/// Some runs from beginning to end, over as many lives as it takes.
pub fn play(seed: u64) -> Result<Shown, String> {
    let mut chance = Chance::new(seed);
    let kept = Arc::new(MemoryJournal::new());
    CLOCK.set(1_795_000_000_000);
    WATCH.set(Watch { kept: Some(Arc::clone(&kept)), ..Watch::default() });
    let runs: Vec<RunId> = (0..1 + chance.below(3))
        .map(|n| RunId::new(Ulid::from_parts(1, u128::from(seed * 8 + n) + 1)))
        .collect();
    let mut shown = Shown::default();
    for life in 0.. {
        let left = if life < LIVES { 1 + chance.below(40) } else { u64::MAX };
        let journal = Arc::new(Mortal {
            kept: Arc::clone(&kept),
            chance: parking_lot::Mutex::new(Chance::new(chance.next())),
            left: AtomicU64::new(left),
            dead: AtomicBool::new(false),
        });
        // Everything a process has in memory goes with its runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let lived = runtime.block_on(live(&journal, &runs));
        if let Some(broken) = WATCH.with_borrow_mut(|watch| watch.broken.take()) {
            return Err(broken);
        }
        if lived? {
            break;
        }
        shown.deaths += 1;
    }
    summed(&kept, shown)
}

/// One life; true when every run has ended, false when the process died.
async fn live(journal: &Arc<Mortal>, runs: &[RunId]) -> Result<bool, String> {
    let scheduler = Scheduler::new(Arc::clone(journal) as Arc<dyn Journal>, world());
    let begun = known(&journal.kept).await;
    for &run in runs.iter().filter(|run| !begun.contains_key(*run)) {
        tokio::spawn(start(Arc::clone(&scheduler), run));
    }
    let taken_up = Arc::clone(&scheduler);
    tokio::spawn(async move { taken_up.recover(begun).await });
    for _ in 0..TURNS_MAX {
        for _ in 0..ROUNDS {
            yield_now().await;
        }
        if journal.dead.load(Ordering::SeqCst) {
            return Ok(false);
        }
        if scheduler.load_now().0 > 0 {
            continue;
        }
        match next_wake(journal, &scheduler, runs).await? {
            None => return Ok(true),
            Some((at, run)) => {
                CLOCK.set(CLOCK.get().max(at.millis()));
                let woken = Arc::clone(&scheduler);
                tokio::spawn(async move { woken.signal(run, Signal::Wake).await });
            }
        }
    }
    Err("it never comes to rest".to_owned())
}

/// The runs that the journal knows, those that a step called among them, each
/// with the number of its last entry.
async fn known(kept: &MemoryJournal) -> BTreeMap<RunId, u64> {
    let entries = kept.scan(0, usize::MAX).await.unwrap_or_default();
    let run = |(_, entry): (u64, Entry)| match entry.stream {
        StreamId::Run(run) => Some((run, entry.seq)),
        _ => None,
    };
    entries.into_iter().filter_map(run).collect()
}

/// The run that is to be woken next, and when; none when all have ended.
async fn next_wake(
    journal: &Mortal,
    scheduler: &Arc<Scheduler>,
    runs: &[RunId],
) -> Result<Option<(Timestamp, RunId)>, String> {
    let known = known(&journal.kept).await;
    let mut waiting = runs.iter().any(|run| !known.contains_key(run));
    let mut times = 0;
    let mut next: Option<(Timestamp, RunId)> = None;
    for run in known.into_keys() {
        let state = scheduler.replay(run).await.map_err(|error| error.to_string())?;
        waiting |= state.ended.is_none();
        let wake = commands(&state).into_iter().find_map(|command| match command {
            Command::WakeAt(at) => Some((at, run)),
            _ => None,
        });
        times += usize::from(wake.is_some());
        next = next.into_iter().chain(wake).min();
    }
    if scheduler.load_now().1 != times {
        return Err(format!("{times} runs wait for a time, and the timer knows {}", scheduler.load_now().1));
    }
    if waiting && next.is_none() {
        return Err("a run has not ended, and waits for nothing".to_owned());
    }
    Ok(next)
}

async fn start(scheduler: Arc<Scheduler>, run: RunId) {
    let prepared = caller();
    let started = RunStarted {
        run,
        plan: prepared.plan_digest,
        playbook: "caller".to_owned(),
        version: 1,
        incident: IncidentId::derived(run.ulid(), "incident"),
        alert: None,
        inputs: Value::Null,
        by: "trigger".to_owned(),
        requesters: Vec::new(),
        parent: None,
        again: None,
    };
    let plans = std::iter::once((prepared.plan_digest, &prepared.plan_bytes))
        .chain(prepared.callees.iter().map(|(digest, bytes)| (*digest, bytes)));
    let blobs: Vec<(Digest, Vec<u8>)> = plans.map(|(digest, bytes)| (digest, bytes.to_vec())).collect();
    let begin = Start {
        started,
        plan: Arc::clone(&prepared.plan),
        alert: None,
        urgency: quell::domain::urgency::Urgency::High,
        held: None,
    };
    let receipt = scheduler.start(vec![begin], Batch { blobs, ..Batch::default() }).await;
    let Some(kept) = WATCH.with_borrow(|watch| watch.kept.clone()) else { return };
    let entries = kept.read(StreamId::Run(run), 0).await.unwrap_or_default();
    if receipt.is_err() || entries.is_empty() {
        let why = format!("{run} was to begin, and the journal has {} entries: {receipt:?}", entries.len());
        WATCH.with_borrow_mut(|watch| watch.broken = watch.broken.take().or(Some(why)));
    }
}

/// What is on record in the end: every intent ended or was lost, every run ended.
fn summed(kept: &MemoryJournal, mut shown: Shown) -> Result<Shown, String> {
    let entries = kept.scan(0, usize::MAX).now_or_never().and_then(Result::ok).unwrap_or_default();
    let mut by_run: BTreeMap<RunId, Vec<Entry>> = BTreeMap::new();
    for (_, entry) in entries {
        if let StreamId::Run(run) = entry.stream {
            by_run.entry(run).or_default().push(entry);
        }
    }
    for (run, entries) in &by_run {
        if let Some((key, attempt)) = in_flight(entries).first() {
            return Err(format!("{run}: attempt {attempt} of {key} never ended"));
        }
        let count = |of: fn(&Event) -> bool| entries.iter().filter(|entry| of(&entry.event)).count();
        shown.lost += count(|event| matches!(event, Event::AttemptLost { .. }));
        match count(|event| matches!(event, Event::RunEnded { .. })) {
            1 => shown.ended += 1,
            times => return Err(format!("{run} ended {times} times")),
        }
    }
    shown.carried_out = WATCH.with_borrow(|watch| watch.carried_out.len());
    shown.trace = kept.head().hash.to_string();
    Ok(shown)
}
