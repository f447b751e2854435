//! JPEG by mozjpeg: progressive, with optimized Huffman tables; with trellis quantization where there is time.

use mozjpeg::{ColorSpace, Compress};

use crate::{
    encode::{Chroma, Coding, Make},
    error::ImageError,
    format::OutputFormat::Jpeg,
    picture::{Channels, Picture},
    settings::Effort,
};

pub(super) fn encode(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    let failed = |error: std::io::Error| ImageError::not_encoded(Jpeg, &error);
    let colors = match picture.channels {
        Channels::Rgb => ColorSpace::JCS_RGB,
        Channels::Rgba => ColorSpace::JCS_EXT_RGBA,
    };
    let mut encoder = Compress::new(colors);
    if make.effort == Effort::FirstView {
        encoder.set_fastest_defaults();
    }
    encoder.set_size(picture.width as usize, picture.height as usize);
    let (quality, chroma) = match make.coding {
        Coding::Lossy { setting, chroma } => (setting, chroma),
        Coding::Lossless => (100.0, Chroma::Full),
    };
    encoder.set_quality(quality);
    encoder.set_progressive_mode();
    encoder.set_optimize_coding(true);
    let across = if chroma == Chroma::Full { 1 } else { 2 };
    encoder.set_chroma_sampling_pixel_sizes((across, across), (across, across));
    let mut started = encoder.start_compress(Vec::new()).map_err(failed)?;
    started.write_scanlines(&picture.pixels).map_err(failed)?;
    started.finish().map_err(failed)
}
