//! Who may go next: an ordered line of what waits, and the limits of what is
//! under way. Runs stand in one, calls of each connector in another.
//!
//! The more urgent goes first. Among equals the groups (playbooks) take turns,
//! and inside a group who came first goes first. What may not go for the limit
//! of its group holds up nobody else. Nothing that waits is ever dropped.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use crate::domain::urgency::Urgency;

/// Of the places for what waits, one in this many is kept for what is high or
/// more urgent, so that a flood of small alerts does not shut the door on a
/// critical one.
const WAITING_KEPT_ONE_IN: usize = 10;

/// Of the places for what is under way, one in this many is kept for what is
/// critical or a matter of access: slow systems may hold all the others for as
/// long as a call may take.
const AT_ONCE_KEPT_ONE_IN: usize = 8;

/// With fewer places than this none is kept: each one counts.
const KEPT_FROM: usize = 4;

/// How much may be under way, and how much may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// What may be under way at the same time.
    pub at_once: usize,
    /// Of these places, how many are kept for what is critical.
    pub kept: usize,
    /// What may be under way of one group, by its name.
    pub groups: BTreeMap<String, usize>,
    /// What may wait.
    pub waiting: usize,
}

impl Limits {
    /// This many at once, some of the places kept for what is critical.
    pub fn runs(at_once: usize, waiting: usize, groups: BTreeMap<String, usize>) -> Self {
        let kept = if at_once < KEPT_FROM { 0 } else { at_once.div_ceil(AT_ONCE_KEPT_ONE_IN) };
        Self { at_once, kept, groups, waiting }
    }

    /// This many at once, whoever comes, and however many wait.
    pub fn calls(at_once: usize) -> Self {
        Self { at_once, kept: 0, groups: BTreeMap::new(), waiting: usize::MAX }
    }
}

/// What waits of one urgency.
#[derive(Debug)]
struct Line<K> {
    /// By group, in the order in which it came.
    groups: HashMap<Arc<str>, BTreeMap<u64, K>>,
    /// The groups that wait; the one whose turn it is stands first.
    turns: VecDeque<Arc<str>>,
    len: usize,
}

impl<K> Default for Line<K> {
    fn default() -> Self {
        Self { groups: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

/// What waits, and what is under way.
#[derive(Debug)]
pub struct Queue<K> {
    limits: Limits,
    closed: bool,
    under_way: HashMap<K, Arc<str>>,
    busy: HashMap<Arc<str>, usize>,
    lines: [Line<K>; Urgency::ALL.len()],
    waiting: HashMap<K, (Urgency, Arc<str>, u64)>,
    came: u64,
    reserved: usize,
}

impl<K: Copy + Eq + Hash> Queue<K> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            closed: false,
            under_way: HashMap::new(),
            busy: HashMap::new(),
            lines: std::array::from_fn(|_| Line::default()),
            waiting: HashMap::new(),
            came: 0,
            reserved: 0,
        }
    }

    /// From now on nothing that waits may go.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Goes at once when there is a place and nobody waits who would go first.
    pub fn try_enter(&mut self, key: K, group: &str, urgency: Urgency) -> bool {
        let first = self.first();
        let free =
            !self.closed && self.fits(group, urgency) && first.is_none_or(|(before, _)| before > urgency);
        if free {
            self.enter(key, group);
        }
        free
    }

    /// Is under way, whatever the limits say: what has begun is never held
    /// back, and counts for those who have not. Says nothing new the second time.
    pub fn enter(&mut self, key: K, group: &str) {
        if self.under_way.contains_key(&key) {
            return;
        }
        self.withdraw(key);
        let group = self.name(group);
        *self.busy.entry(Arc::clone(&group)).or_default() += 1;
        self.under_way.insert(key, group);
    }

    /// Waits for its turn. What waits already keeps its place.
    pub fn wait(&mut self, key: K, group: &str, urgency: Urgency) {
        if self.waiting.contains_key(&key) || self.under_way.contains_key(&key) {
            return;
        }
        let group = self.name(group);
        self.came += 1;
        let line = &mut self.lines[urgency as usize];
        if !line.groups.contains_key(&group) {
            line.turns.push_back(Arc::clone(&group));
        }
        line.groups.entry(Arc::clone(&group)).or_default().insert(self.came, key);
        line.len += 1;
        self.waiting.insert(key, (urgency, group, self.came));
    }

