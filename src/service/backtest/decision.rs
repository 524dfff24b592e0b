//! What a playbook decides about one alert, and how two decisions differ. Pure:
//! the same decisions give the same differences.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::event::RunEnd;
use crate::service::preview::walk::Branch;

/// What a playbook makes of an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Its trigger does not hold.
    Unwanted {
        /// What was wanted, and what there is.
        why: String,
    },
    /// Its trigger can't be decided; no run is started then.
    Undecided {
        /// Why.
        why: String,
    },
    /// It starts a run, which would go one of these ways.
    Run {
        /// One for each combination of answers.
        branches: Vec<Way>,
        /// How many more there are, which were not looked at.
        left_out: usize,
    },
    /// It starts a run, and where that leads could not be followed.
    Unplanned {
        /// Why.
        why: String,
    },
}

/// One way that a run may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// `step: answer`, in the order they are asked.
    pub answers: Vec<String>,
    /// What would happen, in order.
    pub lines: Vec<Line>,
    /// How the run would end, and why.
    pub end: String,
    /// The same in one word.
    pub outcome: Option<RunEnd>,
    /// What would be contained.
    pub contained: Vec<String>,
    /// Who would be asked.
    pub asked: Vec<String>,
    /// Who would be told something.
    pub told: Vec<String>,
}

impl From<Branch> for Way {
    fn from(branch: Branch) -> Way {
        let Branch { answers, lines, gists, end, outcome, contained, asked, told, reached: _ } = branch;
        let answers = answers.into_iter().map(|(step, answer)| format!("{step}: {answer}")).collect();
        let lines = gists.into_iter().zip(lines).map(|(gist, text)| Line { gist, text }).collect();
        Way { answers, lines, end, outcome, contained, asked, told }
    }
}

/// One thing that would happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What is decided, without why: that a step is skipped, not by which words
    /// of its condition.
    pub gist: String,
    /// The same with the reason.
    pub text: String,
}

/// How two decisions about the same alert differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The new one starts a run, the old one does not.
    StartsRun,
    /// The old one starts a run, the new one does not.
    StartsNoRun,
    /// Both start a run, and it would go another way.
    GoesAnotherWay,
    /// Neither starts a run; one of them because it can't be decided.
    Undecided,
}

/// One side of a difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The decision in words.
    pub words: String,
    /// Whether a run is started.
    pub starts: bool,
    /// What would be contained, on any way.
    pub contained: Vec<String>,
    /// Who would be asked for an answer or a yes, on any way.
    pub asked: Vec<String>,
    /// Who would be told something, on any way.
    pub told: Vec<String>,
    /// How many ways were followed.
    pub branches: usize,
    /// How many were not.
    pub left_out: usize,
}

/// How one way of a run differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchChange {
    /// The answers that lead there.
    pub answers: Vec<String>,
    /// What only the old one does; everything when only that has this way.
    pub only_old: Vec<String>,
    /// What only the new one does.
    pub only_new: Vec<String>,
    /// How the old one ends; absent when it has no such way.
    pub end_old: Option<String>,
    /// How the new one ends.
    pub end_new: Option<String>,
}

/// How two decisions differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// In one word.
    pub kind: Kind,
    /// What is decided now.
    pub old: Side,
    /// What would be decided.
    pub new: Side,
    /// Where both start a run: the ways that differ.
    pub branches: Vec<BranchChange>,
}

impl Way {
    fn gists(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.gist.as_str())
    }
}

impl Decision {
    /// Whether a run is started.
    pub fn starts(&self) -> bool {
        matches!(self, Decision::Run { .. } | Decision::Unplanned { .. })
    }

    /// Whether the trigger could not be decided.
    pub fn is_undecided(&self) -> bool {
        matches!(self, Decision::Undecided { .. })
    }

    fn side(&self) -> Side {
        let words = self.words();
        let Decision::Run { branches, left_out } = self else {
            return Side { words, starts: self.starts(), ..Side::default() };
        };
        let any = |of: fn(&Way) -> &Vec<String>| once_each(branches.iter().flat_map(of));
        Side {
            words,
            starts: true,
            contained: any(|way| &way.contained),
            asked: any(|way| &way.asked),
            told: any(|way| &way.told),
            branches: branches.len(),
            left_out: *left_out,
        }
    }

