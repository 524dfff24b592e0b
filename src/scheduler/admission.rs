//! Who begins when not all can: the shell around `domain/queue.rs`.
//!
//! A run takes a place while something of it is being done. One that waits for
//! people or a time gives its place up, and takes one again without waiting
//! when it goes on: what has begun is never held back, and what is to be lifted
//! is never queued. What waits for its turn is in the journal, and here it is
//! an id and the name of its playbook.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::domain::id::RunId;
use crate::domain::queue::Limits;
use crate::domain::run::RunState;
use crate::domain::signal::Signal;
use crate::domain::urgency::Urgency;
use crate::scheduler::run::{Scheduler, SchedulerError};

/// Runs at work at the same time when the settings say nothing. Each holds its
/// state and a call or two: some megabytes together. Throughput on a small
/// machine is reached with 64; the rest is for calls that take long.
pub const RUNS_AT_ONCE_DEFAULT: usize = 256;

/// Runs that may wait for their turn when the settings say nothing: twice the
/// largest flood that we answer for. Each takes some hundred bytes here and the
/// row that every run has in the lists.
pub const QUEUE_DEFAULT: usize = 200_000;

/// How often it is looked whether what is under way has ended.
const LOOK_WHETHER_ENDED: Duration = Duration::from_millis(20);

/// The limits when the settings say nothing.
pub fn default_limits() -> Limits {
    Limits::runs(RUNS_AT_ONCE_DEFAULT, QUEUE_DEFAULT, BTreeMap::new())
}

/// A run that waited for its turn when the process ended.
pub struct Queued {
    /// Which.
    pub run: RunId,
    /// Its playbook.
    pub playbook: Arc<str>,
    /// How urgent it is.
    pub urgency: Urgency,
}

/// Room in the queue for runs that are about to be accepted, given back when it
/// is dropped: they wait there by then, or they never came to be.
pub struct Room {
    scheduler: Arc<Scheduler>,
    count: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.scheduler.queue.lock().release(self.count);
    }
}

impl Scheduler {
    /// Keeps room for runs that are about to be accepted, all or none.
    ///
    /// # Errors
    /// When too many wait already; then nothing is to be stored of them.
    pub fn room_for(self: &Arc<Self>, count: usize, urgency: Urgency) -> Result<Room, SchedulerError> {
        let mut queue = self.queue.lock();
        if !queue.reserve(count, urgency) {
            return Err(SchedulerError::Crowded { waiting: queue.len() });
        }
        Ok(Room { scheduler: Arc::clone(self), count })
    }

    /// Runs that wait for their turn, by urgency.
    pub fn queue_lengths(&self) -> [(Urgency, usize); Urgency::ALL.len()] {
        self.queue.lock().lengths()
    }

    /// Takes up the runs that waited when the last process ended; the first to
    /// come stand first.
    pub fn line_up(self: &Arc<Self>, runs: impl IntoIterator<Item = Queued>) {
        let mut queue = self.queue.lock();
        for waits in runs {
            queue.wait(waits.run, &waits.playbook, waits.urgency);
        }
        drop(queue);
        self.admit();
    }

    /// Whether a run may begin at once; it has its place then.
    pub(super) fn may_begin(&self, run: RunId, playbook: &str, urgency: Urgency) -> bool {
        let mut queue = self.queue.lock();
        if urgency == Urgency::Access && !self.is_stopping() {
            // Somebody's access hangs on the run that waits for it.
            queue.enter(run, playbook);
            return true;
        }
        queue.try_enter(run, playbook, urgency)
    }

    /// A run is in the journal and waits for its turn.
    pub(super) fn wait_for_turn(self: &Arc<Self>, run: RunId, playbook: &str, urgency: Urgency) {
        self.queue.lock().wait(run, playbook, urgency);
        // A place may have become free since it was asked for one.
        self.admit();
    }

    /// Takes a place for a run at work, and gives it up for one at rest.
    pub(super) fn keep_place(self: &Arc<Self>, run: RunId, state: &RunState, at_rest: bool) {
        if state.queued.is_some() {
            return;
        }
        if at_rest {
            return self.leave(run);
        }
        if let Some((started, _)) = &state.started {
            self.queue.lock().enter(run, &started.playbook);
        }
    }

    /// Gives up the place of a run, at work or in the queue.
    pub(super) fn leave(self: &Arc<Self>, run: RunId) {
        self.queue.lock().leave(run);
        self.admit();
    }

    /// Gives up the place of a run at work; one that waits goes on waiting.
    pub(super) fn rest(self: &Arc<Self>, run: RunId) {
        self.queue.lock().rest(run);
        self.admit();
    }

    /// Lets those begin whose turn it is.
    fn admit(self: &Arc<Self>) {
        loop {
            let Some(run) = self.queue.lock().take_next() else { return };
            let scheduler = Arc::clone(self);
            tokio::spawn(async move { scheduler.begin(run).await });
        }
    }

    /// The turn of a run has come. While the disk is full it keeps its place
    /// and waits for space.
    async fn begin(self: &Arc<Self>, run: RunId) {
        loop {
            self.until_space().await;
            match self.signal(run, Signal::Admit).await {
                Err(error) if error.is_full() => {}
                Err(error) => {
                    tracing::error!(%run, %error, "a run that waited for its turn could not begin");
                    return self.leave(run);
                }
                Ok(_) => return,
            }
        }
    }

    /// Whether nothing new begins any more in this process.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Begins nothing new: no run, no step, no attempt. What waits for a call's
    /// turn is called off, and what is under way goes on to its end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.queue.lock().close();
        self.world.hub.close();
        self.attempts.close();
        self.urgent_attempts.close();
        self.ends.close();
    }

    /// Waits until everything under way has ended and is recorded. What has not
    /// when this is dropped is taken up at the next start, as after a crash.
    pub async fn drained(&self) {
        while self.load_now().0 > 0 {
            tokio::time::sleep(LOOK_WHETHER_ENDED).await;
        }
    }
}
