//! AVIF by rav1e behind ravif: Rust only, at several times the cost of libaom.

use ravif::{Encoder, Img};
use rgb::FromSlice as _;

use crate::{
    develop::Make,
    error::ImageError,
    format::OutputFormat::Avif,
    picture::{Channels, Picture},
    settings::Effort,
};

pub(super) fn encode(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    let speed = match make.effort {
        Effort::FirstView => 10,
        Effort::Refined => 6,
    };
    let encoder = Encoder::new().with_speed(speed).with_quality(quality(make.quality)).with_num_threads(Some(1));
    let (width, height) = (picture.width as usize, picture.height as usize);
    let encoded = match picture.channels {
        Channels::Rgb => encoder.encode_rgb(Img::new(picture.pixels.as_rgb(), width, height)),
        Channels::Rgba => encoder.encode_rgba(Img::new(picture.pixels.as_rgba(), width, height)),
    };
    Ok(encoded.map_err(|error| ImageError::not_encoded(Avif, &error))?.avif_file)
}

/// ravif's quality for one on the common scale: its 70 looks like JPEG's and WebP's 80.
fn quality(quality: u8) -> f32 {
    let quality = f32::from(quality);
    if quality <= 80.0 { (quality * 0.875).max(1.0) } else { 70.0 + (quality - 80.0) * 1.5 }
}
