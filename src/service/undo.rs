//! Lifting by a person's order: what a run contained, or some of its steps, or
//! one containment, or all that the runs of an incident contained.
//!
//! Each run lifts its own, the newest first; that is the core's. Over several
//! runs of an incident the order is durable, and `orders.rs` asks one run after
//! the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::domain::event::Event;
use crate::domain::id::{ContainmentId, IncidentId, RunId};
use crate::domain::incident::UndoOrder;
use crate::domain::kept::{KeptField, words_of};
use crate::domain::run::{Hold, StepKey};
use crate::domain::signal::Signal;
use crate::projection::containments::ContainmentRow;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::unchanged::OnlyIf;

/// Containments in one entry of an order; a larger order is several entries.
const ORDER_ENTRY_MAX: usize = 500;

/// What is to be lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What one run contained, and the runs that its steps called.
    Run(RunId),
    /// One containment.
    Containment(ContainmentId),
    /// What all runs of an incident contained.
    Incident(IncidentId),
}

/// A person's order to lift, or to say what lifting would do.
#[derive(Debug, Clone)]
pub struct UndoCall {
    /// What.
    pub scope: Scope,
    /// Only these of it: steps (`suspend`, `suspend[2]`) or containments; empty = all.
    pub only: Vec<String>,
    /// Who.
    pub by: String,
    /// Why.
    pub why: Option<String>,
    /// Whether also over what somebody else changed since.
    pub anyway: bool,
    /// What must still be so.
    pub only_if: OnlyIf,
}

/// What becomes of one containment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoFate {
    /// It would be lifted.
    WouldLift,
    /// Part of it would be lifted; of the rest a person must say what is to stand.
    WouldLiftInPart,
    /// It would be refused: somebody else changed it since.
    WouldRefuse,
    /// It is as it was before already; nothing would be written.
    NothingToWrite,
    /// It cannot be looked at now; it would be tried until it can.
    Unread,
    /// It is one of many, and was not looked at for this plan.
    NotLooked,
    /// It is lifted, and was read back.
    Lifted,
    /// It is on its way back.
    Lifting,
    /// It waits for its turn in an order.
    Queued,
    /// It could not be lifted; a person must look.
    Refused,
    /// It was lifted before.
    LiftedBefore,
    /// It was on its way back before.
    UnderWay,
    /// It was done once and has no way back.
    Irreversible,
    /// It holds, and nothing was asked of it.
    Holds,
    /// Nobody knows whether it was done, so nothing can be asked of it yet.
    MayHold,
}

/// One containment of an answer, in the order in which they are lifted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UndoRow {
    /// Its place in that order, from 1.
    pub place: usize,
    /// Which.
    pub containment: ContainmentId,
    /// The run that made it.
    pub run: RunId,
    /// The step that made it.
    pub step: StepKey,
    /// The operation.
    pub operation: String,
    /// Whom or what it touches.
    pub target: String,
    /// Where it stands on record.
    pub hold: Hold,
    /// What becomes of it.
    pub fate: UndoFate,
    /// The same in words.
    pub says: String,
    /// Whether a person must say what is to stand.
    pub needs_person: bool,
    /// Kept fields that are not as they were before: as they were, as we left
    /// them, as they are.
    pub fields: Vec<KeptField>,
    /// Other containments that hold the same target in the same way.
    pub beside: Vec<ContainmentId>,
}

/// What becomes of everything that an order names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UndoAnswer {
    /// Whether nothing was done: it says what would be.
    pub plan: bool,
    /// Whether also over what somebody else changed since.
    pub anyway: bool,
    /// Each, the newest first.
    pub items: Vec<UndoRow>,
}

