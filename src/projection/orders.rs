//! Orders to lift what the runs of an incident contained: which containment is
//! to be asked for next. One after another, the newest first: the next begins
//! when the one before it is lifted, is refused, or waits to be tried again, as
//! within one run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::event::{Entry, Event};
use crate::domain::id::{ContainmentId, IncidentId, StreamId};
use crate::domain::incident::UndoOrder;
use crate::projection::fold::Projection;
use crate::projection::marks::Marks;
use crate::projection::shelf::Table;

/// An order that is not carried out yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// Of which incident.
    pub incident: IncidentId,
    /// What was ordered, by whom and why.
    pub order: UndoOrder,
    /// Those whose run was asked since.
    asked: BTreeSet<ContainmentId>,
    /// Those that the next need not wait for.
    past: BTreeSet<ContainmentId>,
}

impl OpenOrder {
    /// What is to be asked for now, if anything is. `set_aside` are those whose
    /// run refused.
    pub fn next(&self, set_aside: &BTreeSet<ContainmentId>) -> Option<ContainmentId> {
        let is_over = |id: &ContainmentId| self.past.contains(id) || set_aside.contains(id);
        let next = self.order.containments.iter().find(|id| !is_over(id))?;
        (!self.asked.contains(next)).then_some(*next)
    }

    /// Whether nothing of it is left to be asked for or waited for.
    pub fn is_over(&self, set_aside: &BTreeSet<ContainmentId>) -> bool {
        self.order.containments.iter().all(|id| self.past.contains(id) || set_aside.contains(id))
    }

    fn is_asked(&self, id: ContainmentId) -> bool {
        self.asked.contains(&id)
    }

    fn holds(&self, id: ContainmentId) -> bool {
        self.order.containments.contains(&id)
    }
}

/// All orders that are not carried out yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Orders {
    /// By their place in the order in which they were given.
    open: Marks<u64, OpenOrder>,
}

impl Orders {
    /// Those that are not carried out yet, the oldest first.
    pub fn open(&self) -> impl Iterator<Item = &OpenOrder> {
        self.open.values()
    }

    /// Forgets those of an incident that was erased.
    pub fn forget(&mut self, incident: IncidentId) {
        let of_it = self.open.iter().filter(|(_, open)| open.incident == incident);
        let nths: Vec<u64> = of_it.map(|(nth, _)| *nth).collect();
        nths.iter().for_each(|nth| drop(self.open.clear(nth)));
    }

    /// Whether an order has this containment still before it.
    pub fn is_queued(&self, id: ContainmentId) -> bool {
        self.open.values().any(|open| open.holds(id) && !open.asked.contains(&id) && !open.past.contains(&id))
    }
}

impl Projection for Orders {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("orders", &mut self.open)]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        if let (Event::UndoOrdered(order), StreamId::Incident(incident)) = (&entry.event, entry.stream) {
            let (asked, past) = (BTreeSet::new(), BTreeSet::new());
            let nth = self.open.last_key_value().map_or(0, |(nth, _)| nth + 1);
            self.open.set(nth, OpenOrder { incident, order: (**order).clone(), asked, past });
        }
        if self.open.is_empty() {
            return;
        }
        match (&entry.event, entry.stream) {
            (Event::UndoRequested { containment, .. }, _) => {
                self.change(
                    *containment,
                    |_, _| true,
                    |open| {
                        open.asked.insert(*containment);
                        open.past.remove(containment);
                    },
                );
            }
            // Whoever asked for it.
            (Event::ContainmentLifted { containment, .. }, _) => self.pass(*containment, |_, _| true),
            (Event::UndoRefused { containment, .. }, _) => self.pass(*containment, OpenOrder::is_asked),
            // It waits to be tried again: what comes after it need not.
            (Event::AttemptDue { key, phase, .. }, StreamId::Run(run)) if phase.undoes() => {
                let id = ContainmentId::derived(run.ulid(), &key.to_string());
                self.pass(id, OpenOrder::is_asked);
            }
            _ => {}
        }
        let none = BTreeSet::new();
        let over: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.is_over(&none)).map(|(nth, _)| *nth).collect();
        for nth in over {
            self.open.clear(&nth);
        }
    }
}

impl Orders {
    fn pass(&mut self, id: ContainmentId, when: impl Fn(&OpenOrder, ContainmentId) -> bool) {
        self.change(id, when, |open| {
            open.past.insert(id);
        });
    }

    /// Changes the orders that hold a containment.
    fn change(
        &mut self,
        id: ContainmentId,
        when: impl Fn(&OpenOrder, ContainmentId) -> bool,
        change: impl Fn(&mut OpenOrder),
    ) {
        let of = self.open.iter().filter(|(_, open)| open.holds(id) && when(open, id));
        let of: Vec<u64> = of.map(|(nth, _)| *nth).collect();
        for nth in of {
            if let Some(open) = self.open.get_mut(&nth) {
                change(open);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::domain::command::Phase;
    use crate::domain::id::RunId;
    use crate::domain::run::StepKey;
    use crate::domain::time::Timestamp;

    fn entry(stream: StreamId, event: Event) -> Entry {
        Entry { stream, seq: 1, at: Timestamp::from_millis(1), event }
    }

    #[test]
    fn one_is_asked_for_after_the_other_and_a_second_order_doubles_nothing() {
        let runs = [1, 2, 3].map(|n| RunId::new(Ulid::from_parts(1, n)));
        let ids = runs.map(|run| ContainmentId::derived(run.ulid(), "stop"));
        let incident = IncidentId::new(Ulid::from_parts(1, 9));
        let mut orders = Orders::default();
        let none = BTreeSet::new();
        let order = UndoOrder { containments: ids.to_vec(), by: "ana".to_owned(), why: None, anyway: false };
        let next = |orders: &Orders| orders.open().next().and_then(|open| open.next(&none));
        let requested = |n: usize| {
            let (by, why) = ("ana".to_owned(), None);
            entry(
                StreamId::Run(runs[n]),
                Event::UndoRequested { containment: ids[n], by, why, anyway: false },
            )
        };
        orders.apply(&entry(StreamId::Incident(incident), Event::UndoOrdered(Box::new(order))), None);
        assert_eq!(next(&orders), Some(ids[0]));
        assert!(orders.is_queued(ids[2]));
        orders.apply(&requested(0), None);
        assert_eq!(next(&orders), None, "the first is under way");
        // It cannot be lifted now, and is tried again later: the second need not wait.
        let (key, at) = (StepKey::root("stop"), Timestamp::from_millis(9));
        let due = Event::AttemptDue { key, phase: Phase::UndoCheck, at };
        orders.apply(&entry(StreamId::Run(runs[0]), due), None);
        assert_eq!(next(&orders), Some(ids[1]));
        assert_eq!(
            orders.open().next().expect("it is open").next(&BTreeSet::from([ids[1]])),
            Some(ids[2]),
            "its run refused"
        );
        orders.apply(&requested(1), None);
        let lifted = |n: usize| Event::ContainmentLifted { containment: ids[n], others: Vec::new() };
        orders.apply(&entry(StreamId::Run(runs[1]), lifted(1)), None);
        assert_eq!(next(&orders), Some(ids[2]));
        // Its time box was faster.
        orders.apply(&requested(2), None);
        orders.apply(&entry(StreamId::Run(runs[2]), lifted(2)), None);
        assert!(orders.open().next().is_none());
    }
}
