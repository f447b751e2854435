//! PNG's chunks up to the first pixels (W3C PNG, third edition).

use super::{Probe, be_u32};
use crate::{error::ImageError, exif, format::InputFormat::Png, orientation::Orientation};

pub(super) fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let truncated = || ImageError::broken(Png, "the header is cut off");
    let mut found: Option<Probe> = None;
    let mut motion = Motion::default();
    for (kind, content) in Chunks::of(bytes) {
        match (kind, &mut found) {
            (b"IHDR", None) => found = Some(header(content).ok_or_else(truncated)?),
            (b"IEND", _) => break,
            (b"eXIf", Some(probe)) if !motion.is_behind_pixels => probe.orientation = exif::orientation(content),
            (_, Some(_)) => motion.take(kind, content),
            _ => {}
        }
    }
    let mut probe = found.ok_or_else(truncated)?;
    probe.frames = motion.frames.clamp(1, motion.announced.max(1));
    // Where the default picture is none of its frames, even one frame alone is another picture.
    probe.animated = probe.frames > 1 || motion.frames == 1 && motion.announced > 0 && motion.starts_elsewhere;
    Ok(probe)
}

/// What the chunks say of an animation.
#[derive(Debug, Default)]
struct Motion {
    /// Frames by `acTL`, which must stand before the default picture.
    announced: u32,
    is_announced: bool,
    /// Frames by their `fcTL`s.
    frames: u32,
    /// The default picture is not the first frame.
    starts_elsewhere: bool,
    is_behind_pixels: bool,
}

impl Motion {
    fn take(&mut self, kind: &[u8; 4], content: &[u8]) {
        match kind {
            // A second one makes it no animation to any browser.
            b"acTL" if !self.is_behind_pixels => {
                self.announced = if self.is_announced { 0 } else { be_u32(content, 0).unwrap_or(0) };
                self.is_announced = true;
            }
            b"fcTL" => self.frames = self.frames.saturating_add(1),
            b"IDAT" if !self.is_behind_pixels => {
                self.is_behind_pixels = true;
                self.starts_elsewhere = self.frames == 0;
            }
            _ => {}
        }
    }
}

/// Kind and content of chunks one after another, without looking at checksums; of one that is cut off, what is there.
pub(crate) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.get(8..).unwrap_or_default())
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (len, behind) = self.0.split_first_chunk::<4>()?;
        let (kind, behind) = behind.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX).min(behind.len());
        let (content, behind) = behind.split_at(len);
        // The checksum.
        self.0 = behind.get(4..).unwrap_or_default();
        Some((kind, content))
    }
}

fn header(content: &[u8]) -> Option<Probe> {
    let [bit_depth, color_type, _, _, interlace] = *content.get(8..13)? else { return None };
    let samples = match color_type {
        0 | 4 => 2,
        _ => 4,
    };
    let is_interlaced = interlace != 0;
    Some(Probe {
        format: Png,
        width: be_u32(content, 0)?,
        height: be_u32(content, 4)?,
        orientation: Orientation::UPRIGHT,
        animated: false,
        frames: 1,
        // Rows come one by one, unless they are interlaced: then they are held as they are stored, a palette and a colour
        // key resolved.
        whole_bytes_per_pixel: if is_interlaced { samples * if bit_depth == 16 { 2 } else { 1 } } else { 0 },
        table_bytes: 0,
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
    const THREE: &[u8] = &[0, 0, 0, 3, 0, 0, 0, 0];

    #[test]
    fn size_motion_and_orientation_are_read() {
        let still = probe(&file(&[(b"IHDR", HEADER), (b"IDAT", b"x"), (b"acTL", THREE)])).unwrap();
        assert_eq!((still.width, still.height, still.animated, still.frames), (200, 100, false, 1));
        assert_eq!(still.whole_bytes_per_pixel, 0);
        let interlaced = [&HEADER[..12], &[1]].concat();
        assert_eq!(probe(&file(&[(b"IHDR", &interlaced)])).unwrap().whole_bytes_per_pixel, 8);
        let exif = &block(3)[6..];
        let frame: (&[u8; 4], &[u8]) = (b"fcTL", b"x");
        let moving = probe(&file(&[
            (b"IHDR", HEADER),
            (b"eXIf", exif),
            (b"acTL", THREE),
            frame,
            (b"IDAT", b"x"),
            frame,
            (b"fdAT", b"x"),
        ]));
        let moving = moving.unwrap();
        assert_eq!((moving.animated, moving.frames, moving.orientation), (true, 2, Orientation::from_exif(3)));
    }

    #[test]
    fn one_frame_is_an_animation_only_where_it_is_not_the_default_picture() {
        let one: (&[u8; 4], &[u8]) = (b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]);
        let frame: (&[u8; 4], &[u8]) = (b"fcTL", b"x");
        let animated = |chunks: &[(&[u8; 4], &[u8])]| probe(&file(chunks)).unwrap().animated;
        assert!(!animated(&[(b"IHDR", HEADER), one, frame, (b"IDAT", b"x")]));
        assert!(animated(&[(b"IHDR", HEADER), one, (b"IDAT", b"x"), frame, (b"fdAT", b"x")]));
        assert!(!animated(&[(b"IHDR", HEADER), (b"IDAT", b"x"), frame, (b"fdAT", b"x")]));
        assert!(!animated(&[(b"IHDR", HEADER), one, one, (b"IDAT", b"x"), frame, (b"fdAT", b"x")]));
    }
}
