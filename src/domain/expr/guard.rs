//! Reads a parsed expression once: refuses what an expression may not say,
//! collects the names it uses, and rewrites it so that evaluation pays for its
//! work. CEL itself bounds neither.
//!
//! ```text
//! a + b                   @add(@budget, a, b)
//! a + b + c               @sum(@budget, [a, b, c])     no deep stack for a long chain
//! [a, 1]  a.?b            [@keep(@budget, a), 1]  @keep(@budget, a.?b)
//! list.map(x, f)          @range(@budget, list).map(x, @keep(@budget, f))
//! list.all(x, f)          the same, with @turn(@budget) before each turn
//! f(x) inside a loop      f(@weigh(@budget, x))
//! text.replace(a, b)      @replace(@budget, text, a, b)
//! ```

use std::collections::BTreeSet;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Node, IdedExpr, ListExpr, LiteralValue, operators as op,
};

use super::budget::BUDGET;
use super::names::{Mistake, PAYING, function_name};
use super::{DEPTH_MAX, LOOPS_MAX, References};

/// Names that are types when nothing else has the name.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
    "optional_type",
    "google",
];

/// Operators, which hold no place in the tables of functions.
const OPERATORS: &[&str] = &[
    op::CONDITIONAL,
    op::LOGICAL_AND,
    op::LOGICAL_OR,
    op::LOGICAL_NOT,
    op::SUBSTRACT,
    op::ADD,
    op::MULTIPLY,
    op::DIVIDE,
    op::MODULO,
    op::EQUALS,
    op::NOT_EQUALS,
    op::GREATER_EQUALS,
    op::LESS_EQUALS,
    op::GREATER,
    op::LESS,
    op::NEGATE,
    op::INDEX,
    op::OPT_INDEX,
    op::OPT_SELECT,
    op::NOT_STRICTLY_FALSE,
    op::IN,
];

/// Checks `expr`, rewrites it in place and gives what it names and how deep it
/// nests.
pub(super) fn guard(expr: &mut IdedExpr) -> Result<(References, usize), Mistake> {
    let mut guard = Guard::default();
    guard.walk(expr, 0, false)?;
    let references = References {
        paths: guard.paths.into_iter().collect(),
        functions: guard.functions.into_iter().collect(),
    };
    Ok((references, guard.depth))
}

#[derive(Default)]
struct Guard {
    paths: BTreeSet<Vec<String>>,
    functions: BTreeSet<String>,
    /// The variables of the loops around this place.
    bound: Vec<String>,
    /// How many loops are around this place.
    loops: usize,
    /// The deepest level so far.
    depth: usize,
}

