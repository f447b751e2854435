//! JPEG by libjpeg (mozjpeg). It may be reduced to 1/2, 1/4 or 1/8 inside the DCT, which saves most of the work. What is
//! missing of a truncated file is grey, as in browsers.

use mozjpeg::{ColorSpace as JpegColors, Decompress, decompress::DecompressStarted};

use super::{Decoder as AnyDecoder, LEFT_FOR_RESIZE, Rows};
use crate::{
    color::{ColorSpace, Inks},
    error::ImageError,
    format::InputFormat::Jpeg,
    picture::{Channels, byte_count},
    probe::jpeg,
};

/// How many eighths of each side are decoded where `needed` of it must remain.
pub(super) fn eighths(needed: f64) -> u8 {
    [1u8, 2, 4].into_iter().find(|eighths| f64::from(*eighths) / 8.0 >= needed * LEFT_FOR_RESIZE).unwrap_or(8)
}

pub(super) struct Decoder<'a> {
    started: DecompressStarted<&'a [u8]>,
    left: u32,
    row: Vec<u8>,
    inks: Option<InkRow>,
}

/// A row in ink, on its way to sRGB.
struct InkRow {
    inks: Inks,
    inverted: bool,
    row: Vec<u8>,
}

pub(super) fn open(bytes: &[u8], eighths: u8) -> Result<Rows<'_>, ImageError> {
    let broken = |error: std::io::Error| ImageError::broken(Jpeg, &error);
    let mut decoder = Decompress::new_mem(bytes).map_err(broken)?;
    decoder.scale(eighths);
    let is_ink = matches!(decoder.color_space(), JpegColors::JCS_CMYK | JpegColors::JCS_YCCK);
    let profile = jpeg::icc_profile(bytes);
    let started = if is_ink { decoder.to_colorspace(JpegColors::JCS_CMYK) } else { decoder.rgb() }.map_err(broken)?;
    let side = |side: usize| u32::try_from(side).map_err(|error| ImageError::broken(Jpeg, &error));
    let size = (side(started.width())?, side(started.height())?);
    let (inks, colors) = if is_ink {
        let row = vec![0; byte_count(size.0, 1, 4)];
        // Adobe's is stored inverted.
        let inverted = jpeg::has_adobe_segment(bytes);
        (Some(InkRow { inks: Inks::new(profile.as_deref()), inverted, row }), ColorSpace::Srgb)
    } else {
        (None, profile.into())
    };
    let decoder = Decoder { started, left: size.1, row: vec![0; byte_count(size.0, 1, 3)], inks };
    Ok(Rows { size, channels: Channels::Rgb, colors, decoder: AnyDecoder::Jpeg(Box::new(decoder)) })
}

impl Decoder<'_> {
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ImageError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let broken = |error: std::io::Error| ImageError::broken(Jpeg, &error);
        match &mut self.inks {
            None => {
                self.started.read_scanlines_into(&mut self.row).map_err(broken)?;
            }
            Some(InkRow { inks, inverted, row }) => {
                self.started.read_scanlines_into(row).map_err(broken)?;
                if *inverted {
                    row.iter_mut().for_each(|ink| *ink = 255 - *ink);
                }
                inks.to_srgb(row, &mut self.row);
            }
        }
        Ok(Some(&self.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reducing_leaves_twice_what_is_needed() {
        assert_eq!([0.01, 0.0625, 0.07, 0.125, 0.13, 0.25, 0.26, 1.0].map(eighths), [1, 1, 2, 2, 4, 4, 8, 8]);
    }
}
