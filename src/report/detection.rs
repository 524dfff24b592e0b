//! The message to whoever answers for a rule of a detector: how often it fired,
//! how often it was right, and what to change. Plain text, ready to send.

use serde::Serialize;

use crate::domain::exception::Exception;
use crate::domain::id::{ExceptionId, IncidentId};
use crate::domain::incident::Disposition;
use crate::domain::time::Timestamp;
use crate::projection::detections::{DetectionRow, Rate};

/// Decided incidents below which nothing is proposed: what few cases say is chance.
const CASES_LEAST: u64 = 3;

/// The share of wrong ones from which a rule wants mending, taken at the low end of
/// its interval: it is not called bad on a few unlucky days.
const WRONG_FROM: f64 = 0.5;

/// The severity below which no shipped playbook starts.
const LOWER_TO: u8 = 60;

/// A message that a person may send as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Whom to send it to; none = the settings name nobody.
    pub to: Option<String>,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// What to write about a rule.
#[must_use]
pub fn message(
    row: &DetectionRow,
    owner: Option<&str>,
    exceptions: &[(ExceptionId, Exception)],
    examples: &[(IncidentId, Disposition)],
    now: Timestamp,
) -> Message {
    let DetectionRow { source, rule, .. } = row;
    let mut lines = vec![
        "Hello,".to_owned(),
        String::new(),
        format!(
            "this is what became of the alerts of your rule \"{rule}\" ({source}), as of {}.",
            now.to_minute()
        ),
        String::new(),
        format!(
            "- It fired {} from {} to {}.",
            times(row.alerts, "time"),
            row.first_at.to_minute(),
            row.last_at.to_minute()
        ),
        format!(
            "- It led to {}; {} joined what was known, {} had no effect because of an exception or our own change.",
            times(row.incidents, "incident"),
            times(row.joined, "alert"),
            row.suppressed
        ),
        format!("- It was right, and something was wrong: {}.", rate(row.true_positives())),
        format!("- It was wrong: {}.", rate(row.false_positives())),
        format!("- It was right, and nobody meant or did harm: {}.", row.verdicts.harmless),
    ];
    if !row.dispositions.is_empty() {
        let all: Vec<String> = row
            .dispositions
            .iter()
            .map(|(name, count)| format!("{} {count}", name.replace('_', " ")))
            .collect();
        lines.push(format!("- How its incidents ended: {}.", all.join(", ")));
    }
    for (id, exception) in exceptions {
        lines.push(format!(
            "- {id} of {} keeps some of it quiet until {}: {}",
            exception.owner,
            exception.until.to_minute(),
            exception.why
        ));
    }
    lines.push(String::new());
    lines.extend(proposal(row, !exceptions.is_empty()));
    // Ids and not people: whoever may look finds them there.
    if !examples.is_empty() {
        let all: Vec<String> =
            examples.iter().map(|(id, end)| format!("{id} ({})", end.name().replace('_', " "))).collect();
        lines.push(format!("Such as: {}.", all.join(", ")));
    }
    lines.push(String::new());
    lines.push(
        "The intervals hold the true share in 19 of 20 cases; few decided incidents make them wide."
            .to_owned(),
    );
    let subject = format!("Detection \"{rule}\": {}", verdict(row));
    Message { to: owner.map(str::to_owned), subject, text: lines.join("\n") + "\n" }
}

fn times(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn rate(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "nothing is decided yet".to_owned(), |rate| rate.words())
}

fn is_mostly_wrong(row: &DetectionRow) -> bool {
    row.false_positives().is_some_and(|rate| rate.of >= CASES_LEAST && rate.low >= WRONG_FROM)
}

fn is_mostly_harmless(row: &DetectionRow) -> bool {
    let verdicts = row.verdicts;
    let decided = verdicts.right + verdicts.wrong + verdicts.harmless;
    let rate = Rate::of(verdicts.harmless + verdicts.wrong, decided);
    rate.is_some_and(|rate| rate.of >= CASES_LEAST && rate.low >= WRONG_FROM)
}

