//! What a start does not wait for: removing what was left half written, and learning of every file. Leaves that are as the
//! last snapshot saw them are taken from it; the others are read.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{directory::LEAVES, room::Marks, snapshot::Snapshot, store::Store};

/// How many leaves are looked at at once.
const THREADS: usize = 8;

/// So many leaves are read first, and tell how many entries the others have.
const SAMPLE_LEAVES: usize = 32;

/// Goes through the directory until it is done or `stop` is set. What cannot be read stays unknown: it is not counted, and a
/// miss.
pub(super) fn scan(store: &Store, stop: &AtomicBool) {
    if let Err(error) = store.directory().remove_leftovers() {
        tracing::warn!(%error, "what was left half written in the disk cache cannot be removed");
    }
    let snapshot = store.directory().read_snapshot().unwrap_or_else(|error| {
        tracing::warn!(%error, "the index of the disk cache cannot be read");
        None
    });
    let left = match &snapshot {
        Some(snapshot) => recall(store, snapshot, stop),
        None => (0..LEAVES as u16).collect(),
    };
    let read = left.len();
    let (first, rest) = left.split_at(left.len().min(SAMPLE_LEAVES));
    first.iter().for_each(|leaf| read_leaf_or_say(store, *leaf, snapshot.as_ref(), stop));
    expect_as_many(store, rest.len());
    side_by_side(rest, |leaf| {
        if !stop.load(Ordering::Relaxed) {
            read_leaf_or_say(store, leaf, snapshot.as_ref(), stop);
        }
    });
    if stop.load(Ordering::Relaxed) {
        return;
    }
    keep_within_limit(store);
    store.mark_complete();
    let entries = store.usage().entries;
    tracing::info!(entries, directories_read = read, "the disk cache is known");
}

/// Makes room in the index for as many entries in so many leaves as there are in those that are known: once, where growing
/// step by step would leave half of the memory unused behind, and keep everybody waiting at each step.
fn expect_as_many(store: &Store, leaves_left: usize) {
    let mut index = store.index();
    let leaves_known = (LEAVES as usize).saturating_sub(leaves_left).max(1);
    let expected = index.len() as usize / leaves_known * leaves_left;
    index.expect(expected + expected / 32);
}

/// Does the same to many leaves. A disk that must be asked answers several at once as quickly as one.
fn side_by_side(leaves: &[u16], work: impl Fn(u16) + Sync) {
    let next = AtomicUsize::new(0);
    let take_turns = || {
        while let Some(leaf) = leaves.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(*leaf);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS {
            // Where there can be no more threads, those that there are do it all.
            let _ = std::thread::Builder::new().name("cache-scan".to_owned()).spawn_scoped(scope, take_turns);
        }
        take_turns();
    });
}

/// Takes the leaves that are as they were from the snapshot; which are not.
fn recall(store: &Store, snapshot: &Snapshot, stop: &AtomicBool) -> Vec<u16> {
    store.index().expect(snapshot.len());
    let left = Mutex::new(Vec::new());
    let all: Vec<_> = (0..LEAVES as u16).collect();
    side_by_side(&all, |leaf| {
        if stop.load(Ordering::Relaxed) || !recall_leaf(store, snapshot, leaf) {
            left.lock().unwrap_or_else(PoisonError::into_inner).push(leaf);
        }
    });
    left.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn recall_leaf(store: &Store, snapshot: &Snapshot, leaf: u16) -> bool {
    // Nothing changes in the leaf until its entries are in the index.
    let _stripe = store.stripe_of_leaf(leaf);
    let is_as_it_was = snapshot.stamp(leaf).still_holds(store.directory().stamp(leaf));
    if is_as_it_was {
        let mut index = store.index();
        for slot in snapshot.entries(leaf) {
            if !index.contains(slot.key) && !index.is_doomed(slot.key) {
                index.survey().found(slot.blocks);
                index.insert_slot(slot);
            }
        }
        index.survey().leaf_read();
    }
    is_as_it_was
}

fn read_leaf_or_say(store: &Store, leaf: u16, snapshot: Option<&Snapshot>, stop: &AtomicBool) {
    if let Err(error) = read_leaf(store, leaf, snapshot, stop) {
        let directory = store.directory().leaf_path(leaf);
        tracing::warn!(directory = %directory.display(), %error, "the disk cache cannot be read through");
        store.overlooked.store(true, Ordering::Relaxed);
    }
    store.index().survey().leaf_read();
    keep_within_limit(store);
}

pub(super) fn read_leaf(store: &Store, leaf: u16, snapshot: Option<&Snapshot>, stop: &AtomicBool) -> io::Result<()> {
    for key in store.directory().keys_in(leaf)? {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = key?;
        let earlier = snapshot.and_then(|snapshot| snapshot.find(key)).map_or(0, |slot| slot.last_used);
        store.take_in(key, earlier);
    }
    Ok(())
}

/// Nobody waits for these threads: they make the room that the limit, if it was lowered, asks for.
fn keep_within_limit(store: &Store) {
    // Where it fails the keeper tries again, and says so.
    let _ = store.evict_down_to(|Marks { limit, .. }| limit);
}
