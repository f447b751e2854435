//! WebP's frames, one at a time (RFC 9649, 2.7.1.1). Each is a still picture in a chunk of its own, which libwebp decodes:
//! its own decoder of animations, as the crate offers it, holds all frames at once.

use std::time::Duration;

use super::{
    canvas::{Blend, Dispose, Patch, Place},
    frames::Plays,
};
use crate::{
    error::ImageError,
    format::InputFormat::WebP,
    riff::{self, Chunks, Extended, flags, u24},
};

pub(super) struct Patches<'a> {
    chunks: Chunks<'a>,
    canvas: (u32, u32),
    plays: Plays,
}

impl<'a> Patches<'a> {
    pub(super) fn of(bytes: &'a [u8], canvas: (u32, u32)) -> Self {
        let loops = Chunks::of_file(bytes).find(|(kind, _)| *kind == b"ANIM").and_then(|(_, anim)| anim.get(4..6));
        let plays = match loops {
            Some([low, high]) => match u16::from_le_bytes([*low, *high]) {
                0 => Plays::Forever,
                plays => Plays::times(plays.into()),
            },
            _ => Plays::Forever,
        };
        Self { chunks: Chunks::of_file(bytes), canvas, plays }
    }

    /// The next frame; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Patch>, ImageError> {
        let Some((_, frame)) = self.chunks.find(|(kind, _)| *kind == b"ANMF") else { return Ok(None) };
        read_frame(frame, self.canvas).map(Some)
    }

    pub(super) const fn plays(&self) -> Plays {
        self.plays
    }
}

fn read_frame(frame: &[u8], canvas: (u32, u32)) -> Result<Patch, ImageError> {
    let broken = |cause: &str| ImageError::broken(WebP, cause);
    let (header, content) = frame.split_at_checked(16).ok_or_else(|| broken("a frame is cut off"))?;
    let number = |at| u24(header, at).unwrap_or_default();
    let place = Place { left: number(0) * 2, top: number(3) * 2, width: number(6) + 1, height: number(9) + 1 };
    if place.left + place.width > canvas.0 || place.top + place.height > canvas.1 {
        return Err(broken("a frame lies outside the canvas"));
    }
    let still = still(content, (place.width, place.height));
    let features = ::webp::BitstreamFeatures::new(&still).ok_or_else(|| broken("a frame's header is not valid"))?;
    if (features.width(), features.height()) != (place.width, place.height) {
        return Err(broken("a frame has another size than it says"));
    }
    let image = ::webp::Decoder::new(&still).decode().ok_or_else(|| broken("libwebp cannot read a frame"))?;
    let pixels = if image.is_alpha() {
        image.to_vec()
    } else {
        image.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], u8::MAX]).collect()
    };
    Ok(Patch {
        place,
        pixels,
        blend: if header[15] & 2 == 0 { Blend::Over } else { Blend::Replace },
        dispose: if header[15] & 1 == 0 { Dispose::Keep } else { Dispose::Clear },
        duration: Duration::from_millis(number(12).into()),
    })
}

/// A file of its own around a frame's chunks.
fn still(content: &[u8], canvas: (u32, u32)) -> Vec<u8> {
    let wanted = |kind: &[u8; 4]| matches!(kind, b"ALPH" | b"VP8 " | b"VP8L");
    let mut chunks = Vec::with_capacity(content.len() + 18);
    if Chunks::of_content(content).any(|(kind, _)| kind == b"ALPH") {
        riff::push(&mut chunks, *b"VP8X", &Extended { flags: flags::ALPHA, canvas }.content());
    }
    for (kind, chunk) in Chunks::of_content(content).filter(|(kind, _)| wanted(kind)) {
        riff::push(&mut chunks, *kind, chunk);
    }
    riff::webp(&chunks)
}
