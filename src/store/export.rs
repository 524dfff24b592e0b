//! The whole journal as JSON lines, for people, backups and other programs.

use std::io::Write;

use serde::Serialize;

use crate::domain::event::Entry;
use crate::store::error::StoreError;
use crate::store::journal::Journal;

/// Entries read at once: enough to keep the disk busy, little enough to hold.
const CHUNK_ENTRIES: usize = 1000;

#[derive(Serialize)]
struct Line<'a> {
    /// The number of the record that holds the entry.
    position: u64,
    entry: &'a Entry,
}

/// Writes every entry as one line `{"position": …, "entry": …}`, in order, up
/// to the head at the start; gives the number of lines.
///
/// # Errors
/// What reading fails with, and [`StoreError::Io`] when `out` takes no more.
pub async fn export(journal: &dyn Journal, out: &mut (dyn Write + Send)) -> Result<u64, StoreError> {
    let end = journal.head().position;
    let (mut after, mut lines) = (0, 0);
    while after < end {
        let chunk = journal.scan(after, CHUNK_ENTRIES).await?;
        let Some(&(last, _)) = chunk.last() else {
            break;
        };
        for (position, entry) in chunk.iter().take_while(|(position, _)| *position <= end) {
            write_line(out, &Line { position: *position, entry })?;
            lines += 1;
        }
        after = last;
    }
    out.flush().map_err(|error| StoreError::io("writing the export", &error))?;
    Ok(lines)
}

fn write_line(out: &mut (dyn Write + Send), line: &Line<'_>) -> Result<(), StoreError> {
    let text = serde_json::to_vec(line).map_err(|error| StoreError::Io {
        doing: "writing an entry as JSON".to_owned(),
        why: error.to_string(),
    })?;
    out.write_all(&text)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(|error| StoreError::io("writing the export", &error))
}
