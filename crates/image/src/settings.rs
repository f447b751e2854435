//! What the pipeline is told beside the transform.

use serde::{Deserialize, Serialize};

/// Bounds of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of a source.
    pub max_pixels: u64,
    /// Pixels of a variant.
    pub max_output_pixels: u64,
    /// Frames of an animation that is developed as one.
    pub max_animation_frames: u32,
    /// Pixels of all its canvases together, as they are in the source or in the variant, whichever are more.
    pub max_animation_pixels: u64,
}

impl Limits {
    /// What a configuration has that says nothing. An animation takes 0.01 to 0.15 seconds of a core for a million pixels,
    /// as much changes from frame to frame: the longest allowed takes 1 to 15.
    pub const DEFAULT: Self = Self {
        max_pixels: 100_000_000,
        max_output_pixels: 50_000_000,
        max_animation_frames: 500,
        max_animation_pixels: 100_000_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// An AVIF encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AvifEncoder {
    /// libaom: eight to ten times cheaper at the same bytes and quality. Without the feature `libaom` ravif stands in.
    #[default]
    Libaom,
    /// rav1e behind ravif: Rust only.
    Ravif,
}

/// How variants are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
