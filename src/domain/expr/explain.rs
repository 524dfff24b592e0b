//! What went wrong in an evaluation, in the words of somebody who writes
//! playbooks: no type names of the program, and the names they wrote.

use cel::ExecutionError;
use cel::common::ast::operators as op;
use cel::common::value::Val;

use super::budget::LIMIT;
use super::scope::Scope;
use super::{Expr, convert};
use crate::domain::value::truncate_text;

/// How many keys or names a message lists.
const NAMES_SHOWN: usize = 12;

/// The longest value a message quotes, in bytes.
const QUOTED_BYTES: usize = 60;

pub(super) fn explain(error: &ExecutionError, expr: &Expr, scope: &Scope<'_>) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => {
            missing(expr, scope, Some(key.as_str())).unwrap_or_else(|| format!("there is no key `{key}`"))
        }
        ExecutionError::UndeclaredReference(name) => {
            let known = listed(scope.names().map(str::to_owned).collect(), name);
            format!("nothing here is called `{name}`; {known}")
        }
        ExecutionError::NoSuchOverload(overload) => {
            let function = overload.function();
            let selects = function == "_._";
            let found = selects.then(|| missing(expr, scope, None)).flatten();
            found.unwrap_or_else(|| mismatch(function, overload.argument_types()))
        }
        ExecutionError::UnexpectedType { got, want } => match want.as_str() {
            "bool" => format!("true or false is needed here, not {}", type_words(got)),
            "iterable" => format!("only lists and maps can be gone through, not {}", type_words(got)),
            _ => format!("{} can't be used here", type_words(got)),
        },
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let sign = match *operator {
                "add" => "+",
                "sub" => "-",
                "mul" => "*",
                "div" => "/",
                "rem" => "%",
                other => other,
            };
            format!("`{sign}` does not work on {} and {}", quoted(left), quoted(right))
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} can't be compared to {}", quoted(left), quoted(right))
        }
        ExecutionError::FunctionError { function, message } if function == LIMIT => message.clone(),
        ExecutionError::FunctionError { function, message } => {
            format!("`{function}` failed: {}", truncate_text(message, 300))
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "a division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "the number or time gets too large".to_owned(),
        ExecutionError::IndexOutOfBounds(index) => {
            format!("the list has no item at position {}; the first is 0", quoted(index))
        }
        ExecutionError::DuplicateKey(key) => {
            format!("a map is given the key {} twice", quoted(key))
        }
        ExecutionError::UnsupportedKeyType(key) => {
            format!("{} can't be a key of a map", quoted(key))
        }
        ExecutionError::UnsupportedIndex(..) => "a position in a list must be a whole number".to_owned(),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} values in its brackets, not {actual}")
        }
        _ => "the expression can't be worked out on these values".to_owned(),
    }
}

/// The first path of the expression that ends too early, if `key` (when one
/// is known) is the part that is missing.
fn missing(expr: &Expr, scope: &Scope<'_>, key: Option<&str>) -> Option<String> {
    for path in &expr.references().paths {
        let Err(found @ 1..) = scope.look(path) else {
            continue;
        };
        let part = &path[found];
        if key.is_some_and(|key| key != part) {
            continue;
        }
        let holder = path[..found].join(".");
        let held = scope.look(&path[..found]).ok()?;
        return Some(match keys(held.as_ref()) {
            Some(keys) if keys.is_empty() => {
                format!("`{holder}` has no key `{part}`; it is empty")
            }
            Some(keys) => format!("`{holder}` has no key `{part}`; {}", listed(keys, part)),
            None if key.is_none() || held.as_indexer().is_none() => {
                let kind = type_words(held.get_type().name());
                format!("`{holder}` is {kind}, so it has no key `{part}`")
            }
            None => continue,
        });
    }
    None
}

fn keys(map: &dyn Val) -> Option<Vec<String>> {
    if map.get_type().kind() != cel::common::types::Kind::Map {
        return None;
    }
    let mut keys = Vec::new();
    let mut names = map.as_iterable()?.iter();
    while let Some(name) = names.next() {
        keys.push(match convert::to_json(name).ok()? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        });
    }
    Some(keys)
}

/// "it has: a, b, c", the closest to `wanted` first when one is close.
fn listed(mut names: Vec<String>, wanted: &str) -> String {
    names.sort();
    let closest = names
        .iter()
        .map(|name| (strsim::jaro_winkler(name, wanted), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let closest = closest.map(|(_, name)| name.clone());
    let count = names.len();
    let shown: Vec<_> = names.iter().take(NAMES_SHOWN).map(|name| truncate_text(name, 40)).collect();
    let mut text = match shown.len() {
        0 => "there is nothing".to_owned(),
        _ => format!("it has: {}", shown.join(", ")),
    };
    if count > NAMES_SHOWN {
        text.push_str(&format!(" and {} more", count - NAMES_SHOWN));
    }
    if let Some(closest) = closest {
        text.push_str(&format!("; did you mean `{}`?", truncate_text(&closest, 40)));
    }
    text
}

fn mismatch(function: &str, types: &[String]) -> String {
    let words: Vec<&str> = types.iter().map(|name| type_words(name)).collect();
    let sign = match function {
        op::ADD => "+",
        op::SUBSTRACT | op::NEGATE => "-",
        op::MULTIPLY => "*",
        op::DIVIDE => "/",
        op::MODULO => "%",
        op::GREATER => ">",
        op::GREATER_EQUALS => ">=",
        op::LESS => "<",
        op::LESS_EQUALS => "<=",
        op::LOGICAL_AND => "&&",
        op::LOGICAL_OR => "||",
        op::LOGICAL_NOT => "!",
        op::IN => "in",
        op::INDEX | op::OPT_INDEX => "[ ]",
        "_._" | op::OPT_SELECT => {
            return format!("{} has no keys", words.first().unwrap_or(&"this"));
        }
        other => other,
    };
    let optional = types.iter().any(|name| name == "optional_type");
    let hint = if optional { "; end the optional value with .orValue(…)" } else { "" };
    if words.is_empty() {
        return format!("`{sign}` does not work on this{hint}");
    }
    format!("`{sign}` does not work on {}{hint}", words.join(" and "))
}

/// What an author calls a value of a CEL type.
pub(super) fn type_words(name: &str) -> &str {
    match name {
        "string" => "text",
        "int" | "uint" => "a whole number",
        "double" => "a number with decimals",
        "bool" => "true or false",
        "null_type" => "null",
        "bytes" => "bytes",
        "google.protobuf.Timestamp" => "a time",
        "google.protobuf.Duration" => "a duration",
        "optional_type" => "an optional value",
        "type" => "a type",
        name if name.starts_with("list") => "a list",
        name if name.starts_with("map") => "a map",
        _ => "this kind of value",
    }
}

fn quoted(value: &cel::Value) -> String {
    let kind = match value {
        cel::Value::List(_) => "a list",
        cel::Value::Map(_) => "a map",
        cel::Value::Bytes(_) => "bytes",
        cel::Value::Timestamp(_) => "a time",
        cel::Value::Duration(_) => "a duration",
        cel::Value::String(text) => {
            return format!("the text \"{}\"", truncate_text(text, QUOTED_BYTES));
        }
        cel::Value::Int(number) => return number.to_string(),
        cel::Value::UInt(number) => return number.to_string(),
        cel::Value::Float(number) => return number.to_string(),
        cel::Value::Bool(it) => return it.to_string(),
        cel::Value::Null => "null",
        _ => "this kind of value",
    };
    kind.to_owned()
}
