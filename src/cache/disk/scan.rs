//! What a start does not wait for: removing what was left half written, and learning of every file. Leaves that are as the
//! last snapshot saw them are taken from it; the others are read.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{directory::LEAVES, room::Marks, snapshot::Snapshot, store::Store};

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
    for leaf in left {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = read_leaf(store, leaf, snapshot.as_ref(), stop) {
            let directory = store.directory().leaf_path(leaf);
            tracing::warn!(directory = %directory.display(), %error, "the disk cache cannot be read through");
            store.overlooked.store(true, Ordering::Relaxed);
        }
        store.index().survey().leaf_read();
        keep_within_limit(store);
    }
    keep_within_limit(store);
    store.mark_complete();
    let entries = store.usage().entries;
    tracing::info!(entries, directories_read = read, "the disk cache is known");
}

/// Takes the leaves that are as they were from the snapshot; which are not.
fn recall(store: &Store, snapshot: &Snapshot, stop: &AtomicBool) -> Vec<u16> {
    store.index().expect(snapshot.len());
    (0..LEAVES as u16).filter(|leaf| stop.load(Ordering::Relaxed) || !recall_leaf(store, snapshot, *leaf)).collect()
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

fn read_leaf(store: &Store, leaf: u16, snapshot: Option<&Snapshot>, stop: &AtomicBool) -> io::Result<()> {
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

/// Nobody waits for this thread: it makes the room that the limit, if it was lowered, asks for.
fn keep_within_limit(store: &Store) {
    // Where it fails the keeper tries again, and says so.
    let _ = store.evict_down_to(|Marks { limit, .. }| limit);
}
