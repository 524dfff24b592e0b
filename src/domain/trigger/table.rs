//! Triggers by the values they demand: one group for each path and kind of
//! demand, so that a lookup costs a walk to the value and a hash of it.

use std::collections::HashMap;

use super::access::{Access, Key, Way, bits};
use crate::domain::expr::condition::{Number, look};
use crate::domain::value::Value;

/// All groups; a few, since triggers look at few fields.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Group>,
    places: HashMap<(Vec<String>, Kind), usize>,
}

/// What a lookup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visit {
    /// The triggers that are found by their chosen way, and those that can't be
    /// decided by it.
    Access,
    /// Every trigger that names a value which the alert has.
    Shared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Equal,
    Holds,
    Begins,
    AtLeast,
    AtMost,
}

#[derive(Debug)]
struct Group {
    path: Vec<String>,
    kind: Kind,
    /// The triggers that are found here: undecided when the value is missing or
    /// of the wrong kind.
    found_here: Vec<u32>,
    keys: Keys,
    /// The lengths of beginnings, in bytes.
    lengths: Vec<usize>,
    /// Bounds with their triggers, sorted.
    bounds: Vec<(f64, u32)>,
}

#[derive(Debug, Default)]
struct Keys {
    null: Posting,
    bools: [Posting; 2],
    numbers: HashMap<u64, Posting>,
    texts: HashMap<String, Posting>,
}

/// The triggers behind one value.
#[derive(Debug, Default)]
struct Posting {
    /// Those that are found by it.
    access: Vec<u32>,
    /// Those that name it.
    shared: Vec<u32>,
}

impl Groups {
    /// A trigger is found by this way from now on.
    pub(super) fn add(&mut self, access: Access, trigger: u32) {
        let group = self.group(&access);
        if group.found_here.last() != Some(&trigger) {
            group.found_here.push(trigger);
        }
        match access.way {
            Way::AtLeast(bound) | Way::AtMost(bound) => group.bounds.push((f64::from_bits(bound), trigger)),
            Way::Equal(key) | Way::Holds(key) => once(&mut group.keys.posting(key).access, trigger),
            Way::Begins(text) => once(&mut group.keys.posting(Key::Text(text)).access, trigger),
        }
    }

    /// A trigger names this way.
    pub(super) fn share(&mut self, access: Access, trigger: u32) {
        let group = self.group(&access);
        match access.way {
            Way::AtLeast(_) | Way::AtMost(_) => {}
            Way::Equal(key) | Way::Holds(key) => once(&mut group.keys.posting(key).shared, trigger),
            Way::Begins(text) => once(&mut group.keys.posting(Key::Text(text)).shared, trigger),
        }
    }

    /// Has to be called once all are in.
    pub(super) fn sort(&mut self) {
        for group in &mut self.all {
            group.bounds.sort_by(|one, other| one.0.total_cmp(&other.0));
        }
    }

    /// Hands over the triggers that the values of the alert lead to; one may
    /// come several times.
    pub(super) fn visit(&self, alert: &Value, visit: Visit, mut each: impl FnMut(&[u32])) {
        for group in &self.all {
            if visit == Visit::Access && group.found_here.is_empty() {
                continue;
            }
            let known = look(alert, &group.path).is_some_and(|value| group.visit(value, visit, &mut each));
            if !known && visit == Visit::Access {
                each(&group.found_here);
            }
        }
    }

    fn group(&mut self, access: &Access) -> &mut Group {
        let kind = match &access.way {
            Way::Equal(_) => Kind::Equal,
            Way::Holds(_) => Kind::Holds,
            Way::Begins(_) => Kind::Begins,
            Way::AtLeast(_) => Kind::AtLeast,
            Way::AtMost(_) => Kind::AtMost,
        };
        let place = *self.places.entry((access.path.clone(), kind)).or_insert(self.all.len());
        if place == self.all.len() {
            let (path, keys) = (access.path.clone(), Keys::default());
            let (found_here, lengths, bounds) = (Vec::new(), Vec::new(), Vec::new());
            self.all.push(Group { path, kind, found_here, keys, lengths, bounds });
        }
        let group = &mut self.all[place];
        if let Way::Begins(text) = &access.way
            && !group.lengths.contains(&text.len())
        {
            group.lengths.push(text.len());
        }
        group
    }
}

fn once(postings: &mut Vec<u32>, trigger: u32) {
    if postings.last() != Some(&trigger) {
        postings.push(trigger);
    }
}

impl Group {
    /// Gives whether the value could be decided here.
    fn visit(&self, value: &Value, visit: Visit, each: &mut impl FnMut(&[u32])) -> bool {
        let mut give = |posting: Option<&Posting>| {
            if let Some(posting) = posting {
                each(if visit == Visit::Access { &posting.access } else { &posting.shared });
            }
        };
        match (self.kind, value) {
            (Kind::Equal, _) => give(self.keys.find(value)),
            (Kind::Holds, Value::Array(items)) => items.iter().for_each(|item| give(self.keys.find(item))),
            (Kind::Begins, Value::String(text)) => {
                let beginnings = self.lengths.iter().filter_map(|length| text.get(..*length));
                beginnings.for_each(|text| give(self.keys.texts.get(text)));
            }
            (Kind::AtLeast | Kind::AtMost, _) => {
                let Some(number) = Number::of(value).map(Number::rounded) else { return false };
                let passed = if self.kind == Kind::AtLeast {
                    &self.bounds[..self.bounds.partition_point(|(bound, _)| *bound <= number)]
                } else {
                    &self.bounds[self.bounds.partition_point(|(bound, _)| *bound < number)..]
                };
                passed.iter().for_each(|(_, trigger)| each(std::slice::from_ref(trigger)));
            }
            _ => return false,
        }
        true
    }
}

impl Keys {
    fn find(&self, value: &Value) -> Option<&Posting> {
        match value {
            Value::Null => Some(&self.null),
            Value::Bool(it) => Some(&self.bools[usize::from(*it)]),
            Value::Number(_) => self.numbers.get(&bits(Number::of(value)?)),
            Value::String(text) => self.texts.get(text),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn posting(&mut self, key: Key) -> &mut Posting {
        match key {
            Key::Null => &mut self.null,
            Key::Bool(it) => &mut self.bools[usize::from(it)],
            Key::Number(bits) => self.numbers.entry(bits).or_default(),
            Key::Text(text) => self.texts.entry(text).or_default(),
        }
    }
}
