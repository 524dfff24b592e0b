//! A dry run: reads happen, effects become a plan. Questions branch: every way that
//! answers may lead is followed to its end, and ways that come to the same are told
//! as one. The same question gets the same answer: ids, times and the order of
//! the walk follow from what is asked.

use std::sync::Arc;

use serde::Serialize;
use ulid::Ulid;

use crate::domain::alert::Alert;
use crate::domain::id::RunId;
use crate::domain::inputs::GivenInputs;
use crate::domain::plan::Plan;
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, Value};
use crate::service::error::ServiceError;
use crate::service::house::Service;
use crate::service::runs::{bound_inputs, needs_alert};

use self::summary::{BranchGroup, Summary, shown, steps_that_matter};
use self::walk::{Branch, Known, Walk};

pub mod how;
pub mod summary;
pub mod walk;
mod words;

/// Ways that are followed in one dry run: some seconds of work. The count does not
/// depend on how fast the machine is, so that the answer does not either.
const WAYS_MAX: usize = 2_048;

/// What would happen.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// The playbook.
    pub playbook: String,
    /// What holds over all ways.
    pub summary: Summary,
    /// Whether there are outcomes that `branches` leaves out.
    pub more: bool,
    /// How many outcomes are left out. None of them contains, fails, or asks anybody
    /// whom the others do not ask.
    pub left_out: usize,
    /// Whether every way was followed; false when there are more than are followed.
    pub counted: bool,
    /// One for each outcome, the worst first.
    pub branches: Vec<BranchGroup>,
}

/// What is walked through, and how it meets the world.
pub(super) struct How {
    /// The plan, and what names it.
    pub(super) plan: Arc<Plan>,
    /// Its digest.
    pub(super) digest: Digest,
    /// Whether systems are asked.
    pub(super) reads: how::Reads,
    /// The run's id.
    pub(super) run: RunId,
    /// When the walk begins.
    pub(super) at: Timestamp,
}

/// All ways that were followed, in the order of the questions and their choices.
pub(super) struct Explored {
    /// Each to its end.
    pub(super) ways: Vec<Branch>,
    /// Ways that are known to begin and were not followed: at least so many are left.
    pub(super) left_out: usize,
}

impl Service {
    /// What a run would do, without doing it.
    ///
    /// # Errors
    /// When the playbook is not there, the inputs are wrong, or no way comes to its end.
    pub async fn preview(
        &self,
        name: &str,
        alert: Option<Alert>,
        given: &GivenInputs,
    ) -> Result<Preview, ServiceError> {
        let prepared = self.playbook(name)?;
        let inputs = bound_inputs(&prepared.plan.playbook, given)?;
        needs_alert(&prepared.plan.playbook, alert.is_some())?;
        let (plan, digest) = (Arc::clone(&prepared.plan), prepared.plan_digest);
        let run = RunId::derived(Ulid::from_parts(0, 0), &format!("dry run of {digest}"));
        let how = How { plan, digest, reads: how::Reads::Live, run, at: self.now() };
        let explored = self.explore(&how, alert.map(Arc::new), inputs).await?;
        let counted = explored.left_out == 0;
        let playbook = &how.plan.playbook;
        let summary = Summary::of(&explored.ways, counted, &steps_that_matter(playbook));
        let (branches, left_out) = shown(explored.ways);
        let playbook = playbook.name.clone();
        Ok(Preview { playbook, summary, more: left_out > 0, left_out, counted, branches })
    }

    /// Follows a plan through all answers that may be given on its way.
    ///
    /// # Errors
    /// When it cannot begin, or no way can be followed to its end.
    pub(super) async fn explore(
        &self,
        how: &How,
        alert: Option<Arc<Alert>>,
        inputs: Value,
    ) -> Result<Explored, ServiceError> {
        let mut reads = Known::new();
        let mut explored = Explored { ways: Vec::new(), left_out: 0 };
        let (mut open, mut first_error) = (vec![Walk::begin(self, how, alert, inputs)?], None);
        while let Some(mut walk) = open.pop() {
            if explored.ways.len() >= WAYS_MAX {
                explored.left_out = open.len() + 1;
                break;
            }
            match walk.follow(&mut reads).await {
                Ok(Some(fork)) => {
                    open.extend(fork.choices.iter().rev().map(|choice| walk.with_answer(&fork, choice)))
                }
                Ok(None) => explored.ways.push(walk.branch()),
                Err(error) => {
                    explored.ways.push(walk.unfollowed(&error));
                    first_error.get_or_insert(error);
                }
            }
            tokio::task::yield_now().await;
        }
        match first_error {
            Some(error) if explored.ways.iter().all(|way| way.outcome.is_none()) => Err(error),
            _ => Ok(explored),
        }
    }
}
