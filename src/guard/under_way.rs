//! Acts that are under way and that the journal does not show yet.
//!
//! A burst of alerts starts many containments in the same second. If each only
//! counted what the journal shows, all would find the caps untouched and all
//! would pass. So a target is noted here in the same breath as it is allowed.
//!
//! What is noted is a set of targets, and so is what the journal shows: a
//! target that is in both counts once.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::guard::verdict::{Counts, Refused};

/// How long a target stays noted: longer than any attempt and its entry in the
/// journal take, and the span of the shorter cap, so that an act whose outcome
/// nobody knows counts as if it happened.
pub const NOTED: Duration = Duration::from_secs(600);

/// The spans that the caps count over.
pub const TEN_MINUTES: Duration = Duration::from_secs(600);
/// The longer span.
pub const DAY: Duration = Duration::from_secs(86_400);

/// Targets by their label in lower case.
#[derive(Debug, Clone, Default)]
pub struct Contained {
    /// Contained by this run, whenever.
    pub run: BTreeSet<String>,
    /// Contained anywhere in the last ten minutes.
    pub ten_minutes: BTreeSet<String>,
    /// Contained anywhere in the last day.
    pub day: BTreeSet<String>,
}

#[derive(Debug)]
struct Noted {
    run: RunId,
    target: String,
    at: Timestamp,
}

/// Targets that were allowed lately.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<Vec<Noted>>);

impl UnderWay {
    /// Asks for a verdict on `target` with everything counted that was contained
    /// or is under way, and notes the target when it is allowed. Counting and
    /// noting are one: two acts at the same time never take the same last place.
    /// True when it was noted already: an earlier act on it may have happened unheard.
    ///
    /// # Errors
    /// The verdict's refusal; then nothing is noted.
    pub fn admit(
        &self,
        run: RunId,
        target: &str,
        now: Timestamp,
        contained: impl FnOnce() -> Contained,
        verdict: impl FnOnce(Counts) -> Result<(), Refused>,
    ) -> Result<bool, Refused> {
        let target = target.to_lowercase();
        let mut noted = self.0.lock();
        noted.retain(|act| now.since(act.at) < NOTED);
        verdict(counts(&noted, contained(), run, &target))?;
        let before = noted.len();
        noted.retain(|act| !(act.run == run && act.target == target));
        let again = noted.len() < before;
        noted.push(Noted { run, target, at: now });
        Ok(again)
    }

    /// Like [`admit`](Self::admit), noting nothing: for a look before people are asked.
    ///
    /// # Errors
    /// The verdict's refusal.
    pub fn ask(
        &self,
        run: RunId,
        target: &str,
        now: Timestamp,
        contained: impl FnOnce() -> Contained,
        verdict: impl FnOnce(Counts) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut noted = self.0.lock();
        noted.retain(|act| now.since(act.at) < NOTED);
        verdict(counts(&noted, contained(), run, &target.to_lowercase()))
    }

    /// The act surely did not happen: the target does not count.
    pub fn forget(&self, run: RunId, target: &str) {
        let target = target.to_lowercase();
        self.0.lock().retain(|act| !(act.run == run && act.target == target));
    }
}

