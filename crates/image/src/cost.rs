//! What a job will take of the memory budget, told from the header before anything is decoded. The factors are
//! measured by `cargo bench --bench memory` (`docs/performance.md`) and rounded up.

use super::{
    animation,
    decode::decoded_size,
    error::ImageError,
    format::{InputFormat, OutputFormat},
    geometry::{Plan, plan_variant},
    probe::Probe,
    settings::{Effort, Settings},
};
use crate::{settings::AvifEncoder, transform::Transform};

/// Tables, buffers and what the allocator rounds up, whatever the size.
const BASE_BYTES: u64 = 6 << 20;

/// The most bytes that a job holds at once.
///
/// # Errors
/// [`ImageError::OutputTooLarge`]; for an animation [`ImageError::Animated`] and [`ImageError::AnimationTooLarge`].
pub fn cost(
    probe: &Probe,
    transform: &Transform,
    format: OutputFormat,
    settings: &Settings,
    effort: Effort,
) -> Result<u64, ImageError> {
    let plan = plan_variant(probe, transform, format, settings.limits.max_output_pixels)?;
    if animation::moves(probe, transform) {
        animation::check(probe, &plan, format, &settings.limits)?;
        return Ok(BASE_BYTES + animation::cost(probe, &plan));
    }
    let (width, height) = plan.output_size();
    let output_pixels = u64::from(width) * u64::from(height);
    // Resized, turned, or in other colours: one more copy in the output's size. What a stage has freed counts too: the
    // allocator gives it back to the system later than the next stage begins.
    let picture = output_pixels * u64::from(probe.pixel_bytes);
    let encoding = encoding_bytes(output_pixels, format, settings.avif_encoder, effort);
    Ok(BASE_BYTES + decoding_bytes(probe, &plan) + picture + encoding)
}

fn decoding_bytes(probe: &Probe, plan: &Plan) -> u64 {
    let (width, height) = decoded_size(probe, plan);
    let given_out = u64::from(width) * u64::from(height) * u64::from(probe.pixel_bytes);
    given_out + probe.pixels() * u64::from(probe.whole_bytes_per_pixel) + resizing_bytes(probe, plan, height)
}

/// The rows between the two passes of the resize: as wide as the variant, as many as the decoded source has.
fn resizing_bytes(probe: &Probe, plan: &Plan, decoded_height: u32) -> u64 {
    let changes_size = (probe.width, probe.height) != plan.size;
    let rows = u64::from(plan.size.0) * u64::from(decoded_height) * u64::from(probe.pixel_bytes);
    // With alpha, a premultiplied copy of the decoded picture is held too.
    let premultiplied = if probe.pixel_bytes == 4 && probe.format != InputFormat::Jpeg {
        u64::from(decoded_height) * u64::from(probe.width) * 4
    } else {
        0
    };
    if changes_size { rows + premultiplied } else { 0 }
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
