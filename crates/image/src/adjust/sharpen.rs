//! Sharpening by an unsharp mask: what tells a pixel from its neighbourhood (a Gaussian blur of 1 pixel) is added to it once
//! more, half of it for an amount of 1.

use super::blur;
use crate::{
    picture::Picture,
    transform::{Amount, Sigma},
};

/// What a pixel is compared with.
const NEIGHBOURHOOD: Sigma = Sigma(100);

/// Sharpens; alpha stays.
pub(crate) fn sharpen(picture: Picture, Amount(hundredths): Amount) -> Picture {
    if hundredths == 0 {
        return picture;
    }
    let amount = i32::from(hundredths);
    let around = blur(picture.clone(), NEIGHBOURHOOD);
    let channels = picture.channels.count();
    let mut sharpened = picture;
    let pairs = sharpened.pixels.chunks_exact_mut(channels).zip(around.pixels.chunks_exact(channels));
    // What is transparent has no colour to sharpen.
    for (pixel, around) in pairs.filter(|(pixel, _)| pixel.get(3).is_none_or(|alpha| *alpha > 0)) {
        for (channel, around) in pixel[..3].iter_mut().zip(around) {
            let level = i32::from(*channel);
            let added = (level - i32::from(*around)) * amount;
            // Two hundred hundredths, to the nearest.
            let added = (added + 100 * added.signum()) / 200;
            *channel = u8::try_from((level + added).clamp(0, 255)).unwrap_or(u8::MAX);
        }
    }
    sharpened
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Channels;

    #[test]
    fn an_edge_becomes_steeper_and_what_is_even_stays() {
        let row: Vec<u8> = (0..20).flat_map(|x| if x < 10 { [100; 3] } else { [150; 3] }).collect();
        let sharpened = sharpen(Picture::new(20, 1, Channels::Rgb, row).unwrap(), Amount(200)).pixels;
        let level = |x: usize| sharpened[x * 3];
        assert!(level(9) < 90 && level(10) > 160, "{} {}", level(9), level(10));
        assert_eq!((level(0), level(19)), (100, 150));
    }

    #[test]
    fn what_is_transparent_has_no_part_in_it() {
        let pixels = [[90, 90, 90, 255], [255, 255, 255, 0]].concat();
        let picture = Picture::new(2, 1, Channels::Rgba, pixels).unwrap();
        assert_eq!(sharpen(picture.clone(), Amount(1000)), picture);
    }
}
