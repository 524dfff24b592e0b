//! Raw bytes to alerts, by rules that each source declares in one YAML file.
//!
//! ```text
//! delivery ─signature→ body ─json→ payload ─split→ items ─fields→ [Alert]
//!                                              ↑
//!                        SourceSpec ←read─ shipped/*.yaml or the user's own
//! ```
//!
//! Everything here is pure: time and ids come in as arguments. A payload
//! becomes all of its alerts or none, and no payload, however hostile, does
//! more than be refused with a code.

pub mod error;
pub mod fingerprint;
pub mod hand;
pub mod identity;
pub mod inside;
pub mod json;
pub mod keys;
pub mod lists;
pub mod moment;
pub mod normalise;
pub mod parties;
pub mod path;
pub mod record;
pub mod rule;
pub mod severity;
pub mod shipped;
pub mod signature;
pub mod source;
pub mod text;
pub mod verb;
