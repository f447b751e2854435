//! What lies where in the tier's directory: `lock`, held while it is open; `tmp/` with what is being written; `index`, the
//! last snapshot; and entries at `a/bc/abc…`, named by their keys, in 16 × 256 directories, the leaves, that are made when they
//! are needed. A file appears at its place by a rename, whole or not at all, and is never written again.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::OFlags;

use super::{index::Slot, snapshot};
use crate::cache::key::CacheKey;

/// How many directories entries may be in: the first three hexadecimal digits of a key.
pub(super) const LEAVES: u64 = 1 << 12;

/// The kernel stamps with a clock that goes on in steps of up to 10 ms: a change may leave the modification time as it is
/// where the one before was that close.
pub(super) const STAMP_STEP: Duration = Duration::from_millis(20);

/// Likewise where the file system keeps whole seconds, or FAT's two.
const COARSE_STAMP_STEP: Duration = Duration::from_secs(3);

/// What is stored is nobody's but this program's.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A directory that this process alone has open.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Begins the names of what this process writes to `tmp/`: whatever else is there was left behind.
    run: String,
    writes: AtomicU64,
    lock: File,
}

/// A file in `tmp/`, removed when dropped.
#[derive(Debug)]
pub(super) struct TempFile(PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        // Where it was renamed there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is just being started has the file open too, until it runs.
        let _ = self.lock.unlock();
    }
}

