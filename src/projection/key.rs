//! Keys of rows: as bytes they sort as they sort in memory, and those of one
//! table are all of one length.

use ulid::Ulid;

use crate::domain::id::{
    AlertId, ApprovalId, ContainmentId, ExceptionId, IncidentId, PollId, QuestionId, ReportId, RunId,
    ScheduleId,
};

/// What rows are found by.
pub trait Key: Ord + Copy + Send {
    /// The least key there can be.
    const LEAST: Self;
    /// The greatest key there can be.
    const MOST: Self;
    /// How many bytes every key has.
    const BYTES: usize;

    /// Writes the bytes at the end of `out`.
    fn write(self, out: &mut Vec<u8>);

    /// The key with exactly these bytes.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// The bytes alone.
    fn bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        self.write(&mut out);
        out
    }
}

/// Ids are ULIDs, so their order is the order in time.
macro_rules! id_keys {
    ($($id:ident),*) => {$(
        impl Key for $id {
            const LEAST: Self = Self::new(Ulid(0));
            const MOST: Self = Self::new(Ulid(u128::MAX));
            const BYTES: usize = 16;

            fn write(self, out: &mut Vec<u8>) {
                out.extend(self.ulid().to_bytes());
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(|bytes| Self::new(Ulid::from_bytes(bytes)))
            }
        }
    )*};
}

id_keys!(
    AlertId,
    ApprovalId,
    ContainmentId,
    ExceptionId,
    IncidentId,
    PollId,
    QuestionId,
    ReportId,
    RunId,
    ScheduleId
);

/// What belongs to something: first that, then itself.
impl<A: Key, B: Key> Key for (A, B) {
    const LEAST: Self = (A::LEAST, B::LEAST);
    const MOST: Self = (A::MOST, B::MOST);
    const BYTES: usize = A::BYTES + B::BYTES;

    fn write(self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(A::BYTES)?;
        Some((A::read(first)?, B::read(second)?))
    }
}
