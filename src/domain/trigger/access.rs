//! By which of its demands a trigger is found: the one that the fewest triggers
//! share, since those are looked at together.

use std::collections::HashMap;

use crate::domain::expr::condition::{Atom, Condition, Literal, Number, Side, Test};

/// One way to a trigger. A trigger is plainly false unless the alert takes one
/// of the ways that were chosen for it, or has not the value that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Access {
    /// The keys below the alert.
    pub(super) path: Vec<String>,
    /// What has to be there.
    pub(super) way: Way,
}

/// What has to be at a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// This value.
    Equal(Key),
    /// A list or map with this in it.
    Holds(Key),
    /// Text that begins so.
    Begins(String),
    /// A number not below this one, as the bits of a double.
    AtLeast(u64),
    /// A number not above this one, as the bits of a double.
    AtMost(u64),
}

/// A value that can be looked up by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Null,
    Bool(bool),
    /// The bits of the number as a double: equal numbers have equal bits.
    Number(u64),
    Text(String),
}

/// The bits of a number; both zeros have the same.
pub(super) fn bits(number: Number) -> u64 {
    (number.rounded() + 0.0).to_bits()
}

/// The key below the alert whose values a sender may leave out at will. A value
/// that is not there leaves all its triggers undecided.
const AS_SENT: &str = "raw";

/// All ways that the text of a condition names, alternatives included, without
/// bounds: what alerts and triggers share is counted by these.
pub(super) fn all_of(condition: &Condition) -> Vec<Access> {
    match condition {
        Condition::Is(atom) => {
            let ways = ways(atom).unwrap_or_default();
            ways.into_iter().filter(|access| !access.is_bound()).collect()
        }
        Condition::All(parts) | Condition::Any(parts) => parts.iter().flat_map(all_of).collect(),
        Condition::Other => Vec::new(),
    }
}

/// The best set of ways to a trigger with these demands; nothing when it has to
/// be asked for every alert. `wanted` tells how many triggers name each way.
pub(super) fn accesses<'a>(
    conditions: impl Iterator<Item = &'a Condition>,
    wanted: &HashMap<Access, u32>,
    triggers: usize,
) -> Option<Vec<Access>> {
    let choices = conditions.filter_map(|condition| best(condition, wanted, triggers));
    choices.min_by_key(|(cost, _)| *cost).map(|(_, chosen)| chosen)
}

/// The cheapest set of ways for one demand, with about how many triggers they find.
fn best(
    condition: &Condition,
    wanted: &HashMap<Access, u32>,
    triggers: usize,
) -> Option<(usize, Vec<Access>)> {
    match condition {
        Condition::Is(atom) => {
            let mut ways = ways(atom)?;
            let mut seen = std::collections::HashSet::new();
            ways.retain(|access| seen.insert(access.clone()));
            let cost = ways.iter().map(|access| match wanted.get(access) {
                // Bounds are crude: a severity of 90 passes most of them.
                None => triggers * 2,
                Some(count) => *count as usize,
            });
            let loose = if atom.path.first().is_some_and(|key| key == AS_SENT) { triggers } else { 0 };
            Some((cost.sum::<usize>() + loose, ways))
        }
        Condition::All(parts) => {
            let choices = parts.iter().filter_map(|part| best(part, wanted, triggers));
            choices.min_by_key(|(cost, _)| *cost)
        }
        Condition::Any(parts) => {
            let (mut cost, mut chosen) = (0_usize, Vec::new());
            for part in parts {
                let (more, ways) = best(part, wanted, triggers)?;
                cost = cost.saturating_add(more);
                chosen.extend(ways);
            }
            Some((cost, chosen))
        }
        Condition::Other => None,
    }
}

/// The ways that a test of one value gives; nothing when it gives none.
fn ways(atom: &Atom) -> Option<Vec<Access>> {
    let ways = match &atom.test {
        // `in []` is false, and an error where there is no value.
        Test::Equal(among) if among.is_empty() => return None,
        Test::Equal(among) => among.iter().map(|literal| Way::Equal(key(literal))).collect(),
        Test::Holds(literal) => vec![Way::Holds(key(literal))],
        Test::Begins(text) => vec![Way::Begins(text.clone())],
        Test::Flag(_) | Test::Unequal(_) | Test::Ends(_) | Test::Contains(_) => return None,
        Test::Compare(side, Literal::Number(number)) => vec![match side {
            Side::AtLeast | Side::Above => Way::AtLeast(bits(*number)),
            Side::AtMost | Side::Below => Way::AtMost(bits(*number)),
        }],
        Test::Compare(..) => return None,
    };
    Some(ways.into_iter().map(|way| Access { path: atom.path.clone(), way }).collect())
}

fn key(literal: &Literal) -> Key {
    match literal {
        Literal::Null => Key::Null,
        Literal::Bool(it) => Key::Bool(*it),
        Literal::Number(number) => Key::Number(bits(*number)),
        Literal::Text(text) => Key::Text(text.clone()),
    }
}

impl Access {
    fn is_bound(&self) -> bool {
        matches!(self.way, Way::AtLeast(_) | Way::AtMost(_))
    }
}