fn verdict(row: &DetectionRow) -> &'static str {
    if is_mostly_wrong(row) {
        "mostly wrong, please mend it"
    } else if is_mostly_harmless(row) {
        "mostly harmless, please narrow it"
    } else {
        "what became of its alerts"
    }
}

/// What to change, in words that can be sent.
fn proposal(row: &DetectionRow, has_exception: bool) -> Vec<String> {
    let until_mended = if has_exception {
        "The exception above ends by itself; please let us know before then whether the rule is mended."
    } else {
        "Until then we can make an exception with an owner and an end; tell us whom, which machines or which job \
         it should cover, and for how long."
    };
    if is_mostly_wrong(row) {
        return vec![
            "Proposal: what the rule looks for did not happen in most of the incidents that are decided. Please \
             look at their closing notes and tighten its condition, or retire it."
                .to_owned(),
            format!("Wording for the change: \"{}: require what the closed incidents lacked; until then lower its severity below {LOWER_TO}.\"", row.rule),
            until_mended.to_owned(),
        ];
    }
    if is_mostly_harmless(row) {
        return vec![
            "Proposal: the rule sees what it looks for, and it is mostly somebody's work. Please leave out the jobs, \
             groups or systems for which it is normal, or lower its severity for them."
                .to_owned(),
            format!("Wording for the change: \"{}: except the accounts and systems whose owners vouched for it, with an end date; alert on all others as before.\"", row.rule),
            until_mended.to_owned(),
        ];
    }
    vec![
        "Proposal: nothing to change by these numbers. If you know better, we would like to hear it."
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::projection::detections::Verdicts;

    fn row(right: u64, harmless: u64, wrong: u64) -> DetectionRow {
        DetectionRow {
            source: "okta".to_owned(),
            rule: "Impossible travel".to_owned(),
            alerts: 40,
            started: 10,
            joined: 28,
            suppressed: 2,
            incidents: 12,
            dispositions: BTreeMap::from([("false_positive".to_owned(), wrong)]),
            verdicts: Verdicts { right, harmless, wrong, undecided: 1 },
            first_at: Timestamp::from_millis(1_790_000_000_000),
            last_at: Timestamp::from_millis(1_790_900_000_000),
        }
    }

    #[test]
    fn a_rule_is_called_bad_only_when_the_numbers_carry_it() {
        let now = Timestamp::from_millis(1_791_000_000_000);
        for (counts, says) in [
            ((0, 0, 1), "what became of its alerts"),
            ((0, 0, 2), "what became of its alerts"),
            ((1, 0, 9), "mostly wrong, please mend it"),
            ((1, 9, 0), "mostly harmless, please narrow it"),
            ((9, 0, 1), "what became of its alerts"),
        ] {
            let told = message(&row(counts.0, counts.1, counts.2), Some("lee@example.com"), &[], &[], now);
            assert!(told.subject.ends_with(says), "{counts:?}: {}", told.subject);
        }
    }

    #[test]
    fn the_message_can_be_sent_as_it_is() {
        let examples = [(IncidentId::new(ulid::Ulid(7)), Disposition::FalsePositive)];
        let now = Timestamp::from_millis(1_791_000_000_000);
        let told = message(&row(1, 1, 10), None, &[], &examples, now);
        let lines: Vec<&str> = told.text.lines().collect();
        for line in [
            "this is what became of the alerts of your rule \"Impossible travel\" (okta), as of 2026-10-03 04:00 UTC.",
            "- It fired 40 times from 2026-09-21 14:13 UTC to 2026-10-02 00:13 UTC.",
            "- It was right, and something was wrong: 1 of 12 (8 %, likely 1 to 35 %).",
            "- It was wrong: 10 of 12 (83 %, likely 55 to 95 %).",
            "- How its incidents ended: false positive 10.",
            "Such as: inc_00000000000000000000000007 (false positive).",
        ] {
            assert!(lines.contains(&line), "{line} in:\n{}", told.text);
        }
        assert!(
            told.text.contains("Proposal: what the rule looks for did not happen in most"),
            "{}",
            told.text
        );
    }
}
