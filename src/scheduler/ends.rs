//! Who waits for the end of a run, in this process. Nothing of it is on record: a
//! caller whose server stops asks again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::domain::id::RunId;
use crate::domain::value::Value;

/// Callers that wait, by run; `None` once the process stops.
type Waiting = Mutex<Option<HashMap<RunId, Vec<oneshot::Sender<Value>>>>>;

/// All who wait for ends.
#[derive(Clone)]
pub struct Ends(Arc<Waiting>);

impl Default for Ends {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(HashMap::new()))))
    }
}

impl Ends {
    /// Waits for the end of a run from here on. An end that was told before is not
    /// told again.
    pub fn wait(&self, run: RunId) -> EndOfRun {
        let (tell, told) = oneshot::channel();
        if let Some(waiting) = &mut *self.0.lock() {
            waiting.entry(run).or_default().push(tell);
        }
        EndOfRun { run, told, ends: self.clone() }
    }

    /// Tells all who wait for this run how it ended. `outcome` is worked out only
    /// when somebody waits.
    pub(super) fn tell(&self, run: RunId, outcome: impl FnOnce() -> Option<Value>) {
        let waiting = self.0.lock().as_mut().and_then(|waiting| waiting.remove(&run));
        let Some(waiting) = waiting else { return };
        let Some(outcome) = outcome() else { return };
        for caller in waiting {
            // Whoever hung up wants no answer.
            let _ = caller.send(outcome.clone());
        }
    }

    /// Lets all go who wait, now and from here on.
    pub(super) fn close(&self) {
        self.0.lock().take();
    }

    /// How many runs are waited for.
    pub fn len(&self) -> usize {
        self.0.lock().as_ref().map_or(0, HashMap::len)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The end of one run, for one caller. Dropping it ends the waiting.
pub struct EndOfRun {
    run: RunId,
    told: oneshot::Receiver<Value>,
    ends: Ends,
}

impl EndOfRun {
    /// How the run ended; nothing when this process stops before.
    pub async fn outcome(&mut self) -> Option<Value> {
        (&mut self.told).await.ok()
    }
}

impl Drop for EndOfRun {
    fn drop(&mut self) {
        self.told.close();
        if let Some(waiting) = &mut *self.ends.0.lock()
            && let Some(callers) = waiting.get_mut(&self.run)
        {
            callers.retain(|caller| !caller.is_closed());
            if callers.is_empty() {
                waiting.remove(&self.run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_end_is_told_once_and_who_goes_leaves_nothing_behind() {
        let ends = Ends::default();
        let run = RunId::new(ulid::Ulid(1));
        let (mut one, other) = (ends.wait(run), ends.wait(run));
        drop(other);
        ends.tell(run, || Some(json!("succeeded")));
        assert_eq!(one.outcome().await, Some(json!("succeeded")));
        assert!(ends.is_empty());
        drop(ends.wait(run));
        assert!(ends.is_empty());
        ends.tell(run, || panic!("nobody waits"));
        let mut last = ends.wait(run);
        ends.close();
        assert_eq!(last.outcome().await, None, "the process stops");
        assert_eq!(ends.wait(run).outcome().await, None);
    }
}