    /// In words, for one cell of a table.
    fn words(&self) -> String {
        let branches = match self {
            Decision::Unwanted { why } => return format!("no run: {why}"),
            Decision::Undecided { why } => return format!("no run: its trigger can't be decided: {why}"),
            Decision::Unplanned { why } => return format!("a run that can't be followed: {why}"),
            Decision::Run { branches, .. } => branches,
        };
        let list = |verb: &str, of: fn(&Way) -> &Vec<String>| {
            let all = once_each(branches.iter().flat_map(of));
            let always = branches.iter().filter(|way| !of(way).is_empty()).count() == branches.len();
            let verb = if always { format!("{verb}s") } else { format!("may {verb}") };
            (!all.is_empty()).then(|| format!("{verb} {}", all.join(", ")))
        };
        let parts = [
            list("contain", |way| &way.contained),
            list("ask", |way| &way.asked),
            list("tell", |way| &way.told),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let does =
            if parts.is_empty() { "contains, asks and tells nobody".to_owned() } else { parts.join("; ") };
        let failing = branches.iter().filter(|way| way.outcome == Some(RunEnd::Failed)).count();
        let ends = match (failing, branches.len()) {
            (0, _) => "",
            (all, of) if all == of => "; fails",
            _ => "; may fail",
        };
        format!("a run: {does}{ends}")
    }
}

/// How the new decision differs from the old one; nothing when it doesn't. Why a
/// run is not started is no difference, as long as none is.
pub fn difference(old: &Decision, new: &Decision) -> Option<Change> {
    let (kind, branches) = match (old, new) {
        (Decision::Run { branches: was, left_out: less }, Decision::Run { branches: is, left_out: more }) => {
            let changed = changed_branches(was, is);
            if changed.is_empty() && less == more {
                return None;
            }
            (Kind::GoesAnotherWay, changed)
        }
        _ => match (old.starts(), new.starts()) {
            (false, true) => (Kind::StartsRun, Vec::new()),
            (true, false) => (Kind::StartsNoRun, Vec::new()),
            (true, true) if old == new => return None,
            (true, true) => (Kind::GoesAnotherWay, Vec::new()),
            (false, false) if old.is_undecided() == new.is_undecided() => return None,
            (false, false) => (Kind::Undecided, Vec::new()),
        },
    };
    Some(Change { kind, old: old.side(), new: new.side(), branches })
}

/// The ways that differ, those of the old plan first. The same answers to the
/// same questions are the same way.
fn changed_branches(old: &[Way], new: &[Way]) -> Vec<BranchChange> {
    let of = |ways: &[Way], answers: &[String]| ways.iter().position(|way| way.answers == answers);
    let was = old.iter().map(|way| (Some(way), of(new, &way.answers).map(|place| &new[place])));
    let added = new.iter().filter(|way| of(old, &way.answers).is_none()).map(|way| (None, Some(way)));
    let pairs = was.chain(added).filter(|(old, new)| match (old, new) {
        (Some(old), Some(new)) => old.end != new.end || !old.gists().eq(new.gists()),
        _ => true,
    });
    pairs
        .map(|(old, new)| {
            let lines = |way: Option<&Way>| way.map(|way| way.lines.clone()).unwrap_or_default();
            let (was, is) = (lines(old), lines(new));
            BranchChange {
                answers: old.or(new).map(|way| way.answers.clone()).unwrap_or_default(),
                only_old: without(&was, &is),
                only_new: without(&is, &was),
                end_old: old.map(|way| way.end.clone()),
                end_new: new.map(|way| way.end.clone()),
            }
        })
        .collect()
}

/// The lines that decide what none of the other list does, each as often as it
/// stands here more often.
fn without(lines: &[Line], other: &[Line]) -> Vec<String> {
    let mut other: Vec<&Line> = other.iter().collect();
    let kept = lines.iter().filter(|line| match other.iter().position(|there| there.gist == line.gist) {
        Some(place) => {
            other.swap_remove(place);
            false
        }
        None => true,
    });
    kept.map(|line| line.text.clone()).collect()
}

fn once_each<'a>(all: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    all.filter(|one| seen.insert(one.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> Vec<String> {
        all.iter().map(|word| (*word).to_owned()).collect()
    }

    /// `step: skipped, why` is decided without its why.
    fn said(text: &str) -> Line {
        let gist = text.split(", ").next().unwrap_or_default();
        Line { gist: gist.to_owned(), text: text.to_owned() }
    }

    fn way(answers: &[&str], lines: &[&str], contained: &[&str], asked: &[&str]) -> Way {
        Way {
            answers: words(answers),
            lines: lines.iter().map(|line| said(line)).collect(),
            end: "Succeeded: done".to_owned(),
            outcome: Some(RunEnd::Succeeded),
            contained: words(contained),
            asked: words(asked),
            told: Vec::new(),
        }
    }

    fn run(branches: Vec<Way>) -> Decision {
        Decision::Run { branches, left_out: 0 }
    }

    #[test]
    fn equal_decisions_do_not_differ_and_why_nothing_starts_is_no_decision() {
        let no = |why: &str| Decision::Unwanted { why: why.to_owned() };
        let undecided = Decision::Undecided { why: "a key is missing".to_owned() };
        let one = run(vec![way(&[], &["a: would ask sam"], &[], &["sam"])]);
        assert_eq!(difference(&one, &one.clone()), None);
        assert_eq!(difference(&no("x"), &no("y")), None);
        assert_eq!(difference(&undecided, &undecided.clone()), None);
        let change = difference(&no("x"), &undecided).expect("it differs");
        assert_eq!(change.kind, Kind::Undecided);
        assert_eq!(change.new.words, "no run: its trigger can't be decided: a key is missing");
    }

    #[test]
    fn a_run_that_starts_or_no_longer_does_is_told_with_what_it_would_do() {
        let no = Decision::Unwanted { why: "wanted alert.severity >= 60 and it is 50".to_owned() };
        let some = run(vec![
            way(&["ask: yes"], &[], &["dana (scim.suspend)"], &["sam"]),
            way(&["ask: no"], &[], &[], &["sam"]),
        ]);
        let change = difference(&no, &some).expect("it differs");
        assert_eq!((change.kind, change.new.branches), (Kind::StartsRun, 2));
        assert_eq!(change.new.words, "a run: may contain dana (scim.suspend); asks sam");
        assert_eq!(change.old.words, "no run: wanted alert.severity >= 60 and it is 50");
        let back = difference(&some, &no).expect("it differs");
        assert_eq!((back.kind, back.old.contained), (Kind::StartsNoRun, words(&["dana (scim.suspend)"])));
        assert!(back.branches.is_empty());
    }

    #[test]
    fn ways_are_compared_by_their_answers_and_lines_by_how_often_they_stand_there() {
        let old = run(vec![
            way(&["ask: yes"], &["a: would tell", "a: would tell", "b: would suspend"], &[], &[]),
            way(&["ask: no"], &["a: would tell"], &[], &[]),
            way(&["ask: later"], &["c: would wait"], &[], &[]),
        ]);
        let new = run(vec![
            way(&["ask: no"], &["a: would tell"], &[], &[]),
            way(&["ask: yes"], &["a: would tell", "d: would lock"], &[], &[]),
            way(&["ask: never"], &[], &[], &[]),
        ]);
        let change = difference(&old, &new).expect("it differs");
        let told: Vec<_> = change
            .branches
            .iter()
            .map(|branch| {
                let ends = (branch.end_old.is_some(), branch.end_new.is_some());
                (branch.answers[0].as_str(), branch.only_old.join("|"), branch.only_new.join("|"), ends)
            })
            .collect();
        let wanted = [
            ("ask: yes", "a: would tell|b: would suspend", "d: would lock", (true, true)),
            ("ask: later", "c: would wait", "", (true, false)),
            ("ask: never", "", "", (false, true)),
        ];
        let wanted: Vec<_> = wanted.map(|(a, o, n, e)| (a, o.to_owned(), n.to_owned(), e)).into();
        assert_eq!(told, wanted);
        // Why a step is skipped in both is no difference.
        let skipped = |why: &str| run(vec![way(&[], &[&format!("a: skipped, {why}")], &[], &[])]);
        assert_eq!(difference(&skipped("40 is less than 60"), &skipped("40 is less than 70")), None);
        // The order of steps is part of the plan, though no line is more or less.
        let turned = |lines: &[&str]| run(vec![way(&[], lines, &[], &[])]);
        assert!(difference(&turned(&["a", "b"]), &turned(&["b", "a"])).is_some());
    }
}
