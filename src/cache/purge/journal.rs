//! Purges on disk: appended and synced before they hold, and written anew, beside and renamed, when most of what is in the
//! file has been overtaken.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    format::{self, Contents, Damaged, FRAME_BYTES},
    table::{Purge, Table},
};

const FILE_NAME: &str = "purges";
const NEW_FILE_NAME: &str = "purges.new";
const FILE_MODE: u32 = 0o600;

/// A file is written anew when it has twice as many frames as there are purges, and so many more.
const SPARE_FRAMES: usize = 1_024;

/// What was found in a directory.
#[derive(Debug)]
pub(super) enum Found {
    /// No file.
    Nothing,
    /// A file.
    Contents(Contents),
    /// One that cannot be believed.
    Damaged(Damaged),
}

/// The file of purges, open.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    file: File,
    /// Up to where it is written and synced.
    len: u64,
    /// A write has failed: what the file says behind `len` is not known.
    failed: bool,
}

/// What is in `directory`.
///
/// # Errors
/// What the system says, unless that is that there is no such file.
pub(super) fn find(directory: &Path) -> io::Result<Found> {
    match fs::read(directory.join(FILE_NAME)) {
        Ok(bytes) => Ok(format::read(&bytes).map_or_else(Found::Damaged, Found::Contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

impl Journal {
    /// Opens what was found, to go on behind its first `len` bytes.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(directory: &Path, len: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(directory.join(FILE_NAME))?;
        // What was never finished must not be read behind what comes now.
        file.set_len(len)?;
        Ok(Self { directory: directory.to_owned(), file, len, failed: false })
    }

    /// Writes a file that says what `table` does, in place of the one that is there.
    ///
    /// # Errors
    /// What the system says; the file that was there stays.
    pub(super) fn create(directory: &Path, table: &Table) -> io::Result<Self> {
        let mut bytes = format::header(table.floor(), table.newest()).to_vec();
        table.purges().for_each(|purge| bytes.extend_from_slice(&format::frame(&purge)));
        let path = directory.join(NEW_FILE_NAME);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&path, directory.join(FILE_NAME))?;
        File::open(directory)?.sync_all()?;
        Ok(Self { directory: directory.to_owned(), file, len: bytes.len() as u64, failed: false })
    }

    /// Writes down what `purges` made of the table before: when it returns, a power cut forgets none of them.
    ///
    /// # Errors
    /// What the system says. Whether they are written is not known then, and the next ones write the file anew.
    pub(super) fn keep(&mut self, purges: &[Purge], table: &Table, has_folded: bool) -> io::Result<()> {
        let frames = self.len as usize / FRAME_BYTES + purges.len();
        let anew = has_folded || self.failed || frames > 2 * table.len() + SPARE_FRAMES;
        // Until it has succeeded.
        self.failed = true;
        if anew {
            *self = Self::create(&self.directory, table)?;
            return Ok(());
        }
        let bytes: Vec<u8> = purges.iter().flat_map(format::frame).collect();
        self.file.write_all_at(&bytes, self.len)?;
        self.file.sync_data()?;
        self.failed = false;
        self.len += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
impl Journal {
    /// As a disk that fails: the next write goes nowhere.
    pub(super) fn lose_file(&mut self) -> io::Result<()> {
        self.file = File::open(self.directory.join(FILE_NAME))?;
        Ok(())
    }
}
