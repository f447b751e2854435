//! Brings what was counted to the ledger, and back what each site may do: the only place where the edge's meters and the
//! ledger meet in the background. Whatever fails is tried again; the counters keep what was not posted.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{
    Meter,
    counters::{Counters, Slot},
    site::SiteMeter,
};
use crate::{
    billing::{SiteId, Tariff},
    clock::Clock,
    store::{Counted, Ledger, LedgerError, Posted, SiteView},
    telemetry::metrics::Metrics,
};

/// How often usage is posted and the ledger is looked at: other nodes' purchases are seen within this.
const INTERVAL: Duration = Duration::from_millis(250);

/// Between two rounds that something asked for: a burst of charges is not a burst of rounds.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// A lease is set anew when this much of its term has passed.
const RENEWAL: Duration = Duration::from_secs(5);

/// Over which time usage counts as recent.
const RECENT: Duration = Duration::from_secs(10);

/// How often the counters are written to the disk, for a power cut: a killed process loses nothing either way.
const FLUSH: Duration = Duration::from_secs(5);

/// How posting goes, for readiness and metrics.
#[derive(Debug, Default)]
pub struct Posting {
    is_failing: AtomicBool,
    /// When, after the process's start, all that had been counted was posted the last time.
    done_at_ms: AtomicU64,
}

impl Posting {
    /// Whether the ledger could not be written the last time.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// How long ago all that had been counted was in the ledger, `elapsed` after the process's start.
    #[must_use]
    pub fn lag(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(Duration::from_millis(self.done_at_ms.load(Ordering::Relaxed)))
    }

