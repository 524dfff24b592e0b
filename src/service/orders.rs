//! Orders to lift what the runs of an incident contained, carried out: one run
//! is asked after the other. The order is durable, each run's own way back is
//! durable, and asking twice does nothing: a stop in between is no special case.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::domain::id::{ContainmentId, IncidentId, RunId};
use crate::domain::signal::Signal;
use crate::scheduler::run::SchedulerError;
use crate::service::house::Service;

/// How long to wait before a run that could not be asked is asked again: the
/// journal takes nothing just now, mostly because its disk is full.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a run is to be asked for.
struct Due {
    containment: ContainmentId,
    run: RunId,
    signal: Signal,
}

impl Service {
    /// Carries out orders, for as long as the handle is not aborted.
    pub fn keep_orders(self: &Arc<Self>) -> JoinHandle<()> {
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let mut seen = service.seen.clone();
            // What a run refused, or had nothing to do for, is not asked again by this process.
            let mut set_aside = BTreeSet::new();
            while !service.is_stopped() {
                let due = service.due_orders(&set_aside);
                if due.is_empty() {
                    if seen.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                for due in due {
                    service.ask_to_lift(due, &mut set_aside).await;
                }
            }
        })
    }

    /// What is due of the oldest order of each incident.
    fn due_orders(&self, set_aside: &BTreeSet<ContainmentId>) -> Vec<Due> {
        let views = self.views.read();
        let mut incidents: BTreeSet<IncidentId> = BTreeSet::new();
        let mut due = Vec::new();
        for open in views.orders.open() {
            if open.is_over(set_aside) || !incidents.insert(open.incident) {
                continue;
            }
            let row = open.next(set_aside).and_then(|id| views.containments.get(id));
            due.extend(row.map(|row| {
                let order = &open.order;
                let reason = order.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                let why = Some(format!("with what {} contained{reason}", open.incident));
                let (by, anyway) = (order.by.clone(), order.anyway);
                let signal = Signal::Undo { containments: vec![row.id], by, why, anyway };
                Due { containment: row.id, run: row.run, signal }
            }));
        }
        due
    }

    async fn ask_to_lift(&self, due: Due, set_aside: &mut BTreeSet<ContainmentId>) {
        match self.scheduler.signal(due.run, due.signal).await {
            Ok(Some(receipt)) => self.shown(Some(&receipt)).await,
            Ok(None) => {
                set_aside.insert(due.containment);
            }
            Err(SchedulerError::Store(error)) => {
                tracing::warn!(run = %due.run, %error, "a run could not be asked to lift; it is asked again");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Err(error) => {
                tracing::error!(run = %due.run, containment = %due.containment, %error, "not lifted");
                set_aside.insert(due.containment);
            }
        }
    }
}
