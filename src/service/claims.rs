//! Claims: while an alert opens an incident or starts a run, others that share
//! something with it wait until that is durable and shown. Without this two alerts
//! of one finding that come in the same moment would open two incidents.

use std::collections::HashSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::tie::TieKey;

/// What is being decided just now.
#[derive(Debug, Default)]
pub struct Claims {
    held: Mutex<HashSet<TieKey>>,
    freed: Notify,
}

/// What one alert holds until it is dropped.
#[derive(Debug)]
pub struct Claim<'a> {
    of: &'a Claims,
    keys: Vec<TieKey>,
}

impl Claims {
    /// Decides while nobody else holds any of `keys`. `decide` gives its decision
    /// and, where others must wait for what follows, the keys to hold.
    pub async fn decide<T>(
        &self,
        keys: &[TieKey],
        decide: impl Fn() -> (T, Vec<TieKey>),
    ) -> (T, Option<Claim<'_>>) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on nothing that is freed is missed.
            freed.as_mut().enable();
            {
                let mut held = self.held.lock();
                if !keys.iter().any(|key| held.contains(key)) {
                    let (decision, wants) = decide();
                    if wants.is_empty() {
                        return (decision, None);
                    }
                    if !wants.iter().any(|key| held.contains(key)) {
                        held.extend(wants.iter().copied());
                        return (decision, Some(Claim { of: self, keys: wants }));
                    }
                }
            }
            freed.await;
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut held = self.of.held.lock();
        for key in &self.keys {
            held.remove(key);
        }
        drop(held);
        self.of.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::tie::TieKind;

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_that_share_something_one_decides_at_a_time() {
        let claims = Arc::new(Claims::default());
        let (inside, most, done) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..200).map(|number| {
            let (claims, inside, most, done) = (claims.clone(), inside.clone(), most.clone(), done.clone());
            tokio::spawn(async move {
                let own = TieKey::of(TieKind::Host, &[&number.to_string()]);
                let shared = TieKey::of(TieKind::Subject, &["dana"]);
                let keys = [own, shared];
                let ((), claim) = claims.decide(&keys, || ((), keys.to_vec())).await;
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(claim);
                done.fetch_add(1, Ordering::SeqCst);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("it ends");
        }
        assert_eq!((most.load(Ordering::SeqCst), done.load(Ordering::SeqCst)), (1, 200));
    }
}
