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
        table_bytes: table_bytes(bytes, features.width(), features.height()),
        pixel_bytes,
    })
}

/// What libwebp's tables of prefix codes may take for a picture, or an alpha, without loss (RFC 9649, 3.7.2.2). There is a group of
/// codes for each block of pixels that has its own, blocks are of 4x4 at the least, and a group takes 20 bits of the file.
fn table_bytes(bytes: &[u8], width: u32, height: u32) -> u64 {
    const GROUP_BYTES: u64 = 6 << 10;
    const MAX_GROUPS: u64 = 1 << 16;
    let frames = Chunks::of_file(bytes).filter(|(kind, _)| *kind == b"ANMF");
    let in_frames = frames.flat_map(|(_, frame)| Chunks::of_content(frame.get(16..).unwrap_or_default()));
    let lossless = Chunks::of_file(bytes).chain(in_frames).filter(|(kind, content)| match *kind {
        b"VP8L" => true,
        // An alpha may be stored as it is.
        b"ALPH" => content.first().is_some_and(|first| first & 3 != 0),
        _ => false,
    });
    let longest = lossless.map(|(_, content)| content.len() as u64).max().unwrap_or(0);
    let blocks = u64::from(width.div_ceil(4)) * u64::from(height.div_ceil(4));
    MAX_GROUPS.min(blocks).min(longest * 8 / 20) * GROUP_BYTES
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
