//! What an expression demands of single values, read from its tree: enough to
//! tell, without an evaluation, that it holds or that it is plainly false.
//!
//! ```text
//! alert.category in ["dlp", "uam"] && alert.severity >= 60 && size(alert.objects) > 0
//!   Equal(category, [dlp, uam])         Compare(severity, >=, 60)       Other
//! ```
//!
//! [`Truth`] has three values as CEL has: an expression that can't be decided
//! (a key is missing, text is compared to a number) is not false. What is said
//! here is what an evaluation says; where this module doesn't know, it says so
//! ([`Truth::Unknown`]), and the caller evaluates.

use std::cmp::Ordering;

use cel::common::ast::{Expr as Node, IdedExpr, LiteralValue, operators as op};

use crate::domain::value::Value;

/// What is known of a condition without evaluating it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// An evaluation gives true.
    Yes,
    /// An evaluation gives false, and no error.
    No,
    /// An evaluation has to say.
    Unknown,
}

/// What an expression demands, as far as its text tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// One value is looked at.
    Is(Atom),
    /// `&&`.
    All(Vec<Condition>),
    /// `||`.
    Any(Vec<Condition>),
    /// Something that only an evaluation can tell.
    Other,
}

/// A test of the value at one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Atom {
    /// The keys below the root, which is not among them.
    pub path: Vec<String>,
    /// What is asked of the value there.
    pub test: Test,
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is one of these: `==`, or `in [ … ]`.
    Equal(Vec<Literal>),
    /// It is not this: `!=`.
    Unequal(Literal),
    /// It lies on one side of this.
    Compare(Side, Literal),
    /// It is a list or map with this in it: `"x" in path`.
    Holds(Literal),
    /// It is text that begins so.
    Begins(String),
    /// It is text that ends so.
    Ends(String),
    /// It is text with this in it.
    Contains(String),
    /// It is itself true, or false.
    Flag(bool),
}

/// A side of a number or text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
}

/// A value that stands in the expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

/// A number with its kind, which decides how exactly it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// A whole number above those.
    UInt(u64),
    /// One with decimals.
    Double(f64),
}

impl Condition {
    /// What `root`, the value of the name whose paths were read, says.
    pub fn truth(&self, root: &Value) -> Truth {
        match self {
            Condition::Is(atom) => atom.truth(root),
            Condition::All(parts) => all(parts.iter().map(|part| part.truth(root))),
            Condition::Any(parts) => any(parts.iter().map(|part| part.truth(root))),
            Condition::Other => Truth::Unknown,
        }
    }

    /// Reads what the tree demands of paths that begin with `root`.
    pub(super) fn read(tree: &IdedExpr, root: &str) -> Condition {
        let Some((name, args)) = plain_call(tree) else {
            return atom(tree, root).map_or(Condition::Other, Condition::Is);
        };
        let parts = || args.iter().map(|part| Condition::read(part, root)).collect();
        match name {
            op::LOGICAL_AND => Condition::All(parts()),
            op::LOGICAL_OR => Condition::Any(parts()),
            _ => atom(tree, root).map_or(Condition::Other, Condition::Is),
        }
    }
}

/// One plainly false part makes `&&` false, whatever the others are.
pub fn all(parts: impl Iterator<Item = Truth>) -> Truth {
    let mut all = Truth::Yes;
    for part in parts {
        match part {
            Truth::No => return Truth::No,
            Truth::Unknown => all = Truth::Unknown,
            Truth::Yes => {}
        }
    }
    all
}

/// One true part makes `||` true, whatever the others are.
fn any(parts: impl Iterator<Item = Truth>) -> Truth {
    let mut any = Truth::No;
    for part in parts {
        match part {
            Truth::Yes => return Truth::Yes,
            Truth::Unknown => any = Truth::Unknown,
            Truth::No => {}
        }
    }
    any
}

