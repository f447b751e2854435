//! Animations: GIF, APNG and WebP in, animated WebP out, frame by frame. Each format's reader gives patches, `canvas` puts
//! them together, `frames` gives whole canvases with their times; what happens to one is what happens to a still picture,
//! and `encode` writes what has `change`d.

mod apng;
mod canvas;
mod change;
mod encode;
mod frames;
mod gif;
#[cfg(test)]
mod tests;
mod webp;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use self::{encode::AnimationEncoder, frames::Frames};
use crate::{
    Effort, Limits,
    develop::StageTimes,
    error::ImageError,
    format::{InputFormat, OutputFormat},
    geometry::Plan,
    picture::Picture,
    probe::Probe,
    transform::{Animation, Transform},
};

/// What an animation may have more than its source before it is given up: it would not be served.
const ROOM_BYTES: usize = 64 << 10;

/// Whether a variant of this source is to move.
#[must_use]
pub fn moves(probe: &Probe, transform: &Transform) -> bool {
    probe.animated && transform.animation == Animation::Keep
}

/// Whether a moving variant may be made, told from the header.
///
/// # Errors
/// [`ImageError::Animated`] where the formats have no animations here, [`ImageError::AnimationTooLarge`] beyond the limits.
pub(super) fn check(probe: &Probe, plan: &Plan, format: OutputFormat, limits: &Limits) -> Result<(), ImageError> {
    if !format.is_animated() || probe.format == InputFormat::Avif {
        return Err(ImageError::Animated);
    }
    let (width, height) = plan.output_size();
    let canvas = probe.pixels().max(u64::from(width) * u64::from(height));
    let pixels = canvas.saturating_mul(probe.frames.into());
    if probe.frames > limits.max_animation_frames || pixels > limits.max_animation_pixels {
        return Err(ImageError::AnimationTooLarge { frames: probe.frames, pixels });
    }
    Ok(())
}

/// The most bytes that making a moving variant takes, beside tables and what has been encoded, which is bounded by the
/// source. Of 3-megapixel GIFs, PNGs and WebPs, 18 to 27 bytes a pixel were measured for the source, 43 to 67 for both at the
/// same size.
pub(super) fn cost(probe: &Probe, output_pixels: u64) -> u64 {
    // The canvas, a frame as it comes out of its decoder twice, what comes back after it, and the copy that is resized.
    let source = probe.pixels() * 28 + probe.table_bytes;
    // What is shown, the frame, what is cut out of it, and libwebp's copy with its tables.
    source + output_pixels * 44
}

/// The most bytes that a pixel takes where the first frame alone is decoded: the canvas, the frame as it comes out of its decoder
/// twice, and what comes back after it.
pub(super) const FIRST_FRAME_BYTES: u64 = 20;

/// The first picture of an animation, which need not be the one that a still decoder finds.
///
/// # Errors
/// [`ImageError::Broken`]
pub(super) fn first_frame(bytes: &[u8], probe: &Probe) -> Result<Picture, ImageError> {
    let mut frames = Frames::of(bytes, probe)?;
    match frames.next()? {
        Some(_) => Ok(frames.into_picture()),
        None => Err(ImageError::broken(probe.format, "it has no frame")),
    }
}

/// How a moving variant is encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct MakeMoving {
    pub(super) size: (u32, u32),
    pub(super) quality: u8,
    pub(super) effort: Effort,
}

/// Makes a moving variant: `finish` is what happens to each whole frame before it is encoded.
///
/// # Errors
/// [`ImageError::Broken`], [`ImageError::NotEncoded`], [`ImageError::NotSmaller`], and what `finish` says.
pub(super) fn develop(
    bytes: &[u8],
    probe: &Probe,
    make: MakeMoving,
    finish: impl FnMut(&Picture) -> Result<Picture, ImageError>,
) -> Result<(Vec<u8>, StageTimes), ImageError> {
    // As for still pictures: no decoder should unwind, and nothing that was touched is used again.
    catch_unwind(AssertUnwindSafe(|| develop_unwinding(bytes, probe, make, finish)))
        .unwrap_or_else(|_| Err(ImageError::broken(probe.format, "the decoder gave up")))
}

fn develop_unwinding(
    bytes: &[u8],
    probe: &Probe,
    make: MakeMoving,
    mut finish: impl FnMut(&Picture) -> Result<Picture, ImageError>,
) -> Result<(Vec<u8>, StageTimes), ImageError> {
    let mut stages = StageTimes::default();
    let mut frames = Frames::of(bytes, probe)?;
    let mut encoder = AnimationEncoder::new(make.size, make.quality, make.effort);
    // A file may have more frames than its header told of, never more than were allowed for.
    for _ in 0..probe.frames {
        let next = timed(&mut stages.decode, || frames.next())?;
        let Some((canvas, duration_ms)) = next else { break };
        let picture = timed(&mut stages.resize, || finish(canvas))?;
        timed(&mut stages.encode, || encoder.add(picture, duration_ms))?;
        if encoder.len() > bytes.len() + ROOM_BYTES {
            return Err(ImageError::NotSmaller);
        }
    }
    Ok((encoder.finish(frames.plays()), stages))
}

/// Adds to `spent` what `work` took.
fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let made = work();
    *spent += started.elapsed();
    made
}
