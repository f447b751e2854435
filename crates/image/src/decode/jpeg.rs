//! JPEG by libjpeg (mozjpeg). It may be reduced to 1/2, 1/4 or 1/8 inside the DCT, which saves most of the work.

use mozjpeg::{ColorSpace as JpegColors, Decompress};

use super::Decoded;
use crate::{
    color::{ColorSpace, cmyk_to_srgb},
    error::ImageError,
    format::InputFormat::Jpeg,
    geometry::Plan,
    picture::{Channels, Picture, byte_count},
    probe::{Probe, jpeg},
};

/// What reducing inside the DCT must leave for the resize: with twice the pixels, hardly a difference is measured to a full
/// decode (within 0.5 SSIMULACRA2; at once the pixels it costs 3 to 6).
const LEFT_FOR_RESIZE: f64 = 2.0;

/// How many eighths of each side are decoded.
pub(super) fn eighths(probe: &Probe, plan: &Plan) -> u8 {
    debug_assert_eq!(probe.format, Jpeg);
    let needed = plan.reduction(LEFT_FOR_RESIZE);
    [1u8, 2, 4].into_iter().find(|eighths| f64::from(*eighths) / 8.0 >= needed).unwrap_or(8)
}

pub(super) fn decode(bytes: &[u8], eighths: u8) -> Result<Decoded, ImageError> {
    let broken = |error: std::io::Error| ImageError::broken(Jpeg, &error);
    let mut decoder = Decompress::new_mem(bytes).map_err(broken)?;
    decoder.scale(eighths);
    let inks = matches!(decoder.color_space(), JpegColors::JCS_CMYK | JpegColors::JCS_YCCK);
    let profile = jpeg::icc_profile(bytes);
    let mut started = if inks { decoder.to_colorspace(JpegColors::JCS_CMYK) } else { decoder.rgb() }.map_err(broken)?;
    let side = |side: usize| u32::try_from(side).map_err(|error| ImageError::broken(Jpeg, &error));
    let (width, height) = (side(started.width())?, side(started.height())?);
    let mut pixels = vec![0; byte_count(width, height, if inks { 4 } else { 3 })];
    started.read_scanlines_into(&mut pixels).map_err(broken)?;
    // What is missing behind the last row does not matter.
    let _ = started.finish();
    let (pixels, colors) = if inks {
        if jpeg::has_adobe_segment(bytes) {
            pixels.iter_mut().for_each(|ink| *ink = 255 - *ink);
        }
        (cmyk_to_srgb(&pixels, profile.as_deref()), ColorSpace::Srgb)
    } else {
        (pixels, profile.into())
    };
    let picture = Picture::new(width, height, Channels::Rgb, pixels)
        .ok_or_else(|| ImageError::broken(Jpeg, "it has another size than it says"))?;
    Ok(Decoded { picture, colors })
}