impl Atom {
    fn truth(&self, root: &Value) -> Truth {
        // What is missing is an error to CEL, and no error is decided here.
        let Some(value) = look(root, &self.path) else { return Truth::Unknown };
        let holds = match (&self.test, value) {
            (Test::Equal(among), _) => Some(among.iter().any(|literal| literal.equals(value))),
            (Test::Unequal(literal), _) => Some(!literal.equals(value)),
            (Test::Compare(side, literal), _) => literal.compare(value).map(|order| side.admits(order)),
            (Test::Holds(literal), Value::Array(items)) => {
                Some(items.iter().any(|item| literal.equals(item)))
            }
            (Test::Holds(Literal::Text(key)), Value::Object(map)) => Some(map.contains_key(key)),
            (Test::Begins(text), Value::String(value)) => Some(value.starts_with(text.as_str())),
            (Test::Ends(text), Value::String(value)) => Some(value.ends_with(text.as_str())),
            (Test::Contains(text), Value::String(value)) => Some(value.contains(text.as_str())),
            (Test::Flag(wanted), Value::Bool(value)) => Some(wanted == value),
            _ => None,
        };
        match holds {
            Some(true) => Truth::Yes,
            Some(false) => Truth::No,
            None => Truth::Unknown,
        }
    }
}

/// The value at a path of keys, if all of them are there.
pub fn look<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, key| value.as_object()?.get(key))
}

impl Side {
    /// Whether a value that compares so to the literal lies on this side of it.
    fn admits(self, order: Ordering) -> bool {
        match self {
            Side::AtLeast => order != Ordering::Less,
            Side::Above => order == Ordering::Greater,
            Side::AtMost => order != Ordering::Greater,
            Side::Below => order == Ordering::Less,
        }
    }

    /// The same seen from the other operand.
    fn mirrored(self) -> Side {
        match self {
            Side::AtLeast => Side::AtMost,
            Side::Above => Side::Below,
            Side::AtMost => Side::AtLeast,
            Side::Below => Side::Above,
        }
    }
}

impl Literal {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Literal::Null, Value::Null) => true,
            (Literal::Bool(one), Value::Bool(other)) => one == other,
            (Literal::Text(one), Value::String(other)) => one == other,
            (Literal::Number(one), Value::Number(_)) => {
                Number::of(value).is_some_and(|other| other.compare(*one) == Some(Ordering::Equal))
            }
            _ => false,
        }
    }

    /// How `value` compares to it; nothing where CEL can't compare them.
    fn compare(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Literal::Text(one), Value::String(other)) => Some(other.as_str().cmp(one)),
            (Literal::Number(one), Value::Number(_)) => Number::of(value)?.compare(*one),
            _ => None,
        }
    }
}

impl Number {
    /// A JSON number as expressions see it.
    pub fn of(value: &Value) -> Option<Number> {
        let Value::Number(number) = value else { return None };
        let whole = number.as_i64().map(Number::Int).or_else(|| number.as_u64().map(Number::UInt));
        whole.or_else(|| number.as_f64().map(Number::Double))
    }

    /// Its size, rounded where it is above 2⁵³. Numbers that are equal to CEL
    /// are equal so; a smaller one is never larger so.
    pub fn rounded(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::UInt(number) => number as f64,
            Number::Double(number) => number,
        }
    }

    /// As CEL compares: whole numbers exactly, others as doubles.
    fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(one), Number::Int(other)) => Some(one.cmp(&other)),
            (Number::UInt(one), Number::UInt(other)) => Some(one.cmp(&other)),
            (Number::Int(one), Number::UInt(other)) => Some(i128::from(one).cmp(&i128::from(other))),
            (Number::UInt(one), Number::Int(other)) => Some(i128::from(one).cmp(&i128::from(other))),
            _ => self.rounded().partial_cmp(&other.rounded()),
        }
    }
}

/// The name and operands of an operator.
fn plain_call(tree: &IdedExpr) -> Option<(&str, &[IdedExpr])> {
    match &tree.expr {
        Node::Call(call) if call.target.is_none() => Some((&call.func_name, &call.args)),
        _ => None,
    }
}

