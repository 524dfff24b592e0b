//! What one evaluation may spend. CEL has no cost limit of its own, so every
//! expression is rewritten (see `guard`) to pay here for each turn of a loop
//! and for each value it copies or makes, and stops when nothing is left.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::ExecutionError;
use cel::common::types::{CelString, Type};
use cel::common::value::{BuiltinRef, StaticVal, Val};

use super::LIST_ITEMS_MAX;
use crate::domain::value::VALUE_BYTES_MAX;

/// What one evaluation may spend, in units of about one byte copied. With
/// [`TURN`] this is some 130,000 turns of loops that do little each, which
/// takes under 0.1 s as released.
pub(super) const WORK_MAX: u64 = 16 * 1024 * 1024;

/// The price of one turn of a loop: a scope is entered and a variable bound.
pub(super) const TURN: u64 = 128;

/// The price of one node of a list or map: an allocation and its place.
const NODE: u64 = 16;

/// The name a budget goes by inside a rewritten expression. No author can
/// write it: `@` begins no CEL name.
pub(super) const BUDGET: &str = "@budget";

/// The function name that marks an error as a limit that was reached, so that
/// its message is shown as it is.
pub(super) const LIMIT: &str = "@limit";

static BUDGET_TYPE: Type = Type::new_unspecified_type("budget");

/// What is left to spend in one evaluation.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(AtomicU64::new(WORK_MAX))
    }

    /// Pays `price`, or fails for good: once spent, each later payment fails too.
    pub(super) fn pay(&self, price: u64) -> Result<(), ExecutionError> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(price), Ordering::Relaxed);
        if left > price {
            return Ok(());
        }
        Err(limit(
            "too much work for one expression: loops take too many turns, or too much text \
             is copied; filter a list before going through it, or split this into several steps",
        ))
    }

    /// Pays for a copy of `value`, which must not be larger than a value may be.
    pub(super) fn pay_copy(&self, value: &dyn Val) -> Result<(), ExecutionError> {
        let weight = weight(value);
        if weight > 4 * VALUE_BYTES_MAX as u64 {
            return Err(too_large());
        }
        self.pay(weight)
    }

    /// Pays for new text of `bytes`.
    pub(super) fn pay_text(&self, bytes: usize) -> Result<(), ExecutionError> {
        if bytes > VALUE_BYTES_MAX {
            return Err(too_large());
        }
        self.pay(NODE + bytes as u64)
    }

    /// Pays for a new list of `items`, whose contents take `bytes`.
    pub(super) fn pay_list(&self, items: usize, bytes: usize) -> Result<(), ExecutionError> {
        check_items(items)?;
        self.pay(items as u64 * NODE + bytes as u64)
    }
}

/// Refuses a list longer than an expression may go through or give.
pub(super) fn check_items(items: usize) -> Result<(), ExecutionError> {
    if items > LIST_ITEMS_MAX {
        return Err(limit(&format!(
            "the list has more than {LIST_ITEMS_MAX} items, the most an expression works on"
        )));
    }
    Ok(())
}

pub(super) fn limit(message: &str) -> ExecutionError {
    ExecutionError::function_error(LIMIT, message)
}

fn too_large() -> ExecutionError {
    limit(&format!("the value is too large: a value may hold {} KiB", VALUE_BYTES_MAX / 1024))
}

/// About how many bytes a copy of `value` takes.
pub(super) fn weight(value: &dyn Val) -> u64 {
    let text = |text: &CelString<'_>| NODE + text.inner().len() as u64;
    match value.as_builtin() {
        BuiltinRef::String(it) => text(it),
        BuiltinRef::Bytes(bytes) => NODE + bytes.inner().len() as u64,
        BuiltinRef::List(list) => {
            let items = list.inner().iter().map(|item| weight(item.as_ref()));
            NODE + items.sum::<u64>()
        }
        BuiltinRef::Map(map) => {
            let entries = map.inner().iter().map(|(key, item)| {
                let key = match key {
                    cel::common::types::CelMapKey::String(key) => text(key),
                    _ => NODE,
                };
                key + weight(item.as_ref())
            });
            NODE + entries.sum::<u64>()
        }
        BuiltinRef::Optional(optional) => NODE + optional.option().map_or(0, weight),
        _ => match value.as_sizer() {
            Some(sizer) => NODE * (1 + sizer.size().inner().unsigned_abs()),
            None => 1,
        },
    }
}

impl Val for Budget {
    fn get_type(&self) -> &Type {
        &BUDGET_TYPE
    }

    fn cel_type() -> &'static Type {
        &BUDGET_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(Budget(AtomicU64::new(self.0.load(Ordering::Relaxed))))
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Budget {}
