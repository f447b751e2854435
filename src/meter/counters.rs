//! Cumulative counts of each site in a memory-mapped file (design, "Money"; `billing.md` rules 1, 2). Adding is one atomic
//! instruction, and `kill -9` loses nothing, because the pages are the system's and outlive the process;
//! [`CounterFile::flush`] on a timer bounds what a power cut can lose.
//!
//! Counts only ever go up, from zero when the file is made, and belong to its [`CounterFile::node`]: whoever has taken in a
//! node's count of a site takes in the difference the next time, however often he is told. A file that cannot be trusted
//! is put aside and a new one begun, under another node id: what was not taken in is lost, and nothing is taken in twice.
//! Past 2⁶⁴ a count would begin anew at zero: at 100 GB a second, after six years.
//!
//! `format` is what stands where, `file` the file as a file, `segment` its mapped memory.

mod file;
mod format;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::billing::SiteId;
use file::{Contents, Lock, segment_offset};
use format::{Node, SEGMENT_SLOTS};
use segment::{Cell, Segment};

/// The most sites that a file ever counts for, those that are gone included; it is 128 MiB long then.
pub const MAX_SLOTS: usize = 1 << 20;

/// Why a file cannot be counted in, or not for one more site.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// Another process counts in it, or this one has it open already.
    #[error("{}: another process counts here: stop it, or set another storage.data_dir", .0.display())]
    InUse(PathBuf),
    /// It has had as many sites as it can have.
    #[error("{}: it has counted for {slots} sites, and can for no more", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// How many.
        slots: usize,
    },
    /// The disk has no room for it.
    #[error("{}: no space for counters: {source}", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be read, written or mapped.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl CounterError {
    fn of_system(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, source },
            _ => Self::Unusable { path, source },
        }
    }
}

/// What was counted for a site. While it is added to, there may have been no moment at which all three were so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Body bytes that connections took.
    pub egress_bytes: u64,
    /// Requests answered.
    pub requests: u64,
    /// Originals' bytes less variants'.
    pub saved_bytes: u64,
}

/// Where a site is counted.
#[derive(Debug)]
pub struct Slot {
    site: SiteId,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Which slot of a segment.
    File(Arc<Segment>, usize),
    Memory(Cell),
}

impl Slot {
    /// Counts in plain memory, for where the file cannot: what it counts is lost at the end of the process. It begins at
    /// zero with every process, so it must be told under an id of the process's own: under the file's, where more may have
    /// been told of the site before, it would count for nothing.
    #[must_use]
    pub fn unbacked(site: SiteId) -> Self {
        Self { site, place: Place::Memory(Cell::default()) }
    }

    /// The site.
    #[must_use]
    pub const fn site(&self) -> &SiteId {
        &self.site
    }

    /// Adds bytes; returns how many there are then.
    #[cfg(test)]
    fn add_egress(&self, bytes: u64) -> u64 {
        self.cell().add_egress(bytes)
    }

    /// Bytes go into a connection's hands: should the process be killed before they are settled, they count as taken.
    pub fn hand_over(&self, bytes: u64) {
        self.cell().hand_over(bytes);
    }

    /// Of bytes that were handed over, so many were taken: those are added. Returns how many there are then.
    pub fn settle(&self, handed: u64, taken: u64) -> u64 {
        self.cell().settle(handed, taken)
    }

    /// Adds a request, and what it saved.
    pub fn add_request(&self, saved_bytes: u64) {
        self.cell().add_request(saved_bytes);
    }

    /// What was counted.
    #[must_use]
    pub fn read(&self) -> Counters {
        self.cell().read()
    }

    fn cell(&self) -> &Cell {
        match &self.place {
            Place::File(segment, index) => segment.cell(*index),
            Place::Memory(cell) => cell,
        }
    }
}

/// The file. Slots may outlive it, and count on in the same pages.
#[derive(Debug)]
pub struct CounterFile {
    path: PathBuf,
    file: File,
    node: Node,
    node_name: String,
    max_slots: usize,
    made: Mutex<Made>,
    /// Held for as long as slots can be made.
    _lock: Lock,
}

