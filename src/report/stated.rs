//! What people put on record of what no system knows: tags of the incident
//! (`data: …`), and fields of their answers.

use std::collections::BTreeMap;

use crate::domain::time::Timestamp;
use crate::projection::dossier::{Cite, Dossier};

/// Which fields of answers tell of which thing, by their names in a playbook.
const FIELDS: &[(&str, &[&str])] = &[
    ("data", &["data", "data_class", "records"]),
    ("people", &["people", "people_affected"]),
    ("impact", &["impact"]),
];

/// One thing that a person said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated<'a> {
    /// The field's label.
    pub label: &'a str,
    /// What was said of it.
    pub text: &'a str,
    /// When.
    pub at: Timestamp,
    /// Where it is written.
    pub cite: Cite,
}

/// What answers say of `data`, `people` or `impact`, in the order of the answers.
pub fn answered<'a>(dossier: &'a Dossier, key: &str) -> Vec<Stated<'a>> {
    let names = FIELDS.iter().find(|(of, _)| *of == key).map_or(&[][..], |(_, names)| *names);
    let ends = dossier.questions.iter().filter_map(|part| part.end.as_ref());
    let fields = ends.flat_map(|end| end.fields.iter().map(move |field| (end.when, field)));
    let said =
        fields.filter(|(_, field)| names.contains(&field.name.as_str()) && !field.text.trim().is_empty());
    said.map(|(when, field)| Stated {
        label: &field.label,
        text: field.text.trim(),
        at: when.at,
        cite: when.cite,
    })
    .collect()
}

/// Of each label that different things were said of, where they are written.
pub fn differing<'a>(said: &[Stated<'a>]) -> Vec<(&'a str, Vec<Cite>)> {
    let mut by_label: BTreeMap<&str, Vec<&Stated<'_>>> = BTreeMap::new();
    for one in said {
        by_label.entry(one.label).or_default().push(one);
    }
    let differ = by_label
        .into_iter()
        .filter(|(_, said)| said.iter().any(|one| !one.text.eq_ignore_ascii_case(said[0].text)));
    differ.map(|(label, said)| (label, said.iter().map(|one| one.cite).collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{RunId, StreamId};

    #[test]
    fn answers_that_differ_are_told_apart_and_none_is_chosen() {
        let said = |label: &'static str, text: &'static str, seq| Stated {
            label,
            text,
            at: Timestamp::EPOCH,
            cite: Cite { stream: StreamId::Run(RunId::new(ulid::Ulid::nil())), seq, run: 0 },
        };
        let all = [
            said("Records", "100", 1),
            said("Class", "Secret", 2),
            said("Class", "secret", 3),
            said("Records", "90", 4),
        ];
        let found = differing(&all);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].0, found[0].1.iter().map(|cite| cite.seq).collect::<Vec<_>>()),
            ("Records", vec![1, 4])
        );
    }
}
