//! The options vocabulary, one for all carriers (`docs/options.md`). Names and values follow Cloudflare's; values are strict,
//! and what means the same pixels becomes the same [`Transform`], which can be printed as options again.

mod canonical;
mod color;
mod number;
mod print;
mod quality;
mod region;
#[cfg(test)]
mod tests;
mod watermark;

use self::{
    color::color,
    number::{hundredths, permille},
    quality::quality,
    watermark::WatermarkOptions,
};
use super::transform::{
    Amount, Animation, Dpr, Factor, Fit, Flip, Gravity, Metadata, Point, Rotation, Sigma, Transform,
};
use crate::format::OutputFormat;
pub use print::Operations;

/// The longest side that can be asked for, in pixels.
pub const MAX_SIDE: u32 = 65_535;

/// What `format=` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FormatChoice {
    /// The best the client reads.
    #[default]
    Auto,
    /// This one, whatever `Accept` says.
    Pinned(OutputFormat),
    /// The source's own format.
    Original,
}

/// Why options are refused (400); the message names the option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No such option.
    #[error("unknown option {name:?}")]
    Unknown {
        /// The name as given.
        name: String,
    },
    /// The value is not allowed.
    #[error("option {name:?}: {value:?} is not allowed: expected {expected}")]
    BadValue {
        /// The option.
        name: &'static str,
        /// The value as given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The option stands twice, perhaps under two names.
    #[error("option {name:?} stands twice")]
    Repeated {
        /// The option.
        name: &'static str,
    },
    /// A path of options lacks its source, or is not `name=value,…`.
    #[error("expected /lm/{{name=value,…}}/{{path or absolute URL}}: {problem}")]
    Carrier {
        /// What is missing.
        problem: &'static str,
    },
}

/// What the options of one request say so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What is done to the source.
    pub transform: Transform,
    /// Which format is wanted.
    pub format: FormatChoice,
    watermark: WatermarkOptions,
    seen: u32,
}

const FACTOR: &str = "a number from 0 to 10";

/// The options, by the name used in messages and for the bit that tells whether one was seen.
const NAMES: [(&str, &[&str]); 24] = [
    ("width", &["w"]),
    ("height", &["h"]),
    ("fit", &[]),
    ("gravity", &["g"]),
    ("quality", &["q"]),
    ("format", &["f", "fm"]),
    ("dpr", &[]),
    ("background", &[]),
    ("rotate", &[]),
    ("anim", &[]),
    ("trim", &[]),
    ("crop", &[]),
    ("flip", &[]),
    ("brightness", &[]),
    ("contrast", &[]),
    ("gamma", &[]),
    ("saturation", &[]),
    ("blur", &[]),
    ("sharpen", &[]),
    ("metadata", &[]),
    ("watermark", &["wm"]),
    ("watermark-opacity", &["wm-opacity"]),
    ("watermark-position", &["wm-position"]),
    ("watermark-scale", &["wm-scale"]),
];

fn canonical_name(name: &str) -> Option<(usize, &'static str)> {
    let position = NAMES.iter().position(|(long, short)| *long == name || short.contains(&name))?;
    Some((position, NAMES[position].0))
}

/// Whether `name` is an option, under its long or a short name.
#[must_use]
pub fn is_option(name: &str) -> bool {
    canonical_name(name).is_some()
}

impl Options {
    /// Takes one option in unless it was said before, under whatever name.
    ///
    /// # Errors
    /// [`OptionError`] for an unknown name or a value that is not allowed.
    pub fn set_unless_said(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        match canonical_name(name) {
            Some((position, _)) if self.seen & (1 << position) != 0 => Ok(()),
            _ => self.set(name, value),
        }
    }

