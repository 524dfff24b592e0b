//! The entry that a statement rests on.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::domain::event::Entry;
use crate::domain::id::StreamId;

/// The entry that a sentence rests on: `#12` in the run's stream, or
/// `incident #2`, or `alert #1`; of several runs `run 2 #12`, `alert of run 2 #1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cite {
    /// Whose entry it is.
    pub stream: StreamId,
    /// Its number there.
    pub seq: u64,
    /// Which of several runs it is told of, counted from 1; 0 where one is told alone.
    pub run: u16,
}

impl Cite {
    /// Names this entry, as it is told of this run of several.
    pub fn of(entry: &Entry, run: u16) -> Self {
        // The runs of an incident share its entries.
        let run = if matches!(entry.stream, StreamId::Incident(_)) { 0 } else { run };
        Self { stream: entry.stream, seq: entry.seq, run }
    }
}

impl fmt::Display for Cite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match (self.stream, self.run) {
            (StreamId::Run(_), 0) => write!(f, "#{seq}"),
            (StreamId::Run(_), run) => write!(f, "run {run} #{seq}"),
            (StreamId::Incident(_), _) => write!(f, "incident #{seq}"),
            (StreamId::Alert(_), 0) => write!(f, "alert #{seq}"),
            (StreamId::Alert(_), run) => write!(f, "alert of run {run} #{seq}"),
            (StreamId::Schedule(_), _) => write!(f, "schedule #{seq}"),
            (StreamId::Exception(_), _) => write!(f, "exception #{seq}"),
            (StreamId::Poll(_), _) => write!(f, "poll #{seq}"),
            (StreamId::Restore(_), _) => write!(f, "restore #{seq}"),
        }
    }
}

impl Serialize for Cite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
