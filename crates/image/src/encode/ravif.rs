//! AVIF by rav1e behind ravif: Rust only, at several times the cost of libaom.

use ravif::{Encoder, Img};
use rgb::FromSlice as _;

use crate::{
    encode::{Coding, Make},
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
    let quality = match make.coding {
        Coding::Lossy { setting, .. } => setting,
        Coding::Lossless => 100.0,
    };
    let encoder =
        Encoder::new().with_speed(speed).with_quality(quality.clamp(1.0, 100.0)).with_num_threads(Some(make.threads));
    let (width, height) = (picture.width as usize, picture.height as usize);
    let encoded = match picture.channels {
        Channels::Rgb => encoder.encode_rgb(Img::new(picture.pixels.as_rgb(), width, height)),
        Channels::Rgba => encoder.encode_rgba(Img::new(picture.pixels.as_rgba(), width, height)),
    };
    Ok(encoded.map_err(|error| ImageError::not_encoded(Avif, &error))?.avif_file)
}
