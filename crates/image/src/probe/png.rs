//! PNG's chunks up to the first pixels (W3C PNG, third edition).

use super::{Probe, be_u32};
use crate::{error::ImageError, exif, format::InputFormat::Png, orientation::Orientation};

pub(super) fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let truncated = || ImageError::broken(Png, "the header is cut off");
    let mut found: Option<Probe> = None;
    let mut at = 8usize;
    while let (Some(len), Some(kind)) = (be_u32(bytes, at), bytes.get(at + 4..at + 8)) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let end = (at + 8).saturating_add(len);
        let content = bytes.get(at + 8..end);
        match kind {
            b"IHDR" => found = Some(header(content.ok_or_else(truncated)?).ok_or_else(truncated)?),
            b"IDAT" | b"IEND" => break,
            b"acTL" => {
                if let Some(probe) = &mut found {
                    probe.animated = true;
                }
            }
            b"eXIf" => {
                if let (Some(probe), Some(content)) = (&mut found, content) {
                    probe.orientation = exif::orientation(content);
                }
            }
            _ => {}
        }
        // The checksum stands behind the content.
        at = end.saturating_add(4);
    }
    found.ok_or_else(truncated)
}

fn header(content: &[u8]) -> Option<Probe> {
    let [bit_depth, color_type] = *content.get(8..10)? else { return None };
    let channels = match color_type {
        0 | 3 => 1,
        4 => 2,
        2 => 3,
        _ => 4,
    };
    let is_gray = matches!(color_type, 0 | 4);
    Some(Probe {
        format: Png,
        width: be_u32(content, 0)?,
        height: be_u32(content, 4)?,
        orientation: Orientation::UPRIGHT,
        animated: false,
        // Grey or 16 bits are held as they are stored beside what is given out; a palette is resolved on the way.
        whole_bytes_per_pixel: if bit_depth == 16 {
            2 * channels
        } else if is_gray {
            channels
        } else if color_type == 6 {
            // Resizing in premultiplied alpha works on a copy, and what it frees comes back late.
            3
        } else {
            0
        },
        // A colour key may add alpha.
        pixel_bytes: 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exif::tests::block;

    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in chunks {
            bytes.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(*kind);
            bytes.extend_from_slice(content);
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes
    }

    const HEADER: &[u8] = &[0, 0, 0, 200, 0, 0, 0, 100, 16, 6, 0, 0, 0];

    #[test]
    fn size_motion_and_orientation_are_read() {
        let still = probe(&file(&[(b"IHDR", HEADER), (b"IDAT", b"x"), (b"acTL", b"")])).unwrap();
        assert_eq!((still.width, still.height, still.animated), (200, 100, false));
        assert_eq!(still.whole_bytes_per_pixel, 8);
        let exif = &block(3)[6..];
        let moving = probe(&file(&[(b"IHDR", HEADER), (b"eXIf", exif), (b"acTL", b"x"), (b"IDAT", b"x")])).unwrap();
        assert_eq!((moving.animated, moving.orientation), (true, Orientation::from_exif(3)));
    }
}
