//! What an expression can name: the roots of one evaluation.
//!
//! ```text
//! alert ──── a JSON value, converted when a map or list of it is first needed
//! inputs ─── a Root, converted once and shared by every evaluation of a run
//! steps ──── a map put together from one Root per step
//! ```

use std::any::Any;
use std::sync::{Arc, OnceLock};

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator as ValIterator, Sizer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelMap, CelMapKey, CelNull, CelString, CelUInt, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;

use super::budget::{BUDGET, Budget};
use super::convert::{from_json, to_json};
use crate::domain::value::Value;

/// A value already converted for evaluation; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Root(Arc<Box<dyn Val>>);

impl From<&Value> for Root {
    fn from(value: &Value) -> Self {
        Root(Arc::new(from_json(value)))
    }
}

impl Root {
    fn val(&self) -> &(dyn Val + 'static) {
        self.0.as_ref().as_ref()
    }
}

/// The root names of one evaluation, with their values. A name given twice
/// means what it was given last.
#[derive(Clone, Debug, Default)]
pub struct Scope<'a> {
    roots: Vec<(&'a str, Source<'a>)>,
    unexplained: bool,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    Json(&'a Value, OnceLock<Root>),
    Root(Root),
    Parts(Parts),
}

impl<'a> Scope<'a> {
    /// A scope in which nothing has a name.
    pub fn new() -> Self {
        Scope::default()
    }

    /// This scope, for evaluations of which nobody reads why they failed: a missing
    /// key is then not looked for among those that are there.
    #[must_use]
    pub fn unexplained(self) -> Self {
        Scope { unexplained: true, ..self }
    }

    pub(super) fn is_unexplained(&self) -> bool {
        self.unexplained
    }

    /// Adds a root, converted if and when an expression needs more of it than
    /// single texts and numbers.
    #[must_use]
    pub fn with(self, name: &'a str, value: &'a Value) -> Self {
        self.add(name, Source::Json(value, OnceLock::new()))
    }

    /// Adds a root that was converted before.
    #[must_use]
    pub fn with_root(self, name: &'a str, root: &Root) -> Self {
        self.add(name, Source::Root(root.clone()))
    }

    /// Adds a root computed for this evaluation alone, such as `now` or `index`.
    #[must_use]
    pub fn with_value(self, name: &'a str, value: &Value) -> Self {
        self.add(name, Source::Root(Root::from(value)))
    }

    /// Adds a map put together from roots converted before, such as `steps`.
    #[must_use]
    pub fn with_map<'r>(self, name: &'a str, entries: impl IntoIterator<Item = (&'r str, &'r Root)>) -> Self {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, root)| (CelString::from(key.to_owned()), root.clone()));
        self.add(name, Source::Parts(Parts(entries.collect())))
    }

    fn add(mut self, name: &'a str, source: Source<'a>) -> Self {
        self.roots.push((name, source));
        self
    }

    /// The names of the roots, in the order they were added.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.roots.iter().map(|(name, _)| *name)
    }

    fn source(&self, name: &str) -> Option<&Source<'a>> {
        let mut latest = self.roots.iter().rev();
        latest.find(|(root, _)| *root == name).map(|(_, source)| source)
    }

    pub(super) fn root(&self, name: &str) -> Option<&(dyn Val + 'static)> {
        Some(match self.source(name)? {
            Source::Json(value, root) => root.get_or_init(|| Root::from(*value)).val(),
            Source::Root(root) => root.val(),
            Source::Parts(parts) => parts,
        })
    }

    /// The value at `path`, or how many of its parts could be followed.
    pub(super) fn look<'b>(&'b self, path: &[String]) -> Result<CowVal<'b, 'b>, usize> {
        let (first, keys) = path.split_first().ok_or(0_usize)?;
        let mut value = CowVal::Borrowed(self.root(first).ok_or(0_usize)? as &(dyn Val + 'b));
        for (position, key) in keys.iter().enumerate() {
            let key = CelString::from(key.clone());
            // What is borrowed from the scope stays so; only a wrapper made on
            // the way would be owned, and none is.
            let CowVal::Borrowed(held) = value else {
                return Err(position + 1);
            };
            let indexer = held.as_indexer().ok_or(position + 1)?;
            value = indexer.get(&key).map_err(|_| position + 1)?;
        }
        Ok(value)
    }

    /// The value at `path` as JSON, unless there is none or JSON can't hold it.
    pub(super) fn value_at(&self, path: &[String]) -> Option<Value> {
        to_json(self.look(path).ok()?.as_ref()).ok()
    }

    /// The value of a dotted name if it costs nothing to give: text and
    /// numbers straight from JSON, or one part of a map of roots.
    fn shortcut<'b>(&'b self, root: &str, rest: &str) -> Option<CowVal<'b, 'b>> {
        match self.source(root)? {
            Source::Json(value, converted) if converted.get().is_none() => {
                let mut path = rest.split('.');
                let value = path.try_fold(*value, |value, key| value.as_object()?.get(key));
                scalar(value?)
            }
            Source::Parts(parts) => parts.find(rest).map(CowVal::Borrowed),
            _ => None,
        }
    }
}

