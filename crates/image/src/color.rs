//! Colours into sRGB, which is what every variant is in: it carries no profile, so browsers take it for that.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::picture::{Channels, Picture};

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

/// Converts to sRGB. A profile that cannot be read, or is for another kind of picture, is as none.
pub(super) fn to_srgb(picture: Picture, space: &ColorSpace) -> Picture {
    let profile = match space {
        ColorSpace::Srgb => return picture,
        #[cfg(feature = "libaom")]
        ColorSpace::DisplayP3 => ColorProfile::new_display_p3(),
        #[cfg(feature = "libaom")]
        ColorSpace::Bt2020 => ColorProfile::new_bt2020(),
        ColorSpace::Icc(bytes) => match ColorProfile::new_from_slice(bytes) {
            Ok(profile) => profile,
            Err(_) => return picture,
        },
    };
    match profile.color_space {
        DataColorSpace::Rgb => convert(&picture, &profile).unwrap_or(picture),
        DataColorSpace::Gray => convert_gray(&picture, &profile).unwrap_or(picture),
        _ => picture,
    }
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

/// A grey picture is held as RGB with three equal channels: one of them is converted.
fn convert_gray(picture: &Picture, profile: &ColorProfile) -> Option<Picture> {
    let bytes_each = picture.channels.count();
    let srgb = ColorProfile::new_srgb();
    let transform =
        profile.create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let levels: Vec<u8> = (0..=u8::MAX).collect();
    let mut converted = vec![0; levels.len() * 3];
    transform.transform(&levels, &mut converted).ok()?;
    let mut pixels = picture.pixels.clone();
    for pixel in pixels.chunks_exact_mut(bytes_each) {
        let level = usize::from(pixel[0]) * 3;
        pixel[..3].copy_from_slice(&converted[level..level + 3]);
    }
    Some(Picture { pixels, ..*picture })
}

/// Ink (0 is none) to sRGB, four bytes to three. Without a usable profile each ink just takes its colour's light away.
pub(super) fn cmyk_to_srgb(inks: &[u8], profile: Option<&[u8]>) -> Vec<u8> {
    profile.and_then(|profile| profiled_cmyk(inks, profile)).unwrap_or_else(|| plain_cmyk(inks))
}

fn profiled_cmyk(inks: &[u8], profile: &[u8]) -> Option<Vec<u8>> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    if profile.color_space != DataColorSpace::Cmyk {
        return None;
    }
    let srgb = ColorProfile::new_srgb();
    // moxcms names any four channels RGBA.
    let transform =
        profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let mut pixels = vec![0; inks.len() / 4 * 3];
    transform.transform(inks, &mut pixels).ok()?;
    Some(pixels)
}

fn plain_cmyk(inks: &[u8]) -> Vec<u8> {
    let light = |ink: u8, black: u8| {
        let left = u32::from(255 - ink) * u32::from(255 - black);
        u8::try_from((left + 127) / 255).unwrap_or(u8::MAX)
    };
    inks.chunks_exact(4).flat_map(|ink| [light(ink[0], ink[3]), light(ink[1], ink[3]), light(ink[2], ink[3])]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red() -> Picture {
        Picture::new(1, 1, Channels::Rgb, vec![200, 30, 30]).unwrap()
    }

    #[test]
    fn display_p3_red_becomes_a_stronger_srgb_red() {
        let profile = ColorProfile::new_display_p3().encode().unwrap();
        assert_stronger(&to_srgb(red(), &ColorSpace::Icc(profile)));
    }

    #[cfg(feature = "libaom")]
    #[test]
    fn so_it_does_by_its_name() {
        assert_stronger(&to_srgb(red(), &ColorSpace::DisplayP3));
    }

    fn assert_stronger(converted: &Picture) {
        assert!(converted.pixels[0] > 205 && converted.pixels[1] < 30, "{:?}", converted.pixels);
    }

    #[test]
    fn srgb_stays_as_it_is_and_a_broken_profile_counts_as_none() {
        let profile = ColorProfile::new_srgb().encode().unwrap();
        let same = to_srgb(red(), &ColorSpace::Icc(profile));
        assert!(same.pixels.iter().zip(red().pixels).all(|(a, b)| a.abs_diff(b) <= 1), "{:?}", same.pixels);
        assert_eq!(to_srgb(red(), &ColorSpace::Icc(b"nonsense".to_vec())), red());
    }

    #[test]
    fn a_grey_profile_changes_the_level_of_all_channels_alike() {
        let profile = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let grey = Picture::new(1, 1, Channels::Rgba, vec![50, 50, 50, 9]).unwrap();
        let converted = to_srgb(grey, &ColorSpace::Icc(profile)).pixels;
        assert!(converted[0] > 100 && converted[0] == converted[1] && converted[1] == converted[2], "{converted:?}");
        assert_eq!(converted[3], 9);
    }

    #[test]
    fn ink_takes_light_away() {
        assert_eq!(
            cmyk_to_srgb(&[0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255], None),
            [255, 255, 255, 0, 255, 255, 0, 0, 0]
        );
    }
}
