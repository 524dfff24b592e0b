//! A plan: a playbook bound to what it will run on, frozen in the journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::playbook::{InputSpec, Playbook, Texts};
use crate::domain::value::{Digest, Value};

/// All that a run needs beside its alert and inputs. Stored once by digest and
/// shared by every run of the same playbook, templates and connectors: an
/// edit of any of them makes another plan and never reaches a run in flight.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The checked playbook.
    pub playbook: Playbook,
    /// The playbook's own text, by digest.
    pub source: Digest,
    /// The templates it names, by name.
    pub texts: Texts,
    /// The connectors it names: the declared specification of each, as data.
    pub connectors: BTreeMap<String, Value>,
    /// The playbooks that its steps run, as they were when it was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub playbooks: BTreeMap<String, Callee>,
}

/// A playbook that steps of another one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Callee {
    /// Its own plan.
    pub plan: Digest,
    /// Its version.
    pub version: u32,
    /// What it takes.
    pub inputs: Vec<InputSpec>,
}
