//! From pixels to a file, one file a format; `make` is what they are told.

#[cfg(feature = "libaom")]
mod avif;
mod jpeg;
mod make;
mod palette;
mod png;
mod ravif;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) use make::{Chroma, Coding, Encoder, Make};

use super::{error::ImageError, picture::Picture};

/// Encodes a picture.
///
/// # Errors
/// [`ImageError::OutputTooLarge`] where the format cannot hold the size, [`ImageError::NotEncoded`] where the encoder failed.
pub(super) fn encode(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    // As in decoding: libjpeg unwinds, others would by mistake.
    catch_unwind(AssertUnwindSafe(|| encode_unwinding(picture, make)))
        .unwrap_or_else(|_| Err(ImageError::not_encoded(make.format, "the encoder gave up")))
}

fn encode_unwinding(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    match Encoder::of(make.format, make.avif_encoder) {
        #[cfg(feature = "libaom")]
        Encoder::Libaom => avif::encode(picture, make),
        #[cfg(not(feature = "libaom"))]
        Encoder::Libaom => ravif::encode(picture, make),
        Encoder::Ravif => ravif::encode(picture, make),
        Encoder::Libwebp => webp::encode(picture, make),
        Encoder::Mozjpeg => jpeg::encode(picture, make),
        Encoder::Png => png::encode(picture, make),
    }
}
