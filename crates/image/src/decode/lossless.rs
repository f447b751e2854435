//! PNG and GIF by the `image` crate: every colour type and depth becomes 8 bits, an animation its first frame.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, Limits,
    codecs::{gif::GifDecoder, png::PngDecoder},
};

use super::Decoded;
use crate::{
    color::ColorSpace,
    error::ImageError,
    format::InputFormat,
    picture::{Channels, Picture},
    probe::Probe,
};

pub(super) fn decode_png(bytes: &[u8], probe: &Probe) -> Result<Decoded, ImageError> {
    let broken = |error| ImageError::broken(InputFormat::Png, &error);
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits(probe)).map_err(broken)?;
    let profile = decoder.icc_profile().ok().flatten();
    Ok(Decoded { picture: decode(decoder, InputFormat::Png)?, colors: profile.into() })
}

/// The ICC profile, if there is one that can be read.
pub(super) fn png_profile(bytes: &[u8], probe: &Probe) -> Option<Vec<u8>> {
    PngDecoder::with_limits(Cursor::new(bytes), limits(probe)).ok()?.icc_profile().ok().flatten()
}

pub(super) fn decode_gif(bytes: &[u8], probe: &Probe) -> Result<Decoded, ImageError> {
    let broken = |error| ImageError::broken(InputFormat::Gif, &error);
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(broken)?;
    decoder.set_limits(limits(probe)).map_err(broken)?;
    Ok(Decoded { picture: decode(decoder, InputFormat::Gif)?, colors: ColorSpace::Srgb })
}

fn decode(decoder: impl ImageDecoder, format: InputFormat) -> Result<Picture, ImageError> {
    let has_alpha = decoder.color_type().has_alpha();
    let image = DynamicImage::from_decoder(decoder).map_err(|error| ImageError::broken(format, &error))?;
    let (width, height) = (image.width(), image.height());
    let (channels, pixels) = if has_alpha {
        (Channels::Rgba, image.into_rgba8().into_raw())
    } else {
        (Channels::Rgb, image.into_rgb8().into_raw())
    };
    Picture::new(width, height, channels, pixels)
        .ok_or_else(|| ImageError::broken(format, "it has another size than it says"))
}

/// What the header has been admitted for, and as much again for chunks and rows.
fn limits(probe: &Probe) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(probe.width);
    limits.max_image_height = Some(probe.height);
    let bytes_per_pixel = u64::from(probe.pixel_bytes + probe.whole_bytes_per_pixel);
    limits.max_alloc = Some(probe.pixels() * bytes_per_pixel + (16 << 20));
    limits
}
