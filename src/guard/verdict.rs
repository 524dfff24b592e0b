//! May this target be contained now? Asked when the target was found, and again
//! just before it is touched.

use crate::domain::address::address_key;
use crate::domain::value::Value;
use crate::guard::people::{People, is_address};

/// Identities that are never contained without a person doing it by hand.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// Addresses, lower-case.
    pub users: Vec<String>,
    /// Groups of the directory.
    pub groups: Vec<String>,
    /// Attributes with the value that protects.
    pub attributes: Vec<(String, String)>,
}

/// How many different targets may be contained.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// In one run.
    pub people_per_run: usize,
    /// In ten minutes, anywhere.
    pub per_10_minutes: usize,
    /// In a day, anywhere.
    pub per_day: usize,
}

impl Default for Caps {
    /// The numbers of the reliability bar: a burst is itself an alarm.
    fn default() -> Self {
        Self { people_per_run: 3, per_10_minutes: 10, per_day: 25 }
    }
}

/// Targets contained so far, this one not counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// In this run.
    pub run: usize,
    /// In the last ten minutes.
    pub ten_minutes: usize,
    /// In the last day.
    pub day: usize,
}

/// Whom a containment would touch.
pub struct Target<'a> {
    /// The immutable id.
    pub id: &'a str,
    /// What the operation is called with: it also names whom it touches.
    pub input: &'a Value,
    /// `address`, `type`, `groups` … as the connector captured them.
    pub attributes: &'a Value,
}

/// Why it may not be contained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Stable code.
    pub code: &'static str,
    /// What stands in the way, and what to do.
    pub message: String,
}

/// What may be contained.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Who is never contained.
    pub protected: Protected,
    /// How many may be.
    pub caps: Caps,
}

/// Names that mark break-glass accounts wherever they are: the compiled
/// minimum, which no settings can take away. Compared without `-`, `_`, `.`.
const BREAK_GLASS: &[&str] = &["breakglass", "emergencyadmin", "adminemergency"];

/// Types that directories give to accounts of machines.
const SERVICE_TYPES: &[&str] =
    &["service", "serviceaccount", "service account", "service_account", "bot", "machine"];

impl Guard {
    /// Whether the target may be contained now.
    ///
    /// # Errors
    /// The guardrail that stands in the way.
    pub fn verdict(&self, target: &Target<'_>, counts: Counts, people: &People) -> Result<(), Refused> {
        let refused = |code, message: String| Err(Refused { code, message });
        if target.id.trim().is_empty() || target.id.contains(['*', '%']) {
            return refused(
                "target-unclear",
                "the target is empty or a pattern; nobody was touched".to_owned(),
            );
        }
        let names = names(target);
        if let Some(why) =
            self.protected_by(target, &names).or_else(|| self.protected_group(target, &names, people))
        {
            return refused(
                "target-protected",
                format!(
                    "the target is protected ({why}); nobody was touched. Decide and act by hand, with its owner"
                ),
            );
        }
        if let Some(group) = self.protected.groups.iter().find(|group| !can_tell(target, group, people)) {
            return refused(
                "target-unclear",
                format!(
                    "the guardrails protect the group `{group}`, and nothing says whether the target is in it; nobody was touched. Add the group under `people.groups`, or let the connector's `capture.attributes` give `groups`"
                ),
            );
        }
        for (count, cap, span) in [
            (counts.run, self.caps.people_per_run, "in this run"),
            (counts.ten_minutes, self.caps.per_10_minutes, "within 10 minutes"),
            (counts.day, self.caps.per_day, "within a day"),
        ] {
            if count >= cap {
                return refused(
                    "cap-reached",
                    format!(
                        "{count} other targets were contained {span} or are about to be, and the cap is {cap}; nobody was touched. A burst is itself an alarm: look at what is going on before raising it"
                    ),
                );
            }
        }
        Ok(())
    }

    /// The rule that protects a target by its name or attributes.
    fn protected_by(&self, target: &Target<'_>, names: &[String]) -> Option<String> {
        let addressed = attribute(target, "address").into_iter().map(address_key);
        for name in addressed.chain(names.iter().filter(|name| is_address(name)).cloned()) {
            let local = name.split('@').next().unwrap_or_default();
            let plain: String = local.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect();
            if BREAK_GLASS.iter().any(|mark| plain.starts_with(mark)) {
                return Some("a break-glass account by its name".to_owned());
            }
            if local.starts_with("svc-") || local.starts_with("svc_") {
                return Some("a service account by its name".to_owned());
            }
        }
        let is_service = |kind: &str| SERVICE_TYPES.contains(&kind.to_lowercase().as_str());
        if ["type", "userType"].iter().any(|name| attribute(target, name).is_some_and(is_service)) {
            return Some("a service account".to_owned());
        }
        if self.protected.users.iter().any(|user| names.iter().any(|name| name == user)) {
            return Some("listed under `guardrails.protected.users`".to_owned());
        }
        let marked = self
            .protected
            .attributes
            .iter()
            .find(|(name, value)| target.attributes.get(name).is_some_and(|is| shows(is, value)));
        marked.map(|(name, value)| format!("its `{name}` is `{value}`"))
    }

    fn protected_group(&self, target: &Target<'_>, names: &[String], people: &People) -> Option<String> {
        let given = target.attributes.get("groups").unwrap_or(&Value::Null);
        let within = |group: &&String| {
            shows(given, group)
                || names
                    .iter()
                    .any(|name| people.groups_of(name).iter().any(|mine| mine.eq_ignore_ascii_case(group)))
        };
        self.protected.groups.iter().find(within).map(|group| format!("in the protected group `{group}`"))
    }
}

fn attribute<'a>(target: &Target<'a>, name: &str) -> Option<&'a str> {
    target.attributes.get(name).and_then(Value::as_str)
}

