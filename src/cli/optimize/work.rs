//! One source after another through the image engine.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::library::{Item, Output};
use crate::{
    config::Images,
    develop::pool::{NotAdmitted, Pool},
    image::{
        self, Cancel, Developed, Effort, Extras, ImageError, Probe, Settings, Transform, format::OutputFormat,
        why_original::WhyOriginal,
    },
};

/// A source with what is to be done and what has been.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) item: Item,
    /// Formats to make.
    pub(super) missing: Vec<OutputFormat>,
    /// Formats that are done.
    pub(super) results: Vec<FormatResult>,
}

/// A source that has been worked on.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) item: Item,
    /// How many formats were tried now.
    pub(super) made: usize,
    /// What came of each format, or why nothing did.
    pub(super) results: Result<Vec<FormatResult>, Failure>,
}

/// What came of a format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FormatResult {
    pub(super) format: OutputFormat,
    /// The variant's bytes; none where there is none.
    pub(super) bytes: Option<u64>,
    /// Why there is none.
    pub(super) why: Option<WhyOriginal>,
}

/// Why nothing came of a source.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot be read: {0}")]
    NotRead(std::io::Error),
    #[error("{path}: cannot be written: {cause}")]
    NotWritten { path: PathBuf, cause: std::io::Error },
    #[error("the output directory is the source's own: {0} would be written over")]
    IsSource(PathBuf),
    #[error("larger than the memory that --memory gives")]
    TooLarge,
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Where the work is done.
#[derive(Debug)]
pub(super) struct Workshop {
    pool: Pool,
    /// Files are of no site: they stand in one line.
    site: Arc<str>,
    threads: usize,
    settings: Settings,
    transform: Transform,
    effort: Effort,
}

impl Workshop {
    /// A workshop with `memory_bytes` for everything.
    ///
    /// # Errors
    /// What the system says where it gives no threads.
    pub(super) fn open(
        images: &Images,
        memory_bytes: u64,
        transform: Transform,
        effort: Effort,
    ) -> anyhow::Result<Self> {
        let pool = Pool::start(images.threads, memory_bytes, usize::MAX)?;
        let threads = pool.threads();
        Ok(Self { pool, site: "".into(), threads, settings: images.settings(), transform, effort })
    }

    pub(super) const fn threads(&self) -> usize {
        self.threads
    }

    /// All that the bytes of a variant depend on beside its source.
    pub(super) fn settings_text(&self) -> String {
        let Self { settings, transform, effort, .. } = self;
        format!("{} {settings:?} {transform:?} {effort:?}", env!("CARGO_PKG_VERSION"))
    }

    /// Makes what is missing of a source.
    pub(super) async fn optimize(&self, job: Job, output: Arc<Output>) -> Source {
        let Job { item, missing, mut results } = job;
        let made = missing.len();
        let fresh = if missing.is_empty() { Ok(Vec::new()) } else { self.make(&item, missing, output).await };
        let results = fresh.map(|fresh| {
            results.extend(fresh);
            results
        });
        Source { item, made, results }
    }

    async fn make(
        &self,
        item: &Item,
        formats: Vec<OutputFormat>,
        output: Arc<Output>,
    ) -> Result<Vec<FormatResult>, Failure> {
        let path = item.path.clone();
        let probed = tokio::task::spawn_blocking(move || {
            let bytes = fs::read(path).map_err(Failure::NotRead)?;
            let probe = image::probe(&bytes)?;
            Ok::<_, Failure>((bytes, probe))
        });
        let (bytes, probe) = probed.await.unwrap_or(Err(ImageError::CodecPanicked.into()))?;
        let admission =
            self.pool.admit(&self.site, self.cost(&bytes, &probe, &formats)).await.map_err(|why| match why {
                NotAdmitted::TooLarge | NotAdmitted::Busy => Failure::TooLarge,
            })?;
        let (item, transform, settings, effort) =
            (item.clone(), self.transform.clone(), self.settings.clone(), self.effort);
        let work = move |_slot| {
            let _memory = admission.memory;
            let developed = develop(&bytes, &probe, &transform, &formats, &settings, effort)?;
            let save = |(format, developed)| save(&item, format, developed, &output);
            formats.iter().copied().zip(developed).map(save).collect()
        };
        self.pool.run(admission.slot, work).await.unwrap_or(Err(ImageError::CodecPanicked.into()))
    }

    /// The formats are encoded one after the other.
    fn cost(&self, bytes: &[u8], probe: &Probe, formats: &[OutputFormat]) -> u64 {
        let cost = |format: &OutputFormat| image::cost(probe, &self.transform, *format, &self.settings, self.effort);
        let dearest = formats.iter().filter_map(|format| cost(format).ok()).map(image::Cost::total).max();
        bytes.len() as u64 + dearest.unwrap_or(0)
    }
}

type OfFormat = Result<Developed, ImageError>;

/// One decode for all formats; the outer error is the source's.
fn develop(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    formats: &[OutputFormat],
    settings: &Settings,
    effort: Effort,
) -> Result<Vec<OfFormat>, ImageError> {
    let wanted = Cancel::default();
    if image::moves(probe, transform) {
        let made =
            |format| image::develop(bytes, probe, transform, format, settings, effort, &wanted, &Extras::default());
        return Ok(formats.iter().copied().map(made).collect());
    }
    let rendered = image::render_one(bytes, probe, transform, &settings.limits, &wanted, &Extras::default())?;
    let made = |format| image::finish(&rendered, transform, format, settings, effort, 1);
    Ok(formats.iter().copied().map(made).collect())
}

/// Writes a variant if it has fewer bytes than its source, in one step.
fn save(item: &Item, format: OutputFormat, developed: OfFormat, output: &Output) -> Result<FormatResult, Failure> {
    let without = |why| Ok(FormatResult { format, bytes: None, why: Some(why) });
    let developed = match developed {
        Ok(developed) if (developed.bytes.len() as u64) < item.len => developed,
        Ok(_) => return without(WhyOriginal::NotSmaller),
        Err(error) if error.is_of_source() => return Err(error.into()),
        Err(error) => return without(error.why_original()),
    };
    let path = output.path(item, format);
    if output.is_source(&path) {
        return Err(Failure::IsSource(path));
    }
    write(&path, &developed.bytes).map_err(|cause| Failure::NotWritten { path, cause })?;
    Ok(FormatResult { format, bytes: Some(developed.bytes.len() as u64), why: None })
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    fs::write(&unfinished, bytes)?;
    fs::rename(unfinished, path)
}
