//! What the pipeline is told beside the transform.

use crate::config::AvifEncoder;

/// Bounds of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of a source.
    pub max_pixels: u64,
    /// Pixels of a variant.
    pub max_output_pixels: u64,
}

/// How variants are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bounds.
    pub limits: Limits,
    /// Which encoder makes AVIF.
    pub avif_encoder: AvifEncoder,
}

/// How much time an encoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effort {
    /// Somebody waits.
    FirstView,
    /// Nobody waits: fewer bytes.
    Refined,
}

impl Settings {
    /// As configured. Without the feature `libaom` ravif makes AVIF, whatever is configured.
    #[must_use]
    pub fn new(images: &crate::config::Images) -> Self {
        let avif_encoder = if cfg!(feature = "libaom") { images.avif.encoder } else { AvifEncoder::Ravif };
        Self {
            limits: Limits { max_pixels: images.max_pixels, max_output_pixels: images.max_output_pixels },
            avif_encoder,
        }
    }
}
