//! What passes through the cache as it is: pages, styles, scripts, fonts, and images that cannot be developed. `errand` is
//! what is asked for, `lookup` finds what is stored for it, `obtain` decides between the cache and the origin and has what is
//! missing fetched once for all, `fetch` sorts the origin's answer, `intake` stores it while it streams, `invalidate` forgets
//! what an unsafe method changed.

mod errand;
mod fetch;
mod intake;
mod invalidate;
mod lookup;
mod obtain;

use std::{sync::Arc, time::Duration};

pub use errand::Errand;
pub use intake::{Draft, RelayFill};
pub use obtain::{Because, Forwarded, How, Relayed};

use self::fetch::Arrival;
use crate::{
    cache::tiers::Cache,
    clock::Clock,
    coalesce::{budget::Budget, changes::Changes, flights::Flights},
    origin::fetch::Origins,
};

/// How long visitors ask in parallel for what proved not to be shared, before one leads again.
const APART: Duration = Duration::from_secs(30);

/// The same for an answer that may be another one soon, or for another visitor: the origin failed, memory was short, or it
/// was kept from the others only because of who asked.
const APART_FOR_A_MOMENT: Duration = Duration::from_secs(1);

/// Relays requests through the cache.
#[derive(Debug)]
pub struct Relay {
    cache: Arc<Cache>,
    origins: Arc<Origins>,
    flights: Arc<Flights<Arrival>>,
    /// Memory of responses on their way in.
    buffers: Budget,
    max_body_bytes: u64,
    clock: Clock,
    changes: Changes,
}

impl Relay {
    /// A relay that keeps responses of up to `max_body_bytes` in `cache`, if `buffers` can give one site as much; those on
    /// their way in take memory of it.
    #[must_use]
    pub fn new(cache: Arc<Cache>, origins: Arc<Origins>, buffers: Budget, max_body_bytes: u64, clock: Clock) -> Self {
        let max_body_bytes = max_body_bytes.min(buffers.largest());
        let changes = Changes::new(clock.now());
        Self { cache, origins, flights: Arc::default(), buffers, max_body_bytes, clock, changes }
    }

    /// Bytes of responses on their way in.
    #[must_use]
    pub fn buffers_in_use(&self) -> u64 {
        self.buffers.in_use()
    }

    /// Whether nothing is on its way in or being stored.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.flights.is_empty()
    }
}
