//! Gaussian blur. Three passes of a box whose ends count in part come near the Gaussian, at a cost that does not depend on its
//! width (Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering", 2011): a step from
//! black to white is nowhere off by more than a hundredth from 2 pixels on, and three hundredths below. Beyond the edge the
//! picture goes on as at its edge.

use crate::{
    picture::{Channels, Picture},
    transform::Sigma,
};

/// How many lines are blurred side by side.
const LANES: usize = 64;

/// Blurs; colours count by their alpha, so that what is transparent does not bleed.
pub(crate) fn blur(picture: Picture, Sigma(hundredths): Sigma) -> Picture {
    if hundredths == 0 {
        return picture;
    }
    let mut picture = premultiplied(picture);
    let stretch = ExtendedBox::of(f64::from(hundredths) / 100.0);
    along_rows(&mut picture, stretch);
    along_columns(&mut picture, stretch);
    unpremultiplied(picture)
}

/// A box of `2 × whole + 1` samples, and one more at each end that counts in part.
#[derive(Debug, Clone, Copy)]
struct ExtendedBox {
    whole: usize,
    /// The weight of the samples inside.
    inner: f32,
    /// The weight of the two at the ends.
    end: f32,
}

impl ExtendedBox {
    /// The one that has the variance of a Gaussian when it is applied three times.
    fn of(sigma: f64) -> Self {
        let variance = sigma * sigma / 3.0;
        let whole = (((12.0 * variance + 1.0).sqrt() - 1.0) / 2.0).floor();
        let next = whole + 1.0;
        let part = (2.0 * whole + 1.0) * (whole * next - 3.0 * variance) / (6.0 * (variance - next * next));
        let weight = 2.0 * whole + 1.0 + 2.0 * part;
        // Small: sigma is at most 250.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let stretch = Self { whole: whole as usize, inner: (1.0 / weight) as f32, end: (part / weight) as f32 };
        stretch
    }
}

fn along_rows(picture: &mut Picture, stretch: ExtendedBox) {
    let channels = picture.channels.count();
    let width = picture.width as usize;
    let mut lines = Lines::new(width);
    for rows in picture.pixels.chunks_mut(width * channels * (LANES / channels)) {
        for (at, row) in rows.chunks_exact(width * channels).enumerate() {
            for (x, pixel) in row.chunks_exact(channels).enumerate() {
                lines.put(x, at * channels, pixel);
            }
        }
        lines.blur(stretch);
        for (at, row) in rows.chunks_exact_mut(width * channels).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
                lines.take(x, at * channels, pixel);
            }
        }
    }
}

fn along_columns(picture: &mut Picture, stretch: ExtendedBox) {
    let row_bytes = picture.width as usize * picture.channels.count();
    let mut lines = Lines::new(picture.height as usize);
    for first in (0..row_bytes).step_by(LANES) {
        let columns = first..row_bytes.min(first + LANES);
        for (y, row) in picture.pixels.chunks_exact(row_bytes).enumerate() {
            lines.put(y, 0, &row[columns.clone()]);
        }
        lines.blur(stretch);
        for (y, row) in picture.pixels.chunks_exact_mut(row_bytes).enumerate() {
            lines.take(y, 0, &mut row[columns.clone()]);
        }
    }
}

/// Up to [`LANES`] lines of samples, those at the same place beside each other.
struct Lines {
    samples: Vec<[f32; LANES]>,
    spare: Vec<[f32; LANES]>,
}

impl Lines {
    fn new(length: usize) -> Self {
        Self { samples: vec![[0.0; LANES]; length], spare: vec![[0.0; LANES]; length] }
    }

    fn put(&mut self, at: usize, lane: usize, levels: &[u8]) {
        for (sample, level) in self.samples[at][lane..].iter_mut().zip(levels) {
            *sample = f32::from(*level);
        }
    }

    // Inside u8 by its clamp.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn take(&self, at: usize, lane: usize, levels: &mut [u8]) {
        for (sample, level) in self.samples[at][lane..].iter().zip(levels) {
            *level = (sample + 0.5).clamp(0.0, 255.0) as u8;
        }
    }

    fn blur(&mut self, stretch: ExtendedBox) {
        for _ in 0..3 {
            average(&self.samples, &mut self.spare, stretch);
            std::mem::swap(&mut self.samples, &mut self.spare);
        }
    }
}

