//! For an alert that no trigger wants: which came closest, and why it didn't
//! hold. Only the triggers that share most with the alert are looked at, so
//! that an alert nobody wants costs no more with a thousand playbooks.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use super::table::Visit;
use super::{Indexed, TriggerIndex};
use crate::domain::expr::Expr;
use crate::domain::expr::condition::Truth;
use crate::domain::expr::scope::Scope;
use crate::domain::value::{Value, truncate_text};

/// How many triggers are looked at for one alert: those that name most of the
/// values it has, then the first of the library. Two screens of a list.
pub const LOOKED_AT_MAX: usize = 32;

/// How many of those are evaluated where their text alone doesn't tell: the most
/// promising ones. An evaluation takes a microsecond or so.
pub const EVALUATED_MAX: usize = 8;

/// How much of a condition or value is shown, in bytes.
const SHOWN_BYTES: usize = 200;

/// The trigger that came closest to an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// Its playbook.
    pub playbook: String,
    /// Its place among the triggers of the index.
    #[serde(skip)]
    pub place: usize,
    /// The conditions that did not hold.
    pub failed: Vec<Failed>,
    /// How many of its conditions held.
    pub held: usize,
    /// How many it has.
    pub of: usize,
}

/// A condition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The condition as it is written.
    pub wanted: String,
    /// What the alert has there: the value alone when the condition looks at one
    /// path, else each with its path.
    pub is: String,
    /// Why it could not be decided, when it is not plainly false.
    pub undecided: Option<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.undecided {
            Some(why) => write!(f, "{}, which can't be decided: {why}", self.wanted),
            None if self.is.is_empty() => write!(f, "{}, which does not hold", self.wanted),
            None if self.is.contains(" = ") => write!(f, "{} and has {}", self.wanted, self.is),
            None => write!(f, "{} and it is {}", self.wanted, self.is),
        }
    }
}

impl fmt::Display for Miss {
    /// "`leavers` wanted alert.severity >= 60 and it is 50".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: Vec<String> = self.failed.iter().map(Failed::to_string).collect();
        write!(f, "`{}` wanted {}", self.playbook, failed.join("; and "))
    }
}

impl TriggerIndex {
    /// The trigger with the largest share of conditions that hold, of those that
    /// were looked at ([`LOOKED_AT_MAX`]) and do not hold; at the same share the
    /// one with more of them, then the first. Nothing when there is no such
    /// trigger. `scope` must hold the same alert under its name.
    pub fn closest_miss(&self, alert: &Value, scope: &Scope<'_>) -> Option<Miss> {
        let mut rated: Vec<(usize, Rating)> = self
            .closest(alert)
            .into_iter()
            .map(|place| (place, self.triggers[place].rate(alert)))
            .filter(|(_, rating)| rating.held < rating.of)
            .collect();
        // The most promising first: then the others need no evaluation.
        rated.sort_by_key(|(place, rating)| (Reverse(rating.hoped().rank()), *place));
        let (mut evaluated, mut best) = (0, None::<(usize, Rating)>);
        for (place, rating) in rated {
            let ranks_below = |rating: Rating| best.is_some_and(|(_, best)| rating.rank() <= best.rank());
            if ranks_below(rating.hoped()) {
                break;
            }
            let mut rating = rating;
            if rating.unknown > 0 && evaluated < EVALUATED_MAX {
                evaluated += 1;
                rating.held += self.triggers[place].unknown_that_hold(alert, scope);
            }
            rating.unknown = 0;
            if rating.held < rating.of && !ranks_below(rating) {
                best = Some((place, rating));
            }
        }
        let (place, rating) = best?;
        let trigger = &self.triggers[place];
        let failed = trigger.failed(alert, scope);
        // It was not evaluated before, and does hold.
        if failed.is_empty() {
            return None;
        }
        let held = rating.of - failed.len();
        Some(Miss { playbook: trigger.playbook.clone(), place, failed, held, of: rating.of })
    }

    /// The places of those that name most of the values the alert has.
    fn closest(&self, alert: &Value) -> Vec<usize> {
        let mut shared = vec![0_u32; self.triggers.len()];
        self.groups.visit(alert, Visit::Shared, |places| {
            places.iter().for_each(|place| shared[*place as usize] += 1);
        });
        let mut places: Vec<usize> = (0..self.triggers.len()).collect();
        let first = |place: &usize| (Reverse(shared[*place]), *place);
        if places.len() > LOOKED_AT_MAX {
            places.select_nth_unstable_by_key(LOOKED_AT_MAX - 1, first);
            places.truncate(LOOKED_AT_MAX);
        }
        places.sort_unstable();
        places
    }
}

/// How close a trigger came.
#[derive(Debug, Clone, Copy)]
struct Rating {
    held: usize,
    unknown: usize,
    of: usize,
}

impl Rating {
    /// The best that it may turn out to be: one condition at least did not hold,
    /// or the alert would be wanted.
    fn hoped(mut self) -> Rating {
        self.held = (self.held + self.unknown).min(self.of - 1);
        self
    }

    /// Larger is closer: the share in thousandths, then the count.
    fn rank(self) -> (usize, usize) {
        (self.held * 1000 / self.of.max(1), self.held)
    }
}

impl Indexed {
    /// How many of its conditions hold, as far as their text tells.
    fn rate(&self, alert: &Value) -> Rating {
        let mut rating = Rating { held: 0, unknown: 0, of: self.conjuncts.len() };
        for part in &self.conjuncts {
            match part.condition.truth(alert) {
                Truth::Yes => rating.held += 1,
                Truth::Unknown => rating.unknown += 1,
                Truth::No => {}
            }
        }
        rating
    }

    fn unknown_that_hold(&self, alert: &Value, scope: &Scope<'_>) -> usize {
        let unknown = self.conjuncts.iter().filter(|part| part.condition.truth(alert) == Truth::Unknown);
        unknown.filter(|part| part.expr.eval_bool(scope) == Ok(true)).count()
    }

    fn failed(&self, alert: &Value, scope: &Scope<'_>) -> Vec<Failed> {
        let mut failed = Vec::new();
        for part in &self.conjuncts {
            let undecided = match part.condition.truth(alert) {
                Truth::Yes => continue,
                Truth::No => None,
                Truth::Unknown => match part.expr.eval_bool(scope) {
                    Ok(true) => continue,
                    Ok(false) => None,
                    Err(error) => Some(error.message),
                },
            };
            failed.push(Failed {
                wanted: one_line(part.expr.source()),
                is: seen(&part.expr, scope),
                undecided,
            });
        }
        failed
    }
}

/// The values that a condition looked at.
fn seen(expr: &Expr, scope: &Scope<'_>) -> String {
    let traced = expr.trace(scope);
    let told = |value: &Option<Value>| match value {
        Some(value) => truncate_text(&value.to_string(), SHOWN_BYTES).into_owned(),
        None => "not there".to_owned(),
    };
    match traced.as_slice() {
        [(path, value)] if expr.source().trim().starts_with(path.as_str()) => told(value),
        paths => {
            let paths: Vec<String> =
                paths.iter().map(|(path, value)| format!("{path} = {}", told(value))).collect();
            paths.join(", ")
        }
    }
}

fn one_line(source: &str) -> String {
    let words: Vec<&str> = source.split_whitespace().collect();
    truncate_text(&words.join(" "), SHOWN_BYTES).into_owned()
}
