//! What lies inside an item: the one alert, or the several that it holds.

use crate::domain::value::Value;
use crate::intake::error::IntakeError;
use crate::intake::json;
use crate::intake::keys::{nest_dotted, open_named};
use crate::intake::normalise::{ALERT_BYTES_MAX, ALERT_DEPTH_MAX, MASKED};
use crate::intake::path::Path;
use crate::intake::source::SourceSpec;

/// How many alerts an item holds, before `when`.
#[must_use]
pub fn held(spec: &SourceSpec, item: &Value) -> usize {
    if !spec.inside.iter().any(Path::ends_in_items) {
        return 1;
    }
    let mut seen = item.clone();
    prepare(spec, &mut seen, true);
    inside(spec, &seen).map_or(1, |(_, parts)| parts.len())
}

/// The path that leads to what the alerts of an item are, and what lies there: one
/// object, or one or more where the path ends in `[]`. None where it is the item.
#[must_use]
pub fn inside<'a>(spec: &'a SourceSpec, seen: &'a Value) -> Option<(&'a Path, Vec<&'a Value>)> {
    spec.inside.iter().find_map(|path| {
        let parts = path.all(seen)?;
        let fits = if path.ends_in_items() { !parts.is_empty() } else { parts.len() == 1 };
        (fits && parts.iter().all(|part| part.is_object())).then_some((path, parts))
    })
}

/// Masks what the source masks and, for what expressions see, opens texts that hold
/// JSON and lists of named values, and spells keys as the rules do. A text that holds
/// no JSON stays as it is.
pub fn prepare(spec: &SourceSpec, value: &mut Value, open: bool) {
    if open {
        for path in &spec.parse_json {
            let depth = ALERT_DEPTH_MAX.saturating_sub(path.depth());
            path.change(value, &mut |inner| {
                let opened = inner.as_str().and_then(|text| json::read(text, depth).ok());
                if let Some(opened) = opened {
                    *inner = opened;
                }
            });
        }
    }
    for path in &spec.mask {
        path.change(value, &mut |inner| *inner = Value::from(MASKED));
    }
    if open {
        nest_dotted(value);
        for path in &spec.inside {
            path.change(value, &mut nest_dotted);
        }
        spec.named.iter().for_each(|path| path.change(value, &mut open_named));
        spec.spelling.apply(value);
    }
}

/// What each alert of an item keeps: the item, and of several inside it only its own.
///
/// # Errors
/// What stands around several is too large to be kept with each.
pub fn kept(raw: Value, path: &Path, count: usize) -> Result<Vec<Value>, IntakeError> {
    if count == 1 {
        return Ok(vec![raw]);
    }
    let lists = path.lists();
    let mut around = raw.clone();
    let mut parts = Vec::new();
    let mut number = 0;
    lists.change(&mut around, &mut |list| {
        let items = list.as_array_mut().map(std::mem::take).unwrap_or_default();
        parts.extend(items.into_iter().map(|item| (number, item)));
        number += 1;
    });
    if parts.len() != count {
        // They lie in a text that holds JSON, which is kept as it came.
        around = raw;
        parts.clear();
    }
    let bytes = around.to_string().len().saturating_mul(count);
    if bytes > ALERT_BYTES_MAX {
        return Err(IntakeError::TooLarge { bytes });
    }
    let mut parts = parts.into_iter();
    let raw = (0..count).map(|_| {
        let mut raw = around.clone();
        if let Some((own, part)) = parts.next() {
            let mut part = Some(part);
            let mut number = 0;
            lists.change(&mut raw, &mut |list| {
                if number == own {
                    *list = Value::Array(part.take().into_iter().collect());
                }
                number += 1;
            });
        }
        raw
    });
    Ok(raw.collect())
}