impl Guard {
    /// `named` says that this node is part of a path already collected.
    fn walk(&mut self, expr: &mut IdedExpr, depth: usize, named: bool) -> Result<(), Mistake> {
        if depth > DEPTH_MAX {
            return Err(Mistake::new(format!(
                "the expression nests deeper than {DEPTH_MAX} levels; split it into named values \
                 with a `set` step"
            )));
        }
        self.depth = self.depth.max(depth);
        let path = path_of(expr);
        if let (Some(path), false) = (&path, named) {
            self.collect(path);
        }
        let named = path.is_some();
        match &mut expr.expr {
            Node::Literal(_) => {}
            Node::Ident(name) => {
                if name.starts_with('.') {
                    return Err(Mistake::at(name, "a name can't begin with a dot"));
                }
            }
            Node::Select(select) => self.walk(&mut select.operand, depth + 1, named)?,
            Node::List(list) => {
                for item in &mut list.elements {
                    self.kept(item, depth + 1)?;
                }
            }
            Node::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.kept(&mut entry.key, depth + 1)?;
                            self.kept(&mut entry.value, depth + 1)?;
                        }
                        EntryExpr::StructField(field) => {
                            return Err(Mistake::at(&field.field, "this is no map"));
                        }
                    }
                }
            }
            Node::Struct(it) => {
                let message = "no types can be made here; write a map as {\"key\": value}";
                return Err(Mistake::at(&it.type_name, message));
            }
            Node::Unspecified => return Err(Mistake::new("a part of the expression is empty")),
            Node::Comprehension(it) => self.comprehension(it, depth + 1)?,
            Node::Call(_) => self.call(expr, depth, named)?,
        }
        Ok(())
    }

    fn collect(&mut self, path: &[String]) {
        let Some(root) = path.first() else { return };
        let is_type = TYPES.contains(&root.as_str());
        if !self.bound.contains(root) && !is_type && !root.starts_with(['@', '#']) {
            self.paths.insert(path.to_vec());
        }
    }

    /// A part that is copied into a list or map.
    fn kept(&mut self, expr: &mut IdedExpr, depth: usize) -> Result<(), Mistake> {
        self.walk(expr, depth, false)?;
        if !matches!(expr.expr, Node::Literal(_)) {
            pay("@keep", expr);
        }
        Ok(())
    }

    fn comprehension(&mut self, it: &mut ComprehensionExpr, depth: usize) -> Result<(), Mistake> {
        let binds = matches!(it.loop_cond.expr, Node::Literal(LiteralValue::Boolean(ref b)) if !*b.inner());
        if binds {
            // `optMap`: a name for a value, no loop.
            self.kept(&mut it.accu_init, depth)?;
            self.bound.push(it.accu_var.clone());
            let walked = self.walk(&mut it.result, depth, false);
            self.bound.pop();
            return walked;
        }
        self.walk(&mut it.iter_range, depth, false)?;
        pay("@range", &mut it.iter_range);
        if self.loops == LOOPS_MAX {
            return Err(Mistake::at(
                &it.iter_var,
                format!(
                    "loops (map, filter, all, exists) nest at most {LOOPS_MAX} deep; \
                     compute the inner part in a `set` step first"
                ),
            ));
        }
        self.loops += 1;
        self.bound.extend([it.iter_var.clone(), it.accu_var.clone()]);
        self.bound.extend(it.iter_var2.clone());
        let walked = self.turns(it, depth);
        self.loops -= 1;
        let around = self.bound.len() - 2 - usize::from(it.iter_var2.is_some());
        self.bound.truncate(around);
        walked
    }

    /// What each turn of a loop does. A loop that only appends must keep its
    /// shape, by which CEL knows that it need not copy the list at each turn.
    fn turns(&mut self, it: &mut ComprehensionExpr, depth: usize) -> Result<(), Mistake> {
        let appends = matches!(&it.result.expr, Node::Ident(name) if *name == it.accu_var);
        if !appends || !matches!(it.loop_cond.expr, Node::Literal(_)) {
            let condition = std::mem::take(&mut it.loop_cond);
            let stop = node(Node::Literal(LiteralValue::Boolean(false.into())));
            let turn = call("@turn", vec![budget()]);
            it.loop_cond = call(op::CONDITIONAL, vec![turn, condition, stop]);
            return self.walk(&mut it.loop_step, depth, false);
        }
        let Node::Call(step) = &mut it.loop_step.expr else {
            return Err(Mistake::new("this kind of loop is not known"));
        };
        let append = if step.func_name == op::CONDITIONAL {
            let [guard, append, _] = step.args.as_mut_slice() else {
                return Err(Mistake::new("this kind of loop is not known"));
            };
            self.walk(guard, depth, false)?;
            pay("@keep", guard);
            append
        } else {
            &mut it.loop_step
        };
        let Node::Call(CallExpr { args, .. }) = &mut append.expr else {
            return Err(Mistake::new("this kind of loop is not known"));
        };
        let Some(IdedExpr { expr: Node::List(list), .. }) = args.last_mut() else {
            return Err(Mistake::new("this kind of loop is not known"));
        };
        for item in &mut list.elements {
            self.walk(item, depth, false)?;
            pay("@keep", item);
        }
        Ok(())
    }

    fn call(&mut self, expr: &mut IdedExpr, depth: usize, named: bool) -> Result<(), Mistake> {
        let Node::Call(it) = &mut expr.expr else {
            return Ok(());
        };
        if it.func_name == op::ADD && it.target.is_none() {
            return self.plus(expr, depth);
        }
        if OPERATORS.contains(&it.func_name.as_str()) && it.target.is_none() {
            self.operator(it, depth, named)?;
            if [op::OPT_SELECT, op::OPT_INDEX].contains(&it.func_name.as_str()) {
                pay("@keep", expr);
            }
            return Ok(());
        }
        if it.func_name.starts_with('@') {
            return Err(Mistake::new("a part of the expression is not known"));
        }
        let name = function_name(it)?;
        let qualified = name != it.func_name;
        self.functions.insert(name);
        let target = it.target.as_deref_mut().filter(|_| !qualified);
        for part in target.into_iter().chain(&mut it.args) {
            self.walk(part, depth + 1, false)?;
            if self.loops > 0 && !matches!(part.expr, Node::Literal(_)) {
                pay("@weigh", part);
            }
        }
        if PAYING.contains(&it.func_name.as_str()) {
            it.func_name.insert(0, '@');
            let target = it.target.take().map(|target| *target);
            it.args.splice(0..0, [budget()].into_iter().chain(target));
        }
        Ok(())
    }

    fn operator(&mut self, it: &mut CallExpr, depth: usize, named: bool) -> Result<(), Mistake> {
        for (position, part) in it.args.iter_mut().enumerate() {
            self.walk(part, depth + 1, named && position == 0)?;
        }
        let literal = |part: &IdedExpr| matches!(part.expr, Node::Literal(_));
        match (it.func_name.as_str(), it.args.as_mut_slice()) {
            (op::INDEX | op::OPT_INDEX, [_, index]) if !literal(index) || is_double(index) => {
                pay("@index", index);
            }
            (op::IN, [_, container]) if self.loops > 0 => pay("@glance", container),
            (
                op::EQUALS | op::NOT_EQUALS | op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS,
                [left, right],
            ) if self.loops > 0 && !literal(left) && !literal(right) => pay("@weigh", left),
            (op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO | op::NEGATE, parts)
                if self.loops > 0 =>
            {
                parts.iter_mut().filter(|part| !literal(part)).for_each(|part| pay("@weigh", part));
            }
            _ => {}
        }
        Ok(())
    }

    /// A chain of `+` as one call, however long it is.
    fn plus(&mut self, expr: &mut IdedExpr, depth: usize) -> Result<(), Mistake> {
        let mut parts = Vec::new();
        let mut rest = std::mem::take(expr);
        loop {
            match rest.expr {
                Node::Call(mut it) if it.func_name == op::ADD && it.args.len() == 2 => {
                    parts.extend(it.args.pop());
                    rest = it.args.pop().unwrap_or_default();
                }
                _ => break,
            }
        }
        parts.push(rest);
        parts.reverse();
        for part in &mut parts {
            self.walk(part, depth + 1, false)?;
        }
        let counts = parts.iter().any(is_number);
        if counts && parts.len() == 2 && self.loops > 0 {
            // CEL copies the values into its error when they don't fit.
            let weighed = parts.iter_mut().filter(|part| !is_number(part));
            weighed.for_each(|part| pay("@weigh", part));
        }
        *expr = match parts.len() {
            // Nothing grows where a number is added.
            2 if counts => call(op::ADD, parts),
            2 => call("@add", [budget()].into_iter().chain(parts).collect()),
            _ => {
                let copied = parts.iter_mut().filter(|part| !matches!(part.expr, Node::Literal(_)));
                copied.for_each(|part| pay("@keep", part));
                let parts = node(Node::List(ListExpr::new(parts)));
                call("@sum", vec![budget(), parts])
            }
        };
        Ok(())
    }
}

