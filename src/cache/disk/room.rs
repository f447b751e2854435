//! Room for what is written. Whoever writes sets room aside first. Eviction is the keeper's: it begins a little below the
//! limit, so that there is room as a rule before anybody needs it. Where there is none, a put waits a moment, and is given up:
//! the entry is made again when it is wanted.

use std::{
    io,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    index::{Index, blocks_of},
    store::Store,
};
use crate::{cache::key::CacheKey, http::time::UnixSeconds};

/// How long a put waits for room.
const WAIT: Duration = Duration::from_millis(250);

/// Tiers below so many blocks (64 MiB) are filled to the limit: one entry may be a good part of them.
const LEAST_BLOCKS_WITH_MARGIN: u64 = 1 << 14;

/// What part of the limit is kept free, and the most of it in blocks (256 MiB).
const MARGIN_PART: u64 = 64;
const MAX_MARGIN_BLOCKS: u64 = 1 << 16;

/// Where eviction begins and ends, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// No more is taken.
    pub(super) limit: u64,
    /// Eviction begins above.
    pub(super) high: u64,
    /// Eviction goes on down to here.
    pub(super) low: u64,
}

impl Marks {
    pub(super) fn of(index: &Index, limit: u64) -> Self {
        Self::new(limit, index.unseen_blocks(limit))
    }

    /// No margin is made by guesses: while files are unseen, no more goes than must.
    fn new(limit: u64, unseen_blocks: u64) -> Self {
        let has_margin = limit >= LEAST_BLOCKS_WITH_MARGIN && unseen_blocks == 0;
        let margin = if has_margin { (limit / MARGIN_PART).min(MAX_MARGIN_BLOCKS) } else { 0 };
        Self { limit, high: limit - margin / 2, low: limit - margin }
    }
}

/// Room for an entry that is being written, given back when dropped.
pub(super) struct Reservation<'a> {
    store: &'a Store,
    blocks: u32,
}

impl Store {
    /// Sets room aside for a file of `len` bytes, waiting for it if need be.
    pub(super) fn reserve(&self, len: u64) -> io::Result<Reservation<'_>> {
        let limit = self.limit_blocks();
        let mut index = self.index();
        let marks = Marks::of(&index, limit);
        // Above the low mark the keeper would take it for too much as soon as it is there.
        let blocks = blocks_of(len).filter(|blocks| u64::from(*blocks) <= marks.low).ok_or_else(|| {
            let problem = format!("an entry of {len} bytes is larger than the whole disk cache");
            io::Error::new(io::ErrorKind::FileTooLarge, problem)
        })?;
        if !index.has_room(blocks, limit) {
            index.want(blocks);
            self.work.notify_all();
            let waited = self.room.wait_timeout_while(index, WAIT, |index| !index.has_room(blocks, limit));
            (index, _) = waited.unwrap_or_else(PoisonError::into_inner);
            index.unwant(blocks);
            if !index.has_room(blocks, limit) {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "no room was made in the disk cache in time"));
            }
        }
        index.reserve(blocks);
        if index.is_over(marks.high, marks.limit) {
            self.work.notify_all();
        }
        Ok(Reservation { store: self, blocks })
    }

    /// Evicts what was not used for long, until all is down to `mark`.
    pub(super) fn evict_down_to(&self, mark: impl Fn(Marks) -> u64) -> io::Result<()> {
        loop {
            let limit = self.limit_blocks();
            let victim = {
                let mut index = self.index();
                if !index.is_over(mark(Marks::of(&index, limit)), limit) {
                    return Ok(());
                }
                index.victim()
            };
            // Where there is none, all is being written, and comes back here.
            let Some(victim) = victim else { return Ok(()) };
            self.evict(victim)?;
        }
    }

    /// Where the disk does not let go of it, it stays an entry: its room is not free.
    fn evict(&self, key: CacheKey) -> io::Result<()> {
        let _stripe = self.stripe(key);
        self.directory().remove(key)?;
        let mut index = self.index();
        if index.remove(key) {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
        self.tell_of_room(&index);
        Ok(())
    }

    /// Wakes those who wait for room: something went.
    pub(super) fn tell_of_room(&self, index: &Index) {
        if index.is_wanted() {
            self.room.notify_all();
        }
    }
}

impl Reservation<'_> {
    pub(super) fn become_entry(mut self, key: CacheKey) {
        let mut index = self.store.index();
        index.release(self.blocks);
        index.insert(key, self.blocks, UnixSeconds::now());
        index.undoom(key);
        self.blocks = 0;
        self.store.changes.fetch_add(1, Ordering::Relaxed);
        // What it replaced may have been larger.
        self.store.tell_of_room(&index);
        if index.is_wanted() {
            // It can make way for what is waited for.
            self.store.work.notify_all();
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.blocks == 0 {
            return;
        }
        let mut index = self.store.index();
        index.release(self.blocks);
        self.store.tell_of_room(&index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_margin_where_it_is_small_beside_the_tier() {
        for (limit, high, low) in [
            (0, 0, 0),
            (16_383, 16_383, 16_383),
            (16_384, 16_256, 16_128),
            (1 << 40, (1 << 40) - (1 << 15), (1 << 40) - (1 << 16)),
        ] {
            assert_eq!(Marks::new(limit, 0), Marks { limit, high, low });
        }
    }

    #[test]
    fn a_guess_makes_no_margin() {
        assert_eq!(Marks::new(1 << 20, 1), Marks { limit: 1 << 20, high: 1 << 20, low: 1 << 20 });
    }
}
