//! What an import adds to what it read: the backup's end is not the end of what was
//! done. So the journal says that it was read from a backup, and every run that was
//! in flight there is set aside until a person releases it.

use std::collections::BTreeMap;

use ulid::Ulid;

use crate::domain::event::{Event, JournalRestored, SetAside};
use crate::domain::id::{RestoreId, RunId, StreamId};
use crate::domain::restored::why_held;
use crate::domain::time::Timestamp;
use crate::scheduler::plans::Plans;
use crate::scheduler::replay::replay;
use crate::scheduler::run::SchedulerError;
use crate::store::admit::MAX_APPENDS;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch, Journal};

/// Entries read at a time.
const READ_ENTRIES: usize = 10_000;

/// Runs in flight, each with the number of its last entry, and when the last entry of
/// all was decided.
type InFlight = (BTreeMap<RunId, u64>, Option<Timestamp>);

/// Records that `journal` was read from a backup, and sets aside what was in flight;
/// gives how many runs that are.
///
/// # Errors
/// What reading and appending fail with.
pub async fn hold(journal: &dyn Journal, by: &str, now: Timestamp) -> Result<usize, StoreError> {
    let head = journal.head();
    let (runs, until) = in_flight(journal).await?;
    let held = runs.len();
    let fact = JournalRestored { position: head.position, hash: head.hash, until, held, by: by.to_owned() };
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    let stream = StreamId::Restore(RestoreId::derived(Ulid::from_parts(millis, 0), &head.hash.to_string()));
    let event = Event::JournalRestored(Box::new(fact));
    let mut appends = vec![Append { stream, after: 0, at: now, events: vec![event] }];
    let plans = Plans::default();
    for (run, after) in runs {
        let why = match replay(journal, &plans, run).await {
            Ok(state) => why_held(&state),
            Err(SchedulerError::Store(error)) => return Err(error),
            Err(error) => format!("the journal was read from a backup; {error}"),
        };
        let events = vec![Event::RunQuarantined(SetAside { why, restored: true })];
        appends.push(Append { stream: StreamId::Run(run), after, at: now, events });
        if appends.len() == MAX_APPENDS {
            append(journal, std::mem::take(&mut appends)).await?;
        }
    }
    append(journal, appends).await?;
    Ok(held)
}

async fn append(journal: &dyn Journal, appends: Vec<Append>) -> Result<(), StoreError> {
    if !appends.is_empty() {
        journal.append(Batch { appends, ..Batch::default() }).await?;
    }
    Ok(())
}

async fn in_flight(journal: &dyn Journal) -> Result<InFlight, StoreError> {
    let (mut runs, mut until, mut after) = (BTreeMap::new(), None, 0);
    loop {
        let entries = journal.scan(after, READ_ENTRIES).await?;
        let Some((last, _)) = entries.last() else { return Ok((runs, until)) };
        after = *last;
        for (_, entry) in entries {
            until = until.max(Some(entry.at));
            let StreamId::Run(run) = entry.stream else { continue };
            match entry.event {
                Event::RunStarted(_) => drop(runs.insert(run, entry.seq)),
                Event::RunEnded { .. } => drop(runs.remove(&run)),
                _ => {
                    runs.entry(run).and_modify(|seq| *seq = entry.seq);
                }
            }
        }
    }
}
