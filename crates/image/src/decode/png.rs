//! PNG by the `png` crate: every colour type and depth becomes 8 bits. Interlaced ones come as a whole.

use std::{borrow::Cow, io::Cursor};

use png::{BitDepth, ColorType, DecodingError, Limits, Reader, Transformations};

use super::{Decoder as AnyDecoder, Rows};
use crate::{
    color::{eight_bits, read_profile},
    error::ImageError,
    format::InputFormat::Png,
    picture::{Channels, byte_count},
    probe::Probe,
};

pub(super) struct Decoder<'a> {
    reader: Reader<Cursor<&'a [u8]>>,
    /// All rows as they are stored, where they do not come in turn.
    whole: Option<Vec<u8>>,
    stored: Stored,
    stored_row: Vec<u8>,
    row: Vec<u8>,
    at: u32,
    height: u32,
}

/// How samples come.
#[derive(Clone, Copy)]
struct Stored {
    is_wide: bool,
    samples: usize,
}

pub(super) fn open<'a>(bytes: &'a [u8], probe: &Probe) -> Result<Rows<'a>, ImageError> {
    let broken = |error: DecodingError| ImageError::broken(Png, &error);
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits(probe));
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height, interlaced) = (reader.info().width, reader.info().height, reader.info().interlaced);
    let (color, depth) = reader.output_color_type();
    let stored = Stored { is_wide: depth == BitDepth::Sixteen, samples: color.samples() };
    let channels = match color {
        ColorType::GrayscaleAlpha | ColorType::Rgba => Channels::Rgba,
        _ => Channels::Rgb,
    };
    let colors = reader.info().icc_profile.as_deref().and_then(read_profile).into();
    let whole = if interlaced {
        let len = reader.output_buffer_size().ok_or(ImageError::broken(Png, "it is too large"))?;
        let mut whole = vec![0; len];
        reader.next_frame(&mut whole).map_err(broken)?;
        Some(whole)
    } else {
        None
    };
    let stored_row = vec![0; reader.output_line_size(width).ok_or(ImageError::broken(Png, "it is too large"))?];
    let row = vec![0; byte_count(width, 1, channels.count())];
    let decoder = Decoder { reader, whole, stored, stored_row, row, at: 0, height };
    Ok(Rows { size: (width, height), channels, colors, decoder: AnyDecoder::Png(Box::new(decoder)) })
}

/// The ICC profile, if there is one that can be read.
pub(super) fn icc_profile(bytes: &[u8], probe: &Probe) -> Option<Vec<u8>> {
    let reader = png::Decoder::new_with_limits(Cursor::new(bytes), limits(probe)).read_info().ok()?;
    reader.info().icc_profile.as_deref().and_then(read_profile)
}

/// What the header has been admitted for, and as much again for chunks and rows.
fn limits(probe: &Probe) -> Limits {
    let admitted = probe.pixels() * u64::from(probe.pixel_bytes + probe.whole_bytes_per_pixel) + (16 << 20);
    Limits { bytes: usize::try_from(admitted).unwrap_or(usize::MAX) }
}

impl Decoder<'_> {
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ImageError> {
        if self.at == self.height {
            return Ok(None);
        }
        let row_bytes = self.stored_row.len();
        let stored_row = if let Some(whole) = &self.whole {
            let start = self.at as usize * row_bytes;
            whole.get(start..start + row_bytes).ok_or_else(|| ImageError::broken(Png, "a row is missing"))?
        } else {
            let read = self.reader.read_row(&mut self.stored_row).map_err(|error| ImageError::broken(Png, &error))?;
            read.ok_or_else(|| ImageError::broken(Png, "a row is missing"))?;
            &self.stored_row
        };
        self.at += 1;
        Ok(Some(self.stored.unpack(stored_row, &mut self.row)))
    }
}

impl Stored {
    /// A row in 8 bits, and grey as colour; what is so already stays where it is.
    fn unpack<'b>(self, stored: &'b [u8], row: &'b mut [u8]) -> &'b [u8] {
        let levels = self.in_eight_bits(stored);
        match self.samples {
            1 => spread(&levels, row, |[level]: [u8; 1]| [level; 3]),
            2 => spread(&levels, row, |[level, alpha]: [u8; 2]| [level, level, level, alpha]),
            _ => match levels {
                Cow::Borrowed(levels) => return levels,
                Cow::Owned(levels) => row.copy_from_slice(&levels),
            },
        }
        row
    }

    fn in_eight_bits(self, stored: &[u8]) -> Cow<'_, [u8]> {
        if self.is_wide {
            Cow::Owned(stored.as_chunks().0.iter().map(|pair| eight_bits(u16::from_be_bytes(*pair))).collect())
        } else {
            Cow::Borrowed(stored)
        }
    }
}

fn spread<const FROM: usize, const TO: usize>(levels: &[u8], row: &mut [u8], pixel: impl Fn([u8; FROM]) -> [u8; TO]) {
    for (made, given) in row.as_chunks_mut::<TO>().0.iter_mut().zip(levels.as_chunks::<FROM>().0) {
        *made = pixel(*given);
    }
}
