//! What a picture shows, told cheaply: from a bounded number of 8×8 blocks that lie evenly over it, in one pass.

use crate::picture::{Channels, Picture};

/// Pixels along a block's side.
const SIDE: usize = 8;
/// So many blocks are looked at, or all where there are fewer.
const MAX_BLOCKS: usize = 1_024;
/// Bits that tell which colours were seen, a bit for each of so many classes.
const COLOR_BITS: usize = 1 << 15;

/// What a picture shows. Brightness is in levels of 0-255 throughout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Features {
    /// Mean difference between neighbours, across and down.
    pub(crate) gradient: f32,
    /// Mean size of the fine, middle and coarse coefficients of a block's Hadamard transform (sums of sequencies from 8 on,
    /// from 4 to 7, and below).
    pub(crate) fine: f32,
    pub(crate) middle: f32,
    pub(crate) coarse: f32,
    /// Mean size of colour's differences between neighbours.
    pub(crate) color_gradient: f32,
    /// Share of blocks without a visible change of brightness.
    pub(crate) flat: f32,
    /// Share of neighbours across that have exactly the same colour.
    pub(crate) same: f32,
    /// Share of neighbours that differ a lot: by a quarter of the range.
    pub(crate) edges: f32,
    /// Colours seen, of all pixels looked at.
    pub(crate) colors: f32,
    /// Mean brightness.
    pub(crate) brightness: f32,
    /// Logarithm of the number of pixels, to base 2.
    pub(crate) log_pixels: f32,
}

impl Features {
    /// Looks at a picture. What is transparent counts as its colour is; fully transparent pixels count as black.
    pub(crate) fn of(picture: &Picture) -> Self {
        let mut sums = Sums::default();
        let (across, down) = (picture.width as usize, picture.height as usize);
        // A side shorter than a block is looked at by its first pixels, repeated at the edge.
        let (columns, rows) = ((across / SIDE).max(1), (down / SIDE).max(1));
        let blocks = columns * rows;
        let looked_at = blocks.min(MAX_BLOCKS);
        let mut seen = vec![0u64; COLOR_BITS / 64];
        for sample in 0..looked_at {
            let block = sample * blocks / looked_at;
            // Another step in each row, so that samples do not stand in columns.
            let (row, column) = (block / columns, (block % columns + block / columns * 7) % columns);
            sums.add(&Block::read(picture, column * SIDE, row * SIDE), &mut seen);
        }
        sums.mean(picture, &seen)
    }
}

/// A block's pixels as brightness, and colour in two differences.
struct Block {
    luma: [i32; SIDE * SIDE],
    chroma: [[i32; SIDE * SIDE]; 2],
    rgb: [u32; SIDE * SIDE],
}

impl Block {
    fn read(picture: &Picture, left: usize, top: usize) -> Self {
        let (across, down) = (picture.width as usize, picture.height as usize);
        let bytes_each = picture.channels.count();
        let mut block = Self { luma: [0; SIDE * SIDE], chroma: [[0; SIDE * SIDE]; 2], rgb: [0; SIDE * SIDE] };
        for y in 0..SIDE {
            let row = (top + y).min(down - 1) * across;
            for x in 0..SIDE {
                let at = (row + (left + x).min(across - 1)) * bytes_each;
                let pixel = &picture.pixels[at..at + bytes_each];
                let hidden = picture.channels == Channels::Rgba && pixel[3] == 0;
                let [r, g, b] = if hidden { [0; 3] } else { [0, 1, 2].map(|channel| i32::from(pixel[channel])) };
                let place = y * SIDE + x;
                let luma = (77 * r + 150 * g + 29 * b) >> 8;
                block.luma[place] = luma;
                block.chroma[0][place] = b - luma;
                block.chroma[1][place] = r - luma;
                block.rgb[place] = (r << 16 | g << 8 | b).unsigned_abs();
            }
        }
        block
    }
}

#[derive(Default)]
struct Sums {
    blocks: u32,
    gradient: u64,
    color_gradient: u64,
    same: u32,
    edges: u32,
    flat: u32,
    brightness: u64,
    fine: u64,
    middle: u64,
    coarse: u64,
}

/// Differences between neighbours in a block, across and down.
const PAIRS: usize = 2 * SIDE * (SIDE - 1);