/// Everything that names the target, in lower case: its id, the address that
/// was captured, and each text of the input. A connector that gives no
/// attributes must not be a way around the protected list.
fn names(target: &Target<'_>) -> Vec<String> {
    let input = target.input.as_object().into_iter().flat_map(|map| map.values()).filter_map(Value::as_str);
    [target.id]
        .into_iter()
        .chain(attribute(target, "address"))
        .chain(input)
        .map(address_key)
        .filter(|name| !name.is_empty())
        .collect()
}

/// Whether a captured value is, or holds, this text (already in lower case):
/// directories give `true` and lists as well as texts.
fn shows(value: &Value, text: &str) -> bool {
    match value {
        Value::String(is) => is.to_lowercase() == text,
        Value::Array(items) => items.iter().any(|item| shows(item, text)),
        Value::Bool(is) => text == if *is { "true" } else { "false" },
        Value::Number(is) => is.to_string() == text,
        Value::Null | Value::Object(_) => false,
    }
}

/// Whether anything says who is in the group. Nobody knowing means protected.
fn can_tell(target: &Target<'_>, group: &str, people: &People) -> bool {
    target.attributes.get("groups").is_some_and(Value::is_array)
        || people.names().iter().any(|known| known.eq_ignore_ascii_case(group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn guard() -> Guard {
        Guard {
            protected: Protected {
                users: vec!["ceo@example.com".into(), "00uceo".into()],
                groups: vec!["domain-admins".into()],
                attributes: vec![("team".into(), "on-call".into()), ("privileged".into(), "true".into())],
            },
            caps: Caps::default(),
        }
    }

    fn people() -> People {
        People::new([("domain-admins".to_owned(), vec!["root@example.com".to_owned()])])
    }

    fn ask(id: &str, input: &Value, attributes: &Value, counts: Counts) -> Result<(), &'static str> {
        guard().verdict(&Target { id, input, attributes }, counts, &people()).map_err(|refused| refused.code)
    }

    #[test]
    fn protected_identities_are_never_contained() {
        let anybody = json!({ "user": "x@example.com" });
        for attributes in [
            json!({ "address": "CEO@example.com" }),
            json!({ "address": "svc-backup@example.com" }),
            json!({ "address": "x@example.com", "type": "Service" }),
            json!({ "address": "x@example.com", "userType": "Service" }),
            json!({ "address": "breakglass@example.com" }),
            json!({ "address": "break-glass-2@example.com" }),
            json!({ "address": "Break_Glass@example.com" }),
            json!({ "address": "admin-emergency@example.com" }),
            json!({ "address": "breakglass01" }),
            json!({ "address": "x@example.com", "groups": ["Domain-Admins"] }),
            json!({ "address": "root@example.com" }),
            json!({ "address": "x@example.com", "team": "On-Call" }),
            json!({ "address": "x@example.com", "team": ["day", "on-call"] }),
            json!({ "address": "x@example.com", "privileged": true }),
        ] {
            assert_eq!(
                ask("7", &anybody, &attributes, Counts::default()),
                Err("target-protected"),
                "{attributes}"
            );
        }
        let (by, dana) = (
            json!({ "user": "dana@example.com" }),
            json!({ "address": "dana@example.com", "type": "Employee", "privileged": false }),
        );
        assert_eq!(ask("7", &by, &dana, Counts::default()), Ok(()));
        for id in ["", " ", "*", "%"] {
            assert_eq!(ask(id, &by, &dana, Counts::default()), Err("target-unclear"));
        }
    }

    #[test]
    fn a_connector_without_attributes_is_no_way_around_the_list() {
        for user in [
            "ceo@example.com",
            "CEO@Example.com ",
            "root@example.com",
            "breakglass@example.com",
            "svc-backup@example.com",
        ] {
            assert_eq!(
                ask("7", &json!({ "user": user }), &Value::Null, Counts::default()),
                Err("target-protected"),
                "{user}"
            );
        }
        assert_eq!(
            ask("00uCEO", &json!({}), &Value::Null, Counts::default()),
            Err("target-protected"),
            "by its immutable id, in any case"
        );
    }

    #[test]
    fn a_protected_group_that_nobody_can_tell_of_protects_everybody() {
        let (input, attributes) = (json!({}), json!({ "address": "dana@example.com" }));
        let target = Target { id: "7", input: &input, attributes: &attributes };
        let refused = guard().verdict(&target, Counts::default(), &People::default());
        assert_eq!(refused.map_err(|refused| refused.code), Err("target-unclear"));
        let told = json!({ "address": "dana@example.com", "groups": [] });
        assert_eq!(
            guard().verdict(
                &Target { id: "7", input: &input, attributes: &told },
                Counts::default(),
                &People::default()
            ),
            Ok(())
        );
    }

    proptest! {
        #[test]
        fn caps_are_never_passed(run in 0usize..10, ten in 0usize..30, day in 0usize..60) {
            let caps = Caps::default();
            let dana = json!({ "address": "dana@example.com" });
            let allowed = ask("7", &json!({}), &dana, Counts { run, ten_minutes: ten, day }).is_ok();
            prop_assert_eq!(allowed, run < caps.people_per_run && ten < caps.per_10_minutes && day < caps.per_day);
        }

        #[test]
        fn nothing_else_that_is_known_lifts_a_protection(id in "[a-z0-9]{1,8}", kind in "[A-Za-z]{0,8}", extra in "[a-z]{1,6}", run in 0usize..3) {
            let attributes = json!({ "address": "CEO@example.com", "type": kind, extra: "x" });
            prop_assert_eq!(ask(&id, &json!({}), &attributes, Counts { run, ..Counts::default() }), Err("target-protected"));
        }
    }
}
