//! What every projection shares: how it is fed, and how its rows are paged.

use std::borrow::Cow;

use serde::Serialize;

use crate::domain::event::Entry;
use crate::domain::id::IncidentId;
use crate::projection::shelf::Table;

/// A view folded from entries.
pub trait Projection {
    /// Takes in one entry; `incident` is the investigation that the entry's run
    /// belongs to, when its start was seen. Entries of one stream come in their
    /// order; those of different streams in any order. Never fails and never
    /// panics.
    fn apply(&mut self, entry: &Entry, incident: Option<IncidentId>);

    /// All that it consists of, each with a name of its own among all views.
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)>;
}

/// The most rows of one page: a screenful many times over, and a bound on what
/// one request costs.
pub const PAGE_ROWS_MAX: usize = 500;

/// The most rows that are looked at for one page: a few hundred milliseconds.
/// A page that ends there may be short or empty, and says where to go on.
pub const PAGE_LOOKS_MAX: usize = 20_000;

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

/// The first `limit` rows that `keep` wants. Rows come the newest first: ids are
/// ULIDs, so their order is the order in time.
pub fn page<'a, K: ToString, R: Clone + 'a>(
    mut rows: impl Iterator<Item = (K, Cow<'a, R>)>,
    limit: usize,
    keep: impl Fn(&R) -> bool,
) -> Page<R> {
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let mut items = Vec::new();
    let mut last = None;
    for looks in 0.. {
        let Some((key, row)) = rows.next() else {
            return Page { items, next: None };
        };
        let wanted = keep(&row);
        if wanted && items.len() == limit {
            break;
        }
        last = Some(key);
        if wanted {
            items.push(row.into_owned());
        }
        if looks >= PAGE_LOOKS_MAX {
            break;
        }
    }
    Page { items, next: last.map(|key| key.to_string()) }
}
