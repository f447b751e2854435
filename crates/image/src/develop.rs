//! A source into one variant, all stages in their order: render, encode.

use std::time::{Duration, Instant};

use super::{
    animation::{self, MakeMoving},
    cancel::Cancel,
    decode,
    encode::{Chroma, Coding, Encoder, Make, encode},
    error::ImageError,
    format::{InputFormat, OutputFormat},
    metadata,
    probe::Probe,
    render::{Rendered, plan_seen, render, render_frame},
    settings::{Effort, Settings},
    steps::{Aids, Extras, Steps},
    transform::{Quality, Transform},
};

/// What lies under a transparent picture in a format that has no alpha, where nothing is asked for.
const WHITE: [u8; 3] = [255; 3];

/// A variant's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Developed {
    /// The file.
    pub bytes: Vec<u8>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// What the stages took.
    pub stages: StageTimes,
}

/// How long the stages took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Decoding.
    pub decode: Duration,
    /// Resizing, laying upright, colours and canvas.
    pub resize: Duration,
    /// Encoding.
    pub encode: Duration,
}

/// Makes a variant of an original, unless `cancel` says that it is not wanted any more. `transform` must have its quality decided; without one it is 80.
///
/// # Errors
/// [`ImageError`]
#[expect(clippy::too_many_arguments)]
pub fn develop(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    effort: Effort,
    cancel: &Cancel,
    extras: &Extras<'_>,
) -> Result<Developed, ImageError> {
    if animation::moves(probe, transform) {
        return develop_moving(bytes, probe, transform, format, settings, effort, cancel, extras);
    }
    let rendered = render(bytes, probe, &[transform], &settings.limits, cancel, extras)?;
    let rendered = rendered.into_iter().next().unwrap_or(Err(ImageError::RowsMissing))?;
    cancel.check()?;
    finish(&rendered, probe, transform, format, settings, effort, 1)
}

/// Makes a variant of a picture that has been rendered, with so many threads.
///
/// # Errors
/// [`ImageError::OutputTooLarge`] or [`ImageError::NotEncoded`]
pub fn finish(
    rendered: &Rendered,
    probe: &Probe,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    effort: Effort,
    threads: usize,
) -> Result<Developed, ImageError> {
    let started = Instant::now();
    let picture = &rendered.picture;
    let (width, height) = (picture.width, picture.height);
    if width.max(height) > format.max_side() {
        return Err(ImageError::OutputTooLarge { width, height });
    }
    let quality = setting(transform);
    let avif_encoder = settings.avif_encoder;
    let encoder = Encoder::of(format, avif_encoder);
    let chroma = if is_likely_graphic(probe.format) { Chroma::Full } else { encoder.chroma(quality) };
    let coding = match encoder {
        Encoder::Png => Coding::Lossless,
        lossy => Coding::Lossy { setting: lossy.setting(quality), chroma },
    };
    let make = Make { format, coding, effort, avif_encoder, threads };
    let bytes = match format {
        OutputFormat::Jpeg => encode(&picture.on_ground(WHITE), &make)?,
        OutputFormat::Avif | OutputFormat::WebP | OutputFormat::Png => encode(picture, &make)?,
    };
    let bytes = rendered.carried.put_into(bytes, format, (width, height));
    let stages = StageTimes { decode: rendered.decode, resize: rendered.resize, encode: started.elapsed() };
    Ok(Developed { bytes, width, height, stages })
}

/// Each frame is treated as a still picture is.
#[expect(clippy::too_many_arguments)]
fn develop_moving(
    source: &[u8],
    probe: &Probe,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    effort: Effort,
    cancel: &Cancel,
    extras: &Extras<'_>,
) -> Result<Developed, ImageError> {
    let plan = plan_seen(source, probe, transform, &settings.limits, cancel)?;
    animation::check(probe, &plan, format, &settings.limits)?;
    let (width, height) = plan.output_size();
    let make = MakeMoving { size: (width, height), quality: setting(transform), effort };
    let steps = Steps::new(&plan, transform, Aids { extras, limits: &settings.limits, cancel })?;
    let colors = decode::animation_colors(source, probe);
    let (bytes, stages) = animation::develop(source, probe, make, |picture| {
        cancel.check()?;
        render_frame(picture, &colors, probe, &plan, &steps)
    })?;
    let bytes = metadata::of(source, probe, transform.metadata).put_into(bytes, format, (width, height));
    Ok(Developed { bytes, width, height, stages })
}

/// How many threads at the most make a variant faster. Only AVIF's encoder can share its work, by rows of 64 pixels, and a
/// small picture is not worth it.
#[must_use]
pub fn useful_threads(format: OutputFormat, (width, height): (u32, u32)) -> usize {
    const WORTH_SHARING: u64 = 250_000;
    const MOST: usize = 8;
    let is_worth_it = u64::from(width) * u64::from(height) >= WORTH_SHARING;
    if format == OutputFormat::Avif && is_worth_it { MOST } else { 1 }
}

fn setting(transform: &Transform) -> u8 {
    match transform.quality {
        Some(Quality::Setting(quality)) => quality,
        Some(Quality::Target(score)) => score.saturating_add(8).min(100),
        None => 80,
    }
}

/// Graphics are seldom kept as JPEG, photographs seldom as anything without loss.
const fn is_likely_graphic(format: InputFormat) -> bool {
    matches!(format, InputFormat::Png | InputFormat::Gif)
}
