//! A plan: a playbook bound to what it will run on, frozen in the journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::playbook::{Playbook, Texts};
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
}
