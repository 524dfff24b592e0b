//! Frozen plans and stored alerts, by digest.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::alert::{Alert, AlertRef};
use crate::domain::event::Event;
use crate::domain::id::StreamId;
use crate::domain::plan::Plan;
use crate::domain::value::Digest;
use crate::scheduler::run::SchedulerError;
use crate::store::journal::Journal;

/// Plans kept in memory. Every edit of a playbook makes another; a library of
/// some hundred playbooks fits, and the rest is read again from the journal.
const PLANS_KEPT: usize = 512;

/// Plans by digest, read from the journal once.
#[derive(Default)]
pub struct Plans {
    known: Mutex<HashMap<Digest, Arc<Plan>>>,
}

impl Plans {
    /// Keeps a plan that was just made.
    pub fn keep(&self, digest: Digest, plan: Arc<Plan>) {
        let mut known = self.known.lock();
        if known.len() >= PLANS_KEPT {
            known.clear();
        }
        known.insert(digest, plan);
    }

    /// The plan with this digest.
    ///
    /// # Errors
    /// When the journal does not hold it or it cannot be read.
    pub async fn get(&self, journal: &dyn Journal, digest: Digest) -> Result<Arc<Plan>, SchedulerError> {
        if let Some(plan) = self.known.lock().get(&digest) {
            return Ok(plan.clone());
        }
        let bytes = journal.blob(digest).await?.ok_or_else(|| SchedulerError::missing("plan", digest))?;
        let plan = serde_json::from_slice(&bytes)
            .map_err(|error| SchedulerError::unreadable("plan", digest, &error))?;
        let plan = Arc::new(plan);
        self.keep(digest, Arc::clone(&plan));
        Ok(plan)
    }
}

/// The stored alert; nothing when retention removed its content, which it does only
/// once no run needs it any more.
///
/// # Errors
/// When the journal does not hold it or it cannot be read.
pub async fn stored_alert(
    journal: &dyn Journal,
    of: &AlertRef,
) -> Result<Option<Arc<Alert>>, SchedulerError> {
    let digest = of.digest;
    let Some(bytes) = journal.blob(digest).await? else {
        let entries = journal.read(StreamId::Alert(of.id), 0).await?;
        let erased = entries.iter().any(|entry| match &entry.event {
            Event::Erased(erasure) => erasure.contents.contains(&digest),
            _ => false,
        });
        return if erased { Ok(None) } else { Err(SchedulerError::missing("alert", digest)) };
    };
    let alert = serde_json::from_slice::<Alert>(&bytes)
        .map_err(|error| SchedulerError::unreadable("alert", digest, &error))?;
    Ok(Some(Arc::new(alert.counted())))
}