    /// Takes one option in.
    ///
    /// # Errors
    /// [`OptionError`] for an unknown name, a value that is not allowed, or an option that stands twice.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let (position, name) =
            canonical_name(name).ok_or_else(|| OptionError::Unknown { name: name.chars().take(40).collect() })?;
        if self.seen & (1 << position) != 0 {
            return Err(OptionError::Repeated { name });
        }
        self.seen |= 1 << position;
        let refused = |expected| OptionError::BadValue { name, value: value.chars().take(80).collect(), expected };
        let transform = &mut self.transform;
        match name {
            "width" => transform.width = Some(side(value).ok_or_else(|| refused("pixels from 1 to 65535"))?),
            "height" => transform.height = Some(side(value).ok_or_else(|| refused("pixels from 1 to 65535"))?),
            "fit" => transform.fit = fit(value).ok_or_else(|| refused("scale-down, contain, cover, crop or pad"))?,
            "gravity" => {
                transform.gravity =
                    gravity(value).ok_or_else(|| refused("auto, center, top, bottom-left, …, n, sw, … or 0.3x0.7"))?;
            }
            "quality" => {
                let expected = "auto, high, medium-high, medium-low, low or a whole number from 1 to 100";
                transform.quality = quality(value).ok_or_else(|| refused(expected))?;
            }
            "format" => {
                self.format = format(value).ok_or_else(|| refused("auto, avif, webp, jpeg, png or original"))?;
            }
            "dpr" => transform.dpr = dpr(value).ok_or_else(|| refused("a number from 0.1 to 8"))?,
            "background" => {
                transform.background = Some(
                    color(value).ok_or_else(|| refused("transparent, or a colour such as fff, ff8800 or ff880080"))?,
                );
            }
            "rotate" => transform.rotate = rotation(value).ok_or_else(|| refused("0, 90, 180 or 270"))?,
            "anim" => transform.animation = animation(value).ok_or_else(|| refused("true or false"))?,
            "trim" => transform.trim = Some(region::trim(value).ok_or_else(|| refused(region::TRIM))?),
            "crop" => transform.crop = Some(region::crop(value).ok_or_else(|| refused(region::CROP))?),
            "flip" => transform.flip = flip(value).ok_or_else(|| refused("h, v or hv"))?,
            "brightness" => transform.adjust.brightness = factor(value).ok_or_else(|| refused(FACTOR))?,
            "contrast" => transform.adjust.contrast = factor(value).ok_or_else(|| refused(FACTOR))?,
            "gamma" => transform.adjust.gamma = factor(value).ok_or_else(|| refused(FACTOR))?,
            "saturation" => transform.adjust.saturation = factor(value).ok_or_else(|| refused(FACTOR))?,
            "blur" => {
                let sigma = hundredths(value, 0..=25_000).map(Sigma);
                transform.blur = sigma.ok_or_else(|| refused("a number from 0 to 250"))?;
            }
            "sharpen" => {
                let amount = hundredths(value, 0..=1_000).map(Amount);
                transform.sharpen = amount.ok_or_else(|| refused("a number from 0 to 10"))?;
            }
            "metadata" => transform.metadata = metadata(value).ok_or_else(|| refused("none, copyright or keep"))?,
            part => self.watermark.set(part, value).map_err(refused)?,
        }
        Ok(())
    }
}

/// Reads the options segment of `/lm/{options}/…`, as [`each_pair`] divides it.
///
/// # Errors
/// [`OptionError`], naming the option.
pub fn parse_segment(segment: &str) -> Result<Options, OptionError> {
    let mut options = Options::default();
    each_pair(segment, |name, value| options.set(name, value))?;
    Ok(options)
}

