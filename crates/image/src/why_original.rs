//! Why an original is served where a variant was asked for: the `detail` of `Cache-Status`, a label in metrics and logs.

use serde::{Deserialize, Serialize};

/// The reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyOriginal {
    /// The variant was not ready in the time that `first_view` gives.
    Deadline,
    /// All cores, the queue or the memory budget are taken.
    Busy,
    /// No format gave fewer bytes.
    NotSmaller,
    /// The source, its file or the work on it is larger than the limits.
    TooLarge,
    /// The bytes are not the image that they begin as.
    Broken,
    /// A kind of image that is not developed.
    Unsupported,
    /// Its watermark could not be had.
    Watermark,
    /// It moves.
    Animated,
    /// The origin forbids changing it (RFC 9111, 5.2.2.6).
    NoTransform,
    /// The origin forbids storing it.
    NoStore,
    /// It is meant for one user.
    Private,
    /// It depends on request fields that the cache's key does not hold.
    Vary,
    /// It is no image that can be developed.
    NotImage,
    /// A redirect that is the visitor's to follow.
    Redirect,
    /// The origin answered with a status other than 200.
    Status,
    /// The site's credits are gone (`billing.md` rule 15).
    Essential,
    /// What a variant costs cannot be charged now.
    LedgerUnavailable,
}

impl WhyOriginal {
    /// The reason's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Busy => "busy",
            Self::NotSmaller => "not-smaller",
            Self::TooLarge => "too-large",
            Self::Broken => "broken",
            Self::Unsupported => "unsupported",
            Self::Watermark => "watermark",
            Self::Animated => "animated",
            Self::NoTransform => "no-transform",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Vary => "vary",
            Self::NotImage => "not-image",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::Essential => "essential",
            Self::LedgerUnavailable => "ledger-unavailable",
        }
    }

    /// Whether a later view may get a variant of the same content, so that no cache downstream should hold on to the
    /// original.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Deadline
                | Self::Busy
                | Self::Broken
                | Self::TooLarge
                | Self::Unsupported
                | Self::Watermark
                | Self::Essential
                | Self::LedgerUnavailable
        )
    }
}
