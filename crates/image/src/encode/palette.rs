//! A picture of few colours as numbers of them: what PNG keeps in a quarter of the bytes.

use std::collections::HashMap;

use crate::picture::{Channels, Picture};

/// The most colours of a palette.
const MOST: usize = 256;

/// A picture in numbers of colours, as PNG's indexed colour type has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Indexed {
    /// Red, green and blue of each colour.
    pub(super) colors: Vec<u8>,
    /// Alpha of the first colours; those behind are opaque.
    pub(super) alphas: Vec<u8>,
    /// Bits of a number: 1, 2, 4 or 8.
    pub(super) bits: u8,
    /// The numbers, packed, each row at a byte of its own.
    pub(super) rows: Vec<u8>,
}

impl Indexed {
    /// `None` where there are too many colours.
    pub(super) fn of(picture: &Picture) -> Option<Self> {
        let colors = colors(picture)?;
        // What is transparent comes first: only of these is alpha written.
        let mut sorted: Vec<[u8; 4]> = colors.into_keys().collect();
        sorted.sort_unstable_by_key(|color| (color[3] == u8::MAX, *color));
        let numbers: HashMap<[u8; 4], u8> = sorted.iter().copied().zip(0..=u8::MAX).collect();
        let bits = match sorted.len() {
            0..=2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        let row_pixels = picture.width as usize;
        let mut rows = Vec::with_capacity(picture.height as usize * (row_pixels * usize::from(bits)).div_ceil(8));
        let all: Vec<u8> = pixels(picture).map(|color| numbers.get(&color).copied().unwrap_or(0)).collect();
        for row in all.chunks_exact(row_pixels) {
            rows.extend(row.chunks(usize::from(8 / bits)).map(|numbers| packed(numbers, bits)));
        }
        Some(Self {
            colors: sorted.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect(),
            alphas: sorted.iter().map(|color| color[3]).take_while(|alpha| *alpha < u8::MAX).collect(),
            bits,
            rows,
        })
    }
}

fn colors(picture: &Picture) -> Option<HashMap<[u8; 4], ()>> {
    let mut found = HashMap::with_capacity(MOST + 1);
    let mut last = None;
    for color in pixels(picture) {
        // Neighbours are mostly alike.
        if last != Some(color) {
            found.insert(color, ());
            last = Some(color);
        }
        if found.len() > MOST {
            return None;
        }
    }
    Some(found)
}

/// Each pixel with its alpha; all that is wholly transparent is one colour.
fn pixels(picture: &Picture) -> impl Iterator<Item = [u8; 4]> {
    let has_alpha = picture.channels == Channels::Rgba;
    picture.pixels.chunks_exact(picture.channels.count()).map(move |pixel| match pixel {
        [_, _, _, 0] if has_alpha => [0; 4],
        [red, green, blue, alpha] => [*red, *green, *blue, *alpha],
        [red, green, blue, ..] => [*red, *green, *blue, u8::MAX],
        _ => [0; 4],
    })
}

/// The leftmost in the highest bits.
fn packed(numbers: &[u8], bits: u8) -> u8 {
    let places = (0..8 / bits).map(|place| 8 - bits * (place + 1));
    numbers.iter().zip(places).fold(0, |byte, (number, shift)| byte | number << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_colours_take_a_bit_each() {
        let pixels = [[9, 9, 9], [0, 0, 0], [9, 9, 9]].concat().repeat(2);
        let indexed = Indexed::of(&Picture::new(3, 2, Channels::Rgb, pixels).unwrap()).unwrap();
        assert_eq!((indexed.colors, indexed.alphas, indexed.bits), (vec![0, 0, 0, 9, 9, 9], vec![], 1));
        assert_eq!(indexed.rows, [0b1010_0000; 2]);
    }

    #[test]
    fn what_is_transparent_comes_first_and_is_one_colour() {
        let pixels = [[1, 2, 3, 255], [5, 5, 5, 0], [6, 6, 6, 0], [7, 7, 7, 100]].concat();
        let indexed = Indexed::of(&Picture::new(4, 1, Channels::Rgba, pixels).unwrap()).unwrap();
        assert_eq!((indexed.alphas, indexed.bits), (vec![0, 100], 2));
        assert_eq!(indexed.colors, [0, 0, 0, 7, 7, 7, 1, 2, 3]);
        assert_eq!(indexed.rows, [0b1000_0001]);
    }

    #[test]
    fn many_colours_are_none() {
        let levels = |count: u32| {
            let pixels = (0..count).flat_map(|at| [(at % 256) as u8, (at / 256) as u8, 0]).collect();
            Indexed::of(&Picture::new(count, 1, Channels::Rgb, pixels).unwrap())
        };
        assert_eq!(levels(256).unwrap().bits, 8);
        assert_eq!(levels(257), None);
    }
}
