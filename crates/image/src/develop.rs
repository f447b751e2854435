//! A source into one variant, all stages in their order: render, encode.

use std::time::{Duration, Instant};

use super::{
    cancel::Cancel,
    encode::encode,
    error::ImageError,
    format::{InputFormat, OutputFormat},
    probe::Probe,
    render::{Rendered, render},
    settings::{AvifEncoder, Effort, Settings},
    transform::Transform,
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
pub fn develop(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    effort: Effort,
    cancel: &Cancel,
) -> Result<Developed, ImageError> {
    let rendered = render(bytes, probe, &[transform], &settings.limits, cancel)?;
    let rendered = rendered.into_iter().next().unwrap_or(Err(ImageError::RowsMissing))?;
    cancel.check()?;
    finish(&rendered, probe, transform, format, settings, effort)
}

/// Makes a variant of a picture that has been rendered.
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
) -> Result<Developed, ImageError> {
    let started = Instant::now();
    let picture = &rendered.picture;
    let (width, height) = (picture.width, picture.height);
    if width.max(height) > format.max_side() {
        return Err(ImageError::OutputTooLarge { width, height });
    }
    let quality = transform.quality.unwrap_or(80);
    let detail = if is_likely_graphic(probe.format) { Detail::Edges } else { Detail::Photograph };
    let make = Make { format, quality, detail, effort, avif_encoder: settings.avif_encoder };
    let bytes = match format {
        OutputFormat::Jpeg => encode(&picture.on_ground(WHITE), &make)?,
        OutputFormat::Avif | OutputFormat::WebP | OutputFormat::Png => encode(picture, &make)?,
    };
    let stages = StageTimes { decode: rendered.decode, resize: rendered.resize, encode: started.elapsed() };
    Ok(Developed { bytes, width, height, stages })
}

/// What an encoder is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Make {
    pub(super) format: OutputFormat,
    pub(super) quality: u8,
    pub(super) detail: Detail,
    pub(super) effort: Effort,
    pub(super) avif_encoder: AvifEncoder,
}

/// What a picture most likely shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Few sharp edges in colour: colour may have half the resolution.
    Photograph,
    /// Text, lines, icons.
    Edges,
}

/// Graphics are seldom kept as JPEG, photographs seldom as anything without loss.
const fn is_likely_graphic(format: InputFormat) -> bool {
    matches!(format, InputFormat::Png | InputFormat::Gif)
}
