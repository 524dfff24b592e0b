//! What a plan's connectors declare, read off their text.
//!
//! A plan keeps each connector as it was written. Views know no YAML; the two
//! things that a report wants of it, a title and the lines of one request, are
//! found by how far lines are indented, and are quoted, not understood.

use crate::domain::value::Value;

/// The connector's title: the name of a product.
pub(super) fn title(connector: &Value) -> Option<&str> {
    let found = connector.as_str()?.lines().find_map(|line| line.strip_prefix("title:"))?;
    let found = found.trim().trim_matches(['"', '\'']);
    (!found.is_empty()).then_some(found)
}

/// The request that an operation declares, in one line.
pub(super) fn request(connector: &Value, operation: &str) -> Option<String> {
    let lines = connector.as_str()?.lines();
    let lines = lines.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let operations = inside(lines.skip_while(|line| !line.starts_with("operations:")));
    let named = format!("{operation}:");
    let one = inside(operations.into_iter().skip_while(|line| line.trim() != named));
    let from: Vec<&str> =
        one.into_iter().skip_while(|line| !line.trim_start().starts_with("request:")).collect();
    let head = from.first()?.trim().strip_prefix("request:")?.trim();
    if !head.is_empty() {
        return Some(head.to_owned());
    }
    let body = inside(from.into_iter());
    let body: Vec<&str> = body.iter().map(|line| line.trim()).collect();
    (!body.is_empty()).then(|| body.join("; "))
}

/// The lines under the first one: those that are indented deeper.
fn inside<'a>(mut lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let Some(first) = lines.next() else {
        return Vec::new();
    };
    lines.take_while(|line| depth(line) > depth(first)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "connector: idp\ntitle: \"Acme Login\"\noperations:\n  find:\n    effect: R\n    request: { method: GET, path: /find }\n  # how to stop somebody\n  stop:\n    effect: I\n    request:\n      method: PATCH\n      body:\n        active: false\n    success: ${ status == 204 }\n  none:\n    effect: R\n";

    #[test]
    fn a_declaration_is_quoted_and_what_is_not_there_is_left_out() {
        let text = Value::from(TEXT);
        assert_eq!(title(&text), Some("Acme Login"));
        for (operation, wanted) in [
            ("find", Some("{ method: GET, path: /find }")),
            ("stop", Some("method: PATCH; body:; active: false")),
            ("none", None),
            ("unknown", None),
        ] {
            assert_eq!(request(&text, operation).as_deref(), wanted, "{operation}");
        }
        assert_eq!(title(&Value::from("connector: idp")), None);
        assert_eq!(request(&Value::Null, "stop"), None);
    }
}
