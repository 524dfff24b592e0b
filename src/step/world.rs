//! What a step kind may touch while it runs.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::connector::hub::Hub;
use crate::domain::alert::Alert;
use crate::domain::approval::Approval;
use crate::domain::command::{OnTurn, Perform};
use crate::domain::event::RunStarted;
use crate::domain::id::{ApprovalId, IncidentId, RunId};
use crate::domain::outcome::Outcome;
use crate::domain::plan::Plan;
use crate::domain::playbook::Step;
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::Digest;
use crate::guard::contained::Contained;
use crate::guard::people::People;
use crate::guard::verdict::Guard;
use crate::projection::dossier::Dossier;
use crate::report::templates::Templates;
use crate::step::link::LinkKey;

/// The house as a step sees it.
pub struct World {
    /// Connectors by name.
    pub hub: Hub,
    /// Groups and their addresses.
    pub people: People,
    /// Texts and report templates.
    pub templates: Templates,
    /// What may be contained.
    pub guard: Guard,
    /// Name of the connector that sends mail; none = messages fail with words.
    pub mail: Option<String>,
    /// Whom messages come from.
    pub mail_from: String,
    /// Where people reach this server, without a slash at the end.
    pub public_url: String,
    /// Signs the links of questions.
    pub links: LinkKey,
    /// What the journal says, and where reports are kept.
    pub records: Arc<dyn Records>,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// What the journal says, and where reports are kept.
pub trait Records: Send + Sync {
    /// Everything about one run, for its reports: of several the one of this number,
    /// counted from 1, and alone with 0.
    fn dossier(&self, run: RunId, number: u16) -> BoxFuture<'_, Result<Dossier, String>>;
    /// Keeps a written report under a file name of ours; gives where it is.
    fn keep_report(&self, name: String, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>>;
    /// The bytes of a kept report, by the name of its file.
    fn kept_report(&self, name: String) -> BoxFuture<'_, Result<Vec<u8>, String>>;
    /// The names of all files of reports, half-written ones too; a record that
    /// keeps no files has none.
    fn report_files(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async { Vec::new() })
    }
    /// Removes the file of a report, durably.
    fn remove_report(&self, name: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { Err(format!("there is no file {name}")) })
    }
    /// The targets that count for the caps by now. Of the act of a step those count
    /// whose intents came before its own: what is durable by then is waited for.
    ///
    /// # Errors
    /// When that is not known in time.
    fn contained<'a>(
        &'a self,
        run: RunId,
        act: Option<&'a StepKey>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Contained, String>>;
}

/// One attempt, with what it belongs to.
pub struct Call<'a> {
    /// How the run began.
    pub started: &'a RunStarted,
    /// The run's plan.
    pub plan: &'a Plan,
    /// The alert it runs on.
    pub alert: Option<&'a Alert>,
    /// The playbook's step.
    pub step: &'a Step,
    /// The attempt.
    pub perform: &'a Perform,
    /// The approval that the step, or the block around it, asked for.
    pub approval: Option<(ApprovalId, &'a Approval)>,
    /// Who is to hear that it has its turn at its connector.
    pub on_turn: Option<&'a dyn OnTurn>,
}

impl Call<'_> {
    /// The run.
    pub fn run(&self) -> RunId {
        self.started.run
    }

    /// The investigation.
    pub fn incident(&self) -> IncidentId {
        self.started.incident
    }

    /// How urgent the attempt is.
    pub fn urgency(&self) -> Urgency {
        Urgency::of_run(&self.started.by, self.alert).of_phase(self.perform.phase)
    }
}

/// What came of an attempt, with the raw answers to keep as evidence.
pub struct Done {
    /// What came of it.
    pub outcome: Outcome,
    /// Raw bytes by digest, named in the outcome's evidence.
    pub blobs: Vec<(Digest, Vec<u8>)>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Done { outcome, blobs: Vec::new() }
    }
}
