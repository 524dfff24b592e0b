//! What counts for the caps: sets of targets, as the journal shows them.
//!
//! A burst of alerts starts many containments in the same second. Each target is
//! on record with the intent of its act, and intents have one order: an act is
//! judged by what came before its own. So however many are judged at the same
//! time, and whatever a crash cuts off, no more pass than the caps allow.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::guard::verdict::Counts;

/// The spans that the caps count over.
pub const TEN_MINUTES: Duration = Duration::from_secs(600);
/// The longer span.
pub const DAY: Duration = Duration::from_secs(86_400);

/// Targets that something was done to, or may have been, by their label in lower case.
#[derive(Debug, Clone, Default)]
pub struct Contained {
    /// Contained by this run, whenever.
    pub run: BTreeSet<String>,
    /// Contained anywhere in the last ten minutes.
    pub ten_minutes: BTreeSet<String>,
    /// Contained anywhere in the last day.
    pub day: BTreeSet<String>,
}

impl Contained {
    /// How many targets other than this one count.
    pub fn others(&self, target: &str) -> Counts {
        let target = target.to_lowercase();
        let others = |set: &BTreeSet<String>| set.len() - usize::from(set.contains(&target));
        Counts { run: others(&self.run), ten_minutes: others(&self.ten_minutes), day: others(&self.day) }
    }
}
