//! What lies where in the tier's directory: `lock`, held while it is open; `tmp/` with what is being written; and entries at
//! `a/bc/abc…`, named by their keys, in 16 × 256 directories that are made when they are needed. A file appears at its place
//! by a rename, whole or not at all, and is never written again.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::fs::OFlags;

use crate::cache::key::CacheKey;

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

    /// Opens an entry's file; a symbolic link in its place is an error.
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
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(format!("{}{number:x}", self.run));
        let mut file = in_directory_of(&path, || options().write(true).create_new(true).open(&path))?;
        let temp = TempFile(path);
        parts.iter().try_for_each(|part| file.write_all(part))?;
        Ok(temp)
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

    /// The directories that entries may be in.
    pub(super) fn leaves(&self) -> impl Iterator<Item = PathBuf> {
        (0..16).flat_map(move |first| (0..256).map(move |second| self.root.join(format!("{first:x}/{second:02x}"))))
    }

    /// The keys of the files in one of them; what is named otherwise is left alone.
    pub(super) fn keys_in(leaf: &Path) -> io::Result<impl Iterator<Item = io::Result<CacheKey>>> {
        let files = match fs::read_dir(leaf) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            files => Some(files?),
        };
        let key_of = |file: fs::DirEntry| CacheKey::from_hex(file.file_name().to_str()?);
        Ok(files.into_iter().flatten().filter_map(move |file| file.map(key_of).transpose()))
    }

    fn path_of(&self, key: CacheKey) -> PathBuf {
        let name = key.to_string();
        self.root.join(format!("{}/{}/{name}", &name[..1], &name[1..3]))
    }
}

/// No file of ours is reached through a symbolic link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).mode(FILE_MODE);
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
