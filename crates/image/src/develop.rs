//! The stages in their order: decode, resize, lay upright, colours, canvas, encode.

use std::time::{Duration, Instant};

use super::{
    animation::{self, MakeMoving},
    color,
    decode::{self, Decoded, decode},
    encode::encode,
    error::ImageError,
    format::{InputFormat, OutputFormat},
    geometry::{Plan, plan_variant},
    orientation,
    picture::Picture,
    probe::Probe,
    resize::resize,
    settings::{Effort, Settings},
};
use crate::transform::{Rgb, Transform};

/// What lies around a padded picture, and under a transparent one in a format that has no alpha, where nothing is asked for.
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

/// Makes a variant of an original. `transform` must have its quality decided; without one it is 80.
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
) -> Result<Developed, ImageError> {
    let (width, height) = (probe.width, probe.height);
    if probe.pixels() > settings.limits.max_pixels {
        return Err(ImageError::SourceTooLarge { width, height, limit: settings.limits.max_pixels });
    }
    let plan = plan_variant(probe, transform, format, settings.limits.max_output_pixels)?;
    if animation::moves(probe, transform) {
        animation::check(probe, &plan, format, &settings.limits)?;
        return develop_moving(bytes, probe, &plan, transform, effort);
    }
    let started = Instant::now();
    let decoded = decode(bytes, probe, &plan)?;
    let was_decoded = Instant::now();
    let picture = finish(decoded, probe, &plan, transform, format)?;
    let was_resized = Instant::now();
    let quality = transform.quality.unwrap_or(80);
    let detail = if is_likely_graphic(probe.format) { Detail::Edges } else { Detail::Photograph };
    let bytes = encode(&picture, &Make { format, quality, detail, effort, avif_encoder: settings.avif_encoder })?;
    let stages =
        StageTimes { decode: was_decoded - started, resize: was_resized - was_decoded, encode: was_resized.elapsed() };
    Ok(Developed { bytes, width: picture.width, height: picture.height, stages })
}

/// Each frame is treated as a still picture is.
fn develop_moving(
    bytes: &[u8],
    probe: &Probe,
    plan: &Plan,
    transform: &Transform,
    effort: Effort,
) -> Result<Developed, ImageError> {
    let (width, height) = plan.output_size();
    let make = MakeMoving { size: (width, height), quality: transform.quality.unwrap_or(80), effort };
    let colors = decode::animation_colors(bytes, probe);
    let (bytes, stages) = animation::develop(bytes, probe, make, |picture| {
        finish(Decoded { picture, colors: colors.clone() }, probe, plan, transform, OutputFormat::WebP)
    })?;
    Ok(Developed { bytes, width, height, stages })
}

/// What an encoder is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Make {
    pub(super) format: OutputFormat,
    pub(super) quality: u8,
    pub(super) detail: Detail,
    pub(super) effort: Effort,
    pub(super) avif_encoder: crate::AvifEncoder,
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

fn finish(
    decoded: Decoded,
    probe: &Probe,
    plan: &Plan,
    transform: &Transform,
    format: OutputFormat,
) -> Result<Picture, ImageError> {
    let resized = resize(decoded.picture, (probe.width, probe.height), plan.crop, plan.size)?;
    let upright = orientation::apply(plan.orientation, resized.without_idle_alpha());
    let colored = color::to_srgb(upright, &decoded.colors);
    let asked = transform.background.map(|Rgb { r, g, b }| [r, g, b]);
    let grounded = match (asked, format) {
        (Some(background), _) => colored.flattened(background),
        (None, OutputFormat::Jpeg) => colored.flattened(WHITE),
        (None, _) => colored,
    };
    Ok(match plan.canvas {
        Some(canvas) => grounded.on_canvas(canvas.size, canvas.at, asked.unwrap_or(WHITE)),
        None => grounded,
    })
}
