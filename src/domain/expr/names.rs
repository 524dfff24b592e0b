//! The names of the functions there are, and what is said about others.

use cel::common::ast::{CallExpr, Expr as Node};

/// Names with the fewest and the most arguments.
type Table = &'static [(&'static str, usize, usize)];

/// Functions written `name(x)`, with the fewest and the most arguments.
const FUNCTIONS: Table = &[
    ("size", 1, 1),
    ("int", 1, 1),
    ("uint", 1, 1),
    ("double", 1, 1),
    ("string", 1, 1),
    ("bool", 1, 1),
    ("bytes", 1, 1),
    ("timestamp", 1, 1),
    ("duration", 1, 1),
    ("type", 1, 1),
    ("dyn", 1, 1),
    ("matches", 2, 2),
    ("optional.of", 1, 1),
    ("optional.none", 0, 0),
    ("optional.ofNonZeroValue", 1, 1),
    ("json", 1, 1),
    ("lower", 1, 1),
    ("upper", 1, 1),
    ("trim", 1, 1),
    ("domain", 1, 1),
    ("days_between", 2, 2),
];

/// Functions written `x.name(…)`, with the fewest and the most arguments in
/// the brackets.
const METHODS: Table = &[
    ("size", 0, 0),
    ("contains", 1, 1),
    ("startsWith", 1, 1),
    ("endsWith", 1, 1),
    ("matches", 1, 1),
    ("charAt", 1, 1),
    ("indexOf", 1, 2),
    ("lastIndexOf", 1, 2),
    ("lowerAscii", 0, 0),
    ("upperAscii", 0, 0),
    ("trim", 0, 0),
    ("replace", 2, 3),
    ("split", 1, 2),
    ("join", 0, 1),
    ("substring", 1, 2),
    ("reverse", 0, 0),
    ("hasValue", 0, 0),
    ("value", 0, 0),
    ("or", 1, 1),
    ("orValue", 1, 1),
    ("getDate", 0, 1),
    ("getDayOfMonth", 0, 1),
    ("getDayOfWeek", 0, 1),
    ("getDayOfYear", 0, 1),
    ("getFullYear", 0, 1),
    ("getHours", 0, 1),
    ("getMilliseconds", 0, 1),
    ("getMinutes", 0, 1),
    ("getMonth", 0, 1),
    ("getSeconds", 0, 1),
];

/// Forms that bind a variable, or test for a key: with other arguments than
/// these they are not expanded and so are mistakes.
const FORMS: &[(&str, &str)] = &[
    ("has", "has(x.key)"),
    ("map", "list.map(x, …)"),
    ("filter", "list.filter(x, …)"),
    ("all", "list.all(x, …)"),
    ("exists", "list.exists(x, …)"),
    ("exists_one", "list.exists_one(x, …)"),
    ("existsOne", "list.existsOne(x, …)"),
    ("optMap", "x.optMap(y, …)"),
    ("optFlatMap", "x.optFlatMap(y, …)"),
];

/// Those that are replaced by a paying version, called `@name` with the budget
/// before the other arguments.
pub(super) const PAYING: &[&str] = &["replace", "join", "split", "indexOf", "lastIndexOf", "matches", "json"];

/// What is wrong, and the word of the source it is about.
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) word: Option<String>,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Mistake { message: message.into(), word: None }
    }

    pub(super) fn at(word: &str, message: impl Into<String>) -> Self {
        Mistake { message: message.into(), word: Some(word.to_owned()) }
    }
}

/// The full name of the function a call is to, if there is such a function
/// and it takes as many arguments.
pub(super) fn function_name(it: &CallExpr) -> Result<String, Mistake> {
    let name = it.func_name.as_str();
    let full = match it.target.as_deref().map(|target| &target.expr) {
        Some(Node::Ident(space)) => Some(format!("{space}.{name}")),
        _ => None,
    };
    let find = |table: Table, name: &str| table.iter().find(|it| it.0 == name).copied();
    let qualified = full.as_deref().and_then(|full| find(FUNCTIONS, full));
    let (found, shown) = match (qualified, &it.target) {
        (Some(found), _) => (Some(found), full.clone().unwrap_or_default()),
        (None, Some(_)) => (find(METHODS, name), name.to_owned()),
        (None, None) => (find(FUNCTIONS, name), name.to_owned()),
    };
    let Some((_, fewest, most)) = found else {
        return Err(unknown(name, it.target.is_some()));
    };
    let given = it.args.len();
    if given < fewest || given > most {
        let range = match (fewest, most) {
            (fewest, most) if fewest == most => fewest.to_string(),
            (fewest, most) => format!("{fewest} or {most}"),
        };
        let message = format!("`{shown}` takes {range} in its brackets, not {given}");
        return Err(Mistake::at(name, message));
    }
    Ok(shown)
}

fn unknown(name: &str, is_method: bool) -> Mistake {
    if let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) {
        return Mistake::at(name, format!("`{name}` is written {form}"));
    }
    let (table, other) = if is_method { (METHODS, FUNCTIONS) } else { (FUNCTIONS, METHODS) };
    if other.iter().any(|(known, ..)| *known == name) {
        let form = if is_method { format!("{name}(x)") } else { format!("x.{name}(…)") };
        return Mistake::at(name, format!("`{name}` is written {form}"));
    }
    let known = table.iter().chain(other).map(|(known, ..)| *known);
    let known = known.chain(FORMS.iter().map(|(known, _)| *known));
    let closest = known
        .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Mistake::at(
        name,
        match closest {
            Some((_, closest)) => {
                format!("there is no function `{name}`; did you mean `{closest}`?")
            }
            None => format!("there is no function `{name}`"),
        },
    )
}
