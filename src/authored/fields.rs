//! The fields that authors may name of an alert, an incident and a run.

/// The fields of a normalised alert (`domain::alert::Alert`).
pub const ALERT: &[&str] = &[
    "id",
    "source",
    "source_id",
    "rule",
    "category",
    "status",
    "severity",
    "vendor_severity",
    "title",
    "description",
    "event_time",
    "received_at",
    "user",
    "actor",
    "users",
    "host",
    "hosts",
    "src_ip",
    "objects",
    "dest",
    "indicators",
    "techniques",
    "counts",
    "shape_unknown",
    "url",
    "fingerprint",
    "raw",
];
/// A person of an alert.
pub const USER: &[&str] = &["email", "id", "name", "employee_id", "service"];
/// A machine of an alert.
pub const HOST: &[&str] = &["id", "name", "ip"];
/// The rule that fired.
pub const RULE: &[&str] = &["id", "name", "version"];
/// Where data went.
pub const DEST: &[&str] = &["domain", "account", "device"];
/// One thing that an alert is about.
pub const OBJECT: &[&str] = &["name", "path", "origin", "sha256", "label", "bytes", "count"];
/// How many of each an alert names, those that are not kept included.
pub const COUNTS: &[&str] = &["users", "hosts", "objects", "indicators", "techniques"];
/// One indicator.
pub const INDICATOR: &[&str] = &["kind", "value"];
/// The incident, as expressions see it.
pub const INCIDENT: &[&str] = &["id", "severity", "status", "disposition", "assignee", "tags"];
/// The run, as expressions see it.
pub const RUN: &[&str] = &["id", "playbook", "version", "by", "started_at", "posture"];
