//! What a job will take of the memory budget, told from the header before anything is decoded. The factors are
//! measured by `cargo bench --bench memory` (`docs/performance.md`) and rounded up.

use super::{
    analysis::Analysis,
    animation,
    decode::decoded_size,
    error::ImageError,
    format::OutputFormat,
    geometry::{Plan, plan},
    probe::Probe,
    settings::{AvifEncoder, Effort, Settings},
    transform::Transform,
};

/// Tables, buffers and what the allocator rounds up, whatever the size.
const BASE_BYTES: u64 = 6 << 20;

/// Lanczos reaches over three pixels of the result on each side, so that so many rows of sums are open at once.
const OPEN_ROWS: u64 = 8;

/// Bytes of a sample in linear light.
const LIGHT_BYTES: u64 = 4;

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
    if animation::moves(probe, transform) {
        animation::check(probe, &plan, format, &settings.limits)?;
        return Ok(Cost { decoding: BASE_BYTES, own: animation::cost(probe, &plan) });
    }
    let (width, height) = plan.output_size();
    if width.max(height) > format.max_side() {
        return Err(ImageError::OutputTooLarge { width, height });
    }
    let output_pixels = u64::from(width) * u64::from(height);
    // The result, and a copy of it in another orientation, on another ground or in other colours. What a stage has freed
    // counts too: the allocator gives it back to the system later than the next stage begins.
    let picture = output_pixels * u64::from(probe.pixel_bytes) * 2;
    let encoding = encoding_bytes(output_pixels, format, settings.avif_encoder, effort);
    let own = resampling_bytes(probe, &plan) + picture + encoding;
    Ok(Cost { decoding: BASE_BYTES + decoding_bytes(probe), own })
}

/// What the decoder holds of the whole picture.
fn decoding_bytes(probe: &Probe) -> u64 {
    probe.pixels() * u64::from(probe.whole_bytes_per_pixel)
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

fn encoding_bytes(pixels: u64, format: OutputFormat, avif_encoder: AvifEncoder, effort: Effort) -> u64 {
    const MIB: u64 = 1 << 20;
    match (format, avif_encoder, effort) {
        (OutputFormat::Avif, AvifEncoder::Libaom, Effort::FirstView) => pixels * 16 + 8 * MIB,
        (OutputFormat::Avif, AvifEncoder::Libaom, Effort::Refined) => pixels * 28 + 8 * MIB,
        (OutputFormat::Avif, AvifEncoder::Ravif, _) => pixels * 40 + 16 * MIB,
        (OutputFormat::WebP, ..) => pixels * 8 + MIB,
        (OutputFormat::Jpeg, ..) => pixels * 8 + MIB,
        (OutputFormat::Png, ..) => pixels * 10 + MIB,
    }
}
