//! PNG by the `png` crate.

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use crate::{
    encode::Make,
    error::ImageError,
    format::OutputFormat::Png,
    picture::{Channels, Picture},
    settings::Effort,
};

pub(super) fn encode(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    let compression = match make.effort {
        Effort::FirstView => CompressionType::Default,
        Effort::Refined => CompressionType::Best,
    };
    let color_type = match picture.channels {
        Channels::Rgb => ExtendedColorType::Rgb8,
        Channels::Rgba => ExtendedColorType::Rgba8,
    };
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, compression, FilterType::Adaptive)
        .write_image(&picture.pixels, picture.width, picture.height, color_type)
        .map_err(|error| ImageError::not_encoded(Png, &error))?;
    Ok(bytes)
}
