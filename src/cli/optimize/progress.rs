//! What is done already, in a file beside the variants: a line for each source, added when all its formats are done. A run that
//! was stopped goes on where it was; a source or settings that changed are done again.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    library::{Item, Output},
    work::{FormatResult, Source},
};
use crate::image::format::OutputFormat;

const FILE: &str = ".lightmeter-optimize.jsonl";

/// What is done.
#[derive(Debug)]
pub(super) struct Progress {
    settings: String,
    done: HashMap<PathBuf, Line>,
    file: File,
}

/// What was made of a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    source: PathBuf,
    len: u64,
    modified_ns: u64,
    settings: String,
    results: Vec<FormatResult>,
}

impl Progress {
    /// Reads what is done under `directory`. A line that cannot be read, such as one that was cut off, is as none.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(directory: &Path, settings: String) -> io::Result<Self> {
        let path = directory.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let done = lines.map(|line| (line.source.clone(), line)).collect();
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self { settings, done, file })
    }

    /// What came of a source in a format, if that is done, still holds and is still there.
    pub(super) fn result(&self, item: &Item, format: OutputFormat, output: &Output) -> Option<FormatResult> {
        let line = self.done.get(&item.name)?;
        let is_same = line.len == item.len && line.modified_ns == item.modified_ns && line.settings == self.settings;
        let result = line.results.iter().find(|result| result.format == format).filter(|_| is_same)?;
        let is_there = match result.bytes {
            None => true,
            Some(bytes) => fs::metadata(output.path(item, format)).is_ok_and(|metadata| metadata.len() == bytes),
        };
        is_there.then(|| result.clone())
    }

    /// Notes what came of a source. One that failed is tried again the next time.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn note(&mut self, source: &Source) -> anyhow::Result<()> {
        let Ok(results) = &source.results else { return Ok(()) };
        if source.made == 0 {
            return Ok(());
        }
        let Item { name, len, modified_ns, .. } = &source.item;
        let settings = self.settings.clone();
        let line =
            Line { source: name.clone(), len: *len, modified_ns: *modified_ns, settings, results: results.clone() };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).with_context(|| format!("{FILE}: cannot be written"))
    }
}
