//! What keeps runs from moving and stands in no journal: a full disk, and runs
//! whose own record cannot be read.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::scheduler::run::SchedulerError;

/// Damaged runs that are kept; more of them tell a person nothing new.
const DAMAGED_MAX: usize = 1000;

/// What keeps runs from moving, as far as this process has met it.
#[derive(Default)]
pub struct Troubles {
    full_since: Mutex<Option<Timestamp>>,
    damaged: Mutex<BTreeMap<RunId, (Timestamp, String)>>,
}

impl Troubles {
    /// Takes in how a turn of a run went.
    pub(super) fn note<T>(&self, run: RunId, result: &Result<Option<T>, SchedulerError>, now: Timestamp) {
        match result {
            Ok(written) => {
                self.damaged.lock().remove(&run);
                if written.is_some() {
                    *self.full_since.lock() = None;
                }
            }
            Err(error) if error.is_full() => {
                self.full_since.lock().get_or_insert(now);
            }
            Err(error @ (SchedulerError::Quarantined { .. } | SchedulerError::Content { .. })) => {
                let mut damaged = self.damaged.lock();
                if damaged.len() < DAMAGED_MAX {
                    damaged.entry(run).or_insert_with(|| (now, error.to_string()));
                }
            }
            Err(_) => {}
        }
    }

    /// Since when the disk is full, as far as it was met.
    pub fn full_since(&self) -> Option<Timestamp> {
        *self.full_since.lock()
    }

    /// Runs that cannot go on because their record cannot be read, since when
    /// and why.
    pub fn damaged(&self) -> Vec<(RunId, Timestamp, String)> {
        self.damaged.lock().iter().map(|(run, (since, why))| (*run, *since, why.clone())).collect()
    }
}
