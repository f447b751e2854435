//! What the edge left on disk: its files, what they take, and ways to damage them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// How the program counts: in blocks.
const BLOCK_BYTES: u64 = 4096;

/// All entries under a data directory.
pub(crate) fn entries(data_dir: &Path) -> Vec<PathBuf> {
    let cache = data_dir.join("cache");
    let mut files = Vec::new();
    collect(&cache, &mut files);
    let others = ["lock", "index", "purges", "purges.new"].map(|name| cache.join(name));
    files.retain(|file| !file.starts_with(cache.join("tmp")) && !others.contains(file));
    files.sort();
    files
}

/// What is half written.
pub(crate) fn leftovers(data_dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&data_dir.join("cache/tmp"), &mut files);
    files
}

/// What the entries take, in bytes of whole blocks.
pub(crate) fn bytes_taken(data_dir: &Path) -> u64 {
    // An entry may be evicted while it is looked at.
    let lens = entries(data_dir).into_iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.len());
    lens.map(|len| len.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).sum()
}

/// The entries that contain `needle`.
pub(crate) fn entries_with(data_dir: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let contains = |file: &PathBuf| fs::read(file).unwrap().windows(needle.len()).any(|window| window == needle);
    entries(data_dir).into_iter().filter(contains).collect()
}

/// Turns a bit over at `permille` thousandths of a file's length.
pub(crate) fn flip_bit(file: &Path, permille: usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = (bytes.len() - 1) * permille / 1000;
    bytes[at] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

/// Takes the end off a file.
pub(crate) fn truncate(file: &Path) {
    let len = fs::metadata(file).unwrap().len();
    fs::File::options().write(true).open(file).unwrap().set_len(len / 2).unwrap();
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), files),
            Ok(_) => files.push(entry.path()),
            Err(_) => {}
        }
    }
}