impl Service {
    /// Lifts, and waits a little for what comes of it. The order is durable when
    /// this returns; what is lifted already, or on its way, is not asked twice.
    ///
    /// # Errors
    /// When there is nothing of the kind, nothing that can be lifted, or somebody
    /// else's change is to be overridden without a reason.
    pub async fn undo(&self, call: &UndoCall, within: Duration) -> Result<UndoAnswer, ServiceError> {
        needs_reason(call)?;
        let chosen = self.chosen(call).await?;
        let before: BTreeMap<ContainmentId, UndoFate> =
            chosen.iter().filter_map(|row| Some((row.id, self.on_record(row)?))).collect();
        let told = |containments| Signal::Undo {
            containments,
            by: call.by.clone(),
            why: call.why.clone(),
            anyway: call.anyway,
        };
        let only_if = &call.only_if;
        let asked = chosen.iter().filter(|row| row.hold != Hold::MayHold).map(|row| row.id);
        let called = |run| chosen.iter().any(|row| row.run != run);
        match call.scope {
            // One after the other over several runs, as for an incident.
            Scope::Run(run) if called(run) => {
                let incident = self.views.read().runs.get(run).map(|row| row.incident);
                let incident = incident.ok_or_else(|| ServiceError::absent("run", &run))?;
                self.order_undo(incident, call, &chosen).await?;
            }
            // Of what may hold the run's own record does not say that it holds.
            _ if chosen.iter().all(|row| row.hold == Hold::MayHold) && !chosen.is_empty() => {}
            Scope::Run(run) if call.only.is_empty() => self.tell(run, told(Vec::new()), only_if).await?,
            Scope::Run(run) => {
                self.tell(run, told(asked.collect()), only_if).await?;
            }
            Scope::Containment(id) => {
                self.tell(self.run_of_containment(id)?, told(vec![id]), only_if).await?;
            }
            Scope::Incident(incident) => self.order_undo(incident, call, &chosen).await?,
        }
        let ids: Vec<ContainmentId> = chosen.iter().map(|row| row.id).collect();
        self.settled(&ids, within).await;
        let views = self.views.read();
        let now =
            ids.iter().filter_map(|id| views.containments.get(*id)).map(Cow::into_owned).collect::<Vec<_>>();
        drop(views);
        let items = now.iter().enumerate().map(|(at, row)| {
            let fate = before.get(&row.id).copied().unwrap_or_else(|| self.came_of(row));
            let says = says(row, fate);
            let needs_person = matches!(fate, UndoFate::Refused | UndoFate::MayHold);
            let fields = row.changed_since.clone();
            self.undo_row(at, row, Judged { fate, says, needs_person, fields })
        });
        Ok(UndoAnswer { plan: false, anyway: call.anyway, items: items.collect() })
    }

