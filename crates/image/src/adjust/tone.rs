//! Brightness, contrast, gamma and saturation, in this order, in one pass. With channels from 0 to 1, each cut off there after
//! each step:
//!
//! - brightness `f`: `c × f` (CSS's `brightness()`)
//! - contrast `f`: `(c − ½) × f + ½` (CSS's `contrast()`)
//! - gamma `f`: `c ^ (1 / f)`
//! - saturation `f`: `l + (c − l) × f`, `l` being `0.2126 r + 0.7152 g + 0.0722 b` (CSS's `saturate()`)
//!
//! Only the result is rounded.

use crate::{
    picture::Picture,
    transform::{Adjust, Factor},
};

/// Red's, green's and blue's part of how light a colour is (ITU-R BT.709).
const LIGHTNESS: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// Changes light and colours; alpha stays.
pub(crate) fn tone(mut picture: Picture, adjust: Adjust) -> Picture {
    if adjust == Adjust::default() {
        return picture;
    }
    let levels = levels(adjust);
    let channels = picture.channels.count();
    if adjust.saturation == Factor::NEUTRAL {
        let rounded = levels.map(rounded);
        for pixel in picture.pixels.chunks_exact_mut(channels) {
            for channel in &mut pixel[..3] {
                *channel = rounded[usize::from(*channel)];
            }
        }
        return picture;
    }
    let saturation = factor(adjust.saturation);
    for pixel in picture.pixels.chunks_exact_mut(channels) {
        let color = [levels[usize::from(pixel[0])], levels[usize::from(pixel[1])], levels[usize::from(pixel[2])]];
        let gray: f32 = color.iter().zip(LIGHTNESS).map(|(channel, part)| channel * part).sum();
        for (channel, level) in pixel.iter_mut().zip(color) {
            *channel = rounded(gray + (level - gray) * saturation);
        }
    }
    picture
}

/// What becomes of each of the 256 levels, on the same scale, before saturation.
fn levels(adjust: Adjust) -> [f32; 256] {
    let (brightness, contrast, gamma) = (factor(adjust.brightness), factor(adjust.contrast), factor(adjust.gamma));
    let curved = gamma > 0.0 && adjust.gamma != Factor::NEUTRAL;
    std::array::from_fn(|level| {
        // Below 256: exact.
        #[expect(clippy::cast_precision_loss)]
        let level = level as f32 / 255.0;
        let lit = (level * brightness).clamp(0.0, 1.0);
        let spread = ((lit - 0.5) * contrast + 0.5).clamp(0.0, 1.0);
        255.0 * if curved { spread.powf(1.0 / gamma) } else { spread }
    })
}

fn factor(Factor(hundredths): Factor) -> f32 {
    f32::from(hundredths) / 100.0
}

/// The nearest level.
// Inside u8 by its clamp.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(level: f32) -> u8 {
    (level + 0.5).clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{options::parse_segment, picture::Channels};

    fn toned(options: &str, pixel: [u8; 3]) -> [u8; 3] {
        let adjust = parse_segment(options).unwrap().canonical().0.adjust;
        let picture = tone(Picture::new(1, 1, Channels::Rgb, pixel.to_vec()).unwrap(), adjust);
        [picture.pixels[0], picture.pixels[1], picture.pixels[2]]
    }

    #[test]
    fn each_factor_does_what_its_formula_says() {
        let table = [
            ("brightness=0.5", [200, 101, 0], [100, 51, 0]),
            ("brightness=2", [200, 100, 1], [255, 200, 2]),
            ("contrast=2", [200, 128, 10], [255, 129, 0]),
            ("contrast=0.5", [255, 128, 0], [191, 128, 64]),
            ("gamma=2", [64, 0, 255], [128, 0, 255]),
            ("gamma=0.5", [128, 0, 255], [64, 0, 255]),
            ("saturation=0", [255, 0, 0], [54, 54, 54]),
            ("saturation=2", [150, 100, 100], [189, 89, 89]),
            ("brightness=2,contrast=0.5", [200, 100, 0], [191, 164, 64]),
            ("brightness=1,contrast=0", [7, 8, 9], [7, 8, 9]),
        ];
        for (options, given, expected) in table {
            assert_eq!(toned(options, given), expected, "{options} of {given:?}");
        }
    }

    #[test]
    fn alpha_stays_as_it_is() {
        let adjust = parse_segment("brightness=2,saturation=0").unwrap().canonical().0.adjust;
        let picture = Picture::new(1, 1, Channels::Rgba, vec![10, 10, 10, 99]).unwrap();
        assert_eq!(tone(picture, adjust).pixels, [20, 20, 20, 99]);
    }
}
