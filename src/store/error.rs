//! What the store answers when it cannot do as asked.

use crate::domain::id::StreamId;

/// Why the store refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The stream has moved on since the writer read it. Nothing was written;
    /// read the stream again and decide anew.
    #[error("{stream} has moved on: the writer saw entry {expected}, its last entry is {found}")]
    Conflict {
        /// Which stream.
        stream: StreamId,
        /// The last entry the writer had seen.
        expected: u64,
        /// The last entry there is.
        found: u64,
    },
    /// The unique key exists: the batch, or one like it, was appended before.
    #[error("the key `{key}` is taken by {stream}")]
    Taken {
        /// Which key.
        key: String,
        /// The stream it was first used for.
        stream: StreamId,
    },
    /// Something is larger than the store takes. Nothing was written.
    #[error("{what} has {size}, the limit is {max}; make it smaller, or split it")]
    TooLarge {
        /// What is too large, with the unit (`the record, in bytes`).
        what: &'static str,
        /// Its size, in that unit.
        size: u64,
        /// The limit, in that unit.
        max: u64,
    },
    /// The batch contradicts itself. Nothing was written; the caller is wrong.
    #[error("the batch cannot be appended: {why}")]
    Malformed {
        /// What contradicts what.
        why: &'static str,
    },
    /// What is on the disk is not what was written. Nothing is written to it.
    #[error("the journal is damaged: {why}. {help}")]
    Damaged {
        /// What does not fit.
        why: String,
        /// What to do next.
        help: String,
    },
    /// Too little space is left on the disk. Nothing was written; appends are
    /// taken again when there is space.
    #[error(
        "the disk of the journal is full; free some space there, appends are then taken again by \
         themselves"
    )]
    Full,
    /// Another process has the journal open.
    #[error(
        "the journal in {dir} is open in another process; talk to that server \
         (the command line does so by itself), or stop it first"
    )]
    Locked {
        /// The directory of the journal.
        dir: String,
    },
    /// A file that should hold an export or a backup does not, or not whole.
    /// Nothing of it is kept.
    #[error("the export cannot be used: {why}. {help}")]
    Export {
        /// What does not fit, and where.
        why: String,
        /// What to do next.
        help: &'static str,
    },
    /// There is a journal where an empty directory was wanted.
    #[error(
        "there is something in {dir} already, and an import never mixes with it; name an empty \
         data directory with --data, or move that one away"
    )]
    Occupied {
        /// The directory of the journal.
        dir: String,
    },
    /// The operating system or the embedded store failed.
    #[error("{doing} failed: {why}")]
    Io {
        /// What was being done, with the path when there is one.
        doing: String,
        /// What the system said.
        why: String,
    },
    /// The journal takes nothing any more in this process.
    #[error("the journal has stopped: {why}; restart the server, what was acknowledged is kept")]
    Stopped {
        /// What stopped it.
        why: String,
    },
}

impl StoreError {
    /// An operating system's error, told with what was being done. A full disk
    /// is told as such.
    pub(crate) fn io(doing: impl Into<String>, error: &std::io::Error) -> Self {
        if is_full(error) {
            return Self::Full;
        }
        Self::Io { doing: doing.into(), why: error.to_string() }
    }

    /// Damage that only a backup can mend.
    pub(crate) fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged {
            why: why.into(),
            help: "Nothing was written. Keep a copy of the directory as it is, then restore the \
                   latest backup (`quell store import FILE` into an empty data directory); \
                   without one, `quell store export FILE` saves what can still be read"
                .to_owned(),
        }
    }
}

/// Whether the system says that the disk, or the quota on it, is full.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
