//! What became of a request, for the log and the counters.

use crate::image::{format::OutputFormat, why_original::WhyOriginal};

/// How it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A variant from the cache.
    Hit,
    /// A variant that was made, or validated, for this request.
    Miss,
    /// A variant or original that had expired: its origin failed, or is being asked meanwhile.
    Stale,
    /// An original where a variant was asked for.
    Original,
    /// Passed through to the origin and back.
    Passthrough,
    /// Answered by itself: a redirect to https, a certificate authority's challenge.
    Own,
    /// Refused, or the origin gave nothing.
    Error,
}

impl Outcome {
    /// All of them, for tables indexed by [`Self::index`].
    pub const ALL: [Self; 7] =
        [Self::Hit, Self::Miss, Self::Stale, Self::Original, Self::Passthrough, Self::Own, Self::Error];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Original => "original",
            Self::Passthrough => "passthrough",
            Self::Own => "own",
            Self::Error => "error",
        }
    }
}

/// What was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// A variant of this format.
    Variant(OutputFormat),
    /// The original, and why.
    Original(WhyOriginal),
    /// Something that is no image, or nothing.
    Other,
}

impl Delivered {
    /// The names of all formats that are counted, for tables indexed by [`Self::index`].
    pub const NAMES: [&'static str; 6] = ["avif", "webp", "jpeg", "png", "original", "other"];

    /// Its place in [`Self::NAMES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Variant(OutputFormat::Avif) => 0,
            Self::Variant(OutputFormat::WebP) => 1,
            Self::Variant(OutputFormat::Jpeg) => 2,
            Self::Variant(OutputFormat::Png) => 3,
            Self::Original(_) => 4,
            Self::Other => 5,
        }
    }

    /// The format's name.
    #[must_use]
    pub const fn format(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// The format's name, or why the original was served.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Original(why) => why.name(),
            other => other.format(),
        }
    }
}
