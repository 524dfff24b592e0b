//! Rows of a view: those in use in memory, the others on a shelf. Without a
//! shelf all are in memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::projection::key::Key;
use crate::projection::shelf::{Bytes, Change, Shelf, Table, pack, unpack};

/// Unchanged rows of one table that stay in memory because they were in use: a
/// run touches its rows many times before it rests. Past it they are let go.
const HOT_ROWS: usize = 1000;

/// Rows read from the shelf at a time. A page of a list is a few of these.
const READ_ROWS: usize = 64;

/// One row in memory.
#[derive(Debug, Clone)]
struct Hot<R> {
    /// None when it is gone.
    row: Option<R>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The shelf says the same.
    Kept,
    /// The shelf says something older.
    Changed,
    /// It is being written.
    Leaving,
}

/// Rows by their keys.
#[derive(Clone)]
pub struct Rows<K, R> {
    hot: BTreeMap<K, Hot<R>>,
    changed: usize,
    shelf: Option<(&'static str, Arc<dyn Shelf>)>,
}

impl<K, R> Default for Rows<K, R> {
    fn default() -> Self {
        Self { hot: BTreeMap::new(), changed: 0, shelf: None }
    }
}

impl<K: fmt::Debug, R: fmt::Debug> fmt::Debug for Rows<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.hot.iter().map(|(key, hot)| (key, &hot.row))).finish()
    }
}

impl<K: Key, R: Clone + PartialEq + DeserializeOwned> PartialEq for Rows<K, R> {
    fn eq(&self, other: &Self) -> bool {
        self.newest(None).eq(other.newest(None))
    }
}

impl<K: Key, R: Clone + DeserializeOwned> Rows<K, R> {
    /// One row.
    pub fn get(&self, key: K) -> Option<Cow<'_, R>> {
        match self.hot.get(&key) {
            Some(hot) => hot.row.as_ref().map(Cow::Borrowed),
            None => self.read(key).map(Cow::Owned),
        }
    }

    /// One row, to change it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut R> {
        if !self.hot.contains_key(&key) {
            let row = Some(self.read(key)?);
            self.hot.insert(key, Hot { row, state: State::Kept });
        }
        let hot = self.hot.get_mut(&key)?;
        let row = hot.row.as_mut()?;
        self.changed += usize::from(hot.state != State::Changed);
        hot.state = State::Changed;
        Some(row)
    }

    /// One row, made when there is none, to change it.
    pub fn get_or(&mut self, key: K, make: impl FnOnce() -> R) -> &mut R {
        let row = self.get(key).map(Cow::into_owned).unwrap_or_else(make);
        self.place(key).insert(row)
    }

    /// Puts a row in, over what was there.
    pub fn insert(&mut self, key: K, row: R) {
        *self.place(key) = Some(row);
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: K) {
        *self.place(key) = None;
    }

    /// Where a row is about to be put.
    fn place(&mut self, key: K) -> &mut Option<R> {
        let hot = self.hot.entry(key).or_insert(Hot { row: None, state: State::Kept });
        self.changed += usize::from(hot.state != State::Changed);
        hot.state = State::Changed;
        &mut hot.row
    }

    /// All, or those below a key, the last first.
    pub fn newest(&self, before: Option<K>) -> Newest<'_, K, R> {
        self.within(K::LEAST, before.map_or(Bound::Included(K::MOST), Bound::Excluded))
    }

    /// All from a key on and below another, the last first.
    fn within(&self, least: K, below: Bound<K>) -> Newest<'_, K, R> {
        let below = match below {
            // A range must not end before it begins; one that ends there is empty.
            Bound::Excluded(below) => Bound::Excluded(below.max(least)),
            below => below,
        };
        let unread = self.shelf.as_ref().map(|_| match below {
            Bound::Excluded(below) => Some(below.bytes()),
            Bound::Included(below) => {
                // The next key that there could be, were keys a byte longer.
                Some([below.bytes(), vec![0]].concat())
            }
            Bound::Unbounded => None,
        });
        let hot = self.hot.range((Bound::Included(least), below)).rev().peekable();
        Newest { rows: self, hot, cold: VecDeque::new(), least, unread }
    }

    fn read(&self, key: K) -> Option<R> {
        let (table, shelf) = self.shelf.as_ref()?;
        let bytes = shelf.get(table, &key.bytes())?;
        let row = unpack(&bytes);
        if row.is_none() {
            shelf.doubt(table);
        }
        row
    }
}

