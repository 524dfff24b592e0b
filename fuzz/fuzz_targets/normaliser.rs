//! Any bytes, as any shipped source: all alerts or none, no panic, and nothing that
//! steers a terminal outside `raw`.
//!
//! The first byte chooses the source, the second the content type, the rest is the body.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quell::domain::id::AlertId;
use quell::domain::time::Timestamp;
use quell::intake::normalise::{ALERTS_MAX, normalise};
use quell::intake::shipped::SHIPPED;
use quell::intake::source::SourceSpec;
use serde_json::Value;

static SPECS: LazyLock<Vec<SourceSpec>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| SourceSpec::read(name, text).expect("a shipped source");
    SHIPPED.iter().map(read).collect()
});

const TYPES: [Option<&str>; 4] =
    [None, Some("application/json"), Some("application/x-ndjson"), Some("text/plain; charset=latin1")];

fn sound(key: &str, value: &Value) {
    match value {
        Value::String(text) => {
            let lines = key == "description";
            let steers = |c: char| c.is_control() && !(lines && (c == '\n' || c == '\t'));
            assert!(!text.chars().any(steers), "{key}: {text:?}");
        }
        Value::Array(items) => items.iter().for_each(|item| sound(key, item)),
        Value::Object(map) => map.iter().filter(|(key, _)| *key != "raw").for_each(|(key, value)| sound(key, value)),
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let [source, kind, body @ ..] = data else { return };
    let spec = &SPECS[usize::from(*source) % SPECS.len()];
    let kind = TYPES[usize::from(*kind) % TYPES.len()];
    let now = Timestamp::from_millis(1_800_000_000_000);
    let mut ids = 0u128;
    let mut new_id = || {
        ids += 1;
        AlertId::new(ids.into())
    };
    match normalise(spec, "fuzzed", body, kind, now, &mut new_id) {
        Ok(alerts) => {
            assert!(alerts.len() <= ALERTS_MAX);
            for alert in &alerts {
                assert!(!alert.title.is_empty() && alert.severity <= 100);
                sound("", &serde_json::to_value(alert).expect("an alert is JSON"));
            }
        }
        Err(error) => {
            assert!(error.code().starts_with("alert-"));
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
        }
    }
});
