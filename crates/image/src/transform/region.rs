//! Parts of a source: what is trimmed off, and what is cut out.

/// What is cut off the edges of a source, upright as EXIF says and before it is flipped or turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trim {
    /// A border of one colour.
    Border {
        /// How far each channel of a pixel may be from the border's colour, 0-255.
        tolerance: u8,
    },
    /// So many pixels of the source on each side; if nothing would be left, nothing is cut off.
    Sides {
        /// From the top.
        top: u16,
        /// From the right.
        right: u16,
        /// From the bottom.
        bottom: u16,
        /// From the left.
        left: u16,
    },
}

/// A rectangle of a source, upright as EXIF says, trimmed, and before it is flipped or turned. What of it lies beyond the
/// source does not count; one that lies beyond it as a whole is as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CropBox {
    /// From the left edge.
    pub left: Length,
    /// From the top edge.
    pub top: Length,
    /// Across.
    pub width: Length,
    /// Down.
    pub height: Length,
}

/// A stretch along one side of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Length {
    /// Pixels.
    Pixels(u32),
    /// Hundred-thousandths of the side, up to [`Length::WHOLE`]. The canonical form has no 0: that is no pixels.
    Fraction(u32),
}

impl Length {
    /// The fraction that is all of a side.
    pub const WHOLE: u32 = 100_000;

    /// Pixels along a side that has `side` of them.
    #[must_use]
    pub fn along(self, side: f64) -> f64 {
        match self {
            Self::Pixels(pixels) => f64::from(pixels),
            Self::Fraction(fraction) => side * f64::from(fraction) / f64::from(Self::WHOLE),
        }
    }
}
