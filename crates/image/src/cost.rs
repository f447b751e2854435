//! What a job will take of the memory budget, told from the header before anything is decoded. The factors are
//! measured by `cargo bench --bench memory` (`docs/performance.md`) and rounded up.

use super::{
    analysis::Analysis,
    animation,
    decode::decoded_size,
    error::ImageError,
    format::{InputFormat, OutputFormat},
    geometry::{Plan, plan},
    probe::Probe,
    quality::measure,
    settings::{AvifEncoder, Effort, Limits, Settings},
    transform::{Fit, Quality, Transform, Trim},
};

/// Tables, buffers and what the allocator rounds up, whatever the size.
const BASE_BYTES: u64 = 6 << 20;

/// Lanczos reaches over three pixels of the result on each side, so that so many rows of sums are open at once.
const OPEN_ROWS: u64 = 8;

/// Bytes of a sample in linear light.
const LIGHT_BYTES: u64 = 4;

/// Up to so many pixels, what libaom holds at speed 6, at which graphics are made at once, is more than at speed 9.
const SMALL_PIXELS: u64 = 2_000_000;

/// Decoding a watermark, whose pixels are bounded, in the dearest format.
const WATERMARK_BYTES: u64 = 40 << 20;

/// The most bytes that a job holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// For decoding the source, however many share it.
    pub decoding: u64,
    /// For its own picture and its encoding.
    pub own: u64,
}

impl Cost {
    /// Both.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.decoding + self.own
    }
}

/// Tells it from the header.
///
/// # Errors
/// [`ImageError::OutputTooLarge`]; for an animation [`ImageError::Animated`] and [`ImageError::AnimationTooLarge`].
pub fn cost(
    probe: &Probe,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    effort: Effort,
) -> Result<Cost, ImageError> {
    let plan = plan(probe, transform, &Analysis::default(), settings.limits.max_output_pixels)?;
    let (width, height) = plan.output_size();
    let trimmed_pixels = trimmed_pixels(probe, transform, &settings.limits);
    let output_pixels = (u64::from(width) * u64::from(height)).max(trimmed_pixels.unwrap_or(0));
    if animation::moves(probe, transform) {
        animation::check(probe, &plan, format, &settings.limits)?;
        return Ok(Cost { decoding: BASE_BYTES, own: animation::cost(probe, output_pixels) });
    }
    if width.max(height) > format.max_side() {
        return Err(ImageError::OutputTooLarge { width, height });
    }
    // The result, and a copy of it in another orientation, on another ground, in other colours, blurred. What a stage has
    // freed counts too: the allocator gives it back to the system later than the next stage begins.
    let copies = if transform.blur.0 > 0 || transform.sharpen.0 > 0 { 4 } else { 2 };
    let picture = output_pixels * u64::from(probe.pixel_bytes) * copies;
    let encoded_pixels =
        if format == OutputFormat::Avif { output_pixels + edges(width, height) } else { output_pixels };
    let encoding = encoding_bytes(encoded_pixels, format, settings.avif_encoder, effort);
    let encoding = encoding + lossless_bytes(probe, format, output_pixels);
    let measuring = measuring_bytes(probe, transform, output_pixels, effort);
    let watermark = if transform.watermark.is_some() { WATERMARK_BYTES } else { 0 };
    let enlarging = if trimmed_pixels.is_some() && transform.fit != Fit::ScaleDown { output_pixels * 16 } else { 0 };
    let own = resampling_bytes(probe, &plan) + enlarging + picture + encoding + measuring + watermark;
    Ok(Cost { decoding: BASE_BYTES + decoding_bytes(probe), own })
}

/// The most pixels that may come out where the source's border is cut off, however much of it turns out to be one: what would
/// become larger is not made. `None` where it is not cut off. One side alone may be given for a picture that is enlarged: the
/// other is then at the most the source's longest, or twice the one given.
pub(super) fn trimmed_pixels(probe: &Probe, transform: &Transform, limits: &Limits) -> Option<u64> {
    let Some(Trim::Border { .. }) = transform.trim else { return None };
    let longest = u64::from(probe.width.max(probe.height));
    let pixels = match (transform.width.map(u64::from), transform.height.map(u64::from)) {
        (None, None) => probe.pixels(),
        (Some(width), Some(height)) => width * height,
        (Some(side), None) | (None, Some(side)) if transform.fit == Fit::ScaleDown => {
            probe.pixels().min(side * longest)
        }
        (Some(side), None) | (None, Some(side)) => side * longest.max(2 * side),
    };
    Some(pixels.min(limits.max_output_pixels))
}

/// What libaom holds around a picture, in pixels: much of a thin one.
const fn edges(width: u32, height: u32) -> u64 {
    const EDGE: u64 = 160;
    EDGE * (width as u64 + height as u64 + EDGE)
}

/// A refined variant that aims at a score is measured, on two grounds where something may be transparent. What was encoded is
/// decoded beside it.
fn measuring_bytes(probe: &Probe, transform: &Transform, pixels: u64, effort: Effort) -> u64 {
    let aims = matches!(transform.quality, None | Some(Quality::Target(_)));
    let grounds = if probe.pixel_bytes == 4 { 2 } else { 1 };
    if aims && effort == Effort::Refined { measure::measuring_bytes(pixels) * grounds + pixels * 8 } else { 0 }
}

/// What the decoder holds of the whole picture, or of an animation's first.
fn decoding_bytes(probe: &Probe) -> u64 {
    let pixels = match probe.format {
        InputFormat::Avif => probe.pixels() + edges(probe.width, probe.height),
        _ => probe.pixels(),
    };
    let a_pixel = if probe.animated { animation::FIRST_FRAME_BYTES } else { u64::from(probe.whole_bytes_per_pixel) };
    pixels * a_pixel + probe.table_bytes
}

/// A row in a few shapes, and the rows of sums; more of them where the picture is enlarged.
fn resampling_bytes(probe: &Probe, plan: &Plan) -> u64 {
    let needed = plan.needed();
    let (width, _) = decoded_size(probe, needed);
    let row = u64::from(width) * 4 * LIGHT_BYTES;
    // Below 2^32 by the limit on the result's sides.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let enlarged = needed.ceil().max(1.0) as u64;
    row * (OPEN_ROWS * enlarged + 4) + u64::from(plan.size.0) * 4 * LIGHT_BYTES
}

/// WebP keeps alpha, and lettering, without loss, which takes more. JPEG has neither, as a rule.
fn lossless_bytes(probe: &Probe, format: OutputFormat, pixels: u64) -> u64 {
    if format == OutputFormat::WebP && probe.pixel_bytes == 4 { pixels * 28 } else { 0 }
}

fn encoding_bytes(pixels: u64, format: OutputFormat, avif_encoder: AvifEncoder, effort: Effort) -> u64 {
    const MIB: u64 = 1 << 20;
    match (format, avif_encoder, effort) {
        (OutputFormat::Avif, AvifEncoder::Libaom, Effort::FirstView) => {
            pixels * 16 + pixels.min(SMALL_PIXELS) * 12 + 8 * MIB
        }
        (OutputFormat::Avif, AvifEncoder::Libaom, Effort::Refined) => pixels * 28 + 8 * MIB,
        (OutputFormat::Avif, AvifEncoder::Ravif, _) => pixels * 40 + 16 * MIB,
        (OutputFormat::WebP, ..) => pixels * 8 + MIB,
        (OutputFormat::Jpeg, ..) => pixels * 8 + MIB,
        (OutputFormat::Png, ..) => pixels * 10 + MIB,
    }
}
