//! A source into one variant, all stages in their order: render, encode.

use std::time::{Duration, Instant};

use super::{
    animation::{self, MakeMoving},
    cancel::Cancel,
    color::Conversion,
    decode,
    error::ImageError,
    format::OutputFormat,
    metadata,
    probe::Probe,
    quality::{Aim, DEFAULT_TARGET, Measured, Order, aim},
    render::{Rendered, plan_seen, render_frame, render_one},
    settings::{Effort, Settings},
    steps::{Aids, Extras, Steps},
    transform::{Quality, Transform},
};

/// What lies under a transparent picture in a format that has no alpha, where nothing is asked for.
const WHITE: [u8; 3] = [255; 3];

/// A variant's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Developed {
    /// The file.
    pub bytes: Vec<u8>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// What the stages took.
    pub stages: StageTimes,
    /// What it scores, where that was measured.
    pub quality: Option<Measured>,
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

/// Makes a variant of an original, unless `cancel` says that it is not wanted any more. Where the transform does not say how good
/// it shall be, [`DEFAULT_TARGET`] is aimed at.
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
    let rendered = render_one(bytes, probe, transform, &settings.limits, cancel, extras)?;
    cancel.check()?;
    finish(&rendered, transform, format, settings, effort, 1)
}

/// Makes a still variant again, with time. What was made for the first view is measured too: it helps to find the setting, and
/// tells whether replacing it is worth it ([`Measured::first_view`]).
///
/// # Errors
/// [`ImageError`]
#[expect(clippy::too_many_arguments)]
pub fn refine(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    first_view: &[u8],
    cancel: &Cancel,
    extras: &Extras<'_>,
) -> Result<Developed, ImageError> {
    if animation::moves(probe, transform) {
        return develop_moving(bytes, probe, transform, format, settings, Effort::Refined, cancel, extras);
    }
    let rendered = render_one(bytes, probe, transform, &settings.limits, cancel, extras)?;
    cancel.check()?;
    finish_as(&rendered, transform, format, settings, (Effort::Refined, 1, Some(first_view)))
}

/// Makes a variant of a picture that has been rendered, with so many threads.
///
/// # Errors
/// [`ImageError::OutputTooLarge`] or [`ImageError::NotEncoded`]
pub fn finish(
    rendered: &Rendered,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    effort: Effort,
    threads: usize,
) -> Result<Developed, ImageError> {
    finish_as(rendered, transform, format, settings, (effort, threads, None))
}

fn finish_as(
    rendered: &Rendered,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    (effort, threads, first_view): (Effort, usize, Option<&[u8]>),
) -> Result<Developed, ImageError> {
    let started = Instant::now();
    let picture = &rendered.picture;
    let (width, height) = (picture.width, picture.height);
    if width.max(height) > format.max_side() {
        return Err(ImageError::OutputTooLarge { width, height });
    }
    let quality = quality(transform);
    let avif_encoder = settings.avif_encoder;
    let order = Order { quality, format, avif_encoder, effort, threads, first_view };
    let Aim { bytes, measured } = match format {
        OutputFormat::Jpeg => aim(&picture.on_ground(WHITE), &order)?,
        OutputFormat::Avif | OutputFormat::WebP | OutputFormat::Png => aim(picture, &order)?,
    };
    let bytes = rendered.carried.put_into(bytes, format, (width, height));
    let stages = StageTimes { decode: rendered.decode, resize: rendered.resize, encode: started.elapsed() };
    Ok(Developed { bytes, width, height, stages, quality: measured })
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
    probe.check(&settings.limits)?;
    let plan = plan_seen(source, probe, transform, &settings.limits, cancel)?;
    animation::check(probe, &plan, format, &settings.limits)?;
    let (width, height) = plan.output_size();
    let quality = match quality(transform) {
        Quality::Setting(setting) => setting,
        // Frames are not measured: what usually scores so.
        Quality::Target(score) => score.saturating_add(8).min(100),
    };
    let make = MakeMoving { size: (width, height), quality, effort };
    let steps = Steps::new(&plan, transform, Aids { extras, limits: &settings.limits, cancel })?;
    let conversion = Conversion::of(&decode::animation_colors(source, probe));
    let (bytes, stages) = animation::develop(source, probe, make, |frame| {
        cancel.check()?;
        render_frame(frame, &conversion, probe, &plan, &steps)
    })?;
    let bytes = metadata::of(source, probe, transform.metadata).put_into(bytes, format, (width, height));
    Ok(Developed { bytes, width, height, stages, quality: None })
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

/// How good it shall be.
fn quality(transform: &Transform) -> Quality {
    transform.quality.unwrap_or(Quality::Target(DEFAULT_TARGET))
}