fn atom(tree: &IdedExpr, root: &str) -> Option<Atom> {
    if let Some(path) = path(tree, root) {
        return Some(Atom { path, test: Test::Flag(true) });
    }
    let Node::Call(call) = &tree.expr else { return None };
    if let Some(target) = &call.target {
        let path = path(target, root)?;
        let [argument] = call.args.as_slice() else { return None };
        let Literal::Text(text) = literal(argument)? else { return None };
        let test = match call.func_name.as_str() {
            "startsWith" => Test::Begins(text),
            "endsWith" => Test::Ends(text),
            "contains" => Test::Contains(text),
            _ => return None,
        };
        return Some(Atom { path, test });
    }
    match (call.func_name.as_str(), call.args.as_slice()) {
        (op::LOGICAL_NOT, [inner]) => Some(Atom { path: path(inner, root)?, test: Test::Flag(false) }),
        (op::IN, [left, right]) => membership(left, right, root),
        (name, [left, right]) => {
            let (path, literal, mirrored) = match (path(left, root), path(right, root)) {
                (Some(path), None) => (path, literal(right)?, false),
                (None, Some(path)) => (path, literal(left)?, true),
                _ => return None,
            };
            let side = |side: Side| if mirrored { side.mirrored() } else { side };
            let comparable = matches!(literal, Literal::Number(_) | Literal::Text(_));
            let test = match name {
                op::EQUALS => Test::Equal(vec![literal]),
                op::NOT_EQUALS => Test::Unequal(literal),
                op::GREATER_EQUALS if comparable => Test::Compare(side(Side::AtLeast), literal),
                op::GREATER if comparable => Test::Compare(side(Side::Above), literal),
                op::LESS_EQUALS if comparable => Test::Compare(side(Side::AtMost), literal),
                op::LESS if comparable => Test::Compare(side(Side::Below), literal),
                _ => return None,
            };
            Some(Atom { path, test })
        }
        _ => None,
    }
}

/// `path in [ … ]`, or `"x" in path`.
fn membership(left: &IdedExpr, right: &IdedExpr, root: &str) -> Option<Atom> {
    if let Some(path) = path(right, root) {
        return Some(Atom { path, test: Test::Holds(literal(left)?) });
    }
    let Node::List(list) = &right.expr else { return None };
    if !list.optional_indices.is_empty() {
        return None;
    }
    let among: Option<Vec<Literal>> = list.elements.iter().map(literal).collect();
    Some(Atom { path: path(left, root)?, test: Test::Equal(among?) })
}

/// The keys of `root.a["b"].c`; what may be absent, as in `.?`, is no such path.
fn path(tree: &IdedExpr, root: &str) -> Option<Vec<String>> {
    let (mut keys, mut tree) = (Vec::new(), tree);
    loop {
        match &tree.expr {
            Node::Ident(name) if name == root && !keys.is_empty() => break,
            Node::Select(select) if !select.test => {
                keys.push(select.field.clone());
                tree = &select.operand;
            }
            Node::Call(call) if call.func_name == op::INDEX && call.target.is_none() => {
                let [operand, key] = call.args.as_slice() else { return None };
                let Literal::Text(key) = literal(key)? else { return None };
                keys.push(key);
                tree = operand;
            }
            _ => return None,
        }
    }
    keys.reverse();
    Some(keys)
}

fn literal(tree: &IdedExpr) -> Option<Literal> {
    if let Some((op::NEGATE, [inner])) = plain_call(tree) {
        return match literal(inner)? {
            Literal::Number(Number::Int(number)) => Some(Literal::Number(Number::Int(number.checked_neg()?))),
            Literal::Number(Number::Double(number)) => Some(Literal::Number(Number::Double(-number))),
            _ => None,
        };
    }
    let Node::Literal(literal) = &tree.expr else { return None };
    Some(match literal {
        LiteralValue::Null => Literal::Null,
        LiteralValue::Boolean(it) => Literal::Bool(*it.inner()),
        LiteralValue::Int(number) => Literal::Number(Number::Int(*number.inner())),
        LiteralValue::UInt(number) => Literal::Number(Number::UInt(*number.inner())),
        LiteralValue::Double(number) => Literal::Number(Number::Double(*number.inner())),
        LiteralValue::String(text) => Literal::Text(text.inner().to_owned()),
        LiteralValue::Bytes(_) => return None,
    })
}
