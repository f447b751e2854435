//! Forgetting what an unsafe method changed (RFC 9111, 4.4).

use std::sync::Arc;

use super::Relay;
use crate::request::key::{ResponseName, SourceName};

impl Relay {
    /// Forgets the responses and the image under a name, and lets nothing be kept of it that is on its way.
    pub async fn invalidate(self: &Arc<Self>, name: ResponseName<'_>) {
        let response = name.key();
        let source = SourceName { scope: name.scope, source: name.target }.key();
        self.flights.purge(response);
        self.cache.remove(response).await;
        self.cache.remove(source).await;
    }
}
