//! What a yes covers, and how an approval is decided.

use serde::{Deserialize, Serialize};

use crate::domain::playbook::IfSilent;
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, Value};

/// How an approval was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All who were needed said yes.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Nobody answered; that is a no.
    Silent,
    /// The run ended before it was decided.
    Withdrawn,
}

/// One step that a yes for the block around it lets run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Covered {
    /// The step's id.
    pub step: String,
    /// What it does.
    pub operation: String,
    /// What it hands over, as far as it was known when people were asked: of a map
    /// the entries that were. Absent when nothing of it is known before steps in
    /// the block have ended. What was known must be the same when it begins.
    pub input: Option<Value>,
}

/// An approval that a step asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// Which step waits.
    pub key: StepKey,
    /// What must be satisfied.
    pub by: Vec<String>,
    /// How many different people each of them needs.
    pub each: u32,
    /// What is approved.
    pub binds: Digest,
    /// Until when.
    pub until: Timestamp,
    /// What silence means.
    pub if_silent: IfSilent,
    /// Whether it was asked a second time.
    pub escalated: bool,
    /// What a yes lets the steps of a block do.
    pub covers: Vec<Covered>,
    /// Who said yes, and the entries that counts for.
    pub given: Vec<(String, Vec<String>)>,
    /// Whether it is decided.
    pub closed: bool,
}

impl Approval {
    /// How far it has come.
    pub fn progress(&self) -> ApprovalProgress {
        ApprovalProgress::new(
            &self.by,
            self.each,
            self.given.iter().map(|(_, counts_for)| counts_for.as_slice()),
        )
    }
}

/// One yes of each entry, as approvals asked for before they could ask for more.
pub fn one_yes() -> u32 {
    1
}

/// Whether one yes of each entry is enough.
pub fn is_one_yes(each: &u32) -> bool {
    *each == 1
}

/// How far an approval has come: of each address and group how many different people
/// must say yes, and how many have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalProgress {
    /// The entry, how many people it needs, how many of those said yes.
    entries: Vec<(String, usize, usize)>,
}

impl ApprovalProgress {
    /// `by` are the entries, `each` is how many people each of them needs, `yes` has of
    /// everybody who said yes the entries that this can count for. Nobody counts twice.
    pub fn new<'a>(by: &[String], each: u32, yes: impl IntoIterator<Item = &'a [String]>) -> Self {
        let yes: Vec<&[String]> = yes.into_iter().collect();
        let seats: Vec<&String> =
            by.iter().flat_map(|entry| std::iter::repeat_n(entry, each as usize)).collect();
        let mut taken: Vec<Option<usize>> = vec![None; yes.len()];
        for seat in 0..seats.len() {
            sit(seat, &seats, &yes, &mut taken, &mut vec![false; yes.len()]);
        }
        let said = |ix: usize| taken.iter().flatten().filter(|seat| **seat / each as usize == ix).count();
        let entries =
            by.iter().enumerate().map(|(ix, entry)| (entry.clone(), each as usize, said(ix))).collect();
        Self { entries }
    }

    /// How many people said yes who are needed.
    pub fn said(&self) -> usize {
        self.entries.iter().map(|(_, _, said)| said).sum()
    }

    /// The entries that still need somebody, and how many people each.
    pub fn missing(&self) -> impl Iterator<Item = (&str, usize)> {
        let missing = self.entries.iter().filter(|(_, needed, said)| said < needed);
        missing.map(|(entry, needed, said)| (entry.as_str(), needed - said))
    }

    /// How many people are still needed.
    pub fn to_go(&self) -> usize {
        self.missing().map(|(_, people)| people).sum()
    }

    /// Who is needed in all: `2 different people of ir-leads`.
    pub fn asked(&self) -> String {
        self.entries.iter().map(|(entry, needed, _)| people(entry, *needed)).collect::<Vec<_>>().join(" and ")
    }

    /// Who is needed, and what is still missing: `2 different people of ir-leads; 1 said
    /// yes, 1 to go`. Of several entries those that are missing are named.
    pub fn words(&self) -> String {
        let (asked, said, to_go) = (self.asked(), self.said(), self.to_go());
        if said == 0 || to_go == 0 {
            return asked;
        }
        let missing: Vec<String> = self.missing().map(|(entry, needed)| people(entry, needed)).collect();
        let which =
            if self.entries.len() > 1 { format!(": {}", missing.join(" and ")) } else { String::new() };
        format!("{asked}; {said} said yes, {to_go} to go{which}")
    }
}

/// What an open approval was asked of, and what each yes so far counts for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenApproval {
    /// Addresses and groups.
    pub by: Vec<String>,
    /// How many different people each of them needs.
    pub each: u32,
    /// The entries that each yes can count for.
    pub yes: Vec<Vec<String>>,
}

impl OpenApproval {
    /// How far it has come.
    pub fn progress(&self) -> ApprovalProgress {
        ApprovalProgress::new(&self.by, self.each, self.yes.iter().map(Vec::as_slice))
    }
}

/// So many people of an entry, in words.
fn people(entry: &str, needed: usize) -> String {
    match (entry.strip_prefix("group:"), needed) {
        (Some(group), 1) => format!("1 person of {group}"),
        (Some(group), needed) => format!("{needed} different people of {group}"),
        (None, _) => entry.to_owned(),
    }
}

/// One more seat is taken, moving others where that helps (Kuhn's algorithm:
/// few seats, few people).
fn sit(
    seat: usize,
    seats: &[&String],
    yes: &[&[String]],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for person in 0..yes.len() {
        if tried[person] || !yes[person].contains(seats[seat]) {
            continue;
        }
        tried[person] = true;
        let free = match taken[person] {
            None => true,
            Some(other) => sit(other, seats, yes, taken, tried),
        };
        if free {
            taken[person] = Some(seat);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(by: &[&str], each: u32, yes: &[&[&str]]) -> String {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let yes: Vec<Vec<String>> = yes.iter().map(|entries| owned(entries)).collect();
        ApprovalProgress::new(&owned(by), each, yes.iter().map(Vec::as_slice)).words()
    }

    #[test]
    fn what_is_still_missing_is_told() {
        let (leads, hr) = ("group:ir-leads", "group:hr");
        for (by, each, yes, told) in [
            (&[leads][..], 2, &[][..], "2 different people of ir-leads"),
            (&[leads], 2, &[&[leads][..]], "2 different people of ir-leads; 1 said yes, 1 to go"),
            (&[leads], 2, &[&[leads], &[leads]], "2 different people of ir-leads"),
            (&[leads, hr], 1, &[], "1 person of ir-leads and 1 person of hr"),
            (
                &[leads, hr],
                1,
                &[&[leads]],
                "1 person of ir-leads and 1 person of hr; 1 said yes, 1 to go: 1 person of hr",
            ),
            // Who is in both groups leaves the seat that somebody else can take.
            (&[leads, hr], 1, &[&[leads, hr], &[leads]], "1 person of ir-leads and 1 person of hr"),
            (
                &[leads, hr],
                1,
                &[&[leads], &[leads]],
                "1 person of ir-leads and 1 person of hr; 1 said yes, 1 to go: 1 person of hr",
            ),
            (
                &["ana@example.com", hr],
                1,
                &[&[hr]],
                "ana@example.com and 1 person of hr; 1 said yes, 1 to go: ana@example.com",
            ),
        ] {
            assert_eq!(words(by, each, yes), told, "{by:?} {each} {yes:?}");
        }
    }
}
