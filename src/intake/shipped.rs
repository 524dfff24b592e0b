//! The sources that come with the product: one YAML file and one line here.

use std::sync::LazyLock;

use crate::intake::source::SourceSpec;

/// `(source, its YAML)`, sorted by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("alertmanager", include_str!("shipped/alertmanager.yaml")),
    ("box", include_str!("shipped/box.yaml")),
    ("crowdstrike", include_str!("shipped/crowdstrike.yaml")),
    ("datadog", include_str!("shipped/datadog.yaml")),
    ("defender-cloud-apps", include_str!("shipped/defender-cloud-apps.yaml")),
    ("defender-xdr", include_str!("shipped/defender-xdr.yaml")),
    ("elastic-security", include_str!("shipped/elastic-security.yaml")),
    ("exabeam", include_str!("shipped/exabeam.yaml")),
    ("generic", include_str!("shipped/generic.yaml")),
    ("github-audit", include_str!("shipped/github-audit.yaml")),
    ("github-webhook", include_str!("shipped/github-webhook.yaml")),
    ("google-alert-center", include_str!("shipped/google-alert-center.yaml")),
    ("google-reports", include_str!("shipped/google-reports.yaml")),
    ("guardduty", include_str!("shipped/guardduty.yaml")),
    ("incydr", include_str!("shipped/incydr.yaml")),
    ("msgraph-alerts-v2", include_str!("shipped/msgraph-alerts-v2.yaml")),
    ("netskope", include_str!("shipped/netskope.yaml")),
    ("ocsf-detection-finding", include_str!("shipped/ocsf-detection-finding.yaml")),
    ("okta-system-log", include_str!("shipped/okta-system-log.yaml")),
    ("onepassword", include_str!("shipped/onepassword.yaml")),
    ("proofpoint-email", include_str!("shipped/proofpoint-email.yaml")),
    ("proofpoint-itm", include_str!("shipped/proofpoint-itm.yaml")),
    ("purview-dlp", include_str!("shipped/purview-dlp.yaml")),
    ("salesforce", include_str!("shipped/salesforce.yaml")),
    ("securonix", include_str!("shipped/securonix.yaml")),
    ("sentinel", include_str!("shipped/sentinel.yaml")),
    ("sentinelone", include_str!("shipped/sentinelone.yaml")),
    ("slack-audit", include_str!("shipped/slack-audit.yaml")),
    ("snowflake", include_str!("shipped/snowflake.yaml")),
    ("splunk", include_str!("shipped/splunk.yaml")),
    ("wazuh", include_str!("shipped/wazuh.yaml")),
];

/// The YAML of the shipped source of that name.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The source that reads our own field names.
#[must_use]
pub fn generic() -> &'static SourceSpec {
    static GENERIC: LazyLock<SourceSpec> = LazyLock::new(|| {
        let text = include_str!("shipped/generic.yaml");
        SourceSpec::read("generic.yaml", text).expect("a shipped source checks clean; a test says so")
    });
    &GENERIC
}
