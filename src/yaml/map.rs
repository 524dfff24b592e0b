//! The keys of a map, asked for one by one, the others reported.

use crate::yaml::codes;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean, list_of, quoted};
use crate::yaml::foreign;
use crate::yaml::node::{Key, Node, Place};
use crate::yaml::shape::{Field, Name};
use std::cell::RefCell;

/// The keys of one map. Every key asked for is known; [`finish`](Self::finish)
/// reports the others.
#[derive(Debug)]
#[must_use = "call finish() so that unknown keys are reported"]
pub struct MapReader<'a> {
    field: Field<'a>,
    entries: &'a [(Key, Node)],
    known: RefCell<Vec<&'a str>>,
}

impl<'a> MapReader<'a> {
    pub(super) fn new(field: Field<'a>, entries: &'a [(Key, Node)]) -> Self {
        Self { field, entries, known: RefCell::new(Vec::new()) }
    }

    /// The value of `key`; reports its absence.
    #[must_use]
    pub fn required(&self, key: &'a str) -> Option<Field<'a>> {
        let found = self.optional(key);
        if found.is_none() {
            let Field { reader, name, node } = self.field;
            let message = format!("{name} needs the key {}", quoted(key));
            let label = format!("{} is missing here", quoted(key));
            let mistake = Diagnostic::error(codes::MISSING_KEY, &reader.file, node.place, message);
            reader.report(mistake.label(label).help(format!("add `{key}: …`")));
        }
        found
    }

    /// The value of `key`, if it is there.
    #[must_use]
    pub fn optional(&self, key: &'a str) -> Option<Field<'a>> {
        self.also_known(&[key]);
        let (key, node) = self.entries.iter().find(|(known, _)| known.name == key)?;
        Some(self.field_of(key, node))
    }

    /// Marks keys as known that the caller reads in another way.
    pub fn also_known(&self, keys: &[&'a str]) {
        let mut known = self.known.borrow_mut();
        for key in keys {
            if !known.contains(key) {
                known.push(key);
            }
        }
    }

    /// All entries in the order of the file, for maps whose keys the author
    /// chooses. Marks them all as known.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'a Key, Field<'a>)> {
        let names = self.entries.iter().map(|(key, _)| key.name.as_str());
        self.known.borrow_mut().extend(names);
        self.entries.iter().map(|(key, node)| (key, self.field_of(key, node))).collect()
    }

    /// Where the map is written.
    #[must_use]
    pub fn place(&self) -> Place {
        self.field.node.place
    }

    /// Where `key` itself is written, if it is there.
    #[must_use]
    pub fn key_place(&self, key: &str) -> Option<Place> {
        let entry = self.entries.iter().find(|(known, _)| known.name == key);
        entry.map(|(key, _)| key.place)
    }

    /// Reports each key that nobody asked for.
    pub fn finish(self) {
        let known = self.known.into_inner();
        let Field { reader, name, .. } = self.field;
        for (key, _) in self.entries {
            if known.contains(&key.name.as_str()) {
                continue;
            }
            let message = format!("{name} has no key {}", quoted(&key.name));
            let foreign = foreign::meant(&key.name, &known).map(str::to_owned);
            let odd = || foreign::look_alike(&key.name).map(|what| foreign::type_it_anew(&what));
            let near = || match did_you_mean(&key.name, &known) {
                Some(meant) => format!("did you mean {}?", quoted(&meant)),
                None if known.is_empty() => "it takes no keys".to_owned(),
                None => format!("its keys are {}", list_of(&known)),
            };
            let help = foreign.or_else(odd).unwrap_or_else(near);
            reader.report(
                Diagnostic::error(codes::UNKNOWN_KEY, &reader.file, key.place, message)
                    .label("unknown key")
                    .help(help),
            );
        }
    }

    fn field_of(&self, key: &'a Key, node: &'a Node) -> Field<'a> {
        Field { name: Name::Key(&key.name), node, ..self.field }
    }
}
