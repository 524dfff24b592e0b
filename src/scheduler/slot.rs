//! The runs that are in memory, each behind its own lock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use crate::domain::command::Phase;
use crate::domain::id::RunId;
use crate::domain::run::{RunState, StepKey};

/// One attempt that a worker of this process holds.
pub type Held = (StepKey, Phase, u32);

/// What is in memory of one run.
#[derive(Default)]
pub struct Slot {
    /// Its state; read from the journal when first needed.
    pub state: Option<RunState>,
    /// The attempts that workers of this process hold. Any other attempt in
    /// flight was lost with the process that held it.
    pub held: HashSet<Held>,
    /// Whether the state was read from the journal: then it may be noted where the
    /// run rests.
    pub was_read: bool,
    /// Runs of other playbooks that were seen to, to begin or to cancel them.
    pub followed: HashSet<(RunId, bool)>,
}

/// All slots in use.
#[derive(Default)]
pub struct Slots {
    slots: Mutex<HashMap<RunId, Arc<AsyncMutex<Slot>>>>,
}

impl Slots {
    /// The slot of a run, made when there is none.
    pub fn get(&self, run: RunId) -> Arc<AsyncMutex<Slot>> {
        Arc::clone(self.slots.lock().entry(run).or_default())
    }

    /// Forgets a run that nothing in this process works on. Called with the
    /// slot locked; whoever waits for it still finds the same slot, and reads
    /// the state again.
    pub fn release(&self, run: RunId, slot: &mut Slot) {
        slot.state = None;
        slot.was_read = false;
        slot.followed.clear();
        let mut slots = self.slots.lock();
        // Two holders: the map and the caller. More means that somebody waits.
        if slots.get(&run).is_some_and(|held| Arc::strong_count(held) <= 2) {
            slots.remove(&run);
        }
    }

    /// How many runs are in memory.
    pub fn len(&self) -> usize {
        self.slots.lock().len()
    }

    /// Whether no run is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
