//! Colours into sRGB, which is what every variant is in: it carries no profile, so browsers take it for that.

use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, Transform16BitExecutor, TransformOptions};

use super::{
    light::FineLevels,
    picture::{Channels, Picture},
    resample::alpha_level,
};

/// The largest ICC profile that is read; a picture with a larger one is taken for one with none. Printers' are of 2 MiB or so.
pub(crate) const MAX_ICC_BYTES: usize = 4 << 20;

/// A profile's bytes, unless they are too many.
pub(crate) fn read_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    (1..=MAX_ICC_BYTES).contains(&bytes.len()).then(|| bytes.to_vec())
}

/// What the colours of a decoded picture mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ColorSpace {
    /// sRGB, or nothing was said.
    Srgb,
    /// What an ICC profile says.
    Icc(Vec<u8>),
    /// Display P3.
    #[cfg(feature = "libaom")]
    DisplayP3,
    /// BT.2020 with an ordinary transfer function.
    #[cfg(feature = "libaom")]
    Bt2020,
}

impl From<Option<Vec<u8>>> for ColorSpace {
    fn from(profile: Option<Vec<u8>>) -> Self {
        profile.map_or(Self::Srgb, Self::Icc)
    }
}

/// What brings a picture's colours to sRGB.
#[derive(Clone)]
pub(super) enum Conversion {
    /// Nothing: they are.
    None,
    /// Each level of grey becomes another.
    Gray(Arc<[u8; 256]>),
    /// All channels together.
    Profile(Arc<ColorProfile>),
}

impl Conversion {
    /// A profile that cannot be read, or is for another kind of picture, is as none.
    pub(super) fn of(space: &ColorSpace) -> Self {
        let profile = match space {
            ColorSpace::Srgb => return Self::None,
            #[cfg(feature = "libaom")]
            ColorSpace::DisplayP3 => ColorProfile::new_display_p3(),
            #[cfg(feature = "libaom")]
            ColorSpace::Bt2020 => ColorProfile::new_bt2020(),
            ColorSpace::Icc(bytes) => match ColorProfile::new_from_slice(bytes) {
                Ok(profile) => profile,
                Err(_) => return Self::None,
            },
        };
        match profile.color_space {
            DataColorSpace::Rgb => Self::Profile(Arc::new(profile)),
            DataColorSpace::Gray => gray_levels(&profile).map_or(Self::None, Self::Gray),
            _ => Self::None,
        }
    }
}

/// Converts a picture that is there as a whole.
pub(super) fn to_srgb(mut picture: Picture, conversion: &Conversion) -> Picture {
    match conversion {
        Conversion::None => picture,
        Conversion::Gray(levels) => {
            regray(&mut picture.pixels, picture.channels, levels);
            picture
        }
        Conversion::Profile(profile) => convert(&picture, profile).unwrap_or(picture),
    }
}

/// Converts rows of resampled light, with more than 8 bits until the end. The light was made of the picture's levels by sRGB's
/// curve, which is undone first: for Display P3 it is the right one, for others near enough to average in.
pub(super) struct Converter {
    transform: Arc<Transform16BitExecutor>,
    levels: FineLevels,
    given: Vec<u16>,
    made: Vec<u16>,
}

impl Converter {
    /// `None` where the profile cannot be used.
    pub(super) fn new(profile: &ColorProfile) -> Option<Self> {
        let srgb = ColorProfile::new_srgb();
        let transform =
            profile.create_transform_16bit(Layout::Rgb, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
        Some(Self { transform, levels: FineLevels::get(), given: Vec::new(), made: Vec::new() })
    }

    /// Appends a row's levels in sRGB.
    pub(super) fn convert(&mut self, light: &[[f32; 4]], channels: Channels, made: &mut Vec<u8>) {
        let level = |light| self.levels.of(light);
        self.given.clear();
        self.given.extend(light.iter().flat_map(|[red, green, blue, _]| [level(*red), level(*green), level(*blue)]));
        self.made.resize(self.given.len(), 0);
        if self.transform.transform(&self.given, &mut self.made).is_err() {
            // Only sizes that do not fit are an error, and these are made to.
            self.made.copy_from_slice(&self.given);
        }
        for ([_, _, _, alpha], color) in light.iter().zip(self.made.as_chunks::<3>().0) {
            made.extend(color.map(eight_bits));
            if channels == Channels::Rgba {
                made.push(alpha_level(*alpha));
            }
        }
    }
}

/// 16 bits rounded to 8.
pub(super) fn eight_bits(level: u16) -> u8 {
    u8::try_from((u32::from(level) * 255 + 32_895) >> 16).unwrap_or(u8::MAX)
}

fn convert(picture: &Picture, profile: &ColorProfile) -> Option<Picture> {
    let layout = match picture.channels {
        Channels::Rgb => Layout::Rgb,
        Channels::Rgba => Layout::Rgba,
    };
    let transform =
        profile.create_transform_8bit(layout, &ColorProfile::new_srgb(), layout, TransformOptions::default()).ok()?;
    let mut pixels = vec![0; picture.pixels.len()];
    transform.transform(&picture.pixels, &mut pixels).ok()?;
    Some(Picture { pixels, ..*picture })
}

fn gray_levels(profile: &ColorProfile) -> Option<Arc<[u8; 256]>> {
    let srgb = ColorProfile::new_srgb();
    let transform =
        profile.create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let levels: [u8; 256] = std::array::from_fn(|level| u8::try_from(level).unwrap_or(u8::MAX));
    let mut converted = [0; 256 * 3];
    transform.transform(&levels, &mut converted).ok()?;
    Some(Arc::new(std::array::from_fn(|level| converted[level * 3])))
}

/// Puts grey, which is held as RGB with three equal channels, to other levels.
pub(super) fn regray(pixels: &mut [u8], channels: Channels, levels: &[u8; 256]) {
    for pixel in pixels.chunks_exact_mut(channels.count()) {
        pixel[..3].iter_mut().for_each(|level| *level = levels[usize::from(*level)]);
    }
}

/// Brings ink to sRGB, four bytes to three.
pub(super) enum Inks {
    /// Each ink takes its colour's light away.
    Plain,
    /// As a profile says.
    Profiled(Arc<Transform8BitExecutor>),
}

impl Inks {
    /// A profile that cannot be read, or is for something else than ink, is as none.
    pub(super) fn new(profile: Option<&[u8]>) -> Self {
        profile.and_then(profiled_inks).map_or(Self::Plain, Self::Profiled)
    }

