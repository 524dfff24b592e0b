//! Runs of other playbooks that a step waits for. That the step waits is
//! durable before such a run begins, and its id comes from the step: beginning
//! it twice is refused by the journal, and after a stop the step that is read
//! again asks for it anew.

use std::sync::Arc;

use crate::domain::command::{Child, Parent};
use crate::domain::decide::calls::{end_for_parent, outcome_of};
use crate::domain::decide::requesters::requesters_of_call;
use crate::domain::event::{Event, RunStarted};
use crate::domain::id::{RunId, StreamId};
use crate::domain::run::{Hold, RunState};
use crate::domain::signal::Signal;
use crate::domain::urgency::Urgency;
use crate::failpoint::pass;
use crate::scheduler::run::{Scheduler, SchedulerError, Start};
use crate::store::error::StoreError;
use crate::store::journal::{Batch, Receipt};

impl Scheduler {
    /// Sees that a child has begun; when it has ended already, its end is told.
    pub(super) fn follow(self: &Arc<Self>, parent: &RunState, child: Child) {
        let Some((started, _)) = &parent.started else { return };
        let begun = RunStarted {
            run: child.run,
            plan: child.plan,
            playbook: child.playbook,
            version: child.version,
            incident: started.incident,
            alert: started.alert,
            inputs: child.inputs,
            by: started.by.clone(),
            requesters: requesters_of_call(parent, &child.key),
            parent: Some(Parent {
                run: started.run,
                step: child.key,
                depth: started.parent.as_ref().map_or(0, |parent| parent.depth) + 1,
                restored: parent.restored.is_some(),
            }),
            again: None,
        };
        let alert = parent.alert.as_ref().map(|(alert, _)| Arc::clone(alert));
        // What a run that holds somebody's access waits for is not queued.
        let holds = parent.containments.values().any(|held| held.hold != Hold::Lifted);
        let own = Urgency::of_run(&begun.by, alert.as_deref());
        let urgency = if holds { Urgency::Access } else { own };
        let scheduler = Arc::clone(self);
        tokio::spawn(async move {
            let run = begun.run;
            pass("child.begins");
            let result = async {
                if !scheduler.journal.read(StreamId::Run(run), 0).await?.is_empty() {
                    return scheduler.seen_to(run).await;
                }
                let plan = scheduler.plans.get(&*scheduler.journal, begun.plan).await?;
                let start = Start { started: begun, plan, alert, urgency, held: None };
                match scheduler.start(vec![start], Batch::default()).await {
                    Ok(_) => Ok(()),
                    Err(SchedulerError::Store(StoreError::Conflict { .. })) => scheduler.seen_to(run).await,
                    Err(error) => Err(error),
                }
            };
            if let Err(error) = result.await {
                tracing::error!(%run, %error, "a run that a step waits for could not begin");
            }
        });
    }

    /// Somebody else saw to it that this run is in the journal: its end is told
    /// if it has come, and its turn is waited for if it has not.
    async fn seen_to(self: &Arc<Self>, run: RunId) -> Result<(), SchedulerError> {
        let state = self.replay(run).await?;
        self.tell_end(&state);
        if let (Some(urgency), Some((started, _))) = (state.queued, &state.started) {
            self.wait_for_turn(run, &started.playbook, urgency);
        }
        Ok(())
    }

    /// Ends a child that is no longer wanted; its own end is waited for.
    pub(super) fn cancel_child(self: &Arc<Self>, run: RunId) {
        let scheduler = Arc::clone(self);
        tokio::spawn(async move {
            let why = Some("the run that called it no longer waits for it".to_owned());
            let signal = Signal::Cancel { by: "its caller".to_owned(), why };
            match scheduler.signal(run, signal).await {
                Ok(_) | Err(SchedulerError::Refused(_)) => {}
                Err(error) => tracing::error!(%run, %error, "a run could not be cancelled"),
            }
        });
    }

    /// Tells the end of a run, if this made it durable, to the step and to the callers
    /// that wait for it.
    pub(super) fn tell_parent(self: &Arc<Self>, state: &RunState, receipt: &Receipt) {
        if receipt.entries.iter().any(|entry| matches!(entry.event, Event::RunEnded { .. })) {
            if let Some((started, _)) = &state.started {
                self.ends.tell(started.run, || outcome_of(state));
            }
            self.tell_end(state);
        }
    }

    fn tell_end(self: &Arc<Self>, state: &RunState) {
        let Some((parent, signal)) = end_for_parent(state) else { return };
        let scheduler = Arc::clone(self);
        tokio::spawn(async move {
            pass("child.ended");
            if let Err(error) = scheduler.signal(parent, signal).await {
                tracing::error!(run = %parent, %error, "the end of a run could not be told to its caller");
            }
        });
    }
}
