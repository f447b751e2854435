//! Bytes that may be in use at once, shared by sites, and reservations of them, which are given back when dropped. A site has
//! at most three times what stays free: alone it comes to three quarters, and however much it wants, there is something left
//! for the others (dynamic thresholds, as switches share their buffers).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// What a site may have, as a multiple of what is free beside it.
const TIMES_FREE: u64 = 3;

/// How long memory is waited for. After that what comes goes straight to the visitor.
const PATIENCE: Duration = Duration::from_millis(300);

/// Bytes that may be in use at once.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
    bytes: u64,
}

/// Bytes of a budget that are taken; dropping it gives them back.
#[derive(Debug)]
pub struct Reserved {
    shared: Arc<Shared>,
    site: Arc<str>,
    bytes: u64,
}

#[derive(Debug)]
struct Shared {
    uses: Mutex<Uses>,
    given_back: Notify,
}

/// Who has what.
#[derive(Debug)]
struct Uses {
    free: u64,
    /// Sites that have something, and no others.
    sites: HashMap<Arc<str>, u64>,
}

/// Whether a site that has `own` bytes may have `wanted` more, where `free` are free.
const fn may_take(own: u64, wanted: u64, free: u64) -> bool {
    match free.checked_sub(wanted) {
        Some(left) => own.saturating_add(wanted) <= left.saturating_mul(TIMES_FREE),
        None => false,
    }
}

impl Uses {
    fn try_take(&mut self, site: &Arc<str>, wanted: u64) -> bool {
        let own = self.sites.get(site).copied().unwrap_or(0);
        if wanted == 0 {
            return true;
        }
        let may = may_take(own, wanted, self.free);
        if may {
            self.free -= wanted;
            self.sites.insert(Arc::clone(site), own + wanted);
        }
        may
    }

    fn give_back(&mut self, site: &Arc<str>, bytes: u64) {
        self.free += bytes;
        if let Some(own) = self.sites.get_mut(site) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                self.sites.remove(site);
            }
        }
    }
}

impl Shared {
    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let uses = Mutex::new(Uses { free: bytes, sites: HashMap::new() });
        Self { shared: Arc::new(Shared { uses, given_back: Notify::new() }), bytes }
    }

    /// The most that one site can have: three quarters.
    #[must_use]
    pub const fn largest(&self) -> u64 {
        self.bytes - self.bytes.div_ceil(TIMES_FREE + 1)
    }

    /// Takes `bytes` for `site`, if it may have them now.
    #[must_use]
    pub fn try_reserve(&self, site: &Arc<str>, bytes: u64) -> Option<Reserved> {
        let taken = self.shared.uses().try_take(site, bytes);
        taken.then(|| Reserved { shared: Arc::clone(&self.shared), site: Arc::clone(site), bytes })
    }

    /// Waits until `site` may have `bytes`, for 300 ms at the most; `None` where it may not by then, or never may. Who wants
    /// little may come before one who wants much: nobody is held up by another's share.
    pub async fn reserve(&self, site: &Arc<str>, bytes: u64) -> Option<Reserved> {
        if bytes > self.largest() {
            return None;
        }
        timeout(PATIENCE, self.reserve_in_time(site, bytes)).await.ok()
    }

    async fn reserve_in_time(&self, site: &Arc<str>, bytes: u64) -> Reserved {
        loop {
            // Before it is tried: what is given back meanwhile must not be missed.
            let mut given_back = std::pin::pin!(self.shared.given_back.notified());
            given_back.as_mut().enable();
            if let Some(reserved) = self.try_reserve(site, bytes) {
                return reserved;
            }
            given_back.await;
        }
    }

    /// Bytes in use.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.bytes - self.shared.uses().free
    }
}

impl Reserved {
    /// Adds to it until it is for `bytes`, if its site may have them now.
    #[must_use]
    pub fn try_grow(&mut self, bytes: u64) -> bool {
        let missing = bytes.saturating_sub(self.bytes);
        let taken = self.shared.uses().try_take(&self.site, missing);
        if taken {
            self.bytes += missing;
        }
        taken
    }

    /// Gives back what it has beyond `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let excess = self.bytes.saturating_sub(bytes);
        if excess > 0 {
            self.bytes -= excess;
            self.shared.uses().give_back(&self.site, excess);
            self.shared.given_back.notify_waiters();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn site(id: &str) -> Arc<str> {
        id.into()
    }

    #[test]
    fn a_reservation_grows_and_shrinks_within_the_budget() {
        let (budget, a) = (Budget::new(16), site("a"));
        let mut reserved = budget.try_reserve(&a, 2).unwrap();
        assert!(reserved.try_grow(8));
        assert_eq!(budget.in_use(), 8);
        assert!(!reserved.try_grow(13), "more than three quarters");
        assert!(budget.try_reserve(&a, 5).is_none());
        reserved.shrink(3);
        assert_eq!(budget.in_use(), 3);
        drop(reserved);
        assert_eq!(budget.in_use(), 0);
        assert!(budget.shared.uses().sites.is_empty());
    }

    #[test]
    fn one_site_has_three_quarters_and_others_what_is_left() {
        let budget = Budget::new(1000);
        let all = budget.try_reserve(&site("a"), budget.largest()).unwrap();
        assert_eq!(budget.in_use(), 750);
        assert!(budget.try_reserve(&site("a"), 1).is_none());
        let second = budget.try_reserve(&site("b"), 187).unwrap();
        assert!(budget.try_reserve(&site("b"), 1).is_none());
        assert!(budget.try_reserve(&site("c"), 40).is_some());
        assert!(budget.try_reserve(&site("a"), 0).is_some(), "nothing is always there");
        drop((all, second));
        assert_eq!(budget.in_use(), 0);
    }

    #[tokio::test]
    async fn who_waits_has_it_when_it_is_given_back_and_holds_nobody_up() {
        let budget = Budget::new(100);
        let (a, b) = (site("a"), site("b"));
        assert!(budget.reserve(&a, 76).await.is_none(), "it never could");
        let first = budget.try_reserve(&a, 70).unwrap();
        let waiting = tokio::spawn({
            let (budget, a) = (budget.clone(), Arc::clone(&a));
            async move { budget.reserve(&a, 60).await }
        });
        tokio::task::yield_now().await;
        assert!(budget.reserve(&b, 10).await.is_some());
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.await.unwrap().is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_something_stays_free_for_one_who_has_nothing(
            wishes in prop::collection::vec((0_u8..4, 1_u64..5000), 0..40)
        ) {
            let budget = Budget::new(1 << 20);
            let mut held = Vec::new();
            for (id, bytes) in wishes {
                held.extend(budget.try_reserve(&site(&id.to_string()), bytes * 64));
                let sum: u64 = held.iter().map(|reserved: &Reserved| reserved.bytes).sum();
                prop_assert_eq!(budget.in_use(), sum);
                // Each of four sites leaves a quarter of what it found.
                let least = (1 << 20) / 4_u64.pow(4) / 2;
                prop_assert!(budget.try_reserve(&site("newcomer"), least).is_some());
            }
        }
    }
}
