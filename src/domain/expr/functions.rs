//! The functions an expression can call: CEL's own, its text functions, and
//! Quell's. Those that can make much out of little, or take long, are replaced
//! by versions that pay from the evaluation's budget before they work.

use std::sync::{Arc, LazyLock};

use cel::common::functions::Function;
use cel::common::types::{CelBool, CelInt, CelList, CelString, CelTimestamp, DYN_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError, extensions};
use chrono::{DateTime, NaiveDate};

use super::budget::{Budget, TURN, check_items, limit, weight};
use super::convert::to_json;
use super::text::{index_of, join, last_index_of, matches, replace, split};

pub(super) type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
pub(super) type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// The environment every expression is parsed and evaluated in.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    extensions::strings(&mut env).expect("the text functions clash with nothing of CEL's");
    let any = |count: usize| std::iter::repeat_with(|| DYN_TYPE).take(count).collect();
    let text = || vec![STRING_TYPE];
    let plain: [(&str, usize, Function); 8] = [
        ("@turn", 1, turn),
        ("@keep", 2, keep),
        ("@weigh", 2, weigh),
        ("@glance", 2, glance),
        ("@range", 2, range),
        ("@index", 2, index),
        ("@add", 3, add),
        ("@sum", 2, sum),
    ];
    let paying: [(&str, usize, Function); 12] = [
        ("@json", 2, json),
        ("@matches", 3, matches),
        ("@replace", 4, replace),
        ("@replace", 5, replace),
        ("@join", 2, join),
        ("@join", 3, join),
        ("@split", 3, split),
        ("@split", 4, split),
        ("@indexOf", 3, index_of),
        ("@indexOf", 4, index_of),
        ("@lastIndexOf", 3, last_index_of),
        ("@lastIndexOf", 4, last_index_of),
    ];
    let mut add = |name: &str, types: Vec<Type>, function: Function| {
        let id = format!("{name}/{}", types.len());
        env.add_overload(name, &id, types, function)
            .expect("each name is declared once with as many arguments");
    };
    for (name, count, function) in plain.into_iter().chain(paying) {
        add(name, any(count), function);
    }
    add("lower", text(), lower);
    add("upper", text(), upper);
    add("trim", text(), trim);
    add("domain", text(), domain);
    add("days_between", any(2), days_between);
    Arc::new(env)
});

pub(super) fn budget<'a>(args: &'a Args<'_, '_>) -> Result<&'a Budget, ExecutionError> {
    let first = args.first().and_then(|arg| arg.downcast_ref::<Budget>());
    first.ok_or_else(|| limit("the expression was not prepared for evaluation"))
}

/// The argument at `position`, not counting the budget, as text.
pub(super) fn text<'a>(
    args: &'a Args<'_, '_>,
    function: &str,
    position: usize,
) -> Result<&'a str, ExecutionError> {
    let arg = args.get(position + 1);
    match arg.and_then(|arg| arg.downcast_ref::<CelString>()) {
        Some(text) => Ok(text.inner()),
        None => Err(mismatch(args, function)),
    }
}

pub(super) fn number(
    args: &Args<'_, '_>,
    function: &str,
    position: usize,
) -> Result<Option<i64>, ExecutionError> {
    match args.get(position + 1) {
        None => Ok(None),
        Some(arg) => match arg.downcast_ref::<CelInt>() {
            Some(number) => Ok(Some(*number.inner())),
            None => Err(mismatch(args, function)),
        },
    }
}

pub(super) fn mismatch(args: &Args<'_, '_>, function: &str) -> ExecutionError {
    let types = args.iter().skip(1);
    let types = types.map(|arg| arg.get_type().name().to_owned());
    ExecutionError::no_such_overload(function, types.collect())
}

fn last<'b, 'v>(mut args: Args<'b, 'v>) -> Answer<'b, 'v> {
    args.pop().ok_or_else(ExecutionError::missing_argument_or_target)
}

pub(super) fn owned<'b, 'v>(text: String) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelString::from(text)))
}

/// One turn of a loop.
fn turn<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    budget(&args)?.pay(TURN)?;
    Ok(CowVal::owned(CelBool::from(true)))
}

/// A value about to be copied, or one turn of a loop that gives it.
fn keep<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    budget(&args)?.pay(TURN)?;
    budget(&args)?.pay_copy(args[1].as_ref())?;
    last(args)
}

/// A value about to be gone through by an operator or a function in a loop.
fn weigh<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    budget(&args)?.pay(weight(args[1].as_ref()))?;
    last(args)
}

/// A list or map about to be searched in a loop: a list is gone through.
fn glance<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let items = args[1].downcast_ref::<CelList>();
    budget(&args)?.pay(TURN + 16 * items.map_or(0, |list| list.inner().len() as u64))?;
    last(args)
}

