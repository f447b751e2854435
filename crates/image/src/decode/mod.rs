//! From a file to pixels, one file a format. JPEG is reduced while it is decoded where that costs no quality.

#[cfg(feature = "libaom")]
mod avif;
mod jpeg;
mod lossless;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    animation, color::ColorSpace, error::ImageError, format::InputFormat, geometry::Plan, picture::Picture,
    probe::Probe,
};

/// A decoded picture, and what its colours mean.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) picture: Picture,
    pub(super) colors: ColorSpace,
}

/// Decodes a file as far as the plan needs it.
///
/// # Errors
/// [`ImageError::Broken`] or [`ImageError::Unsupported`]
pub(super) fn decode(bytes: &[u8], probe: &Probe, plan: &Plan) -> Result<Decoded, ImageError> {
    // libjpeg reports errors by unwinding; in other decoders it would be a mistake of theirs. Nothing that was touched is
    // used again.
    catch_unwind(AssertUnwindSafe(|| decode_unwinding(bytes, probe, plan)))
        .unwrap_or_else(|_| Err(ImageError::broken(probe.format, "the decoder gave up")))
}

/// What the colours of an animation's frames mean.
pub(super) fn animation_colors(bytes: &[u8], probe: &Probe) -> ColorSpace {
    match probe.format {
        InputFormat::Png => lossless::png_profile(bytes, probe).into(),
        InputFormat::WebP => super::probe::webp::icc_profile(bytes).into(),
        InputFormat::Jpeg | InputFormat::Gif | InputFormat::Avif => ColorSpace::Srgb,
    }
}

fn decode_unwinding(bytes: &[u8], probe: &Probe, plan: &Plan) -> Result<Decoded, ImageError> {
    if probe.animated && probe.format != InputFormat::Avif {
        let picture = animation::first_frame(bytes, probe)?;
        return Ok(Decoded { picture, colors: animation_colors(bytes, probe) });
    }
    match probe.format {
        InputFormat::Jpeg => jpeg::decode(bytes, jpeg::eighths(probe, plan)),
        InputFormat::Png => lossless::decode_png(bytes, probe),
        InputFormat::Gif => lossless::decode_gif(bytes, probe),
        InputFormat::WebP => webp::decode(bytes),
        #[cfg(feature = "libaom")]
        InputFormat::Avif => avif::decode(bytes),
        #[cfg(not(feature = "libaom"))]
        InputFormat::Avif => Err(ImageError::Unsupported { what: super::probe::NO_AVIF_DECODER }),
    }
}

/// The size that the decoder gives out under the plan.
pub(super) fn decoded_size(probe: &Probe, plan: &Plan) -> (u32, u32) {
    match probe.format {
        InputFormat::Jpeg => {
            let eighths = u32::from(jpeg::eighths(probe, plan));
            // libjpeg rounds up.
            ((probe.width * eighths).div_ceil(8), (probe.height * eighths).div_ceil(8))
        }
        _ => (probe.width, probe.height),
    }
}