    /// What a call names, the newest first in the order of the journal.
    pub(super) async fn chosen(&self, call: &UndoCall) -> Result<Vec<ContainmentRow>, ServiceError> {
        self.caught_up().await;
        let views = self.views.read();
        let rows: Vec<ContainmentRow> = match call.scope {
            Scope::Run(run) => {
                views.runs.get(run).ok_or_else(|| ServiceError::absent("run", &run))?;
                let family = views.runs.family(run);
                let rows = family.into_iter().flat_map(|run| views.containments.of_run(run));
                let mut rows: Vec<ContainmentRow> = rows.collect();
                rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.nth));
                rows
            }
            Scope::Containment(id) => {
                let row =
                    views.containments.get(id).ok_or_else(|| ServiceError::absent("containment", &id))?;
                vec![row.into_owned()]
            }
            Scope::Incident(id) => {
                views.incidents.get(id).ok_or_else(|| ServiceError::absent("incident", &id))?;
                views.containments.of_incident(id)
            }
        };
        if rows.iter().all(|row| row.one_off) && !matches!(call.scope, Scope::Containment(_)) {
            let message = "nothing was contained there that can be lifted; there is nothing to undo";
            return Err(ServiceError::new(Sort::Refused, "nothing-held", message));
        }
        only(rows, &call.only)
    }

    /// What becomes of one that nothing has to be asked of.
    pub(super) fn on_record(&self, row: &ContainmentRow) -> Option<UndoFate> {
        match row.hold {
            _ if row.one_off => Some(UndoFate::Irreversible),
            Hold::MayHold => Some(UndoFate::MayHold),
            Hold::Lifted => Some(UndoFate::LiftedBefore),
            Hold::Lifting => Some(UndoFate::UnderWay),
            _ if self.views.read().orders.is_queued(row.id) => Some(UndoFate::Queued),
            _ => None,
        }
    }

    /// What came of one that was asked for.
    fn came_of(&self, row: &ContainmentRow) -> UndoFate {
        match row.hold {
            Hold::Lifted => UndoFate::Lifted,
            Hold::Lifting => UndoFate::Lifting,
            _ if self.views.read().orders.is_queued(row.id) => UndoFate::Queued,
            Hold::Stuck => UndoFate::Refused,
            Hold::Accepted | Hold::Verified => UndoFate::Holds,
            Hold::MayHold => UndoFate::MayHold,
        }
    }

    /// Orders that what several runs of an incident contained is lifted, the newest
    /// first.
    async fn order_undo(
        &self,
        incident: IncidentId,
        call: &UndoCall,
        chosen: &[ContainmentRow],
    ) -> Result<(), ServiceError> {
        let asked = chosen.iter().filter(|row| self.on_record(row).is_none());
        let ids: Vec<ContainmentId> = asked.map(|row| row.id).collect();
        let entry = |ids: &[ContainmentId]| {
            let (by, why, anyway) = (call.by.clone(), call.why.clone(), call.anyway);
            Event::UndoOrdered(Box::new(UndoOrder { containments: ids.to_vec(), by, why, anyway }))
        };
        if ids.is_empty() {
            return Ok(());
        }
        self.append_to_incident(incident, ids.chunks(ORDER_ENTRY_MAX).map(entry).collect(), &call.only_if)
            .await
    }

    /// Waits until none of these is on its way or queued, but not for long, and
    /// not for what is tried again later.
    async fn settled(&self, ids: &[ContainmentId], within: Duration) {
        let mut seen = self.seen.clone();
        let busy = || {
            let views = self.views.read();
            let is_lifting = |id: &ContainmentId| {
                views
                    .containments
                    .get(*id)
                    .is_some_and(|row| row.hold == Hold::Lifting && row.next_try.is_none())
            };
            ids.iter().any(|id| is_lifting(id) || views.orders.is_queued(*id))
        };
        let settle = async {
            while busy() {
                if seen.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(within, settle).await;
    }

    pub(super) fn undo_row(&self, at: usize, row: &ContainmentRow, judged: Judged) -> UndoRow {
        let mut fields = judged.fields;
        fields.retain(|field| field.before != field.now || field.is_changed());
        UndoRow {
            place: at + 1,
            containment: row.id,
            run: row.run,
            step: row.step.clone(),
            operation: row.operation.clone(),
            target: row.target.clone(),
            hold: row.hold,
            fate: judged.fate,
            says: judged.says,
            needs_person: judged.needs_person,
            fields: fields.iter().map(KeptField::shown).collect(),
            beside: self.views.read().containments.beside(row),
        }
    }
}

/// What was found of one containment.
pub(super) struct Judged {
    pub(super) fate: UndoFate,
    pub(super) says: String,
    pub(super) needs_person: bool,
    pub(super) fields: Vec<KeptField>,
}

/// What becomes of one, in words.
pub(super) fn says(row: &ContainmentRow, fate: UndoFate) -> String {
    let at = row.lifted_at.map(|at| format!(" since {}", at.to_minute())).unwrap_or_default();
    match fate {
        UndoFate::Lifted => match words_of(&row.changed_since, |_| true) {
            diff if diff.is_empty() => "lifted, and read back".to_owned(),
            diff => format!("lifted, and read back; left alone, because somebody else changed it: {diff}"),
        },
        UndoFate::Lifting => {
            let again = row.next_try.map(|at| format!(", next at {}", at.to_minute())).unwrap_or_default();
            format!("on its way back; it is tried until reading back shows it{again}")
        }
        UndoFate::Queued => "waits for its turn: what was contained after it is lifted first".to_owned(),
        UndoFate::Refused => row.why.clone().unwrap_or_else(|| "it could not be lifted".to_owned()),
        UndoFate::LiftedBefore => format!("is lifted already{at}; nothing was asked again"),
        UndoFate::UnderWay => "is on its way back already; nothing was asked again".to_owned(),
        UndoFate::MayHold => {
            "may hold: nobody knows whether it was done, so nothing was asked; look at the target, and settle or release its run".to_owned()
        }
        UndoFate::Irreversible => "was done once, and has no way back".to_owned(),
        _ => "it holds".to_owned(),
    }
}

/// Somebody else's change is overridden only with a reason on record.
pub(super) fn needs_reason(call: &UndoCall) -> Result<(), ServiceError> {
    let given = call.why.as_deref().is_some_and(|why| !why.trim().is_empty());
    if given || !call.anyway {
        return Ok(());
    }
    let message = "lifting over what somebody else changed needs a reason, so that the record says why: add --note WHY (`why` over the API); nothing was lifted";
    Err(ServiceError::new(Sort::Wrong, "reason-needed", message))
}

/// Those that a person chose, by step or id; each name must mean something.
fn only(rows: Vec<ContainmentRow>, names: &[String]) -> Result<Vec<ContainmentRow>, ServiceError> {
    let means = |row: &ContainmentRow, name: &str| {
        *row.step.id == *name || row.step.to_string() == name || row.id.to_string() == name
    };
    if let Some(name) = names.iter().find(|name| !rows.iter().any(|row| means(row, name))) {
        let mut steps: Vec<String> = rows.iter().map(|row| row.step.id.to_string()).collect();
        steps.sort();
        steps.dedup();
        let message = format!(
            "`{}` names nothing that was contained there; these steps contained something: {}. Nothing was lifted",
            name.escape_debug(),
            steps.join(", ")
        );
        return Err(ServiceError::new(Sort::Wrong, "only-unknown", message));
    }
    let chosen: Vec<ContainmentRow> = rows
        .into_iter()
        .filter(|row| names.is_empty() || names.iter().any(|name| means(row, name)))
        .collect();
    Ok(chosen)
}
