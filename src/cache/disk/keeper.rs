//! The one thread that works on the tier behind the requests' back: makes room, removes the files of what is forgotten, notes
//! what was served from memory, and writes the index down now and then. What it does not get done it does later.

use std::{
    io,
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    directory::{LEAVES, STAMP_STEP},
    index::Index,
    room::Marks,
    store::Store,
};
use crate::http::time::UnixSeconds;

/// How often it looks without being told, and how long it lets a disk alone that has failed it.
const ROUND: Duration = Duration::from_secs(1);

/// How often what was served from memory is noted.
const NOTE_USES_EVERY: Duration = Duration::from_secs(5);

/// How often the index is written down, if anything has changed: what a start has to read after a crash.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(300);

/// How many entries are copied at a time: for so long (about 20 µs) nobody else looks something up.
const COPIED_AT_ONCE: usize = 8_192;

/// When it did what, last.
struct Rounds {
    uses_noted: Instant,
    snapshot_at: Instant,
    changes_then: u64,
}

/// Works until `stop` is set.
pub(super) fn keep(store: &Store, stop: &AtomicBool) {
    let now = Instant::now();
    let mut rounds = Rounds { uses_noted: now, snapshot_at: now, changes_then: 0 };
    while !stop.load(Ordering::Relaxed) {
        rounds.note_uses(store);
        let removed = remove_doomed(store);
        let evicted = make_room(store);
        rounds.write_snapshot(store);
        wait(store, stop, removed && evicted);
    }
}

impl Rounds {
    fn note_uses(&mut self, store: &Store) {
        if self.uses_noted.elapsed() >= NOTE_USES_EVERY {
            note_uses(store);
            self.uses_noted = Instant::now();
        }
    }

    fn write_snapshot(&mut self, store: &Store) {
        if self.snapshot_at.elapsed() < SNAPSHOT_EVERY {
            return;
        }
        let changes = store.changes.load(Ordering::Relaxed) + store.evictions.load(Ordering::Relaxed);
        if changes != self.changes_then {
            write_snapshot_or_say(store);
            self.changes_then = changes;
        }
        self.snapshot_at = Instant::now();
    }
}

/// Makes room down to the low mark where there is less than at the high one; whether the disk let go of what was to go.
fn make_room(store: &Store) -> bool {
    let limit = store.limit_blocks();
    if !lacks_room(&store.index(), limit) {
        return true;
    }
    let evicted = store.evict_down_to(|Marks { low, .. }| low);
    if let Err(error) = &evicted {
        tracing::warn!(%error, "no room can be made in the disk cache");
    }
    evicted.is_ok()
}

fn lacks_room(index: &Index, limit: u64) -> bool {
    index.len() > 0 && index.is_over(Marks::of(index, limit).high, limit)
}

/// Waits for the next round, or until there is less room than there should be. A disk that has just failed is not asked again
/// at once.
fn wait(store: &Store, stop: &AtomicBool, has_succeeded: bool) {
    let limit = store.limit_blocks();
    let index = store.index();
    let is_idle = |index: &mut Index| {
        let has_work = has_succeeded && lacks_room(index, limit);
        !has_work && !stop.load(Ordering::Relaxed)
    };
    drop(store.work.wait_timeout_while(index, ROUND, is_idle).unwrap_or_else(PoisonError::into_inner));
}

fn remove_doomed(store: &Store) -> bool {
    loop {
        let Some(key) = store.index().any_doomed() else { return true };
        if !store.remove_doomed(key) {
            return false;
        }
    }
}

/// Notes what was served from memory.
pub(super) fn note_uses(store: &Store) {
    let now = UnixSeconds::now();
    for key in store.uses.take() {
        store.index().touch(key, now);
    }
}

/// What is done at the end, when nobody else uses the tier any more: what was forgotten is gone and the index is written down.
pub(super) fn finish(store: &Store) {
    note_uses(store);
    remove_doomed(store);
    // What has just been changed would have to be read again.
    std::thread::sleep(STAMP_STEP + STAMP_STEP / 4);
    write_snapshot_or_say(store);
}

fn write_snapshot_or_say(store: &Store) {
    if let Err(error) = write_snapshot(store) {
        tracing::warn!(%error, "the index of the disk cache cannot be written: the next start takes longer");
    }
}

/// Writes the index down, unless it does not know every file.
pub(super) fn write_snapshot(store: &Store) -> io::Result<()> {
    if !store.is_complete() || store.overlooked.load(Ordering::Relaxed) {
        return Ok(());
    }
    let stamps: Vec<_> = (0..LEAVES as u16).map(|leaf| store.directory().stamp(leaf)).collect();
    // What was renamed or removed before a stamp was taken is in the index after this, and what comes later changes the stamp.
    store.pass_stripes();
    let mut slots = Vec::with_capacity(usize::try_from(store.index().len()).unwrap_or(0));
    let mut end = usize::MAX;
    while end > 0 {
        end = store.index().copy_below(end, COPIED_AT_ONCE, &mut slots);
    }
    store.directory().write_snapshot(slots, &stamps)
}
