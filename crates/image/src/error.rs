//! Why a picture was not developed.

use std::fmt::Display;

use super::{
    format::{InputFormat, OutputFormat},
    why_original::WhyOriginal,
};

/// Why there is no variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The bytes are not what they begin as.
    #[error("broken {format:?}: {cause}")]
    Broken {
        /// What they begin as.
        format: InputFormat,
        /// What is wrong.
        cause: String,
    },
    /// A kind of picture that is not developed.
    #[error("{what}: not developed")]
    Unsupported {
        /// The kind.
        what: &'static str,
    },
    /// The source has more pixels than are allowed.
    #[error("{width}×{height} pixels are more than the {limit} allowed")]
    SourceTooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The limit.
        limit: u64,
    },
    /// The wanted variant has more pixels than are allowed, or than its format can hold.
    #[error("a variant of {width}×{height} pixels is larger than allowed")]
    OutputTooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// It moves, and the wanted format does not here.
    #[error("an animation, which becomes nothing but animated WebP")]
    Animated,
    /// An animation has more frames, or more pixels in all of them, than are allowed.
    #[error("an animation of {frames} frames, {pixels} pixels in all, is larger than allowed")]
    AnimationTooLarge {
        /// How many frames.
        frames: u32,
        /// Pixels of all canvases together.
        pixels: u64,
    },
    /// It was given up, having more bytes than its source already.
    #[error("it has more bytes than its source")]
    NotSmaller,
    /// The watermark that is asked for is missing, or cannot be read.
    #[error("no watermark: {cause}")]
    Watermark {
        /// What is wrong with it.
        cause: String,
    },
    /// The encoder failed.
    #[error("encoding {} failed: {cause}", format.name())]
    NotEncoded {
        /// What was being made.
        format: OutputFormat,
        /// What the encoder said.
        cause: String,
    },
    /// The decoder gave fewer rows than the header announced.
    #[error("rows are missing")]
    RowsMissing,
    /// The work is not wanted any more.
    #[error("not wanted any more")]
    Cancelled,
    /// A codec failed in a way that it should not.
    #[error("a codec failed in a way that it should not")]
    CodecPanicked,
}

impl ImageError {
    pub(super) fn broken(format: InputFormat, cause: &(impl Display + ?Sized)) -> Self {
        Self::Broken { format, cause: cause.to_string() }
    }

    pub(super) fn not_encoded(format: OutputFormat, cause: &(impl Display + ?Sized)) -> Self {
        Self::NotEncoded { format, cause: cause.to_string() }
    }

    /// Why the original is served instead.
    #[must_use]
    pub const fn why_original(&self) -> WhyOriginal {
        match self {
            Self::Broken { .. } | Self::NotEncoded { .. } | Self::RowsMissing | Self::CodecPanicked => {
                WhyOriginal::Broken
            }
            Self::Watermark { .. } => WhyOriginal::Watermark,
            Self::Cancelled => WhyOriginal::Busy,
            Self::Unsupported { .. } => WhyOriginal::Unsupported,
            Self::SourceTooLarge { .. } | Self::OutputTooLarge { .. } | Self::AnimationTooLarge { .. } => {
                WhyOriginal::TooLarge
            }
            Self::Animated => WhyOriginal::Animated,
            Self::NotSmaller => WhyOriginal::NotSmaller,
        }
    }

    /// Whether it lies in the source, so that nothing else will be made of it either.
    #[must_use]
    pub const fn is_of_source(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Unsupported { .. } | Self::SourceTooLarge { .. } | Self::RowsMissing => true,
            // An animation's limits are not those of its first frame.
            Self::Animated | Self::AnimationTooLarge { .. } | Self::NotSmaller => false,
            Self::OutputTooLarge { .. }
            | Self::Watermark { .. }
            | Self::NotEncoded { .. }
            | Self::Cancelled
            | Self::CodecPanicked => false,
        }
    }
}
