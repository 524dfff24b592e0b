//! What a template must not be, found before anything is written with it.
//!
//! The template engine aborts the process on templates nested too deep and on
//! partials that include each other, and lets a template write text unescaped;
//! none of that may wait until a report is due.

use std::collections::BTreeMap;

use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};
use handlebars::{Template, TemplateErrorReason};

/// The largest template, in bytes: several times the largest shipped one.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;

/// How deep blocks may nest. The parser descends once per level; more than
/// 800 overflow a stack of 2 MiB, and a reader is lost long before twenty.
pub const BLOCKS_MAX: usize = 20;

/// How deep brackets may nest inside one tag, for the same reason.
const BRACKETS_MAX: usize = 16;

/// How deep loops may nest, partials included: each level multiplies.
pub const LOOPS_MAX: usize = 3;

/// How deep partials may include each other.
pub const PARTIALS_MAX: usize = 8;

/// A mistake in a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template `{template}`, line {line}: {message}")]
pub struct Problem {
    /// The template's name.
    pub template: String,
    /// What is wrong, and what to write instead.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

/// What a checked template uses.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    /// Partials it includes, with how many loops stand around each.
    pub partials: Vec<(String, usize)>,
    /// How deep its own loops nest.
    pub loops: usize,
}

/// Parses a template and checks all of it that can be checked alone.
///
/// # Errors
/// Every mistake found.
pub fn check(name: &str, text: &str) -> Result<(Template, Uses), Vec<Problem>> {
    let problem = |message: String, (line, column): (usize, usize)| Problem {
        template: name.to_owned(),
        message,
        line,
        column,
    };
    if let Err((message, at)) = bounds(text) {
        return Err(vec![problem(message, place(text, at))]);
    }
    let template = match Template::compile_with_name(text, name.to_owned()) {
        Ok(template) => template,
        Err(error) => {
            let (message, at) = match (unclosed(text), error.reason()) {
                (Some(at), _) => ("this {{ is never closed by }}".to_owned(), place(text, at)),
                (None, TemplateErrorReason::InvalidSyntax(_)) => {
                    let message = "this tag can't be read; write {{name}}, or {{#if name}}…{{/if}}";
                    (message.to_owned(), error.pos().unwrap_or((1, 1)))
                }
                (None, reason) => {
                    let message = format!("{reason}; check that every {{{{#…}}}} has its {{{{/…}}}}");
                    (message, error.pos().unwrap_or((1, 1)))
                }
            };
            return Err(vec![problem(message, at)]);
        }
    };
    let mut walk = Walk { uses: Uses::default(), wrong: Vec::new() };
    walk.template(&template, 0);
    if walk.uses.loops > LOOPS_MAX {
        walk.wrong.push((format!("loops nest deeper than {LOOPS_MAX}"), (1, 1)));
    }
    if !walk.wrong.is_empty() {
        return Err(walk.wrong.into_iter().map(|(message, at)| problem(message, at)).collect());
    }
    Ok((template, walk.uses))
}

/// Checks how partials include each other: each must exist, none may come back
/// to itself, and their loops count together.
pub fn check_partials(all: &BTreeMap<String, Uses>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in all.keys() {
        let mut path = vec![name.as_str()];
        if let Err(message) = follow(all, name, 0, &mut path) {
            problems.push(Problem { template: name.clone(), message, line: 1, column: 1 });
        }
    }
    problems
}

fn follow<'a>(
    all: &'a BTreeMap<String, Uses>,
    name: &str,
    loops: usize,
    path: &mut Vec<&'a str>,
) -> Result<(), String> {
    let Some(uses) = all.get(name) else {
        return Err(format!("there is no template `{name}` of the same format to include"));
    };
    if loops + uses.loops > LOOPS_MAX {
        return Err(format!("loops nest deeper than {LOOPS_MAX} once `{name}` is included"));
    }
    if path.len() > PARTIALS_MAX {
        return Err(format!("templates include each other more than {PARTIALS_MAX} deep"));
    }
    for (partial, around) in &uses.partials {
        if path.contains(&partial.as_str()) {
            return Err(format!("`{partial}` includes itself by way of {}", path.join(" → ")));
        }
        path.push(partial);
        follow(all, partial, loops + around, path)?;
        path.pop();
    }
    Ok(())
}

