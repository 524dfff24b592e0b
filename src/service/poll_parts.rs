//! A page of a polled source in parts that are each taken as a delivery is.

use crate::domain::value::Value;
use crate::intake::normalise::ALERT_BYTES_MAX;
use crate::intake::path::Path;
use crate::intake::source::SourceSpec;
use crate::service::polls::Trouble;

/// Alerts of one part of a page: what the journal takes in well under a second.
const PART_ALERTS_MAX: usize = 250;

/// Items of one part where each may hold several alerts: forty each, on average, may.
const PART_INSIDE_MAX: usize = 25;

/// A page in parts that can each be taken whole: of a list so many items, and so
/// many bytes. A map is one part, or a list where the source's `split` says so and
/// it is too much for one.
///
/// # Errors
/// When it is neither.
pub(super) fn parts(spec: &SourceSpec, page: &Value) -> Result<Vec<Vec<u8>>, Trouble> {
    let several = spec.inside.iter().any(Path::ends_in_items);
    let most = if several { PART_INSIDE_MAX } else { PART_ALERTS_MAX };
    match page {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => Ok(of_list(items.iter(), most)),
        Value::Object(_) => {
            let whole = page.to_string().into_bytes();
            let items = listed(spec, page);
            if whole.len() <= ALERT_BYTES_MAX && items.len() <= most {
                return Ok(vec![whole]);
            }
            Ok(if is_plain(spec, &items) { of_list(items.into_iter(), most) } else { vec![whole] })
        }
        _ => Err(Trouble::new("what the operation gives is no list and no map of alerts", true)),
    }
}

/// The items of a map by the paths of its source; none where no path leads to any.
fn listed<'a>(spec: &SourceSpec, page: &'a Value) -> Vec<&'a Value> {
    let lists = spec.split.iter().filter_map(|path| path.all(page));
    lists.take(if spec.split_all { usize::MAX } else { 1 }).flatten().collect()
}

/// Whether a list of the items alone means the same: there are some, no rule sees
/// what stands around them, and no path leads on into them.
fn is_plain(spec: &SourceSpec, items: &[&Value]) -> bool {
    let sees_around =
        spec.fields.uses_envelope() || spec.when.as_ref().is_some_and(|when| when.uses("envelope"));
    // One by one: a part may hold just those that a path leads on into.
    let leads_on = |item: &Value| {
        let alone = Value::Array(vec![item.clone()]);
        spec.split.iter().any(|path| path.all(&alone).is_some())
    };
    !items.is_empty() && !sees_around && items.iter().all(|item| item.is_object() && !leads_on(item))
}

fn of_list<'a>(items: impl Iterator<Item = &'a Value>, most: usize) -> Vec<Vec<u8>> {
    let mut parts: Vec<(usize, String)> = Vec::new();
    for item in items {
        let text = item.to_string();
        match parts.last_mut() {
            // A bracket or a comma for each, and the bracket at the end.
            Some((count, part)) if *count < most && part.len() + text.len() + 2 <= ALERT_BYTES_MAX => {
                *count += 1;
                part.push(',');
                part.push_str(&text);
            }
            _ => parts.push((1, format!("[{text}"))),
        }
    }
    parts.into_iter().map(|(_, part)| (part + "]").into_bytes()).collect()
}

/// What to do about a page that is too much for one delivery and cannot be parted.
pub(super) fn asked_for_too_much(code: &str) -> Option<&'static str> {
    match code {
        "alert-too-many" | "alert-too-large" => Some(
            "; ask for fewer at once by `with` of the poll, or let `alerts` give the list itself, which is taken in parts",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::normalise::normalise;
    use serde_json::json;

    const PLAIN: &str =
        "source: feed\ntitle: Feed\nproven: simulated\nsplit: value[]\nfields:\n  title: raw.name\n";

    fn spec(text: &str) -> SourceSpec {
        SourceSpec::read("feed.yaml", text).expect("the source reads")
    }

    fn back(parts: &[Vec<u8>]) -> Vec<Value> {
        let mut back = Vec::new();
        for part in parts {
            assert!(part.len() <= ALERT_BYTES_MAX);
            let list: Vec<Value> = serde_json::from_slice(part).expect("each is a list");
            assert!(!list.is_empty() && list.len() <= PART_ALERTS_MAX);
            back.extend(list);
        }
        back
    }

    fn items() -> Vec<Value> {
        (0..1001).map(|n| json!({"name": format!("n {n}"), "pad": "x".repeat(n % 7000)})).collect()
    }

    #[test]
    fn items_that_hold_several_alerts_each_come_fewer_at_a_time() {
        let spec = spec(&PLAIN.replace("fields:", "inside: events[]\nfields:"));
        let event = json!({ "name": "an event" });
        let page: Vec<Value> = (0..60).map(|_| json!({ "events": vec![event.clone(); 40] })).collect();
        let parts = parts(&spec, &Value::Array(page)).expect("a list");
        let mut number = 0;
        for part in &parts {
            let mut new_id = || {
                number += 1;
                crate::domain::id::AlertId::new(ulid::Ulid::from_parts(0, number))
            };
            let now = crate::domain::time::Timestamp::EPOCH;
            normalise(&spec, "feed", part, None, now, &mut new_id).expect("it is not too many");
        }
        assert_eq!((parts.len(), number), (3, 2400));
    }

    #[test]
    fn parts_hold_every_item_in_order_within_their_bounds() {
        let parts = parts(&spec(PLAIN), &Value::Array(items())).expect("it is a list");
        assert_eq!(back(&parts), items());
    }

    #[test]
    fn a_map_that_is_too_much_for_one_is_split_as_its_source_says() {
        let spec = spec(PLAIN);
        let parts = parts(&spec, &json!({"value": items(), "next": "c"})).expect("it is a map");
        assert_eq!(back(&parts), items());
        let mut taken = 0;
        for part in &parts {
            let mut new_id = || crate::domain::id::AlertId::new(ulid::Ulid::nil());
            let at = crate::domain::time::Timestamp::from_millis(0);
            taken += normalise(&spec, "feed", part, None, at, &mut new_id).expect("it is read").len();
        }
        assert_eq!(taken, 1001);
    }

    #[test]
    fn a_map_stays_one_where_rules_see_around_an_item_or_paths_lead_on() {
        let around = PLAIN.replace("raw.name", "${ raw.name + envelope.of }");
        let on = PLAIN.replace("split: value[]", "split: [\"value[]\", \"[].more[]\"]");
        let nested: Vec<Value> = (0..300).map(|n| json!({"name": n, "more": [{"name": "a"}]})).collect();
        for (text, value) in [(around, items()), (on, nested)] {
            let parts = parts(&spec(&text), &json!({"value": value, "of": "a"})).expect("it is a map");
            assert_eq!(parts.len(), 1, "{text}");
        }
        assert!(asked_for_too_much("alert-too-many").is_some_and(|told| told.contains("`with`")));
    }

    #[test]
    fn nothing_is_no_part_and_a_small_map_is_one() {
        let spec = spec(PLAIN);
        assert!(parts(&spec, &Value::Null).expect("it is nothing").is_empty());
        assert!(parts(&spec, &json!([])).expect("it is empty").is_empty());
        for map in [json!({"value": []}), json!({"value": [{"name": "a"}]}), json!({"name": "a"})] {
            assert_eq!(parts(&spec, &map).expect("it is a map"), [map.to_string().into_bytes()]);
        }
        assert!(parts(&spec, &json!("text")).is_err());
    }
}