fn average(from: &[[f32; LANES]], to: &mut [[f32; LANES]], ExtendedBox { whole, inner, end }: ExtendedBox) {
    let last = from.len() - 1;
    // What lies `whole` before the first is the first itself.
    let mut sum = from[0].map(|sample| sample * whole as f32);
    for at in 0..=whole {
        add(&mut sum, &from[at.min(last)], 1.0);
    }
    for (at, averaged) in to.iter_mut().enumerate() {
        let before = &from[at.saturating_sub(whole + 1)];
        let behind = &from[(at + whole + 1).min(last)];
        for lane in 0..LANES {
            averaged[lane] = sum[lane] * inner + (before[lane] + behind[lane]) * end;
        }
        add(&mut sum, behind, 1.0);
        add(&mut sum, &from[at.saturating_sub(whole)], -1.0);
    }
}

fn add(sum: &mut [f32; LANES], samples: &[f32; LANES], sign: f32) {
    for (sum, sample) in sum.iter_mut().zip(samples) {
        *sum += sample * sign;
    }
}

fn premultiplied(mut picture: Picture) -> Picture {
    if picture.channels == Channels::Rgba {
        for pixel in picture.pixels.chunks_exact_mut(4) {
            let alpha = u16::from(pixel[3]);
            for channel in &mut pixel[..3] {
                *channel = u8::try_from((u16::from(*channel) * alpha + 127) / 255).unwrap_or(u8::MAX);
            }
        }
    }
    picture
}

fn unpremultiplied(mut picture: Picture) -> Picture {
    if picture.channels == Channels::Rgba {
        for pixel in picture.pixels.chunks_exact_mut(4) {
            let alpha = u16::from(pixel[3]);
            for channel in &mut pixel[..3] {
                let level = (u16::from(*channel) * 255 + alpha / 2).checked_div(alpha).unwrap_or(0);
                *channel = u8::try_from(level).unwrap_or(u8::MAX);
            }
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gray(width: u32, height: u32, level: impl Fn(u32, u32) -> u8) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| [level(x, y); 3]);
        Picture::new(width, height, Channels::Rgb, pixels.collect()).unwrap()
    }

    #[test]
    fn a_step_becomes_a_slope_as_gaussian_as_can_be() {
        for (sigma, near) in [(50, 9.0), (80, 6.0), (200, 3.0), (550, 3.0), (2_000, 3.0)] {
            let step = gray(401, 3, |x, _| if x < 200 { 0 } else { 255 });
            let blurred = blur(step, Sigma(sigma));
            let bells = |x: i32| {
                let distance = f64::from(x) * 100.0 / f64::from(sigma);
                (-distance * distance / 2.0).exp()
            };
            let all: f64 = (-200..=200).map(bells).sum();
            for x in 0..401 {
                let expected = 255.0 * (-200..=x - 200).map(bells).sum::<f64>() / all;
                let level = f64::from(blurred.pixels[usize::try_from(x).unwrap() * 3]);
                assert!((level - expected).abs() < near, "{sigma}: {level} instead of {expected} at {x}");
            }
        }
    }

    #[test]
    fn what_is_transparent_does_not_bleed() {
        let half = (0..20).flat_map(|x| if x < 10 { [200, 0, 0, 255] } else { [0, 255, 0, 0] }).collect();
        let blurred = blur(Picture::new(20, 1, Channels::Rgba, half).unwrap(), Sigma(300));
        for pixel in blurred.pixels.chunks_exact(4).filter(|pixel| pixel[3] > 20) {
            assert!(pixel[0].abs_diff(200) < 8 && pixel[1] == 0, "{pixel:?}");
        }
        assert!((110..150).contains(&blurred.pixels[4 * 10 + 3]), "{:?}", &blurred.pixels[40..44]);
    }

    proptest! {
        #[test]
        fn one_colour_stays_what_it_is(width in 1u32..90, height in 1u32..90, level in any::<u8>(), sigma in 1u16..=25_000) {
            let picture = gray(width, height, |_, _| level);
            prop_assert_eq!(blur(picture.clone(), Sigma(sigma)), picture);
        }
    }
}
