//! Schedules: how far each is ruled on, what it last did, and what it runs now.

use serde::{Deserialize, Serialize};

use crate::domain::event::{Entry, Event};
use crate::domain::firing::{Counting, SkipReason};
use crate::domain::id::{IncidentId, RunId, ScheduleId, StreamId};
use crate::domain::time::Timestamp;
use crate::projection::fold::Projection;
use crate::projection::marks::Marks;
use crate::projection::shelf::Table;

/// What became of the last firing that was ruled on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastFiring {
    /// When it was due.
    pub due: Timestamp,
    /// When it was ruled on.
    pub at: Timestamp,
    /// How late that was, in seconds.
    pub late_by_seconds: u64,
    /// The run, when one was started.
    pub run: Option<RunId>,
    /// Why none was.
    pub skipped: Option<SkipReason>,
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRow {
    /// The number of the last entry of its stream.
    pub seq: u64,
    /// The playbook's name.
    pub playbook: String,
    /// How far it is ruled on.
    pub counting: Counting,
    /// What became of the last firing.
    pub last: Option<LastFiring>,
    /// Firings that started a run.
    pub fired: u64,
    /// Firings that started none, each time up to the number that is counted.
    pub skipped: u64,
}

/// All schedules that ever counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedules {
    rows: Marks<ScheduleId, ScheduleRow>,
    /// The runs that schedules started and that go on.
    live: Marks<RunId, ScheduleId>,
}

impl Schedules {
    /// The row of one schedule.
    pub fn get(&self, id: ScheduleId) -> Option<&ScheduleRow> {
        self.rows.get(&id)
    }

    /// Those that a playbook had when this was last looked at.
    pub fn armed(&self) -> impl Iterator<Item = (ScheduleId, &ScheduleRow)> {
        self.rows.iter().filter(|(_, row)| row.counting.armed).map(|(id, row)| (*id, row))
    }

    /// Forgets a run that was erased: its end is in the journal no more.
    pub fn forget(&mut self, run: RunId) {
        self.live.clear(&run);
    }

    /// How many runs of a schedule go on.
    pub fn live(&self, id: ScheduleId) -> usize {
        self.live.values().filter(|of| **of == id).count()
    }
}

impl Projection for Schedules {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("schedules", &mut self.rows), ("schedules.live", &mut self.live)]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        let id = match entry.stream {
            StreamId::Schedule(id) => id,
            StreamId::Run(run) => {
                if matches!(entry.event, Event::RunEnded { .. }) {
                    self.live.clear(&run);
                }
                return;
            }
            _ => return,
        };
        let row = self.rows.get_or(id, || ScheduleRow {
            seq: 0,
            playbook: String::new(),
            counting: Counting::default(),
            last: None,
            fired: 0,
            skipped: 0,
        });
        row.seq = row.seq.max(entry.seq);
        row.counting.take_in(&entry.event);
        let last = |due: Timestamp, run, skipped| {
            let late_by_seconds = entry.at.since(due).as_secs();
            Some(LastFiring { due, at: entry.at, late_by_seconds, run, skipped })
        };
        match &entry.event {
            Event::ScheduleArmed { playbook, .. } => row.playbook.clone_from(playbook),
            Event::ScheduleFired { due, run } => {
                row.last = last(*due, Some(*run), None);
                row.fired = row.fired.saturating_add(1);
                self.live.set(*run, id);
            }
            Event::ScheduleSkipped { last: due, count, why, .. } => {
                row.last = last(*due, None, Some(why.clone()));
                row.skipped = row.skipped.saturating_add(u64::from(*count));
            }
            _ => {}
        }
    }
}
