//! What all ways of a dry run come to: counts over every way, and the outcomes with
//! the worst first. Pure: the same ways give the same words.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::event::RunEnd;
use crate::domain::playbook::{Body, Playbook};
use crate::service::preview::walk::Branch;

/// Outcomes that are shown in any case; a person reads no more of them.
const OUTCOMES_SHOWN: usize = 16;

/// Outcomes in one answer at most. What they contain and ask stands in the summary.
const OUTCOMES_MAX: usize = 200;

/// What holds over all ways that were followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many ways were followed, one for each combination of answers.
    pub ways: usize,
    /// Whether those are all ways that there are.
    pub complete: bool,
    /// What would be contained, and in how many of the ways.
    pub contains: Vec<InWays>,
    /// Who would be asked, for an answer or a yes.
    pub asks: Vec<InWays>,
    /// Who would be told something.
    pub tells: Vec<InWays>,
    /// How many of the ways fail.
    pub failing: usize,
    /// Why they fail.
    pub fails: Vec<InWays>,
    /// How many of the ways could not be followed to their end.
    pub unfollowed: usize,
    /// Steps that contain or ask, to which no way came that was followed.
    pub not_reached: Vec<String>,
}

/// Something, and the number of ways in which it is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InWays {
    /// What or who.
    pub what: String,
    /// In how many ways.
    pub ways: usize,
}

/// The ways that come to the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BranchGroup {
    /// How many ways those are.
    pub ways: usize,
    /// The answers of the first of them: `step: answer`, in the order they are asked.
    pub answers: Vec<String>,
    /// For each question the answers that lead here, in combination with others.
    pub choices: Vec<Choices>,
    /// What would happen on the first of them, in order.
    pub lines: Vec<String>,
    /// How the run would end, and why.
    pub end: String,
    /// The same in one word: `succeeded`, `failed` or `cancelled`; absent when the way
    /// could not be followed to its end.
    pub outcome: Option<RunEnd>,
    /// What would be contained: target and operation.
    pub contained: Vec<String>,
    /// Who would be asked, for an answer or a yes.
    pub asked: Vec<String>,
    /// Who would be told something.
    pub told: Vec<String>,
}

/// Answers to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choices {
    /// The step that asks.
    pub step: String,
    /// Each answer once.
    pub answers: Vec<String>,
}

impl Summary {
    /// Counts over these ways; `matter` are the steps that contain or ask.
    pub fn of(ways: &[Branch], complete: bool, matter: &[String]) -> Summary {
        let failed = |way: &&Branch| way.outcome == Some(RunEnd::Failed);
        let reached: BTreeSet<&String> = ways.iter().flat_map(|way| &way.reached).collect();
        let not_reached = matter.iter().filter(|step| !complete && !reached.contains(step));
        Summary {
            ways: ways.len(),
            complete,
            contains: counted(ways.iter().map(|way| way.contained.iter().map(String::as_str).collect())),
            asks: counted(ways.iter().map(|way| way.asked.iter().map(String::as_str).collect())),
            tells: counted(ways.iter().map(|way| way.told.iter().map(String::as_str).collect())),
            failing: ways.iter().filter(failed).count(),
            fails: counted(ways.iter().filter(failed).map(|way| BTreeSet::from([way.end.as_str()]))),
            unfollowed: ways.iter().filter(|way| way.outcome.is_none()).count(),
            not_reached: not_reached.cloned().collect(),
        }
    }
}

/// How many of the sets hold each text: the most frequent first, then by name.
fn counted<'a>(sets: impl Iterator<Item = BTreeSet<&'a str>>) -> Vec<InWays> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in sets.flatten() {
        *counts.entry(text).or_default() += 1;
    }
    let mut counts: Vec<InWays> =
        counts.into_iter().map(|(what, ways)| InWays { what: what.to_owned(), ways }).collect();
    // A stable sort: equal counts stay in the order of their names.
    counts.sort_by_key(|count| std::cmp::Reverse(count.ways));
    counts
}

/// The steps of a playbook that contain, ask or wait for a yes.
pub fn steps_that_matter(playbook: &Playbook) -> Vec<String> {
    let matters = |body: &Body| match body {
        Body::Perform(action) => action.containment.is_some() || action.question.is_some(),
        _ => false,
    };
    let steps = playbook.steps.iter().filter(|step| step.approval.is_some() || matters(&step.body));
    steps.map(|step| step.id.to_string()).collect()
}

/// The outcomes to show, the worst first, and how many are left out. Those that
/// contain, fail or could not be followed are never left out below
/// [`OUTCOMES_MAX`], nor is one that asks somebody whom the others do not.
pub fn shown(ways: Vec<Branch>) -> (Vec<BranchGroup>, usize) {
    let mut groups = grouped(ways);
    // A stable sort: equals stay in the order of the walk.
    groups.sort_by_key(|group| std::cmp::Reverse(badness(group)));
    let all = groups.len();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut kept: Vec<BranchGroup> = Vec::new();
    for group in groups {
        let grave = !group.contained.is_empty() || group.outcome != Some(RunEnd::Succeeded);
        let news = group.asked.iter().any(|who| !asked.contains(who));
        if kept.len() < OUTCOMES_MAX && (kept.len() < OUTCOMES_SHOWN || grave || news) {
            asked.extend(group.asked.iter().cloned());
            kept.push(group);
        }
    }
    let left_out = all - kept.len();
    (kept, left_out)
}

