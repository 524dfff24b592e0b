//! Values and changes as a person reads them in a plan.

use serde::Serialize;

use crate::domain::incident::IncidentChange;
use crate::domain::value::{Value, truncate_text};

/// The longest value in a line, in bytes; the rest stands in the systems.
const VALUE_BYTES_MAX: usize = 200;

/// A value in one line: `active=true, groups=finance; sales`.
pub(super) fn value_words(value: &Value) -> String {
    let text = match value {
        Value::Object(map) if !map.is_empty() => {
            let mut pairs: Vec<String> =
                map.iter().map(|(name, value)| format!("{name}={}", inner(value))).collect();
            // A JSON map's order depends on how the JSON library was built.
            pairs.sort();
            pairs.join(", ")
        }
        other => inner(other),
    };
    truncate_text(&text, VALUE_BYTES_MAX).into_owned()
}

fn inner(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(inner).collect::<Vec<_>>().join("; "),
        Value::Object(map) if map.is_empty() => "nothing".to_owned(),
        Value::Object(_) => format!("({})", value_words(value)),
        other => other.to_string(),
    }
}

/// What would change of an incident.
pub(super) fn change_words(change: &IncidentChange) -> String {
    let named = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
    let tags = (!change.tags.is_empty()).then(|| change.tags.join(", "));
    let parts = [
        named("severity", change.severity.map(|severity| format!("{severity} of 100"))),
        named("status", change.status.map(name_of)),
        named("disposition", change.disposition.map(name_of)),
        named("assigned to", change.assignee.clone()),
        named("tagged", tags),
        named("note:", change.note.as_ref().map(|note| truncate_text(note, VALUE_BYTES_MAX).into_owned())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What a playbook calls it, in words.
fn name_of(known: impl Serialize) -> String {
    let name = serde_json::to_value(known).ok();
    name.as_ref().and_then(Value::as_str).unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::incident::{Disposition, Status};

    #[test]
    fn what_is_found_and_changed_is_told_without_the_marks_of_a_format() {
        let state =
            json!({ "active": true, "groups": ["finance", "sales"], "manager": null, "of": { "a": 1 } });
        assert_eq!(value_words(&state), "active=true, groups=finance; sales, manager=nothing, of=(a=1)");
        let change = IncidentChange {
            severity: Some(80),
            status: Some(Status::Contained),
            disposition: Some(Disposition::FalsePositive),
            tags: vec!["a".to_owned(), "b".to_owned()],
            ..IncidentChange::default()
        };
        let told = "severity 80 of 100; status contained; disposition false positive; tagged a, b";
        assert_eq!(change_words(&change), told);
    }
}
