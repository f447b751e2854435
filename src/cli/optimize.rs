//! `optimize`: the edge's image engine over files. Each source is decoded once for all formats that are wanted, as many at a
//! time as there are cores and memory for; what is done already is skipped (`progress`), and the sources are only read.

mod library;
mod progress;
mod report;
mod work;

use std::{io::IsTerminal as _, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::{
    library::{Item, Library, Output},
    progress::Progress,
    report::Report,
    work::{Job, Workshop},
};
use super::output::{self, clean};
use crate::{
    config::{ByteSize, Images},
    image::{
        Effort, Transform,
        format::{InputFormat, OutputFormat},
        options::parse_segment,
    },
};

/// Make smaller variants of image files, without a server. The sources are never touched.
#[derive(Debug, Args)]
pub(super) struct Optimize {
    /// Image files, and directories that are searched for them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where variants are written: `photo.jpg` becomes `photo.jpg.avif`, directories keep their shape.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Formats to make, each only where it is smaller than the source.
    #[arg(long, value_delimiter = ',', default_values = ["avif", "webp"], value_name = "FORMAT")]
    format: Vec<Format>,
    /// What else is done, in the words of the URL options: w=1600,fit=scale-down,q=70.
    #[arg(long, default_value = "", value_name = "OPTIONS", value_parser = read_options)]
    options: Transform,
    /// How much time encoders take.
    #[arg(long, value_enum, default_value_t = Pace::Refined)]
    effort: Pace,
    /// Threads; one for each core if left out.
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    threads: usize,
    /// Memory for all codec work together.
    #[arg(long, default_value = "1GiB", value_name = "BYTES", value_parser = read_bytes)]
    memory: u64,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Avif,
    Webp,
    Jpeg,
    Png,
    /// The source's own.
    Original,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    /// As for a visitor who waits.
    FirstView,
    /// As in the background: slower, fewer bytes.
    Refined,
}

impl Format {
    const fn output(self, input: InputFormat) -> OutputFormat {
        match self {
            Self::Avif => OutputFormat::Avif,
            Self::Webp => OutputFormat::WebP,
            Self::Jpeg => OutputFormat::Jpeg,
            Self::Png => OutputFormat::Png,
            Self::Original => input.same_output(),
        }
    }
}

impl From<Pace> for Effort {
    fn from(pace: Pace) -> Self {
        match pace {
            Pace::FirstView => Self::FirstView,
            Pace::Refined => Self::Refined,
        }
    }
}

fn read_options(text: &str) -> Result<Transform, String> {
    if text.is_empty() {
        return Ok(Transform::default());
    }
    let transform = parse_segment(text).map_err(|error| error.to_string())?.canonical().0;
    if transform.watermark.is_some() {
        return Err("a watermark's file belongs to a site: it is not to be had without a server".to_owned());
    }
    Ok(transform)
}

fn read_bytes(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>().map(|size| size.0).map_err(|error| error.to_string())
}

/// Sources in the works at once for each thread: the next is read while one is encoded.
const SOURCES_PER_THREAD: usize = 2;

impl Optimize {
    /// Runs to the end; whether every source could be read and developed.
    ///
    /// # Errors
    /// What stops it as a whole: a directory that cannot be read or written.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let library = Library::find(&self.files, &self.output)?;
        let images = Images { threads: self.threads, ..Images::default() };
        let workshop = Workshop::open(&images, self.memory, self.options.clone(), self.effort.into())?;
        let (workshop, output) = (Arc::new(workshop), Arc::new(library.output));
        let mut progress = Progress::open(&output.directory, workshop.settings_text())
            .with_context(|| format!("{}: cannot be written", output.directory.display()))?;
        let bar = self.bar(library.items.len());
        let jobs: Vec<_> = library.items.into_iter().map(|item| self.job(item, &output, &progress)).collect();
        let mut doing = stream::iter(jobs)
            .map(|job| {
                let (workshop, output) = (Arc::clone(&workshop), Arc::clone(&output));
                async move { workshop.optimize(job, output).await }
            })
            .buffer_unordered(workshop.threads() * SOURCES_PER_THREAD);
        let mut report = Report::default();
        while let Some(source) = doing.next().await {
            if let Err(cause) = &source.results {
                bar.suspend(|| eprintln!("lightmeter: {}: {cause}", clean(&source.item.path.display().to_string())));
            }
            progress.note(&source)?;
            report.add(source);
            bar.inc(1);
        }
        bar.finish_and_clear();
        output::print(&if self.json { report.as_json()? } else { report.for_people() })?;
        report.verdict()
    }

    fn job(&self, item: Item, output: &Output, progress: &Progress) -> Job {
        let input = item.format;
        let formats = self.format.iter().map(|format| format.output(input));
        let mut job = Job { results: Vec::new(), missing: Vec::new(), item };
        for format in formats {
            let is_new = !job.missing.contains(&format) && job.results.iter().all(|result| result.format != format);
            match progress.result(&job.item, format, output) {
                _ if !is_new => {}
                Some(result) => job.results.push(result),
                None => job.missing.push(format),
            }
        }
        job
    }

    fn bar(&self, sources: usize) -> ProgressBar {
        let shown = !self.json && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(sources as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed} (about {eta} left)") {
            bar.set_style(style);
        }
        bar
    }
}
