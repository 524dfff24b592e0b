//! The gate of a connector: how many calls are made at the same time, and who
//! goes next. The order is decided in `domain/queue.rs`.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::domain::queue::{Limits, Queue};
use crate::domain::urgency::Urgency;

/// Lets so many through at the same time, the more urgent first, playbooks in
/// turns.
pub struct Gate {
    state: Mutex<State>,
    closed: watch::Sender<bool>,
}

struct State {
    queue: Queue<u64>,
    waits: HashMap<u64, oneshot::Sender<()>>,
    came: u64,
}

/// A place behind the gate, or in front of it; given back when it is dropped,
/// also by a call that was given up while it waited.
pub struct Pass<'a> {
    gate: &'a Gate,
    id: u64,
}

impl Gate {
    /// A gate for so many.
    pub fn new(at_once: usize) -> Self {
        let queue = Queue::new(Limits::calls(at_once));
        let state = State { queue, waits: HashMap::new(), came: 0 };
        Self { state: Mutex::new(state), closed: watch::Sender::new(false) }
    }

    /// Waits for a place; none once the gate is closed.
    pub async fn enter(&self, group: &str, urgency: Urgency) -> Option<Pass<'_>> {
        let (pass, turn) = {
            let mut state = self.state.lock();
            if *self.closed.borrow() {
                return None;
            }
            state.came += 1;
            let id = state.came;
            let pass = Pass { gate: self, id };
            if state.queue.try_enter(id, group, urgency) {
                (pass, None)
            } else {
                state.queue.wait(id, group, urgency);
                let (go, turn) = oneshot::channel();
                state.waits.insert(id, go);
                (pass, Some(turn))
            }
        };
        match turn {
            // Nobody is left to say go once the gate is closed.
            Some(turn) => turn.await.ok().map(|()| pass),
            None => Some(pass),
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Lets nobody through any more, and tells those who wait.
    pub fn close(&self) {
        let mut state = self.state.lock();
        self.closed.send_replace(true);
        state.queue.close();
        state.waits.clear();
    }

    /// Whether it lets nobody through any more.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Done when the gate is closed.
    pub async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender is ours: it cannot be gone while we are here.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.waits.remove(&self.id);
        state.queue.leave(self.id);
        while let Some(next) = state.queue.take_next() {
            if let Some(go) = state.waits.remove(&next) {
                // Whoever was given up in this moment drops a pass too.
                let _ = go.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Queues calls behind one that is under way, then lets them through one
    /// by one and gives the order.
    async fn order(calls: &[(&'static str, Urgency)]) -> Vec<usize> {
        let gate = Arc::new(Gate::new(1));
        let first = gate.enter("first", Urgency::Low).await.expect("it is open");
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (nth, (group, urgency)) in calls.iter().copied().enumerate() {
            let (gate_of, order) = (Arc::clone(&gate), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let pass = gate_of.enter(group, urgency).await;
                order.lock().push(nth);
                drop(pass);
            }));
            while gate.waiting() <= nth {
                tokio::task::yield_now().await;
            }
        }
        drop(first);
        for task in tasks {
            task.await.expect("it ends");
        }
        Arc::into_inner(order).expect("nobody else holds it").into_inner()
    }

    #[tokio::test]
    async fn lifting_goes_first_then_the_critical_and_playbooks_take_turns() {
        let calls = [
            ("flood", Urgency::Low),
            ("flood", Urgency::Low),
            ("flood", Urgency::Low),
            ("small", Urgency::Low),
            ("flood", Urgency::Critical),
            ("flood", Urgency::Access),
        ];
        assert_eq!(order(&calls).await, [5, 4, 0, 3, 1, 2]);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_holds_nobody_up() {
        let gate = Gate::new(1);
        let first = gate.enter("a", Urgency::Low).await.expect("it is open");
        {
            let mut given_up = Box::pin(gate.enter("a", Urgency::Critical));
            assert!(futures_util::poll!(&mut given_up).is_pending());
        }
        let mut next = Box::pin(gate.enter("a", Urgency::Low));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(first);
        assert!(next.await.is_some());
        assert_eq!(gate.state.lock().queue.under_way(), 0, "a dropped pass is a free place");
    }

    #[tokio::test]
    async fn a_closed_gate_turns_away_who_waits_and_who_comes() {
        let gate = Gate::new(1);
        let first = gate.enter("a", Urgency::Low).await;
        let mut waits = Box::pin(gate.enter("a", Urgency::Access));
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert!(!gate.is_closed());
        gate.close();
        assert!(gate.is_closed());
        assert!(waits.await.is_none());
        assert!(gate.enter("a", Urgency::Access).await.is_none());
        gate.closed().await;
        drop(first);
    }
}
