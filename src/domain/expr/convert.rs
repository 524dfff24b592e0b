//! Between JSON values and CEL's: numbers keep their kind, times and durations
//! become text, and what JSON can't hold is refused in an author's words.

use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional,
    CelString, CelTimestamp, CelType, CelUInt,
};
use cel::common::value::Val;
use chrono::SecondsFormat;

use super::LIST_ITEMS_MAX;
use crate::domain::value::{VALUE_BYTES_MAX, Value};

/// How deep lists and maps may lie within each other in a result. JSON readers
/// commonly stop at 128.
const LEVELS_MAX: usize = 100;

/// A value as CEL works with it. A whole number is always a CEL `int`, so that
/// `x + 1` works, unless it only fits an unsigned one.
pub(super) fn from_json(value: &Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(it) => Box::new(CelBool::from(*it)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.clone())),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val>> = items.iter().map(from_json).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, item)| (CelMapKey::String(CelString::from(key.clone())), from_json(item)));
            let entries: HashMap<CelMapKey<'static>, Box<dyn Val>> = entries.collect();
            Box::new(CelMap::from(entries))
        }
    }
}

/// A result as JSON.
///
/// # Errors
///
/// In an author's words: bytes, types and absent optional values are no
/// results, lists hold at most [`LIST_ITEMS_MAX`] items, and the whole at most
/// [`VALUE_BYTES_MAX`] bytes.
pub(super) fn to_json(value: &dyn Val) -> Result<Value, String> {
    let mut left = VALUE_BYTES_MAX;
    write(value, &mut left, LEVELS_MAX)
}

fn write(value: &dyn Val, left: &mut usize, levels: usize) -> Result<Value, String> {
    let Some(levels) = levels.checked_sub(1) else {
        return Err(format!("the result nests deeper than {LEVELS_MAX} levels"));
    };
    spend(left, 4)?;
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return match optional.option() {
            Some(inner) => write(inner, left, levels),
            None => Err("the value is absent; say what to use instead with .orValue(…)".to_owned()),
        };
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        let items = list.inner();
        if items.len() > LIST_ITEMS_MAX {
            let count = items.len();
            return Err(format!(
                "the result is a list of {count} items, and at most {LIST_ITEMS_MAX} are allowed"
            ));
        }
        let items = items.iter().map(|item| write(item.as_ref(), left, levels));
        return Ok(Value::Array(items.collect::<Result<_, _>>()?));
    }
    if value.get_type().kind() == cel::common::types::Kind::Map {
        return write_map(value, left, levels);
    }
    scalar(value, left)
}

fn write_map(value: &dyn Val, left: &mut usize, levels: usize) -> Result<Value, String> {
    let (Some(keys), Some(indexer)) = (value.as_iterable(), value.as_indexer()) else {
        return Err("the result is of a kind that can't be kept".to_owned());
    };
    let mut map = serde_json::Map::new();
    let mut keys = keys.iter();
    while let Some(key) = keys.next() {
        let name = match key.downcast_ref::<CelString>() {
            Some(text) => text.inner().to_owned(),
            None => match scalar(key, left)? {
                Value::String(text) => text,
                other => other.to_string(),
            },
        };
        spend(left, name.len() + 4)?;
        let item = indexer.get(key).map_err(|error| error.to_string())?;
        let item = write(item.as_ref(), left, levels)?;
        if map.insert(name.clone(), item).is_some() {
            return Err(format!("the result has two keys that are written `{name}`"));
        }
    }
    Ok(Value::Object(map))
}

fn scalar(value: &dyn Val, left: &mut usize) -> Result<Value, String> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        spend(left, text.inner().len())?;
        return Ok(Value::from(text.inner()));
    }
    if let Some(it) = value.downcast_ref::<CelBool>() {
        return Ok((*it.inner()).into());
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Ok((*number.inner()).into());
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Ok((*number.inner()).into());
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return serde_json::Number::from_f64(*number.inner())
            .map(Value::Number)
            .ok_or_else(|| "the result is infinite or not a number".to_owned());
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return Ok(Value::Null);
    }
    if let Some(time) = value.downcast_ref::<CelTimestamp>() {
        return Ok(time.inner().to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
    }
    if let Some(duration) = value.downcast_ref::<CelDuration>() {
        return Ok(duration_text(*duration.inner()).into());
    }
    Err(if value.downcast_ref::<CelBytes>().is_some() {
        "the result is bytes; make it text with string(…)".to_owned()
    } else if value.downcast_ref::<CelType>().is_some() {
        "the result is a type; compare it, as in type(x) == string".to_owned()
    } else {
        "the result is of a kind that can't be kept".to_owned()
    })
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), String> {
    *left = left.checked_sub(bytes).ok_or_else(|| {
        let most = VALUE_BYTES_MAX / 1024;
        format!("the result is larger than {most} KiB, the most a value may hold")
    })?;
    Ok(())
}

/// Seconds with at most nine decimals and an `s`, as protobuf writes durations
/// in JSON: `5400s`, `-0.5s`.
fn duration_text(duration: chrono::Duration) -> String {
    let sign = if duration < chrono::Duration::zero() { "-" } else { "" };
    let seconds = duration.num_seconds().unsigned_abs();
    match duration.subsec_nanos().unsigned_abs() {
        0 => format!("{sign}{seconds}s"),
        nanos => {
            let nanos = format!("{nanos:09}");
            format!("{sign}{seconds}.{}s", nanos.trim_end_matches('0'))
        }
    }
}