/// What of the file is in use.
#[derive(Debug, Default)]
struct Made {
    /// Each mapped once, and for as long as any of its slots lives.
    segments: Vec<Arc<Segment>>,
    /// As many as the header says: those in `slots`, and any that a power cut took back.
    count: usize,
    slots: BTreeMap<SiteId, Arc<Slot>>,
}

impl CounterFile {
    /// Opens the file, which is made if need be, for this process alone. One that is damaged is renamed to `….damaged-N`,
    /// and a new one begun. Blocks.
    ///
    /// # Errors
    /// [`CounterError`]; there is [`Slot::unbacked`] to go on with.
    pub fn open(path: &Path) -> Result<Self, CounterError> {
        Self::open_for(path, MAX_SLOTS)
    }

    fn open_for(path: &Path, max_slots: usize) -> Result<Self, CounterError> {
        let lock = file::lock(path)?;
        let (file, contents) = file::open(path).map_err(|error| CounterError::of_system(path, error))?;
        let Contents { node, count, sites } = contents;
        let made = Made { count, ..Made::default() };
        let (path, node_name, made) = (path.to_owned(), node.to_hex(), Mutex::new(made));
        let opened = Self { path, file, node, node_name, max_slots, made, _lock: lock };
        opened.take_up(sites)?;
        Ok(opened)
    }

    /// The id under which its counts are told: 32 hexadecimal digits, random, and the file's for as long as there is one.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node_name
    }

    /// Where `site` is counted; made if it was not before. Blocks, and is meant for starts and reloads; once all sites have
    /// theirs, [`Self::flush`], so that no power cut takes one back that has been told of.
    ///
    /// # Errors
    /// [`CounterError`]; there is [`Slot::unbacked`] to go on with.
    pub fn slot(&self, site: &SiteId) -> Result<Arc<Slot>, CounterError> {
        let mut made = self.made();
        if let Some(slot) = made.slots.get(site) {
            return Ok(Arc::clone(slot));
        }
        let index = made.count;
        if index >= self.max_slots {
            return Err(CounterError::Full { path: self.path.clone(), slots: index });
        }
        self.reach(&mut made, index).map_err(|error| self.error(error))?;
        file::write_slot(&self.file, self.node, index, site).map_err(|error| self.error(error))?;
        made.count = index + 1;
        Ok(made.put(site.clone(), index))
    }

    /// All slots, those of sites that are gone included: what they have left is owed, too.
    #[must_use]
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.made().slots.values().cloned().collect()
    }

    /// Writes all that was counted to the disk, and waits for it.
    ///
    /// # Errors
    /// [`CounterError::Unusable`] or [`CounterError::NoSpace`]: a power cut may lose more then.
    pub fn flush(&self) -> Result<(), CounterError> {
        let segments = self.made().segments.clone();
        let flushed = segments.iter().try_for_each(|segment| segment.flush());
        // The header is not mapped.
        flushed.and_then(|()| self.file.sync_data()).map_err(|error| self.error(error))
    }

    fn take_up(&self, sites: BTreeMap<SiteId, usize>) -> Result<(), CounterError> {
        let mut made = self.made();
        if let Some(last) = made.count.checked_sub(1) {
            self.reach(&mut made, last).map_err(|error| self.error(error))?;
        }
        for (site, index) in sites {
            // What was in hand when a process was killed may have been written, and what was delivered is never lost.
            made.put(site, index).cell().take_over();
        }
        Ok(())
    }

    /// Maps all segments up to the one with slot `index`. Each has its blocks before: what was copied from elsewhere may
    /// have holes.
    fn reach(&self, made: &mut Made, index: usize) -> io::Result<()> {
        while made.segments.len() <= index / SEGMENT_SLOTS {
            let number = made.segments.len();
            file::allocate(&self.file, number)?;
            made.segments.push(Arc::new(Segment::map(&self.file, segment_offset(number))?));
        }
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, source: io::Error) -> CounterError {
        CounterError::of_system(&self.path, source)
    }
}

impl Made {
    /// Its segment must be mapped.
    fn put(&mut self, site: SiteId, index: usize) -> Arc<Slot> {
        let segment = Arc::clone(&self.segments[index / SEGMENT_SLOTS]);
        let slot = Arc::new(Slot { site: site.clone(), place: Place::File(segment, index % SEGMENT_SLOTS) });
        self.slots.insert(site, Arc::clone(&slot));
        slot
    }
}
