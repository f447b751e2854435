//! From a file to rows of pixels, one file a format. What a decoder gives row by row is never held as a whole; JPEG is
//! reduced while it is decoded where that costs no quality.

#[cfg(feature = "libaom")]
mod avif;
mod gif;
mod jpeg;
mod png;
mod webp;
mod whole;

use super::{
    animation,
    color::ColorSpace,
    error::ImageError,
    format::InputFormat,
    picture::{Channels, Picture},
    probe::Probe,
};

/// What reducing inside the decoder must leave for the resize: with twice the pixels, hardly a difference is measured to a full
/// decode (within 0.5 SSIMULACRA2; at once the pixels it costs 3 to 6).
pub(crate) const LEFT_FOR_RESIZE: f64 = 2.0;

/// A picture whose rows come from top to bottom: 8 bits a channel, alpha not premultiplied.
pub(super) struct Rows<'a> {
    /// Its size, perhaps a reduction of the source's.
    pub(super) size: (u32, u32),
    /// Channels of a row.
    pub(super) channels: Channels,
    /// What its colours mean.
    pub(super) colors: ColorSpace,
    decoder: Decoder<'a>,
}

enum Decoder<'a> {
    Jpeg(Box<jpeg::Decoder<'a>>),
    Png(Box<png::Decoder<'a>>),
    WebP(webp::Decoder),
    Whole(whole::Decoder),
    #[cfg(feature = "libaom")]
    Avif(Box<avif::Decoder>),
}

impl<'a> Rows<'a> {
    /// Begins to decode. `needed` is the part of each side's pixels, up to 1, that must remain.
    ///
    /// libjpeg reports errors by unwinding: call it, and [`Self::next`], inside `catch_unwind`.
    ///
    /// # Errors
    /// [`ImageError::Broken`] or [`ImageError::Unsupported`]
    pub(super) fn open(bytes: &'a [u8], probe: &Probe, needed: f64) -> Result<Self, ImageError> {
        if probe.animated && probe.format != InputFormat::Avif {
            return Ok(Self::of(animation::first_frame(bytes, probe)?, animation_colors(bytes, probe)));
        }
        match probe.format {
            InputFormat::Jpeg => jpeg::open(bytes, jpeg::eighths(needed)),
            InputFormat::Png => png::open(bytes, probe),
            InputFormat::Gif => gif::open(bytes, probe),
            InputFormat::WebP => webp::open(bytes),
            #[cfg(feature = "libaom")]
            InputFormat::Avif => avif::open(bytes),
            #[cfg(not(feature = "libaom"))]
            InputFormat::Avif => Err(ImageError::Unsupported { what: super::probe::NO_AVIF_DECODER }),
        }
    }

    /// A picture that is there as a whole.
    pub(super) fn of(picture: Picture, colors: ColorSpace) -> Self {
        let (size, channels) = ((picture.width, picture.height), picture.channels);
        Self { size, channels, colors, decoder: Decoder::Whole(whole::Decoder::new(picture)) }
    }

    /// The next row; `None` behind the last.
    ///
    /// # Errors
    /// As [`Self::open`]
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ImageError> {
        match &mut self.decoder {
            Decoder::Jpeg(decoder) => decoder.next(),
            Decoder::Png(decoder) => decoder.next(),
            Decoder::WebP(decoder) => Ok(decoder.next()),
            Decoder::Whole(decoder) => Ok(decoder.next()),
            #[cfg(feature = "libaom")]
            Decoder::Avif(decoder) => decoder.next(),
        }
    }
}

/// What the colours of an animation's frames mean.
pub(super) fn animation_colors(bytes: &[u8], probe: &Probe) -> ColorSpace {
    match probe.format {
        InputFormat::Png => png::icc_profile(bytes, probe).into(),
        InputFormat::WebP => super::probe::webp::icc_profile(bytes).into(),
        InputFormat::Jpeg | InputFormat::Gif | InputFormat::Avif => ColorSpace::Srgb,
    }
}

/// The size that a decoder gives out when `needed` of each side must remain.
pub(super) fn decoded_size(probe: &Probe, needed: f64) -> (u32, u32) {
    match probe.format {
        InputFormat::Jpeg => {
            let eighths = u32::from(jpeg::eighths(needed));
            // libjpeg rounds up.
            let side = |side: u32| u32::try_from((u64::from(side) * u64::from(eighths)).div_ceil(8)).unwrap_or(side);
            (side(probe.width), side(probe.height))
        }
        _ => (probe.width, probe.height),
    }
}

#[cfg(test)]
mod tests {
    use image::{
        ExtendedColorType::Rgb8,
        ImageEncoder,
        codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    };

    use super::*;
    use crate::{color::MAX_ICC_BYTES, probe::probe};

    fn with_profile(mut encoder: impl ImageEncoder, bytes: usize) {
        encoder.set_icc_profile(vec![7; bytes]).unwrap();
        encoder.write_image(&[9; 8 * 8 * 3], 8, 8, Rgb8).unwrap();
    }

    /// A picture of each format, with a profile of so many bytes.
    fn pictures(profile_bytes: usize) -> [Vec<u8>; 3] {
        let [mut jpeg, mut png, mut webp] = [const { Vec::new() }; 3];
        with_profile(JpegEncoder::new(&mut jpeg), profile_bytes);
        with_profile(PngEncoder::new(&mut png), profile_bytes);
        with_profile(WebPEncoder::new_lossless(&mut webp), profile_bytes);
        [jpeg, png, webp]
    }

    #[test]
    fn a_profile_over_the_bound_is_as_none_in_every_format_and_one_at_the_bound_is_read() {
        for (profile_bytes, expected) in
            [(MAX_ICC_BYTES, ColorSpace::Icc(vec![7; MAX_ICC_BYTES])), (MAX_ICC_BYTES + 1, ColorSpace::Srgb)]
        {
            for file in pictures(profile_bytes) {
                let probe = probe(&file).unwrap();
                let rows = Rows::open(&file, &probe, 1.0).unwrap();
                assert!(rows.colors == expected, "{:?} with {profile_bytes} bytes", probe.format);
            }
        }
    }
}
