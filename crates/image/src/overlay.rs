//! One picture upon another: the watermark.

use super::picture::Picture;
use crate::transform::{Point, Watermark};

/// The largest size that a watermark may take on a picture: its part of the width, and no more than the height.
pub(super) fn room((width, height): (u32, u32), watermark: &Watermark) -> (u32, u32) {
    let across = (u64::from(width) * u64::from(watermark.scale_permille) + 500) / 1000;
    (u32::try_from(across).unwrap_or(width).clamp(1, width), height)
}

/// Lays a watermark that has its size on a picture, where and as strongly as it is asked for.
pub(super) fn overlay(mut picture: Picture, mark: &Picture, watermark: &Watermark) -> Picture {
    let Point { x_permille, y_permille } = watermark.position;
    let left = placed(picture.width.saturating_sub(mark.width), x_permille);
    let top = placed(picture.height.saturating_sub(mark.height), y_permille);
    let opacity = u32::from(watermark.opacity);
    let (channels, mark_channels) = (picture.channels, mark.channels);
    let row_bytes = picture.width as usize * channels.count();
    let rows = picture.pixels.chunks_exact_mut(row_bytes).skip(top as usize);
    for (row, mark_row) in rows.zip(mark.pixels.chunks_exact(mark.width as usize * mark_channels.count())) {
        let pixels = row.chunks_exact_mut(channels.count()).skip(left as usize);
        for (pixel, mark) in pixels.zip(mark_row.chunks_exact(mark_channels.count())) {
            let alpha = (u32::from(mark.get(3).copied().unwrap_or(u8::MAX)) * opacity + 50) / 100;
            let mark = [mark[0], mark[1], mark[2], u8::try_from(alpha).unwrap_or(u8::MAX)];
            let under = [pixel[0], pixel[1], pixel[2], pixel.get(3).copied().unwrap_or(u8::MAX)];
            pixel.copy_from_slice(&over(mark, under)[..channels.count()]);
        }
    }
    picture
}

/// Where a stretch begins of which `free` pixels are left on both sides together.
fn placed(free: u32, permille: u16) -> u32 {
    let pixels = (u64::from(free) * u64::from(permille) + 500) / 1000;
    u32::try_from(pixels).unwrap_or(free)
}

/// One pixel upon another, alpha not premultiplied (Porter and Duff's "over"), to the nearest level.
pub(super) fn over(above: [u8; 4], below: [u8; 4]) -> [u8; 4] {
    let (above_alpha, below_alpha) = (u32::from(above[3]), u32::from(below[3]));
    // Each 255 × 255 for an opaque one.
    let (above_weight, below_weight) = (above_alpha * 255, below_alpha * (255 - above_alpha));
    let weight = above_weight + below_weight;
    if weight == 0 {
        return [0; 4];
    }
    let level = |above: u8, below: u8| {
        let sum = u32::from(above) * above_weight + u32::from(below) * below_weight;
        u8::try_from((sum + weight / 2) / weight).unwrap_or(u8::MAX)
    };
    let alpha = u8::try_from((weight + 127) / 255).unwrap_or(u8::MAX);
    [level(above[0], below[0]), level(above[1], below[1]), level(above[2], below[2]), alpha]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Channels;
    use proptest::prelude::*;

    fn watermark(opacity: u8, x_permille: u16, y_permille: u16) -> Watermark {
        let position = Point { x_permille, y_permille };
        Watermark { source: "/a.png".to_owned(), opacity, position, scale_permille: 500 }
    }

    fn black(channels: Channels) -> Picture {
        let pixel: &[u8] = if channels == Channels::Rgb { &[0; 3] } else { &[0, 0, 0, 255] };
        Picture::new(4, 3, channels, pixel.repeat(12)).unwrap()
    }

    #[test]
    fn it_stands_where_it_is_asked_to() {
        let mark = Picture::new(2, 1, Channels::Rgb, vec![200; 6]).unwrap();
        for (x, y, corner) in [(0, 0, (0, 0)), (1000, 1000, (2, 2)), (500, 500, (1, 1)), (1000, 0, (2, 0))] {
            let marked = overlay(black(Channels::Rgb), &mark, &watermark(100, x, y));
            let lit: Vec<usize> = (0..12).filter(|at| marked.pixels[at * 3] == 200).collect();
            let first = corner.1 * 4 + corner.0;
            assert_eq!(lit, [first, first + 1], "{x} {y}");
        }
    }

    #[test]
    fn its_opacity_and_its_alpha_both_count() {
        let mark = Picture::new(2, 1, Channels::Rgba, vec![200, 100, 50, 128, 200, 100, 50, 0]).unwrap();
        for channels in [Channels::Rgb, Channels::Rgba] {
            let marked = overlay(black(channels), &mark, &watermark(50, 0, 0)).pixels;
            assert_eq!(marked[..3], [50, 25, 13]);
            assert_eq!(marked[channels.count()..][..3], [0; 3]);
        }
    }

    #[test]
    fn one_larger_than_the_picture_is_cut_at_its_edges() {
        let mark = Picture::new(9, 9, Channels::Rgb, vec![200; 243]).unwrap();
        let marked = overlay(black(Channels::Rgb), &mark, &watermark(100, 1000, 1000));
        assert!(marked.pixels.iter().all(|level| *level == 200));
    }

    #[test]
    fn its_room_is_its_part_of_the_width() {
        assert_eq!(room((401, 300), &watermark(100, 0, 0)), (201, 300));
        assert_eq!(room((1, 1), &watermark(100, 0, 0)), (1, 1));
    }

    proptest! {
        #[test]
        fn over_lies_between_its_two_colours(above: [u8; 4], below: [u8; 4]) {
            let mixed = over(above, below);
            prop_assert!(mixed[3] >= above[3].max(below[3]));
            if mixed[3] > 0 && above[3] > 0 && below[3] > 0 {
                for channel in 0..3 {
                    let (least, most) = (above[channel].min(below[channel]), above[channel].max(below[channel]));
                    prop_assert!((least..=most).contains(&mixed[channel]));
                }
            }
            if above[3] == 255 {
                prop_assert_eq!(mixed, above);
            }
        }
    }
}
