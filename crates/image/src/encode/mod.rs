//! From pixels to a file, one file a format. Quality is on one scale for all: JPEG's and WebP's own, and for AVIF what looks
//! like them.

#[cfg(feature = "libaom")]
mod avif;
mod jpeg;
mod png;
mod ravif;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{develop::Make, error::ImageError, format::OutputFormat, picture::Picture};
use crate::AvifEncoder;

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
    match (make.format, make.avif_encoder) {
        #[cfg(feature = "libaom")]
        (OutputFormat::Avif, AvifEncoder::Libaom) => avif::encode(picture, make),
        #[cfg(not(feature = "libaom"))]
        (OutputFormat::Avif, AvifEncoder::Libaom) => ravif::encode(picture, make),
        (OutputFormat::Avif, AvifEncoder::Ravif) => ravif::encode(picture, make),
        (OutputFormat::WebP, _) => webp::encode(picture, make),
        (OutputFormat::Jpeg, _) => jpeg::encode(picture, make),
        (OutputFormat::Png, _) => png::encode(picture, make),
    }
}
