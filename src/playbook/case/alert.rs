//! The part of an alert that matters to a case, laid over an empty one.

use serde_json::{Value, json};
use ulid::Ulid;

use crate::domain::alert::{Alert, ListCounts};
use crate::domain::id::AlertId;
use crate::domain::time::Timestamp;
use crate::playbook::case::file::report;
use crate::yaml::diagnostic::{did_you_mean, quoted};
use crate::yaml::node::{Node, NodeValue};
use crate::yaml::shape::{Field, Reader};

/// An alert that says nothing, as it is stored.
fn empty(now: Timestamp) -> Value {
    let id = Ulid::from_parts(u64::try_from(now.millis()).unwrap_or(0), 1);
    json!({
        "id": AlertId::new(id), "source": "test", "source_id": null,
        "rule": { "id": null, "name": null, "version": null },
        "category": "other", "status": "open", "severity": 50, "vendor_severity": null,
        "title": "An alert", "description": null, "event_time": null, "received_at": now,
        "user": user(), "actor": user(), "users": [], "host": host(), "hosts": [], "src_ip": null,
        "objects": [], "dest": { "domain": null, "account": null, "device": null },
        "indicators": [], "techniques": [],
        "counts": ListCounts::default(), "shape_unknown": false, "url": null, "fingerprint": "test", "raw": null,
    })
}

fn user() -> Value {
    json!({ "email": null, "id": null, "name": null, "employee_id": null, "service": false })
}

fn host() -> Value {
    json!({ "id": null, "name": null, "ip": null })
}

/// What an item of one of the alert's lists can say.
fn item_of(list: &str) -> Option<Value> {
    Some(match list {
        "users" => user(),
        "hosts" => host(),
        "objects" => json!({
            "name": null, "path": null, "origin": null, "sha256": null,
            "label": null, "bytes": null, "count": null,
        }),
        "indicators" => json!({ "kind": "", "value": "" }),
        _ => return None,
    })
}

/// An alert out of layers, each laid over the one before.
pub(super) fn read_alert(layers: &[Field<'_>], now: Timestamp) -> Option<Alert> {
    let mut value = empty(now);
    for layer in layers {
        let _ = layer.map()?.entries();
        lay(layer.reader(), &mut value, layer.node(), "`alert`");
    }
    // A detector names the subject among the users.
    if value["users"] == json!([]) && value["user"] != user() {
        value["users"] = json!([value["user"].clone()]);
    }
    if value["hosts"] == json!([]) && value["host"] != host() {
        value["hosts"] = json!([value["host"].clone()]);
    }
    match serde_json::from_value::<Alert>(value) {
        Ok(alert) => Some(alert.counted()),
        Err(error) => {
            let layer = layers.last()?;
            let help = "docs/alerts.md lists the fields of an alert and their types";
            layer.mistake("wrong-type", format!("this is no alert: {error}"), help);
            None
        }
    }
}

fn lay(reader: &Reader, base: &mut Value, node: &Node, of: &str) {
    let (Value::Object(known), NodeValue::Map(entries)) = (&mut *base, &node.value) else {
        *base = node.to_json();
        return;
    };
    for (key, node) in entries {
        let path = format!("{}.{}`", of.trim_end_matches('`'), key.name);
        let Some(slot) = known.get_mut(&key.name) else {
            let help = match did_you_mean(&key.name, known.keys()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it has: {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            report(reader, key.place, "unknown-key", format!("{of} has no {}", quoted(&key.name)), help);
            continue;
        };
        match (item_of(&key.name).filter(|_| of == "`alert`"), node.as_list()) {
            (Some(item), Some(nodes)) => {
                let laid = nodes.iter().map(|node| {
                    let mut item = item.clone();
                    lay(reader, &mut item, node, &format!("an item of {path}"));
                    item
                });
                *slot = Value::Array(laid.collect());
            }
            // What the sender sent is free.
            _ if path == "`alert.raw`" => *slot = node.to_json(),
            _ => lay(reader, slot, node, &path),
        }
    }
}