    /// Converts a row; 0 is no ink.
    pub(super) fn to_srgb(&self, inks: &[u8], pixels: &mut [u8]) {
        match self {
            Self::Profiled(transform) if transform.transform(inks, pixels).is_ok() => {}
            _ => plain_inks(inks, pixels),
        }
    }
}

fn profiled_inks(profile: &[u8]) -> Option<Arc<Transform8BitExecutor>> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    if profile.color_space != DataColorSpace::Cmyk {
        return None;
    }
    // moxcms names any four channels RGBA.
    let srgb = ColorProfile::new_srgb();
    profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, TransformOptions::default()).ok()
}

fn plain_inks(inks: &[u8], pixels: &mut [u8]) {
    let light = |ink: u8, black: u8| {
        let left = u32::from(255 - ink) * u32::from(255 - black);
        u8::try_from((left + 127) / 255).unwrap_or(u8::MAX)
    };
    for (pixel, ink) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(inks.as_chunks::<4>().0) {
        *pixel = [light(ink[0], ink[3]), light(ink[1], ink[3]), light(ink[2], ink[3])];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_srgb(picture: Picture, space: &ColorSpace) -> Picture {
        to_srgb(picture, &Conversion::of(space))
    }

    fn red() -> Picture {
        Picture::new(1, 1, Channels::Rgb, vec![200, 30, 30]).unwrap()
    }

    #[test]
    fn display_p3_red_becomes_a_stronger_srgb_red() {
        let profile = ColorProfile::new_display_p3().encode().unwrap();
        assert_stronger(&in_srgb(red(), &ColorSpace::Icc(profile)));
    }

    #[cfg(feature = "libaom")]
    #[test]
    fn so_it_does_by_its_name() {
        assert_stronger(&in_srgb(red(), &ColorSpace::DisplayP3));
    }

    fn assert_stronger(converted: &Picture) {
        assert!(converted.pixels[0] > 205 && converted.pixels[1] < 30, "{:?}", converted.pixels);
    }

    #[test]
    fn srgb_stays_as_it_is_and_a_broken_profile_counts_as_none() {
        let profile = ColorProfile::new_srgb().encode().unwrap();
        let same = in_srgb(red(), &ColorSpace::Icc(profile));
        assert!(same.pixels.iter().zip(red().pixels).all(|(a, b)| a.abs_diff(b) <= 1), "{:?}", same.pixels);
        assert_eq!(in_srgb(red(), &ColorSpace::Icc(b"nonsense".to_vec())), red());
    }

    #[test]
    fn a_grey_profile_changes_the_level_of_all_channels_alike() {
        let profile = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let grey = Picture::new(1, 1, Channels::Rgba, vec![50, 50, 50, 9]).unwrap();
        let converted = in_srgb(grey, &ColorSpace::Icc(profile)).pixels;
        assert!(converted[0] > 100 && converted[0] == converted[1] && converted[1] == converted[2], "{converted:?}");
        assert_eq!(converted[3], 9);
    }

    #[test]
    fn ink_takes_light_away() {
        let mut pixels = [7; 9];
        Inks::new(None).to_srgb(&[0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255], &mut pixels);
        assert_eq!(pixels, [255, 255, 255, 0, 255, 255, 0, 0, 0]);
    }
}
