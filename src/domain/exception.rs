//! Exceptions: for a time, alerts of a rule that is known to be wrong, or right and
//! harmless, have no effect. They are stored all the same.
//!
//! An exception has an owner and an end, names a rule, and never hides what is more
//! severe than what it was made for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, User};
use crate::domain::expr::Expr;
use crate::domain::expr::scope::Scope;
use crate::domain::time::Timestamp;

/// The longest that an exception may hold: a quarter. What is right for longer
/// belongs into the rule itself.
pub const HOLDS_MOST: Duration = Duration::from_secs(92 * 24 * 3600);

/// The severity up to which an exception counts when it says nothing: critical
/// alerts are never hidden unasked.
pub const SEVERITY_MOST: u8 = 89;

/// Alerts that have no effect for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    /// Alerts of this source alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Alerts of this rule, by its name or id, in any case.
    pub rule: String,
    /// Alerts about this person or account alone, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Alerts on this machine alone, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Alerts for which this holds alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// Alerts that are no more severe than this alone, 0 to 100.
    pub severity_max: u8,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub why: String,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Who made it.
    pub by: String,
}

/// Why an exception is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExceptionError {
    /// A text that is needed is empty.
    #[error("an exception needs {0}")]
    Empty(&'static str),
    /// It has ended already, or would hold too long.
    #[error("an exception ends in the future and within {most} days; mend the rule at its detector for longer", most = HOLDS_MOST.as_secs() / 86_400)]
    Time,
    /// A person would take themselves out of sight.
    #[error(
        "nobody makes or owns an exception about themselves; let somebody else make it, for another owner"
    )]
    OwnAlerts,
    /// The severity is none.
    #[error("the severity goes from 0 to 100")]
    Severity,
}

impl Exception {
    /// Checks one that is to be made at `now`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, now: Timestamp) -> Result<(), ExceptionError> {
        for (text, what) in [(&self.rule, "a rule"), (&self.owner, "an owner"), (&self.why, "a reason")] {
            if text.trim().is_empty() {
                return Err(ExceptionError::Empty(what));
            }
        }
        if self.severity_max > 100 {
            return Err(ExceptionError::Severity);
        }
        if self.until <= now || self.until > now.after(HOLDS_MOST) {
            return Err(ExceptionError::Time);
        }
        let about = self.subject.as_deref().map(login).filter(|it| !it.is_empty());
        if about.is_some_and(|about| about == login(&self.by) || about == login(&self.owner)) {
            return Err(ExceptionError::OwnAlerts);
        }
        Ok(())
    }

    /// Whether it keeps this alert from having any effect at `now`. An expression
    /// that cannot be worked out covers nothing.
    #[must_use]
    pub fn covers(&self, alert: &Alert, scope: &Scope<'_>, now: Timestamp) -> bool {
        let own = alert.may_be_about(&self.by) || alert.may_be_about(&self.owner);
        now < self.until
            && !own
            && alert.severity <= self.severity_max
            && self.source.as_ref().is_none_or(|source| *source == alert.source)
            && [&alert.rule.name, &alert.rule.id].into_iter().flatten().any(|rule| same(rule, &self.rule))
            && self.subject.as_ref().is_none_or(|subject| is_subject(&alert.user, subject))
            && self.host.as_ref().is_none_or(|host| {
                [&alert.host.name, &alert.host.id].into_iter().flatten().any(|name| same(name, host))
            })
            && self.when.as_ref().is_none_or(|when| when.eval_bool(scope).unwrap_or(false))
    }
}

fn is_subject(user: &User, subject: &str) -> bool {
    [&user.email, &user.id, &user.name, &user.employee_id]
        .into_iter()
        .flatten()
        .any(|name| same(name, subject))
}

fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// The part of an address or account that is the same in its other forms.
fn login(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let name = name.rsplit('\\').next().unwrap_or_default();
    name.split('@').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(json!(text)).expect("a time")
    }

    fn exception(with: serde_json::Value) -> Exception {
        let mut exception = json!({
            "rule": "Bulk download", "severity_max": 70, "owner": "lee@example.com", "why": "the nightly export",
            "until": "2026-12-01T00:00:00Z", "by": "ana@example.com",
        });
        for (key, value) in with.as_object().expect("a map") {
            exception[key] = value.clone();
        }
        serde_json::from_value(exception).expect("an exception")
    }

    fn alert(with: serde_json::Value) -> Alert {
        let mut alert = json!({
            "id": "alt_01KAZZZZZZZZZZZZZZZZZZZZZZ", "source": "s", "rule": { "name": "Bulk Download", "id": "R1" },
            "category": "dlp", "severity": 60, "title": "t", "received_at": "2026-11-26T10:00:00Z",
            "user": { "email": "dana@example.com" }, "users": [], "host": {}, "hosts": [],
            "objects": [], "dest": {}, "indicators": [], "techniques": [], "fingerprint": "f", "raw": null,
        });
        for (key, value) in with.as_object().expect("a map") {
            alert[key] = value.clone();
        }
        serde_json::from_value(alert).expect("an alert")
    }

    #[test]
    fn an_exception_covers_what_it_names_for_its_time_and_nothing_worse() {
        let now = "2026-11-27T00:00:00Z";
        for (made, came, when, covered) in [
            (json!({}), json!({}), now, true),
            (json!({ "rule": "r1" }), json!({}), now, true),
            (json!({ "rule": "R2" }), json!({}), now, false),
            (json!({}), json!({}), "2026-12-01T00:00:00Z", false),
            (json!({}), json!({ "severity": 71 }), now, false),
            (json!({ "source": "other" }), json!({}), now, false),
            (json!({ "subject": "Dana@example.com" }), json!({}), now, true),
            (json!({ "subject": "kim@example.com" }), json!({}), now, false),
            (json!({ "host": "lap-1" }), json!({ "host": { "name": "LAP-1" } }), now, true),
            (json!({ "host": "lap-1" }), json!({}), now, false),
            (json!({ "when": "alert.severity < 61" }), json!({}), now, true),
            (json!({ "when": "alert.severity < 60" }), json!({}), now, false),
            (json!({ "when": "alert.nothing.at_all" }), json!({}), now, false),
            (json!({}), json!({ "rule": {} }), now, false),
            (json!({}), json!({ "user": { "name": "ana" } }), now, false),
            (json!({}), json!({ "user": { "email": "lee@example.com" } }), now, false),
        ] {
            let alert = alert(came.clone());
            let value = serde_json::to_value(&alert).expect("JSON");
            let scope = Scope::new().with("alert", &value);
            assert_eq!(
                exception(made.clone()).covers(&alert, &scope, at(when)),
                covered,
                "{made} {came} {when}"
            );
        }
    }

    #[test]
    fn nobody_hides_their_own_alerts_and_no_exception_is_for_ever() {
        let now = at("2026-11-27T00:00:00Z");
        for (made, answer) in [
            (json!({}), Ok(())),
            (json!({ "subject": "ana@example.com" }), Err(ExceptionError::OwnAlerts)),
            (json!({ "subject": "EXAMPLE\\lee" }), Err(ExceptionError::OwnAlerts)),
            (json!({ "until": "2026-11-27T00:00:00Z" }), Err(ExceptionError::Time)),
            (json!({ "until": "2027-11-27T00:00:00Z" }), Err(ExceptionError::Time)),
            (json!({ "why": " " }), Err(ExceptionError::Empty("a reason"))),
            (json!({ "rule": "" }), Err(ExceptionError::Empty("a rule"))),
        ] {
            assert_eq!(exception(made.clone()).check(now), answer, "{made}");
        }
    }
}
