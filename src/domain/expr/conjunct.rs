//! The parts of an expression that must all hold, each to be shown and
//! evaluated alone: what people are told when an expression did not hold.

use cel::common::ast::{Expr as Node, IdedExpr, operators as op};

use super::Expr;
use super::condition::Condition;
use super::template::after_literal;

/// One part of an expression that must hold.
#[derive(Debug, Clone)]
pub struct Conjunct {
    /// The part alone.
    pub expr: Expr,
    /// What it demands, as far as its text tells.
    pub condition: Condition,
}

impl Expr {
    /// The parts joined by `&&` outside of everything else, in their order; the
    /// whole when there is one part. Conditions are read on paths of `root`.
    pub fn conjuncts(&self, root: &str) -> Vec<Conjunct> {
        let mut leaves = Vec::new();
        flatten(&self.0.tree, &mut leaves);
        let conditions = leaves.iter().map(|leaf| Condition::read(leaf, root));
        let parts: Option<Vec<Expr>> =
            split(self.source()).into_iter().map(|part| Expr::parse(part).ok()).collect();
        match parts {
            Some(parts) if parts.len() == leaves.len() && parts.len() > 1 => {
                let parts = parts.into_iter().zip(conditions);
                parts.map(|(expr, condition)| Conjunct { expr, condition }).collect()
            }
            _ => {
                let condition = Condition::read(&self.0.tree, root);
                vec![Conjunct { expr: self.clone(), condition }]
            }
        }
    }
}

fn flatten<'a>(tree: &'a IdedExpr, leaves: &mut Vec<&'a IdedExpr>) {
    match &tree.expr {
        Node::Call(call) if call.func_name == op::LOGICAL_AND && call.target.is_none() => {
            call.args.iter().for_each(|part| flatten(part, leaves));
        }
        _ => leaves.push(tree),
    }
}

/// The texts between the `&&` outside of brackets, and of brackets around the
/// whole or around one of them. A text with `||` or `?` out there is one part:
/// those bind less.
fn split(source: &str) -> Vec<&str> {
    let source = source.trim();
    let Some(cuts) = cuts(source) else { return vec![source] };
    if cuts.is_empty() {
        return match inside_brackets(source) {
            Some(inner) => {
                let parts = split(inner);
                if parts.len() > 1 { parts } else { vec![source] }
            }
            None => vec![source],
        };
    }
    let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut + 2));
    let ends = cuts.iter().copied().chain([source.len()]);
    starts.zip(ends).flat_map(|(start, end)| split(&source[start..end])).collect()
}

/// Where `&&` stands outside of brackets; nothing when what binds less stands there.
fn cuts(source: &str) -> Option<Vec<usize>> {
    let (mut cuts, mut open) = (Vec::new(), 0_usize);
    let free = walk(source, |byte, at, bytes| {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'&' if open == 0 && bytes.get(at + 1) == Some(&b'&') => cuts.push(at),
            b'|' if open == 0 => return false,
            b'?' if open == 0 && (at == 0 || bytes[at - 1] != b'.') => return false,
            _ => {}
        }
        true
    });
    free.then_some(cuts)
}

/// What stands in brackets that are the first and the last of `source`.
fn inside_brackets(source: &str) -> Option<&str> {
    let inner = source.strip_prefix('(')?.strip_suffix(')')?;
    let mut open = 0_usize;
    let pair = walk(inner, |byte, _, _| {
        match byte {
            b'(' => open += 1,
            b')' if open == 0 => return false,
            b')' => open -= 1,
            _ => {}
        }
        true
    });
    pair.then_some(inner)
}

/// Calls `each` on every byte outside of texts and comments until it says no.
/// Gives whether it never did.
fn walk(source: &str, mut each: impl FnMut(u8, usize, &[u8]) -> bool) -> bool {
    let bytes = source.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => match after_literal(bytes, 0, at) {
                Some(last) => at = last,
                None => return false,
            },
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                match bytes[at..].iter().position(|byte| *byte == b'\n') {
                    Some(length) => at += length,
                    None => return true,
                }
            }
            byte if !each(byte, at, bytes) => return false,
            _ => {}
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(source: &str) -> Vec<String> {
        let conjuncts = Expr::parse(source).unwrap().conjuncts("alert");
        conjuncts.iter().map(|part| part.expr.source().to_owned()).collect()
    }

    #[test]
    fn an_expression_falls_into_the_parts_that_must_all_hold() {
        assert_eq!(parts("alert.a == 1"), ["alert.a == 1"]);
        assert_eq!(parts("alert.a == 1 && alert.b"), ["alert.a == 1", "alert.b"]);
        assert_eq!(parts("(a && (b || c)) && !(d && e)"), ["a", "(b || c)", "!(d && e)"]);
        assert_eq!(parts("a && b || c"), ["a && b || c"]);
        assert_eq!(parts("(a && b) ? c : d"), ["(a && b) ? c : d"]);
        assert_eq!(parts("a.?b.orValue(true) && c"), ["a.?b.orValue(true)", "c"]);
        assert_eq!(parts("a == \"x && y\" && b == r'\\' && c"), ["a == \"x && y\"", "b == r'\\'", "c"]);
        assert_eq!(parts("(a) && (b)"), ["(a)", "(b)"]);
        assert_eq!(parts("a // && no || part\n && b"), ["a // && no || part", "b"]);
        assert_eq!(parts("a && b && c && d && e"), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn what_a_part_demands_is_read_from_its_tree() {
        let read = |source: &str| {
            let conjuncts = Expr::parse(source).unwrap().conjuncts("alert");
            format!("{:?}", conjuncts[0].condition)
        };
        for (source, wanted) in [
            ("alert.a.b == \"x\"", "[\"a\", \"b\"], test: Equal([Text(\"x\")])"),
            ("\"x\" == alert[\"a\"]", "[\"a\"], test: Equal([Text(\"x\")])"),
            ("alert.a in [1, null, true]", "Equal([Number(Int(1)), Null, Bool(true)])"),
            ("60 <= alert.a", "Compare(AtLeast, Number(Int(60)))"),
            ("alert.a < -1.5", "Compare(Below, Number(Double(-1.5)))"),
            ("\"x\" in alert.a", "Holds(Text(\"x\"))"),
            ("alert.a.startsWith(\"x\")", "Begins(\"x\")"),
            ("!alert.a", "Flag(false)"),
            ("alert.a == 1 || other", "Any([Is("),
        ] {
            assert!(read(source).contains(wanted), "{source}: {}", read(source));
        }
        for source in [
            "alert == 1",
            "alert.a == alert.b",
            "other.a == 1",
            "alert.?a == 1",
            "lower(alert.a) == \"x\"",
            "alert.a in [alert.b]",
            "has(alert.a)",
        ] {
            assert_eq!(read(source), "Other", "{source}");
        }
    }
}
