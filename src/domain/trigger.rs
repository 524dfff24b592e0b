//! Which triggers an alert may start, without asking all of them: a thousand
//! playbooks and ten thousand alerts a second must not be ten million
//! evaluations.
//!
//! ```text
//! triggers ──┬─ by a value       alert.rule.name == "Mass download"   a hash of the value
//!            ├─ by a beginning   alert.user.email.startsWith("svc-")  a hash for each length
//!            ├─ by a bound       alert.severity >= 90                 a sorted list
//!            └─ always           size(alert.objects) > 0
//!                 │
//!      alert ──▶ candidates ──▶ what their text demands ──▶ an evaluation, where that says too little
//! ```
//!
//! **Invariant:** each trigger that holds is a candidate, and so is each that
//! cannot be decided: all others are plainly false. That CEL's `&&` is false as
//! soon as one side is, even if the other fails, is what this rests on.

use std::collections::HashMap;

use self::access::{Access, accesses};
use self::table::{Groups, Visit};
use crate::domain::expr::condition::{Truth, all};
use crate::domain::expr::conjunct::Conjunct;
use crate::domain::expr::scope::Scope;
use crate::domain::expr::{EvalError, Expr};
use crate::domain::value::Value;

mod access;
pub mod miss;
mod table;

/// The name by which triggers speak of the alert.
const ROOT: &str = "alert";

/// Triggers, found by what they demand of an alert.
#[derive(Debug, Default)]
pub struct TriggerIndex {
    triggers: Vec<Indexed>,
    groups: Groups,
    /// Those that no lookup finds: they are candidates for every alert.
    always: Vec<u32>,
}

/// A trigger in the index.
#[derive(Debug)]
struct Indexed {
    playbook: String,
    expr: Expr,
    conjuncts: Vec<Conjunct>,
}

impl TriggerIndex {
    /// An index of these triggers, each with the name of its playbook. A trigger
    /// is known by its place in this order from here on; a playbook with several
    /// triggers stands there several times.
    pub fn new<'a>(triggers: impl IntoIterator<Item = (&'a str, &'a Expr)>) -> TriggerIndex {
        let triggers: Vec<Indexed> = triggers
            .into_iter()
            .map(|(playbook, expr)| Indexed {
                playbook: playbook.to_owned(),
                expr: expr.clone(),
                conjuncts: expr.conjuncts(ROOT),
            })
            .collect();
        let mut wanted: HashMap<Access, u32> = HashMap::new();
        let each = |trigger: &Indexed| -> Vec<Access> {
            let conditions = trigger.conjuncts.iter().map(|part| &part.condition);
            conditions.flat_map(access::all_of).collect()
        };
        for access in triggers.iter().flat_map(each) {
            *wanted.entry(access).or_default() += 1;
        }
        let mut index = TriggerIndex { triggers: Vec::new(), groups: Groups::default(), always: Vec::new() };
        for (place, trigger) in (0_u32..).zip(&triggers) {
            for access in each(trigger) {
                index.groups.share(access, place);
            }
            let conditions = trigger.conjuncts.iter().map(|part| &part.condition);
            match accesses(conditions, &wanted, triggers.len()) {
                Some(chosen) => chosen.into_iter().for_each(|access| index.groups.add(access, place)),
                None => index.always.push(place),
            }
        }
        index.groups.sort();
        index.triggers = triggers;
        index
    }

    /// How many triggers there are.
    pub fn len(&self) -> usize {
        self.triggers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty()
    }

    /// The playbook of the trigger at this place.
    pub fn playbook(&self, place: usize) -> &str {
        &self.triggers[place].playbook
    }

    /// The places, in order, of the triggers that may hold or can't be decided
    /// for this alert, which is given as JSON. All others are plainly false.
    pub fn candidates(&self, alert: &Value) -> impl Iterator<Item = usize> {
        self.possible(alert).into_iter().map(|(place, _)| place as usize)
    }

    /// The places, in order, of the triggers that hold, and of those that can't
    /// be decided with the reason. All others are plainly false. `scope` must
    /// hold the same alert under its name.
    pub fn decide(&self, alert: &Value, scope: &Scope<'_>) -> Vec<(usize, Result<(), EvalError>)> {
        let possible = self.possible(alert).into_iter();
        let decided = possible.filter_map(|(place, truth)| {
            let held = match truth {
                Truth::Yes => Ok(true),
                Truth::Unknown => self.triggers[place as usize].expr.eval_bool(scope),
                Truth::No => Ok(false),
            };
            let outcome = held.map(|held| held.then_some(())).transpose()?;
            Some((place as usize, outcome))
        });
        decided.collect()
    }

    /// The candidates, with what their text tells of them.
    fn possible(&self, alert: &Value) -> Vec<(u32, Truth)> {
        let mut found = self.always.clone();
        self.groups.visit(alert, Visit::Access, |places| found.extend_from_slice(places));
        found.sort_unstable();
        found.dedup();
        let judged = found.into_iter().map(|place| (place, self.triggers[place as usize].truth(alert)));
        judged.filter(|(_, truth)| *truth != Truth::No).collect()
    }
}

impl Indexed {
    /// What its text tells of it, whole.
    fn truth(&self, alert: &Value) -> Truth {
        all(self.conjuncts.iter().map(|part| part.condition.truth(alert)))
    }
}
