//! An idempotency key stands for one content. The key and the fingerprint of what
//! came with it are unique keys of the journal, appended with what was done, so that
//! both hold after a restart.

use crate::domain::id::StreamId;
use crate::domain::value::{Digest, Value, digest};
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;

/// A key that a sender gave, for one call, with what it was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// What the key stands for in the journal: the call's own part and the sender's.
    name: Digest,
    /// What it was sent with.
    content: Digest,
    /// How stores were written before fingerprints: they tell a key only.
    without_content: String,
}

/// Whether a key was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Used {
    /// It was not.
    Never,
    /// With the same content, or in a store that kept no fingerprint of it.
    Same(StreamId),
}

impl IdempotencyKey {
    /// The key `given` for the call that `scope` names, such as `run/quick`, with the
    /// content of the call.
    pub fn new(scope: &str, given: &str, content: &Value) -> Self {
        let without_content = format!("{scope}/{given}");
        Self {
            name: digest(without_content.as_bytes()),
            content: digest(content.to_string().as_bytes()),
            without_content,
        }
    }

    /// The keys that are appended with what the call does; the first alone stands
    /// for it.
    pub(super) fn unique_keys(&self) -> Vec<String> {
        vec![self.used_key(), self.content_key()]
    }

    fn used_key(&self) -> String {
        format!("idempotency/{}", self.name)
    }

    fn content_key(&self) -> String {
        format!("idempotency/{}/{}", self.name, self.content)
    }
}

impl Service {
    /// Whether the key was used before.
    ///
    /// # Errors
    /// `idempotency-key-reused` when it was used for another content.
    pub(super) async fn used(&self, key: &IdempotencyKey) -> Result<Used, ServiceError> {
        if let Some(stream) = self.journal.key(&key.used_key()).await? {
            return match self.journal.key(&key.content_key()).await? {
                Some(_) => Ok(Used::Same(stream)),
                None => Err(ServiceError::new(
                    Sort::OtherContent,
                    "idempotency-key-reused",
                    "this Idempotency-Key was used for another content before; nothing was done. Send a new key with a new content",
                )),
            };
        }
        let before = self.journal.key(&key.without_content).await?;
        Ok(before.map_or(Used::Never, Used::Same))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_stands_for_one_call_and_one_content() {
        let key = |scope: &str, given: &str, content: Value| IdempotencyKey::new(scope, given, &content);
        let first = key("run/quick", "k", json!({ "a": 1, "b": 2 }));
        assert_eq!(
            first,
            key("run/quick", "k", json!({ "b": 2, "a": 1 })),
            "the order of fields says nothing"
        );
        let other = key("run/quick", "k", json!({ "a": 1, "b": 3 }));
        assert_eq!(first.used_key(), other.used_key());
        assert_ne!(first.content_key(), other.content_key());
        assert_ne!(first.used_key(), key("run/other", "k", json!({})).used_key());
    }
}
