//! The inputs of a playbook and the fields of a question: one reading of what was
//! given, for runs, plans, tests, schedules and playbooks that others run.

use std::collections::BTreeMap;

use serde_json::{Map, Number};

use crate::domain::playbook::{InputKind, InputSpec};
use crate::domain::value::{Value, truncate_text};

/// The longest part of a wrong value that a message repeats, in bytes.
const REPEATED_BYTES_MAX: usize = 60;

/// What a caller gives, by name. The two maps share no name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenInputs {
    /// Values that have a type already: JSON of a program, YAML of an author.
    pub values: Map<String, Value>,
    /// Texts as a person typed them: the declared type says what each means.
    pub texts: BTreeMap<String, String>,
}

impl From<Map<String, Value>> for GivenInputs {
    fn from(values: Map<String, Value>) -> Self {
        Self { values, texts: BTreeMap::new() }
    }
}

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

    /// What a typed text means as this type; `None` when it cannot be that. A text
    /// is never guessed to be a number: `4711` of a string stays `"4711"`.
    pub fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::String => Some(Value::from(text)),
            Self::Integer => text.trim().parse::<i64>().ok().map(Value::from),
            Self::Number => {
                let text = text.trim();
                let number: Number = serde_json::from_str(text).ok()?;
                // A whole number that only fits a float would come back as another.
                let whole = !text.contains(['.', 'e', 'E']);
                (!whole || number.is_i64() || number.is_u64()).then_some(Value::Number(number))
            }
            Self::Boolean => match text.trim() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
        }
    }

    /// What it takes, in words, with an example.
    pub fn takes_words(self) -> &'static str {
        match self {
            Self::String => "text, such as abc",
            Self::Integer => "a whole number, such as 7",
            Self::Number => "a number, such as 2.5",
            Self::Boolean => "true or false",
        }
    }

    /// A value of this type, where a walk needs one that nobody gave.
    pub fn example(self) -> Value {
        match self {
            Self::String => Value::from("(text)"),
            Self::Integer | Self::Number => Value::from(0),
            Self::Boolean => Value::Bool(false),
        }
    }
}

/// Why what was given cannot be used. Its words name the input, what it takes, and
/// what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongInput {
    /// Nothing of this name is declared.
    #[error("there is no input `{}`; {}", .name.escape_debug(), takes(.declared))]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names that there are.
        declared: Vec<String>,
    },
    /// The same name stands among the values and among the texts.
    #[error("the input `{}` is given twice; give it once", .0.escape_debug())]
    Twice(String),
    /// A required one was not given and has no default.
    #[error("the input `{name}` is missing; it takes {}", .kind.takes_words())]
    Missing {
        /// Its name.
        name: String,
        /// Its declared type.
        kind: InputKind,
    },
    /// It was given and is of another type.
    #[error("the input `{name}` takes {}; {given} was given", .kind.takes_words())]
    Unfit {
        /// Its name.
        name: String,
        /// Its declared type.
        kind: InputKind,
        /// What was given, in words.
        given: String,
    },
}

fn takes(declared: &[String]) -> String {
    if declared.is_empty() {
        return "none is declared".to_owned();
    }
    format!("the inputs are: {}", declared.join(", "))
}

/// The inputs as a playbook declares them: all that are required, each of its
/// type, defaults filled in; `Null` when it declares none.
///
/// # Errors
/// The first input that is unknown, missing or of another type.
pub fn bind(declared: &[InputSpec], given: &GivenInputs) -> Result<Value, WrongInput> {
    let values = read_given(declared, given)?;
    let missing = declared.iter().find(|input| {
        input.required && input.default.is_none() && values.get(&input.name).is_none_or(Value::is_null)
    });
    if let Some(input) = missing {
        return Err(WrongInput::Missing { name: input.name.clone(), kind: input.kind });
    }
    Ok(with_defaults(declared, values))
}

/// The inputs of a run that nobody gives any, as one that an alert starts: each
/// has its default, or nothing.
pub fn defaults(declared: &[InputSpec]) -> Value {
    with_defaults(declared, Map::new())
}

/// What was given, each of its declared type. Neither defaults nor what is missing
/// are looked at.
///
/// # Errors
/// The first that is unknown, given twice or of another type.
pub fn read_given(declared: &[InputSpec], given: &GivenInputs) -> Result<Map<String, Value>, WrongInput> {
    let spec = |name: &str| {
        declared.iter().find(|input| input.name == name).ok_or_else(|| WrongInput::Unknown {
            name: name.to_owned(),
            declared: declared.iter().map(|input| input.name.clone()).collect(),
        })
    };
    let unfit = |input: &InputSpec, before: &str, given: &str| WrongInput::Unfit {
        name: input.name.clone(),
        kind: input.kind,
        given: format!("{before}`{}`", truncate_text(given, REPEATED_BYTES_MAX).escape_debug()),
    };
    let mut read = Map::new();
    for (name, value) in &given.values {
        let input = spec(name)?;
        if !value.is_null() && !input.kind.takes(value) {
            return Err(match value {
                Value::String(text) => unfit(input, "the text ", text),
                other => unfit(input, "", &other.to_string()),
            });
        }
        read.insert(name.clone(), value.clone());
    }
    for (name, text) in &given.texts {
        let input = spec(name)?;
        let value = input.kind.read(text).ok_or_else(|| unfit(input, "", text))?;
        if read.insert(name.clone(), value).is_some() {
            return Err(WrongInput::Twice(name.clone()));
        }
    }
    Ok(read)
}

