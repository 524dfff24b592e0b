//! Numbers and states in the words that people use.

use crate::domain::alert::Category;
use crate::domain::approval::Verdict;
use crate::domain::event::RunEnd;
use crate::domain::incident::{Disposition, Status};
use crate::domain::run::{Hold, StepEnd};

/// A severity in one word. The bands are those of common scoring systems
/// scaled to 100 (CVSS v3.1, section 5: critical from 9.0, high from 7.0,
/// medium from 4.0).
pub fn severity(severity: u8) -> &'static str {
    match severity {
        90.. => "critical",
        70..=89 => "high",
        40..=69 => "medium",
        1..=39 => "low",
        0 => "informational",
    }
}

/// What sort of detection raised the alert, without naming a product.
pub fn category(category: Category) -> &'static str {
    match category {
        Category::Dlp => "data-protection",
        Category::Identity => "sign-in",
        Category::Endpoint => "company-device",
        Category::Uam => "workplace-monitoring",
        Category::Ueba => "unusual-behaviour",
        Category::Cloud => "cloud-service",
        Category::Email => "e-mail security",
        Category::Network => "network",
        Category::Policy => "policy",
        Category::Other => "security",
    }
}

/// How an investigation ended.
pub fn disposition(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Benign => "real and harmless",
        Disposition::FalsePositive => "a false alarm",
        Disposition::UserAcknowledged => "acknowledged by the person",
        Disposition::PolicyViolation => "a breach of policy",
        Disposition::OperationalError => "a mistake in operations",
        Disposition::Contained => "a true finding, contained",
        Disposition::Mitigated => "a true finding, mitigated",
        Disposition::Escalated => "handed on",
        Disposition::InsufficientInformation => "not decidable with what is known",
        Disposition::InformationGathered => "information gathered, nothing decided",
    }
}

/// Where an investigation stands.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Investigating => "under investigation",
        Status::Contained => "contained",
        Status::Closed => "closed",
    }
}

/// How a run ended, after "The run".
pub fn run_end(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "ended as planned",
        RunEnd::Failed => "failed before its end",
        RunEnd::Cancelled => "was cancelled by a person",
    }
}

/// How an approval was decided.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::Rejected => "rejected",
        Verdict::Silent => "not decided in time, which counts as no",
        Verdict::Withdrawn => "withdrawn, because the run ended first",
    }
}

/// Where a containment stands that a later look no longer showed.
pub const DRIFTED: &str = "was in force; a later look did not show it any more";

/// Where a change without a way back stands: it is done or not, never held.
pub fn done_once(hold: Hold) -> &'static str {
    match hold {
        Hold::MayHold => "sent; whether it was done is not known",
        Hold::Accepted => "asked for, not yet confirmed",
        _ => "done, confirmed by reading back; nothing is held",
    }
}

/// Where a containment stands.
pub fn hold(hold: Hold) -> &'static str {
    match hold {
        Hold::MayHold => "sent; whether it was done is not known",
        Hold::Accepted => "accepted, not yet confirmed",
        Hold::Verified => "in force, confirmed by reading back",
        Hold::Lifting => "being lifted",
        Hold::Lifted => "lifted, confirmed by reading back",
        Hold::Stuck => "could not be lifted; a person must look",
    }
}

/// How a step ended.
pub fn step_end(end: StepEnd) -> &'static str {
    end.name()
}

/// A size as people read it: `1.8 GB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut scaled = bytes as f64 / 1000.0;
    let mut unit = 0;
    while scaled >= 999.95 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// `1 file`, `3 files`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A text that begins a sentence.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (size, text) in
            [(0, "0 bytes"), (1500, "1.5 kB"), (1_843_200_000, "1.8 GB"), (999_999_999, "1.0 GB")]
        {
            assert_eq!(bytes(size), text);
        }
    }
}
