//! The options vocabulary, one for all carriers: `width|w height|h fit gravity|g quality|q format|f|fm dpr background rotate
//! anim`. Names and values follow Cloudflare's; values are strict, and what means the same pixels becomes the same
//! [`Transform`].

use std::borrow::Cow;

use super::transform::{Animation, Dpr, Fit, Gravity, Quality, Rgb, Rotation, Transform};
use crate::format::OutputFormat;

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
    seen: u16,
}

/// The options, by the name used in messages and for the bit that tells whether one was seen.
const NAMES: [(&str, &[&str]); 10] = [
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
                    gravity(value).ok_or_else(|| refused("center, top, bottom-left, …, n, sw, … or 0.3x0.7"))?;
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
                transform.background = Some(color(value).ok_or_else(|| refused("a colour such as fff or ff8800"))?);
            }
            "rotate" => transform.rotate = rotation(value).ok_or_else(|| refused("0, 90, 180 or 270"))?,
            _ => transform.animation = animation(value).ok_or_else(|| refused("true or false"))?,
        }
        Ok(())
    }

    /// The result in canonical form: what cannot change a pixel is put back to its default, and `dpr` is multiplied in.
    #[must_use]
    pub fn canonical(self) -> (Transform, FormatChoice) {
        let Transform { width, height, fit, gravity, dpr, .. } = self.transform;
        let scaled = |side: Option<u32>| {
            side.map(|side| (side.saturating_mul(u32::from(dpr.0)).saturating_add(50) / 100).clamp(1, MAX_SIDE))
        };
        let fit = match (width, height) {
            (None, None) => Fit::ScaleDown,
            (Some(_), Some(_)) => fit,
            // With one side free there is nothing to cut or to fill: only whether it may be enlarged remains.
            _ if matches!(fit, Fit::Crop | Fit::ScaleDown) => Fit::ScaleDown,
            _ => Fit::Contain,
        };
        let placed = matches!(fit, Fit::Cover | Fit::Crop | Fit::Pad);
        let transform = Transform {
            width: scaled(width),
            height: scaled(height),
            fit,
            gravity: if placed { gravity } else { Gravity::default() },
            dpr: Dpr::default(),
            ..self.transform
        };
        (transform, self.format)
    }
}

/// Reads the options segment of `/lm/{options}/…`: `name=value` joined by commas, percent-encoding allowed.
///
/// # Errors
/// [`OptionError`], naming the option.
pub fn parse_segment(segment: &str) -> Result<Options, OptionError> {
    let decoded: Cow<'_, str> = percent_encoding::percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| OptionError::Carrier { problem: "the options are not UTF-8" })?;
    let mut options = Options::default();
    for pair in decoded.split(',') {
        let (name, value) =
            pair.split_once('=').ok_or(OptionError::Carrier { problem: "an option is not name=value" })?;
        options.set(name, value)?;
    }
    Ok(options)
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
        point => {
            let (x, y) = point.split_once('x')?;
            (permille(x)?, permille(y)?)
        }
    };
    Some(Gravity { x_permille, y_permille })
}

/// `auto` is the same as nothing: the site's. The words are targets, a number is a setting.
fn quality(value: &str) -> Option<Option<Quality>> {
    Some(Some(match value {
        "auto" => return Some(None),
        "high" => Quality::Target(82),
        "medium-high" => Quality::Target(72),
        "medium-low" => Quality::Target(62),
        "low" => Quality::Target(50),
        number => Quality::Setting(number.parse().ok().filter(|number| (1..=100).contains(number))?),
    }))
}

/// A decimal fraction from 0 to 1 in thousandths; further digits do not count.
fn permille(value: &str) -> Option<u16> {
    let thousandths = decimal(value, 3)?;
    u16::try_from(thousandths).ok().filter(|thousandths| *thousandths <= 1000)
}

fn dpr(value: &str) -> Option<Dpr> {
    let hundredths = decimal(value, 2)?;
    u16::try_from(hundredths).ok().filter(|hundredths| (10..=800).contains(hundredths)).map(Dpr)
}

