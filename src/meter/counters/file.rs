//! The file as a file: locked, made, read, put aside where it is damaged, and given its blocks. Counts are not written here,
//! but where they are mapped; what is written here and there is the same pages.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, OFlags, fallocate},
    io::{Errno, retry_on_intr},
};

use super::{
    CounterError, MAX_SLOTS,
    format::{
        self, COUNT_OFFSET, Damage, HEAD_BYTES, HEADER_BYTES, Node, SEGMENT_BYTES, SEGMENT_SLOTS, SLOT_BYTES,
        read_header, read_slot,
    },
};
use crate::billing::SiteId;

/// What is counted is nobody's but this program's.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// What was in the file.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) node: Node,
    /// Slots made, as the header says.
    pub(super) count: usize,
    /// The slots that there are.
    pub(super) sites: BTreeMap<SiteId, usize>,
}

/// Held on a file beside it, which stays when it is put aside.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is just being started has the file open too, until it runs.
        let _ = self.0.unlock();
    }
}

/// Locks it for this process.
pub(super) fn lock(path: &Path) -> Result<Lock, CounterError> {
    let said = |error| CounterError::of_system(path, error);
    let directory = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(said)?;
    let lock = options().write(true).create(true).open(beside(path, "lock")).map_err(said)?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => Err(CounterError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(said(error)),
    }
}

/// Opens the file: the one that is there, if it is whole, else a new one.
pub(super) fn open(path: &Path) -> io::Result<(File, Contents)> {
    let file = match options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make(path),
        Err(error) => return Err(error),
    };
    match read(&file)? {
        Ok(contents) => Ok((file, contents)),
        Err(damage) => {
            let aside = put_aside(path)?;
            tracing::error!(
                file = %path.display(), aside = %aside.display(), %damage,
                "the counters are damaged: put aside, and begun anew; what was not posted is not charged"
            );
            make(path)
        }
    }
}

/// Gives a segment its blocks, which are zero if it is new. Returns what the system says where there are none to give.
pub(super) fn allocate(file: &File, segment: usize) -> io::Result<()> {
    let offset = segment_offset(segment);
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), offset, SEGMENT_BYTES as u64)) {
        // A file system that cannot promise blocks gives them to what is written.
        Err(Errno::OPNOTSUPP) if file.metadata()?.len() < offset + SEGMENT_BYTES as u64 => {
            file.write_all_at(&[0; SEGMENT_BYTES], offset)
        }
        Err(Errno::OPNOTSUPP) => Ok(()),
        allocated => Ok(allocated?),
    }
}

/// Where a segment begins.
pub(super) const fn segment_offset(segment: usize) -> u64 {
    (HEADER_BYTES + segment * SEGMENT_BYTES) as u64
}

/// Writes slot `index`, then that it was made: should the process end between the two, it was not.
pub(super) fn write_slot(file: &File, node: Node, index: usize, site: &SiteId) -> io::Result<()> {
    file.write_all_at(&format::slot(node, site), slot_offset(index))?;
    file.write_all_at(&(index as u64 + 1).to_ne_bytes(), COUNT_OFFSET)
}

const fn slot_offset(index: usize) -> u64 {
    segment_offset(0) + (index * SLOT_BYTES) as u64
}

/// Makes the file; it appears whole or not at all.
fn make(path: &Path) -> io::Result<(File, Contents)> {
    let node = Node::new().map_err(|error| io::Error::other(error.to_string()))?;
    let new = beside(path, "new");
    let file = options().read(true).write(true).create(true).truncate(true).open(&new)?;
    file.write_all_at(&format::header(node), 0)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()?;
    Ok((file, Contents { node, count: 0, sites: BTreeMap::new() }))
}

fn read(file: &File) -> io::Result<Result<Contents, Damage>> {
    let len = file.metadata()?.len();
    if len < HEADER_BYTES as u64 {
        return Ok(Err(Damage::Magic));
    }
    let mut head = [0; HEAD_BYTES];
    file.read_exact_at(&mut head, 0)?;
    let (node, slots) = match read_header(&head) {
        Ok(read) => read,
        Err(damage) => return Ok(Err(damage)),
    };
    let Some(count) = usize::try_from(slots).ok().filter(|count| *count <= MAX_SLOTS) else {
        return Ok(Err(Damage::Count(slots)));
    };
    if len < segment_offset(count.div_ceil(SEGMENT_SLOTS)) {
        return Ok(Err(Damage::Short { slots }));
    }
    let mut bytes = vec![0; count * SLOT_BYTES];
    file.read_exact_at(&mut bytes, slot_offset(0))?;
    Ok(sites_of(node, &bytes).map(|sites| Contents { node, count, sites }))
}

fn sites_of(node: Node, bytes: &[u8]) -> Result<BTreeMap<SiteId, usize>, Damage> {
    let mut sites = BTreeMap::new();
    for (index, slot) in bytes.as_chunks::<SLOT_BYTES>().0.iter().enumerate() {
        let Some(site) = read_slot(node, index, slot)? else { continue };
        if sites.insert(site.clone(), index).is_some() {
            return Err(Damage::Twice { slot: index, site });
        }
    }
    Ok(sites)
}

fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let mut number: u32 = 1;
    loop {
        let aside = beside(path, &format!("damaged-{number}"));
        match fs::symlink_metadata(&aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(path, &aside)?;
                return Ok(aside);
            }
            Err(error) => return Err(error),
            Ok(_) => number += 1,
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(suffix);
    name.into()
}

/// No file of ours is reached through a symbolic link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).mode(FILE_MODE);
    options
}