impl Sums {
    fn add(&mut self, block: &Block, seen: &mut [u64]) {
        self.blocks += 1;
        let (mut least, mut most) = (i32::MAX, i32::MIN);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let at = y * SIDE + x;
                let luma = block.luma[at];
                (least, most) = (least.min(luma), most.max(luma));
                self.brightness += u64::from(luma.unsigned_abs());
                let class = block.rgb[at].wrapping_mul(0x9E37_79B1) >> 17;
                seen[class as usize / 64] |= 1 << (class % 64);
                if x + 1 < SIDE {
                    self.add_pair(block, at, at + 1);
                    self.same += u32::from(block.rgb[at] == block.rgb[at + 1]);
                }
                if y + 1 < SIDE {
                    self.add_pair(block, at, at + SIDE);
                }
            }
        }
        self.flat += u32::from(most - least <= 2);
        self.add_frequencies(hadamard(block.luma));
    }

    fn add_pair(&mut self, block: &Block, one: usize, other: usize) {
        let step = block.luma[one].abs_diff(block.luma[other]);
        self.gradient += u64::from(step);
        self.edges += u32::from(step >= 64);
        for plane in &block.chroma {
            self.color_gradient += u64::from(plane[one].abs_diff(plane[other]));
        }
    }

    fn add_frequencies(&mut self, coefficients: [i32; SIDE * SIDE]) {
        /// How often each row of the natural order changes its sign.
        const SEQUENCY: [usize; SIDE] = [0, 7, 3, 4, 1, 6, 2, 5];
        for (at, coefficient) in coefficients.iter().enumerate().skip(1) {
            let size = u64::from(coefficient.unsigned_abs());
            match SEQUENCY[at / SIDE] + SEQUENCY[at % SIDE] {
                0..4 => self.coarse += size,
                4..8 => self.middle += size,
                _ => self.fine += size,
            }
        }
    }

    fn mean(&self, picture: &Picture, seen: &[u64]) -> Features {
        let blocks = self.blocks.max(1) as f32;
        let pixels = blocks * (SIDE * SIDE) as f32;
        let pairs = blocks * PAIRS as f32;
        // The transform multiplies by its side; there are 9, 26 and 28 coefficients in the three bands.
        let band = |sum: u64, count: f32| sum as f32 / blocks / count / SIDE as f32;
        let classes: u32 = seen.iter().map(|bits| bits.count_ones()).sum();
        Features {
            gradient: self.gradient as f32 / pairs,
            fine: band(self.fine, 28.0),
            middle: band(self.middle, 26.0),
            coarse: band(self.coarse, 9.0),
            color_gradient: self.color_gradient as f32 / pairs / 2.0,
            flat: self.flat as f32 / blocks,
            same: self.same as f32 * 2.0 / pairs,
            edges: self.edges as f32 / pairs,
            colors: classes as f32 / pixels,
            brightness: self.brightness as f32 / pixels,
            log_pixels: (picture.width as f32 * picture.height as f32).log2(),
        }
    }
}

/// The Hadamard transform of a block, rows then columns, in natural order and not scaled.
fn hadamard(mut block: [i32; SIDE * SIDE]) -> [i32; SIDE * SIDE] {
    for line in 0..SIDE {
        butterflies(&mut block, line * SIDE, 1);
    }
    for line in 0..SIDE {
        butterflies(&mut block, line, SIDE);
    }
    block
}

fn butterflies(block: &mut [i32; SIDE * SIDE], start: usize, step: usize) {
    for half in [1, 2, 4] {
        for at in (0..SIDE).filter(|at| at & half == 0) {
            let (one, other) = (start + at * step, start + (at + half) * step);
            (block[one], block[other]) = (block[one] + block[other], block[one] - block[other]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
        Picture::new(width, height, Channels::Rgb, pixels).unwrap()
    }

    #[test]
    fn one_colour_shows_nothing() {
        let features = Features::of(&picture(100, 60, |_, _| [9, 99, 199]));
        assert_eq!((features.gradient, features.fine, features.coarse), (0.0, 0.0, 0.0));
        assert_eq!((features.flat, features.same, features.edges), (1.0, 1.0, 0.0));
    }

    #[test]
    fn a_chessboard_is_fine_and_a_slope_is_coarse() {
        let board = Features::of(&picture(64, 64, |x, y| [if (x + y) % 2 == 0 { 0 } else { 255 }; 3]));
        assert!(board.fine > 50.0 * (board.coarse + 0.01) && board.edges == 1.0, "{board:?}");
        let slope = Features::of(&picture(64, 64, |x, _| [u8::try_from(x * 4).unwrap(); 3]));
        assert!(slope.coarse > 10.0 * slope.fine && slope.edges == 0.0, "{slope:?}");
    }

    #[test]
    fn the_smallest_pictures_and_the_largest_are_looked_at() {
        for (width, height) in [(1, 1), (3, 50), (4_000, 2), (7, 7)] {
            let features = Features::of(&picture(width, height, |x, y| [(x ^ y) as u8; 3]));
            assert!(features.gradient.is_finite() && features.colors > 0.0, "{width}x{height}: {features:?}");
        }
    }

    #[test]
    fn colours_that_cannot_be_seen_do_not_count() {
        let noise = |alpha: u8| {
            let pixels = (0..64 * 64u32).flat_map(|at| [(at * 7 % 251) as u8, (at % 13) as u8, 5, alpha]).collect();
            Features::of(&Picture::new(64, 64, Channels::Rgba, pixels).unwrap())
        };
        assert_eq!(noise(0).same, 1.0);
        assert!(noise(255).same < 0.5);
    }
}
