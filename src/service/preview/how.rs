//! Whether a dry run asks systems, and what it takes for an answer when it doesn't.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::command::{Perform, Phase};
use crate::domain::outcome::{Failure, FailureClass, Outcome};

/// Whether a dry run asks systems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Each is asked now, as a run would ask it.
    Live,
    /// None is asked: a step that reads gets no answer, and the playbook does
    /// what it does then.
    #[default]
    None,
}

/// What a read is taken to answer when it is not made. A look at a target before
/// it is contained is the house's own, not the playbook's: it finds the target,
/// in a state that nobody looked at.
pub(super) fn unread(perform: &Perform) -> Outcome {
    if perform.phase == Phase::Capture {
        let output = json!({ "target": target(&perform.input), "state": "not looked at" });
        return Outcome::Succeeded { output, evidence: None };
    }
    let why = "it was not asked: this dry run makes no reads";
    Outcome::from(Failure::new(FailureClass::Permanent, "not-read", why))
}

/// Whom or what an operation would touch, by what it is given.
fn target(input: &Value) -> String {
    let given = input.as_object().into_iter().flatten();
    let texts: Vec<&str> = given.filter_map(|(_, value)| value.as_str()).collect();
    if texts.is_empty() { "the target".to_owned() } else { texts.join(", ") }
}
