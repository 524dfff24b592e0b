//! A copy of the journal while it goes on.

use std::sync::Arc;

use futures_util::stream::{self, Stream};

use crate::service::house::Service;
use crate::store::error::StoreError;
use crate::store::export::{Exporter, Form};
use crate::store::journal::Stored;

impl Service {
    /// Everything in the journal up to its head now, as the lines of an export,
    /// chunk by chunk. What is appended meanwhile is not in it. An error ends
    /// the stream early; then what came before is no backup.
    pub fn backup(&self) -> impl Stream<Item = Result<Vec<u8>, StoreError>> + Send + use<> {
        let stored: Arc<dyn Stored> = Arc::clone(&self.journal) as Arc<dyn Stored>;
        let exporter = Exporter::new(stored, self.journal.head(), Form::Compact);
        stream::try_unfold(exporter, |mut exporter| async move {
            Ok(exporter.next().await?.map(|lines| (lines, exporter)))
        })
    }
}