    fn note_done(&self, elapsed: Duration) {
        self.done_at_ms.store(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The background task.
#[derive(Debug)]
pub(super) struct Poster {
    pub(super) meter: Arc<Meter>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) wake: Arc<Notify>,
    /// By site, what the ledger has of this node.
    posted: HashMap<SiteId, Progress>,
    seen_version: Option<i64>,
    flushed: Instant,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    counters: Counters,
    /// Egress bytes of late.
    recent: Recent,
    /// When its lease was set; none yet, or it must be set anew.
    leased: Option<Instant>,
    is_egress: bool,
}

impl Poster {
    pub(super) fn new(
        meter: Arc<Meter>,
        ledger: Arc<Ledger>,
        clock: Clock,
        metrics: Arc<Metrics>,
        wake: Arc<Notify>,
    ) -> Self {
        let flushed = Instant::now();
        Self { meter, ledger, clock, metrics, wake, posted: HashMap::new(), seen_version: None, flushed }
    }

    /// Takes in what the ledger has of this node already.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub(super) async fn catch_up(&mut self) -> Result<(), LedgerError> {
        for counted in self.ledger.posted(self.meter.node()).await? {
            let Counted { site, egress_bytes, requests, saved_bytes, .. } = counted;
            let progress = self.posted.entry(site).or_default();
            progress.counters = Counters { egress_bytes, requests, saved_bytes };
        }
        for meter in self.meter.all() {
            let posted = self.posted.get(meter.site()).map_or(0, |progress| progress.counters.egress_bytes);
            meter.set_posted(posted);
        }
        Ok(())
    }

    /// Runs until it is dropped.
    pub(super) async fn run(&mut self) {
        let mut changes = self.ledger.changes();
        loop {
            self.round().await;
            tokio::time::sleep(MIN_PAUSE).await;
            // Whatever it is that ends the wait: a round looks at everything.
            let asked = async {
                tokio::select! {
                    () = self.wake.notified() => {}
                    Ok(()) = changes.changed() => {}
                }
            };
            let _ = tokio::time::timeout(INTERVAL, asked).await;
        }
    }

    /// Closes periods that are over, takes in what sites may do, posts what was counted.
    pub(super) async fn round(&mut self) {
        match self.try_round().await {
            Ok(()) => {
                if self.meter.posting.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the ledger can be used again: what was counted meanwhile is posted");
                }
                self.meter.posting.note_done(self.meter.elapsed());
            }
            Err(error) => {
                self.metrics.billing.ledger_error("post");
                if !self.meter.posting.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the ledger cannot be used: usage is kept and posted later");
                }
            }
        }
        self.flush().await;
    }

    async fn try_round(&mut self) -> Result<(), LedgerError> {
        let now = self.clock.timestamp();
        self.ledger.close_periods(now).await?;
        self.take_in_terms(now).await?;
        self.post(now).await
    }

    /// What sites may do, where that may have changed.
    async fn take_in_terms(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let version = self.ledger.credits_version().await?;
        let is_seen = self.seen_version == Some(version);
        if is_seen && !self.meter.take_stale() {
            return Ok(());
        }
        let sites = match self.ledger.all_sites(now).await {
            Ok(sites) => sites,
            Err(error) => {
                self.meter.mark_stale();
                return Err(error);
            }
        };
        for view in sites {
            // It comes with a call for another round.
            let Some(meter) = self.meter.find(&view.id) else { continue };
            meter.set_terms(view.tariff, view.entitlement);
            // Not before: what is shown is what the request path does.
            self.show(&view);
            let progress = self.posted.entry(view.id).or_default();
            progress.is_egress = matches!(view.tariff, Tariff::Egress { .. });
            if !is_seen {
                progress.leased = None;
            }
        }
        self.seen_version = Some(version);
        Ok(())
    }

    fn show(&self, view: &SiteView) {
        self.metrics.billing.show_site(view.id.as_str(), view.balance, view.entitlement);
    }

    async fn post(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let meter = Arc::clone(&self.meter);
        for (node, slots) in meter.slots() {
            let due = self.due(&slots);
            if !due.is_empty() {
                let posted = self.ledger.post(node, &due, now).await?;
                self.take_in_all(due, &posted);
            }
        }
        Ok(())
    }

    fn take_in_all(&mut self, due: Vec<Counted>, posted: &[Posted]) {
        let posted: HashMap<&SiteId, &Posted> = posted.iter().map(|posted| (&posted.site, posted)).collect();
        // Sites that share the credits may have run out with these, and balances are shown.
        if posted.values().any(|posted| !posted.charged.is_zero() || !posted.written_off.is_zero()) {
            self.meter.mark_stale();
        }
        for counted in due {
            self.take_in(&counted, posted.get(&counted.site).copied());
        }
    }

    /// Of some counters, those that have something to post or whose lease is due.
    fn due(&mut self, slots: &[Arc<Slot>]) -> Vec<Counted> {
        let mut due = Vec::new();
        for slot in slots {
            let counters = slot.read();
            let progress = self.posted.entry(slot.site().clone()).or_default();
            progress.recent.see(counters.egress_bytes);
            let meter = self.meter.find(slot.site());
            let is_lease_due = meter.is_some_and(|meter| progress.is_egress && progress.is_lease_due(&meter));
            if counters != progress.counters || is_lease_due {
                due.push(Counted {
                    site: slot.site().clone(),
                    egress_bytes: counters.egress_bytes,
                    requests: counters.requests,
                    saved_bytes: counters.saved_bytes,
                    recent_bytes: progress.recent.bytes(),
                });
            }
        }
        due
    }

    fn take_in(&mut self, counted: &Counted, posted: Option<&Posted>) {
        let progress = self.posted.entry(counted.site.clone()).or_default();
        let Counted { egress_bytes, requests, saved_bytes, .. } = *counted;
        progress.counters = Counters { egress_bytes, requests, saved_bytes };
        // A site that is gone: what its counters hold is of no use to anyone.
        let Some(posted) = posted else { return };
        self.metrics.billing.spent_on_egress(counted.site.as_str(), posted.charged, posted.written_off);
        progress.is_egress = matches!(posted.tariff, Tariff::Egress { .. });
        progress.leased = Some(Instant::now());
        let Some(meter) = self.meter.find(&counted.site) else { return };
        meter.set_posted(egress_bytes);
        match posted.tariff {
            Tariff::Egress { rate } => meter.set_lease(rate, egress_bytes, posted.lease, posted.entitlement),
            Tariff::Variants => meter.set_by_variants(posted.entitlement),
        }
    }

    async fn flush(&mut self) {
        if self.flushed.elapsed() < FLUSH {
            return;
        }
        self.flushed = Instant::now();
        let meter = Arc::clone(&self.meter);
        let flushed = tokio::task::spawn_blocking(move || meter.flush()).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "the counters cannot be written to the disk");
        }
    }
}

impl Progress {
    fn is_lease_due(&self, meter: &SiteMeter) -> bool {
        meter.wants_lease() || self.leased.is_none_or(|leased| leased.elapsed() >= RENEWAL)
    }
}

/// Bytes counted within [`RECENT`], in two halves: the one under way and the one before.
#[derive(Debug, Clone)]
struct Recent {
    began: Instant,
    last_count: Option<u64>,
    halves: [u64; 2],
}

impl Default for Recent {
    fn default() -> Self {
        Self { began: Instant::now(), last_count: None, halves: [0, 0] }
    }
}

impl Recent {
    fn see(&mut self, count: u64) {
        while self.began.elapsed() >= RECENT / 2 {
            // A long time without a look leaves nothing of late.
            let halves = self.began.elapsed().as_secs_f64() / (RECENT / 2).as_secs_f64();
            self.halves = if halves < 2.0 { [self.halves[1], 0] } else { [0, 0] };
            self.began = if halves < 2.0 { self.began + RECENT / 2 } else { Instant::now() };
        }
        let before = self.last_count.replace(count).unwrap_or(count);
        self.halves[1] = self.halves[1].saturating_add(count.saturating_sub(before));
    }

    fn bytes(&self) -> u64 {
        self.halves[0].saturating_add(self.halves[1])
    }
}