fn scalar<'b>(value: &'b Value) -> Option<CowVal<'b, 'b>> {
    Some(match value {
        Value::Null => CowVal::owned(CelNull),
        Value::Bool(it) => CowVal::owned(CelBool::from(*it)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => CowVal::owned(CelInt::from(number)),
            (None, Some(number)) => CowVal::owned(CelUInt::from(number)),
            (None, None) => CowVal::owned(CelDouble::from(number.as_f64()?)),
        },
        Value::String(text) => CowVal::owned(CelString::from(text.as_str())),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// A scope in use by one evaluation, with what that may spend.
pub(super) struct Frame<'s> {
    pub(super) scope: &'s Scope<'s>,
    pub(super) budget: Budget,
}

impl VariableResolver for Frame<'_> {
    /// CEL asks for the longest dotted name first: `alert.user.email`, then
    /// `alert.user`, then `alert`.
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if name == BUDGET {
            return Some(CowVal::Borrowed(&self.budget));
        }
        match name.split_once('.') {
            Some((root, rest)) => self.scope.shortcut(root, rest),
            None => self.scope.root(name).map(|root| CowVal::Borrowed(root as &(dyn Val + 'b))),
        }
    }
}

/// A map whose values are roots, so that it is put together without a copy.
#[derive(Clone, Debug)]
struct Parts(Vec<(CelString<'static>, Root)>);

impl Parts {
    fn find(&self, key: &str) -> Option<&(dyn Val + 'static)> {
        let mut latest = self.0.iter().rev();
        latest.find(|(name, _)| name.inner() == key).map(|(_, root)| root.val())
    }

    fn find_val(&self, key: &dyn Val) -> Result<&(dyn Val + 'static), ExecutionError> {
        let Some(text) = key.downcast_ref::<CelString>() else {
            return Err(ExecutionError::no_such_key("(not text)"));
        };
        let found = self.find(text.inner());
        found.ok_or_else(|| ExecutionError::no_such_key(text.inner()))
    }

    fn copied(&self) -> CelMap<'static> {
        let entries = self.0.iter();
        let entries =
            entries.map(|(key, root)| (CelMapKey::String(key.clone()), root.val().clone_as_boxed()));
        CelMap::from(entries.collect::<std::collections::HashMap<_, _>>())
    }
}

impl Val for Parts {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        match other.downcast_ref::<Parts>() {
            Some(other) => self.copied().equals(&other.copied()),
            None => self.copied().equals(other),
        }
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Parts {}

impl Container for Parts {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find_val(key).is_ok())
    }
}

impl Indexer for Parts {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.find_val(key).map(|value| CowVal::Borrowed(value as &(dyn Val + 'v)))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.find_val(key).map(|value| value.clone_as_boxed())
    }
}

impl Iterable for Parts {
    fn iter<'b, 'v>(&'b self) -> Box<dyn ValIterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(PartNames(self.0.iter()))
    }
}

struct PartNames<'b>(std::slice::Iter<'b, (CelString<'static>, Root)>);

impl<'b, 'v> ValIterator<'b, 'v> for PartNames<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|(name, _)| name as &(dyn Val + 'v))
    }
}

impl Sizer for Parts {
    fn size(&self) -> CelInt {
        CelInt::from(self.0.len() as i64)
    }
}
