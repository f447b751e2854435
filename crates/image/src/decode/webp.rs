//! WebP by libwebp.

use super::Decoded;
use crate::{
    error::ImageError,
    format::InputFormat::WebP,
    picture::{Channels, Picture},
    probe::webp,
};

pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, ImageError> {
    let broken = |cause| ImageError::broken(WebP, &cause);
    let image = ::webp::Decoder::new(bytes).decode().ok_or_else(|| broken("libwebp cannot read it"))?;
    let channels = if image.is_alpha() { Channels::Rgba } else { Channels::Rgb };
    let picture = Picture::new(image.width(), image.height(), channels, image.to_vec())
        .ok_or_else(|| broken("it has another size than it says"))?;
    Ok(Decoded { picture, colors: webp::icc_profile(bytes).into() })
}
