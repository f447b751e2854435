//! What unsafe methods have changed of late (RFC 9111, 4.4): nothing that was asked for before is used any more, wherever it
//! is found and however late it is stored.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    cache::key::{CacheKey, KeyHasher},
    http::time::UnixSeconds,
};

/// How many changes are remembered. They need to be for as long as something that was asked for before may be under way.
const MAX_CHANGES: u64 = 65_536;

/// The latest changes, numbered together with what is asked for.
#[derive(Debug)]
pub struct Changes {
    numbers: AtomicU64,
    latest: moka::sync::Cache<CacheKey, u64>,
}

impl Changes {
    /// None yet. Numbers go on from one run to the next, by the time of the start.
    #[must_use]
    pub fn new(start: UnixSeconds) -> Self {
        // A second has room for more numbers than are drawn in it.
        let first = start.0.saturating_mul(1 << 24) | u64::from(std::process::id() & 0xff) << 16;
        Self { numbers: AtomicU64::new(first), latest: moka::sync::Cache::new(MAX_CHANGES) }
    }

    /// A number that is larger than all before.
    pub fn draw(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// What stands under `key` is changed now.
    pub fn change(&self, key: CacheKey) {
        self.latest.insert(key, self.draw());
    }

    /// Whether it was changed after `number` was drawn.
    #[must_use]
    pub fn is_changed_since(&self, key: CacheKey, number: u64) -> bool {
        self.latest.get(&key).is_some_and(|latest| latest > number)
    }

    /// The key of work for `key`: another one after each change, so that nobody who comes after it joins work that was begun
    /// before.
    #[must_use]
    pub fn key_of_work(&self, key: CacheKey, work: CacheKey) -> CacheKey {
        match self.latest.get(&key) {
            None => work,
            Some(latest) => {
                KeyHasher::new().text("after a change").bytes(work.as_bytes()).bytes(&latest.to_le_bytes()).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_before_a_change_is_told_from_what_comes_after() {
        let key = KeyHasher::new().text("a").finish();
        let changes = Changes::new(UnixSeconds(1_700_000_000));
        let before = changes.draw();
        assert!(!changes.is_changed_since(key, before));
        assert_eq!(changes.key_of_work(key, key), key);
        changes.change(key);
        let after = changes.draw();
        assert!(changes.is_changed_since(key, before) && !changes.is_changed_since(key, after));
        assert!(!changes.is_changed_since(KeyHasher::new().text("b").finish(), before));
        assert_ne!(changes.key_of_work(key, key), key);
    }

    #[test]
    fn numbers_go_on_after_a_restart() {
        let earlier = Changes::new(UnixSeconds(1_700_000_000));
        assert!(earlier.draw() < Changes::new(UnixSeconds(1_700_000_001)).draw());
    }
}
