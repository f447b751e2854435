//! GIF by the `image` crate: the first frame on its screen.

use std::io::Cursor;

use image::{ImageDecoder, Limits, codecs::gif::GifDecoder};

use super::{Decoder as AnyDecoder, Rows};
use crate::{
    color::ColorSpace,
    error::ImageError,
    format::InputFormat::Gif,
    picture::{Channels, byte_count},
    probe::Probe,
};

pub(super) struct Decoder {
    pixels: Vec<u8>,
    row_bytes: usize,
    at: usize,
}

pub(super) fn open<'a>(bytes: &[u8], probe: &Probe) -> Result<Rows<'a>, ImageError> {
    let broken = |error| ImageError::broken(Gif, &error);
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(broken)?;
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(probe.width);
    limits.max_image_height = Some(probe.height);
    limits.max_alloc = Some(probe.pixels() * 8 + (16 << 20));
    decoder.set_limits(limits).map_err(broken)?;
    let size = decoder.dimensions();
    let mut pixels = vec![0; byte_count(size.0, size.1, 4)];
    decoder.read_image(&mut pixels).map_err(broken)?;
    let decoder = Decoder { pixels, row_bytes: byte_count(size.0, 1, 4), at: 0 };
    Ok(Rows { size, channels: Channels::Rgba, colors: ColorSpace::Srgb, decoder: AnyDecoder::Gif(decoder) })
}

impl Decoder {
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let row = self.pixels.get(self.at..self.at + self.row_bytes)?;
        self.at += self.row_bytes;
        Some(row)
    }
}