/// How many targets other than this one count.
fn counts(noted: &[Noted], mut contained: Contained, run: RunId, target: &str) -> Counts {
    for act in noted {
        if act.run == run {
            contained.run.insert(act.target.clone());
        }
        contained.ten_minutes.insert(act.target.clone());
        contained.day.insert(act.target.clone());
    }
    let others = |set: &BTreeSet<String>| set.len() - usize::from(set.contains(target));
    Counts {
        run: others(&contained.run),
        ten_minutes: others(&contained.ten_minutes),
        day: others(&contained.day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::people::People;
    use crate::guard::verdict::{Caps, Guard, Target};
    use proptest::prelude::*;
    use serde_json::json;
    use ulid::Ulid;

    fn run(number: u128) -> RunId {
        RunId::new(Ulid::from_parts(1, number))
    }

    fn verdict(guard: &Guard, counts: Counts) -> Result<(), Refused> {
        let input = json!({ "user": "dana@example.com" });
        let attributes = json!({ "address": "dana@example.com" });
        guard.verdict(&Target { id: "7", input: &input, attributes: &attributes }, counts, &People::default())
    }

    #[test]
    fn a_burst_in_one_instant_does_not_pass_the_caps() {
        let (guard, under_way) = (Guard::default(), UnderWay::default());
        let now = Timestamp::from_millis(1_000_000);
        let allowed = (0..40u128)
            .filter(|&n| {
                under_way
                    .admit(run(n), &format!("person {n}"), now, Contained::default, |counts| {
                        verdict(&guard, counts)
                    })
                    .is_ok()
            })
            .count();
        assert_eq!(allowed, Caps::default().per_10_minutes);
    }

    #[test]
    fn the_same_target_counts_once_and_one_that_was_not_touched_not_at_all() {
        let (guard, under_way) = (Guard::default(), UnderWay::default());
        let now = Timestamp::from_millis(1_000_000);
        let admit = |target: &str, shown: Contained| {
            under_way.admit(run(1), target, now, || shown, |counts| verdict(&guard, counts))
        };
        let shown = Contained { run: ["ana".into(), "sam".into()].into(), ..Contained::default() };
        // The journal shows Ana and Sam; Ana is tried once more and is also noted.
        for again in [false, true, true] {
            assert_eq!(admit("Ana", shown.clone()), Ok(again));
        }
        assert_eq!(admit("Lee", shown.clone()), Ok(false));
        assert_eq!(admit("Kim", shown.clone()).map_err(|refused| refused.code), Err("cap-reached"));
        under_way.forget(run(1), "lee");
        assert_eq!(admit("Kim", shown), Ok(false));
    }

    proptest! {
        /// Whatever is asked in whatever order, with the journal catching up
        /// late or not at all, no window ever holds more targets than its cap.
        #[test]
        fn caps_hold_over_any_sequence(asked in prop::collection::vec((0u128..4, 0u8..40, 0i64..200_000, any::<bool>()), 1..80)) {
            let (guard, under_way) = (Guard::default(), UnderWay::default());
            let mut now = Timestamp::from_millis(1_000_000_000);
            let mut done: Vec<(RunId, String, Timestamp)> = Vec::new();
            let mut shown = 0;
            for (of, who, later, catches_up) in asked {
                now = Timestamp::from_millis(now.millis() + later);
                // The journal is never further behind than a target stays noted.
                let behind = done.iter().take_while(|(_, _, at)| now.since(*at) >= NOTED).count();
                shown = if catches_up { done.len() } else { behind.max(shown) };
                let since = |span: Duration| done[..shown].iter().filter(|(_, _, at)| now.since(*at) < span).map(|(_, who, _)| who.clone()).collect::<BTreeSet<_>>();
                let contained = Contained {
                    run: done[..shown].iter().filter(|(by, _, _)| *by == run(of)).map(|(_, who, _)| who.clone()).collect(),
                    ten_minutes: since(TEN_MINUTES),
                    day: since(DAY),
                };
                let who = format!("person {who}");
                if under_way.admit(run(of), &who, now, || contained, |counts| verdict(&guard, counts)).is_ok() {
                    done.push((run(of), who, now));
                }
                let distinct = |keep: &dyn Fn(&(RunId, String, Timestamp)) -> bool| done.iter().filter(|act| keep(act)).map(|(_, who, _)| who.clone()).collect::<BTreeSet<_>>().len();
                prop_assert!(distinct(&|act| act.0 == run(of)) <= guard.caps.people_per_run);
                prop_assert!(distinct(&|act| now.since(act.2) < TEN_MINUTES) <= guard.caps.per_10_minutes);
                prop_assert!(distinct(&|act| now.since(act.2) < DAY) <= guard.caps.per_day);
            }
        }
    }
}