/// What contains most goes first, then what does not end well, then what asks most.
fn badness(group: &BranchGroup) -> (usize, bool, bool, usize, usize) {
    let (failed, lost) = (group.outcome == Some(RunEnd::Failed), group.outcome.is_none());
    (group.contained.len(), failed, lost, group.asked.len(), group.ways)
}

fn grouped(ways: Vec<Branch>) -> Vec<BranchGroup> {
    let mut places: BTreeMap<(Vec<String>, String), usize> = BTreeMap::new();
    let mut groups: Vec<BranchGroup> = Vec::new();
    for way in ways {
        // Why it could not be followed is all that is known of such a way.
        let end = way.outcome.map_or_else(|| way.end.clone(), |outcome| format!("{outcome:?}"));
        let place = *places.entry((way.gists.clone(), end)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(BranchGroup {
                ways: 0,
                answers: way.answers.iter().map(|(step, answer)| format!("{step}: {answer}")).collect(),
                choices: Vec::new(),
                lines: way.lines,
                end: way.end,
                outcome: way.outcome,
                contained: way.contained,
                asked: way.asked,
                told: way.told,
            });
        }
        let group = &mut groups[place];
        group.ways += 1;
        for (step, answer) in way.answers {
            match group.choices.iter_mut().find(|choices| choices.step == step) {
                None => group.choices.push(Choices { step, answers: vec![answer] }),
                Some(choices) if choices.answers.contains(&answer) => {}
                Some(choices) => choices.answers.push(answer),
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(answers: &[&str], contained: &[&str], asked: &[&str], outcome: RunEnd) -> Branch {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let answers = answers.iter().enumerate().map(|(at, answer)| (format!("q{at}"), (*answer).to_owned()));
        Branch {
            answers: answers.collect(),
            lines: words(contained),
            gists: [words(contained), words(asked)].concat(),
            end: format!("{outcome:?}"),
            outcome: Some(outcome),
            contained: words(contained),
            asked: words(asked),
            told: Vec::new(),
            reached: words(contained).into_iter().collect(),
        }
    }

    #[test]
    fn ways_that_come_to_the_same_are_one_outcome_and_the_worst_stands_first() {
        let ways = vec![
            way(&["a", "x"], &[], &["sam"], RunEnd::Succeeded),
            way(&["a", "y"], &[], &["sam"], RunEnd::Succeeded),
            way(&["b", "x"], &[], &[], RunEnd::Failed),
            way(&["b", "y"], &["dana (suspend)"], &["sam"], RunEnd::Succeeded),
        ];
        let summary = Summary::of(&ways, false, &["suspend".to_owned(), "dana (suspend)".to_owned()]);
        let one = |what: &str, ways| InWays { what: what.to_owned(), ways };
        assert_eq!(summary.contains, [one("dana (suspend)", 1)]);
        assert_eq!((summary.ways, summary.failing, &summary.asks[..]), (4, 1, &[one("sam", 3)][..]));
        assert_eq!(summary.not_reached, ["suspend"]);
        let (groups, left_out) = shown(ways);
        let told: Vec<_> =
            groups.iter().map(|group| (group.ways, group.outcome, group.answers.join(" "))).collect();
        let wanted = [
            (1, Some(RunEnd::Succeeded), "q0: b q1: y".to_owned()),
            (1, Some(RunEnd::Failed), "q0: b q1: x".to_owned()),
            (2, Some(RunEnd::Succeeded), "q0: a q1: x".to_owned()),
        ];
        assert_eq!((told, left_out), (wanted.to_vec(), 0));
        let both = [("q0", vec!["a"]), ("q1", vec!["x", "y"])];
        let choices: Vec<_> =
            groups[2].choices.iter().map(|of| (of.step.as_str(), of.answers.clone())).collect();
        assert_eq!(choices, both.map(|(step, all)| (step, all.into_iter().map(str::to_owned).collect())));
    }

    #[test]
    fn what_contains_fails_or_asks_somebody_else_is_never_left_out() {
        let harmless = |number: usize| way(&[], &[], &["sam"], RunEnd::Succeeded).numbered(number);
        let mut ways: Vec<Branch> = (0..40).map(harmless).collect();
        ways.push(way(&[], &[], &["lee"], RunEnd::Succeeded));
        ways.extend((0..30).map(|number| way(&[], &["dana"], &["sam"], RunEnd::Succeeded).numbered(number)));
        ways.push(way(&[], &[], &[], RunEnd::Failed));
        let (groups, left_out) = shown(ways);
        assert_eq!(groups.iter().filter(|group| !group.contained.is_empty()).count(), 30);
        assert!(groups.iter().any(|group| group.asked == ["lee"]));
        assert!(groups.iter().any(|group| group.outcome == Some(RunEnd::Failed)));
        assert_eq!(groups.len() + left_out, 72);
    }

    impl Branch {
        /// The same, in another way.
        fn numbered(mut self, number: usize) -> Branch {
            self.gists.push(number.to_string());
            self
        }
    }
}
