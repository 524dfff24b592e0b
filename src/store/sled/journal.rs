//! The journal on a disk: what callers hold.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::domain::event::Entry;
use crate::domain::id::{RunId, StreamId};
use crate::domain::value::Digest;
use crate::store::error::StoreError;
use crate::store::journal::{
    Batch, Erase, FOLLOW_BUFFER_BATCHES, Head, Journal, Parts, Place, Receipt, Rest, Stored,
};
use crate::store::sled::ballast::Space;
use crate::store::sled::committer::Committer;
use crate::store::sled::disk::{Disk, MAX_INLINE_BYTES, guarded};
use crate::store::sled::open::{self, Opened};
use crate::store::sled::parts::Faults;
use crate::store::sled::prepare::{Draft, Job, Known};
use crate::store::sled::sweep::Durable;
use crate::store::sled::verify::{self, Verified};
use crate::store::tombstone;

/// Batches that may wait for the committer; the next caller waits before it.
const WAITING_JOBS: usize = 1024;

/// What may differ from disk to disk.
#[derive(Debug, Clone)]
pub struct Options {
    /// Under this much free space, in bytes, the disk counts as full and nothing
    /// is appended. sled's file grows by 8 MiB segments, and a full disk stops it
    /// from opening; 32 MiB are four of them.
    pub min_free_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { min_free_bytes: 32 << 20 }
    }
}

/// The journal in a directory. Dropping it waits for the batches in hand.
pub struct SledJournal {
    shared: Arc<Shared>,
    /// Taken when dropped, so that the committer ends.
    jobs: Option<mpsc::Sender<Job>>,
    committer: Option<JoinHandle<()>>,
}

/// How long making a group durable may take. It takes milliseconds; disks that are
/// shared stall for seconds. Past it the journal counts as stopped, so that the server
/// ends and is started again: sled can wait for ever for a write that failed.
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// What the journal, its readers and its committer share.
pub struct Shared {
    pub disk: Disk,
    pub space: Space,
    pub known: Known,
    /// The record of the last order to erase since the journal was opened.
    pub erased_at: AtomicU64,
    head: Mutex<Head>,
    failure: Mutex<Option<StoreError>>,
    /// Since when a group is being made durable.
    committing: Mutex<Option<Instant>>,
    live: broadcast::Sender<Receipt>,
}

impl Shared {
    /// The end of what is durable.
    pub fn head(&self) -> Head {
        *self.head.lock()
    }

    /// Shows what has become durable.
    pub fn publish(&self, head: Head, receipts: impl Iterator<Item = Receipt>) {
        *self.head.lock() = head;
        for receipt in receipts {
            // Nobody following is no error.
            let _ = self.live.send(receipt);
        }
    }

    /// Remembers the first failure; it is final.
    pub fn fail(&self, error: &StoreError) {
        self.failure.lock().get_or_insert_with(|| error.clone());
    }

    /// Notes that a group is being made durable, or that this is over.
    pub fn set_committing(&self, since: Option<Instant>) {
        *self.committing.lock() = since;
    }

    /// Whether a group is being made durable for longer than it may.
    fn hangs(&self) -> bool {
        self.committing.lock().is_some_and(|since| since.elapsed() > COMMIT_WITHIN)
    }

    /// What stopped the journal, when something did.
    pub fn failure(&self) -> Option<StoreError> {
        if self.hangs() {
            let why = format!("nothing came of it for {} s", COMMIT_WITHIN.as_secs());
            self.fail(&StoreError::Io { doing: "writing the journal".to_owned(), why });
        }
        let why = self.failure.lock().as_ref()?.to_string();
        Some(StoreError::Stopped { why })
    }
}

