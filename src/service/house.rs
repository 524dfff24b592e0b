//! What the service stands on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;
use ulid::Ulid;

use crate::domain::id::RunId;
use crate::domain::poll::PollSpec;
use crate::domain::time::Timestamp;
use crate::intake::signature::Door;
use crate::intake::source::SourceSpec;
use crate::playbook::library::Library;
use crate::projection::runs::RunRow;
use crate::projection::shelf::Shelf;
use crate::projection::views::Views;
use crate::scheduler::admission::Queued;
use crate::scheduler::run::Scheduler;
use crate::service::claims::Claims;
use crate::service::follow::Following;
use crate::service::gate::Gate;
use crate::service::polls::Polls;
use crate::service::triage::TriageRules;
use crate::step::kind::Surroundings;
use crate::step::world::World;
use crate::store::error::StoreError;
use crate::store::journal::{Journal, Receipt};

/// How long a call waits for the views.
const CATCH_UP: std::time::Duration = std::time::Duration::from_secs(1);

/// A configured source of alerts.
pub struct Source {
    /// How its payloads are read.
    pub spec: SourceSpec,
    /// How its deliveries are checked; none = it takes none, because it is polled.
    pub door: Option<Door>,
    /// Whether the headers of a delivery prove all that the door asks for, so that
    /// nothing is read of one that is not let in.
    pub proven_by_headers: bool,
    /// How it is asked for its alerts.
    pub poll: Option<PollSpec>,
    /// How large deliveries may be, and how often they may come.
    pub gate: Gate,
}

/// Every order and every question.
pub struct Service {
    /// The only truth.
    pub journal: Arc<dyn Journal>,
    /// The only writer.
    pub scheduler: Arc<Scheduler>,
    /// The house as steps see it.
    pub world: Arc<World>,
    /// What the entries add up to.
    pub views: Arc<RwLock<Views>>,
    /// Playbooks that can be run.
    pub library: RwLock<Arc<Library>>,
    /// What playbooks may name here.
    pub around: Surroundings,
    /// Sources by configured name.
    pub sources: BTreeMap<String, Source>,
    pub(super) triage_rules: TriageRules,
    pub(super) claims: Claims,
    /// How the polled ones stand.
    pub(super) polls: Polls,
    pub(super) seen: watch::Receiver<u64>,
    shelf: Option<Arc<dyn Shelf>>,
}

impl Service {
    /// Everything the service stands on, put together.
    pub fn new(
        scheduler: Arc<Scheduler>,
        journal: Arc<dyn Journal>,
        world: Arc<World>,
        following: Following,
        (library, around): (Library, Surroundings),
        (sources, triage_rules): (BTreeMap<String, Source>, TriageRules),
    ) -> Arc<Self> {
        for prepared in library.playbooks.values() {
            scheduler.keep_plan(prepared.plan_digest, Arc::clone(&prepared.plan));
        }
        Arc::new(Self {
            journal,
            scheduler,
            world,
            views: following.views,
            seen: following.seen,
            shelf: following.shelf,
            library: RwLock::new(Arc::new(library)),
            around,
            sources,
            triage_rules,
            claims: Claims::default(),
            polls: Polls::default(),
        })
    }

    /// Whether this process can do nothing more: the journal takes nothing, or the
    /// views on disk cannot be read. A full disk is no such thing: the journal
    /// takes appends again when there is space.
    pub fn is_stopped(&self) -> bool {
        self.is_journal_stopped() || self.fault().is_some()
    }

    /// Why the views cannot be trusted any more, when that is so.
    pub fn fault(&self) -> Option<String> {
        if self.seen.has_changed().is_err() {
            return Some("the views no longer follow the journal".to_owned());
        }
        self.shelf.as_ref()?.fault()
    }

    /// Whether the journal takes nothing more in this process.
    pub fn is_journal_stopped(&self) -> bool {
        !matches!(self.journal.health(), Ok(()) | Err(StoreError::Full))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.world.now)()
    }

    /// A fresh ULID.
    pub fn fresh(&self) -> Ulid {
        let mut random = [0u8; 16];
        // Without randomness there is nothing safe to do; the kernel always has some once booted.
        if getrandom::fill(&mut random).is_err() {
            tracing::error!("the system gives no randomness");
        }
        let millis = u64::try_from(self.now().millis()).unwrap_or(0);
        Ulid::from_parts(millis, u128::from_be_bytes(random))
    }

    /// Waits until the views show what this receipt made durable, so that who
    /// wrote something also sees it.
    pub async fn shown(&self, receipt: Option<&Receipt>) {
        let Some(receipt) = receipt else { return };
        let mut seen = self.seen.clone();
        let _ = seen.wait_for(|position| *position >= receipt.position).await;
    }

    /// Waits until the views show all that is durable now, but not for long:
    /// a view that lags is better than a call that hangs.
    pub async fn caught_up(&self) {
        let head = self.journal.head().position;
        let mut seen = self.seen.clone();
        let _ = tokio::time::timeout(CATCH_UP, seen.wait_for(|position| *position >= head)).await;
    }

    /// The runs that wait for their turn, the first to come first.
    pub fn queued(&self) -> Vec<Queued> {
        let views = self.views.read();
        let queued = |row: Cow<'_, RunRow>| {
            Some(Queued { run: row.id, playbook: Arc::clone(&row.playbook), urgency: row.queued? })
        };
        views.runs.live().filter_map(queued).collect()
    }

    /// The runs that have begun and not ended, or still hold something, each with
    /// the number of its last entry. Those come first that hold somebody longer than
    /// they may, the longest overdue at the head; without a number, so that they are
    /// taken up at once, wherever they rested. Also those that are over and rest
    /// all the same: what they did once is looked at again.
    ///
    /// # Errors
    /// When it cannot be read which runs rest.
    pub async fn unfinished(&self) -> Result<Vec<(RunId, u64)>, StoreError> {
        let resting = self.journal.rests().await?;
        let views = self.views.read();
        let holding = views.containments.holding();
        let holding = holding.filter_map(|row| Some((row.run, views.runs.seq(row.run)?)));
        let resting = resting.keys().filter_map(|run| Some((*run, views.runs.seq(*run)?)));
        let mut runs: Vec<(RunId, u64)> = views.runs.begun().chain(holding).chain(resting).collect();
        runs.sort_unstable();
        let mut seen = BTreeSet::new();
        let overdue = views.containments.overdue(self.now()).into_iter().map(|run| (run, 0));
        Ok(overdue.chain(runs).filter(|(run, _)| seen.insert(*run)).collect())
    }
}
