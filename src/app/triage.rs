//! How alerts are triaged here: `triage:` of the settings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::address::address_key;
use crate::domain::tie::TieKind;
use crate::domain::triage::{REMEMBERED_MOST, Rules, SAME_FINDING_LEAST};
use crate::service::triage::TriageRules;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::map::MapReader;
use crate::yaml::node::Node;
use crate::yaml::shape::{Field, Reader};

/// What alerts can be correlated by, as the settings write it.
const SHARED: [(&str, TieKind); 3] =
    [("subject", TieKind::Subject), ("host", TieKind::Host), ("indicator", TieKind::Indicator)];

/// Reads `triage:` of the settings; what is absent has a default.
pub fn read_triage(file: &str, section: &Node) -> (TriageRules, Vec<Diagnostic>) {
    let reader = Reader::new(file);
    let mut triage = TriageRules::default();
    if let Some(map) = reader.root("`triage`", section).map() {
        if let Some(field) = map.optional("same_finding")
            && let Some(within) = within(field, SAME_FINDING_LEAST)
        {
            triage.rules.same_finding = within;
        }
        if let Some(correlate) = map.optional("correlate").and_then(Field::map) {
            read_correlate(correlate, &mut triage.rules);
        }
        if let Some(field) = map.optional("own_accounts") {
            let names = field.texts().unwrap_or_default();
            triage.own_accounts = names.iter().map(|name| address_key(name)).collect();
        }
        if let Some(owners) = map.optional("detection_owners").and_then(Field::map) {
            triage.detection_owners = read_owners(owners);
        }
        map.finish();
    }
    (triage, reader.into_diagnostics())
}

fn read_correlate(map: MapReader<'_>, rules: &mut Rules) {
    if let Some(within) = map.optional("within").and_then(|field| within(field, Duration::from_secs(60))) {
        rules.correlate_within = within;
    }
    if let Some(by) = map.optional("by") {
        let names = SHARED.map(|(name, _)| name);
        let fields = by.list().unwrap_or_default();
        let named = fields.into_iter().filter_map(|field| field.one_of(&names));
        rules.correlate_by = named
            .filter_map(|name| SHARED.iter().find(|(it, _)| *it == name))
            .map(|(_, kind)| *kind)
            .collect();
    }
    map.finish();
}

fn within(field: Field<'_>, least: Duration) -> Option<Duration> {
    let within = field.duration()?;
    if within < least || within > REMEMBERED_MOST {
        field.mistake(
            "triage-time",
            "this is shorter or longer than what came in is remembered",
            format!(
                "write a time from {} to {}",
                crate::domain::time::duration_text(least),
                crate::domain::time::duration_text(REMEMBERED_MOST)
            ),
        );
        return None;
    }
    Some(within)
}

/// Who answers for a rule, by `source` or `source/rule`, in lower case.
fn read_owners(map: MapReader<'_>) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for (key, field) in map.entries() {
        if let Some(owner) = field.non_empty() {
            owners.insert(key.name.trim().to_lowercase(), owner.trim().to_owned());
        }
    }
    map.finish();
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::reader::read;

    fn triage(text: &str) -> (TriageRules, Vec<&'static str>) {
        let node = read("quell.yaml", text).expect("it is YAML");
        let (triage, found) = read_triage("quell.yaml", &node);
        (triage, found.iter().map(|told| told.code).collect())
    }

    #[test]
    fn what_is_said_holds_and_what_cannot_be_remembered_is_a_mistake() {
        let (said, found) = triage(
            "same_finding: 7d\ncorrelate: { by: [subject], within: 8h }\nown_accounts: [ Quell@Example.com ]\n\
             detection_owners: { Okta: secops@example.com, \"okta/Bulk download\": lee@example.com }\n",
        );
        assert_eq!(found, Vec::<&str>::new());
        assert_eq!(said.rules.same_finding, Duration::from_secs(7 * 86_400));
        assert_eq!(said.rules.correlate_by, [TieKind::Subject]);
        assert_eq!(said.rules.correlate_within, Duration::from_secs(8 * 3600));
        assert_eq!(said.own_accounts, ["quell@example.com"]);
        assert_eq!(said.owner_of("okta", "Bulk download"), Some("lee@example.com"));
        assert_eq!(said.owner_of("okta", "Another"), Some("secops@example.com"));
        assert_eq!(said.owner_of("github", "Another"), None);
        for wrong in ["same_finding: 6d", "same_finding: 31d", "correlate: { within: 1s }"] {
            assert_eq!(triage(wrong).1, ["triage-time"], "{wrong}");
        }
        assert!(!triage("correlate: { by: [colour] }").1.is_empty());
        assert!(!triage("same: 7d").1.is_empty());
    }
}
