//! Expressions: what a playbook decides and computes with, in CEL.
//!
//! An [`Expr`] is parsed once, checked and rewritten so that no evaluation can
//! take long or grow large, and evaluated against a [`scope::Scope`].
//! [`template::Template`] puts expressions into the texts of a YAML value.
//!
//! What is bounded:
//! - the source ([`SOURCE_BYTES_MAX`]), how deep it nests ([`DEPTH_MAX`], long
//!   chains of `+`, `&&` and `||` excepted) and how deep its loops nest
//!   ([`LOOPS_MAX`]), when parsed;
//! - all turns of loops and all bytes copied, together ([`budget::WORK_MAX`]),
//!   each list gone through or given ([`LIST_ITEMS_MAX`]), each text and each
//!   result ([`VALUE_BYTES_MAX`]), when evaluated.
//!
//! Parsing and evaluating descend once per level. What is long or nests deep is
//! parsed and evaluated on a stack of its own, so that no expression can
//! overflow the caller's.
//!
//! What is not bounded: outside loops an operator or function may go through
//! the values it is given once without paying, so a scope of large values costs
//! time in proportion to their size times the length of the source. What a
//! pattern given to `matches` costs is estimated from its text.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::common::value::CowVal;
use cel::{Context, ParseErrors, Value as CelValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::budget::Budget;
use self::functions::ENV;
use self::scope::{Frame, Scope};
use self::stack::{PANICKED, is_plain, on_deep_stack};
use super::value::{Value, shorten, truncate_text};

mod budget;
pub mod condition;
pub mod conjunct;
mod convert;
mod explain;
mod functions;
mod guard;
#[cfg(test)]
mod limit_tests;
mod names;
pub mod scope;
mod stack;
pub mod template;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
mod text;

/// The most bytes of one expression: about sixty lines, more than a reader
/// follows, and a bound on all that parsing costs.
pub const SOURCE_BYTES_MAX: usize = 4096;

/// How deep an expression may nest. Evaluation descends once per level, which
/// takes up to 90 KiB of stack unoptimized and 6 KiB as released.
pub const DEPTH_MAX: usize = 100;

/// How deep an expression may nest and still be evaluated on the caller's
/// stack: it takes at most some 1 MiB unoptimized, 80 KiB as released.
const SHALLOW_MAX: usize = 12;

/// How deep loops (`map`, `filter`, `all`, `exists`, `exists_one`) may nest.
/// A list of lists needs two; three are rarely understood.
pub const LOOPS_MAX: usize = 2;

/// The most items of a list that an expression goes through or gives.
pub const LIST_ITEMS_MAX: usize = 10_000;

/// The longest piece of an expression or value that a message shows, in bytes.
const SHOWN_BYTES: usize = 200;

/// A mistake in the text of an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// What is wrong, and what to write instead where that is known.
    pub message: String,
    /// The bytes of the source it is about; the whole when it is about no
    /// place in particular.
    pub range: Range<usize>,
}

/// An expression that could not be worked out on the values it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {message}", truncate_text(.expression, SHOWN_BYTES))]
pub struct EvalError {
    /// The text of the expression.
    pub expression: String,
    /// What failed, with the values involved shortened.
    pub message: String,
}

/// What an expression names, as far as its text tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// The paths of the free variables, sorted: `steps.person.end_date` is
    /// `["steps", "person", "end_date"]`. Paths asked for with `has(…)` or
    /// `.?` are among them. What is computed, as in `steps[name]`, ends a path.
    pub paths: Vec<Vec<String>>,
    /// The functions called, sorted; operators and loops are not among them.
    pub functions: Vec<String>,
}

/// A checked expression; cloning it is cheap.
#[derive(Clone)]
pub struct Expr(Arc<Compiled>);

struct Compiled {
    source: String,
    tree: IdedExpr,
    depth: usize,
    references: References,
}

