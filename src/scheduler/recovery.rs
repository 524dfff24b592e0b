//! Reads unfinished runs again after a stop. Recovery is not a mode: it is
//! replay, the signal that an attempt was lost, and the ordinary path.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::domain::id::RunId;
use crate::domain::signal::Signal;
use crate::scheduler::run::{Scheduler, SchedulerError};

impl Scheduler {
    /// Takes up the runs that have not ended or still hold something. Gives
    /// those that could not be taken up, with the reason; the others go on.
    pub async fn recover(
        self: &Arc<Self>,
        runs: impl IntoIterator<Item = RunId>,
    ) -> Vec<(RunId, SchedulerError)> {
        let mut failed = Vec::new();
        for run in runs {
            if let Err(error) = self.signal(run, Signal::Wake).await {
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
                for run in scheduler.timer.next(scheduler.world.now).await {
                    let scheduler = Arc::clone(&scheduler);
                    tokio::spawn(async move {
                        if let Err(error) = scheduler.signal(run, Signal::Wake).await {
                            tracing::error!(%run, %error, "a run could not be woken");
                        }
                    });
                }
            }
        })
    }
}
