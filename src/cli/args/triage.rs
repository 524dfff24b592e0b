//! The words for alerts, incidents, and the rules of detectors.

use clap::Args;

use super::ListArgs;

/// `quell alerts`.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    /// How many, and where to begin.
    #[command(flatten)]
    pub list: ListArgs,
    /// Only those with this fate: run_started, joined, suppressed, ended or no_playbook.
    #[arg(long)]
    pub fate: Option<String>,
    /// Only those of this source.
    #[arg(long)]
    pub source: Option<String>,
    /// Only those of this incident.
    #[arg(long, value_name = "INC")]
    pub incident: Option<String>,
    /// Only those at least this severe.
    #[arg(long, value_name = "0-100")]
    pub severity_min: Option<u8>,
}

/// `quell incident`. Without anything to change it shows the incident.
#[derive(Debug, Args)]
pub struct IncidentArgs {
    /// The incident.
    pub id: String,
    /// A tag to add, such as "impact: forecasts are a week late" (reports read
    /// impact, data, people, cost, root-cause, remediation, detection,
    /// went-right, went-wrong and classification).
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// 0 to 100; lowering it needs --why.
    #[arg(long)]
    pub severity: Option<u8>,
    /// open, investigating, contained or closed.
    #[arg(long)]
    pub status: Option<String>,
    /// How it ended, such as false_positive or policy_violation.
    #[arg(long)]
    pub disposition: Option<String>,
    /// Whose it is: an address, or group:….
    #[arg(long)]
    pub assignee: Option<String>,
    /// A note for the timeline.
    #[arg(long)]
    pub note: Option<String>,
    /// Why.
    #[arg(long)]
    pub why: Option<String>,
}

/// `quell split`.
#[derive(Debug, Args)]
pub struct SplitArgs {
    /// The incident.
    pub incident: String,
    /// An alert that is a story of its own; give it once for each.
    #[arg(long = "alert", value_name = "ALERT", required = true)]
    pub alerts: Vec<String>,
    /// Why.
    #[arg(long)]
    pub why: String,
}

/// `quell except`.
#[derive(Debug, Args)]
pub struct ExceptArgs {
    /// The rule at its detector, by name or id.
    #[arg(required_unless_present = "end", conflicts_with = "end")]
    pub rule: Option<String>,
    /// Who answers for it.
    #[arg(long, required_unless_present = "end")]
    pub owner: Option<String>,
    /// Why.
    #[arg(long, required_unless_present = "end")]
    pub why: Option<String>,
    /// How long it holds, such as 7d; at most 92d.
    #[arg(long = "for", value_name = "DURATION", default_value = "7d")]
    pub holds: String,
    /// Only alerts of this source.
    #[arg(long)]
    pub source: Option<String>,
    /// Only alerts about this person or account.
    #[arg(long)]
    pub subject: Option<String>,
    /// Only alerts on this machine.
    #[arg(long)]
    pub host: Option<String>,
    /// Only alerts for which this holds, such as 'alert.dest.domain == "backup.example.com"'.
    #[arg(long, value_name = "CEL")]
    pub when: Option<String>,
    /// Only alerts up to this severity [default: 89, so that critical ones are never hidden].
    #[arg(long, value_name = "0-100")]
    pub severity_max: Option<u8>,
    /// End this exception.
    #[arg(long, value_name = "EXC")]
    pub end: Option<String>,
}

/// `quell detections`.
#[derive(Debug, Args)]
pub struct DetectionsArgs {
    /// Only rules of this source.
    pub source: Option<String>,
    /// This rule, with what to write to whoever answers for it.
    pub rule: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
}
