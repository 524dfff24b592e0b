//! What an author's text names: each path from the root of its data, followed
//! through `{{#each}}` and `{{#with}}`, with its place.

use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, Template};

use crate::report::lint;

/// Stands in a path for one item of a list.
pub const ITEM: &str = "[]";

/// Helpers that texts may use.
pub const HELPERS: &[&str] = &[
    "if", "unless", "each", "with", "lookup", "eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not", "len",
];

/// A name in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextName {
    /// From the root of the data: `alert`, `objects`, [`ITEM`], `name`.
    pub path: Vec<String>,
    /// Whether it is the name of a helper, which takes values.
    pub helper: bool,
    /// Whether it only asks, as in `{{#if with.note}}`.
    pub asks: bool,
    /// Where it is written, as bytes of the text.
    pub start: usize,
    /// The end of it.
    pub end: usize,
}

/// Every name in a text; none when it is no template.
pub fn names_of(text: &str) -> Vec<TextName> {
    let Ok((template, _)) = lint::check("text", text) else {
        return Vec::new();
    };
    let mut walk = Walk { text, at: 0, found: Vec::new(), around: vec![Level::root()] };
    walk.template(&template);
    walk.found
}

/// What names mean inside one block.
struct Level {
    /// Where names begin; none = not known.
    base: Option<Vec<String>>,
    /// Names the block gives, `as |x|`, and what they stand for.
    given: Vec<(String, Option<Vec<String>>)>,
}

impl Level {
    fn root() -> Level {
        Level { base: Some(Vec::new()), given: Vec::new() }
    }
}

struct Walk<'a> {
    text: &'a str,
    /// Where the tag that is looked at begins.
    at: usize,
    found: Vec<TextName>,
    around: Vec<Level>,
}

impl Walk<'_> {
    fn template(&mut self, template: &Template) {
        for (index, element) in template.elements.iter().enumerate() {
            if let Some(place) = template.mapping.get(index) {
                self.at = byte_of(self.text, place.0, place.1);
            }
            self.element(element);
        }
    }

    fn element(&mut self, element: &TemplateElement) {
        match element {
            TemplateElement::Expression(it) => self.expression(it),
            TemplateElement::HelperBlock(it) => self.block(it),
            _ => {}
        }
    }

    fn expression(&mut self, it: &HelperTemplate) {
        let calls = !it.params.is_empty() || !it.hash.is_empty();
        match &it.name {
            Parameter::Name(name) if calls => self.helper(name),
            Parameter::Name(name) => self.name(name, false),
            Parameter::Path(Path::Relative((_, raw)) | Path::Local((_, _, raw))) if calls => self.helper(raw),
            other => self.parameter(other, false),
        }
        for parameter in it.params.iter().chain(it.hash.values()) {
            self.parameter(parameter, false);
        }
    }

    fn parameter(&mut self, parameter: &Parameter, asks: bool) {
        match parameter {
            Parameter::Name(name) => self.name(name, asks),
            Parameter::Path(Path::Relative((_, raw)) | Path::Local((_, _, raw))) => self.name(raw, asks),
            Parameter::Subexpression(inner) => self.element(inner.as_element()),
            _ => {}
        }
    }

    fn block(&mut self, it: &HelperTemplate) {
        let tag = self.at;
        let name = it.name.as_name().unwrap_or_default();
        self.helper(name);
        let asks = matches!(name, "if" | "unless");
        for parameter in it.params.iter().chain(it.hash.values()) {
            self.parameter(parameter, asks);
        }
        let of = match it.params.first() {
            Some(Parameter::Path(Path::Relative((_, raw)))) => self.resolved(raw),
            _ => None,
        };
        let level = match name {
            "each" => {
                let item = of.map(|mut path| {
                    path.push(ITEM.to_owned());
                    path
                });
                Some(level_of(it, item))
            }
            "with" => Some(level_of(it, of)),
            _ => None,
        };
        let deeper = level.is_some();
        self.around.extend(level);
        if let Some(inner) = &it.template {
            self.template(inner);
        }
        if deeper {
            self.around.pop();
        }
        self.at = tag;
        if let Some(inverse) = &it.inverse {
            self.template(inverse);
        }
    }

    fn helper(&mut self, name: &str) {
        if !HELPERS.contains(&name) {
            let (start, end) = self.place(name);
            self.found.push(TextName { path: vec![name.to_owned()], helper: true, asks: false, start, end });
        }
    }

    fn name(&mut self, raw: &str, asks: bool) {
        let Some(path) = self.resolved(raw).filter(|path| !path.is_empty()) else {
            return;
        };
        let (start, end) = self.place(raw);
        self.found.push(TextName { path, helper: false, asks, start, end });
    }

    /// A name's path from the root; none for `@index` and what is not known.
    fn resolved(&self, raw: &str) -> Option<Vec<String>> {
        let (mut rest, mut level) = (raw.trim(), self.around.len() - 1);
        let mut path = None;
        if let Some(after) = rest.strip_prefix("@root") {
            (rest, path) = (after, Some(Vec::new()));
        } else if rest.starts_with('@') {
            return None;
        }
        while let Some(after) = rest.strip_prefix("../") {
            level = level.saturating_sub(1);
            rest = after;
        }
        let mut parts = rest.split(['.', '/']).filter(|part| !part.is_empty() && *part != "this").peekable();
        if let (None, Some(first)) = (&path, parts.peek()) {
            let given = self.around.iter().rev().flat_map(|level| &level.given);
            if let Some((_, stands_for)) = given.into_iter().find(|(name, _)| name == first) {
                path = Some(stands_for.clone()?);
                parts.next();
            }
        }
        let mut path = match path {
            Some(path) => path,
            None => self.around.get(level)?.base.clone()?,
        };
        path.extend(parts.map(|part| part.trim_matches(['[', ']']).to_owned()));
        Some(path)
    }

    /// Where a name stands in the tag that is looked at.
    fn place(&self, raw: &str) -> (usize, usize) {
        let tag = self.text.get(self.at..).unwrap_or_default();
        let start = tag.find(raw).map_or(self.at, |found| self.at + found);
        (start, (start + raw.len()).min(self.text.len()))
    }
}

