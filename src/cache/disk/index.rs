//! What memory knows of the files: how large each is and when it was last used. Pure: it reads no clock and no disk. An
//! entry takes 48 to 96 bytes, depending on how full the tables are that hold it.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use crate::{cache::key::CacheKey, http::time::UnixSeconds};

/// The unit that sizes are counted in: what ext4, XFS and others give files their room in.
pub(super) const BLOCK_BYTES: u64 = 4_096;

/// More entries are not held, whatever room there is: their index takes some 6 GB of memory.
const MAX_ENTRIES: usize = 1 << 26;

/// How many entries are looked at to evict one. The oldest of sixteen is one of the oldest tenth in 4 of 5 cases.
const SAMPLES: usize = 16;

/// Entries by key, and what they take together.
#[derive(Debug)]
pub(super) struct Index {
    slots: Vec<Slot>,
    /// Where in `slots` an entry is. Separate, so that one can be drawn at random.
    places: HashMap<CacheKey, u32, BuildHasherDefault<KeyIsHash>>,
    entry_blocks: u64,
    reserved_blocks: u64,
    dice: u64,
}

#[derive(Debug)]
struct Slot {
    key: CacheKey,
    blocks: u32,
    /// In Unix seconds, enough until 2106.
    last_used: u32,
}

/// Takes a key's hash as it is: keys are hashes.
#[derive(Debug, Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The blocks that a file of `len` bytes takes; `None` beyond 16 TiB.
pub(super) fn blocks_of(len: u64) -> Option<u32> {
    u32::try_from(len.div_ceil(BLOCK_BYTES)).ok()
}

impl Index {
    /// Without entries. `seed` starts the dice.
    pub(super) fn new(seed: u64) -> Self {
        Self { slots: Vec::new(), places: HashMap::default(), entry_blocks: 0, reserved_blocks: 0, dice: seed | 1 }
    }

    pub(super) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    /// What entries take and what is reserved, in blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.entry_blocks + self.reserved_blocks
    }

    /// Whether something must be evicted.
    pub(super) fn is_over(&self, max_blocks: u64) -> bool {
        self.blocks() > max_blocks || self.slots.len() > MAX_ENTRIES
    }

    pub(super) fn contains(&self, key: CacheKey) -> bool {
        self.places.contains_key(&key)
    }

    /// Sets blocks aside for an entry that is being written.
    pub(super) fn reserve(&mut self, blocks: u32) {
        self.reserved_blocks += u64::from(blocks);
    }

    /// Gives back what was set aside.
    pub(super) fn release(&mut self, blocks: u32) {
        self.reserved_blocks -= u64::from(blocks);
    }

    /// Adds an entry; what it replaces no longer counts.
    pub(super) fn insert(&mut self, key: CacheKey, blocks: u32, last_used: UnixSeconds) {
        let slot = Slot { key, blocks, last_used: seconds(last_used) };
        match self.places.entry(key) {
            Entry::Occupied(place) => {
                let old = std::mem::replace(&mut self.slots[*place.get() as usize], slot);
                self.entry_blocks -= u64::from(old.blocks);
            }
            Entry::Vacant(place) => {
                // `MAX_ENTRIES` and those being written are far below what 32 bits hold.
                place.insert(self.slots.len() as u32);
                self.slots.push(slot);
            }
        }
        self.entry_blocks += u64::from(blocks);
    }

    /// Takes an entry out; whether there was one.
    pub(super) fn remove(&mut self, key: CacheKey) -> bool {
        let Some(place) = self.places.remove(&key) else { return false };
        let removed = self.slots.swap_remove(place as usize);
        if let Some(moved) = self.slots.get(place as usize) {
            self.places.insert(moved.key, place);
        }
        self.entry_blocks -= u64::from(removed.blocks);
        true
    }

    /// Notes that an entry is used.
    pub(super) fn touch(&mut self, key: CacheKey, now: UnixSeconds) {
        if let Some(place) = self.places.get(&key) {
            self.slots[*place as usize].last_used = seconds(now);
        }
    }

    /// An entry that was not used for long: the oldest of a few drawn at random.
    pub(super) fn victim(&mut self) -> Option<CacheKey> {
        if self.slots.len() <= SAMPLES {
            return self.slots.iter().min_by_key(|slot| slot.last_used).map(|slot| slot.key);
        }
        let mut oldest = self.draw();
        for _ in 1..SAMPLES {
            let place = self.draw();
            if self.slots[place].last_used < self.slots[oldest].last_used {
                oldest = place;
            }
        }
        Some(self.slots[oldest].key)
    }

    /// A place at random (xorshift64: nobody gains by guessing it).
    fn draw(&mut self) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % self.slots.len() as u64) as usize
    }
}

