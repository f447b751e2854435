//! `gravity=auto`: where there is the most to see. Each pixel of a small picture gets points
//!
//! - for how much it differs in lightness from its neighbours (edges and detail),
//! - for how far it is from grey (saturation),
//! - for how far it is from the picture's mean colour (what stands out from the rest),
//! - for having the hue of skin, of whatever lightness (people).
//!
//! A window's score is the sum of its points, those in its middle counted up to three times, so that a subject comes to lie
//! in the middle, and not just inside. The best window wins, the one nearest to the middle among equals; and the middle
//! one, unless another is better by a part in 32. Sums come from a summed-area table, all in whole numbers: the same
//! picture always gives the same window.

use crate::picture::Picture;

/// The highest points for each kind, and for a pixel altogether 1,000 or so: sums over 256 × 256 pixels stay far inside u64.
const EDGE: u32 = 400;
const SATURATION: u32 = 120;
const DISTINCTION: u32 = 200;
const SKIN: u32 = 300;

/// The middle of the most interesting window that has these parts of the picture's width and height, as parts of the
/// picture's width and height from the left and the top.
pub(super) fn focus(picture: &Picture, share: (f64, f64)) -> (f64, f64) {
    let size = (picture.width as usize, picture.height as usize);
    let window = (extent(share.0, size.0), extent(share.1, size.1));
    let (left, top) = best(&Table::of(picture), size, window);
    let middle = |start: usize, extent: usize, side: usize| (start as f64 + extent as f64 / 2.0) / side as f64;
    (middle(left, window.0, size.0), middle(top, window.1, size.1))
}

// Inside 1 to `side`, which is small, by its clamp.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn extent(share: f64, side: usize) -> usize {
    ((share * side as f64).round().max(1.0) as usize).min(side)
}

fn best(table: &Table, size: (usize, usize), window: (usize, usize)) -> (usize, usize) {
    let last = (size.0 - window.0, size.1 - window.1);
    let middle = (last.0 / 2, last.1 / 2);
    let from_middle = |(left, top): (usize, usize)| left.abs_diff(middle.0).pow(2) + top.abs_diff(middle.1).pow(2);
    let score = |(left, top)| score(table, left, top, window);
    let windows = (0..=last.1).flat_map(|top| (0..=last.0).map(move |left| (left, top)));
    let best = windows.max_by_key(|at| (score(*at), std::cmp::Reverse(from_middle(*at)))).unwrap_or(middle);
    let centered = score(middle);
    if score(best) - centered > centered / 32 { best } else { middle }
}

/// The whole window, its inner two thirds, and its inner third.
fn score(table: &Table, left: usize, top: usize, (width, height): (usize, usize)) -> u64 {
    let inside = |sixths: usize| {
        let (x, y) = (width * sixths / 6, height * sixths / 6);
        table.sum(left + x, top + y, left + width - x, top + height - y)
    };
    inside(0) + inside(1) + inside(2)
}

/// At each point, the points of all pixels above and to the left.
struct Table {
    sums: Vec<u64>,
    stride: usize,
}

impl Table {
    fn of(picture: &Picture) -> Self {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let colors: Vec<[i32; 4]> = picture.pixels.chunks_exact(picture.channels.count()).map(color).collect();
        let mean = mean(&colors);
        let lightness: Vec<i32> = colors.iter().map(lightness).collect();
        let stride = width + 1;
        let mut sums = vec![0; stride * (height + 1)];
        for y in 0..height {
            let mut row = 0;
            for x in 0..width {
                let at = y * width + x;
                let right = lightness[y * width + (x + 1).min(width - 1)];
                let below = lightness[(y + 1).min(height - 1) * width + x];
                let edge = lightness[at].abs_diff(right) + lightness[at].abs_diff(below);
                row += u64::from(points(colors[at], lightness[at], edge, mean));
                sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + row;
            }
        }
        Self { sums, stride }
    }

    fn sum(&self, left: usize, top: usize, right: usize, bottom: usize) -> u64 {
        let at = |x: usize, y: usize| self.sums[y * self.stride + x];
        at(right, bottom) + at(left, top) - at(right, top) - at(left, bottom)
    }
}

/// Red, green, blue and alpha; what is transparent has no colour.
fn color(pixel: &[u8]) -> [i32; 4] {
    let alpha = i32::from(pixel.get(3).copied().unwrap_or(u8::MAX));
    let level = |level: u8| i32::from(level) * alpha / 255;
    [level(pixel[0]), level(pixel[1]), level(pixel[2]), alpha]
}

fn mean(colors: &[[i32; 4]]) -> [i32; 3] {
    let count = i64::try_from(colors.len().max(1)).unwrap_or(i64::MAX);
    [0, 1, 2].map(|channel| {
        let sum: i64 = colors.iter().map(|color| i64::from(color[channel])).sum();
        i32::try_from(sum / count).unwrap_or(0)
    })
}