impl SledJournal {
    /// Opens the journal in `dir`, or makes a new one there. Blocks: some
    /// milliseconds for a small journal, under a second for a million records.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open,
    /// [`StoreError::Damaged`] when it is not what was acknowledged or a newer
    /// program wrote it (nothing is appended then), [`StoreError::Full`],
    /// [`StoreError::Io`].
    pub fn open(dir: &Path, options: &Options) -> Result<Self, StoreError> {
        let Opened { disk, space, db_file, head_file, head } = open::open(dir, options)?;
        let shared = Arc::new(Shared {
            disk,
            space,
            known: Known::default(),
            erased_at: AtomicU64::new(0),
            head: Mutex::new(head),
            failure: Mutex::new(None),
            committing: Mutex::new(None),
            live: broadcast::Sender::new(FOLLOW_BUFFER_BATCHES),
        });
        let (jobs, waiting) = mpsc::channel(WAITING_JOBS);
        let committer = Committer::new(shared.clone(), waiting, db_file, head_file);
        let committer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| StoreError::io("starting the journal's thread", &error))?;
        Ok(Self { shared, jobs: Some(jobs), committer: Some(committer) })
    }

    /// Walks the whole journal: every record follows the one before, every entry
    /// decodes, the index has each entry and nothing else, every content is what
    /// its digest says, plans and alerts that entries name are there, every
    /// unique key leads to a record, and where a record or a content was erased the
    /// journal says so.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first record that is not as written.
    pub fn verify(&self) -> BoxFuture<'_, Result<Verified, StoreError>> {
        let head = self.shared.head();
        self.blocking("checking the journal", move |disk| verify::check_all(disk, head))
    }

    /// Does what may wait for the disk where waiting is no harm.
    fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let shared = self.shared.clone();
        Box::pin(spawn(move || guarded(doing, || work(&shared.disk))))
    }

    async fn prepare(&self, batch: Batch) -> Result<Draft, StoreError> {
        let blob_bytes: usize = batch.blobs.iter().map(|(_, bytes)| bytes.len()).sum();
        let shared = self.shared.clone();
        if blob_bytes > MAX_INLINE_BYTES {
            // Hashing megabytes takes milliseconds, and so do the files.
            return spawn(move || {
                let mut draft = Draft::new(batch, &shared.known)?;
                draft.write_files(&shared.disk.contents, &shared.known)?;
                Ok(draft)
            })
            .await;
        }
        let mut draft = Draft::new(batch, &shared.known)?;
        if !draft.has_files() {
            return Ok(draft);
        }
        spawn(move || {
            draft.write_files(&shared.disk.contents, &shared.known)?;
            Ok(draft)
        })
        .await
    }

    async fn append_durably(&self, batch: Batch) -> Result<Receipt, StoreError> {
        self.health()?;
        let draft = self.prepare(batch).await?;
        self.commit(draft).await
    }

    async fn erase_durably(&self, order: Erase) -> Result<Receipt, StoreError> {
        self.health()?;
        let shared = self.shared.clone();
        let draft = spawn(move || {
            guarded("looking at what is to be erased", || {
                let shelf = Durable { disk: &shared.disk, head: shared.head().position };
                let mut draft = Draft::erasing(tombstone::plan(&order, &shelf)?)?;
                draft.write_files(&shared.disk.contents, &shared.known)?;
                Ok(draft)
            })
        });
        self.commit(draft.await?).await
    }

    async fn commit(&self, draft: Draft) -> Result<Receipt, StoreError> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(|| self.gone())?;
        jobs.send(draft.job(reply)).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// The committer has ended.
    fn gone(&self) -> StoreError {
        self.shared.failure().unwrap_or_else(|| StoreError::Stopped { why: "it was closed".to_owned() })
    }
}

/// Runs blocking work on a thread made for it.
async fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::Stopped { why: format!("work on the disk did not end: {error}") })
    })
}

impl Drop for SledJournal {
    fn drop(&mut self) {
        self.jobs = None;
        // One that hangs may never end; whoever starts next finds what is durable.
        if let Some(committer) = self.committer.take().filter(|_| !self.shared.hangs()) {
            // It catches its own panics; there is nobody left to tell of another.
            let _ = committer.join();
        }
    }
}

impl Stored for SledJournal {
    fn parts(&self, from: Place, until: u64) -> BoxFuture<'_, Result<Parts, StoreError>> {
        let until = until.min(self.shared.head().position);
        self.blocking("copying the journal", move |disk| disk.parts(from, until, Faults::Refuse))
    }

    fn erased_at(&self) -> u64 {
        self.shared.erased_at.load(Ordering::SeqCst)
    }
}

impl Journal for SledJournal {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        Box::pin(self.append_durably(batch))
    }

    fn erase(&self, order: Erase) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        Box::pin(self.erase_durably(order))
    }

    fn read(&self, stream: StreamId, after: u64) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        let head = self.shared.head().position;
        self.blocking("reading a stream", move |disk| disk.stream(stream, after, head))
    }

    fn scan(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<(u64, Entry)>, StoreError>> {
        let head = self.shared.head().position;
        self.blocking("reading the journal", move |disk| disk.scan(after, head, limit))
    }

    fn blob(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<[u8]>>, StoreError>> {
        self.blocking("reading a blob", move |disk| disk.blob(digest))
    }

    fn key(&self, key: &str) -> BoxFuture<'_, Result<Option<StreamId>, StoreError>> {
        let head = self.shared.head().position;
        let key = key.to_owned();
        self.blocking("reading a key", move |disk| disk.key(&key, head))
    }

    fn rests(&self) -> BoxFuture<'_, Result<HashMap<RunId, Rest>, StoreError>> {
        self.blocking("reading where runs rest", move |disk| disk.rests())
    }

    fn head(&self) -> Head {
        self.shared.head()
    }

    fn follow(&self) -> broadcast::Receiver<Receipt> {
        self.shared.live.subscribe()
    }

    fn health(&self) -> Result<(), StoreError> {
        match self.shared.failure() {
            Some(why) => Err(why),
            None => self.shared.space.check(),
        }
    }
}
