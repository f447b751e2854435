//! What came of it: bytes before and after, by format.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    super::output::{Column, table},
    work::{FormatResult, Source},
};
use crate::image::format::OutputFormat;

/// The sums so far.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Sources looked at.
    sources: usize,
    /// Of these, done before.
    skipped: usize,
    /// Bytes of all sources that could be developed.
    source_bytes: u64,
    formats: BTreeMap<OutputFormat, Sum>,
    failed: Vec<Failed>,
}

/// What came of a format.
#[derive(Debug, Default, Serialize)]
struct Sum {
    /// Variants.
    variants: usize,
    /// Sources that have none, not being larger than it.
    kept: usize,
    /// Bytes of the sources that have a variant.
    bytes_before: u64,
    /// Bytes of the variants.
    bytes_after: u64,
}

#[derive(Debug, Serialize)]
struct Failed {
    path: String,
    cause: String,
}

impl Report {
    pub(super) fn add(&mut self, source: Source) {
        self.sources += 1;
        let Source { item, made, results } = source;
        let results = match results {
            Ok(results) => results,
            Err(cause) => {
                let path = item.path.display().to_string();
                self.failed.push(Failed { path, cause: cause.to_string() });
                return;
            }
        };
        self.skipped += usize::from(made == 0);
        self.source_bytes += item.len;
        for FormatResult { format, bytes, .. } in results {
            let sum = self.formats.entry(format).or_default();
            match bytes {
                None => sum.kept += 1,
                Some(bytes) => {
                    sum.variants += 1;
                    sum.bytes_before += item.len;
                    sum.bytes_after += bytes;
                }
            }
        }
    }

    pub(super) fn as_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    pub(super) fn for_people(&self) -> String {
        let columns = [
            Column::Text("FORMAT"),
            Column::Number("VARIANTS"),
            Column::Number("KEPT AS THEY ARE"),
            Column::Number("BYTES BEFORE"),
            Column::Number("BYTES AFTER"),
            Column::Number("SAVED"),
        ];
        let rows = self.formats.iter().map(|(format, sum)| {
            [
                format.name().to_owned(),
                sum.variants.to_string(),
                sum.kept.to_string(),
                sum.bytes_before.to_string(),
                sum.bytes_after.to_string(),
                saved(sum.bytes_before, sum.bytes_after),
            ]
        });
        let Self { sources, skipped, failed, .. } = self;
        format!("{}\n\n{sources} sources, {skipped} of them done before, {} failed", table(columns, rows), failed.len())
    }

    /// # Errors
    /// That something failed.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let (failed, sources) = (self.failed.len(), self.sources);
        anyhow::ensure!(failed == 0, "{failed} of {sources} sources could not be developed");
        Ok(())
    }
}

/// A whole percentage, rounded down.
fn saved(before: u64, after: u64) -> String {
    let saved = u128::from(before.saturating_sub(after)) * 100;
    saved.checked_div(before.into()).map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"))
}
