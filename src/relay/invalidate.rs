//! Forgetting what an unsafe method changed (RFC 9111, 4.4).

use super::Relay;
use crate::request::key::ResponseName;

impl Relay {
    /// Forgets the responses under a name, and lets nothing be used of it that was asked for before.
    pub async fn invalidate(&self, name: ResponseName<'_>) {
        let response = name.key();
        self.changes.change(response);
        self.cache.remove(response).await;
    }
}
