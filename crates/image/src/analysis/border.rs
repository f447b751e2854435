//! `trim=auto`: finds what is not border. The border's colour is the first pixel's; what differs from it by more than the
//! tolerance in any channel is not border. Rows are looked at as they come and not kept.

use crate::picture::Channels;

/// Looks at rows from top to bottom.
pub(super) struct Border {
    channels: Channels,
    tolerance: u8,
    /// Of the first pixel.
    color: Option<[u8; 4]>,
    rows: u32,
    found: Option<Found>,
}

/// What is not border, in pixels from the left and the top; `right` and `bottom` lie behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) right: u32,
    pub(super) bottom: u32,
}

impl Border {
    pub(super) const fn new(channels: Channels, tolerance: u8) -> Self {
        Self { channels, tolerance, color: None, rows: 0, found: None }
    }

    /// Looks at the next row.
    pub(super) fn push(&mut self, row: &[u8]) {
        let pixels = row.chunks_exact(self.channels.count());
        let Some(color) = self.color.or_else(|| pixels.clone().next().map(seen)) else { return };
        self.color = Some(color);
        let differs = |pixel: &[u8]| seen(pixel).iter().zip(color).any(|(is, c)| is.abs_diff(c) > self.tolerance);
        let edges = pixels.clone().position(differs).zip(pixels.rev().position(differs));
        let width = row.len() / self.channels.count();
        let y = self.rows;
        self.rows += 1;
        let Some((before, behind)) = edges else { return };
        let (left, right) = (as_pixels(before), as_pixels(width - behind));
        let found = self.found.get_or_insert(Found { left, top: y, right, bottom: y });
        *found = Found { left: found.left.min(left), top: found.top, right: found.right.max(right), bottom: y + 1 };
    }

    /// What is not border; `None` where all is of one colour.
    pub(super) const fn found(self) -> Option<Found> {
        self.found
    }
}

/// A pixel as it is seen: what is transparent has no colour.
fn seen(pixel: &[u8]) -> [u8; 4] {
    let alpha = pixel.get(3).copied().unwrap_or(u8::MAX);
    let level = |level: u8| u8::try_from((u32::from(level) * u32::from(alpha) + 127) / 255).unwrap_or(u8::MAX);
    [level(pixel[0]), level(pixel[1]), level(pixel[2]), alpha]
}

fn as_pixels(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(channels: Channels, tolerance: u8, rows: &[Vec<u8>]) -> Option<(u32, u32, u32, u32)> {
        let mut border = Border::new(channels, tolerance);
        rows.iter().for_each(|row| border.push(row));
        border.found().map(|Found { left, top, right, bottom }| (left, top, right, bottom))
    }

    fn gray(levels: &[u8]) -> Vec<u8> {
        levels.iter().flat_map(|level| [*level; 3]).collect()
    }

    #[test]
    fn a_border_is_what_is_like_the_first_pixel() {
        let rows = [
            gray(&[250, 255, 250, 250, 250]),
            gray(&[250, 250, 9, 250, 250]),
            gray(&[250, 250, 250, 200, 250]),
            gray(&[250, 244, 250, 250, 250]),
        ];
        assert_eq!(found(Channels::Rgb, 10, &rows), Some((2, 1, 4, 3)));
        assert_eq!(found(Channels::Rgb, 5, &rows), Some((1, 1, 4, 4)));
        assert_eq!(found(Channels::Rgb, 0, &rows), Some((1, 0, 4, 4)));
        assert_eq!(found(Channels::Rgb, 60, &rows), Some((2, 1, 3, 2)));
        assert_eq!(found(Channels::Rgb, 255, &rows), None);
    }

    #[test]
    fn what_is_transparent_has_no_colour() {
        let rows = [vec![0, 0, 0, 0, 255, 9, 9, 0, 7, 7, 7, 255]];
        assert_eq!(found(Channels::Rgba, 10, &rows), Some((2, 0, 3, 1)));
    }

    #[test]
    fn nothing_is_no_border() {
        assert_eq!(found(Channels::Rgb, 0, &[]), None);
        assert_eq!(found(Channels::Rgb, 0, &[vec![]]), None);
    }
}
