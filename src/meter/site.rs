//! What the request path knows of a site's credits: one atomic to read, and counters to add to. The ledger is asked in the
//! background ([`super::poster`]).

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::counters::{Counters, Slot};
use crate::billing::{BytesPerCredit, Entitlement, Microcredits, SiteId, Tariff};

/// A count that is never reached: no lease ends there.
const NEVER: u64 = u64::MAX;

/// A site's meter. It lives as long as the process, whatever becomes of the site's settings.
#[derive(Debug)]
pub struct SiteMeter {
    slot: Arc<Slot>,
    /// Set by whoever finds the credits gone, cleared by the poster.
    is_essential: AtomicBool,
    /// Whether the tariff is `variants`: deliveries are charged one by one.
    charges_variants: AtomicBool,
    /// The egress count at which the lease is used up.
    lease_end: AtomicU64,
    /// The count at which the next one is asked for.
    renew_at: AtomicU64,
    /// The egress count that the ledger has.
    posted: AtomicU64,
    /// Wakes the poster.
    wake: Arc<Notify>,
}

impl SiteMeter {
    /// A meter that is not entitled to anything until the ledger has said so.
    pub(super) fn new(slot: Arc<Slot>, wake: Arc<Notify>) -> Self {
        Self {
            slot,
            is_essential: AtomicBool::new(true),
            charges_variants: AtomicBool::new(true),
            lease_end: AtomicU64::new(NEVER),
            renew_at: AtomicU64::new(NEVER),
            posted: AtomicU64::new(0),
            wake,
        }
    }

