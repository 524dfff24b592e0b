//! People and guardrails out of the settings.

use crate::guard::people::{People, is_address};
use crate::guard::verdict::{Caps, Guard, Protected};
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::map::MapReader;
use crate::yaml::node::{Node, NodeValue};
use crate::yaml::shape::{Field, Reader};

/// Reads `people:`.
///
/// # Errors
/// Every mistake in the section.
pub fn read_people(file: &str, section: &Node) -> Result<People, Vec<Diagnostic>> {
    let reader = Reader::new(file);
    let mut groups = Vec::new();
    if let Some(map) = reader.root("`people`", section).map() {
        if let Some(list) = map.optional("groups").and_then(Field::map) {
            for (key, field) in list.entries() {
                let addresses = field.texts().unwrap_or_default();
                if let Some(wrong) = addresses.iter().find(|address| !is_address(address)) {
                    field.mistake(
                        "bad-address",
                        format!("`{wrong}` in the group `{}` is no mail address", key.name),
                        "write one such as ana@example.com",
                    );
                }
                groups.push((key.name.clone(), addresses.into_iter().map(str::to_owned).collect()));
            }
        }
        map.finish();
    }
    if reader.has_errors() { Err(reader.into_diagnostics()) } else { Ok(People::new(groups)) }
}

/// Reads `guardrails:`.
///
/// # Errors
/// Every mistake in the section.
pub fn read_guard(file: &str, section: &Node) -> Result<Guard, Vec<Diagnostic>> {
    let reader = Reader::new(file);
    let mut guard = Guard::default();
    if let Some(map) = reader.root("`guardrails`", section).map() {
        if let Some(protected) = map.optional("protected").and_then(Field::map) {
            guard.protected = read_protected(protected);
        }
        if let Some(caps) = map.optional("caps").and_then(Field::map) {
            guard.caps = read_caps(caps);
        }
        if let Some(field) = map.optional("approvals") {
            field.mistake(
                "not-yet",
                "this version does not take approvals from the guardrails yet",
                "`quell check` demands them in playbooks: `approval:` at the step",
            );
        }
        map.finish();
    }
    if reader.has_errors() { Err(reader.into_diagnostics()) } else { Ok(guard) }
}

fn read_protected(map: MapReader<'_>) -> Protected {
    let texts = |key| -> Vec<String> {
        map.optional(key)
            .and_then(|field: Field<'_>| field.texts())
            .unwrap_or_default()
            .into_iter()
            .map(str::to_lowercase)
            .collect()
    };
    let (users, groups) = (texts("users"), texts("groups"));
    let mut attributes = Vec::new();
    if let Some(list) = map.optional("attributes").and_then(Field::map) {
        for (key, field) in list.entries() {
            let value = match &field.node().value {
                // `privileged: true` is how directories say it.
                NodeValue::Bool(is) => Some(is.to_string()),
                _ => field.non_empty().map(str::to_lowercase),
            };
            attributes.extend(value.map(|value| (key.name.clone(), value)));
        }
    }
    map.finish();
    Protected { users, groups, attributes }
}

/// The highest cap that settings may give: above it a mistake in a rule could
/// lock out a company.
const CAP_MAX: i64 = 1000;

fn read_caps(map: MapReader<'_>) -> Caps {
    let mut caps = Caps::default();
    let number = |key| {
        map.optional(key)
            .and_then(|field: Field<'_>| field.int(0..=CAP_MAX))
            .and_then(|n| usize::try_from(n).ok())
    };
    caps.people_per_run = number("people_per_run").unwrap_or(caps.people_per_run);
    caps.per_10_minutes = number("per_10_minutes").unwrap_or(caps.per_10_minutes);
    caps.per_day = number("per_day").unwrap_or(caps.per_day);
    map.finish();
    caps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::reader::read;

    fn node(text: &str) -> Node {
        read("quell.yaml", text).expect("the test's YAML is good")
    }

    #[test]
    fn guardrails_are_read_and_what_is_not_said_keeps_its_default() {
        let guard = read_guard("quell.yaml", &node("protected: { users: [CEO@Example.com], groups: [Domain-Admins], attributes: { type: Service, privileged: true } }\ncaps: { people_per_run: 1 }\n")).expect("it is right");
        assert_eq!(guard.protected.users, ["ceo@example.com"]);
        assert_eq!(guard.protected.groups, ["domain-admins"]);
        assert_eq!(
            guard.protected.attributes,
            [("type".to_owned(), "service".to_owned()), ("privileged".to_owned(), "true".to_owned())]
        );
        assert_eq!((guard.caps.people_per_run, guard.caps.per_10_minutes, guard.caps.per_day), (1, 10, 25));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let codes =
            |mistakes: Vec<Diagnostic>| mistakes.iter().map(|mistake| mistake.code).collect::<Vec<_>>();
        let guard = read_guard(
            "quell.yaml",
            &node("protect: {}\ncaps: { people_per_run: -1, per_hour: 3, per_day: many }\n"),
        )
        .map_err(codes)
        .map(|_| ());
        assert_eq!(guard, Err(vec!["out-of-range", "wrong-type", "unknown-key", "unknown-key"]));
        let people = read_people("quell.yaml", &node("groups: { leads: [ana], hr: 7 }\ngroup: {}\n"))
            .map_err(codes)
            .map(|_| ());
        assert_eq!(people, Err(vec!["bad-address", "wrong-type", "unknown-key"]));
    }
}
