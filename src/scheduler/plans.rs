//! Frozen plans and stored alerts, by digest.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::alert::Alert;
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

/// The stored alert with this digest.
///
/// # Errors
/// When the journal does not hold it or it cannot be read.
pub async fn stored_alert(journal: &dyn Journal, digest: Digest) -> Result<Arc<Alert>, SchedulerError> {
    let bytes = journal.blob(digest).await?.ok_or_else(|| SchedulerError::missing("alert", digest))?;
    let alert = serde_json::from_slice(&bytes)
        .map_err(|error| SchedulerError::unreadable("alert", digest, &error))?;
    Ok(Arc::new(alert))
}
