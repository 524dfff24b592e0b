//! Wakes runs at the times they asked for. Times are absolute and UTC; one that
//! has passed fires at once, so downtime only makes a wake late, never lost.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;

/// The longest sleep between two looks at the clock. A wall clock may be set
/// forward while we sleep; a minute late is the most that this can cost.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Times {
    by_time: BTreeSet<(Timestamp, RunId)>,
    by_run: HashMap<RunId, Timestamp>,
}

/// The times at which runs want to be woken; one for each run, its earliest.
#[derive(Clone, Default)]
pub struct Timer {
    times: Arc<Mutex<Times>>,
    changed: Arc<Notify>,
}

impl Timer {
    /// Sets, moves or clears the time of a run.
    pub fn set(&self, run: RunId, at: Option<Timestamp>) {
        let mut times = self.times.lock();
        let before = times.by_run.get(&run).copied();
        if before == at {
            return;
        }
        if let Some(before) = before {
            times.by_time.remove(&(before, run));
            times.by_run.remove(&run);
        }
        let Some(at) = at else { return };
        times.by_time.insert((at, run));
        times.by_run.insert(run, at);
        let first = times.by_time.first().is_some_and(|(_, first)| *first == run);
        drop(times);
        if first {
            self.changed.notify_one();
        }
    }

    /// Takes out the runs whose time has come.
    fn due(&self, now: Timestamp) -> Vec<RunId> {
        let mut times = self.times.lock();
        let mut due = Vec::new();
        while let Some(&(at, run)) = times.by_time.first() {
            if at > now {
                break;
            }
            times.by_time.pop_first();
            times.by_run.remove(&run);
            due.push(run);
        }
        due
    }

    /// The next runs to wake; returns when there is at least one.
    pub async fn next(&self, now: fn() -> Timestamp) -> Vec<RunId> {
        loop {
            let due = self.due(now());
            if !due.is_empty() {
                return due;
            }
            let first = self.times.lock().by_time.first().map(|(at, _)| *at);
            let wait = first.map_or(LOOK_AT_CLOCK, |at| at.since(now()).min(LOOK_AT_CLOCK));
            let _ = tokio::time::timeout(wait, self.changed.notified()).await;
        }
    }

    /// How many runs wait for a time.
    pub fn len(&self) -> usize {
        self.times.lock().by_run.len()
    }

    /// Whether no run waits for a time.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ulid::Ulid;

    #[test]
    fn a_run_is_woken_once_at_its_latest_setting_and_in_order() {
        let timer = Timer::default();
        let (a, b) = (RunId::new(Ulid::from_parts(1, 1)), RunId::new(Ulid::from_parts(1, 2)));
        timer.set(a, Some(Timestamp::from_millis(50)));
        timer.set(b, Some(Timestamp::from_millis(20)));
        timer.set(a, Some(Timestamp::from_millis(10)));
        assert_eq!(timer.due(Timestamp::from_millis(9)), vec![]);
        assert_eq!(timer.due(Timestamp::from_millis(60)), vec![a, b]);
        assert!(timer.is_empty());
    }
}