fn level_of(it: &HelperTemplate, base: Option<Vec<String>>) -> Level {
    let given = match &it.block_param {
        Some(BlockParam::Single(name)) => vec![(name, base.clone())],
        Some(BlockParam::Pair((name, second))) => vec![(name, base.clone()), (second, None)],
        _ => Vec::new(),
    };
    let given = given.into_iter().filter_map(|(name, path)| Some((name.as_name()?.to_owned(), path)));
    Level { given: given.collect(), base }
}

/// The byte at a line and column, both from 1.
pub fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let line = text.get(start..).unwrap_or_default();
    line.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| start + at)
}

#[cfg(test)]
mod tests {
    use super::names_of;

    #[test]
    fn names_are_followed_through_blocks_to_where_they_stand() {
        let text = "{{a.b}} {{#each a.list}}{{x}} {{../c}} {{@index}}{{/each}}\n{{#with d as |e|}}{{e.f}}{{/with}}{{#if (eq g \"1\")}}{{h}}{{else}}{{i}}{{/if}}";
        let found: Vec<(String, &str)> =
            names_of(text).iter().map(|name| (name.path.join("."), &text[name.start..name.end])).collect();
        let wanted = [
            ("a.b", "a.b"),
            ("a.list", "a.list"),
            ("a.list.[].x", "x"),
            ("c", "../c"),
            ("d", "d"),
            ("d.f", "e.f"),
            ("g", "g"),
            ("h", "h"),
            ("i", "i"),
        ];
        assert_eq!(found, wanted.map(|(path, raw)| (path.to_owned(), raw)));
    }

    #[test]
    fn helpers_that_there_are_not_are_names_too() {
        let found = names_of("{{uper alert.title}}{{#fi x}}{{/fi}}{{len x}}");
        let helpers: Vec<&str> =
            found.iter().filter(|name| name.helper).map(|name| name.path[0].as_str()).collect();
        assert_eq!(helpers, ["uper", "fi"]);
    }
}
