//! The stages in their order: decode, resize, lay upright, colours, canvas, encode.

use std::time::{Duration, Instant};

use super::{
    color,
    decode::{Decoded, decode},
    encode::{Chroma, Coding, Encoder, Make, encode},
    error::ImageError,
    format::{InputFormat, OutputFormat},
    geometry::{Plan, plan_variant},
    orientation,
    picture::Picture,
    probe::Probe,
    resize::resize,
    settings::{Effort, Settings},
};
use crate::transform::{Quality, Rgb, Transform};

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
    let started = Instant::now();
    let decoded = decode(bytes, probe, &plan)?;
    let was_decoded = Instant::now();
    let picture = finish(decoded, probe, &plan, transform, format)?;
    let was_resized = Instant::now();
    let quality = match transform.quality {
        Some(Quality::Setting(quality)) => quality,
        Some(Quality::Target(score)) => score.saturating_add(8).min(100),
        None => 80,
    };
    let avif_encoder = settings.avif_encoder;
    let encoder = Encoder::of(format, avif_encoder);
    let chroma = if is_likely_graphic(probe.format) { Chroma::Full } else { encoder.chroma(quality) };
    let coding = match encoder {
        Encoder::Png => Coding::Lossless,
        lossy => Coding::Lossy { setting: lossy.setting(quality), chroma },
    };
    let bytes = encode(&picture, &Make { format, coding, effort, avif_encoder, threads: 1 })?;
    let stages =
        StageTimes { decode: was_decoded - started, resize: was_resized - was_decoded, encode: was_resized.elapsed() };
    Ok(Developed { bytes, width: picture.width, height: picture.height, stages })
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
