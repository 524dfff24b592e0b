//! The inputs that a playbook takes, and whether what was given fits them.

use serde_json::Map;

use crate::domain::playbook::{InputKind, InputSpec};
use crate::domain::value::Value;

impl InputKind {
    /// As an author writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    /// Whether a value is of this type. Nothing is of no type.
    pub fn takes(self, value: &Value) -> bool {
        match (value, self) {
            (Value::String(_), Self::String)
            | (Value::Number(_), Self::Number)
            | (Value::Bool(_), Self::Boolean) => true,
            (Value::Number(number), Self::Integer) => number.is_i64(),
            _ => false,
        }
    }
}

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongInput {
    /// The playbook has no such input.
    Unknown(String),
    /// It is missing, or not of its type.
    Unfit(String, InputKind),
}

/// The inputs as a playbook declares them: all that are required, none that is
/// unknown, each of its type, defaults filled in; nothing when it takes none.
///
/// # Errors
/// The first input that does not fit.
pub fn checked(declared: &[InputSpec], given: &Map<String, Value>) -> Result<Value, WrongInput> {
    if let Some(name) = given.keys().find(|name| !declared.iter().any(|input| input.name == **name)) {
        return Err(WrongInput::Unknown(name.clone()));
    }
    let mut inputs = Map::new();
    for input in declared {
        let value = given.get(&input.name).cloned().or_else(|| input.default.clone()).unwrap_or(Value::Null);
        let fits = if value.is_null() { !input.required } else { input.kind.takes(&value) };
        if !fits {
            return Err(WrongInput::Unfit(input.name.clone(), input.kind));
        }
        inputs.insert(input.name.clone(), value);
    }
    Ok(if inputs.is_empty() { Value::Null } else { Value::Object(inputs) })
}