    /// Is over or no longer wanted: it is neither under way nor waits.
    pub fn leave(&mut self, key: K) {
        self.rest(key);
        self.withdraw(key);
    }

    /// Is under way no more. What waits goes on waiting.
    pub fn rest(&mut self, key: K) {
        let Some(group) = self.under_way.remove(&key) else { return };
        if let Some(busy) = self.busy.get_mut(&group) {
            *busy -= 1;
            if *busy == 0 {
                self.busy.remove(&group);
            }
        }
    }

    /// Whether it is under way or waits.
    pub fn knows(&self, key: K) -> bool {
        self.under_way.contains_key(&key) || self.waiting.contains_key(&key)
    }

    /// Takes out the next that may go; it is under way then.
    pub fn take_next(&mut self) -> Option<K> {
        if self.closed {
            return None;
        }
        let (urgency, at) = self.first()?;
        let line = &mut self.lines[urgency as usize];
        let group = line.turns.remove(at)?;
        let (_, key) = line.groups.get_mut(&group)?.pop_first()?;
        line.len -= 1;
        if line.groups.get(&group).is_some_and(BTreeMap::is_empty) {
            line.groups.remove(&group);
        } else {
            line.turns.push_back(Arc::clone(&group));
        }
        self.waiting.remove(&key);
        self.enter(key, &group);
        Some(key)
    }

    /// Keeps room for this many that are about to wait, all or none. What comes
    /// together is taken together: it may run over the limit by its own number
    /// once, so that nothing is too large ever to be taken.
    pub fn reserve(&mut self, count: usize, urgency: Urgency) -> bool {
        let most = self.limits.waiting;
        let kept = if urgency <= Urgency::High { 0 } else { most.div_ceil(WAITING_KEPT_ONE_IN) };
        if count > 0 && self.len() + self.reserved >= most - kept.min(most - 1) {
            return false;
        }
        self.reserved += count;
        true
    }

    /// Gives back room that was kept.
    pub fn release(&mut self, count: usize) {
        self.reserved = self.reserved.saturating_sub(count);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait, by urgency.
    pub fn lengths(&self) -> [(Urgency, usize); Urgency::ALL.len()] {
        Urgency::ALL.map(|urgency| (urgency, self.lines[urgency as usize].len))
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Who goes next: its urgency, and the place of its group in the turns.
    fn first(&self) -> Option<(Urgency, usize)> {
        if self.under_way.len() >= self.limits.at_once {
            return None;
        }
        Urgency::ALL.into_iter().find_map(|urgency| {
            let turns = &self.lines[urgency as usize].turns;
            let at = turns.iter().position(|group| self.fits(group, urgency))?;
            Some((urgency, at))
        })
    }

    fn fits(&self, group: &str, urgency: Urgency) -> bool {
        let kept = if urgency <= Urgency::Critical { 0 } else { self.limits.kept };
        let group_most = self.limits.groups.get(group).copied().unwrap_or(usize::MAX);
        self.under_way.len() < self.limits.at_once.saturating_sub(kept)
            && self.busy.get(group).copied().unwrap_or(0) < group_most
    }

    fn withdraw(&mut self, key: K) {
        let Some((urgency, group, came)) = self.waiting.remove(&key) else { return };
        let line = &mut self.lines[urgency as usize];
        let Some(waits) = line.groups.get_mut(&group) else { return };
        waits.remove(&came);
        line.len -= 1;
        if waits.is_empty() {
            line.groups.remove(&group);
            line.turns.retain(|other| *other != group);
        }
    }

    /// The name of a group, kept once.
    fn name(&self, group: &str) -> Arc<str> {
        let known = self.busy.get_key_value(group).map(|(name, _)| name);
        let waits = || self.lines.iter().find_map(|line| line.groups.get_key_value(group));
        known.or_else(|| waits().map(|(name, _)| name)).map_or_else(|| group.into(), Arc::clone)
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