fn lightness([r, g, b, _]: &[i32; 4]) -> i32 {
    (r * 54 + g * 183 + b * 19) / 256
}

fn points([r, g, b, alpha]: [i32; 4], lightness: i32, edge: u32, mean: [i32; 3]) -> u32 {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    // Noise is no edge.
    let edge = edge.saturating_sub(6).min(100) * EDGE / 100;
    let saturation = most.abs_diff(least) * SATURATION / 255;
    let distance: u32 = [r, g, b].iter().zip(mean).map(|(channel, mean)| channel.abs_diff(mean)).sum();
    let distinction = distance.min(300) * DISTINCTION / 300;
    let skin = if is_skin(r, g, b, lightness) { SKIN } else { 0 };
    (edge + saturation + distinction + skin) * alpha.unsigned_abs() / 255
}

/// Skin of any lightness lies close together by how red, green and blue share it: red first, then green, neither far apart nor
/// alike.
fn is_skin(r: i32, g: i32, b: i32, lightness: i32) -> bool {
    let all = r + g + b;
    // In thousandths of all light.
    let share = |channel: i32| channel * 1000 / all.max(1);
    (40..=235).contains(&lightness)
        && (360..=500).contains(&share(r))
        && (280..=360).contains(&share(g))
        && (r - g) * 12 > r
        && g >= b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Channels;

    /// 96 × 48 of `ground`, with a square of 16 at `at` that `color` paints.
    fn scene(at: (u32, u32), ground: [u8; 3], color: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
        let inside = |x: u32, y: u32| (at.0..at.0 + 16).contains(&x) && (at.1..at.1 + 16).contains(&y);
        let pixels = (0..48).flat_map(|y| (0..96).map(move |x| (x, y)));
        let pixels = pixels.flat_map(|(x, y)| if inside(x, y) { color(x, y) } else { ground }).collect();
        Picture::new(96, 48, Channels::Rgb, pixels).unwrap()
    }

    fn assert_near((x, y): (f64, f64), expected: (f64, f64), what: &str) {
        let near = (x - expected.0).abs() < 0.06 && (y - expected.1).abs() < 0.06;
        assert!(near, "{what}: {x} {y} instead of {expected:?}");
    }

    #[test]
    fn the_window_lies_around_what_stands_out() {
        let half = (0.5, 1.0);
        let checks = |x: u32, y: u32| if (x / 2 + y / 2).is_multiple_of(2) { [20; 3] } else { [230; 3] };
        assert_near(focus(&scene((70, 16), [120; 3], checks), half), (0.75, 0.5), "detail");
        assert_near(focus(&scene((4, 16), [120; 3], |_, _| [230, 20, 20]), half), (0.25, 0.5), "colour");
        assert_near(focus(&scene((40, 16), [120; 3], |_, _| [230, 20, 20]), (0.4, 1.0)), (0.5, 0.5), "in the middle");
        let corner = focus(&scene((60, 4), [30, 60, 120], |_, _| [210, 160, 130]), (0.4, 0.5));
        assert_near(corner, (68.0 / 96.0, 0.25), "skin, high and right");
    }

    #[test]
    fn skin_of_any_lightness_is_told_from_other_colours() {
        let skin = [[235, 200, 175], [210, 160, 130], [150, 105, 80], [95, 65, 50]];
        let other = [[128, 128, 128], [40, 160, 60], [60, 90, 200], [255, 255, 255], [200, 30, 30], [250, 240, 40]];
        let told = |[r, g, b]: [i32; 3]| is_skin(r, g, b, lightness(&[r, g, b, 255]));
        assert!(skin.into_iter().all(told));
        assert!(!other.into_iter().any(told));
    }

    #[test]
    fn where_all_is_alike_it_is_the_middle() {
        for share in [(0.3, 1.0), (1.0, 0.3), (1.0, 1.0), (0.01, 0.01)] {
            let plain = scene((0, 0), [90; 3], |_, _| [90; 3]);
            assert_near(focus(&plain, share), (0.5, 0.5), "plain");
        }
        let point = Picture::new(1, 1, Channels::Rgba, vec![9, 9, 9, 9]).unwrap();
        assert_near(focus(&point, (0.5, 1.0)), (0.5, 0.5), "one pixel");
    }

    #[test]
    fn what_is_transparent_is_not_seen() {
        let pixels = (0..64).flat_map(|x| [x * 37 % 256, x * 91 % 256, x * 53 % 256, if x < 32 { 0 } else { 255 }]);
        let pixels = pixels.map(|level: u32| u8::try_from(level).unwrap()).collect();
        let picture = Picture::new(64, 1, Channels::Rgba, pixels).unwrap();
        assert!(focus(&picture, (0.5, 1.0)).0 > 0.6);
    }
}
