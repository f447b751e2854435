//! What of a frame has to be drawn upon the one before: the rectangle around all that differs, and in it, what may be left
//! transparent because it is seen already.

use super::canvas::{Blend, Place};
use crate::picture::Picture;

/// The side of the blocks that are left out of a frame coded with loss; libwebp gives transparent ones one level.
const BLOCK: usize = 8;

/// How finely what is seen already is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// Every pixel: for coding without loss.
    Pixels,
    /// Whole blocks: between pixels, loss would bleed.
    Blocks,
}

/// A part of a frame to be coded, RGBA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) place: Place,
    pub(super) pixels: Vec<u8>,
    pub(super) blend: Blend,
}

/// How a frame differs from what is shown; both are RGBA of one size.
pub(super) struct Change<'a> {
    picture: &'a Picture,
    /// The rectangle, from even places on.
    place: Place,
    /// For each of its pixels whether it differs.
    differs: Vec<bool>,
}

impl<'a> Change<'a> {
    /// `None` where nothing differs by more than `tolerance` levels.
    pub(super) fn between(shown: &Picture, picture: &'a Picture, tolerance: u8) -> Option<Self> {
        let row_len = picture.width as usize * 4;
        let rows = || shown.pixels.chunks_exact(row_len).zip(picture.pixels.chunks_exact(row_len));
        let is_new = |(before, now): (&[u8], &[u8])| !looks_same(before, now, tolerance);
        let mut bounds: Option<(usize, usize, usize, usize)> = None;
        for (y, (before, now)) in rows().enumerate() {
            if before == now {
                continue;
            }
            let Some(first) = before.chunks_exact(4).zip(now.chunks_exact(4)).position(is_new) else { continue };
            let last = before.chunks_exact(4).zip(now.chunks_exact(4)).rposition(is_new).unwrap_or(first);
            bounds = Some(match bounds {
                None => (first, y, last, y),
                Some((left, top, right, _)) => (left.min(first), top, right.max(last), y),
            });
        }
        let (left, top, right, bottom) = bounds?;
        // WebP halves a frame's place.
        let (left, top) = (left & !1, top & !1);
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let place =
            Place { left: side(left), top: side(top), width: side(right + 1 - left), height: side(bottom + 1 - top) };
        let columns = left * 4..(right + 1) * 4;
        let differs = rows()
            .skip(top)
            .take(bottom + 1 - top)
            .flat_map(|(before, now)| before[columns.clone()].chunks_exact(4).zip(now[columns.clone()].chunks_exact(4)))
            .map(is_new)
            .collect();
        Some(Self { picture, place, differs })
    }

    /// Pixels of the rectangle.
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.place.width) * u64::from(self.place.height)
    }

    /// What has to be coded. Where all that differs is opaque, it is laid over what is there, and what is seen already is
    /// transparent; else it takes its place.
    pub(super) fn cut(&self, grain: Grain) -> Cut {
        let mut cut = Cut::whole(self.picture, self.place);
        let width = self.place.width as usize;
        let drawn = match grain {
            Grain::Pixels => self.differs.clone(),
            Grain::Blocks => whole_blocks(&self.differs, width),
        };
        let goes_over = cut.pixels.chunks_exact(4).zip(&drawn).all(|(pixel, drawn)| !drawn || pixel[3] == u8::MAX);
        if goes_over && drawn.contains(&false) {
            cut.blend = Blend::Over;
            for (pixel, _) in cut.pixels.chunks_exact_mut(4).zip(&drawn).filter(|(_, drawn)| !**drawn) {
                pixel.fill(0);
            }
        }
        cut
    }
}

impl Cut {
    /// All of a place, in the place of what is there.
    pub(super) fn whole(picture: &Picture, place: Place) -> Self {
        let row_len = picture.width as usize * 4;
        let columns = place.left as usize * 4..(place.left + place.width) as usize * 4;
        let rows = picture.pixels.chunks_exact(row_len).skip(place.top as usize).take(place.height as usize);
        let pixels = rows.flat_map(|row| &row[columns.clone()]).copied().collect();
        Self { place, pixels, blend: Blend::Replace }
    }

