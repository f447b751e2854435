//! The buckets behind rates, without a lock: one for a site, and a table of fixed size for all client addresses.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{network::Network, rate::Rate};

/// Numbers for addresses: half a MiB. Each address has two, so that it shares both with another only by rare chance; which
/// ones nobody outside can tell.
const SLOTS: usize = 1 << 16;

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    start: Instant,
    due: AtomicU64,
}

impl Bucket {
    /// A full one, or one that is as empty as the one before it; `None` for no bound.
    pub fn new(per_second: u32, burst: u32, before: Option<&Self>) -> Option<Self> {
        let rate = Rate::new(per_second, burst)?;
        let (start, due) =
            before.map_or_else(|| (Instant::now(), 0), |before| (before.start, before.due.load(Ordering::Relaxed)));
        Some(Self { rate, start, due: AtomicU64::new(due) })
    }

    /// Takes a request.
    ///
    /// # Errors
    /// Where there are too many: how long to wait.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let now = nanoseconds(self.start, now);
        take(&self.due, self.rate, now).map(|_| ())
    }
}

/// Buckets of all addresses.
pub struct AddressBuckets {
    rate: Rate,
    start: Instant,
    hashers: [RandomState; 2],
    due: Box<[AtomicU64]>,
}

impl std::fmt::Debug for AddressBuckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressBuckets").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl AddressBuckets {
    /// All full; `None` for no bound.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let rate = Rate::new(per_second, burst)?;
        let due = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Some(Self { rate, start: Instant::now(), hashers: [RandomState::new(), RandomState::new()], due })
    }

    /// Takes a request of `address`. Of its two numbers the earlier counts: the other may be someone else's too. Of its requests
    /// at the very same moment, on different cores, two may count as one.
    ///
    /// # Errors
    /// Where it asks too often: how long to wait.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let network = Network::of(address);
        let [one, other] = self.hashers.each_ref().map(|hasher| self.slot(hasher.hash_one(network)));
        let now = nanoseconds(self.start, now);
        let (earlier, later) =
            if one.load(Ordering::Relaxed) <= other.load(Ordering::Relaxed) { (one, other) } else { (other, one) };
        let due = take(earlier, self.rate, now)?;
        later.fetch_max(due, Ordering::Relaxed);
        Ok(())
    }

    fn slot(&self, hash: u64) -> &AtomicU64 {
        // SLOTS is a power of two, and no more than a hash has values.
        &self.due[usize::try_from(hash % SLOTS as u64).unwrap_or_default()]
    }
}

/// Takes a request from the bucket whose number is `due`; the new number.
fn take(due: &AtomicU64, rate: Rate, now: u64) -> Result<u64, Duration> {
    let mut before = due.load(Ordering::Relaxed);
    loop {
        let next = rate.admit(before, now)?;
        match due.compare_exchange_weak(before, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(next),
            Err(changed) => before = changed,
        }
    }
}

fn nanoseconds(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn each_address_has_a_bucket_of_its_own() {
        let (buckets, now) = (AddressBuckets::new(1, 3).unwrap(), Instant::now());
        let admitted = |number| (0..10).filter(|_| buckets.take(address(number), now).is_ok()).count();
        assert_eq!([admitted(1), admitted(2)], [3, 3]);
        assert!(buckets.take(address(1), now + SECOND).is_ok());
    }

    #[test]
    fn a_flood_from_many_addresses_seldom_takes_from_another() {
        let (buckets, now) = (AddressBuckets::new(1, 2).unwrap(), Instant::now());
        for number in 0..4_000 {
            while buckets.take(address(number), now).is_ok() {}
        }
        let refused = (100_000..110_000).filter(|number| buckets.take(address(*number), now).is_err()).count();
        // Of 65,536 slots some 8,000 are taken: both of an address's in one case of 75, without what newcomers take.
        assert!(refused < 900, "{refused} of 10,000 were refused");
    }

    #[test]
    fn a_bucket_is_as_empty_as_the_one_before_it() {
        let now = Instant::now();
        let before = Bucket::new(1, 3, None).unwrap();
        while before.take(now).is_ok() {}
        let after = Bucket::new(2, 3, Some(&before)).unwrap();
        assert!(after.take(now).is_err());
        assert!(after.take(now + 4 * SECOND).is_ok());
    }

    #[test]
    fn requests_at_the_same_moment_are_each_counted() {
        let (bucket, now) = (Bucket::new(1, 500, None).unwrap(), Instant::now());
        let admitted: usize = std::thread::scope(|scope| {
            let flood = || (0..1_000).filter(|_| bucket.take(now).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(flood)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 500);
    }
}
