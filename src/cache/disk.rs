//! The disk tier: one file an entry, checked whenever it is read, so that a torn, truncated or altered file is a miss and
//! never wrong bytes. [`DiskTier::get`], [`DiskTier::put`] and [`DiskTier::remove`] block and belong on a blocking thread; the
//! others touch no disk.
//!
//! `directory` is what lies where, `entry` the format of a file, `index` what memory knows of the files, `store` keeps the
//! two in step, `room` makes room for what is written, `pressure` says what to do about a disk that is full, `uses` what was
//! served from memory. Two threads work behind the requests' back: `scan` fills the index after a start, from a `snapshot` of
//! it where the directory has not changed, with a `survey` of what it has not seen yet; `keeper` does the rest.

mod directory;
mod entry;
mod index;
mod keeper;
mod pressure;
mod room;
mod scan;
mod snapshot;
mod store;
mod survey;
#[cfg(test)]
mod tests;
mod uses;

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use bytes::Bytes;

use super::key::CacheKey;
use store::Store;

/// Bodies up to this many bytes come whole; larger ones as an open file.
pub const WHOLE_BODY_BYTES: u64 = 1 << 20;

/// A directory of entries, at most so many bytes of them.
#[derive(Debug)]
pub struct DiskTier {
    store: Arc<Store>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Whether there is an entry, as far as memory knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// There is, unless its file is damaged.
    Yes,
    /// There is none.
    No,
    /// It has not been seen, and the scan after the start has not been through.
    Unknown,
}

/// What was stored.
#[derive(Debug)]
pub struct DiskEntry {
    /// What was stored beside the body.
    pub meta: Vec<u8>,
    /// The body.
    pub body: DiskBody,
}

/// A stored body, verified.
#[derive(Debug)]
pub enum DiskBody {
    /// Up to [`WHOLE_BODY_BYTES`].
    Whole(Bytes),
    /// Part of a file, which stays readable when the entry is replaced or evicted: files are never written again.
    File {
        /// The open file.
        file: File,
        /// Where the body begins.
        offset: u64,
        /// Its bytes.
        len: u64,
    },
}

/// What the tier holds, and what has become of entries since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Bytes they take on disk in blocks of 4 KiB, those being written included; directories are not counted.
    pub bytes: u64,
    /// Entries evicted.
    pub evictions: u64,
    /// Entries found damaged, and removed.
    pub corrupt: u64,
}

impl DiskTier {
    /// Opens `dir`, which is made if need be, for this process alone. Returns at once: what is in it becomes known while a
    /// thread goes through it, and is not counted before; what lies beyond `max_bytes` is evicted on the way.
    ///
    /// # Errors
    /// What the system says, with the directory's name; [`io::ErrorKind::ResourceBusy`] where another process has it open.
    pub fn open(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        let store = Arc::new(Store::open(dir, max_bytes)?);
        let mut tier = Self { store, stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() };
        tier.spawn("cache-scan", scan::scan)?;
        tier.spawn("cache-keeper", keeper::keep)?;
        Ok(tier)
    }

    fn spawn(&mut self, name: &str, work: fn(&Store, &AtomicBool)) -> io::Result<()> {
        let (store, stop) = (Arc::clone(&self.store), Arc::clone(&self.stop));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&store, &stop))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Whether there is an entry under `key`. Touches no disk.
    #[must_use]
    pub fn contains(&self, key: CacheKey) -> Presence {
        self.store.contains(key)
    }

    /// The entry under `key`, if its file is whole and was stored for `full_key`. One that is not is removed.
    #[must_use]
    pub fn get(&self, key: CacheKey, full_key: &str) -> Option<DiskEntry> {
        self.store.get(key, full_key)
    }

    /// Stores an entry in place of the one under `key`. Where there is no room it waits a moment for others, that were not used
    /// for long, to be evicted.
    ///
    /// Nothing is synced: a file that a power cut leaves behind half written fails its checksum and is a miss, and a sync
    /// an entry would cost more than making the few lost ones again.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] for one larger than the whole tier, [`io::ErrorKind::StorageFull`] where no room is
    /// made in time or the disk is full or broken, or what the system says. The entry that was there stays.
    pub fn put(&self, key: CacheKey, full_key: &str, meta: &[u8], body: &[u8]) -> io::Result<()> {
        self.store.put(key, full_key, meta, body)
    }

    /// Forgets the entry under `key` and removes its file.
    pub fn remove(&self, key: CacheKey) {
        self.store.remove(key);
    }

    /// Forgets the entry under `key`, if there may be one, and says so; its file goes when the disk gets round to it. Should the
    /// process be killed before, the entry is found again.
    #[must_use]
    pub fn forget(&self, key: CacheKey) -> bool {
        self.store.forget(key)
    }

    /// Removes the file of an entry that is forgotten.
    pub fn remove_forgotten(&self, key: CacheKey) {
        self.store.remove_doomed(key);
    }

    /// Notes that what is stored under `key` was served from memory, for some nanoseconds: what is used is not evicted first.
    pub fn note_use(&self, key: CacheKey) {
        self.store.uses.note(key);
    }

    /// Whether a use is noted and not taken account of yet.
    #[cfg(test)]
    pub(super) fn has_noted(&self, key: CacheKey) -> bool {
        self.store.uses.take().any(|noted| noted == key)
    }

    /// Whether every file is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.store.is_complete()
    }

    /// What it holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.store.usage()
    }
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        {
            // Under the lock that the keeper looks under before it waits.
            let _index = self.store.index();
            self.stop.store(true, Ordering::Relaxed);
            self.store.work.notify_all();
        }
        for thread in self.threads.drain(..) {
            // Should it have panicked, that was reported when it did.
            let _ = thread.join();
        }
        keeper::finish(&self.store);
    }
}
