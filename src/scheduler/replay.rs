//! The state that the entries of a run add up to.

use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::id::{RunId, StreamId};
use crate::domain::run::RunState;
use crate::domain::signal::Refusal;
use crate::scheduler::plans::{Plans, stored_alert};
use crate::scheduler::run::SchedulerError;
use crate::store::journal::Journal;

/// Reads a run from the journal.
///
/// # Errors
/// When the run is unknown, its record does not add up, or cannot be read.
pub async fn replay(journal: &dyn Journal, plans: &Plans, run: RunId) -> Result<RunState, SchedulerError> {
    let entries = journal.read(StreamId::Run(run), 0).await?;
    let Some(Event::RunStarted(started)) = entries.first().map(|entry| &entry.event) else {
        return Err(Refusal::new("run-unknown", format!("there is no run {run}")).into());
    };
    let plan = plans.get(journal, started.plan).await?;
    let alert = match &started.alert {
        Some(alert) => stored_alert(journal, alert).await?,
        None => None,
    };
    let mut state = RunState::new(plan, alert);
    for entry in &entries {
        evolve(&mut state, entry).map_err(|corrupt| SchedulerError::Quarantined { run, corrupt })?;
    }
    Ok(state)
}
