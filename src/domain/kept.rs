//! What was kept of a target, field by field: as it was before it was touched,
//! as we left it, as it is now. Lifting restores the fields that are still as
//! we left them, and leaves alone what somebody else changed since.
//!
//! ```text
//!   captured   { target, id, already, state, attributes, reversible }
//!   for a look           + left     the fields as they were when our act was read back
//!   for the way back     + leave    the fields that somebody else changed, as they are now
//! ```

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Map;

use crate::domain::value::{Value, truncate_text};

/// The longest value that words about a field show, in bytes: a line or two.
const WORDS_BYTES_MAX: usize = 200;

/// Names of fields whose values are never shown, in lower case and by part.
const SECRET_NAMES: [&str; 6] = ["password", "secret", "token", "credential", "apikey", "api_key"];

/// What stands where a value is not shown.
pub const LEFT_OUT: &str = "(left out)";

/// Whether a field of this name may hold a secret, whose value is never shown.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Where one kept field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldState {
    /// As it was before; there is nothing to restore.
    Restored,
    /// As we left it.
    AsLeft,
    /// Neither: somebody else changed it since.
    Changed,
}

/// One kept field of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptField {
    /// Its name.
    pub name: String,
    /// What it was before the target was touched.
    pub before: Value,
    /// What it was when our act was read back; nothing when that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "seen")]
    pub left: Option<Value>,
    /// What it is now.
    pub now: Value,
    /// Where it stands.
    pub state: FieldState,
    /// Whether our act changed it, or nobody saw whether it did.
    pub ours: bool,
}

/// A value that is there was seen, also when it is null.
fn seen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl KeptField {
    /// Whether somebody else changed it.
    pub fn is_changed(&self) -> bool {
        self.state == FieldState::Changed
    }

    /// Whether what somebody else changed is what we had changed: then nobody
    /// but a person can say what it should be.
    pub fn is_disputed(&self) -> bool {
        self.is_changed() && self.ours
    }

    /// As it may be shown and written into words and lists.
    pub fn shown(&self) -> Self {
        if !is_secret(&self.name) {
            return self.clone();
        }
        let hidden = || Value::from(LEFT_OUT);
        Self { before: hidden(), left: self.left.as_ref().map(|_| hidden()), now: hidden(), ..self.clone() }
    }

    /// What differs, in words.
    pub fn words(&self) -> String {
        let shown = self.shown();
        let text = |value: &Value| truncate_text(&value.to_string(), WORDS_BYTES_MAX).into_owned();
        let left = match &shown.left {
            Some(left) if self.ours => format!(", we left it {}", text(left)),
            _ => String::new(),
        };
        format!("`{}` was {} before{left}, and is {} now", self.name, text(&shown.before), text(&shown.now))
    }
}

/// The fields in words, those alone that `keep` wants.
pub fn words_of(fields: &[KeptField], keep: impl Fn(&KeptField) -> bool) -> String {
    let told: Vec<String> = fields.iter().filter(|field| keep(field)).map(KeptField::words).collect();
    told.join("; ")
}

/// Each kept field as it stands. `captured` may say under `left` how our act
/// left the fields; where that was not seen, `holds` (whether the containment
/// still shows) has to tell.
pub fn compare(keep: &[String], captured: &Value, now: &Value, holds: bool) -> Vec<KeptField> {
    let before = captured.get("state");
    let left = captured.get("left").and_then(Value::as_object);
    let field = |name: &String| {
        let before = before.and_then(|state| state.get(name)).cloned().unwrap_or_default();
        let left = left.map(|left| left.get(name).cloned().unwrap_or_default());
        let now = now.get(name).cloned().unwrap_or_default();
        let as_left = left.as_ref().map_or(holds, |left| *left == now);
        let state = match (now == before, as_left) {
            (true, _) => FieldState::Restored,
            (false, true) => FieldState::AsLeft,
            (false, false) => FieldState::Changed,
        };
        let ours = left.as_ref().is_none_or(|left| *left != before);
        KeptField { name: name.clone(), before, left, now, state, ours }
    };
    keep.iter().map(field).collect()
}

/// Where a target stands whose fields stand so: `as_left` (something is to be
/// restored), `changed` (nothing is, and somebody else changed what we had
/// changed), `restored` (nothing of ours is left).
pub fn standing(fields: &[KeptField]) -> &'static str {
    if fields.iter().any(|field| field.state == FieldState::AsLeft) {
        "as_left"
    } else if fields.iter().any(KeptField::is_disputed) {
        "changed"
    } else {
        "restored"
    }
}

/// The fields of what a look before lifting gave.
pub fn fields_of(look: &Value) -> Vec<KeptField> {
    let fields = look.get("fields").and_then(Value::as_array);
    let read = |field: &Value| serde_json::from_value(field.clone()).ok();
    fields.into_iter().flatten().filter_map(read).collect()
}

/// The captured state, with how our act left the fields, for a look.
pub fn with_left(captured: &Value, left: Option<&Value>) -> Value {
    with(captured, "left", left.cloned())
}