fn with_defaults(declared: &[InputSpec], mut given: Map<String, Value>) -> Value {
    if declared.is_empty() {
        return Value::Null;
    }
    let mut inputs = Map::new();
    for input in declared {
        let value = given.remove(&input.name).filter(|value| !value.is_null());
        let value = value.or_else(|| input.default.clone()).unwrap_or(Value::Null);
        inputs.insert(input.name.clone(), value);
    }
    Value::Object(inputs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(name: &str, kind: InputKind, required: bool, default: Option<Value>) -> InputSpec {
        InputSpec { name: name.to_owned(), kind, required, label: None, default }
    }

    fn texts(given: &[(&str, &str)]) -> GivenInputs {
        let texts = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        GivenInputs { values: Map::new(), texts }
    }

    #[test]
    fn the_declared_type_decides_how_a_typed_text_is_read() {
        let declared = [
            input("ticket", InputKind::String, true, None),
            input("count", InputKind::Integer, false, None),
            input("share", InputKind::Number, false, Some(json!(0.5))),
            input("urgent", InputKind::Boolean, false, Some(json!(true))),
        ];
        let bound = bind(&declared, &texts(&[("ticket", "4711"), ("count", "4711")]));
        assert_eq!(bound, Ok(json!({ "ticket": "4711", "count": 4711, "share": 0.5, "urgent": true })));
        for text in ["true", "null", "", "{\"a\": 1}", "0x1F", " 1"] {
            let bound = bind(&declared[..1], &texts(&[("ticket", text)])).expect("any text is text");
            assert_eq!(bound, json!({ "ticket": text }));
        }
        let number = bind(&declared, &texts(&[("ticket", "a"), ("share", "4711"), ("urgent", "false")]));
        assert_eq!(number.map(|bound| bound["share"].clone()), Ok(json!(4711)));
    }

    #[test]
    fn what_does_not_fit_is_told_by_name_with_its_type_an_example_and_what_was_given() {
        let declared =
            [input("ticket", InputKind::String, true, None), input("count", InputKind::Integer, false, None)];
        let told = |given: &GivenInputs| bind(&declared, given).expect_err("it does not fit").to_string();
        let count = told(&texts(&[("ticket", "a"), ("count", "many")]));
        assert_eq!(count, "the input `count` takes a whole number, such as 7; `many` was given");
        assert_eq!(told(&texts(&[])), "the input `ticket` is missing; it takes text, such as abc");
        assert_eq!(
            told(&texts(&[("tiket", "a")])),
            "there is no input `tiket`; the inputs are: ticket, count"
        );
        let value = GivenInputs::from(json!({ "ticket": 4711 }).as_object().cloned().unwrap_or_default());
        assert_eq!(told(&value), "the input `ticket` takes text, such as abc; `4711` was given");
        let twice = GivenInputs { texts: texts(&[("ticket", "b")]).texts, ..value_of("ticket", "a") };
        assert_eq!(told(&twice), "the input `ticket` is given twice; give it once");
        // A whole number beyond 64 bits would come back as another one.
        let number = [input("n", InputKind::Number, true, None)];
        assert!(bind(&number, &texts(&[("n", "123456789012345678901234")])).is_err());
        assert!(bind(&number, &texts(&[("n", "18446744073709551615")])).is_ok());
    }

    fn value_of(name: &str, text: &str) -> GivenInputs {
        let mut values = Map::new();
        values.insert(name.to_owned(), Value::from(text));
        values.into()
    }

    #[test]
    fn defaults_stand_where_nothing_is_given() {
        let declared = [
            input("hold", InputKind::String, false, Some(json!("24h"))),
            input("note", InputKind::String, false, None),
        ];
        assert_eq!(defaults(&declared), json!({ "hold": "24h", "note": null }));
        assert_eq!(bind(&declared, &GivenInputs::default()), Ok(defaults(&declared)));
        let nulled: GivenInputs = json!({ "hold": null }).as_object().cloned().unwrap_or_default().into();
        assert_eq!(bind(&declared, &nulled), Ok(defaults(&declared)));
        assert_eq!(defaults(&[]), Value::Null);
    }
}
