//! The whole file: every mistake in one pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::authored::places::each_text;
use crate::domain::playbook::{Playbook, Section};
use crate::playbook::header::read_header;
use crate::playbook::names::check_names;
use crate::playbook::reading::Reading;
use crate::step::kind::{Called, Surroundings};
use crate::step::using::CONNECTOR_NOT_CONFIGURED;
use crate::yaml::codes::YAML_SYNTAX;
use crate::yaml::diagnostic::{Diagnostic, Severity};
use crate::yaml::foreign::{CUT_BY_COMMENT, is_cut_by_comment};
use crate::yaml::node::{Node, NodeValue};
use crate::yaml::reader::read;
use crate::yaml::shape::Reader;

/// Mistakes that one file is told: nobody reads more, and each costs its
/// excerpt of the file when it is shown.
pub const MISTAKES_MAX: usize = 200;

/// A playbook without mistakes, and what its plan must freeze.
#[derive(Debug)]
pub struct Checked {
    /// The playbook.
    pub playbook: Playbook,
    /// Templates it names.
    pub texts: Vec<String>,
    /// Connectors it uses.
    pub used: Vec<String>,
    /// Playbooks it runs.
    pub calls: Vec<Called>,
    /// What is no mistake, and still worth a look.
    pub warnings: Vec<Diagnostic>,
}

/// Checks a playbook's file.
///
/// # Errors
/// Every mistake in it, in the order of the file.
pub fn check(file: &str, text: &str, around: &Surroundings) -> Result<Checked, Vec<Diagnostic>> {
    let node = read(file, text).map_err(|mistakes| with_help(mistakes, text))?;
    let reader = Reader::new(file);
    if node.value == NodeValue::Null {
        let mistake = Diagnostic::error("empty", reader.file(), node.place, "there is nothing in this file");
        let help = "write a playbook: `playbook:`, `version:`, `title:`, `posture:`, `steps:`";
        return Err(vec![mistake.help(help)]);
    }
    let checked = reader.root("a playbook", &node).map().and_then(|map| {
        let header = read_header(&map, text);
        let mut reading = Reading::new(text, around, header.posture);
        let mut fields = Vec::new();
        fields.extend(map.required("steps").map(|field| (Section::Main, field)));
        for (section, key) in [(Section::OnFailure, "on_failure"), (Section::Finally, "finally")] {
            // An empty list says plainly that there is nothing to do.
            let field =
                map.optional(key).filter(|field| field.node().as_list().is_none_or(|l| !l.is_empty()));
            fields.extend(field.map(|field| (section, field)));
        }
        let mut sections = reading.read_sections(&fields);
        let mut roots = |section| {
            let found = sections.iter().position(|(of, _)| *of == section);
            found.map(|at| sections.swap_remove(at).1).unwrap_or_default()
        };
        let (main, on_failure, finally) =
            (roots(Section::Main), roots(Section::OnFailure), roots(Section::Finally));
        map.finish();
        warn_of_cut_texts(&reader, &node, text);
        check_names(&reader, &reading, &header);
        let finished = reading.finish(&reader)?;
        let playbook = Playbook {
            name: header.name?,
            version: header.version?,
            title: header.title?,
            owner: header.owner,
            description: header.description,
            posture: header.posture,
            tags: header.tags,
            triggers: header.triggers,
            inputs: header.inputs,
            steps: finished.steps,
            roots: main,
            on_failure,
            finally,
            within: header.within,
            by_id: Default::default(),
        };
        Some((playbook, finished.texts, finished.used, finished.calls))
    });
    let failed = reader.has_errors();
    let (left_out, file) = (reader.left_out(), Arc::clone(reader.file()));
    let mut diagnostics = reader.into_diagnostics();
    diagnostics.sort_by_key(|mistake| (mistake.place.start, mistake.code));
    diagnostics.dedup();
    // Many steps use one connector, and one line in the settings is missing.
    let mut told = BTreeSet::new();
    diagnostics.retain(|it| it.code != CONNECTOR_NOT_CONFIGURED || told.insert(it.message.clone()));
    shorten(&mut diagnostics, left_out, &file);
    match checked {
        Some((playbook, texts, used, calls)) if !failed => {
            diagnostics.retain(|mistake| mistake.severity == Severity::Warning);
            Ok(Checked { playbook, texts, used, calls, warnings: diagnostics })
        }
        _ => Err(diagnostics),
    }
}

/// Warns of texts without quotes that a comment cuts where it looks like part of the
/// text: `Alert #5`. A comment has a space after its sign.
fn warn_of_cut_texts(reader: &Reader, node: &Node, source: &str) {
    each_text(node, &mut |leaf, text| {
        let end = leaf.place.end;
        let rest = source.get(end..).unwrap_or_default().trim_start_matches([' ', '\t']);
        let quoted = source.get(..end).is_some_and(|before| before.ends_with(['"', '\'']));
        let mut after = rest.chars();
        let glued = after.next() == Some('#') && after.next().is_some_and(char::is_alphanumeric);
        // An expression that is cut is a mistake of its own.
        if glued && !quoted && !text.contains("${") && is_cut_by_comment(source, end) {
            let message = "this text ends before the `#`: what follows is read as a comment";
            let warning = Diagnostic::warning("text-cut", reader.file(), leaf.place, message);
            reader.report(warning.label("the value is this").help(CUT_BY_COMMENT));
        }
    });
}

/// Keeps the first [`MISTAKES_MAX`] and says how many more there are.
fn shorten(diagnostics: &mut Vec<Diagnostic>, left_out: usize, file: &Arc<str>) {
    let more = left_out + diagnostics.len().saturating_sub(MISTAKES_MAX);
    let next = diagnostics.get(MISTAKES_MAX).or(diagnostics.last()).map(|mistake| mistake.place);
    diagnostics.truncate(MISTAKES_MAX);
    if let Some(place) = next.filter(|_| more > 0) {
        let message = format!("{more} more mistakes are not shown");
        let mistake = Diagnostic::error("more-mistakes", file, place, message);
        diagnostics.push(mistake.label("and so on").help("mend those above, and check again"));
    }
}

/// The two commonest slips are an expression without quotes inside `{ }` or
/// `[ ]`, where YAML reads its braces, and a `: ` in one, where YAML reads a
/// key; the YAML room knows no expressions.
fn with_help(mut mistakes: Vec<Diagnostic>, text: &str) -> Vec<Diagnostic> {
    for mistake in &mut mistakes {
        let row = mistake.place.line.saturating_sub(1);
        let line = text.lines().nth(row).unwrap_or_default();
        let Some(at) = line.find("${").filter(|_| mistake.code == YAML_SYNTAX) else {
            continue;
        };
        let before = line[..at].trim_end();
        if before.ends_with(['"', '\'']) {
            continue;
        }
        if before.contains(['{', '[']) {
            mistake.help = Some("inside { } or [ ] an expression needs quotes: \"${ … }\"".to_owned());
        } else if line[at..].contains(": ") {
            let help = "an expression with `: ` needs quotes: \"${ a ? b : c }\"; or write it on the lines below `key: >-`";
            mistake.help = Some(help.to_owned());
        }
    }
    mistakes
}
