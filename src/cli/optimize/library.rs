//! The files that are to be optimized, and where their variants go.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, Metadata},
    io::Read as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::Context as _;

use crate::image::format::{InputFormat, OutputFormat, SNIFF_BYTES};

/// A source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The file.
    pub(super) path: PathBuf,
    /// Where it stands in the output directory.
    pub(super) name: PathBuf,
    /// What its first bytes say.
    pub(super) format: InputFormat,
    /// Its bytes.
    pub(super) len: u64,
    /// When it was last changed, in nanoseconds since 1970; 0 where that is not known.
    pub(super) modified_ns: u64,
}

/// The output directory, and what must not be written over.
#[derive(Debug)]
pub(super) struct Output {
    /// Where variants go.
    pub(super) directory: PathBuf,
    sources: HashSet<PathBuf>,
}

/// All that is to be done.
#[derive(Debug)]
pub(super) struct Library {
    /// The sources.
    pub(super) items: Vec<Item>,
    /// Where their variants go.
    pub(super) output: Output,
}

impl Library {
    /// Looks at `files`, and into those that are directories. Of these only images are taken; a file that is named must be
    /// one.
    ///
    /// # Errors
    /// A file that cannot be read or is no image, a directory that cannot be searched, two sources with one name, a directory that is the
    /// output too.
    pub(super) fn find(files: &[PathBuf], output: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(output).with_context(|| format!("{}: cannot be made", output.display()))?;
        let directory = output.canonicalize().with_context(|| format!("{}: cannot be found", output.display()))?;
        let mut items = Vec::new();
        for path in files {
            let metadata = fs::metadata(path).with_context(|| format!("{}: cannot be read", path.display()))?;
            if metadata.is_dir() {
                let is_output = path.canonicalize().is_ok_and(|path| path == directory);
                anyhow::ensure!(!is_output, "{}: cannot be both searched and written to", path.display());
                search(path, &directory, &mut items)?;
            } else {
                let name = path.file_name().map(PathBuf::from).unwrap_or_default();
                let item = Item::of(path, name, &metadata)?;
                items.push(item.with_context(|| format!("{}: not an image that can be developed", path.display()))?);
            }
        }
        check_names(&items)?;
        let sources = items.iter().filter_map(|item| item.path.canonicalize().ok()).collect();
        Ok(Self { items, output: Output { directory, sources } })
    }
}

fn check_names(items: &[Item]) -> anyhow::Result<()> {
    let mut names: HashMap<&Path, &Path> = HashMap::new();
    for item in items {
        if let Some(other) = names.insert(&item.name, &item.path) {
            anyhow::bail!(
                "{} and {} would have the same name in the output directory: optimize them into two",
                other.display(),
                item.path.display()
            );
        }
    }
    Ok(())
}

/// Takes the images below `root`, but for those in the output directory. Links to directories are not followed.
fn search(root: &Path, output: &Path, items: &mut Vec<Item>) -> anyhow::Result<()> {
    let mut directories = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = directories.pop() {
        if directory.canonicalize().is_ok_and(|path| path == output) {
            continue;
        }
        let unreadable = || format!("{}: cannot be searched", directory.display());
        for entry in fs::read_dir(&directory).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            let path = entry.path();
            if entry.file_type().with_context(unreadable)?.is_dir() {
                directories.push(path);
                continue;
            }
            // A link that leads nowhere is no image.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
            if metadata.is_file() {
                found.extend(Item::of(&path, name, &metadata)?);
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    items.append(&mut found);
    Ok(())
}

impl Item {
    /// `None` where it is no image that can be developed.
    fn of(path: &Path, name: PathBuf, metadata: &Metadata) -> anyhow::Result<Option<Self>> {
        let mut head = Vec::with_capacity(SNIFF_BYTES);
        let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        file.take(SNIFF_BYTES as u64)
            .read_to_end(&mut head)
            .with_context(|| format!("{}: cannot be read", path.display()))?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = modified.and_then(|span| u64::try_from(span.as_nanos()).ok()).unwrap_or(0);
        let item = |format| Self { path: path.to_owned(), name, format, len: metadata.len(), modified_ns };
        Ok(InputFormat::sniff(&head).map(item))
    }
}

impl Output {
    /// Where a variant goes: under the source's name, with the format's behind it unless it is the source's own.
    pub(super) fn path(&self, item: &Item, format: OutputFormat) -> PathBuf {
        let mut path = self.directory.join(&item.name).into_os_string();
        let is_own = item.format.same_output() == format && item.format.media_type() == format.media_type();
        if !is_own {
            path.push(".");
            path.push(format.name());
        }
        path.into()
    }

    /// Whether writing to `path` would touch a source.
    pub(super) fn is_source(&self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|path| self.sources.contains(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0\0\x10JFIF";

    #[test]
    fn directories_keep_their_shape_and_only_images_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("library");
        let output = library.join("out");
        fs::create_dir_all(library.join("a/b")).unwrap();
        fs::create_dir_all(&output).unwrap();
        for name in ["one.jpg", "a/b/two.JPG", "out/one.jpg.avif"] {
            fs::write(library.join(name), JPEG).unwrap();
        }
        fs::write(library.join("notes.txt"), "text").unwrap();
        let found = Library::find(std::slice::from_ref(&library), &output).unwrap();
        let names: Vec<_> = found.items.iter().map(|item| item.name.to_str().unwrap()).collect();
        assert_eq!(names, ["a/b/two.JPG", "one.jpg"]);
        let path = |format| found.output.path(&found.items[0], format);
        let output = output.canonicalize().unwrap();
        assert_eq!(path(OutputFormat::Avif), output.join("a/b/two.JPG.avif"));
        assert_eq!(path(OutputFormat::Jpeg), output.join("a/b/two.JPG"));
    }

    #[test]
    fn a_named_file_must_be_an_image_and_two_must_not_share_a_name() {
        let root = tempfile::tempdir().unwrap();
        let (one, other, text) =
            (root.path().join("a.jpg"), root.path().join("deep/a.jpg"), root.path().join("notes.txt"));
        fs::create_dir(root.path().join("deep")).unwrap();
        fs::write(&one, JPEG).unwrap();
        fs::write(&other, JPEG).unwrap();
        fs::write(&text, "text").unwrap();
        let find = |files: &[PathBuf]| Library::find(files, &root.path().join("out")).map(|_| ());
        let message = |files: &[PathBuf]| format!("{:#}", find(files).unwrap_err());
        assert!(message(&[text]).contains("not an image"));
        assert!(message(&[one.clone(), other]).contains("same name"));
        assert!(message(&[root.path().join("missing.jpg")]).contains("missing.jpg"));
        assert!(format!("{:#}", Library::find(&[root.path().to_owned()], root.path()).unwrap_err()).contains("both"));
        find(&[one]).unwrap();
    }
}
