//! A server's inside over a journal in memory: its clock is set by hand, and it
//! is killed around the appends that a test chooses.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use quell::connector::hub::Hub;
use quell::domain::event::{Entry, Event};
use quell::domain::id::{RunId, StreamId};
use quell::domain::run::StepKey;
use quell::domain::signal::Signal;
use quell::domain::time::Timestamp;
use quell::domain::value::Digest;
use quell::guard::contained::Contained;
use quell::guard::people::People;
use quell::guard::verdict::Guard;
use quell::playbook::library::Library;
use quell::projection::dossier::Dossier;
use quell::report::templates::{TEMPLATES, Templates};
use quell::scheduler::run::Scheduler;
use quell::service::error::ServiceError;
use quell::service::follow::follow;
use quell::service::house::Service;
use quell::service::schedules::LookAgain;
use quell::step::kind::Surroundings;
use quell::step::link::LinkKey;
use quell::step::world::{Records, World};
use quell::store::error::StoreError;
use quell::store::journal::{Batch, Erase, Head, Journal, Parts, Place, Receipt, Rest, Stored};
use quell::store::memory::MemoryJournal;

thread_local! {
    /// The clock of the test that runs on this thread.
    static CLOCK: Cell<i64> = const { Cell::new(0) };
}

pub fn now() -> Timestamp {
    Timestamp::from_millis(CLOCK.get())
}

pub fn set_clock(at: Timestamp) {
    CLOCK.set(at.millis());
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

struct NoRecords;

impl Records for NoRecords {
    fn dossier(&self, _run: RunId, _number: u16) -> BoxFuture<'_, Result<Dossier, String>> {
        async { Err("not here".to_owned()) }.boxed()
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

/// A journal that its process loses touch with at a chosen append.
pub struct Mortal {
    kept: Arc<MemoryJournal>,
    /// Appends until the process is killed; below zero: not at all.
    left: AtomicI64,
    /// Whether that append is written before it.
    written: bool,
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
            let gone = || StoreError::Io { doing: "appending".to_owned(), why: "killed".to_owned() };
            if self.dead.load(Ordering::SeqCst) {
                return Err(gone());
            }
            if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
                return self.kept.append(batch).await;
            }
            self.dead.store(true, Ordering::SeqCst);
            if self.written {
                self.kept.append(batch).await?;
            }
            Err(gone())
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

/// When the process is killed.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// Appends before it.
    pub after: u64,
    /// Whether the append it dies at is written.
    pub written: bool,
}

pub struct House {
    pub service: Arc<Service>,
    kept: Arc<MemoryJournal>,
}

/// A world in which nobody is called; the same for all, because reading its
/// templates takes longer than all the rest.
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
            records: Arc::new(NoRecords),
            now,
        })
    };
    Arc::clone(WORLD.get_or_init(world))
}

impl House {
    /// A process over what the journal holds, with these playbooks.
    pub async fn open(kept: &Arc<MemoryJournal>, playbooks: &[&str], death: Option<Death>) -> House {
        let journal: Arc<dyn Journal> = Arc::new(Mortal {
            kept: Arc::clone(kept),
            left: AtomicI64::new(death.map_or(-1, |death| i64::try_from(death.after).unwrap_or(-1))),
            written: death.is_some_and(|death| death.written),
            dead: AtomicBool::new(false),
        });
        let around = Surroundings {
            connectors: BTreeMap::new(),
            configured: None,
            templates: BTreeMap::new(),
            groups: None,
            playbooks: BTreeMap::new(),
        };
        let files =
            playbooks.iter().enumerate().map(|(nth, text)| (format!("{nth}.yaml"), (*text).to_owned()));
        let (library, mistakes) = Library::load(files, &around);
        assert!(mistakes.is_empty(), "{mistakes:#?}");
        let following = follow(&journal, None, 0).await.expect("the journal reads");
        let world = world();
        let scheduler = Scheduler::new(Arc::clone(&journal), Arc::clone(&world));
        let authored = (library, around);
        let service = Service::new(scheduler, journal, world, following, authored, Default::default());
        House { service, kept: Arc::clone(kept) }
    }

    /// Wakes the runs that wait for a time, and rules on what is due.
    pub async fn look(&self) -> Result<LookAgain, ServiceError> {
        for (run, _) in self.service.unfinished().await.expect("the journal reads") {
            let _ = self.service.scheduler.signal(run, Signal::Wake).await;
        }
        self.service.rule_on_schedules().await
    }

    /// Everything in the journal.
    pub async fn entries(&self) -> Vec<Entry> {
        let scanned = self.kept.scan(0, usize::MAX).await.expect("the journal reads");
        scanned.into_iter().map(|(_, entry)| entry).collect()
    }

    /// What schedules did, as a reader would say it.
    pub async fn told(&self) -> Vec<String> {
        let time = |at: Timestamp| at.to_chrono().format("%d %H:%M").to_string();
        let entries = self.entries().await;
        let said = entries.iter().filter_map(|entry| match &entry.event {
            Event::ScheduleArmed { from, .. } => Some(format!("armed {}", time(*from))),
            Event::ScheduleDisarmed => Some("disarmed".to_owned()),
            Event::ScheduleFired { due, .. } => Some(format!("run {}", time(*due))),
            Event::ScheduleQueued { due } => Some(format!("queue {}", time(*due))),
            Event::ScheduleSkipped { last, count, why, .. } => {
                Some(format!("skip {count} to {}: {why:?}", time(*last)))
            }
            _ => None,
        });
        said.collect()
    }
}
