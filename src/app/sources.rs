//! Configured sources and how their deliveries are checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::doors::{read_door, read_limits};
use crate::intake::signature::{Door, DoorConfig};
use crate::intake::source::SourceSpec;
use crate::service::gate::Gate;
use crate::service::house::Source;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::node::Node;
use crate::yaml::shape::{Field, Reader};

/// Reads `sources:` of the settings. A source without `auth` is taken only by a
/// server that listens on this machine alone.
///
/// Gives also what is wrong; a secret that is not there is a warning, and a
/// placeholder stands for it.
pub fn read_sources(
    file: &str,
    section: &Node,
    specs: &BTreeMap<String, Arc<SourceSpec>>,
    loopback: bool,
) -> (BTreeMap<String, Source>, Vec<Diagnostic>) {
    let reader = Reader::new(file);
    let mut sources = BTreeMap::new();
    if let Some(map) = reader.root("`sources`", section).map() {
        for (key, field) in map.entries() {
            if let Some(source) = read_source(field, specs, loopback) {
                sources.insert(key.name.clone(), source);
            }
        }
    }
    (sources, reader.into_diagnostics())
}

fn read_source(
    field: Field<'_>,
    specs: &BTreeMap<String, Arc<SourceSpec>>,
    loopback: bool,
) -> Option<Source> {
    let map = field.map()?;
    let spec = map.required("use").and_then(|field| {
        let used = field.non_empty()?;
        let found = specs.get(used).cloned();
        if found.is_none() {
            let known: Vec<&str> = specs.keys().map(String::as_str).collect();
            let help = did_you_mean(used, &known).map_or_else(
                || format!("there are: {}", known.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            field.mistake("unknown-source", format!("there is no source `{used}`"), help);
        }
        found
    });
    let auth = map.optional("auth");
    // What is polled needs no door; how it is polled is read by `polls`.
    let polled = map.optional("poll").is_some();
    let config = match auth {
        Some(auth) => read_door(auth),
        None if polled => {
            let gate = Gate::new(map.optional("limits").map(read_limits).unwrap_or_default());
            map.finish();
            let spec = Arc::unwrap_or_clone(spec?);
            return Some(Source { spec, door: None, proven_by_headers: false, gate, poll: None });
        }
        None if loopback => Some(DoorConfig::Open),
        None => {
            field.mistake(
                "source-open",
                "this source takes alerts from anybody, and the server listens on the network",
                "add `auth: { standard_webhooks: \"${env:NAME}\" }`, or another way",
            );
            None
        }
    };
    let gate = Gate::new(map.optional("limits").map(read_limits).unwrap_or_default());
    map.finish();
    let config = config?;
    let proven_by_headers = is_proven_by_headers(&config);
    match Door::new(config) {
        Ok(door) => {
            let spec = Arc::unwrap_or_clone(spec?);
            Some(Source { spec, door: Some(door), proven_by_headers, gate, poll: None })
        }
        Err(error) => {
            auth.unwrap_or(field).mistake(
                "source-auth",
                error.to_string(),
                "secrets are references: ${env:NAME} or ${file:PATH}",
            );
            None
        }
    }
}

/// Whether what this door asks for stands in the headers alone: a secret or a name
/// that is sent as it is, and no signature over the body.
fn is_proven_by_headers(config: &DoorConfig) -> bool {
    matches!(
        config,
        DoorConfig::Bearer { .. }
            | DoorConfig::Header { .. }
            | DoorConfig::Okta { .. }
            | DoorConfig::Certificate { .. }
    )
}
