//! Published samples of vendors. Some may not be kept here; where they are at
//! hand, each becomes alerts and the list made by hand of what they say holds.

use std::fs;
use std::path::{Path, PathBuf};

use quell::domain::alert::{Alert, User};
use quell::domain::time::Timestamp;
use serde_json::Value;

use crate::{shown, spec, take};

/// Which source reads a file, by how its name starts, and how many alerts it
/// becomes. `None` for products that no shipped source reads.
const SOURCES: &[(&str, Option<&str>, usize)] = &[
    ("alertmanager-", Some("alertmanager"), 2),
    ("box-", Some("box"), 1),
    ("code42-alert-details-2020", Some("incydr"), 3),
    ("code42-file-events-2020", Some("incydr"), 3),
    ("cortex-", None, 0),
    ("crowdstrike-detection-xsoar-context", Some("crowdstrike"), 2),
    ("crowdstrike-", Some("crowdstrike"), 1),
    ("darktrace-", None, 0),
    ("datadog-", Some("datadog"), 1),
    ("defender-", Some("defender-xdr"), 1),
    ("dropbox-", None, 0),
    ("elastic-", Some("elastic-security"), 1),
    ("exabeam-", Some("exabeam"), 3),
    ("github-audit-", Some("github-audit"), 1),
    ("github-webhook-", Some("github-webhook"), 1),
    ("google-alertcenter-", Some("google-alert-center"), 3),
    ("google-reports-", Some("google-reports"), 1),
    ("guardduty-", Some("guardduty"), 1),
    ("gws-", Some("google-reports"), 1),
    ("m365-", Some("purview-dlp"), 1),
    ("mcas-", Some("defender-cloud-apps"), 1),
    ("msgraph-alertv1-list", Some("msgraph-alerts-v2"), 3),
    ("msgraph-", Some("msgraph-alerts-v2"), 1),
    ("netskope-admin-change", Some("netskope"), 0),
    ("netskope-", Some("netskope"), 1),
    ("o365-", Some("purview-dlp"), 1),
    ("ocsf-2004-sechub-guardduty-raw", None, 0),
    ("ocsf-", Some("ocsf-detection-finding"), 1),
    ("okta-system-log-page", Some("okta-system-log"), 2),
    ("okta-", Some("okta-system-log"), 1),
    ("onepassword-", Some("onepassword"), 1),
    ("proofpoint-email-", Some("proofpoint-email"), 1),
    ("proofpoint-itm-", Some("proofpoint-itm"), 1),
    ("purview-", Some("purview-dlp"), 1),
    ("salesforce-", Some("salesforce"), 1),
    ("securonix-", Some("securonix"), 1),
    ("sentinel-", Some("sentinel"), 1),
    ("sentinelone-", Some("sentinelone"), 1),
    ("slack-", Some("slack-audit"), 1),
    ("snowflake-", Some("snowflake"), 1),
    ("splunk-", Some("splunk"), 1),
    ("varonis-", None, 0),
    ("vectra-", None, 0),
    ("wazuh-", Some("wazuh"), 1),
    ("wiz-", None, 0),
];

fn material() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/material");
    let material = std::env::var_os("QUELL_MATERIAL").map_or(beside, PathBuf::from);
    if material.join("alerts-oracle.json").exists() {
        return Some(material);
    }
    println!("left out: no vendor samples here; QUELL_MATERIAL may name their folder");
    None
}

fn source_of(name: &str) -> (Option<&'static str>, usize) {
    let known = SOURCES.iter().find(|(start, ..)| name.starts_with(start));
    let (_, source, count) = known.unwrap_or_else(|| panic!("no source is named for {name}"));
    (*source, *count)
}

/// Set `QUELL_SHOW` to a part of a file's name to see what it becomes.
#[test]
fn every_sample_of_a_vendor_that_is_read_becomes_its_alerts() {
    let Some(material) = material() else { return };
    let show = std::env::var("QUELL_SHOW").ok();
    let mut wrong = Vec::new();
    for folder in ["alerts", "alerts-nolicence"] {
        for entry in fs::read_dir(material.join(folder)).expect(folder) {
            let path = entry.expect(folder).path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let (Some(source), count) = source_of(name) else { continue };
            match take(&spec(source), fs::read(&path).expect(name)) {
                Ok(alerts) => {
                    if show.as_ref().is_some_and(|part| name.contains(part.as_str())) {
                        let shown = Value::Array(alerts.iter().map(shown).collect());
                        println!("{name}: {shown:#}");
                    }
                    if alerts.len() != count {
                        wrong.push(format!("{name}: {} alerts instead of {count}", alerts.len()));
                    }
                }
                Err(refusal) => wrong.push(format!("{name}: {refusal}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn vendors_samples_say_what_the_list_made_by_hand_says() {
    let Some(material) = material() else { return };
    let list = fs::read(material.join("alerts-oracle.json")).expect("the list");
    let list: Vec<Value> = serde_json::from_slice(&list).expect("a list");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for entry in &list {
        let file = entry["file"].as_str().expect("a file");
        let (Some(source), _) = source_of(file.split('/').next_back().expect("a name")) else { continue };
        let body = fs::read(material.join(file)).expect(file);
        let alert = match take(&spec(source), &body) {
            Ok(mut alerts) => alerts.remove(0),
            Err(refusal) => {
                wrong.push(format!("{file}: {refusal}"));
                continue;
            }
        };
        wrong.extend(differences(&alert, entry).into_iter().map(|what| format!("{file}: {what}")));
        checked += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(checked, list.len() - 1, "only Cortex XDR has no source");
}

/// Where an alert says something else than the list.
fn differences(alert: &Alert, entry: &Value) -> Vec<String> {
    let said = |key: &str| match &entry[key]["value"] {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let name = |user: &User| user.email.clone().or(user.name.clone()).or(user.id.clone());
    // Whoever the list has as the user is the subject, or did it.
    let user = name(&alert.user).or_else(|| name(&alert.actor));
    let time = said("time").and_then(|time| match time.parse::<i64>() {
        Ok(number) if number > 100_000_000_000 => Some(Timestamp::from_millis(number)),
        Ok(seconds) => Some(Timestamp::from_millis(seconds * 1000)),
        Err(_) => time
            .parse()
            .or_else(|_| format!("{}Z", time.trim_end_matches('Z').replace(' ', "T")).parse())
            .ok(),
    });
    let mut wrong = Vec::new();
    let mut same = |what: &str, ours: Option<String>, listed: Option<String>| {
        if ours != listed {
            wrong.push(format!("{what} is {ours:?}, listed {listed:?}"));
        }
    };
    let time_text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    // What the list leaves open may be known from elsewhere in the payload.
    if said("id").is_some() {
        same("id", alert.source_id.clone(), said("id"));
    }
    if said("title").is_some() {
        same("title", Some(alert.title.clone()), said("title"));
    }
    same("severity", alert.vendor_severity.clone(), said("severity"));
    same("user", user, said("user"));
    same("host", alert.host.name.clone(), said("host"));
    if said("time").is_some() {
        same("time", time_text(alert.event_time), time_text(time));
    }
    wrong
}
