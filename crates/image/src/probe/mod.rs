//! What a picture's header says, before a pixel is allocated: its size, how it lies, whether it moves, and what a decoder
//! will need. One file a container.

#[cfg(feature = "libaom")]
pub(super) mod avif;
mod gif;
pub(super) mod jpeg;
pub(super) mod png;
pub(super) mod webp;

use super::{error::ImageError, format::InputFormat, orientation::Orientation, settings::Limits};

/// Why AVIF sources are left as they are in a build without libaom.
#[cfg(not(feature = "libaom"))]
pub(super) const NO_AVIF_DECODER: &str = "AVIF source (built without libaom)";

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The format.
    pub format: InputFormat,
    /// Pixels across as stored.
    pub width: u32,
    /// Pixels down as stored.
    pub height: u32,
    /// How it is laid upright.
    pub orientation: Orientation,
    /// Whether it moves: its pictures are drawn one upon the other.
    pub animated: bool,
    /// How many frames its headers tell of, at least 1; of a moving AVIF they are not counted.
    pub frames: u32,
    /// Memory that its decoder takes for each pixel of the whole picture, beside the pixels that it gives out.
    pub(super) whole_bytes_per_pixel: u32,
    /// Memory for tables of its decoder's that the file can make large whatever its pixels.
    pub(super) table_bytes: u64,
    /// Bytes that its decoder gives out for a pixel.
    pub(super) pixel_bytes: u32,
}

/// Reads the header.
///
/// # Errors
/// [`ImageError::Broken`] or [`ImageError::Unsupported`]
pub fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let format = InputFormat::sniff(bytes).ok_or(ImageError::Unsupported { what: "not a picture" })?;
    let probe = match format {
        InputFormat::Jpeg => jpeg::probe(bytes),
        InputFormat::Png => png::probe(bytes),
        InputFormat::Gif => gif::probe(bytes),
        InputFormat::WebP => webp::probe(bytes),
        #[cfg(feature = "libaom")]
        InputFormat::Avif => avif::probe(bytes),
        #[cfg(not(feature = "libaom"))]
        InputFormat::Avif => Err(ImageError::Unsupported { what: NO_AVIF_DECODER }),
    }?;
    if probe.width == 0 || probe.height == 0 {
        return Err(ImageError::broken(format, "it has no pixels"));
    }
    Ok(probe)
}

impl Probe {
    /// Pixels of the source.
    #[must_use]
    pub const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Whether a picture of these pixels is developed at all.
    ///
    /// # Errors
    /// [`ImageError::SourceTooLarge`]
    pub const fn check(&self, limits: &Limits) -> Result<(), ImageError> {
        if self.pixels() > limits.max_pixels {
            let (width, height) = (self.width, self.height);
            return Err(ImageError::SourceTooLarge { width, height, limit: limits.max_pixels });
        }
        Ok(())
    }
}

/// Big-endian numbers out of a slice; `None` where it is too short.
fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAGICS: [&[u8]; 5] = [
        b"\xFF\xD8\xFF\xE0\0\x10JFIF\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"GIF89a\x01\0\x01\0\x80\0\0",
        b"RIFF\x10\0\0\0WEBPVP8X\x0a\0\0\0",
        b"\0\0\0\x14ftypavif\0\0\0\0avif",
    ];

    proptest! {
        #[test]
        fn no_bytes_panic(magic in 0..MAGICS.len(), rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = MAGICS[magic].to_vec();
            bytes.extend_from_slice(&rest);
            let _ = probe(&bytes);
        }
    }

    #[test]
    fn every_beginning_of_a_header_is_broken_not_a_panic() {
        for magic in MAGICS {
            for end in 0..magic.len() {
                assert!(probe(&magic[..end]).is_err());
            }
        }
    }
}
