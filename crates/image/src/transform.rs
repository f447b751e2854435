//! What a visitor asks to be done to a source: the canonical operations, without the output format. Source × transform is
//! an image size (`billing.md` rule 3); two requests that mean the same pixels compare equal. Everything is a whole number:
//! fractions are counted in hundredths, thousandths or hundred-thousandths, as each field says.

mod operation;
mod region;

pub use operation::{Adjust, Amount, Factor, Sigma, Watermark};
pub use region::{CropBox, Length, Trim};

/// The canonical list of operations. `Transform::default()` is "same size, best format".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Transform {
    /// Target width in CSS pixels, before `dpr`.
    pub width: Option<u32>,
    /// Target height in CSS pixels, before `dpr`.
    pub height: Option<u32>,
    /// How the source fits into width × height.
    pub fit: Fit,
    /// Which part stays when something is cut off, and where the picture stands on a padded canvas.
    pub gravity: Gravity,
    /// Multiplies width and height.
    pub dpr: Dpr,
    /// How good it shall look; `None` is the site's.
    pub quality: Option<Quality>,
    /// What lies under transparent pixels where the format has none, and around a padded picture.
    pub background: Option<Color>,
    /// Clockwise turn, after EXIF orientation.
    pub rotate: Rotation,
    /// What becomes of an animated source.
    pub animation: Animation,
    /// What is cut off the edges of the upright source, before anything else.
    pub trim: Option<Trim>,
    /// What is cut out of the upright source, after `trim` and before it is turned and fitted.
    pub crop: Option<CropBox>,
    /// Mirroring, before `rotate`. The canonical form has no `Vertical` and no `Both`: these are turns as well.
    pub flip: Flip,
    /// Brightness, contrast, gamma and saturation.
    pub adjust: Adjust,
    /// How far the fitted picture is blurred.
    pub blur: Sigma,
    /// How much it is sharpened after that.
    pub sharpen: Amount,
    /// A picture that is laid on it last.
    pub watermark: Option<Box<Watermark>>,
    /// What of the source's metadata goes along.
    pub metadata: Metadata,
}

/// How good a variant shall look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// What encoders are set to, 1-100 on one scale for all formats: how it looks depends on the picture.
    Setting(u8),
    /// What it shall score, 1-100 on the scale of SSIMULACRA2 (50 medium, 70 high, 90 not told from the original), whatever
    /// the picture and the format: encoders are set accordingly.
    Target(u8),
}

/// How a source is fitted into the wanted width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fit {
    /// Inside width × height, never enlarged.
    #[default]
    ScaleDown,
    /// Inside width × height, enlarged if it is smaller.
    Contain,
    /// Fills width × height exactly: what overhangs is cut off; enlarged if it is smaller.
    Cover,
    /// Like `Cover`, never enlarged: a smaller source is only cut to the wanted proportions as far as it goes.
    Crop,
    /// Inside width × height, enlarged if smaller, the rest filled with the background.
    Pad,
}

/// Which part of a picture counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gravity {
    /// What lies around this point.
    At(Point),
    /// The part with the most to see in it.
    Auto,
}

impl Default for Gravity {
    fn default() -> Self {
        Self::At(Point::default())
    }
}

/// A point of a picture, in thousandths of its width and height from the top left; the middle by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// 0 is the left edge, 1000 the right one.
    pub x_permille: u16,
    /// 0 is the top edge, 1000 the bottom one.
    pub y_permille: u16,
}

impl Default for Point {
    fn default() -> Self {
        Self { x_permille: 500, y_permille: 500 }
    }
}

/// Device pixel ratio in hundredths: 150 is 1.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dpr(pub u16);

impl Default for Dpr {
    fn default() -> Self {
        Self(100)
    }
}

/// An sRGB colour, not premultiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Color {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
    /// 255 hides what lies behind it, 0 is transparent.
    pub alpha: u8,
}

impl Color {
    /// Nothing. The canonical form has no other colour with an alpha of 0.
    pub const TRANSPARENT: Self = Self { r: 0, g: 0, b: 0, alpha: 0 };
}

/// A clockwise turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rotation {
    /// As it is.
    #[default]
    None,
    /// A quarter turn clockwise.
    Quarter,
    /// Upside down.
    Half,
    /// A quarter turn counter-clockwise.
    ThreeQuarter,
}

/// What becomes of an animated source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Animation {
    /// The original is served: it moves.
    #[default]
    Keep,
    /// The first frame is developed as a still picture.
    FirstFrame,
}

/// Mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Flip {
    /// As it is.
    #[default]
    None,
    /// Left becomes right.
    Horizontal,
    /// Top becomes bottom.
    Vertical,
    /// Both.
    Both,
}

/// What of a source's metadata goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Metadata {
    /// Nothing.
    #[default]
    None,
    /// Whose work it is: artist and copyright.
    Copyright,
    /// All, as far as it holds for the variant.
    Keep,
}
