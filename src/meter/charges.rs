//! Charges of the `variants` tariff, made durable before the variant is delivered: many waiting ones become one transaction
//! (group commit), and what is known to be charged is not asked for again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::Meter;
use crate::{
    billing::Component,
    clock::Clock,
    http::time::UnixSeconds,
    store::{Charged, Ledger, LedgerError, VariantCharge},
    telemetry::metrics::Metrics,
};

/// Charges that wait for the ledger; beyond it originals are served.
const MAX_WAITING: usize = 4_096;

/// Charges in one transaction.
const BATCH: usize = 512;

/// How long a ledger that failed is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// How an attempt to pay for a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is charged, and stays so until then.
    Until(UnixSeconds),
    /// There are too few credits.
    Refused,
    /// The ledger cannot be asked now: nothing is delivered that would have to be charged.
    Unavailable,
}

/// The way to the ledger for deliveries.
#[derive(Debug)]
pub struct Charges {
    known: moka::sync::Cache<Known, UnixSeconds>,
    queue: mpsc::Sender<Waiting>,
    patience: Duration,
    pause: Pause,
}

/// A size in a format: what one delivery is charged for.
type Known = ([u8; 16], Component);

/// The other end of the queue.
#[derive(Debug)]
pub struct Queue(mpsc::Receiver<Waiting>);

#[derive(Debug)]
struct Waiting {
    charge: VariantCharge,
    reply: oneshot::Sender<Settlement>,
}

impl Charges {
    /// Remembers up to `max_known` charges; a delivery waits for the ledger for `patience` at the most.
    pub(super) fn new(max_known: u64, patience: Duration) -> (Self, Queue) {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let known = moka::sync::Cache::new(max_known);
        (Self { known, queue, patience, pause: Pause::new() }, Queue(waiting))
    }

    /// Sees to it that a delivery is charged.
    pub async fn settle(&self, charge: VariantCharge, now: UnixSeconds) -> Settlement {
        let key = known_key(&charge);
        if let Some(until) = self.known.get(&key).filter(|until| now < *until) {
            return Settlement::Until(until);
        }
        if self.pause.is_on() {
            return Settlement::Unavailable;
        }
        let (reply, settled) = oneshot::channel();
        if self.queue.try_send(Waiting { charge, reply }).is_err() {
            return Settlement::Unavailable;
        }
        match tokio::time::timeout(self.patience, settled).await {
            Ok(Ok(settlement)) => settlement,
            // Where the ledger does take it later, the next view of it is free.
            Ok(Err(_)) | Err(_) => Settlement::Unavailable,
        }
    }
}

/// What the last of the components, the format's own, is charged for includes the size.
fn known_key(charge: &VariantCharge) -> Known {
    (charge.requested, charge.components.last().copied().unwrap_or(Component::Size))
}

/// What the charging task works with.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) ledger: Arc<Ledger>,
    pub(super) charges: Arc<Charges>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) meter: Arc<Meter>,
}

/// Charges what comes until nobody can send more.
pub(super) async fn run(desk: Desk, mut queue: Queue) {
    let mut waiting: Vec<Waiting> = Vec::with_capacity(BATCH);
    while queue.0.recv_many(&mut waiting, BATCH).await > 0 {
        // Nobody is charged for what nobody waits for any more.
        waiting.retain(|waiting| !waiting.reply.is_closed());
        desk.settle_all(std::mem::take(&mut waiting)).await;
    }
}

impl Desk {
    async fn settle_all(&self, waiting: Vec<Waiting>) {
        let (batch, replies): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|waiting| (waiting.charge, waiting.reply)).unzip();
        if batch.is_empty() {
            return;
        }
        let results = match self.ledger.charge_variants(&batch, self.clock.timestamp()).await {
            Ok(results) => results,
            Err(error) => {
                tracing::warn!(%error, waiting = batch.len(), "charges cannot be made: originals are served");
                self.metrics.billing.ledger_error("charge");
                self.charges.pause.begin();
                return;
            }
        };
        let mut has_changed = false;
        for ((charge, reply), result) in batch.iter().zip(replies).zip(results) {
            has_changed |= !matches!(&result, Ok(Charged::Until { now, .. }) if now.is_empty());
            // Whoever waited may be gone.
            let _ = reply.send(self.settled(charge, result));
        }
        if has_changed {
            self.meter.refresh();
        }
    }

    fn settled(&self, charge: &VariantCharge, result: Result<Charged, LedgerError>) -> Settlement {
        match result {
            Ok(Charged::Until { until, now }) => {
                let until = UnixSeconds(u64::try_from(until.as_second()).unwrap_or(0));
                self.charges.known.insert(known_key(charge), until);
                self.metrics.billing.spent_on_components(charge.site.as_str(), &now);
                Settlement::Until(until)
            }
            Ok(Charged::Refused(_)) => {
                if let Some(meter) = self.meter.find(&charge.site) {
                    meter.exhaust();
                }
                Settlement::Refused
            }
            Err(error) => {
                tracing::warn!(%error, site = %charge.site, "a delivery cannot be charged");
                Settlement::Unavailable
            }
        }
    }
}

/// That the ledger failed a moment ago: who comes meanwhile does not wait for it.
#[derive(Debug)]
struct Pause {
    began: Instant,
    /// Milliseconds from `began`.
    until: AtomicU64,
}

impl Pause {
    fn new() -> Self {
        Self { began: Instant::now(), until: AtomicU64::new(0) }
    }

    fn is_on(&self) -> bool {
        self.elapsed() < self.until.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(0);
        self.until.store(self.elapsed() + pause, Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
