//! Views that follow the journal, and what of them lies on disk.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::domain::value::Digest;
use crate::projection::shelf::{Shelf, Upto};
use crate::projection::views::Views;
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::journal::{Journal, Part, Place, Receipt};

/// Entries read from the journal at a time when views are built.
const SCAN_ENTRIES: usize = 10_000;

/// Rows that change before they are put on the shelf without waiting for
/// [`KEEP_EVERY`]: a few MiB of memory, some tens of milliseconds to write.
const KEEP_ROWS: usize = 4_000;

/// How long a change stays only in memory. What is not on the shelf when the
/// process ends is folded again at the next start, so this is also about how
/// much of the journal a start must read.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// Changed rows past which the views wait for the shelf, so that a slow disk
/// costs time and not memory.
const KEEP_ROWS_MAX: usize = 10 * KEEP_ROWS;

/// What the entries add up to, and how far.
pub struct Following {
    /// The views.
    pub views: Arc<RwLock<Views>>,
    /// The number of the last record that they show.
    pub seen: watch::Receiver<u64>,
    /// Where the rows lie that are not in use.
    pub shelf: Option<Arc<dyn Shelf>>,
}

/// Whether what is kept on a shelf was folded from this journal.
///
/// # Errors
/// When the journal cannot be read.
pub async fn is_of(journal: &dyn Journal, upto: Upto) -> Result<bool, StoreError> {
    Ok(upto.position <= journal.head().position && hash_of(journal, upto.position).await? == Some(upto.hash))
}

/// The hash of a record, which covers all before it.
async fn hash_of(journal: &dyn Journal, position: u64) -> Result<Option<Digest>, StoreError> {
    let head = journal.head();
    if head.position == position {
        return Ok(Some(head.hash));
    }
    let Some(before) = position.checked_sub(1) else {
        return Ok(None);
    };
    let (parts, _) = journal.parts(Place::Records(before), position).await?;
    Ok(parts.into_iter().find_map(|part| match part {
        Part::Record { position: at, bytes, .. } if at == position => codec::hash(&bytes).ok(),
        _ => None,
    }))
}

/// Builds the views, from the shelf and from what the journal holds after record
/// `from`, and has them follow the journal.
///
/// # Errors
/// When the journal cannot be read.
pub async fn follow(
    journal: &Arc<dyn Journal>,
    shelf: Option<Arc<dyn Shelf>>,
    from: u64,
) -> Result<Following, StoreError> {
    let views = shelf.as_ref().map(Views::on).unwrap_or_default();
    let views = Arc::new(RwLock::new(views));
    let follow = journal.follow();
    let (told, seen) = watch::channel(from);
    let mut follower = Follower {
        journal: Arc::clone(journal),
        views: Arc::clone(&views),
        shelf: shelf.clone(),
        position: from,
        changed_at: None,
        keeping: None,
        failing: false,
        told,
    };
    follower.catch_up().await?;
    let _ = follower.told.send(follower.position);
    tokio::spawn(follower.run(follow));
    Ok(Following { views, seen, shelf })
}

struct Follower {
    journal: Arc<dyn Journal>,
    views: Arc<RwLock<Views>>,
    shelf: Option<Arc<dyn Shelf>>,
    /// The number of the last record that the views show.
    position: u64,
    /// Since when something is not on the shelf.
    changed_at: Option<Instant>,
    /// What is being put on the shelf.
    keeping: Option<JoinHandle<Result<(), String>>>,
    /// Whether the last try to put something on the shelf failed.
    failing: bool,
    told: watch::Sender<u64>,
}

impl Follower {
    async fn run(mut self, mut follow: broadcast::Receiver<Receipt>) {
        loop {
            let due = self.changed_at.filter(|_| self.keeping.is_none()).map(|since| since + KEEP_EVERY);
            tokio::select! {
                received = follow.recv() => match received {
                    Ok(receipt) => self.apply(&receipt),
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        if let Err(error) = self.catch_up().await {
                            tracing::error!(%error, "the journal could not be read again");
                            return;
                        }
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                kept = ended(&mut self.keeping) => self.kept(kept),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.keep().await;
                }
            }
            if self.told.send(self.position).is_err() {
                return;
            }
            self.keep_many().await;
        }
    }

    fn apply(&mut self, receipt: &Receipt) {
        if receipt.position <= self.position {
            return;
        }
        let mut views = self.views.write();
        for entry in receipt.entries.iter() {
            views.apply(entry);
        }
        self.position = receipt.position;
        self.changed_at.get_or_insert_with(Instant::now);
    }

    async fn catch_up(&mut self) -> Result<(), StoreError> {
        loop {
            let entries = self.journal.scan(self.position, SCAN_ENTRIES).await?;
            let Some((last, _)) = entries.last() else {
                return Ok(());
            };
            let last = *last;
            {
                let mut views = self.views.write();
                for (_, entry) in &entries {
                    views.apply(entry);
                }
            }
            self.position = last;
            self.changed_at.get_or_insert_with(Instant::now);
            self.keep_many().await;
        }
    }

    /// Puts on the shelf what changed, when that is much; waits for the shelf when
    /// it is very much.
    async fn keep_many(&mut self) {
        // What failed lately is tried again by the clock, not at every entry.
        if self.shelf.is_none() || self.failing {
            return;
        }
        let changed = self.views.write().changed();
        if changed >= KEEP_ROWS_MAX && self.keeping.is_some() {
            let kept = ended(&mut self.keeping).await;
            self.kept(kept);
        }
        if changed >= KEEP_ROWS && self.keeping.is_none() {
            self.keep().await;
        }
    }

    /// Begins to put on the shelf what changed.
    async fn keep(&mut self) {
        self.changed_at = None;
        let Some(shelf) = self.shelf.clone() else { return };
        let position = self.position;
        let hash = match hash_of(&*self.journal, position).await {
            Ok(Some(hash)) => hash,
            Ok(None) => return,
            Err(error) => {
                return tracing::error!(%error, position, "a record of the journal could not be read");
            }
        };
        let changes = self.views.write().take();
        let upto = Upto { position, hash };
        self.keeping = Some(tokio::task::spawn_blocking(move || shelf.keep(changes, upto)));
    }

    fn kept(&mut self, kept: Result<(), String>) {
        let mut views = self.views.write();
        match kept {
            Ok(()) => {
                views.settle();
                self.failing = false;
            }
            Err(error) => {
                // The journal has it all; a later try may succeed.
                views.put_back();
                self.changed_at = Some(Instant::now());
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        error,
                        "views cannot be written to disk; they stay in memory until they can"
                    );
                }
            }
        }
    }
}

/// Done when what is being put on the shelf is there, or could not be put there;
/// never when nothing is.
async fn ended(keeping: &mut Option<JoinHandle<Result<(), String>>>) -> Result<(), String> {
    let Some(task) = keeping else {
        return std::future::pending().await;
    };
    let kept = task.await;
    *keeping = None;
    kept.unwrap_or_else(|error| Err(error.to_string()))
}
