//! Many runs that were set aside are let go on by one order.

use serde::Serialize;

use crate::domain::id::RunId;
use crate::projection::runs::RunStatus;
use crate::service::error::ServiceError;
use crate::service::house::Service;
use crate::service::unchanged::OnlyIf;

/// Which runs an order lets go on.
pub enum ReleaseScope {
    /// These, in this order.
    Runs(Vec<RunId>),
    /// All that are set aside by now, the oldest first.
    All,
}

/// What became of one run of such an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    /// The run.
    pub run: RunId,
    /// Whether it goes on.
    pub released: bool,
    /// Why it does not: the code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For people.
    pub says: String,
}

impl Service {
    /// Lets runs go on that were set aside, each from where it stood. One that is
    /// refused keeps no other from going on.
    ///
    /// # Errors
    /// Our own trouble: what was let go on before it goes on.
    pub async fn release_all(
        &self,
        scope: ReleaseScope,
        by: &str,
        note: Option<&str>,
    ) -> Result<Vec<Released>, ServiceError> {
        let runs = match scope {
            ReleaseScope::Runs(runs) => runs,
            ReleaseScope::All => self.set_aside().await,
        };
        let mut told = Vec::with_capacity(runs.len());
        for run in runs {
            let done = self.release(run, by, note.map(str::to_owned), &OnlyIf::default()).await;
            told.push(match done {
                Ok(()) => {
                    let says = "goes on from where it stood".to_owned();
                    Released { run, released: true, code: None, says }
                }
                Err(error) if error.sort.is_of_the_caller() => {
                    Released { run, released: false, code: Some(error.code), says: error.message }
                }
                Err(error) => return Err(error),
            });
        }
        Ok(told)
    }

    async fn set_aside(&self) -> Vec<RunId> {
        self.caught_up().await;
        let views = self.views.read();
        let live = views.runs.live();
        live.filter(|row| row.status == RunStatus::Quarantined).map(|row| row.id).collect()
    }
}
