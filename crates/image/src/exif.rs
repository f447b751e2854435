//! The one thing that a variant needs from EXIF: how the picture lies.

use exif::{In, Reader, Tag};

use super::orientation::Orientation;

/// The most EXIF that is looked at; an embedded preview may make it large.
const MAX_BYTES: usize = 1 << 20;

/// The orientation in an EXIF block (a TIFF header and what follows, perhaps behind `Exif\0\0`); upright where it cannot
/// be read.
pub(super) fn orientation(block: &[u8]) -> Orientation {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    if block.len() > MAX_BYTES {
        return Orientation::UPRIGHT;
    }
    let Ok(fields) = Reader::new().read_raw(block.to_vec()) else { return Orientation::UPRIGHT };
    let value = fields.get_field(Tag::Orientation, In::PRIMARY).and_then(|field| field.value.get_uint(0));
    value.map_or(Orientation::UPRIGHT, Orientation::from_exif)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An EXIF block that holds nothing but an orientation.
    pub(crate) fn block(value: u8) -> Vec<u8> {
        let mut block = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        block.extend_from_slice(&[value, 0, 0, 0, 0, 0, 0]);
        block
    }

    #[test]
    fn the_orientation_is_read_and_nonsense_is_upright() {
        assert_eq!(orientation(&block(6)), Orientation::from_exif(6));
        assert_eq!(orientation(b"Exif\0\0nonsense"), Orientation::UPRIGHT);
        assert_eq!(orientation(b""), Orientation::UPRIGHT);
    }
}
