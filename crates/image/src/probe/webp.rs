//! WebP's RIFF chunks (RFC 9649).

use super::Probe;
use crate::{error::ImageError, exif, format::InputFormat::WebP, orientation::Orientation};

pub(super) fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let features =
        webp::BitstreamFeatures::new(bytes).ok_or_else(|| ImageError::broken(WebP, "the header is not valid"))?;
    let pixel_bytes = if features.has_alpha() { 4 } else { 3 };
    Ok(Probe {
        format: WebP,
        width: features.width(),
        height: features.height(),
        orientation: chunk(bytes, *b"EXIF").map_or(Orientation::UPRIGHT, exif::orientation),
        animated: features.has_animation(),
        // A lossless picture is unpacked as ARGB beside what is given out, which is copied once.
        whole_bytes_per_pixel: 4 + pixel_bytes,
        pixel_bytes,
    })
}

/// The ICC profile, if there is one.
pub(crate) fn icc_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    chunk(bytes, *b"ICCP").map(<[u8]>::to_vec)
}

/// A chunk's content.
fn chunk(bytes: &[u8], wanted: [u8; 4]) -> Option<&[u8]> {
    let mut rest = bytes.get(12..)?;
    loop {
        let (kind, behind) = rest.split_first_chunk::<4>()?;
        let (len, content) = behind.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let here = content.get(..len)?;
        if *kind == wanted {
            return Some(here);
        }
        // Chunks begin at even places.
        rest = content.get(len + (len & 1)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_found_at_even_places() {
        let bytes = [b"RIFF____WEBP".as_slice(), b"ABCD\x01\0\0\0x\0", b"ICCP\x02\0\0\0yz"].concat();
        assert_eq!(icc_profile(&bytes).unwrap(), b"yz");
        assert_eq!(chunk(&bytes, *b"EXIF"), None);
        assert_eq!(chunk(&bytes[..bytes.len() - 1], *b"ICCP"), None);
    }
}