/// Size and nesting, read off the text before the parser sees it.
fn bounds(text: &str) -> Result<(), (String, usize)> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err((
            format!(
                "the template is {} bytes long, and at most {TEMPLATE_BYTES_MAX} are allowed",
                text.len()
            ),
            0,
        ));
    }
    let mut blocks = 0usize;
    let mut brackets = 0usize;
    let mut inside = false;
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        if let Some(tag) = rest.strip_prefix("{{") {
            inside = true;
            brackets = 0;
            let tag = tag.trim_start_matches('~');
            if tag.starts_with('#') {
                blocks += 1;
            } else if tag.starts_with('/') {
                blocks = blocks.saturating_sub(1);
            }
        } else if rest.starts_with("}}") {
            inside = false;
        }
        match c {
            '(' | '[' | '{' if inside => brackets += 1,
            ')' | ']' | '}' if inside => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        if blocks > BLOCKS_MAX {
            return Err((format!("blocks nest deeper than {BLOCKS_MAX}; split the template"), at));
        }
        if brackets > BRACKETS_MAX {
            return Err((format!("brackets nest deeper than {BRACKETS_MAX} in one tag"), at));
        }
    }
    Ok(())
}

/// The first tag that another one or the end follows before it is closed.
fn unclosed(text: &str) -> Option<usize> {
    let mut rest = 0;
    while let Some(found) = text[rest..].find("{{") {
        let open = rest + found;
        let after = open + 2 + text[open + 2..].chars().take_while(|c| *c == '{').count();
        let close = text[after..].find("}}");
        let next = text[after..].find("{{");
        match (close, next) {
            (None, _) => return Some(open),
            (Some(close), Some(next)) if next < close => return Some(open),
            (Some(close), _) => rest = after + close + 2,
        }
    }
    None
}

/// Line and column of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (line, before[start..].chars().count() + 1)
}

struct Walk {
    uses: Uses,
    wrong: Vec<(String, (usize, usize))>,
}

impl Walk {
    fn template(&mut self, template: &Template, loops: usize) {
        for (index, element) in template.elements.iter().enumerate() {
            let at = template.mapping.get(index).map_or((1, 1), |place| (place.0, place.1));
            self.element(element, at, loops);
        }
    }

    fn element(&mut self, element: &TemplateElement, at: (usize, usize), loops: usize) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::HtmlExpression(_) => {
                let message = "{{{…}}} and {{&…}} write text without escaping, so what an alert says could become \
                               markup; write {{…}}";
                self.wrong.push((message.to_owned(), at));
            }
            TemplateElement::Expression(helper) => {
                if matches!(&helper.name, Parameter::Name(name) if name == "log") {
                    self.wrong.push(("templates write no log".to_owned(), at));
                }
            }
            TemplateElement::HelperBlock(helper) => self.block(helper, loops),
            TemplateElement::PartialExpression(partial) => self.partial(partial, at, loops),
            TemplateElement::PartialBlock(partial) => {
                self.partial(partial, at, loops);
                self.wrong.push(("a partial with a block is not supported; write {{> name}}".to_owned(), at));
            }
            TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                let message =
                    "{{*…}} and {{#*inline}} are not supported; put the part into a template of its own";
                self.wrong.push((message.to_owned(), at));
            }
            // The engine may learn new elements; what is not known is not trusted.
            #[allow(unreachable_patterns)]
            _ => self.wrong.push(("this tag is not supported".to_owned(), at)),
        }
    }

    fn block(&mut self, helper: &HelperTemplate, loops: usize) {
        let looping = matches!(helper.name.as_name(), Some("each"));
        let inner = loops + usize::from(looping);
        self.uses.loops = self.uses.loops.max(inner);
        if let Some(template) = &helper.template {
            self.template(template, inner);
        }
        if let Some(template) = &helper.inverse {
            self.template(template, loops);
        }
    }

    fn partial(&mut self, partial: &DecoratorTemplate, at: (usize, usize), loops: usize) {
        match partial.name.as_name() {
            Some(name) => self.uses.partials.push((name.to_owned(), loops)),
            None => self.wrong.push(("the name of a partial must be written out".to_owned(), at)),
        }
    }
}
