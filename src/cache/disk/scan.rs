//! What a start does not wait for: removing what was left half written, and reading the directory through so that the index
//! knows every file.

use std::{
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{directory::Directory, store::Store};

/// Reads the directory through, until it is done or `stop` is set. What cannot be read stays unknown: it is not counted, and
/// a miss.
pub(super) fn scan(store: &Store, stop: &AtomicBool) {
    if let Err(error) = store.directory().remove_leftovers() {
        tracing::warn!(%error, "what was left half written in the disk cache cannot be removed");
    }
    for leaf in store.directory().leaves() {
        if let Err(error) = take_in_leaf(store, &leaf, stop) {
            tracing::warn!(directory = %leaf.display(), %error, "the disk cache cannot be read through");
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
    store.mark_complete();
}

fn take_in_leaf(store: &Store, leaf: &Path, stop: &AtomicBool) -> io::Result<()> {
    for key in Directory::keys_in(leaf)? {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        store.take_in(key?);
    }
    Ok(())
}
