//! The connectors that come with Quell. Adding one costs a file and a line.

/// Name and text of each.
pub const SHIPPED: &[(&str, &str)] = &[
    ("assets", include_str!("shipped/assets.yaml")),
    ("people", include_str!("shipped/people.yaml")),
    ("scim", include_str!("shipped/scim.yaml")),
    ("servicenow", include_str!("shipped/servicenow.yaml")),
    ("sessions", include_str!("shipped/sessions.yaml")),
    ("smtp", include_str!("shipped/smtp.yaml")),
];
