//! WebP by libwebp, which gives the picture as a whole.

use super::{Decoder as AnyDecoder, Rows};
use crate::{
    error::ImageError,
    format::InputFormat::WebP,
    picture::{Channels, byte_count},
    probe::webp,
};

pub(super) struct Decoder {
    picture: ::webp::WebPImage,
    row_bytes: usize,
    at: usize,
}

pub(super) fn open<'a>(bytes: &[u8]) -> Result<Rows<'a>, ImageError> {
    let broken = |cause| ImageError::broken(WebP, &cause);
    let picture = ::webp::Decoder::new(bytes).decode().ok_or_else(|| broken("libwebp cannot read it"))?;
    let channels = if picture.is_alpha() { Channels::Rgba } else { Channels::Rgb };
    let size = (picture.width(), picture.height());
    let decoder = Decoder { picture, row_bytes: byte_count(size.0, 1, channels.count()), at: 0 };
    Ok(Rows { size, channels, colors: webp::icc_profile(bytes).into(), decoder: AnyDecoder::WebP(decoder) })
}

impl Decoder {
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let row = self.picture.get(self.at..self.at + self.row_bytes)?;
        self.at += self.row_bytes;
        Some(row)
    }
}
