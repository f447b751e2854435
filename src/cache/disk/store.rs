//! Files and index, kept in step. A key's file and its place in the index change together under one of a few locks that are
//! striped over the keys; the index has a lock of its own, held for some hundred nanoseconds and never while the disk works.
//! Bodies are read and written under no lock: a file is written aside and renamed, and one that is open stays what it was.

use std::{
    io,
    path::Path,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{
    DiskBody, DiskEntry, Presence, Usage,
    directory::Directory,
    entry::{self, Entry, Unreadable},
    index::{BLOCK_BYTES, Index, Slot, blocks_of, seconds},
    pressure::{Pressure, Trouble},
    uses::Uses,
};
use crate::{cache::key::CacheKey, http::time::UnixSeconds};

/// How many keys may be renamed or removed at once. A leaf's keys share one.
const STRIPES: usize = 64;

/// How old the modification time of a file that is used may get. Where no snapshot tells, it says what was used last.
const USE_RESOLUTION: Duration = Duration::from_secs(3_600);

/// The files of a directory and what memory knows of them.
#[derive(Debug)]
pub(super) struct Store {
    directory: Directory,
    index: Mutex<Index>,
    /// Tells those who wait for room, and the keeper, that the index has changed.
    pub(super) room: Condvar,
    pub(super) work: Condvar,
    stripes: [Mutex<()>; STRIPES],
    pressure: Mutex<Pressure>,
    pub(super) uses: Uses,
    /// Whether the index knows every file.
    complete: AtomicBool,
    /// Whether there may be files in a leaf that could not be read.
    pub(super) overlooked: AtomicBool,
    pub(super) evictions: AtomicU64,
    pub(super) changes: AtomicU64,
    corrupt: AtomicU64,
}

impl Store {
    pub(super) fn open(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        let seed = UnixSeconds::now().0;
        Ok(Self {
            directory: Directory::open(dir)?,
            index: Mutex::new(Index::new(seed)),
            room: Condvar::new(),
            work: Condvar::new(),
            stripes: [const { Mutex::new(()) }; STRIPES],
            pressure: Mutex::new(Pressure::new(max_bytes / BLOCK_BYTES)),
            uses: Uses::new(),
            complete: AtomicBool::new(false),
            overlooked: AtomicBool::new(false),
            evictions: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
        })
    }

    pub(super) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn contains(&self, key: CacheKey) -> Presence {
        // Before the index: what the scan adds in between must not be taken for absent.
        let complete = self.is_complete();
        let index = self.index();
        match (index.contains(key), complete || index.is_doomed(key)) {
            (true, _) => Presence::Yes,
            (false, true) => Presence::No,
            (false, false) => Presence::Unknown,
        }
    }

    pub(super) fn get(&self, key: CacheKey, full_key: &str) -> Option<DiskEntry> {
        if self.contains(key) == Presence::No {
            return None;
        }
        let file = match self.directory.open_entry(key) {
            Ok(file) => file,
            Err(error) => {
                self.not_opened(key, &error);
                return None;
            }
        };
        let metadata = file.metadata().ok()?;
        match Entry::read(&file, metadata.len(), key, full_key) {
            Ok(Entry { meta, whole, body_offset, body_len }) => {
                self.note_use(key, &file, metadata.modified().ok());
                let body = match whole {
                    Some(bytes) => DiskBody::Whole(bytes),
                    None => DiskBody::File { file, offset: body_offset, len: body_len },
                };
                Some(DiskEntry { meta, body })
            }
            Err(unreadable) => {
                // By its file, since a put may have replaced it meanwhile.
                let removed = self.remove_if(key, || self.directory.holds(key, &file));
                if removed && unreadable == Unreadable::Damaged {
                    self.corrupt.fetch_add(1, Ordering::Relaxed);
                }
                None
            }
        }
    }

    pub(super) fn put(&self, key: CacheKey, full_key: &str, meta: &[u8], body: &[u8]) -> io::Result<()> {
        if self.pressure().is_quiet(Instant::now()) {
            let problem = "the disk was full or failed a moment ago and is let alone";
            return Err(io::Error::new(io::ErrorKind::StorageFull, problem));
        }
        let head = entry::head(key, full_key, meta, body)?;
        let reservation = self.reserve(head.len() as u64 + body.len() as u64)?;
        let written = self.directory.write_temp(&[&head, body]).and_then(|temp| {
            let _stripe = self.stripe(key);
            self.directory.place(&temp, key)?;
            reservation.become_entry(key);
            Ok(())
        });
        match &written {
            Ok(()) => self.pressure().succeeded(Instant::now()),
            Err(error) => self.note_trouble(error),
        }
        written
    }

    /// Forgets an entry and removes its file.
    pub(super) fn remove(&self, key: CacheKey) {
        if self.forget(key) {
            self.remove_doomed(key);
        }
    }

    /// Forgets an entry, without touching the disk: the keeper removes its file. Whether there may be one.
    pub(super) fn forget(&self, key: CacheKey) -> bool {
        if self.contains(key) == Presence::No {
            return false;
        }
        let mut index = self.index();
        index.doom(key);
        self.tell_of_room(&index);
        true
    }

    /// Removes the file of an entry that is forgotten; whether that is done.
    pub(super) fn remove_doomed(&self, key: CacheKey) -> bool {
        let _stripe = self.stripe(key);
        if !self.index().is_doomed(key) {
            return true;
        }
        match self.directory.remove(key) {
            Ok(()) => {
                self.index().undoom(key);
                true
            }
            Err(error) => {
                tracing::warn!(%key, %error, "the file of an entry that is forgotten cannot be removed yet");
                false
            }
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let index = self.index();
        Usage {
            entries: index.len(),
            bytes: index.blocks() * BLOCK_BYTES,
            evictions: self.evictions.load(Ordering::Relaxed),
            corrupt: self.corrupt.load(Ordering::Relaxed),
        }
    }

    /// From here on what the index does not know is not there.
    pub(super) fn mark_complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Takes in what the scan found, unless it is known already or gone again. `earlier` is when it is known to have been used
    /// beside what the file says.
    pub(super) fn take_in(&self, key: CacheKey, earlier: u32) {
        let _stripe = self.stripe(key);
        {
            let index = self.index();
            if index.contains(key) || index.is_doomed(key) {
                return;
            }
        }
        let Some((len, modified)) = self.directory.look_at(key) else { return };
        let Some(blocks) = blocks_of(len) else { return };
        let last_used = seconds(modified.into()).max(earlier);
        let mut index = self.index();
        index.survey().found(blocks);
        // It may have been forgotten while it was looked at.
        if !index.is_doomed(key) {
            index.insert_slot(Slot { key, blocks, last_used });
        }
    }

    /// What the tier may take now, in blocks.
    pub(super) fn limit_blocks(&self) -> u64 {
        self.pressure().limit_blocks(Instant::now())
    }

    fn note_trouble(&self, error: &io::Error) {
        let Some(trouble) = Trouble::of(error) else { return };
        let taken = self.index().blocks();
        let pause = self.pressure().failed(trouble, taken, Instant::now());
        if let Some(pause) = pause {
            let seconds = pause.as_secs();
            tracing::warn!(%error, "the disk cache cannot be written: nothing is for {seconds} s");
            // The limit may be a lower one now.
            self.work.notify_all();
        }
    }

    /// An entry whose file cannot be opened. What may pass, such as too many open files, costs no entry.
    fn not_opened(&self, key: CacheKey, error: &io::Error) {
        let is_no_file = [rustix::io::Errno::LOOP, rustix::io::Errno::NXIO].map(rustix::io::Errno::raw_os_error);
        if error.raw_os_error().is_some_and(|code| is_no_file.contains(&code))
            && self.remove_if(key, || self.directory.look_at(key).is_none())
        {
            self.corrupt.fetch_add(1, Ordering::Relaxed);
        } else if error.kind() == io::ErrorKind::NotFound {
            self.remove_if(key, || self.directory.is_vacant(key));
        } else {
            tracing::debug!(%key, %error, "an entry cannot be opened");
        }
    }

    /// Removes file and entry if `condition` holds once nobody else may touch them; whether it did.
    fn remove_if(&self, key: CacheKey, condition: impl FnOnce() -> bool) -> bool {
        let _stripe = self.stripe(key);
        let holds = condition();
        if holds {
            if let Err(error) = self.directory.remove(key) {
                tracing::warn!(%key, %error, "the file of a damaged entry cannot be removed");
            }
            let mut index = self.index();
            index.remove(key);
            self.tell_of_room(&index);
        }
        holds
    }

    /// Notes that an entry is used, in memory and, now and then, in its file; at best, since nothing depends on it.
    fn note_use(&self, key: CacheKey, file: &std::fs::File, modified: Option<SystemTime>) {
        let now = SystemTime::now();
        self.index().touch(key, now.into());
        let age = modified.and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age > USE_RESOLUTION) {
            let _ = file.set_modified(now);
        }
    }

    pub(super) fn stripe(&self, key: CacheKey) -> MutexGuard<'_, ()> {
        let stripe = &self.stripes[usize::from(key.as_bytes()[0]) % STRIPES];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock of all keys in a leaf.
    pub(super) fn stripe_of_leaf(&self, leaf: u16) -> MutexGuard<'_, ()> {
        let stripe = &self.stripes[usize::from(leaf >> 4) % STRIPES];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what had begun under the stripes is done.
    pub(super) fn pass_stripes(&self) {
        for stripe in &self.stripes {
            drop(stripe.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        // The index is whole between any two operations on it: a panic elsewhere does not spoil it.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pressure(&self) -> MutexGuard<'_, Pressure> {
        self.pressure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