fn seconds(time: UnixSeconds) -> u32 {
    u32::try_from(time.0).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::KeyHasher;
    use proptest::prelude::*;

    fn key(number: u64) -> CacheKey {
        KeyHasher::new().bytes(&number.to_le_bytes()).finish()
    }

    fn index() -> Index {
        Index::new(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn sizes_are_rounded_up_to_blocks() {
        for (len, blocks) in [(0, 0), (1, 1), (4_096, 1), (4_097, 2), (16 << 40, u32::MAX)] {
            let found = blocks_of(len);
            if len == 16 << 40 { assert_eq!(found, None) } else { assert_eq!(found, Some(blocks), "{len}") }
        }
    }

    #[test]
    fn an_entry_takes_less_than_a_hundred_bytes_even_in_tables_that_just_grew() {
        let in_slots = 2 * size_of::<Slot>();
        // A table is between 7/16 and 7/8 full and has one byte more a bucket.
        let in_places = (size_of::<(CacheKey, u32)>() + 1) * 16 / 7;
        assert!(in_slots + in_places < 100, "{in_slots} + {in_places}");
    }

    #[test]
    fn among_few_the_oldest_goes() {
        let mut index = index();
        for number in 0..10 {
            index.insert(key(number), 1, UnixSeconds(100 + number));
        }
        index.touch(key(0), UnixSeconds(200));
        assert_eq!(index.victim(), Some(key(1)));
    }

    #[test]
    fn among_many_old_ones_go() {
        let mut index = index();
        for number in 0..10_000 {
            index.insert(key(number), 1, UnixSeconds(number));
        }
        for _ in 0..5_000 {
            let victim = index.victim().unwrap();
            index.remove(victim);
        }
        let kept_of = |range: std::ops::Range<u64>| range.filter(|number| index.contains(key(*number))).count();
        assert!(kept_of(0..2_500) < 50, "{} of the oldest quarter are left", kept_of(0..2_500));
        assert!(kept_of(7_500..10_000) > 2_450, "{} of the newest quarter are left", kept_of(7_500..10_000));
    }

    #[test]
    fn without_entries_there_is_no_victim() {
        assert_eq!(index().victim(), None);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64, u32),
        Remove(u64),
        Touch(u64),
        Evict,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..40, 1_u32..9).prop_map(|(number, blocks)| Step::Insert(number, blocks)),
            (0_u64..40).prop_map(Step::Remove),
            (0_u64..40).prop_map(Step::Touch),
            Just(Step::Evict),
        ]
    }

    proptest! {
        #[test]
        fn it_counts_what_a_plain_map_counts(steps in prop::collection::vec(step(), 0..200)) {
            let (mut index, mut model) = (index(), HashMap::new());
            for (now, step) in steps.into_iter().enumerate() {
                let now = UnixSeconds(now as u64);
                match step {
                    Step::Insert(number, blocks) => {
                        index.insert(key(number), blocks, now);
                        model.insert(key(number), blocks);
                    }
                    Step::Remove(number) => {
                        prop_assert_eq!(index.remove(key(number)), model.remove(&key(number)).is_some());
                    }
                    Step::Touch(number) => index.touch(key(number), now),
                    Step::Evict => {
                        let victim = index.victim();
                        prop_assert_eq!(victim.is_some(), !model.is_empty());
                        if let Some(victim) = victim {
                            prop_assert!(index.remove(victim) && model.remove(&victim).is_some());
                        }
                    }
                }
                prop_assert_eq!(index.len(), model.len() as u64);
                prop_assert_eq!(index.blocks(), model.values().map(|blocks| u64::from(*blocks)).sum::<u64>());
                prop_assert!(model.keys().all(|key| index.contains(*key)));
            }
        }
    }
}
