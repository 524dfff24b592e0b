//! What becomes of each firing of a schedule, decided one at a time.
//!
//! ```text
//! Counting + Times + policy + now ──decide──▶ Ruling ──append──▶ event ──take_in──▶ Counting
//! ```
//!
//! `decided` says how far the firings have been ruled on, and lives in the
//! journal alone. A firing is ruled on by one entry, so a stop before the entry
//! leaves it to be ruled on again, and a stop after it finds it done: none is
//! lost and none is done twice. A clock that is set back finds nothing after
//! `decided` that is due.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::event::Event;
use crate::domain::schedule::{Missed, Overlap, Times};
use crate::domain::time::Timestamp;

/// How late a firing may be and still be on time: a clock that is set forward
/// is noticed within this, and a restart takes less.
pub const ON_TIME: Duration = Duration::from_secs(60);

/// Most runs that `missed: run_all` starts for one time of absence, the newest
/// ones. A schedule of every five minutes makes up for eight hours; more at
/// once would be a flood on the systems that the runs ask.
pub const RUN_ALL_MAX: usize = 100;

/// Skipped firings are counted up to here; the number then says "or more".
pub const SKIPPED_COUNT_MAX: usize = 1000;

/// Why a firing started no run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Nobody was there, and the schedule says `missed: skip`.
    Missed,
    /// Nobody was there, and one run at the newest stands for all.
    Merged,
    /// Nobody was there, and there were more than [`RUN_ALL_MAX`].
    TooMany,
    /// A run of the schedule went on, and it says `overlap: skip`.
    Overlap,
    /// A run of the schedule went on, and another firing waited already.
    QueueFull,
    /// The journal holds a run for it already: the clock was set back.
    Repeated,
    /// The run could not be started.
    CannotStart(String),
}

/// How far a schedule has been ruled on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counting {
    /// Whether a playbook has it now.
    pub armed: bool,
    /// All firings up to here have been ruled on.
    pub decided: Timestamp,
    /// The firing that waits for the end of a run.
    pub queued: Option<Timestamp>,
}

impl Default for Counting {
    fn default() -> Self {
        Self { armed: false, decided: Timestamp::EPOCH, queued: None }
    }
}

impl Counting {
    /// Folds in an event of the schedule; leaves others alone.
    pub fn take_in(&mut self, event: &Event) {
        match event {
            Event::ScheduleArmed { from, .. } => {
                *self = Counting { armed: true, decided: *from, queued: None };
            }
            Event::ScheduleFired { due, .. } => {
                self.decided = self.decided.max(*due);
                self.queued = self.queued.filter(|queued| queued != due);
            }
            Event::ScheduleQueued { due } => {
                self.decided = self.decided.max(*due);
                self.queued = Some(*due);
            }
            Event::ScheduleSkipped { first, last, .. } => {
                self.decided = self.decided.max(*last);
                self.queued = self.queued.filter(|queued| queued < first || queued > last);
            }
            Event::ScheduleDisarmed => {
                self.armed = false;
                self.queued = None;
            }
            _ => {}
        }
    }
}

/// What becomes of a firing, or of several in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// A run is started for it.
    Fire {
        /// When it was due.
        due: Timestamp,
    },
    /// It waits for the end of the run that goes on.
    Queue {
        /// When it was due.
        due: Timestamp,
    },
    /// No run is started.
    Skip {
        /// The first.
        first: Timestamp,
        /// The last.
        last: Timestamp,
        /// How many, up to [`SKIPPED_COUNT_MAX`].
        count: u32,
        /// Why.
        why: SkipReason,
    },
}

/// What a schedule does with firings it was not there for, or that overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// For firings that nobody was there for.
    pub missed: Missed,
    /// For firings while a run goes on.
    pub overlap: Overlap,
}

/// What is to be ruled next at `now`, while `live` runs of the schedule go on;
/// none when nothing is due, or what is due waits for the end of a run.
pub fn decide(
    times: &Times,
    policy: Policy,
    counting: &Counting,
    live: usize,
    now: Timestamp,
) -> Option<Ruling> {
    if !counting.armed {
        return None;
    }
    if let Some(due) = counting.queued.filter(|_| live == 0) {
        return Some(Ruling::Fire { due });
    }
    let first = times.next_after(counting.decided).filter(|first| *first <= now)?;
    if let Some((last, why)) = passed_over(times, policy.missed, counting.decided, now) {
        return Some(skip(times, first, last, why));
    }
    // A late firing with run_all waits its turn, where it stands: undecided.
    let late = now.since(first) > ON_TIME;
    match policy.overlap {
        Overlap::Parallel => Some(Ruling::Fire { due: first }),
        _ if live == 0 && counting.queued.is_none() => Some(Ruling::Fire { due: first }),
        Overlap::Skip => Some(skip(times, first, first, SkipReason::Overlap)),
        Overlap::Queue if late && policy.missed == Missed::RunAll => None,
        Overlap::Queue if counting.queued.is_none() => Some(Ruling::Queue { due: first }),
        Overlap::Queue => Some(skip(times, first, first, SkipReason::QueueFull)),
    }
}

/// Whether something is due that waits for the end of a run.
pub fn waits(times: &Times, counting: &Counting, now: Timestamp) -> bool {
    counting.armed
        && (counting.queued.is_some() || times.next_after(counting.decided).is_some_and(|due| due <= now))
}

/// The last of the firings after `decided` that the policy starts no run for.
fn passed_over(
    times: &Times,
    missed: Missed,
    decided: Timestamp,
    now: Timestamp,
) -> Option<(Timestamp, SkipReason)> {
    let moment = Duration::from_millis(1);
    match missed {
        Missed::Skip => {
            let late = now.before(ON_TIME).before(moment);
            Some((*times.newest(decided, late, 1).first()?, SkipReason::Missed))
        }
        Missed::RunOnce => match times.newest(decided, now, 2)[..] {
            [before, _] => Some((before, SkipReason::Merged)),
            _ => None,
        },
        Missed::RunAll => {
            let newest = times.newest(decided, now, RUN_ALL_MAX + 1);
            let oldest = newest.first().filter(|_| newest.len() > RUN_ALL_MAX)?;
            Some((*oldest, SkipReason::TooMany))
        }
    }
}

fn skip(times: &Times, first: Timestamp, last: Timestamp, why: SkipReason) -> Ruling {
    let more = times.after(first).take_while(|due| *due <= last).take(SKIPPED_COUNT_MAX - 1).count();
    Ruling::Skip { first, last, count: u32::try_from(more + 1).unwrap_or(u32::MAX), why }
}
