//! What memory knows of the files: how large each is and when it was last used, and what room is set aside and waited for.
//! Pure: it reads no clock and no disk. An entry takes 48 to 96 bytes, depending on how full the tables are that hold it.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use super::survey::Survey;
use crate::{cache::key::CacheKey, http::time::UnixSeconds};

/// The unit that sizes are counted in: what ext4, XFS and others give files their room in.
pub(super) const BLOCK_BYTES: u64 = 4_096;

/// More entries are not held, whatever room there is: their index takes some 6 GB of memory.
pub(super) const MAX_ENTRIES: usize = 1 << 26;

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
    /// What those wait for who found no room.
    wanted_blocks: u64,
    /// Entries that are forgotten and whose files are not removed yet. No more than there were entries.
    doomed: HashSet<CacheKey, BuildHasherDefault<KeyIsHash>>,
    survey: Survey,
    dice: u64,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) key: CacheKey,
    pub(super) blocks: u32,
    /// In Unix seconds, enough until 2106.
    pub(super) last_used: u32,
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
        Self {
            slots: Vec::new(),
            places: HashMap::default(),
            entry_blocks: 0,
            reserved_blocks: 0,
            wanted_blocks: 0,
            doomed: HashSet::default(),
            survey: Survey::default(),
            dice: seed | 1,
        }
    }

    /// Makes its tables large enough for so many entries, once instead of step by step.
    pub(super) fn expect(&mut self, entries: usize) {
        self.slots.reserve(entries);
        self.places.reserve(entries);
    }

    pub(super) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    /// What entries take and what is reserved, in blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.entry_blocks + self.reserved_blocks
    }

    /// What there is, what is waited for, and what is expected of the files that are not seen yet.
    fn demand(&self, limit: u64) -> u64 {
        self.blocks() + self.wanted_blocks + self.survey.unseen_blocks(limit)
    }

    /// Whether something must be evicted for all to be at `mark` or below, where `limit` is the bound.
    pub(super) fn is_over(&self, mark: u64, limit: u64) -> bool {
        self.demand(limit) > mark || self.slots.len() > MAX_ENTRIES
    }

    /// Whether an entry of so many blocks can be written now. Who waits does not count: the room is not theirs yet.
    pub(super) fn has_room(&self, blocks: u32, limit: u64) -> bool {
        self.demand(limit) - self.wanted_blocks + u64::from(blocks) <= limit && self.slots.len() <= MAX_ENTRIES
    }

    /// Whether somebody waits for room.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted_blocks > 0
    }

    pub(super) fn want(&mut self, blocks: u32) {
        self.wanted_blocks += u64::from(blocks);
    }

    pub(super) fn unwant(&mut self, blocks: u32) {
        self.wanted_blocks -= u64::from(blocks);
    }

    /// What a start knows of the directory.
    pub(super) fn survey(&mut self) -> &mut Survey {
        &mut self.survey
    }

    /// How many blocks files that are not seen yet are expected to take.
    pub(super) fn unseen_blocks(&self, limit: u64) -> u64 {
        self.survey.unseen_blocks(limit)
    }

    pub(super) fn contains(&self, key: CacheKey) -> bool {
        self.places.contains_key(&key)
    }

    /// Takes an entry out, known or not, whose file is to be removed.
    pub(super) fn doom(&mut self, key: CacheKey) {
        self.remove(key);
        self.doomed.insert(key);
    }

    /// An entry's file is removed, or another is in its place.
    pub(super) fn undoom(&mut self, key: CacheKey) {
        self.doomed.remove(&key);
    }

    pub(super) fn is_doomed(&self, key: CacheKey) -> bool {
        // Most of the time there is none.
        !self.doomed.is_empty() && self.doomed.contains(&key)
    }

    /// One whose file is to be removed.
    pub(super) fn any_doomed(&self) -> Option<CacheKey> {
        self.doomed.iter().next().copied()
    }

    /// Copies some entries below `end`, and says where to go on. From the last to the first, since what is removed meanwhile is
    /// replaced by the last: an entry may be copied twice so, but none is passed over that stays.
    pub(super) fn copy_below(&self, end: usize, count: usize, copy: &mut Vec<Slot>) -> usize {
        let end = end.min(self.slots.len());
        let start = end.saturating_sub(count);
        copy.extend_from_slice(&self.slots[start..end]);
        start
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
        self.insert_slot(Slot { key, blocks, last_used: seconds(last_used) });
    }

    /// Likewise.
    pub(super) fn insert_slot(&mut self, slot: Slot) {
        let (key, blocks) = (slot.key, slot.blocks);
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
            let last_used = &mut self.slots[*place as usize].last_used;
            *last_used = seconds(now).max(*last_used);
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

pub(super) fn seconds(time: UnixSeconds) -> u32 {
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

    #[test]
    fn room_is_for_who_finds_it_and_what_is_waited_for_is_made() {
        let mut index = index();
        index.insert(key(0), 6, UnixSeconds(1));
        index.reserve(2);
        assert!(index.has_room(2, 10) && !index.has_room(3, 10) && !index.is_over(10, 10));
        index.want(3);
        assert!(index.has_room(2, 10) && index.is_over(10, 10));
        index.unwant(3);
        assert!(!index.is_over(10, 10) && index.is_over(7, 10));
    }

    #[test]
    fn what_is_not_seen_yet_takes_room_too() {
        let mut index = index();
        index.insert(key(0), 4, UnixSeconds(1));
        index.survey().found(4);
        assert!(index.has_room(6, 10));
        index.survey().leaf_read();
        assert!(!index.has_room(1, 10) && !index.is_over(10, 10));
    }

    #[test]
    fn an_entry_that_is_doomed_is_none_until_another_takes_its_place() {
        let mut index = index();
        index.insert(key(0), 1, UnixSeconds(1));
        index.doom(key(0));
        assert!(!index.contains(key(0)) && index.is_doomed(key(0)) && index.any_doomed() == Some(key(0)));
        index.undoom(key(0));
        assert!(!index.is_doomed(key(0)) && index.any_doomed().is_none());
    }

    #[test]
    fn an_entry_that_stays_is_copied_whatever_goes_meanwhile() {
        for removed in [0..10, 45..60, 90..100] {
            let mut index = index();
            (0..100).for_each(|number| index.insert(key(number), 1, UnixSeconds(1)));
            let (mut copy, mut end, mut left) = (Vec::new(), usize::MAX, removed.clone());
            while end > 0 {
                end = index.copy_below(end, 7, &mut copy);
                left.by_ref().take(2).for_each(|number| assert!(index.remove(key(number))));
                index.insert(key(1_000 + end as u64), 1, UnixSeconds(1));
            }
            let is_copied = |number| copy.iter().any(|slot| slot.key == key(number));
            assert!((0..100).filter(|number| !removed.contains(number)).all(is_copied), "{removed:?}");
        }
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
