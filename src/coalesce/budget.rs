//! Bytes that may be in use at once, and reservations of them, which are given back when dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted in: a semaphore counts to 2^32 at most.
const UNIT_BYTES: u64 = 1024;

/// Bytes that may be in use at once.
#[derive(Debug, Clone)]
pub struct Budget {
    semaphore: Arc<Semaphore>,
    units: u32,
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX);
        Self { semaphore: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Takes `bytes` if they are free now.
    #[must_use]
    pub fn try_reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = self.units_of(bytes)?;
        Arc::clone(&self.semaphore).try_acquire_many_owned(units).ok()
    }

    /// Waits for `bytes`, first come first served; `None` where they exceed the whole.
    pub async fn reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = self.units_of(bytes)?;
        Arc::clone(&self.semaphore).acquire_many_owned(units).await.ok()
    }

    /// Whether `bytes` could ever be had.
    #[must_use]
    pub fn could_hold(&self, bytes: u64) -> bool {
        self.units_of(bytes).is_some()
    }

    /// Bytes in use.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        (u64::from(self.units)).saturating_sub(self.semaphore.available_permits() as u64) * UNIT_BYTES
    }

    fn units_of(&self, bytes: u64) -> Option<u32> {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok().filter(|units| *units <= self.units)
    }

    /// Adds to a reservation until it is for `bytes`, if they are free now.
    #[must_use]
    pub fn try_grow(&self, reserved: &mut OwnedSemaphorePermit, bytes: u64) -> bool {
        let Some(units) = self.units_of(bytes) else { return false };
        let missing = (units as usize).saturating_sub(reserved.num_permits());
        let Ok(missing) = u32::try_from(missing) else { return false };
        match Arc::clone(&self.semaphore).try_acquire_many_owned(missing) {
            Ok(more) => {
                reserved.merge(more);
                true
            }
            Err(_) => false,
        }
    }

    /// Gives back what a reservation has beyond `bytes`.
    pub fn shrink(&self, reserved: &mut OwnedSemaphorePermit, bytes: u64) {
        let units = self.units_of(bytes).map_or(usize::MAX, |units| units as usize);
        let excess = reserved.num_permits().saturating_sub(units);
        drop(reserved.split(excess));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_grows_and_shrinks_within_the_budget() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let mut reserved = budget.try_reserve(2 * UNIT_BYTES).unwrap();
        assert!(budget.try_grow(&mut reserved, 8 * UNIT_BYTES));
        assert_eq!(budget.in_use(), 8 * UNIT_BYTES);
        assert!(!budget.try_grow(&mut reserved, 11 * UNIT_BYTES));
        assert!(budget.try_reserve(3 * UNIT_BYTES).is_none());
        budget.shrink(&mut reserved, UNIT_BYTES + 1);
        assert_eq!(budget.in_use(), 2 * UNIT_BYTES);
        drop(reserved);
        assert_eq!(budget.in_use(), 0);
    }
}
