//! GIF's frames, one at a time. A frame that is larger than the screen is not read.

use std::{io::Cursor, num::NonZero, time::Duration};

use ::gif::{ColorOutput, DecodeOptions, Decoder, DisposalMethod, MemoryLimit, Repeat};

use super::{
    canvas::{Blend, Dispose, Patch, Place},
    frames::Plays,
};
use crate::{error::ImageError, format::InputFormat::Gif};

/// What the decoder may allocate beside the pixels that it is handed: rows, palettes, extensions.
const MEMORY_LIMIT_BYTES: NonZero<u64> = NonZero::<u64>::MIN.saturating_add((16 << 20) - 1);

pub(super) struct Patches<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    screen_pixels: u64,
}

impl<'a> Patches<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        options.set_memory_limit(MemoryLimit::Bytes(MEMORY_LIMIT_BYTES));
        options.allow_unknown_blocks(true);
        let decoder = options.read_info(Cursor::new(bytes)).map_err(|error| ImageError::broken(Gif, &error))?;
        let screen_pixels = u64::from(decoder.width()) * u64::from(decoder.height());
        Ok(Self { decoder, screen_pixels })
    }

    /// The next frame; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Patch>, ImageError> {
        let broken = |error: ::gif::DecodingError| ImageError::broken(Gif, &error);
        let Some(frame) = self.decoder.next_frame_info().map_err(broken)? else { return Ok(None) };
        let place = Place {
            left: frame.left.into(),
            top: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let dispose = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Dispose::Keep,
            // The background, which browsers take for transparent.
            DisposalMethod::Background => Dispose::Clear,
            DisposalMethod::Previous => Dispose::Restore,
        };
        let duration = Duration::from_millis(u64::from(frame.delay) * 10);
        let pixels = u64::from(place.width) * u64::from(place.height);
        if pixels > self.screen_pixels {
            return Err(ImageError::broken(Gif, "a frame is larger than the screen"));
        }
        let mut rgba = vec![0; self.decoder.buffer_size()];
        self.decoder.read_into_buffer(&mut rgba).map_err(broken)?;
        Ok(Some(Patch { place, pixels: rgba, blend: Blend::Over, dispose, duration }))
    }

    /// Known once the first frame has been read. Netscape's extension counts repetitions, and without it there are none.
    pub(super) fn plays(&self) -> Plays {
        match self.decoder.repeat() {
            Repeat::Infinite => Plays::Forever,
            Repeat::Finite(repetitions) => Plays::times(u32::from(repetitions) + 1),
        }
    }
}