fn node(expr: Node) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Node::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
}

fn budget() -> IdedExpr {
    node(Node::Ident(BUDGET.to_owned()))
}

/// Puts `function(@budget, …)` around `expr`.
fn pay(function: &str, expr: &mut IdedExpr) {
    let inner = std::mem::take(expr);
    *expr = call(function, vec![budget(), inner]);
}

fn is_number(expr: &IdedExpr) -> bool {
    use LiteralValue::{Double, Int, UInt};
    matches!(expr.expr, Node::Literal(Int(_) | UInt(_) | Double(_)))
}

fn is_double(expr: &IdedExpr) -> bool {
    matches!(expr.expr, Node::Literal(LiteralValue::Double(_)))
}

/// The path an expression spells: `a.b`, `a.?b`, `a["b"]`, `has(a.b)`.
fn path_of(expr: &IdedExpr) -> Option<Vec<String>> {
    let mut path = Vec::new();
    let mut expr = expr;
    loop {
        match &expr.expr {
            Node::Ident(name) => path.push(name.clone()),
            Node::Select(select) => {
                path.push(select.field.clone());
                expr = &select.operand;
                continue;
            }
            Node::Call(it) if [op::INDEX, op::OPT_INDEX, op::OPT_SELECT].contains(&it.func_name.as_str()) => {
                let [operand, key] = it.args.as_slice() else {
                    return None;
                };
                let Node::Literal(LiteralValue::String(key)) = &key.expr else {
                    return None;
                };
                path.push(key.inner().to_owned());
                expr = operand;
                continue;
            }
            _ => return None,
        }
        path.reverse();
        return Some(path);
    }
}
