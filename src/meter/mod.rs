//! Metering: usage on its way from the edge to the ledger. `counters` survive the process, `site` is what the request path
//! reads and adds to, `charges` pays for variants before they are delivered, `poster` does the rest in the background.

pub mod charges;
pub mod counters;
pub mod poster;
pub mod site;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

pub use self::{
    charges::{Charges, Settlement},
    site::SiteMeter,
};
use self::{
    charges::{Desk, Queue},
    counters::{CounterError, CounterFile, Slot},
    poster::{Poster, Posting},
};
use crate::{
    billing::SiteId,
    clock::Clock,
    config,
    store::{Ledger, LedgerError},
    telemetry::{billing::MeterReadings, metrics::Metrics},
};

/// All meters of this node.
#[derive(Debug)]
pub struct Meter {
    file: CounterFile,
    sites: Mutex<HashMap<SiteId, Arc<SiteMeter>>>,
    /// Counters that found no room in the file. They begin at zero with the process, so they are posted under a name of the
    /// process's own.
    unbacked: Mutex<Vec<Arc<Slot>>>,
    process: String,
    /// What pays for variants.
    pub charges: Arc<Charges>,
    /// How posting goes.
    pub posting: Posting,
    wake: Arc<Notify>,
    /// Whether what the sites may do has to be asked anew.
    is_stale: AtomicBool,
    began: Instant,
}

/// The other end of a [`Meter`]: what runs in the background.
#[derive(Debug)]
pub struct Background {
    poster: Poster,
    desk: Desk,
    queue: Queue,
}

impl Meter {
    /// Opens the counters in `dir`.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn open(
        dir: &Path,
        settings: &config::Billing,
        ledger: &Arc<Ledger>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<(Arc<Self>, Background), CounterError> {
        let (charges, queue) = Charges::new(settings.known_charges, settings.charge_timeout.0);
        let wake = Arc::new(Notify::new());
        let meter = Arc::new(Self {
            file: CounterFile::open(&dir.join("counters"))?,
            sites: Mutex::default(),
            unbacked: Mutex::default(),
            process: process_name(),
            charges: Arc::new(charges),
            posting: Posting::default(),
            wake: Arc::clone(&wake),
            is_stale: AtomicBool::new(true),
            began: Instant::now(),
        });
        let desk = Desk {
            ledger: Arc::clone(ledger),
            charges: Arc::clone(&meter.charges),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            meter: Arc::clone(&meter),
        };
        let poster = Poster::new(Arc::clone(&meter), Arc::clone(ledger), clock.clone(), Arc::clone(metrics), wake);
        Ok((meter, Background { poster, desk, queue }))
    }

    /// The meter of a site, made if there is none. Where the counters' file has no room for it, it counts in memory, and what
    /// is not posted at the process's end is lost.
    pub fn site(&self, id: &SiteId) -> Arc<SiteMeter> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = sites.entry(id.clone()).or_insert_with(|| {
            let slot = self.file.slot(id).unwrap_or_else(|error| {
                tracing::error!(%error, site = %id, "no room for a counter: this site is counted in memory only");
                let slot = Arc::new(Slot::unbacked(id.clone()));
                self.unbacked.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&slot));
                slot
            });
            Arc::new(SiteMeter::new(slot, Arc::clone(&self.wake)))
        });
        Arc::clone(meter)
    }

    /// The meter of a site that has one.
    #[must_use]
    pub fn find(&self, id: &SiteId) -> Option<Arc<SiteMeter>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<SiteMeter>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How metering goes, for `/metrics`.
    #[must_use]
    pub fn readings(&self) -> MeterReadings {
        let unposted = |meter: Arc<SiteMeter>| (meter.site().to_string(), meter.unposted());
        MeterReadings {
            unposted: self.all().into_iter().map(unposted).collect(),
            lag_seconds: self.posting.lag(self.elapsed()).as_secs_f64(),
            is_ledger_available: !self.posting.is_failing(),
        }
    }

    /// This node's name in the ledger.
    #[must_use]
    pub fn node(&self) -> &str {
        self.file.node()
    }

    /// All counters, by the name that they are posted under.
    fn slots(&self) -> [(&str, Vec<Arc<Slot>>); 2] {
        let unbacked = self.unbacked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        [(self.file.node(), self.file.slots()), (&self.process, unbacked)]
    }

    /// Makes the background look at everything soon: sites have come, or balances have changed.
    pub fn refresh(&self) {
        self.mark_stale();
        self.wake.notify_one();
    }

    fn mark_stale(&self) {
        self.is_stale.store(true, Ordering::Relaxed);
    }

    fn take_stale(&self) -> bool {
        self.is_stale.swap(false, Ordering::Relaxed)
    }

    fn flush(&self) -> Result<(), CounterError> {
        self.file.flush()
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// A name that no other process has had.
fn process_name() -> String {
    let mut random = [0; 16];
    // Without random bytes, the time of the start has to do.
    if getrandom::fill(&mut random).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        random = now.as_nanos().to_be_bytes();
    }
    format!("{:032x}", u128::from_be_bytes(random))
}

impl Background {
    /// Looks at everything once: before the first request, sites know what they may do.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub async fn begin(&mut self) -> Result<(), LedgerError> {
        self.poster.catch_up().await?;
        self.poster.round().await;
        Ok(())
    }

    /// Charges and posts until `stop` is over; then posts once more.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { mut poster, desk, queue } = self;
        let charging = tokio::spawn(charges::run(desk, queue));
        tokio::select! {
            () = poster.run() => {}
            () = stop => {}
        }
        poster.round().await;
        charging.abort();
    }
}
