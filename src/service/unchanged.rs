//! A change names what it changes from: the version of the document that its sender
//! has seen. Whoever comes second is refused, and the check holds in the moment in
//! which the change is appended.

use serde_json::{Value, json};

use crate::domain::id::{ApprovalId, ContainmentId, ExceptionId, IncidentId, QuestionId, RunId};
use crate::domain::signal::Signal;
use crate::domain::value::digest;
use crate::scheduler::run::{RUN_MOVED, SchedulerError};
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::incidents::TRIES_MAX;

/// Characters of a version: half of a SHA-256 in hex.
const VERSION_CHARS: usize = 32;

/// Something that people can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// A run.
    Run(RunId),
    /// An incident.
    Incident(IncidentId),
    /// An approval.
    Approval(ApprovalId),
    /// A question.
    Question(QuestionId),
    /// A containment.
    Containment(ContainmentId),
    /// An exception.
    Exception(ExceptionId),
}

/// What must still be so when a change is made; empty = the change is made in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnlyIf(Option<(Document, Vec<String>)>);

impl OnlyIf {
    /// The document must still have one of these versions.
    pub fn version_is(document: Document, versions: Vec<String>) -> Self {
        Self(Some((document, versions)))
    }
}

/// The version of a document that is sent as these bytes.
pub fn version(bytes: &[u8]) -> String {
    digest(bytes).to_string().chars().filter(char::is_ascii_hexdigit).take(VERSION_CHARS).collect()
}

impl Service {
    /// A document as the API shows it.
    ///
    /// # Errors
    /// When there is none of this id.
    pub async fn document(&self, which: Document) -> Result<Value, ServiceError> {
        match which {
            Document::Run(run) => {
                let dossier = self.dossier(run).await?;
                let row = self.views.read().runs.get(run).map(|row| row.into_owned());
                let mut document = as_value(&dossier)?;
                document["status"] = json!(row.as_ref().map(|row| row.status));
                document["waiting_on"] = json!(row.map(|row| row.waiting_on).unwrap_or_default());
                Ok(document)
            }
            Document::Incident(id) => {
                let row = self.views.read().incidents.get(id).map(|row| row.into_owned());
                as_value(&row.ok_or_else(|| ServiceError::absent("incident", &id))?)
            }
            Document::Approval(id) => {
                let (row, asks) = self.approval(id).await?;
                let mut document = as_value(&row)?;
                document["asks"] = json!(asks);
                Ok(document)
            }
            Document::Question(id) => {
                let (question, asked) = self.question(id).await?;
                Ok(json!({ "question": question, "asked": asked }))
            }
            Document::Containment(id) => as_value(&self.containment(id).await?),
            Document::Exception(id) => as_value(&self.exception(id)?),
        }
    }

    /// Refuses a change of what is no longer as its sender has seen it.
    ///
    /// # Errors
    /// `changed-since`, and when there is no such document.
    pub(super) async fn unchanged(&self, only_if: &OnlyIf) -> Result<(), ServiceError> {
        let Some((document, versions)) = &only_if.0 else { return Ok(()) };
        self.caught_up().await;
        let bytes =
            serde_json::to_vec(&self.document(*document).await?).map_err(|error| unwritable(&error))?;
        let now = version(&bytes);
        if versions.contains(&now) {
            return Ok(());
        }
        let message = format!(
            "it was changed since you read it (`If-Match` names another version, it is now \"{now}\"); nothing was changed. Read it again, and send the change with its new ETag"
        );
        Err(ServiceError::new(Sort::Changed, "changed-since", message))
    }

    /// Tells a run something. Durable and shown when it returns.
    ///
    /// # Errors
    /// When the run refuses it, or what the change is about has changed.
    pub(super) async fn tell(
        &self,
        run: RunId,
        signal: Signal,
        only_if: &OnlyIf,
    ) -> Result<(), ServiceError> {
        if only_if.0.is_none() {
            let receipt = self.scheduler.signal(run, signal).await?;
            self.shown(receipt.as_ref()).await;
            return Ok(());
        }
        for _ in 0..TRIES_MAX {
            self.caught_up().await;
            let seen = self.views.read().runs.seq(run).unwrap_or_default();
            self.unchanged(only_if).await?;
            match self.scheduler.signal_after(run, signal.clone(), Some(seen)).await {
                Ok(receipt) => {
                    self.shown(receipt.as_ref()).await;
                    return Ok(());
                }
                Err(SchedulerError::Refused(refusal)) if refusal.code == RUN_MOVED => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = format!("{run} changes too fast just now; nothing was changed. Send it again");
        Err(ServiceError::new(Sort::Busy, "run-busy", message))
    }
}

fn as_value(document: &impl serde::Serialize) -> Result<Value, ServiceError> {
    serde_json::to_value(document).map_err(|error| unwritable(&error))
}

fn unwritable(error: &serde_json::Error) -> ServiceError {
    ServiceError::new(Sort::Own, "document-unwritable", format!("the document could not be written: {error}"))
}
