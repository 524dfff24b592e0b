//! The sources that come with the product: one YAML file and one line here.

use std::sync::LazyLock;

use crate::intake::source::SourceSpec;

/// `(source, its YAML)`, sorted by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("generic", include_str!("shipped/generic.yaml")),
    ("incydr", include_str!("shipped/incydr.yaml")),
    ("netskope", include_str!("shipped/netskope.yaml")),
    ("proofpoint-itm", include_str!("shipped/proofpoint-itm.yaml")),
];

/// The YAML of the shipped source of that name.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The source that reads our own field names.
#[must_use]
pub fn generic() -> &'static SourceSpec {
    static GENERIC: LazyLock<SourceSpec> = LazyLock::new(|| {
        let text = include_str!("shipped/generic.yaml");
        SourceSpec::read("generic.yaml", text).expect("a shipped source checks clean; a test says so")
    });
    &GENERIC
}
