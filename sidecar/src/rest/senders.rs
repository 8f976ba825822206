//! What the senders of entries are called where everybody can read it: never by their addresses.

use std::sync::{Arc, PoisonError, RwLock};

use crate::event::SIDECAR;
use crate::store::{Entry, Store, StoreError};

/// Numbers the nodes in the order in which the log met them, which never changes: `node-1`, `node-2`.
#[derive(Debug, Clone, Default)]
pub(super) struct Senders {
    known: Arc<RwLock<Vec<Arc<str>>>>,
}

impl Senders {
    /// Makes sure that the senders of these entries have labels.
    pub(super) async fn know<S: Store>(&self, store: &S, entries: &[Entry]) -> Result<(), StoreError> {
        if entries.iter().all(|entry| self.number(&entry.node).is_some()) {
            return Ok(());
        }
        let mut senders = store.senders().await?;
        senders.retain(|name| **name != *SIDECAR);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = senders;
        Ok(())
    }

    /// The label of a sender.
    pub(super) fn label(&self, name: &str) -> String {
        self.number(name).map_or_else(|| "node".to_owned(), |number| format!("node-{number}"))
    }

    fn number(&self, name: &str) -> Option<usize> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().position(|sender| **sender == *name).map(|index| index + 1)
    }
}
