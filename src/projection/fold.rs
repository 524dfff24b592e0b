//! What every projection shares: how it is fed, and how its rows are paged.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;

use crate::domain::event::Entry;

/// A view folded from entries.
pub trait Projection {
    /// Takes in one entry. Entries of one stream come in their order; those of
    /// different streams in any order. Never fails and never panics.
    fn apply(&mut self, entry: &Entry);
}

/// The most rows of one page: a screenful many times over, and a bound on what
/// one request costs.
pub const PAGE_ROWS_MAX: usize = 500;

/// The longest text that a row keeps, in bytes. Rows are for lists; the whole
/// text stays in the journal.
pub const ROW_TEXT_BYTES_MAX: usize = 300;

/// Some rows, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// The newest `limit` rows older than `before` that `keep` wants. Ids are
/// ULIDs, so their order is the order in time.
pub fn page<K: Ord + Copy + ToString, R, T>(
    rows: &BTreeMap<K, R>,
    before: Option<K>,
    limit: usize,
    keep: impl Fn(&R) -> bool,
    show: impl Fn(&R) -> T,
) -> Page<T> {
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let upper = before.map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = rows.range((Bound::Unbounded, upper)).rev().filter(|(_, row)| keep(row));
    let mut items = Vec::new();
    let mut last = None;
    for (id, row) in found.by_ref().take(limit) {
        items.push(show(row));
        last = Some(*id);
    }
    let more = found.next().is_some();
    Page { items, next: last.filter(|_| more).map(|id| id.to_string()) }
}
