//! Reads unfinished runs again after a stop. Recovery is not a mode: it is
//! replay, the signal that an attempt was lost, and the ordinary path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::domain::id::RunId;
use crate::domain::owed::RULES;
use crate::domain::planted::{Bug, planted};
use crate::domain::signal::Signal;
use crate::failpoint::pass;
use crate::scheduler::run::{Scheduler, SchedulerError};
use crate::store::error::StoreError;

/// How often a full disk is looked at again. Space that somebody makes is used
/// within a second or so; a look costs microseconds.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(1);

impl Scheduler {
    /// Takes up the runs that have not ended or still hold something, each with the
    /// number of its last entry. A run that rested when it was last written to is
    /// not read: it is a line in the timer. Gives those that could not be taken up,
    /// with the reason; the others go on. While the disk is full they are parked and
    /// taken up when there is space.
    pub async fn recover(
        self: &Arc<Self>,
        runs: impl IntoIterator<Item = (RunId, u64)>,
    ) -> Vec<(RunId, SchedulerError)> {
        let mut failed = Vec::new();
        let rests = self.journal.rests().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "where runs rest could not be read; all are replayed");
            HashMap::new()
        });
        for (run, seq) in runs {
            if let Some(rest) = rests.get(&run).filter(|rest| rest.seq == seq && rest.rules == RULES) {
                self.timer.set(run, rest.wake.filter(|_| !planted(Bug::StartForgetsTheTime)));
                continue;
            }
            if self.is_full() {
                self.park(run);
                continue;
            }
            pass("recover.run");
            if let Err(error) = self.signal(run, Signal::Wake).await {
                if error.is_full() {
                    self.park(run);
                    continue;
                }
                tracing::error!(%run, %error, "a run could not be taken up again");
                failed.push((run, error));
            }
        }
        failed
    }

    /// Wakes runs at their times, for as long as the handle is not aborted.
    pub fn keep_time(self: &Arc<Self>) -> JoinHandle<()> {
        let scheduler = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let due = scheduler.timer.next(scheduler.world.now).await;
                pass("timer.due");
                scheduler.until_space().await;
                for run in due {
                    let scheduler = Arc::clone(&scheduler);
                    tokio::spawn(async move {
                        match scheduler.signal(run, Signal::Wake).await {
                            Err(error) if error.is_full() => scheduler.park(run),
                            Err(error) => tracing::error!(%run, %error, "a run could not be woken"),
                            Ok(_) => {}
                        }
                    });
                }
            }
        })
    }

    /// Whether the journal takes nothing because its disk is full.
    fn is_full(&self) -> bool {
        matches!(self.journal.health(), Err(StoreError::Full))
    }

    /// Waits until the disk is not full any more.
    pub(super) async fn until_space(&self) {
        let mut told = false;
        while self.is_full() {
            if !told {
                tracing::error!("the disk of the journal is full: runs are parked until there is space");
                told = true;
            }
            tokio::time::sleep(LOOK_FOR_SPACE).await;
        }
        if told {
            tracing::warn!("there is space again: runs go on");
        }
    }

    /// Sets a run aside until there is space: it is woken at once, and waking
    /// waits for space.
    fn park(&self, run: RunId) {
        self.timer.set(run, Some((self.world.now)()));
    }
}
