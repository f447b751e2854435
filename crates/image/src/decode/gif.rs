//! GIF by the `image` crate: the first frame on its screen.

use std::io::Cursor;

use image::{ImageDecoder, Limits, codecs::gif::GifDecoder};

use super::Rows;
use crate::{
    color::ColorSpace,
    error::ImageError,
    format::InputFormat::Gif,
    picture::{Channels, Picture, byte_count},
    probe::Probe,
};

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
    let picture = Picture::new(size.0, size.1, Channels::Rgba, pixels);
    let picture = picture.ok_or_else(|| ImageError::broken(Gif, "it has another size than it says"))?;
    Ok(Rows::of(picture, ColorSpace::Srgb))
}