/// What a loop is about to go through: each item is copied once.
fn range<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    if let Some(sizer) = args[1].as_sizer() {
        check_items(usize::try_from(*sizer.size().inner()).unwrap_or(usize::MAX))?;
    }
    budget(&args)?.pay(weight(args[1].as_ref()))?;
    last(args)
}

/// An index: CEL copies the whole list into its error for one that is no
/// whole number.
fn index<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let double = args[1].downcast_ref::<cel::common::types::CelDouble>();
    if double.is_some_and(|number| number.inner().fract() != 0.0) {
        return Err(limit("a position in a list must be a whole number"));
    }
    last(args)
}

fn add<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let sum = add_two(budget(&args)?, args[1].as_ref(), args[2].as_ref())?;
    Ok(CowVal::Owned(sum))
}

/// A chain of `+`, given as a list so that a long one needs no deep stack.
fn sum<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let list = args[1].downcast_ref::<CelList>();
    let items = list.map(CelList::inner).unwrap_or_default();
    let Some((first, rest)) = items.split_first() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let mut total = first.clone();
    for item in rest {
        total = add_two(budget(&args)?, total.as_ref(), item.as_ref())?;
    }
    Ok(CowVal::Owned(total))
}

fn add_two<'v>(
    budget: &Budget,
    left: &(dyn Val + 'v),
    right: &(dyn Val + 'v),
) -> Result<Box<dyn Val + 'v>, ExecutionError> {
    let list = |value: &dyn Val| value.downcast_ref::<CelList>().map(|list| list.inner().len());
    let text = |value: &dyn Val| value.downcast_ref::<CelString>().map(|text| text.inner().len());
    let fits = match (list(left), list(right)) {
        (Some(a), Some(b)) => {
            check_items(a + b)?;
            true
        }
        (None, None) => true,
        _ => false,
    };
    let Some(adder) = left.as_adder().filter(|_| fits) else {
        let types = [left, right].map(|value| value.get_type().name().to_owned());
        return Err(ExecutionError::no_such_overload("_+_", types.to_vec()));
    };
    match (text(left), text(right)) {
        (Some(a), Some(b)) => budget.pay_text(a + b)?,
        _ => {
            budget.pay_copy(left)?;
            budget.pay_copy(right)?;
        }
    }
    Ok(adder.add(right)?.into_owned())
}

fn json<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    budget(&args)?.pay_copy(args[1].as_ref())?;
    let value =
        to_json(args[1].as_ref()).map_err(|message| ExecutionError::function_error("json", message))?;
    let text = value.to_string();
    budget(&args)?.pay_text(text.len())?;
    owned(text)
}

fn changed<'b, 'v>(args: Args<'b, 'v>, function: &str, change: impl Fn(&str) -> String) -> Answer<'b, 'v> {
    match args.first().and_then(|arg| arg.downcast_ref::<CelString>()) {
        Some(text) => owned(change(text.inner())),
        None => Err(ExecutionError::no_such_overload(function, Vec::new())),
    }
}

fn lower<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    changed(args, "lower", str::to_lowercase)
}

fn upper<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    changed(args, "upper", str::to_uppercase)
}

fn trim<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    changed(args, "trim", |text| text.trim().to_owned())
}

fn domain<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    changed(args, "domain", |text| match text.rsplit_once('@') {
        Some((_, domain)) => domain.to_lowercase(),
        None => String::new(),
    })
}

fn days_between<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let [from, to] = [&args[0], &args[1]].map(|arg| moment(arg.as_ref()));
    let (from, to) = (from?, to?);
    Ok(CowVal::owned(CelInt::from((to - from).num_days())))
}

/// A moment from a timestamp, an RFC 3339 text, or a date, which begins at
/// midnight UTC.
fn moment(value: &dyn Val) -> Result<chrono::NaiveDateTime, ExecutionError> {
    if let Some(timestamp) = value.downcast_ref::<CelTimestamp>() {
        return Ok(timestamp.inner().naive_utc());
    }
    let text = value.downcast_ref::<CelString>().map(CelString::inner);
    let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let moment = text.and_then(|text| match DateTime::parse_from_rfc3339(text) {
        Ok(moment) => Some(moment.naive_utc()),
        Err(_) => Some(date(text)?.and_time(chrono::NaiveTime::MIN)),
    });
    moment.ok_or_else(|| {
        let given = match text {
            Some(text) => format!("`{}`", crate::domain::value::truncate_text(text, 40)),
            None => super::explain::type_words(value.get_type().name()).to_owned(),
        };
        ExecutionError::function_error(
            "days_between",
            format!("{given} is no time: give a date like 2026-01-31, or a time like 2026-01-31T09:00:00Z"),
        )
    })
}