impl Expr {
    /// Parses and checks an expression. An unknown function is a mistake;
    /// whether its variables exist depends on the scope, see
    /// [`Expr::references`].
    ///
    /// # Errors
    ///
    /// The first mistake in `source`, or a limit it exceeds.
    pub fn parse(source: &str) -> Result<Expr, ExprError> {
        let fail = |message: String, range| Err(ExprError { message, range });
        if source.trim().is_empty() {
            return fail("the expression is empty".to_owned(), 0..source.len());
        }
        if source.len() > SOURCE_BYTES_MAX {
            let message = format!(
                "the expression is {} bytes long, and at most {SOURCE_BYTES_MAX} are allowed; \
                 split it into named values with a `set` step",
                source.len()
            );
            return fail(message, 0..source.len());
        }
        // A thread costs thirty times what parsing a short text does.
        let read = if is_plain(source) {
            catch_unwind(|| read(source)).map_err(|_| PANICKED.to_owned())
        } else {
            on_deep_stack(|| read(source))
        };
        read.unwrap_or_else(|message| fail(message, 0..source.len()))
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The names it uses.
    pub fn references(&self) -> &References {
        &self.0.references
    }

    /// Its value in `scope`: whole numbers stay whole, times become RFC 3339
    /// text, durations text like `5400s`, and a present optional value its
    /// content.
    ///
    /// # Errors
    ///
    /// When a name or key is missing, a value is of the wrong kind, a limit
    /// is reached, or the result is nothing JSON holds (bytes, an absent
    /// optional value).
    pub fn eval(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        self.resolve(scope, |value| convert::to_json(value.as_ref()))
    }

    /// Its value in `scope`, which must be true or false.
    ///
    /// # Errors
    ///
    /// As [`Expr::eval`], and for any other value: nothing counts as true
    /// but `true`.
    pub fn eval_bool(&self, scope: &Scope<'_>) -> Result<bool, EvalError> {
        match self.eval(scope)? {
            Value::Bool(it) => Ok(it),
            other => Err(self.failed(format!(
                "the result must be true or false, and is {}",
                truncate_text(&other.to_string(), SHOWN_BYTES)
            ))),
        }
    }

    /// Each path it names with the value there, shortened; nothing for a path
    /// that leads nowhere in `scope`.
    pub fn trace(&self, scope: &Scope<'_>) -> Vec<(String, Option<Value>)> {
        let paths = self.0.references.paths.iter();
        paths
            .map(|path| {
                let value = scope.value_at(path);
                (path.join("."), value.map(|value| shorten(&value, SHOWN_BYTES, 10)))
            })
            .collect()
    }

    fn resolve<T: Send>(
        &self,
        scope: &Scope<'_>,
        finish: impl FnOnce(CowVal<'_, '_>) -> Result<T, String> + Send,
    ) -> Result<T, EvalError> {
        let work = || self.resolve_here(scope, finish);
        let outcome = if self.0.depth > SHALLOW_MAX {
            on_deep_stack(work)
        } else {
            // CEL is not ours, and works on values anybody may have sent.
            catch_unwind(AssertUnwindSafe(work)).map_err(|_| PANICKED.to_owned())
        };
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(message)) | Err(message) => Err(self.failed(message)),
        }
    }

    fn resolve_here<T>(
        &self,
        scope: &Scope<'_>,
        finish: impl FnOnce(CowVal<'_, '_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let frame = Frame { scope, budget: Budget::new() };
        let mut context = Context::with_env(ENV.clone());
        context.set_variable_resolver(&frame);
        match CelValue::resolve_val(&self.0.tree, &context) {
            Ok(value) => finish(value),
            Err(_) if scope.is_unexplained() => Err("it failed".to_owned()),
            Err(error) => Err(explain::explain(&error, self, scope)),
        }
    }

    fn failed(&self, message: String) -> EvalError {
        EvalError { expression: self.0.source.clone(), message }
    }
}

/// Parses, checks and rewrites a text whose length was checked.
fn read(source: &str) -> Result<Expr, ExprError> {
    let parsed = ENV.parser().parse(source);
    let mut tree = parsed.map_err(|errors| syntax_error(source, &errors))?;
    match guard::guard(&mut tree) {
        Ok((references, depth)) => {
            let source = source.to_owned();
            Ok(Expr(Arc::new(Compiled { source, tree, depth, references })))
        }
        Err(mistake) => {
            let word = mistake.word.and_then(|word| find_word(source, &word));
            let range = word.unwrap_or(0..source.len());
            Err(ExprError { message: mistake.message, range })
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({:?})", self.0.source)
    }
}

impl PartialEq for Expr {
    /// Two expressions are equal when their texts are.
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Expr {}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.source)
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Expr::parse(&source).map_err(serde::de::Error::custom)
    }
}

/// The first place where `word` stands by itself in `source`.
fn find_word(source: &str, word: &str) -> Option<Range<usize>> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(word).find_map(|(start, _)| {
        let end = start + word.len();
        let free = !source[..start].ends_with(in_name) && !source[end..].starts_with(in_name);
        free.then_some(start..end)
    })
}

/// The first error of the parser, in an author's words.
fn syntax_error(source: &str, errors: &ParseErrors) -> ExprError {
    let whole = 0..source.len();
    let Some(error) = errors.errors.first() else {
        return ExprError { message: "the expression can't be read".to_owned(), range: whole };
    };
    let start = byte_at(source, error.pos);
    let rest = start.map_or("", |start| &source[start..]);
    let word_len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let word_len = word_len.max(rest.chars().next().map_or(0, char::len_utf8));
    let range = start.map_or(whole, |start| start..start + word_len);
    let word = &rest[..word_len];
    let message = match word {
        "" => "the expression ends too early".to_owned(),
        "and" => "write && for \"and\"".to_owned(),
        "or" => "write || for \"or\"".to_owned(),
        "not" => "write ! for \"not\"".to_owned(),
        "=" => "write == to compare".to_owned(),
        "&" | "|" => format!("write {word}{word}"),
        "\"" | "'" => "this text has no closing quote".to_owned(),
        "`" => "quote text with \" or '".to_owned(),
        _ if error.msg.starts_with("Syntax error") || error.msg == "UNKNOWN" => {
            format!("`{word}` is not expected here")
        }
        _ => truncate_text(&error.msg, SHOWN_BYTES).into_owned(),
    };
    ExprError { message, range }
}

/// The byte at a line and column, both counted from one, the column in characters.
fn byte_at(source: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.saturating_sub(1);
    let lines = source.split_inclusive('\n');
    let start: usize = lines.clone().take(line).map(str::len).sum();
    let text = lines.clone().nth(line).unwrap_or("");
    let offset = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(column);
    Some(start + offset.unwrap_or(text.len()))
}