/// Reads `12`, `1.5` or `.25` as a whole number of 10^-places, exactly; no sign, no exponent.
fn decimal(value: &str, places: usize) -> Option<u32> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !all_digits || whole.len() + fraction.len() == 0 || whole.len() > 4 || fraction.len() > 20 {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(places));
    Some(digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
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

fn color(value: &str) -> Option<Rgb> {
    let hex = value.strip_prefix('#').unwrap_or(value);
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(hex, 16).ok()?;
    let channels = match hex.len() {
        3 => [number >> 8, number >> 4 & 0xF, number & 0xF].map(|nibble| nibble * 17),
        6 => [number >> 16, number >> 8 & 0xFF, number & 0xFF],
        _ => return None,
    };
    let [r, g, b] = channels.map(|channel| u8::try_from(channel).unwrap_or(u8::MAX));
    Some(Rgb { r, g, b })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(segment: &str) -> Transform {
        parse_segment(segment).unwrap().canonical().0
    }

    #[test]
    fn every_option_is_read_under_each_of_its_names() {
        let transform = canonical("w=400,h=300,fit=cover,g=top,q=75,background=fa0,rotate=90,anim=false");
        assert_eq!(
            transform,
            Transform {
                width: Some(400),
                height: Some(300),
                fit: Fit::Cover,
                gravity: Gravity { x_permille: 500, y_permille: 0 },
                dpr: Dpr(100),
                quality: Some(Quality::Setting(75)),
                background: Some(Rgb { r: 0xFF, g: 0xAA, b: 0 }),
                rotate: Rotation::Quarter,
                animation: Animation::FirstFrame,
            }
        );
        assert_eq!(canonical("width=400,height=300"), canonical("w=400,h=300"));
        for name in ["f", "fm", "format"] {
            let options = parse_segment(&format!("{name}=webp")).unwrap();
            assert_eq!(options.canonical().1, FormatChoice::Pinned(OutputFormat::WebP));
        }
    }

    #[test]
    fn what_means_the_same_pixels_is_the_same_transform() {
        let table = [
            ("w=800", "w=400,dpr=2"),
            ("w=800", "w=800,fit=crop"),
            ("w=800", "w=800,gravity=top"),
            ("w=800,fit=contain", "w=800,fit=cover"),
            ("w=5", "w=5,q=auto"),
            ("q=70", "q=70,fit=cover"),
            ("q=70", "q=70,dpr=3"),
            ("w=10,h=10,fit=cover,g=0.5x0.5", "w=10,h=10,fit=cover"),
            ("w=10,background=fff", "w=10,background=%23ffffff"),
        ];
        for (one, other) in table {
            assert_eq!(canonical(one), canonical(other), "{one} and {other}");
        }
    }

    #[test]
    fn words_for_quality_are_targets_and_numbers_settings() {
        let quality = |value: &str| canonical(&format!("q={value}")).quality;
        assert_eq!(quality("72"), Some(Quality::Setting(72)));
        assert_eq!(quality("auto"), None);
        let targets = ["high", "medium-high", "medium-low", "low"].map(quality);
        assert_eq!(targets, [82, 72, 62, 50].map(|score| Some(Quality::Target(score))));
    }

    #[test]
    fn a_malformed_option_is_named() {
        let table = [
            ("w=0", "width"),
            ("w=-5", "width"),
            ("w=4.5", "width"),
            ("w=70000", "width"),
            ("h=abc", "height"),
            ("fit=squeeze", "fit"),
            ("g=1.2x0.5", "gravity"),
            ("q=0", "quality"),
            ("q=101", "quality"),
            ("q=best", "quality"),
            ("f=bmp", "format"),
            ("dpr=0", "dpr"),
            ("dpr=99", "dpr"),
            ("background=red", "background"),
            ("background=+ff", "background"),
            ("rotate=45", "rotate"),
            ("anim=1", "anim"),
            ("wdith=5", "wdith"),
            ("w=5,width=6", "width"),
        ];
        for (segment, name) in table {
            let message = parse_segment(segment).unwrap_err().to_string();
            assert!(message.contains(&format!("{name:?}")), "{segment} gave {message}");
        }
        for segment in ["", "w", "w=5,", "%FF=1"] {
            assert!(parse_segment(segment).is_err(), "{segment:?}");
        }
    }

    proptest! {
        #[test]
        fn no_segment_panics(segment in "\\PC{0,60}") {
            let _ = parse_segment(&segment);
        }

        #[test]
        fn canonical_sides_stay_in_bounds(w in 1u32..=MAX_SIDE, dpr in 10u16..=800) {
            let options = parse_segment(&format!("w={w},dpr={}.{:02}", dpr / 100, dpr % 100)).unwrap();
            let width = options.canonical().0.width.unwrap();
            prop_assert!((1..=MAX_SIDE).contains(&width));
        }
    }
}
