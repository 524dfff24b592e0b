//! Small facts of a view that must be at hand without a look at the disk: what
//! is open, what holds, how many there are. All of them are in memory; on a
//! shelf they are kept only so that a start need not fold the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::projection::shelf::{Change, Shelf, Table, pack, unpack};

/// Marks read from the shelf at a time.
const READ_MARKS: usize = 1000;

/// Marks by their keys; reading them is reading the map.
#[derive(Debug, Clone)]
pub struct Marks<K, V = ()> {
    all: BTreeMap<K, V>,
    changed: BTreeSet<K>,
    leaving: BTreeSet<K>,
    table: Option<&'static str>,
}

impl<K, V> Default for Marks<K, V> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), changed: BTreeSet::new(), leaving: BTreeSet::new(), table: None }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Marks<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl<K, V> Deref for Marks<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        &self.all
    }
}

impl<K: Ord + Clone, V> Marks<K, V> {
    /// Sets a mark, over what was there.
    pub fn set(&mut self, key: K, value: V) {
        self.touch(&key);
        self.all.insert(key, value);
    }

    /// Takes a mark off, and gives what it was.
    pub fn clear(&mut self, key: &K) -> Option<V> {
        let was = self.all.remove(key)?;
        self.touch(key);
        Some(was)
    }

    /// A mark, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.all.contains_key(key) {
            self.touch(key);
        }
        self.all.get_mut(key)
    }

    /// A mark, made when there is none, to change it.
    pub fn get_or(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.touch(&key);
        self.all.entry(key).or_insert_with(make)
    }

    fn touch(&mut self, key: &K) {
        // Without a shelf nobody asks what changed.
        if self.table.is_some() && !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
    }
}

impl<K, V> Table for Marks<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send,
    V: Serialize + DeserializeOwned + Send,
{
    fn attach(&mut self, name: &'static str, shelf: &Arc<dyn Shelf>) {
        *self = Self { table: Some(name), ..Self::default() };
        let mut below: Option<Vec<u8>> = None;
        loop {
            let read = shelf.newest(name, &[], below.as_deref(), READ_MARKS);
            for (key, value) in &read {
                match unpack(key).zip(unpack(value)) {
                    Some((key, value)) => drop(self.all.insert(key, value)),
                    None => shelf.doubt(name),
                }
            }
            match read.into_iter().nth(READ_MARKS - 1) {
                Some((last, _)) => below = Some(last),
                None => return,
            }
        }
    }

    fn changed(&self) -> usize {
        self.changed.len()
    }

    fn take(&mut self, into: &mut Vec<Change>) {
        let Some(table) = self.table else { return };
        for key in &self.changed {
            into.push(Change { table, key: pack(key), row: self.all.get(key).map(pack) });
        }
        self.leaving = std::mem::take(&mut self.changed);
    }

    fn settle(&mut self) {
        self.leaving = BTreeSet::new();
    }

    fn put_back(&mut self) {
        self.changed.append(&mut self.leaving);
    }
}