/// Hands on what a segment of options says: `name=value` joined by commas, percent-encoding allowed. An encoded comma
/// separates too, for some clients encode them all; but in the address of a watermark it is the address's own.
///
/// # Errors
/// [`OptionError::Carrier`] where it is not written so, and what `take` returns.
pub fn each_pair<E: From<OptionError>>(
    segment: &str,
    mut take: impl FnMut(&str, &str) -> Result<(), E>,
) -> Result<(), E> {
    let mut take_pair = |pair: &str| {
        let (name, value) =
            pair.split_once('=').ok_or(OptionError::Carrier { problem: "an option is not name=value" })?;
        take(name, value)
    };
    for part in segment.split(',') {
        let decoded = percent_encoding::percent_decode_str(part)
            .decode_utf8()
            .map_err(|_| OptionError::Carrier { problem: "the options are not UTF-8" })?;
        if decoded.starts_with("watermark=") || decoded.starts_with("wm=") {
            take_pair(&decoded)?;
        } else {
            decoded.split(',').try_for_each(&mut take_pair)?;
        }
    }
    Ok(())
}

fn side(value: &str) -> Option<u32> {
    value.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side))
}

fn fit(value: &str) -> Option<Fit> {
    Some(match value {
        "scale-down" => Fit::ScaleDown,
        "contain" => Fit::Contain,
        "cover" => Fit::Cover,
        "crop" => Fit::Crop,
        "pad" => Fit::Pad,
        _ => return None,
    })
}

fn gravity(value: &str) -> Option<Gravity> {
    if value == "auto" { Some(Gravity::Auto) } else { point(value).map(Gravity::At) }
}

/// A place by its name, or as fractions of width and height.
fn point(value: &str) -> Option<Point> {
    let (x_permille, y_permille) = match value {
        "center" | "centre" | "c" => (500, 500),
        "top" | "north" | "n" => (500, 0),
        "bottom" | "south" | "s" => (500, 1000),
        "left" | "west" | "w" => (0, 500),
        "right" | "east" | "e" => (1000, 500),
        "top-left" | "northwest" | "nw" => (0, 0),
        "top-right" | "northeast" | "ne" => (1000, 0),
        "bottom-left" | "southwest" | "sw" => (0, 1000),
        "bottom-right" | "southeast" | "se" => (1000, 1000),
        fractions => {
            let (x, y) = fractions.split_once('x')?;
            (permille(x)?, permille(y)?)
        }
    };
    Some(Point { x_permille, y_permille })
}

fn dpr(value: &str) -> Option<Dpr> {
    hundredths(value, 10..=800).map(Dpr)
}

/// As at Cloudflare, 0 stands for nothing asked, but for saturation: see `canonical`.
fn factor(value: &str) -> Option<Factor> {
    hundredths(value, 0..=1_000).map(Factor)
}

fn format(value: &str) -> Option<FormatChoice> {
    Some(match value {
        "auto" => FormatChoice::Auto,
        "avif" => FormatChoice::Pinned(OutputFormat::Avif),
        "webp" => FormatChoice::Pinned(OutputFormat::WebP),
        "jpeg" | "jpg" => FormatChoice::Pinned(OutputFormat::Jpeg),
        "png" => FormatChoice::Pinned(OutputFormat::Png),
        "original" => FormatChoice::Original,
        _ => return None,
    })
}

fn rotation(value: &str) -> Option<Rotation> {
    Some(match value {
        "0" => Rotation::None,
        "90" => Rotation::Quarter,
        "180" => Rotation::Half,
        "270" => Rotation::ThreeQuarter,
        _ => return None,
    })
}

fn animation(value: &str) -> Option<Animation> {
    match value {
        "true" => Some(Animation::Keep),
        "false" => Some(Animation::FirstFrame),
        _ => None,
    }
}

fn flip(value: &str) -> Option<Flip> {
    Some(match value {
        "h" => Flip::Horizontal,
        "v" => Flip::Vertical,
        "hv" | "vh" => Flip::Both,
        _ => return None,
    })
}

fn metadata(value: &str) -> Option<Metadata> {
    Some(match value {
        "none" => Metadata::None,
        "copyright" => Metadata::Copyright,
        "keep" => Metadata::Keep,
        _ => return None,
    })
}
