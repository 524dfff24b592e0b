//! Reads what `export` wrote, and believes none of it: every content has its
//! digest, every record follows the one before, entries decode and their
//! numbers have no gaps, and the file ends as it says.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use crate::domain::event::Entry;
use crate::domain::id::StreamId;
use crate::domain::value::{Digest, digest};
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::export::{Counts, HeadLine, VERSION, follows};
use crate::store::journal::Head;
use crate::store::tombstone::{self, Gone};

/// Most bytes of one line: a content of 8 MiB in base64, or a record of as much
/// with its entries as text, whose escapes may double them twice.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// A line, read. Entries beside a record are for people; the record's bytes count.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
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
        #[serde(default)]
        entries: IgnoredAny,
    },
    Key {
        key: String,
        position: u64,
        stream: StreamId,
    },
    End(Counts),
}

/// The first line of any version.
#[derive(Deserialize)]
struct AnyVersion {
    export: AnyVersionInner,
}

#[derive(Deserialize)]
struct AnyVersionInner {
    version: u32,
}

/// Where the parts of an export go.
pub trait Sink {
    /// A content, checked against its digest.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn content(&mut self, name: Digest, bytes: Vec<u8>) -> Result<(), StoreError>;
    /// A content that came before; `None` when none did.
    ///
    /// # Errors
    /// When it cannot be read.
    fn content_of(&self, name: Digest) -> Result<Option<Vec<u8>>, StoreError>;
    /// A record that follows the ones before, with its entries and what of it was
    /// erased; `head` is the end of the chain with it.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn record(
        &mut self,
        head: Head,
        bytes: &[u8],
        entries: &[Entry],
        gone: &[Gone],
    ) -> Result<(), StoreError>;
    /// A unique key.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn key(&mut self, key: &str, position: u64, stream: StreamId) -> Result<(), StoreError>;
}

/// Reads an export to its end and hands its parts to `sink`; gives the head.
///
/// # Errors
/// [`StoreError::Export`] names the first line that is not as it was written;
/// and what `sink` fails with.
pub fn import(input: &mut dyn BufRead, sink: &mut dyn Sink) -> Result<Head, StoreError> {
    let mut reader = Reader {
        line: 0,
        hasher: Sha256::new(),
        chain: Head::EMPTY,
        streams: HashMap::new(),
        counts: Counts { contents: 0, records: 0, keys: 0, sha256: digest(b"") },
    };
    let mut head = None;
    loop {
        let bytes = reader.next_line(input)?;
        let line = if head.is_none() { reader.first(&bytes)? } else { reader.parsed(&bytes)? };
        match (line, head) {
            (Line::Export { version, head: named }, None) => {
                if version != VERSION {
                    return Err(reader.wrong("names a version that no program wrote"));
                }
                head = Some(Head { position: named.position, hash: named.hash });
            }
            (Line::End(counts), Some(head)) => {
                reader.check_end(counts, head)?;
                let more = input.fill_buf().map_err(|error| StoreError::io("reading the export", &error))?;
                return if more.is_empty() { Ok(head) } else { Err(reader.wrong("goes on after its end")) };
            }
            (_, None) => return Err(reader.wrong("is not the first line of an export")),
            (Line::Export { .. }, Some(_)) => return Err(reader.wrong("begins another export")),
            (line, Some(_)) => reader.part(line, sink)?,
        }
        reader.hasher.update(&bytes);
    }
}

struct Reader {
    line: u64,
    hasher: Sha256,
    chain: Head,
    /// The last number of each stream: 30 bytes or so for each run there was.
    streams: HashMap<StreamId, u64>,
    counts: Counts,
}

impl Reader {
    fn wrong(&self, what: &str) -> StoreError {
        StoreError::Export {
            why: format!("line {} {what}", self.line),
            help: "Nothing of it was kept; take another backup, or copy this one again",
        }
    }

