//! Keys of payloads as the rules write them: once, for all sources, without regard to
//! case; and lists of named values as maps.
//!
//! SIEMs store what vendors send with keys in lower case, vendors spell their keys
//! otherwise from one interface to the next, and some write a map as a list of names.

use std::collections::BTreeMap;

use serde_json::Map;

use crate::domain::value::Value;

/// How lists of named values say the name, in lower case.
const NAME_KEYS: &[&str] = &["name", "key"];

/// How they say the value, in lower case; the first that is there counts.
const VALUE_KEYS: &[&str] = &[
    "value",
    "valuestring",
    "newvalue",
    "intvalue",
    "boolvalue",
    "multivalue",
    "multiintvalue",
    "messagevalue",
    "multimessagevalue",
];

/// Parts of a key with dots: no schema has more levels.
const DOTTED_PARTS_MAX: usize = 12;

/// How a source's rules spell the keys of payloads. A key that they spell in two ways
/// is taken as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spelling {
    /// By the key in lower case; none where the rules spell it in two ways.
    known: BTreeMap<String, Option<String>>,
}

impl Spelling {
    /// That of an expression, a path, or a whole file of them: names after a dot, in
    /// `["…"]`, and before `[]`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut spelling = Self::default();
        // Paths of `split` are no keys of alerts, and read in any case by themselves.
        let no_rule =
            |line: &str| ["#", "split:", "docs:"].iter().any(|start| line.trim_start().starts_with(start));
        let lines = text.lines().filter(|line| !no_rule(line));
        lines.for_each(|line| spelling.read(of_rule(line)));
        spelling
    }

    fn read(&mut self, line: &str) {
        let mut from = 0;
        while let Some(found) = line[from..].find(is_name) {
            let start = from + found;
            let end = line[start..].find(|c| !is_name(c)).map_or(line.len(), |length| start + length);
            let (before, after) = (&line[..start], &line[end..]);
            if before.ends_with('.') || before.ends_with(".?") || after.starts_with("[]") {
                self.learn(&line[start..end]);
            }
            from = end;
        }
        for quoted in line.split("[\"").skip(1) {
            if let Some((key, _)) = quoted.split_once("\"]") {
                self.learn(key);
            }
        }
    }

    /// Takes note of one key.
    pub fn learn(&mut self, key: &str) {
        let spelled = self.known.entry(key.to_lowercase()).or_insert_with(|| Some(key.to_owned()));
        if spelled.as_ref().is_some_and(|spelled| spelled != key) {
            *spelled = None;
        }
    }

    /// The keys that the rules spell in two ways, in lower case.
    pub fn unclear(&self) -> impl Iterator<Item = &str> {
        self.known.iter().filter(|(_, spelled)| spelled.is_none()).map(|(key, _)| key.as_str())
    }

    /// Gives every key in `value` the spelling of the rules, unless that is there too.
    pub fn apply(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(map) => {
                let wrong: Vec<_> =
                    map.keys().filter_map(|key| Some((key.clone(), self.otherwise(key, map)?))).collect();
                for (key, spelled) in wrong {
                    if let Some(value) = map.remove(&key) {
                        map.insert(spelled, value);
                    }
                }
                map.values_mut().for_each(|value| self.apply(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn otherwise(&self, key: &str, map: &Map<String, Value>) -> Option<String> {
        let spelled = self.known.get(&key.to_lowercase())?.as_ref()?;
        (spelled != key && !map.contains_key(spelled)).then(|| spelled.clone())
    }
}

/// What stands behind the name of a field, such as `user.id:`, which is no key.
fn of_rule(line: &str) -> &str {
    let is_field = |head: &str| head.chars().all(|c| is_name(c) || c == '.');
    let line = line.trim_start().trim_start_matches("- ");
    line.split_once(':').filter(|(head, _)| is_field(head)).map_or(line, |(_, rule)| rule)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Adds what keys with dots say as maps: `"user.name": x` also as `user: { name: x }`,
/// where nothing else stands there. Payloads have it both ways.
pub fn nest_dotted(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let dotted: Vec<_> = map
        .iter()
        .filter(|(key, _)| key.contains('.') && key.split('.').count() <= DOTTED_PARTS_MAX)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in dotted {
        let mut parts: Vec<&str> = key.split('.').collect();
        let (Some(last), true) = (parts.pop(), !key.starts_with('.')) else { continue };
        let mut here = Some(&mut *map);
        for part in parts {
            here = here.and_then(|map| {
                let inner = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
                inner.as_object_mut()
            });
        }
        if let Some(map) = here {
            map.entry(last).or_insert(value);
        }
    }
}

/// Makes a list of named values a map; of one name said twice the first counts. What is
/// no such list stays as it is.
pub fn open_named(value: &mut Value) {
    let Some(items) = value.as_array() else { return };
    let mut map = Map::new();
    for item in items {
        let Some(item) = item.as_object() else { return };
        let of = |keys: &[&str]| {
            keys.iter().find_map(|key| item.iter().find(|(there, _)| there.eq_ignore_ascii_case(key)))
        };
        let Some((name, named)) = of(NAME_KEYS) else { return };
        let Some(called) = named.as_str() else { return };
        // Values of no known sort are whatever stands beside the name.
        let rest =
            || item.iter().filter(|(key, _)| *key != name).map(|(key, value)| (key.clone(), value.clone()));
        let value =
            of(VALUE_KEYS).map_or_else(|| Value::Object(rest().collect()), |(_, value)| value.clone());
        if !map.contains_key(called) {
            map.insert(called.to_owned(), value);
        }
    }
    if !items.is_empty() {
        *value = Value::Object(map);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_take_the_spelling_of_the_rules() {
        let spelling = Spelling::of(
            "user.EVENTTYPE: ${ raw.eventType + raw[\"@timeStamp\"] }\n# raw.EVENTTYPE\neach: Rows[]",
        );
        let mut value = json!({"eventtype": 1, "@TIMESTAMP": 2, "rows": [{"EVENTTYPE": 3, "other": 4}]});
        spelling.apply(&mut value);
        assert_eq!(value, json!({"eventType": 1, "@timeStamp": 2, "Rows": [{"eventType": 3, "other": 4}]}));
        let mut both = json!({"eventType": 1, "EVENTTYPE": 2});
        spelling.apply(&mut both);
        assert_eq!(both["eventType"], 1);
    }

    #[test]
    fn a_key_that_rules_spell_in_two_ways_is_taken_as_it_stands() {
        let spelling = Spelling::of("${ raw.Id } ${ raw.id }");
        assert_eq!(spelling.unclear().collect::<Vec<_>>(), ["id"]);
        let mut value = json!({"ID": 1});
        spelling.apply(&mut value);
        assert_eq!(value, json!({"ID": 1}));
    }

    #[test]
    fn keys_with_dots_are_maps_too() {
        let mut value = json!({"user.name": "ann", "user": {"id": 1}, "a.b.c": 2, "a": "text", "x..y": 3});
        nest_dotted(&mut value);
        assert_eq!(value["user"], json!({"id": 1, "name": "ann"}));
        assert_eq!((&value["a"], &value["user.name"]), (&json!("text"), &json!("ann")));
    }

    #[test]
    fn lists_of_named_values_become_maps() {
        for (list, map) in [
            (json!([{"name": "a", "value": 1}, {"name": "b", "intValue": "2"}]), json!({"a": 1, "b": "2"})),
            (json!([{"Key": "a", "ValueString": "x"}]), json!({"a": "x"})),
            (json!([{"Name": "a", "NewValue": "n", "OldValue": "o"}]), json!({"a": "n"})),
            (json!([{"name": "a", "odd": 1}]), json!({"a": {"odd": 1}})),
            (json!([{"name": "a", "value": 1}, {"name": "a", "value": 2}]), json!({"a": 1})),
            (json!([1]), json!([1])),
            (json!({"a": 1}), json!({"a": 1})),
        ] {
            let mut value = list;
            open_named(&mut value);
            assert_eq!(value, map);
        }
    }
}