    /// Takes over into `shown` what of `picture` it draws, as it was meant: loss is not counted.
    pub(super) fn show_on(&self, shown: &mut Picture, picture: &Picture) {
        let row_len = picture.width as usize * 4;
        let columns = self.place.left as usize * 4..(self.place.left + self.place.width) as usize * 4;
        let rows = shown.pixels.chunks_exact_mut(row_len).zip(picture.pixels.chunks_exact(row_len));
        let rows = rows.skip(self.place.top as usize).take(self.place.height as usize);
        for ((shown, now), drawn) in rows.zip(self.pixels.chunks_exact(self.place.width as usize * 4)) {
            let pixels = shown[columns.clone()].chunks_exact_mut(4).zip(now[columns.clone()].chunks_exact(4));
            for ((shown, now), drawn) in pixels.zip(drawn.chunks_exact(4)) {
                if self.blend == Blend::Replace || drawn[3] != 0 {
                    shown.copy_from_slice(now);
                }
            }
        }
    }
}

/// Two transparent pixels look the same whatever their colours are; colours count as far as they are opaque.
fn looks_same(before: &[u8], now: &[u8], tolerance: u8) -> bool {
    if before == now {
        return true;
    }
    let most = u32::from(tolerance) * 255;
    let near = |channel: usize| u32::from(before[channel].abs_diff(now[channel])) * u32::from(now[3]) <= most;
    before[3] == now[3] && (0..3).all(near)
}

/// A block in which anything differs is drawn as a whole.
fn whole_blocks(differs: &[bool], width: usize) -> Vec<bool> {
    let mut drawn = vec![false; differs.len()];
    let across = width.div_ceil(BLOCK);
    for (rows, drawn) in differs.chunks(width * BLOCK).zip(drawn.chunks_mut(width * BLOCK)) {
        let mut blocks = vec![false; across];
        for (x, _) in rows.iter().enumerate().filter(|(_, differs)| **differs) {
            blocks[x % width / BLOCK] = true;
        }
        for (x, drawn) in drawn.iter_mut().enumerate() {
            *drawn = blocks[x % width / BLOCK];
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Channels;

    fn grey(width: u32, height: u32, level: u8) -> Picture {
        let pixels = [level, level, level, 255].repeat(width as usize * height as usize);
        Picture { width, height, channels: Channels::Rgba, pixels }
    }

    fn with(mut picture: Picture, dots: &[(usize, usize, [u8; 4])]) -> Picture {
        for (x, y, pixel) in dots {
            let at = (y * picture.width as usize + x) * 4;
            picture.pixels[at..at + 4].copy_from_slice(pixel);
        }
        picture
    }

    const WHITE: [u8; 4] = [255; 4];

    #[test]
    fn what_looks_the_same_is_no_change() {
        let shown = with(grey(4, 4, 100), &[(0, 0, [1, 2, 3, 0])]);
        let same = with(grey(4, 4, 103), &[(0, 0, [9, 9, 9, 0])]);
        assert!(Change::between(&shown, &same, 3).is_none());
        assert!(Change::between(&shown, &same, 2).is_some());
    }

    #[test]
    fn a_cut_begins_at_even_places_and_leaves_out_what_is_seen_already() {
        let shown = grey(8, 8, 100);
        let picture = with(shown.clone(), &[(3, 3, WHITE), (5, 6, WHITE)]);
        let cut = Change::between(&shown, &picture, 0).unwrap().cut(Grain::Pixels);
        assert_eq!(cut.place, Place { left: 2, top: 2, width: 4, height: 5 });
        assert_eq!(cut.blend, Blend::Over);
        assert_eq!(cut.pixels.chunks_exact(4).filter(|pixel| pixel[3] == 255).count(), 2);
        let mut now = shown;
        cut.show_on(&mut now, &picture);
        assert_eq!(now, picture);
    }

    #[test]
    fn blocks_are_drawn_whole() {
        let shown = grey(32, 8, 100);
        let picture = with(shown.clone(), &[(0, 0, WHITE), (31, 7, WHITE)]);
        let cut = Change::between(&shown, &picture, 0).unwrap().cut(Grain::Blocks);
        assert_eq!(cut.pixels.chunks_exact(4).filter(|pixel| pixel[3] == 255).count(), 2 * 64);
    }

    #[test]
    fn what_becomes_transparent_takes_the_place_of_what_was_there() {
        let shown = grey(8, 8, 100);
        let picture = with(shown.clone(), &[(2, 2, [0, 0, 0, 0]), (6, 6, WHITE)]);
        let cut = Change::between(&shown, &picture, 0).unwrap().cut(Grain::Pixels);
        assert_eq!(cut.blend, Blend::Replace);
        assert_eq!(cut.pixels[..8], [0, 0, 0, 0, 100, 100, 100, 255]);
    }
}
