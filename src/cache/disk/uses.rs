//! Which entries were lately served from memory, so that they are not the first to go from disk: what is hot is never read
//! there. A hit writes here at most, and only where another key was in its place: two keys that are in each other's way
//! take turns, one that is hot costs a look. What is lost is lost, since the next hit tells again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::key::CacheKey;

/// How many are told at the most from one time to the next.
const PLACES: usize = 4_096;

/// Keys by their hash, the last of each place.
#[derive(Debug)]
pub(super) struct Uses {
    places: Box<[[AtomicU64; 2]]>,
}

impl Uses {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Default::default()).collect() }
    }

    /// Notes that an entry is used. Two threads may leave halves of two keys, which together are no key: nothing comes of it.
    pub(super) fn note(&self, key: CacheKey) {
        let halves = halves(key);
        let place = &self.places[(halves[1] % PLACES as u64) as usize];
        for (there, half) in place.iter().zip(halves) {
            if there.load(Ordering::Relaxed) != half {
                there.store(half, Ordering::Relaxed);
            }
        }
    }

    /// Takes out what was noted.
    pub(super) fn take(&self) -> impl Iterator<Item = CacheKey> {
        self.places.iter().filter_map(|place| {
            // Looked at before it is written: most places are empty most of the time.
            let is_there = place.iter().any(|half| half.load(Ordering::Relaxed) != 0);
            is_there.then(|| whole([place[0].swap(0, Ordering::Relaxed), place[1].swap(0, Ordering::Relaxed)]))
        })
    }
}

fn halves(key: CacheKey) -> [u64; 2] {
    let bits = u128::from_be_bytes(*key.as_bytes());
    [(bits >> 64) as u64, bits as u64]
}

fn whole([first, second]: [u64; 2]) -> CacheKey {
    CacheKey::from_bytes((u128::from(first) << 64 | u128::from(second)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::KeyHasher;
    use std::collections::HashSet;

    fn keys(numbers: std::ops::Range<u64>) -> HashSet<[u8; 16]> {
        numbers.map(|number| *KeyHasher::new().bytes(&number.to_le_bytes()).finish().as_bytes()).collect()
    }

    #[test]
    fn what_was_noted_is_told_once() {
        let (uses, keys) = (Uses::new(), keys(0..20));
        for _ in 0..3 {
            keys.iter().for_each(|key| uses.note(CacheKey::from_bytes(*key)));
        }
        let told: Vec<_> = uses.take().map(|key| *key.as_bytes()).collect();
        assert!(told.len() >= 18, "more than two of twenty were in each other's way");
        assert!(told.iter().all(|key| keys.contains(key)));
        assert_eq!(told.iter().collect::<HashSet<_>>().len(), told.len());
        assert_eq!(uses.take().count(), 0);
    }

    #[test]
    fn more_than_there_is_room_for_are_told_in_part() {
        let (uses, keys) = (Uses::new(), keys(0..100_000));
        keys.iter().for_each(|key| uses.note(CacheKey::from_bytes(*key)));
        let told = uses.take().filter(|key| keys.contains(key.as_bytes())).count();
        assert_eq!(told, PLACES);
    }
}