impl Directory {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// What the system says, with the directory's name.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", root.display()));
        make(&root.join("tmp")).map_err(named)?;
        let lock = options().write(true).create(true).open(root.join("lock")).map_err(named)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => named(error),
            TryLockError::WouldBlock => {
                let problem = "another process caches in this directory: stop it, or set another one here";
                named(io::Error::new(io::ErrorKind::ResourceBusy, problem))
            }
        })?;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:x}-{:x}-", since_epoch.as_nanos(), std::process::id());
        Ok(Self { root: root.to_owned(), run, writes: AtomicU64::new(0), lock })
    }

    /// Opens an entry's file; a symbolic link in its place is an error. A pipe is opened at once, whoever holds its other
    /// end, and fails when it is read.
    pub(super) fn open_entry(&self, key: CacheKey) -> io::Result<File> {
        options().read(true).open(self.path_of(key))
    }

    /// Whether `file` is the one that is at its place now. While it is open, no other file can pass for it.
    pub(super) fn holds(&self, key: CacheKey, file: &File) -> bool {
        let (Ok(open), Ok(placed)) = (file.metadata(), fs::symlink_metadata(self.path_of(key))) else { return false };
        (open.dev(), open.ino()) == (placed.dev(), placed.ino())
    }

    /// Whether nothing is at an entry's place.
    pub(super) fn is_vacant(&self, key: CacheKey) -> bool {
        fs::symlink_metadata(self.path_of(key)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The length of an entry's file and when it was modified, if it is one.
    pub(super) fn look_at(&self, key: CacheKey) -> Option<(u64, SystemTime)> {
        let metadata = fs::symlink_metadata(self.path_of(key)).ok().filter(fs::Metadata::is_file)?;
        Some((metadata.len(), metadata.modified().ok()?))
    }

    /// Writes a file to `tmp/`.
    pub(super) fn write_temp(&self, parts: &[&[u8]]) -> io::Result<TempFile> {
        let (mut file, temp) = self.new_temp()?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        Ok(temp)
    }

    fn new_temp(&self) -> io::Result<(File, TempFile)> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(format!("{}{number:x}", self.run));
        let file = in_directory_of(&path, || options().write(true).create_new(true).open(&path))?;
        Ok((file, TempFile(path)))
    }

    /// Moves a file to an entry's place, over the one that is there.
    pub(super) fn place(&self, temp: &TempFile, key: CacheKey) -> io::Result<()> {
        let path = self.path_of(key);
        in_directory_of(&path, || fs::rename(&temp.0, &path))
    }

    /// Removes an entry's file, if there is one.
    pub(super) fn remove(&self, key: CacheKey) -> io::Result<()> {
        match fs::remove_file(self.path_of(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what earlier processes left half written.
    pub(super) fn remove_leftovers(&self) -> io::Result<()> {
        for file in fs::read_dir(self.root.join("tmp"))? {
            let file = file?;
            if !file.file_name().as_encoded_bytes().starts_with(self.run.as_bytes()) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }

    /// When a leaf was modified; [`LeafStamp::UNKNOWN`] where that was so short ago that a change to come may not show, or
    /// cannot be told.
    pub(super) fn stamp(&self, leaf: u16) -> LeafStamp {
        let now = SystemTime::now();
        let modified = fs::symlink_metadata(self.leaf_path(leaf)).map(|metadata| metadata.modified());
        match modified {
            Ok(Ok(modified)) => LeafStamp::of(modified, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => LeafStamp::ABSENT,
            Ok(Err(_)) | Err(_) => LeafStamp::UNKNOWN,
        }
    }

    /// The last snapshot, if there is one and it is whole.
    pub(super) fn read_snapshot(&self) -> io::Result<Option<snapshot::Snapshot>> {
        let file = match options().read(true).open(self.root.join("index")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let len = file.metadata()?.len().min(snapshot::MAX_BYTES);
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.take(len).read_to_end(&mut bytes)?;
        Ok(snapshot::Snapshot::parse(bytes))
    }

    /// Puts a snapshot in place of the last.
    pub(super) fn write_snapshot(&self, slots: Vec<Slot>, stamps: &[LeafStamp]) -> io::Result<()> {
        let (mut file, temp) = self.new_temp()?;
        snapshot::write(slots, stamps, &mut file)?;
        fs::rename(&temp.0, self.root.join("index"))
    }

    /// The keys of the files in a leaf; what is named otherwise is left alone.
    pub(super) fn keys_in(&self, leaf: u16) -> io::Result<impl Iterator<Item = io::Result<CacheKey>>> {
        let files = match fs::read_dir(self.leaf_path(leaf)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            files => Some(files?),
        };
        let key_of = |file: fs::DirEntry| CacheKey::from_hex(file.file_name().to_str()?);
        Ok(files.into_iter().flatten().filter_map(move |file| file.map(key_of).transpose()))
    }

    pub(super) fn leaf_path(&self, leaf: u16) -> PathBuf {
        self.root.join(format!("{:x}/{:02x}", leaf >> 8, leaf & 0xff))
    }

    fn path_of(&self, key: CacheKey) -> PathBuf {
        let name = key.hex();
        let [a, b, c, ..] = name;
        let place = [&[a, b'/', b, c, b'/'][..], &name].concat();
        self.root.join(OsStr::from_bytes(&place))
    }
}

/// The leaf that a key's file is in.
pub(super) fn leaf_of(key: CacheKey) -> u16 {
    let [first, second, ..] = *key.as_bytes();
    u16::from(first) << 4 | u16::from(second >> 4)
}

/// When a leaf was modified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeafStamp {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

impl LeafStamp {
    /// Not to be relied on.
    pub(super) const UNKNOWN: Self = Self { seconds: i64::MIN, nanoseconds: u32::MAX };

    /// There is no such directory.
    const ABSENT: Self = Self { seconds: i64::MIN, nanoseconds: 0 };

    fn of(modified: SystemTime, now: SystemTime) -> Self {
        let Ok(since_epoch) = modified.duration_since(UNIX_EPOCH) else { return Self::UNKNOWN };
        let nanoseconds = since_epoch.subsec_nanos();
        let step = if nanoseconds == 0 { COARSE_STAMP_STEP } else { STAMP_STEP };
        match i64::try_from(since_epoch.as_secs()) {
            Ok(seconds) if now.duration_since(modified).is_ok_and(|age| age > step) => Self { seconds, nanoseconds },
            _ => Self::UNKNOWN,
        }
    }

    /// Whether a leaf that had this stamp and has `now` is as it was.
    pub(super) fn still_holds(self, now: Self) -> bool {
        self == now && self != Self::UNKNOWN
    }
}

/// No file of ours is reached through a symbolic link, and none is waited for.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()).mode(FILE_MODE);
    options
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)
}

/// Does what needs the directory of `path`, which is made if it is not there.
fn in_directory_of<T>(path: &Path, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match (attempt(), path.parent()) {
        (Err(error), Some(directory)) if error.kind() == io::ErrorKind::NotFound => {
            make(directory)?;
            attempt()
        }
        (done, _) => done,
    }
}
