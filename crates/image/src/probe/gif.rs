//! GIF's screen and the beginnings of its frames (GIF89a).

use super::Probe;
use crate::{error::ImageError, format::InputFormat::Gif, orientation::Orientation};

pub(super) fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let truncated = || ImageError::broken(Gif, "the header is cut off");
    let screen = bytes.get(6..13).ok_or_else(truncated)?;
    let side = |at: usize| u32::from(u16::from_le_bytes([screen[at], screen[at + 1]]));
    let frames = count_frames(bytes, 13 + table_bytes(screen[4]));
    Ok(Probe {
        format: Gif,
        width: side(0),
        height: side(2),
        orientation: Orientation::UPRIGHT,
        animated: frames > 1,
        frames: frames.max(1),
        // Where it covers a part of the screen, it is decoded beside it.
        whole_bytes_per_pixel: 8,
        table_bytes: 0,
        pixel_bytes: 4,
    })
}

/// Bytes of the colour table that `flags` announce.
const fn table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Walks over blocks without decoding any; a frame counts where its descriptor is there.
fn count_frames(bytes: &[u8], mut at: usize) -> u32 {
    let mut frames = 0;
    loop {
        match bytes.get(at) {
            Some(0x21) => at = behind_sub_blocks(bytes, at + 2),
            Some(0x2C) => {
                let Some(flags) = bytes.get(at + 9) else { return frames };
                frames += 1;
                // The descriptor, its table, and the code size.
                at = behind_sub_blocks(bytes, at + 10 + table_bytes(*flags) + 1);
            }
            _ => return frames,
        }
    }
}

fn behind_sub_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(len) = bytes.get(at) {
        at += 1 + usize::from(*len);
        if *len == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &[u8] = &[0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0];
    const COMMENT: &[u8] = &[0x21, 0xFE, 2, 0x2C, 0x2C, 0];

    fn file(blocks: &[&[u8]]) -> Vec<u8> {
        let screen = [b"GIF89a".as_slice(), &[5, 0, 7, 0, 0x80, 0, 0], &[0; 6]].concat();
        [screen, blocks.concat(), vec![0x3B]].concat()
    }

    #[test]
    fn two_frames_are_an_animation() {
        let found = |blocks: &[&[u8]]| {
            let probe = probe(&file(blocks)).unwrap();
            (probe.animated, probe.frames)
        };
        assert_eq!(found(&[COMMENT, FRAME, COMMENT]), (false, 1));
        assert_eq!(found(&[COMMENT, FRAME, COMMENT, FRAME]), (true, 2));
        assert_eq!(found(&[FRAME, FRAME, FRAME, COMMENT]), (true, 3));
        let probe = probe(&file(&[FRAME])).unwrap();
        assert_eq!((probe.width, probe.height), (5, 7));
    }
}