    /// A meter that counts in memory only, with nothing behind it.
    #[must_use]
    pub fn unbacked(site: SiteId) -> Self {
        Self::new(Arc::new(Slot::unbacked(site)), Arc::default())
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &SiteId {
        self.slot.site()
    }

    /// What the site may do: one atomic read.
    #[must_use]
    pub fn entitlement(&self) -> Entitlement {
        if self.is_essential.load(Ordering::Relaxed) { Entitlement::Essential } else { Entitlement::Optimize }
    }

    /// Whether deliveries are charged one by one (`billing.md` rule 3).
    #[must_use]
    pub fn charges_variants(&self) -> bool {
        self.charges_variants.load(Ordering::Relaxed)
    }

    /// Notes bytes of an optimized image that are about to be handed to a connection: if the process is killed before they are
    /// counted, they are as if taken, so that no client ever has more than was counted.
    pub fn hand_over(&self, bytes: u64) {
        self.slot.hand_over(bytes);
    }

    /// Counts those of bytes handed over that the connection took (rule 1). Where they use up the lease, the site is essential
    /// from the next request on, until the ledger gives another.
    pub fn count_egress(&self, handed: u64, taken: u64) {
        let count = self.slot.settle(handed, taken);
        let renew_at = self.renew_at.load(Ordering::Relaxed);
        if count >= renew_at {
            self.used_much_of_lease(count, count - taken < renew_at);
        }
    }

    #[cold]
    fn used_much_of_lease(&self, count: u64, just_now: bool) {
        if count >= self.lease_end.load(Ordering::Relaxed) {
            self.is_essential.store(true, Ordering::Relaxed);
        }
        if just_now {
            self.wake.notify_one();
        }
    }

    /// Counts a request that was answered, and what it saved.
    pub fn count_request(&self, saved_bytes: u64) {
        self.slot.add_request(saved_bytes);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> Counters {
        self.slot.read()
    }

    /// Egress bytes that the ledger does not have yet.
    #[must_use]
    pub fn unposted(&self) -> u64 {
        self.counted().egress_bytes.saturating_sub(self.posted.load(Ordering::Relaxed))
    }

    /// The ledger has this count.
    pub(super) fn set_posted(&self, egress_bytes: u64) {
        self.posted.store(egress_bytes, Ordering::Relaxed);
    }

    /// Whether more than half of the lease is used up.
    pub(super) fn wants_lease(&self) -> bool {
        self.slot.read().egress_bytes >= self.renew_at.load(Ordering::Relaxed)
    }

    /// The credits are gone, or a charge was refused.
    pub(super) fn exhaust(&self) {
        self.is_essential.store(true, Ordering::Relaxed);
    }

    /// Takes in what the ledger says of a site that is charged by variants.
    pub(super) fn set_by_variants(&self, entitlement: Entitlement) {
        self.charges_variants.store(true, Ordering::Relaxed);
        self.renew_at.store(NEVER, Ordering::Relaxed);
        self.lease_end.store(NEVER, Ordering::Relaxed);
        self.is_essential.store(entitlement == Entitlement::Essential, Ordering::Relaxed);
    }

    /// Takes in a lease that begins at the count that was posted with it.
    pub(super) fn set_lease(&self, rate: BytesPerCredit, posted: u64, lease: Microcredits, entitlement: Entitlement) {
        let bytes = rate.bytes(lease);
        let lease_end = posted.saturating_add(bytes);
        self.charges_variants.store(false, Ordering::Relaxed);
        self.lease_end.store(lease_end, Ordering::Relaxed);
        self.renew_at.store(posted.saturating_add(bytes / 2), Ordering::Relaxed);
        // What was counted meanwhile may have used it up already: whoever comes next to the end sets it again.
        let is_used_up = self.slot.read().egress_bytes >= lease_end;
        self.is_essential.store(entitlement == Entitlement::Essential || is_used_up, Ordering::Relaxed);
    }

    /// Takes in how the site is rated and what it may do; a lease comes with the next posting.
    pub(super) fn set_terms(&self, tariff: Tariff, entitlement: Entitlement) {
        match tariff {
            Tariff::Variants => self.set_by_variants(entitlement),
            Tariff::Egress { .. } => {
                self.charges_variants.store(false, Ordering::Relaxed);
                if entitlement == Entitlement::Essential {
                    self.exhaust();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> SiteMeter {
        SiteMeter::unbacked("shop".parse().unwrap())
    }

    fn count(meter: &SiteMeter, bytes: u64) {
        meter.hand_over(bytes);
        meter.count_egress(bytes, bytes);
    }

    fn credits(microcredits: i64) -> Microcredits {
        Microcredits::new(microcredits)
    }

    #[test]
    fn nothing_is_optimized_before_the_ledger_has_said_so() {
        assert_eq!(meter().entitlement(), Entitlement::Essential);
    }

    #[test]
    fn a_lease_that_is_used_up_makes_the_site_essential_at_once() {
        let meter = meter();
        meter.set_lease(BytesPerCredit::default(), 0, credits(200), Entitlement::Optimize);
        count(&meter, 999);
        assert_eq!(meter.entitlement(), Entitlement::Optimize);
        count(&meter, 1);
        assert_eq!(meter.entitlement(), Entitlement::Essential);
        meter.set_lease(BytesPerCredit::default(), 1_000, credits(200), Entitlement::Optimize);
        assert_eq!(meter.entitlement(), Entitlement::Optimize);
    }

    #[test]
    fn a_lease_that_came_too_late_does_not_entitle() {
        let meter = meter();
        count(&meter, 5_000);
        meter.set_lease(BytesPerCredit::default(), 1_000, credits(200), Entitlement::Optimize);
        assert_eq!(meter.entitlement(), Entitlement::Essential);
    }

    #[tokio::test]
    async fn the_poster_is_woken_once_when_half_of_a_lease_is_used() {
        let meter = meter();
        meter.set_lease(BytesPerCredit::default(), 0, credits(200), Entitlement::Optimize);
        count(&meter, 499);
        assert!(!meter.wants_lease());
        count(&meter, 1);
        assert!(meter.wants_lease());
        meter.wake.notified().await;
        count(&meter, 1);
        let again = tokio::time::timeout(std::time::Duration::ZERO, meter.wake.notified()).await;
        assert!(again.is_err(), "woken for each byte");
    }

    #[test]
    fn what_a_connection_did_not_take_is_not_counted() {
        let meter = meter();
        meter.set_lease(BytesPerCredit::default(), 0, credits(200), Entitlement::Optimize);
        meter.hand_over(5_000);
        assert_eq!(meter.counted().egress_bytes, 0, "it is in hand");
        meter.count_egress(5_000, 300);
        assert_eq!(meter.counted().egress_bytes, 300);
        assert_eq!(meter.entitlement(), Entitlement::Optimize);
    }

    #[test]
    fn on_the_variants_tariff_no_number_of_bytes_makes_a_site_essential() {
        let meter = meter();
        meter.set_by_variants(Entitlement::Optimize);
        count(&meter, u64::MAX / 2);
        assert_eq!(meter.entitlement(), Entitlement::Optimize);
    }
}
