//! APNG's frames, one at a time (W3C PNG, third edition, 11.3.6).

use std::{io::Cursor, time::Duration};

use png::{BlendOp, ColorType, Decoder, DisposeOp, FrameControl, Limits, Reader, Transformations};

use super::{
    canvas::{Blend, Dispose, Patch, Place},
    frames::Plays,
};
use crate::{error::ImageError, format::InputFormat::Png};

/// What the decoder may allocate beside the frame that it is handed: rows and chunks.
const MEMORY_LIMIT_BYTES: usize = 16 << 20;

pub(super) struct Patches<'a> {
    reader: Reader<Cursor<&'a [u8]>>,
    /// A frame as it is decoded.
    buffer: Vec<u8>,
    left: u32,
    plays: Plays,
    /// The default picture is the first frame, and has not been read yet.
    at_default_picture: bool,
}

impl<'a> Patches<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MEMORY_LIMIT_BYTES });
        decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
        decoder.set_ignore_text_chunk(true);
        let reader = decoder.read_info().map_err(|error| broken(&error))?;
        let info = reader.info();
        let control = info.animation_control.ok_or_else(|| ImageError::broken(Png, "it does not move"))?;
        let at_default_picture = info.frame_control.is_some();
        let buffer = vec![0; reader.output_buffer_size().ok_or_else(|| ImageError::broken(Png, "it is too large"))?];
        let plays = if control.num_plays == 0 { Plays::Forever } else { Plays::times(control.num_plays) };
        Ok(Self { reader, buffer, left: control.num_frames, plays, at_default_picture })
    }

    /// The next frame; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Patch>, ImageError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let control = if std::mem::take(&mut self.at_default_picture) {
            self.reader.info().frame_control.ok_or_else(|| ImageError::broken(Png, "a frame lacks its control"))?
        } else {
            *self.reader.next_frame_info().map_err(|error| broken(&error))?
        };
        let frame = self.reader.next_frame(&mut self.buffer).map_err(|error| broken(&error))?;
        // The decoder lays an interlaced frame out in rows of the whole picture's length.
        let stride = if self.reader.info().interlaced {
            self.reader.output_line_size(self.reader.info().width).unwrap_or(frame.line_size)
        } else {
            frame.line_size
        };
        let rows = self.buffer.chunks(stride).take(frame.height as usize).map(|row| &row[..frame.line_size]);
        // No more memory than it needs: a frame may be as large as a picture may be.
        let mut pixels = Vec::with_capacity(frame.width as usize * frame.height as usize * 4);
        match frame.color_type {
            ColorType::Rgba => rows.for_each(|row| pixels.extend_from_slice(row)),
            ColorType::GrayscaleAlpha => rows
                .flat_map(|row| row.as_chunks().0)
                .for_each(|[level, alpha]| pixels.extend_from_slice(&[*level, *level, *level, *alpha])),
            _ => return Err(ImageError::broken(Png, "its colours are of another kind")),
        }
        Ok(Some(patch(&control, pixels)))
    }

    pub(super) const fn plays(&self) -> Plays {
        self.plays
    }
}

fn patch(control: &FrameControl, pixels: Vec<u8>) -> Patch {
    let per_second = if control.delay_den == 0 { 100 } else { control.delay_den };
    Patch {
        place: Place { left: control.x_offset, top: control.y_offset, width: control.width, height: control.height },
        pixels,
        blend: match control.blend_op {
            BlendOp::Over => Blend::Over,
            BlendOp::Source => Blend::Replace,
        },
        dispose: match control.dispose_op {
            DisposeOp::None => Dispose::Keep,
            DisposeOp::Background => Dispose::Clear,
            DisposeOp::Previous => Dispose::Restore,
        },
        duration: Duration::from_secs(control.delay_num.into()) / per_second.into(),
    }
}

fn broken(error: &png::DecodingError) -> ImageError {
    ImageError::broken(Png, error)
}