impl<A: Key, B: Key, R: Clone + DeserializeOwned> Rows<(A, B), R> {
    /// What belongs to one thing and is below a key, the last first.
    pub fn newest_of(&self, of: A, below: Option<B>) -> impl Iterator<Item = B> + '_ {
        let below = below.map_or(Bound::Included((of, B::MOST)), |below| Bound::Excluded((of, below)));
        self.within((of, B::LEAST), below).map(|((_, key), _)| key)
    }
}

/// Rows in falling order of their keys.
pub struct Newest<'a, K, R> {
    rows: &'a Rows<K, R>,
    hot: Peekable<HotRange<'a, K, R>>,
    /// Read from the shelf and not given yet.
    cold: VecDeque<Bytes>,
    least: K,
    /// Where to read on, below which key; none when the shelf has no more.
    unread: Option<Option<Vec<u8>>>,
}

type HotRange<'a, K, R> = std::iter::Rev<std::collections::btree_map::Range<'a, K, Hot<R>>>;

impl<'a, K: Key, R: Clone + DeserializeOwned> Newest<'a, K, R> {
    fn read_on(&mut self) {
        if !self.cold.is_empty() {
            return;
        }
        let (Some(below), Some((table, shelf))) = (self.unread.take(), self.rows.shelf.as_ref()) else {
            return;
        };
        self.cold = shelf.newest(table, &self.least.bytes(), below.as_deref(), READ_ROWS).into();
        if self.cold.len() == READ_ROWS {
            self.unread = Some(self.cold.back().map(|(key, _)| key.clone()));
        }
    }

    fn next_cold(&mut self) -> Option<(K, R)> {
        let (table, shelf) = self.rows.shelf.as_ref()?;
        let (key, row) = self.cold.pop_front()?;
        let found = K::read(&key).zip(unpack(&row));
        if found.is_none() {
            shelf.doubt(table);
        }
        found
    }
}

impl<'a, K: Key, R: Clone + DeserializeOwned> Iterator for Newest<'a, K, R> {
    type Item = (K, Cow<'a, R>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.read_on();
            let cold = self.cold.front().and_then(|(key, _)| K::read(key));
            let hot = self.hot.peek().map(|(key, _)| **key);
            if cold.is_none() && !self.cold.is_empty() {
                // No key of this table: told, and left out.
                self.next_cold();
                continue;
            }
            if cold > hot {
                match self.next_cold() {
                    Some((key, row)) => return Some((key, Cow::Owned(row))),
                    None => continue,
                }
            }
            if cold == hot {
                // What is in memory is newer.
                self.cold.pop_front();
            }
            let (key, hot) = self.hot.next()?;
            if let Some(row) = &hot.row {
                return Some((*key, Cow::Borrowed(row)));
            }
        }
    }
}

impl<K: Key, R: Clone + Serialize + DeserializeOwned + Send> Table for Rows<K, R> {
    fn attach(&mut self, name: &'static str, shelf: &Arc<dyn Shelf>) {
        *self = Self { shelf: Some((name, Arc::clone(shelf))), ..Self::default() };
    }

    fn changed(&self) -> usize {
        self.changed
    }

    fn take(&mut self, into: &mut Vec<Change>) {
        let Some((table, _)) = self.shelf else { return };
        for (key, hot) in self.hot.iter_mut().filter(|(_, hot)| hot.state == State::Changed) {
            hot.state = State::Leaving;
            into.push(Change { table, key: key.bytes(), row: hot.row.as_ref().map(pack) });
        }
        self.changed = 0;
    }

    fn settle(&mut self) {
        for hot in self.hot.values_mut().filter(|hot| hot.state == State::Leaving) {
            hot.state = State::Kept;
        }
        if self.hot.len() > HOT_ROWS {
            self.hot.retain(|_, hot| hot.state != State::Kept);
        }
    }

    fn put_back(&mut self) {
        for hot in self.hot.values_mut().filter(|hot| hot.state == State::Leaving) {
            hot.state = State::Changed;
            self.changed += 1;
        }
    }
}
