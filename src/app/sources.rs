//! Configured sources and how their deliveries are checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;

use crate::connector::secret::{SECRET_MISSING, placeholder, resolve};
use crate::intake::signature::{Door, DoorConfig, Encoding};
use crate::intake::source::SourceSpec;
use crate::service::house::Source;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::map::MapReader;
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
        Some(auth) => auth.map().and_then(read_door),
        None if polled => {
            map.finish();
            return Some(Source { spec: Arc::unwrap_or_clone(spec?), door: None, poll: None });
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
    map.finish();
    match Door::new(config?) {
        Ok(door) => Some(Source { spec: Arc::unwrap_or_clone(spec?), door: Some(door), poll: None }),
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

/// `auth:` of a source: one way, with one secret, or two while they rotate.
fn read_door(map: MapReader<'_>) -> Option<DoorConfig> {
    let secrets = |key| -> Option<Vec<SecretString>> {
        let field: Field<'_> = map.optional(key)?;
        let mut found = Vec::new();
        for entry in field.one_or_many() {
            match entry.non_empty().map(resolve) {
                Some(Ok(secret)) => found.push(secret),
                Some(Err(error)) => {
                    let help = "secrets are read when the server starts";
                    if error.is_missing() {
                        entry.warning(SECRET_MISSING, error.to_string(), help);
                    } else {
                        entry.mistake("secret", error.to_string(), help);
                    }
                    found.push(placeholder());
                }
                None => {}
            }
        }
        Some(found)
    };
    let (webhooks, bearer, hmac) = (secrets("standard_webhooks"), secrets("bearer"), secrets("hmac_sha256"));
    let text = |key, default: &str| {
        map.optional(key).and_then(|field: Field<'_>| field.text()).unwrap_or(default).to_owned()
    };
    let header = text("header", "X-Signature-256");
    let prefix = text("prefix", "");
    let base64 =
        map.optional("encoding").and_then(|field| field.one_of(&["hex", "base64"])) == Some("base64");
    map.finish();
    if let Some(secrets) = webhooks {
        return Some(DoorConfig::StandardWebhooks { secrets });
    }
    if let Some(secrets) = bearer {
        return Some(DoorConfig::Bearer { secrets });
    }
    let encoding = if base64 { Encoding::Base64 } else { Encoding::Hex };
    hmac.map(|secrets| DoorConfig::HmacSha256 { secrets, header, prefix, encoding })
}
