//! What is done to a picture that has its size: its light and colours, its sharpness, and what is laid on it.

use super::Point;

/// How light and colours are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Adjust {
    /// Each channel times this.
    pub brightness: Factor,
    /// Each channel's distance from the middle times this.
    pub contrast: Factor,
    /// Each channel, as a fraction of 1, to the power of 1 / this: more is lighter.
    pub gamma: Factor,
    /// Each channel's distance from grey times this.
    pub saturation: Factor,
}

/// A factor in hundredths: 100 changes nothing, 1000 is the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Factor(pub u16);

impl Factor {
    /// Changes nothing.
    pub const NEUTRAL: Self = Self(100);
}

impl Default for Factor {
    fn default() -> Self {
        Self::NEUTRAL
    }
}

/// The standard deviation of a Gaussian blur in hundredths of an output pixel: 0 is none, 25,000 the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sigma(pub u16);

/// How much is sharpened, in hundredths: 0 is not at all, 100 is enough for a reduced photograph, 1000 the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amount(pub u16);

/// A picture that is laid on another. It has a file of its own, which the engine is given beside the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watermark {
    /// Where its file is: a path on the site's origin, or an absolute URL, not vetted yet.
    pub source: String,
    /// Hundredths: 100 as it is, 1 hardly seen.
    pub opacity: u8,
    /// Where it stands: at 0 its edge is the picture's left or top edge, at 1000 the right or bottom one.
    pub position: Point,
    /// The most of the picture's width that it takes, in thousandths. It is never higher than the picture.
    pub scale_permille: u16,
}

impl Watermark {
    /// It is seen as it is.
    pub const OPAQUE: u8 = 100;
    /// The bottom right.
    pub const USUAL_POSITION: Point = Point { x_permille: 1000, y_permille: 1000 };
    /// A quarter of the picture's width.
    pub const USUAL_SCALE_PERMILLE: u16 = 250;
}
