//! Runs on alerts that are stored already, and runs that are done once more.

use std::sync::Arc;

use crate::domain::alert::{Alert, AlertRef};
use crate::domain::event::RunStarted;
use crate::domain::id::{AlertId, IncidentId, RunId};
use crate::domain::incident::Status;
use crate::domain::inputs::GivenInputs;
use crate::domain::urgency::Urgency;
use crate::playbook::library::Prepared;
use crate::scheduler::plans::stored_alert;
use crate::scheduler::run::Start;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::idempotency::IdempotencyKey;
use crate::service::runs::{RunOrder, StartedRun, key_used};
use crate::service::triage::parts::open_incident;
use crate::store::journal::{Batch, Receipt};

/// A run that is done once more.
#[derive(Debug, Clone)]
pub struct RunAgain {
    /// The old run.
    pub run: RunId,
    /// Who asked for the old run: they chose what the new one acts on, and cannot
    /// approve it either.
    pub requesters: Vec<String>,
}

/// What a run by hand runs on.
#[derive(Debug, Clone)]
pub enum RunOn {
    /// Its inputs alone.
    Nothing,
    /// An alert that comes with the order.
    Alert(Box<Alert>),
    /// An alert that is on record.
    Stored(AlertId),
}

impl Service {
    /// Does a run once more: its playbook as it is in the library now, with the inputs
    /// and the alert that it had. The new run names the old one.
    ///
    /// # Errors
    /// When there is no such run, it goes on, a step of another run called it, or it
    /// cannot be started as it is: its playbook, inputs or alert are no longer there.
    pub async fn run_again(
        &self,
        run: RunId,
        by: String,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<StartedRun, ServiceError> {
        self.caught_up().await;
        let state = self.scheduler.replay(run).await?;
        let started = state.started.as_ref().map(|(started, _)| started);
        let started = started.ok_or_else(|| ServiceError::absent("run", &run))?;
        if let Some(parent) = &started.parent {
            let message = format!(
                "{run} is a part of {}, whose step `{}` called it; do that once more: `quell rerun {}`. Nothing was started",
                parent.run, parent.step, parent.run
            );
            return Err(ServiceError::new(Sort::Refused, "run-called", message));
        }
        if self.views.read().runs.get(run).is_some_and(|row| row.end.is_none()) {
            let message = format!(
                "{run} goes on, and both would act; wait for its end, or end it: `quell cancel {run}`. Nothing was started"
            );
            return Err(ServiceError::new(Sort::Refused, "run-goes-on", message));
        }
        let values = started.inputs.as_object().cloned().unwrap_or_default();
        self.start_run(RunOrder {
            playbook: started.playbook.clone(),
            on: started.alert.map_or(RunOn::Nothing, |alert| RunOn::Stored(alert.id)),
            inputs: GivenInputs { values, ..GivenInputs::default() },
            by,
            again: Some(RunAgain {
                run,
                requesters: started.requesters.iter().chain([&started.by]).cloned().collect(),
            }),
            idempotency,
            waits: false,
        })
        .await
    }

    /// An alert that is on record, and how runs name it.
    ///
    /// # Errors
    /// When there is none of this id, or retention erased what it said.
    pub async fn alert_on_record(&self, id: AlertId) -> Result<(AlertRef, Arc<Alert>), ServiceError> {
        let of = self.alert_ref(id).await?.ok_or_else(|| ServiceError::absent("alert", &id))?;
        let alert = stored_alert(&*self.journal, &of).await?.ok_or_else(|| {
            let message = format!("retention erased what {id} said; only its row and title are on record");
            ServiceError::new(Sort::Refused, "alert-erased", message)
        })?;
        Ok((of, alert))
    }

    /// Starts a run in the incident of a stored alert; in a new one when it has none.
    pub(super) async fn start_on_stored(
        &self,
        id: AlertId,
        mut started: RunStarted,
        prepared: &Prepared,
        keys: Vec<String>,
    ) -> Result<Receipt, ServiceError> {
        let (of, alert) = self.alert_on_record(id).await?;
        let incident = match self.incident_before(started.again)? {
            Some(incident) => Some(incident),
            None => self.open_incident_of(id)?,
        };
        let appends = match incident {
            Some(_) => Vec::new(),
            None => vec![open_incident(started.incident, &alert, self.now())],
        };
        started.incident = incident.unwrap_or(started.incident);
        started.alert = Some(of);
        let urgency = Urgency::of_run(&started.by, Some(&alert));
        let _room = self.scheduler.room_for(1, urgency)?;
        let batch = Batch { appends, blobs: prepared.blobs(), keys, ..Batch::default() };
        let start =
            Start { started, plan: Arc::clone(&prepared.plan), alert: Some(alert), urgency, held: None };
        self.scheduler.start(vec![start], batch).await.map_err(key_used)
    }

    /// The incident that the run belongs to now which is done once more.
    pub(super) fn incident_before(&self, again: Option<RunId>) -> Result<Option<IncidentId>, ServiceError> {
        let incident = again.and_then(|run| self.views.read().runs.get(run).map(|row| row.incident));
        incident.map(|incident| self.still_open(incident)).transpose()
    }

    /// The incident that an alert belongs to now, when it belongs to one.
    fn open_incident_of(&self, alert: AlertId) -> Result<Option<IncidentId>, ServiceError> {
        let incident = self.views.read().alerts.get(alert).and_then(|row| row.incident);
        incident.map(|incident| self.still_open(incident)).transpose()
    }

    /// The incident that this one is a part of now.
    ///
    /// # Errors
    /// When it is closed: nothing goes on in it unseen.
    fn still_open(&self, incident: IncidentId) -> Result<IncidentId, ServiceError> {
        let views = self.views.read();
        let incident = views.incidents.current(incident);
        if views.incidents.get(incident).is_some_and(|row| row.status == Status::Closed) {
            let message = format!(
                "the incident {incident} is closed; open it first: `quell incident {incident} --status open`. Nothing was started"
            );
            return Err(ServiceError::new(Sort::Refused, "incident-closed", message));
        }
        Ok(incident)
    }
}
