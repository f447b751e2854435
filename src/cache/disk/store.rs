//! Files and index, kept in step. A key's file and its place in the index change together under one of a few locks that are
//! striped over the keys; the index has a lock of its own, held for some hundred nanoseconds and never while the disk works.
//! Bodies are read and written under no lock: a file is written aside and renamed, and one that is open stays what it was.

use std::{
    io,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{
    DiskBody, DiskEntry, Presence, Usage,
    directory::Directory,
    entry::{self, Head, Unreadable},
    index::{BLOCK_BYTES, Index, blocks_of},
};
use crate::{cache::key::CacheKey, http::time::UnixSeconds};

/// How many keys may be renamed or removed at once.
const STRIPES: usize = 64;

/// A put that needs n blocks evicts n entries at most, since each has one or more, and up to this many beyond on behalf of
/// others that make room at the same time: what bounds its work must not make it fail while room can be had.
const EVICTIONS_FOR_OTHERS: u32 = 4_096;

/// How old the modification time of a file that is used may get. After a start it says what was used last.
const USE_RESOLUTION: Duration = Duration::from_secs(3_600);

/// The files of a directory and what memory knows of them.
#[derive(Debug)]
pub(super) struct Store {
    directory: Directory,
    index: Mutex<Index>,
    stripes: [Mutex<()>; STRIPES],
    max_blocks: u64,
    /// Whether the index knows every file.
    complete: AtomicBool,
    evictions: AtomicU64,
    corrupt: AtomicU64,
}

/// Room for an entry that is being written, given back when dropped.
struct Reservation<'a> {
    store: &'a Store,
    blocks: u32,
}

impl Store {
    pub(super) fn open(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        let seed = UnixSeconds::now().0;
        Ok(Self {
            directory: Directory::open(dir)?,
            index: Mutex::new(Index::new(seed)),
            stripes: [const { Mutex::new(()) }; STRIPES],
            max_blocks: max_bytes / BLOCK_BYTES,
            complete: AtomicBool::new(false),
            evictions: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
        })
    }

    pub(super) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn contains(&self, key: CacheKey) -> Presence {
        // Before the index: what the scan adds in between must not be taken for absent.
        let complete = self.complete.load(Ordering::Acquire);
        match (self.index().contains(key), complete) {
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
        let read = Head::read(&file, key, full_key).and_then(|head| Ok((head.read_body(&file)?, head)));
        match read {
            Ok((whole, head)) => {
                self.note_use(key, &file);
                let body = match whole {
                    Some(bytes) => DiskBody::Whole(bytes),
                    None => DiskBody::File { file, offset: head.body_offset, len: head.body_len },
                };
                Some(DiskEntry { meta: head.meta, body })
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
        let head = entry::head(key, full_key, meta, body)?;
        let reservation = self.reserve(head.len() as u64 + body.len() as u64)?;
        let temp = self.directory.write_temp(&[&head, body])?;
        let _stripe = self.stripe(key);
        self.directory.place(&temp, key)?;
        reservation.become_entry(key);
        Ok(())
    }

    pub(super) fn remove(&self, key: CacheKey) {
        if self.contains(key) == Presence::No {
            return;
        }
        let _stripe = self.stripe(key);
        if let Err(error) = self.directory.remove(key) {
            tracing::warn!(%key, %error, "the file of an entry that is forgotten cannot be removed");
        }
        self.index().remove(key);
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

    /// Takes in what the scan found, unless it is known already or gone again.
    pub(super) fn take_in(&self, key: CacheKey) {
        if self.add_found(key) {
            // Where it fails the next put tries again, and says so.
            let _ = self.make_room(EVICTIONS_FOR_OTHERS);
        }
    }

    /// From here on what the index does not know is not there.
    pub(super) fn mark_complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    fn add_found(&self, key: CacheKey) -> bool {
        let _stripe = self.stripe(key);
        if self.index().contains(key) {
            return false;
        }
        let Some((len, modified)) = self.directory.look_at(key) else { return false };
        let Some(blocks) = blocks_of(len) else { return false };
        self.index().insert(key, blocks, modified.into());
        true
    }

    fn reserve(&self, len: u64) -> io::Result<Reservation<'_>> {
        let blocks = blocks_of(len).filter(|blocks| u64::from(*blocks) <= self.max_blocks).ok_or_else(|| {
            let problem = format!("an entry of {len} bytes is larger than the whole disk cache");
            io::Error::new(io::ErrorKind::FileTooLarge, problem)
        })?;
        self.index().reserve(blocks);
        let reservation = Reservation { store: self, blocks };
        self.make_room(blocks.saturating_add(EVICTIONS_FOR_OTHERS))?;
        Ok(reservation)
    }

    fn make_room(&self, max_evictions: u32) -> io::Result<()> {
        for _ in 0..max_evictions {
            let victim = {
                let mut index = self.index();
                if !index.is_over(self.max_blocks) {
                    return Ok(());
                }
                index.victim()
            };
            let Some(victim) = victim else { break };
            self.evict(victim)?;
        }
        if self.index().is_over(self.max_blocks) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room can be made in the disk cache"));
        }
        Ok(())
    }

    /// Where the disk does not let go of it, it stays an entry: its room is not free.
    fn evict(&self, key: CacheKey) -> io::Result<()> {
        let _stripe = self.stripe(key);
        self.directory.remove(key)?;
        if self.index().remove(key) {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// An entry whose file cannot be opened. What may pass, such as too many open files, costs no entry.
    fn not_opened(&self, key: CacheKey, error: &io::Error) {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_link && self.remove_if(key, || self.directory.look_at(key).is_none()) {
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
            self.index().remove(key);
        }
        holds
    }

    /// Notes that an entry is used, in memory and, now and then, for the next start; at best, since nothing depends on it.
    fn note_use(&self, key: CacheKey, file: &std::fs::File) {
        let now = SystemTime::now();
        self.index().touch(key, now.into());
        let modified = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(now);
        if now.duration_since(modified).is_ok_and(|age| age > USE_RESOLUTION) {
            let _ = file.set_modified(now);
        }
    }

    fn stripe(&self, key: CacheKey) -> MutexGuard<'_, ()> {
        let stripe = &self.stripes[usize::from(key.as_bytes()[0]) % STRIPES];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // The index is whole between any two operations on it: a panic elsewhere does not spoil it.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation<'_> {
    fn become_entry(mut self, key: CacheKey) {
        let mut index = self.store.index();
        index.release(self.blocks);
        index.insert(key, self.blocks, UnixSeconds::now());
        self.blocks = 0;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.store.index().release(self.blocks);
    }
}
