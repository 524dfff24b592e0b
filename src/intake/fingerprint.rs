//! What makes two alerts the same finding.

use sha2::{Digest as _, Sha256};

use crate::domain::alert::Alert;

/// Fields that a fingerprint can be made of, as source files name them.
pub const FIELDS: &[&str] = &[
    "source_id",
    "rule.id",
    "rule.name",
    "title",
    "user.email",
    "user.id",
    "user.name",
    "host.id",
    "host.name",
    "host.ip",
    "src_ip",
    "objects",
    "dest.domain",
    "dest.account",
    "dest.device",
];

/// What stands for the same finding when there is no id of the sender's.
const WITHOUT_ID: &[&str] = &[
    "rule.id",
    "rule.name",
    "title",
    "user.email",
    "user.id",
    "user.name",
    "host.name",
    "objects",
    "dest.domain",
];

/// The fingerprint of `alert` over `fields`, in hex.
///
/// Of somebody else it is another finding, whatever its fields say: whom the alert is
/// about, else who did it, comes after a dash. What stands before it
/// ([`Tie::unnamed`](crate::domain::tie::Tie::unnamed)) is of the fields alone.
///
/// The default, also taken when none of `fields` is known, is the sender's id,
/// else rule, title, user, host, objects and destination. The source is always
/// part of it: two detectors never have the same finding.
#[must_use]
pub fn of(alert: &Alert, fields: &[&str]) -> String {
    let known = |fields: &[&str]| fields.iter().any(|field| !parts(alert, field).is_empty());
    let (own, fields) = if known(fields) {
        (true, fields)
    } else if alert.source_id.is_some() {
        (false, &["source_id"][..])
    } else {
        (false, WITHOUT_ID)
    };
    let mut hash = Sha256::new();
    // Lengths and counts go in front, so that no two lists of texts run
    // together into the same bytes.
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(&alert.source);
    for field in fields {
        let parts = parts(alert, field);
        add(field);
        add(&parts.len().to_string());
        parts.into_iter().for_each(&mut add);
    }
    let fields = hex::encode(hash.finalize());
    match person(alert, own) {
        Some(person) => format!("{fields}-{person}"),
        None => fields,
    }
}

/// Whom the alert is about, else who did it, as half a hash. A source that says itself
/// what makes a finding leaves out who did it: who ends or reopens it is told there too.
fn person(alert: &Alert, own_fields: bool) -> Option<String> {
    let (user, part) = match (alert.user.is_nobody(), alert.actor.is_nobody() || own_fields) {
        (false, _) => (&alert.user, "user"),
        (true, false) => (&alert.actor, "actor"),
        (true, true) => return None,
    };
    let name = [&user.email, &user.employee_id, &user.id, &user.name].into_iter().flatten().next()?;
    let mut hash = Sha256::new();
    hash.update(part);
    hash.update(name.trim().to_lowercase());
    Some(hex::encode(&hash.finalize()[..16]))
}

/// The texts of one field; none when it is absent.
fn parts<'a>(alert: &'a Alert, field: &str) -> Vec<&'a str> {
    let one = match field {
        "source_id" => &alert.source_id,
        "rule.id" => &alert.rule.id,
        "rule.name" => &alert.rule.name,
        "title" => return vec![&alert.title],
        "user.email" => &alert.user.email,
        "user.id" => &alert.user.id,
        "user.name" => &alert.user.name,
        "host.id" => &alert.host.id,
        "host.name" => &alert.host.name,
        "host.ip" => &alert.host.ip,
        "src_ip" => &alert.src_ip,
        "dest.domain" => &alert.dest.domain,
        "dest.account" => &alert.dest.account,
        "dest.device" => &alert.dest.device,
        "objects" => {
            let parts = alert.objects.iter().map(|object| match &object.sha256 {
                Some(sha256) => [Some(sha256), None],
                None => [object.path.as_ref(), object.name.as_ref()],
            });
            return parts.flatten().flatten().map(String::as_str).collect();
        }
        _ => &None,
    };
    one.as_deref().into_iter().collect()
}