/// The captured state, with the fields that are left alone, for the way back.
pub fn with_leave(captured: &Value, fields: &[KeptField]) -> Value {
    let changed = fields.iter().filter(|field| field.is_changed());
    let leave: Map<String, Value> = changed.map(|field| (field.name.clone(), field.now.clone())).collect();
    with(captured, "leave", (!leave.is_empty()).then_some(Value::Object(leave)))
}

fn with(captured: &Value, name: &str, value: Option<Value>) -> Value {
    let mut captured = captured.clone();
    if let (Some(map), Some(value)) = (captured.as_object_mut(), value) {
        map.insert(name.to_owned(), value);
    }
    captured
}

/// The captured state as it is to be written: a field that is left alone
/// stands in it as it is now, so that writing all of it changes nothing of it.
pub fn to_write(captured: &Value) -> Value {
    let mut written = captured.clone();
    let leave = captured.get("leave").and_then(Value::as_object);
    let state = written.get_mut("state").and_then(Value::as_object_mut);
    if let (Some(state), Some(leave)) = (state, leave) {
        state.extend(leave.iter().map(|(name, now)| (name.clone(), now.clone())));
    }
    written
}

/// Whether what was to be restored is restored in what was read. What is left
/// alone may be anything.
pub fn is_restored(keep: &[String], captured: &Value, now: &Value) -> bool {
    let leave = captured.get("leave");
    keep.iter().filter(|name| leave.and_then(|leave| leave.get(name.as_str())).is_none()).all(|name| {
        let before = captured.get("state").and_then(|state| state.get(name));
        before.unwrap_or(&Value::Null) == now.get(name).unwrap_or(&Value::Null)
    })
}

/// What a captured target is called: its label, else its id.
pub fn target_label(captured: &Value) -> String {
    let text = |name: &str| match captured.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        None | Some(Value::Null) => None,
        Some(other) => Some(other.to_string()),
    };
    text("target").or_else(|| text("id")).unwrap_or_else(|| "the target".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keep(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_field_is_judged_on_its_own() {
        let captured = json!({
            "state": { "active": true, "groups": ["a", "b"], "note": null },
            "left": { "active": false, "groups": [], "note": null },
        });
        let kept = keep(&["active", "groups", "note"]);
        use FieldState::{AsLeft, Changed, Restored};
        for (now, states, stands) in [
            (json!({ "active": false, "groups": [] }), [AsLeft, AsLeft, Restored], "as_left"),
            (json!({ "active": true, "groups": ["a", "b"] }), [Restored, Restored, Restored], "restored"),
            (json!({ "active": false, "groups": ["c"] }), [AsLeft, Changed, Restored], "as_left"),
            (json!({ "active": true, "groups": ["c"] }), [Restored, Changed, Restored], "changed"),
            // What we never touched, and somebody else did, is nobody's business here.
            (
                json!({ "active": true, "groups": ["a", "b"], "note": "x" }),
                [Restored, Restored, Changed],
                "restored",
            ),
            (json!({ "active": false, "groups": [], "note": "x" }), [AsLeft, AsLeft, Changed], "as_left"),
        ] {
            let fields = compare(&kept, &captured, &now, true);
            let found: Vec<FieldState> = fields.iter().map(|field| field.state).collect();
            assert_eq!(found, states, "{now}");
            assert_eq!(standing(&fields), stands, "{now}");
            assert_eq!(fields_of(&json!({ "fields": fields })), fields, "{now}");
        }
    }

    #[test]
    fn where_nobody_saw_how_it_was_left_the_read_back_has_to_tell() {
        let captured = json!({ "state": { "active": true } });
        let kept = keep(&["active"]);
        let stands =
            |active: bool, holds| standing(&compare(&kept, &captured, &json!({ "active": active }), holds));
        assert_eq!(
            (stands(false, true), stands(false, false), stands(true, false)),
            ("as_left", "changed", "restored")
        );
    }

    #[test]
    fn what_somebody_else_changed_is_written_as_it_is() {
        let captured = json!({ "id": "u-1", "state": { "active": true, "groups": ["a"] }, "left": { "active": false, "groups": [] } });
        let kept = keep(&["active", "groups"]);
        let now = json!({ "active": false, "groups": ["theirs"] });
        let leaving = with_leave(&captured, &compare(&kept, &captured, &now, true));
        assert_eq!(to_write(&leaving)["state"], json!({ "active": true, "groups": ["theirs"] }));
        assert!(is_restored(&kept, &leaving, &json!({ "active": true, "groups": ["whatever"] })));
        assert!(!is_restored(&kept, &leaving, &json!({ "active": false, "groups": ["a"] })));
        assert!(!is_restored(&kept, &captured, &json!({ "active": true, "groups": ["theirs"] })));
        assert_eq!(to_write(&captured), captured);
    }

    #[test]
    fn secrets_are_in_no_words() {
        let captured = json!({ "state": { "api_token": "hunter2" }, "left": { "api_token": null } });
        let fields = compare(&keep(&["api_token"]), &captured, &json!({ "api_token": "hunter3" }), true);
        let told = format!("{} {}", fields[0].words(), json!(fields[0].shown()));
        assert!(told.contains("api_token") && !told.contains("hunter"), "{told}");
    }
}