    /// The next line with its end, and nothing that is not whole.
    fn next_line(&mut self, input: &mut dyn BufRead) -> Result<Vec<u8>, StoreError> {
        self.line += 1;
        let mut bytes = Vec::new();
        input
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| StoreError::io("reading the export", &error))?;
        if bytes.last() == Some(&b'\n') {
            return Ok(bytes);
        }
        Err(match bytes.len() as u64 {
            MAX_LINE_BYTES => self.wrong("is longer than 64 MiB, which no export has"),
            _ => self.wrong("is where the file breaks off, before its last line"),
        })
    }

    /// The first line; a newer version is told as one, whatever it looks like.
    fn first(&self, bytes: &[u8]) -> Result<Line, StoreError> {
        if let Ok(AnyVersion { export: AnyVersionInner { version } }) = serde_json::from_slice(bytes)
            && version > VERSION
        {
            return Err(StoreError::Export {
                why: format!("it has version {version}, this program reads up to {VERSION}"),
                help: "Import it with the version of the program that wrote it, or a newer one",
            });
        }
        self.parsed(bytes)
    }

    fn parsed(&self, bytes: &[u8]) -> Result<Line, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| self.wrong(&format!("cannot be read: {error}")))
    }

    fn bytes(&self, base64: &str) -> Result<Vec<u8>, StoreError> {
        BASE64.decode(base64).map_err(|error| self.wrong(&format!("is no base64: {error}")))
    }

    fn part(&mut self, line: Line, sink: &mut dyn Sink) -> Result<(), StoreError> {
        match line {
            Line::Content { sha256, base64 } => {
                let bytes = self.bytes(&base64)?;
                if digest(&bytes) != sha256 {
                    return Err(self.wrong("holds a content that is not what its digest says"));
                }
                self.counts.contents += 1;
                sink.content(sha256, bytes)
            }
            Line::Record { position, base64, entries: IgnoredAny } => {
                let bytes = self.bytes(&base64)?;
                let head = follows(self.chain, &bytes).filter(|head| head.position == position);
                self.chain = head.ok_or_else(|| self.wrong("holds a record that does not follow"))?;
                let (entries, gone) = self.entries(&bytes, sink)?;
                self.counts.records += 1;
                sink.record(self.chain, &bytes, &entries, &gone)
            }
            Line::Key { key, position, stream } => {
                if position == 0 || position > self.chain.position {
                    return Err(self.wrong("holds a key of a record that is not there"));
                }
                self.counts.keys += 1;
                sink.key(&key, position, stream)
            }
            // Both were taken out before.
            Line::Export { .. } | Line::End(_) => Err(self.wrong("stands where none may stand")),
        }
    }

    /// The entries of a record, each the next of its stream, and what was erased.
    fn entries(&mut self, record: &[u8], sink: &dyn Sink) -> Result<(Vec<Entry>, Vec<Gone>), StoreError> {
        let unpacked = codec::unseal(record).and_then(|sealed| {
            let gone = tombstone::gone(&sealed)?;
            Ok(match codec::is_beside(sealed.packed) {
                None => (Ok(codec::unpack(sealed.packed)?), gone),
                Some(body) => (Err(body), gone),
            })
        });
        let (entries, gone) = unpacked.map_err(|error| self.wrong(&format!("holds a record: {error}")))?;
        let entries = match entries {
            Ok(entries) => entries,
            Err(body) => {
                let packed = sink.content_of(body)?;
                let packed = packed.ok_or_else(|| self.wrong("names a content that did not come"))?;
                codec::unpack(&packed).map_err(|error| self.wrong(&format!("holds a record: {error}")))?
            }
        };
        let there = entries.iter().map(|entry| (entry.stream, entry.seq, entry.seq));
        let erased = gone.iter().map(|gone| (gone.stream, gone.first, gone.last));
        for (stream, first, last) in there.chain(erased) {
            let before = self.streams.insert(stream, last).unwrap_or_default();
            if before.checked_add(1) != Some(first) {
                return Err(self.wrong(&format!("has entry {first} of {stream} without the one before")));
            }
        }
        Ok((entries, gone))
    }

    fn check_end(&mut self, told: Counts, head: Head) -> Result<(), StoreError> {
        self.counts.sha256 = Digest(std::mem::take(&mut self.hasher).finalize().into());
        if told != self.counts {
            return Err(self.wrong("does not fit the lines before: some were lost or changed"));
        }
        if self.chain != head {
            return Err(self.wrong("comes before the head that the first line names"));
        }
        Ok(())
    }
}
