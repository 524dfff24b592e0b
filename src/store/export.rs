//! The whole journal as JSON lines, for people, backups and other programs.
//!
//! ```text
//! {"export":{"version":1,"head":{"position":…,"hash":…}}}
//! {"content":{"sha256":…,"base64":…}}                      plans, alerts, answers
//! {"record":{"position":1,"base64":…,"entries":[…]}}       entries only when for people
//! {"key":{"key":…,"position":…,"stream":…}}
//! {"end":{"contents":…,"records":…,"keys":…,"sha256":…}}   of all bytes before this line
//! ```
//! A record stands as its bytes, so that what is imported has the same hashes
//! and the same head. A file without its last line is not whole. Where a record was
//! erased its tombstone stands, with the entries that stayed.

use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::event::Entry;
use crate::domain::id::StreamId;
use crate::domain::value::{Digest, digest};
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::journal::{Head, Part, Place, Stored};

/// The version of the lines that this program writes; it reads this one.
pub const VERSION: u32 = 1;

/// The end of a journal, as a line says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadLine {
    /// The number of the last record.
    pub position: u64,
    /// Its hash.
    pub hash: Digest,
}

/// What an export holds; its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Contents.
    pub contents: u64,
    /// Records.
    pub records: u64,
    /// Unique keys.
    pub keys: u64,
    /// SHA-256 of all bytes before the last line.
    pub sha256: Digest,
}

/// A line, written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Export {
        version: u32,
        head: HeadLine,
    },
    Content {
        sha256: Digest,
        base64: String,
    },
    Record {
        position: u64,
        base64: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        entries: Option<&'a [Entry]>,
    },
    Key {
        key: &'a str,
        position: u64,
        stream: StreamId,
    },
    End(Counts),
}

/// For whom an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people and other programs: each record also tells its entries.
    Readable,
    /// For a backup: half the size.
    Compact,
}

enum State {
    Begin,
    Parts(Place),
    Done,
}

/// Writes a journal up to one head, chunk by chunk. What is appended meanwhile
/// is not in it.
pub struct Exporter {
    stored: Arc<dyn Stored>,
    head: Head,
    form: Form,
    state: State,
    /// The end of the chain that was written.
    chain: Head,
    counts: Counts,
    hasher: Sha256,
}

impl Exporter {
    /// An export of `stored` up to `head`.
    pub fn new(stored: Arc<dyn Stored>, head: Head, form: Form) -> Self {
        let counts = Counts { contents: 0, records: 0, keys: 0, sha256: digest(b"") };
        let hasher = Sha256::new();
        Self { stored, head, form, state: State::Begin, chain: Head::EMPTY, counts, hasher }
    }

    /// The next lines; `None` after the last.
    ///
    /// # Errors
    /// What reading fails with, and [`StoreError::Damaged`] when a record does
    /// not follow the one before.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut lines = Vec::new();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Begin => {
                let head = HeadLine { position: self.head.position, hash: self.head.hash };
                write(&mut lines, &Line::Export { version: VERSION, head })?;
                self.state = State::Parts(Place::START);
            }
            State::Parts(place) => {
                let (parts, next) = self.stored.parts(place, self.head.position).await?;
                for part in &parts {
                    self.tell(&mut lines, part)?;
                }
                match next {
                    Some(place) => self.state = State::Parts(place),
                    None => {
                        self.end(&mut lines)?;
                        return Ok(Some(lines));
                    }
                }
            }
            State::Done => return Ok(None),
        }
        self.hasher.update(&lines);
        Ok(Some(lines))
    }

    fn tell(&mut self, lines: &mut Vec<u8>, part: &Part) -> Result<(), StoreError> {
        match part {
            Part::Content(sha256, bytes) => {
                self.counts.contents += 1;
                write(lines, &Line::Content { sha256: *sha256, base64: BASE64.encode(bytes) })
            }
            Part::Record { position, bytes, entries } => {
                self.chain = follows(self.chain, bytes)
                    .filter(|head| head.position == *position)
                    .ok_or_else(|| not_following(*position))?;
                self.counts.records += 1;
                let entries = (self.form == Form::Readable).then_some(entries.as_slice());
                write(lines, &Line::Record { position: *position, base64: BASE64.encode(bytes), entries })
            }
            Part::Key { key, position, stream } => {
                self.counts.keys += 1;
                write(lines, &Line::Key { key, position: *position, stream: *stream })
            }
        }
    }

    fn end(&mut self, lines: &mut Vec<u8>) -> Result<(), StoreError> {
        if self.stored.erased_at() > self.head.position {
            return Err(StoreError::Io {
                doing: "copying the journal".to_owned(),
                why: "retention erased something meanwhile, so the copy is not whole; take it again"
                    .to_owned(),
            });
        }
        if self.chain != self.head {
            return Err(not_following(self.head.position));
        }
        self.hasher.update(&lines);
        self.counts.sha256 = Digest(std::mem::take(&mut self.hasher).finalize().into());
        write(lines, &Line::End(self.counts))
    }

    /// What has been written; complete once [`Exporter::next`] gave `None`.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// The head after a record, when the record follows `before`.
pub fn follows(before: Head, record: &[u8]) -> Option<Head> {
    let sealed = codec::unseal(record).ok()?;
    let fits = sealed.position == before.position + 1 && sealed.previous == before.hash;
    let hash = sealed.erased.unwrap_or_else(|| digest(record));
    fits.then_some(Head { position: sealed.position, hash })
}

fn not_following(position: u64) -> StoreError {
    StoreError::damaged(format!("record {position} does not follow the record before"))
}

/// Writes a whole export to `out` and gives what it holds.
///
/// # Errors
/// What [`Exporter::next`] fails with, and [`StoreError::Io`] when `out` takes
/// no more.
pub async fn export(mut exporter: Exporter, out: &mut (dyn Write + Send)) -> Result<Counts, StoreError> {
    let failed = |error: std::io::Error| StoreError::Io {
        doing: "writing the export".to_owned(),
        why: error.to_string(),
    };
    while let Some(lines) = exporter.next().await? {
        out.write_all(&lines).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    Ok(exporter.counts())
}

fn write(out: &mut Vec<u8>, line: &Line<'_>) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *out, line).map_err(|error| StoreError::Io {
        doing: "writing a line of the export".to_owned(),
        why: error.to_string(),
    })?;
    out.push(b'\n');
    Ok(())
}
