//! What a step is called, when it runs and which kind it is.

use crate::authored::expressions::expression;
use crate::domain::expr::Expr;
use crate::domain::expr::scope::Scope;
use crate::domain::playbook::Body;
use crate::domain::value::Value;
use crate::step::kind::{Check, KINDS, Named, StepKind};
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::foreign::{is_foreign, is_foreign_kind};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// A step's id: expressions name it, so it is a plain word.
pub(super) fn read_id(field: Field<'_>) -> Option<String> {
    let id = field.non_empty()?;
    let plain = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain || id.len() > 64 {
        field.mistake(
            "bad-id",
            format!("`{id}` is no id for a step"),
            format!(
                "use small letters, digits and _, such as `{}`: expressions name it",
                id.to_lowercase().replace(['-', ' '], "_")
            ),
        );
        return None;
    }
    Some(id.to_owned())
}

/// `when` or `for_each`: an expression, its names noted.
pub(super) fn read_condition(map: &MapReader<'_>, key: &'static str, check: &mut Check<'_>) -> Option<Expr> {
    let field = map.optional(key)?;
    if field.node().as_str().is_none() {
        let (help, wanted) = match key {
            "for_each" => ("write a list as ${ [\"a\", \"b\"] }", "a list"),
            _ => ("write ${ true }, or better a condition", "a condition"),
        };
        let message = format!("`{key}` takes {wanted} as an expression, found {}", field.node().kind_name());
        field.mistake("not-an-expression", message, help);
        return None;
    }
    let expr = expression(field, check.source)?;
    if expr.references().paths.is_empty() {
        check_constant(field, key, &expr);
    }
    check.named.push(Named {
        node: field.node().clone(),
        references: expr.references().clone(),
        after: false,
    });
    Some(expr)
}

/// A condition or list that names nothing is the same in every run, so it is
/// worked out here.
fn check_constant(field: Field<'_>, key: &str, expr: &Expr) {
    match (key, expr.eval(&Scope::new())) {
        ("when", Ok(Value::Bool(false))) => {
            field.mistake("never-runs", "this step never runs", "take the step out, or mend its condition");
        }
        ("when", Ok(Value::Bool(true))) | ("for_each", Ok(Value::Array(_))) => {}
        (_, Ok(found)) => {
            let (wanted, help) = match key {
                "for_each" => ("a list", "write a list: ${ [\"a\", \"b\"] }"),
                _ => ("true or false", "compare it with something: ${ alert.severity > 60 }"),
            };
            let kind = match &found {
                Value::Null => "null",
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::String(_) => "text",
                Value::Array(_) => "a list",
                Value::Object(_) => "a map",
            };
            field.mistake("wrong-type", format!("`{key}` takes {wanted}, and this is always {kind}"), help);
        }
        (_, Err(error)) => {
            let message = format!("this always fails: {}", error.message);
            field.mistake("always-fails", message, "mend it: it names nothing that could change that");
        }
    }
}

/// The one kind of a step, and what it does.
pub(super) fn read_kind<'a>(
    field: Field<'a>,
    map: &MapReader<'a>,
    check: &mut Check<'_>,
) -> Option<(&'static dyn StepKind, Option<Body>)> {
    let entries = field.node().as_map().unwrap_or_default();
    let given: Vec<&'static dyn StepKind> =
        KINDS.iter().copied().filter(|kind| entries.iter().any(|(key, _)| key.name == kind.name())).collect();
    match given.as_slice() {
        [] => {
            let names: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
            let unknown = entries.iter().find_map(|(key, _)| {
                did_you_mean(&key.name, &names)
                    .filter(|_| !COMMON.contains(&key.name.as_str()) && !is_foreign(&key.name))
                    .map(|meant| (key, meant))
            });
            let foreign = entries.iter().map(|(key, _)| key).find(|key| is_foreign_kind(&key.name));
            // What its other keys mean may depend on the kind. Those that any step
            // may hold are told of all the same.
            map.also_known(&["with", "for"]);
            for (key, _) in entries {
                let name = key.name.as_str();
                let misspelt = did_you_mean(name, COMMON).is_some() && !COMMON.contains(&name);
                let is_kind = unknown.as_ref().is_some_and(|(of, _)| of.name == name);
                if is_kind || !(misspelt || is_foreign(name)) {
                    map.also_known(&[name]);
                }
            }
            let (place, help) = match (unknown, foreign) {
                (Some((key, meant)), _) => (key.place, format!("did you mean `{meant}`?")),
                (None, Some(key)) => {
                    let help = "say what it does: `enrich: CONNECTOR.OPERATION` reads, `call:` acts, `contain:` limits harm, `ask:` asks people";
                    (key.place, help.to_owned())
                }
                (None, None) => (field.place(), format!("add one of: {}", names.join(", "))),
            };
            let reader = field.reader();
            reader.report(
                Diagnostic::error("no-kind", reader.file(), place, "this step does not say what it does")
                    .label("no kind of step")
                    .help(help),
            );
            None
        }
        [kind] => {
            let value = map.optional(kind.name())?;
            Some((*kind, kind.check(value, map, check)))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|kind| kind.name()).collect();
            field.mistake(
                "two-kinds",
                format!("this step does several things at once: {}", names.join(", ")),
                "make a step of each",
            );
            map.also_known(&["with", "for"]);
            several.iter().for_each(|kind| map.also_known(&[kind.name()]));
            None
        }
    }
}

/// Keys that any step may hold: none of them is a misspelt kind.
const COMMON: &[&str] = &[
    "id", "when", "needs", "for_each", "at_once", "repeat", "retry", "timeout", "within", "on_error",
    "approval", "label", "note", "with", "for",
];
