//! A segment of the file as memory. Beside libaom's the only module with unsafe code, and of it this alone: that mapped
//! bytes are looked at as atomics.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use memmap2::{MmapOptions, MmapRaw};

use super::{
    Counters,
    format::{COUNTS_OFFSET, SEGMENT_BYTES, SEGMENT_SLOTS, SLOT_BYTES},
};

/// What one site's counts are added to: a cache line of its own, so that sites do not slow each other down.
///
/// Each is exact by itself: that is all that `Relaxed` promises and, but for [`Cell::settle`], all that is needed.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Cell {
    egress_bytes: AtomicU64,
    requests: AtomicU64,
    saved_bytes: AtomicU64,
    /// Of bytes that connections hold and have not taken.
    in_hand: AtomicU64,
    _check: [AtomicU64; 4],
}

impl Cell {
    pub(super) fn add_egress(&self, bytes: u64) -> u64 {
        self.egress_bytes.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes)
    }

    pub(super) fn hand_over(&self, bytes: u64) {
        self.in_hand.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A process that is killed in the midst of it has counted nothing, rather than the same twice.
    pub(super) fn settle(&self, handed: u64, taken: u64) -> u64 {
        self.in_hand.fetch_sub(handed, Ordering::Relaxed);
        self.egress_bytes.fetch_add(taken, Ordering::Release).wrapping_add(taken)
    }

    /// Counts what a process that is gone had in hand. Where a slot outlived its file and settles what was taken over, it is
    /// taken back the next time: both wrap.
    pub(super) fn take_over(&self) {
        self.add_egress(self.in_hand.swap(0, Ordering::Relaxed));
    }

    pub(super) fn add_request(&self, saved_bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.saved_bytes.fetch_add(saved_bytes, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counters {
        Counters {
            egress_bytes: self.egress_bytes.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            saved_bytes: self.saved_bytes.load(Ordering::Relaxed),
        }
    }
}

/// As it lies in the file.
#[repr(C)]
struct Slot {
    _id: [AtomicU8; COUNTS_OFFSET],
    cell: Cell,
}

type Slots = [Slot; SEGMENT_SLOTS];

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES && size_of::<Slots>() == SEGMENT_BYTES);

/// A mapped segment; unmapped when dropped, and never moved before.
#[derive(Debug)]
pub(super) struct Segment(MmapRaw);

impl Segment {
    /// Maps the segment that begins at `offset`. The file must have its blocks: a write to a page for which the disk has
    /// no room ends the process (`SIGBUS`).
    pub(super) fn map(file: &File, offset: u64) -> io::Result<Self> {
        let map = MmapOptions::new().offset(offset).len(SEGMENT_BYTES).map_raw(file)?;
        if map.len() < SEGMENT_BYTES || !map.as_ptr().cast::<Slots>().is_aligned() {
            return Err(io::Error::other("the system mapped counters where they cannot lie"));
        }
        Ok(Self(map))
    }

    /// The counts of a slot of it.
    pub(super) fn cell(&self, index: usize) -> &Cell {
        &self.slots()[index].cell
    }

    /// Has what was added written to the disk, and waits for it.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }

    fn slots(&self) -> &Slots {
        // SAFETY: The pointer is aligned for `Slots` and has as many bytes behind it, as `map` has made sure, and they stay
        // mapped for as long as `self` is borrowed. `Slots` is made of atomics alone, without padding: all bytes are valid as
        // them, and whoever changes them meanwhile, here, through another mapping or through the file, changes what may
        // be changed behind a shared reference. That the file gets shorter while it is mapped would end the process with
        // a signal; nothing reads or writes what is not there.
        unsafe { &*self.0.as_mut_ptr().cast::<Slots>() }
    }
}
