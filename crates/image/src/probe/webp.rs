//! WebP's RIFF chunks (RFC 9649).

use super::Probe;
use crate::{
    color::read_profile, error::ImageError, exif, format::InputFormat::WebP, orientation::Orientation, riff::Chunks,
};

pub(super) fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let features =
        webp::BitstreamFeatures::new(bytes).ok_or_else(|| ImageError::broken(WebP, "the header is not valid"))?;
    let pixel_bytes = if features.has_alpha() { 4 } else { 3 };
    let frames =
        if features.has_animation() { Chunks::of_file(bytes).filter(|(kind, _)| *kind == b"ANMF").count() } else { 1 };
    Ok(Probe {
        format: WebP,
        width: features.width(),
        height: features.height(),
        orientation: chunk(bytes, b"EXIF").map_or(Orientation::UPRIGHT, exif::orientation),
        // One frame alone is drawn as an animation is.
        animated: features.has_animation(),
        frames: u32::try_from(frames).unwrap_or(u32::MAX).max(1),
        // A lossless picture is unpacked as ARGB beside what is given out, which is copied once.
        whole_bytes_per_pixel: 4 + pixel_bytes,
        pixel_bytes,
    })
}

/// The ICC profile, if there is one.
pub(crate) fn icc_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    chunk(bytes, b"ICCP").and_then(read_profile)
}

/// A chunk's content.
pub(crate) fn chunk<'a>(bytes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    Chunks::of_file(bytes).find(|(kind, _)| *kind == wanted).map(|(_, content)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_found_by_their_kind() {
        let bytes = [b"RIFF____WEBP".as_slice(), b"ABCD\x01\0\0\0x\0", b"ICCP\x02\0\0\0yz"].concat();
        assert_eq!(icc_profile(&bytes).unwrap(), b"yz");
        assert_eq!(chunk(&bytes, b"EXIF"), None);
        assert_eq!(chunk(&bytes[..bytes.len() - 1], b"ICCP"), None);
    }
}
