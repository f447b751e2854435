//! A transform as options again: `name=value` joined by commas, defaults left out, each option by its long name and in one
//! order. Read again it gives the same transform.
//!
//! Names of what is cached and charged are made of this text ([`Operations`]): what is printed for an option must stay, and a
//! new option comes behind the others.

use std::fmt::{self, Display, Formatter};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::quality::word;
use crate::transform::{
    Adjust, Animation, Color, CropBox, Factor, Fit, Flip, Gravity, Length, Metadata, Point, Quality, Rotation,
    Transform, Trim, Watermark,
};

/// All but what needs no encoding anywhere in a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes options with commas between them.
struct Writer<'a, 'f> {
    to: &'a mut Formatter<'f>,
    is_first: bool,
}

impl Writer<'_, '_> {
    fn option(&mut self, name: &str, value: impl Display) -> fmt::Result {
        let comma = if std::mem::replace(&mut self.is_first, false) { "" } else { "," };
        write!(self.to, "{comma}{name}={value}")
    }
}

/// As options that [`super::parse_segment`] reads; empty for the default.
impl Display for Transform {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut writer = Writer { to: f, is_first: true };
        write_fitting(self, &mut writer)?;
        write_operations(self, &mut writer)
    }
}

/// Those of a transform's options that came after the first release's (`width height fit gravity dpr quality background
/// rotate anim`); empty where there are none.
#[derive(Debug, Clone, Copy)]
pub struct Operations<'a>(pub &'a Transform);

impl Display for Operations<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_operations(self.0, &mut Writer { to: f, is_first: true })
    }
}

fn write_fitting(transform: &Transform, writer: &mut Writer<'_, '_>) -> fmt::Result {
    let Transform { width, height, fit, gravity, dpr, quality, background, rotate, animation, .. } = transform;
    if let Some(width) = width {
        writer.option("width", width)?;
    }
    if let Some(height) = height {
        writer.option("height", height)?;
    }
    if *fit != Fit::default() {
        writer.option("fit", fit_name(*fit))?;
    }
    match gravity {
        Gravity::At(point) if *point == Point::default() => {}
        Gravity::At(point) => writer.option("gravity", PointText(*point))?,
        Gravity::Auto => writer.option("gravity", "auto")?,
    }
    if dpr.0 != 100 {
        writer.option("dpr", Decimal(dpr.0.into(), 2))?;
    }
    if let Some(quality) = quality {
        write_quality(*quality, writer)?;
    }
    if let Some(Color { r, g, b, alpha }) = background {
        writer.option("background", format_args!("{r:02x}{g:02x}{b:02x}{alpha:02x}"))?;
    }
    if *rotate != Rotation::None {
        writer.option("rotate", degrees(*rotate))?;
    }
    if *animation == Animation::FirstFrame {
        writer.option("anim", "false")?;
    }
    Ok(())
}

fn write_operations(transform: &Transform, writer: &mut Writer<'_, '_>) -> fmt::Result {
    match transform.trim {
        None => {}
        Some(Trim::Border { tolerance }) => writer.option("trim", tolerance)?,
        Some(Trim::Sides { top, right, bottom, left }) => {
            writer.option("trim", format_args!("{top};{right};{bottom};{left}"))?;
        }
    }
    if let Some(CropBox { left, top, width, height }) = transform.crop {
        let [left, top, width, height] = [left, top, width, height].map(LengthText);
        writer.option("crop", format_args!("{left};{top};{width};{height}"))?;
    }
    match transform.flip {
        Flip::None => {}
        Flip::Horizontal => writer.option("flip", "h")?,
        Flip::Vertical => writer.option("flip", "v")?,
        Flip::Both => writer.option("flip", "hv")?,
    }
    let Adjust { brightness, contrast, gamma, saturation } = transform.adjust;
    let factors = [("brightness", brightness), ("contrast", contrast), ("gamma", gamma), ("saturation", saturation)];
    for (name, factor) in factors.into_iter().filter(|(_, factor)| *factor != Factor::NEUTRAL) {
        writer.option(name, Decimal(factor.0.into(), 2))?;
    }
    if transform.blur.0 > 0 {
        writer.option("blur", Decimal(transform.blur.0.into(), 2))?;
    }
    if transform.sharpen.0 > 0 {
        writer.option("sharpen", Decimal(transform.sharpen.0.into(), 2))?;
    }
    match transform.metadata {
        Metadata::None => {}
        Metadata::Copyright => writer.option("metadata", "copyright")?,
        Metadata::Keep => writer.option("metadata", "keep")?,
    }
    transform.watermark.as_deref().map_or(Ok(()), |watermark| write_watermark(watermark, writer))
}

fn write_watermark(watermark: &Watermark, writer: &mut Writer<'_, '_>) -> fmt::Result {
    let Watermark { source, opacity, position, scale_permille } = watermark;
    writer.option("watermark", utf8_percent_encode(source, ENCODED))?;
    if *opacity != Watermark::OPAQUE {
        writer.option("watermark-opacity", Decimal((*opacity).into(), 2))?;
    }
    if *position != Watermark::USUAL_POSITION {
        writer.option("watermark-position", PointText(*position))?;
    }
    if *scale_permille != Watermark::USUAL_SCALE_PERMILLE {
        writer.option("watermark-scale", Decimal((*scale_permille).into(), 3))?;
    }
    Ok(())
}

/// A target that is a site's, and no word's, cannot be asked for: it is only told apart.
fn write_quality(quality: Quality, writer: &mut Writer<'_, '_>) -> fmt::Result {
    match quality {
        Quality::Setting(setting) => writer.option("quality", setting),
        Quality::Target(target) => match word(target) {
            Some(word) => writer.option("quality", word),
            None => writer.option("quality", format_args!("target-{target}")),
        },
    }
}

const fn fit_name(fit: Fit) -> &'static str {
    match fit {
        Fit::ScaleDown => "scale-down",
        Fit::Contain => "contain",
        Fit::Cover => "cover",
        Fit::Crop => "crop",
        Fit::Pad => "pad",
    }
}

const fn degrees(rotate: Rotation) -> u16 {
    match rotate {
        Rotation::None => 0,
        Rotation::Quarter => 90,
        Rotation::Half => 180,
        Rotation::ThreeQuarter => 270,
    }
}

/// So many 10^-places, without needless zeros.
struct Decimal(u32, usize);

impl Display for Decimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(number, places) = *self;
        let digits = format!("{number:0width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        match fraction.trim_end_matches('0') {
            "" => f.write_str(whole),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

struct PointText(Point);

impl Display for PointText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", Decimal(self.0.x_permille.into(), 3), Decimal(self.0.y_permille.into(), 3))
    }
}

struct LengthText(Length);

impl Display for LengthText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Length::Pixels(pixels) => write!(f, "{pixels}"),
            // Its point tells it from pixels.
            Length::Fraction(Length::WHOLE) => f.write_str("1.0"),
            Length::Fraction(fraction) => write!(f, "{}", Decimal(fraction, 5)),
        }
    }
}
