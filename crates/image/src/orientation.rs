//! The eight ways in which a picture can lie (EXIF orientation, a turn that is asked for), and laying it upright.

use super::picture::{Picture, byte_count};
use crate::transform::{Flip, Rotation};

/// What has to be done to lay a picture upright: first exchange rows and columns, then mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Orientation {
    /// Rows become columns.
    pub transpose: bool,
    /// Left becomes right.
    pub flip_x: bool,
    /// Top becomes bottom.
    pub flip_y: bool,
}

impl Orientation {
    /// It lies upright.
    pub const UPRIGHT: Self = Self::new(false, false, false);

    const fn new(transpose: bool, flip_x: bool, flip_y: bool) -> Self {
        Self { transpose, flip_x, flip_y }
    }

    /// The meaning of EXIF's values 1-8; anything else is upright.
    #[must_use]
    pub const fn from_exif(value: u32) -> Self {
        match value {
            2 => Self::new(false, true, false),
            3 => Self::new(false, true, true),
            4 => Self::new(false, false, true),
            5 => Self::new(true, false, false),
            6 => Self::new(true, true, false),
            7 => Self::new(true, true, true),
            8 => Self::new(true, false, true),
            _ => Self::UPRIGHT,
        }
    }

    /// `quarters` turns counter-clockwise, as AVIF's `irot` counts them.
    #[must_use]
    pub const fn counter_clockwise(quarters: u8) -> Self {
        match quarters % 4 {
            1 => Self::from_exif(8),
            2 => Self::from_exif(3),
            3 => Self::from_exif(6),
            _ => Self::UPRIGHT,
        }
    }

    /// This, and then `next`.
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        let (flip_x, flip_y) = if next.transpose { (self.flip_y, self.flip_x) } else { (self.flip_x, self.flip_y) };
        Self {
            transpose: self.transpose != next.transpose,
            flip_x: flip_x != next.flip_x,
            flip_y: flip_y != next.flip_y,
        }
    }

    /// A size after it.
    #[must_use]
    pub const fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }
}

impl From<Rotation> for Orientation {
    fn from(rotation: Rotation) -> Self {
        match rotation {
            Rotation::None => Self::UPRIGHT,
            Rotation::Quarter => Self::from_exif(6),
            Rotation::Half => Self::from_exif(3),
            Rotation::ThreeQuarter => Self::from_exif(8),
        }
    }
}

impl From<Flip> for Orientation {
    fn from(flip: Flip) -> Self {
        match flip {
            Flip::None => Self::UPRIGHT,
            Flip::Horizontal => Self::from_exif(2),
            Flip::Vertical => Self::from_exif(4),
            Flip::Both => Self::from_exif(3),
        }
    }
}

/// Lays a picture upright.
pub(super) fn apply(orientation: Orientation, picture: Picture) -> Picture {
    if orientation == Orientation::UPRIGHT {
        return picture;
    }
    let bytes_each = picture.channels.count();
    let (width, height) = orientation.size((picture.width, picture.height));
    let mut pixels = Vec::with_capacity(byte_count(width, height, bytes_each));
    for y in 0..height {
        let across = if orientation.flip_y { height - 1 - y } else { y };
        for x in 0..width {
            let along = if orientation.flip_x { width - 1 - x } else { x };
            let (column, row) = if orientation.transpose { (across, along) } else { (along, across) };
            let start = (row as usize * picture.width as usize + column as usize) * bytes_each;
            pixels.extend_from_slice(&picture.pixels[start..start + bytes_each]);
        }
    }
    Picture { width, height, channels: picture.channels, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Channels;

    /// A picture of 3 × 2 pixels, each with its own red: 0 1 2 / 3 4 5.
    fn laid(orientation: Orientation) -> (u32, Vec<u8>) {
        let pixels = (0..6).flat_map(|red| [red, 0, 0]).collect();
        let picture = apply(orientation, Picture::new(3, 2, Channels::Rgb, pixels).unwrap());
        (picture.width, picture.pixels.iter().step_by(3).copied().collect())
    }

    #[test]
    fn each_exif_value_lays_the_picture_upright() {
        let table: [(u32, u32, [u8; 6]); 9] = [
            (1, 3, [0, 1, 2, 3, 4, 5]),
            (2, 3, [2, 1, 0, 5, 4, 3]),
            (3, 3, [5, 4, 3, 2, 1, 0]),
            (4, 3, [3, 4, 5, 0, 1, 2]),
            (5, 2, [0, 3, 1, 4, 2, 5]),
            (6, 2, [3, 0, 4, 1, 5, 2]),
            (7, 2, [5, 2, 4, 1, 3, 0]),
            (8, 2, [2, 5, 1, 4, 0, 3]),
            (9, 3, [0, 1, 2, 3, 4, 5]),
        ];
        for (value, width, expected) in table {
            assert_eq!(laid(Orientation::from_exif(value)), (width, expected.to_vec()), "{value}");
        }
    }

    #[test]
    fn one_after_the_other_is_the_same_as_both_at_once() {
        let pixels: Vec<u8> = (0..6).flat_map(|red| [red, 0, 0]).collect();
        let picture = Picture::new(3, 2, Channels::Rgb, pixels).unwrap();
        for first in 1..=8 {
            for second in 1..=8 {
                let (first, second) = (Orientation::from_exif(first), Orientation::from_exif(second));
                let in_turn = apply(second, apply(first, picture.clone()));
                assert_eq!(apply(first.then(second), picture.clone()), in_turn, "{first:?} {second:?}");
            }
        }
    }
}
