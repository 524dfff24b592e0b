//! Where something lies in a payload: `alerts[]`, `[].alerts[]`,
//! `observations[].data`, `"odata.type".kind`.

use serde_json::Map;

use crate::domain::value::Value;

/// Steps of a path; payloads are at most 64 deep and no sane path comes near.
const STEPS_MAX: usize = 16;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Each,
}

/// A place, or several where `[]` stands for each item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// Reads a path: keys with dots between, `[]` for each item of a list,
    /// keys with dots or brackets of their own in double quotes.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[]") {
                steps.push(Step::Each);
                rest = after;
            } else {
                if !steps.is_empty() {
                    rest = rest.strip_prefix('.').ok_or("has a key without a dot before it")?;
                }
                let (key, after) = key(rest)?;
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            }
        }
        if steps.is_empty() {
            return Err("is empty".to_owned());
        }
        if steps.len() > STEPS_MAX {
            return Err(format!("has more than {STEPS_MAX} steps"));
        }
        Ok(Self(steps))
    }

    /// Whether it ends in `[]`, so that it leads to the items of lists.
    #[must_use]
    pub fn ends_in_items(&self) -> bool {
        self.0.last() == Some(&Step::Each)
    }

    /// The path to the lists whose items this path leads to.
    #[must_use]
    pub fn lists(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The keys on the way.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Each => None,
        })
    }

    /// Levels that the path leads down.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Everything the path leads to; `None` when any branch lacks a step, so
    /// that nothing is ever left behind unseen.
    #[must_use]
    pub fn all<'a>(&self, value: &'a Value) -> Option<Vec<&'a Value>> {
        let mut here = vec![value];
        for step in &self.0 {
            let mut next = Vec::new();
            for value in here {
                match step {
                    Step::Key(key) => next.push(value.as_object()?.get(spelled(value.as_object()?, key)?)?),
                    Step::Each => next.extend(value.as_array()?),
                }
            }
            here = next;
        }
        Some(here)
    }

    /// The values the path leads to; branches that lack a step are passed over.
    #[must_use]
    pub fn present<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut found = Vec::new();
        gather(&self.0, value, &mut found);
        found
    }

    /// Changes everything the path leads to; branches that lack a step stay.
    pub fn change(&self, value: &mut Value, change: &mut dyn FnMut(&mut Value)) {
        walk(&self.0, value, change);
    }
}

/// The first key of `text` and what comes after it.
fn key(text: &str) -> Result<(&str, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"').ok_or_else(|| "has a quote that is not closed".to_owned());
    }
    let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    if key.is_empty() {
        return Err("has an empty key".to_owned());
    }
    if after.starts_with(']')
        || after.starts_with('"')
        || (after.starts_with('[') && !after.starts_with("[]"))
    {
        return Err("takes `[]` for each item; single items cannot be chosen".to_owned());
    }
    Ok((key, after))
}

/// The key as the payload spells it: as written, else in other case.
fn spelled<'a>(map: &'a Map<String, Value>, key: &'a str) -> Option<&'a str> {
    if map.contains_key(key) {
        return Some(key);
    }
    map.keys().find(|there| there.eq_ignore_ascii_case(key)).map(String::as_str)
}

fn walk(steps: &[Step], value: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    match (steps.split_first(), value) {
        (None, value) => change(value),
        (Some((Step::Key(key), rest)), Value::Object(map)) => {
            let key = spelled(map, key).map(str::to_owned);
            if let Some(value) = key.and_then(|key| map.get_mut(&key)) {
                walk(rest, value, change);
            }
        }
        (Some((Step::Each, rest)), Value::Array(items)) => {
            for item in items {
                walk(rest, item, change);
            }
        }
        _ => {}
    }
}

fn gather<'a>(steps: &[Step], value: &'a Value, found: &mut Vec<&'a Value>) {
    match (steps.split_first(), value) {
        (None, value) => found.push(value),
        (Some((Step::Key(key), rest)), Value::Object(map)) => {
            if let Some(value) = spelled(map, key).and_then(|key| map.get(key)) {
                gather(rest, value, found);
            }
        }
        (Some((Step::Each, rest)), Value::Array(items)) => {
            for item in items {
                gather(rest, item, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(path: &str, value: &Value) -> Option<usize> {
        Path::read(path).ok()?.all(value).map(|found| found.len())
    }

    #[test]
    fn a_path_leads_to_every_item_or_to_nothing() {
        let page = json!([{"alerts": [1, 2]}, {"alerts": []}, {"alerts": [3]}]);
        assert_eq!(at("[].alerts[]", &page), Some(3));
        assert_eq!(at("[]", &page), Some(3));
        let mixed = json!([{"alerts": [1, 2]}, {"id": 3}]);
        assert_eq!(at("[].alerts[]", &mixed), None);
        assert_eq!(at("alerts[]", &json!({"alerts": {}})), None);
        assert_eq!(at("\"a.b\".\"c[]\"", &json!({"a.b": {"c[]": 1}})), Some(1));
        assert_eq!(at("Alerts[].x", &json!({"ALERTS": [{"X": 1}]})), Some(1));
    }

    #[test]
    fn what_is_no_path_is_told() {
        for bad in ["", "a..b", "a[0]", "a.", "[]b", "\"a", "a]b", ".a"] {
            assert!(Path::read(bad).is_err(), "{bad}");
        }
    }
}
