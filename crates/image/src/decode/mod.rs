//! From a file to rows of pixels, one file a format. What a decoder gives row by row is never held as a whole; JPEG is
//! reduced while it is decoded where that costs no quality.

#[cfg(feature = "libaom")]
mod avif;
mod gif;
mod jpeg;
mod png;
mod webp;

use super::{color::ColorSpace, error::ImageError, format::InputFormat, picture::Channels, probe::Probe};

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
    Gif(gif::Decoder),
    WebP(webp::Decoder),
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

    /// The next row; `None` behind the last.
    ///
    /// # Errors
    /// As [`Self::open`]
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ImageError> {
        match &mut self.decoder {
            Decoder::Jpeg(decoder) => decoder.next(),
            Decoder::Png(decoder) => decoder.next(),
            Decoder::Gif(decoder) => Ok(decoder.next()),
            Decoder::WebP(decoder) => Ok(decoder.next()),
            #[cfg(feature = "libaom")]
            Decoder::Avif(decoder) => decoder.next(),
        }
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
