use proptest::prelude::*;

use super::*;
use crate::light::{LIGHT, step};

fn whole(width: u32, height: u32) -> Crop {
    Crop::whole((width, height))
}

fn rgb(width: u32, height: u32, pixels: Vec<u8>) -> Picture {
    Picture::new(width, height, Channels::Rgb, pixels).unwrap()
}

#[test]
fn the_same_size_is_the_same_picture() {
    let pixels: Vec<u8> = (0..40 * 30 * 3u32).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let picture = rgb(40, 30, pixels);
    assert_eq!(resample(&picture, whole(40, 30), (40, 30)).unwrap(), picture);
}

#[test]
fn black_and_white_average_in_light() {
    let picture = rgb(64, 64, (0..64 * 64).flat_map(|at| [if (at + at / 64) % 2 == 0 { 0 } else { 255 }; 3]).collect());
    let half = resample(&picture, whole(64, 64), (8, 8)).unwrap();
    // Half the light is level 188, where half the level would be 128.
    assert!(half.pixels.iter().all(|level| level.abs_diff(188) <= 2), "{:?}", &half.pixels[..12]);
}

#[test]
fn a_part_is_cut_out() {
    let row = [[0; 3], [0; 3], [200; 3], [200; 3]].concat();
    let picture = rgb(4, 2, row.repeat(2));
    let half = |left| Crop { left, width: 2.0, ..whole(4, 2) };
    let level = |left| resample(&picture, half(left), (1, 1)).unwrap().pixels[0];
    // The filter reaches a little over the edge of the cut, as it does in a picture that is cut after it was resized.
    assert!(level(2.0) > 190 && level(0.0) < 60, "{} {}", level(2.0), level(0.0));
}

#[test]
fn what_is_transparent_does_not_bleed_its_colour() {
    let pixels = [[255, 0, 0, 255], [0, 255, 0, 0]].concat();
    let picture = Picture::new(2, 1, Channels::Rgba, pixels).unwrap();
    let blended = resample(&picture, whole(2, 1), (1, 1)).unwrap().pixels;
    assert_eq!(blended[..3], [255, 0, 0]);
    assert!((120..=135).contains(&blended[3]), "{blended:?}");
}

#[test]
fn no_more_rows_are_needed_than_the_cut_has() {
    let crop = Crop { height: 10.0, ..whole(4, 100) };
    let mut rows = Resample::new((4, 100), Channels::Rgb, crop, (4, 10), None);
    let taken = (1..=100).find(|_| rows.push(&[9; 12]) == Needs::Nothing).unwrap();
    assert!(taken <= 14, "{taken}");
    assert!(rows.picture().is_some());
}

#[test]
fn a_picture_whose_rows_end_early_is_none() {
    let mut rows = Resample::new((4, 100), Channels::Rgb, whole(4, 100), (4, 10), None);
    for _ in 0..50 {
        rows.push(&[9; 12]);
    }
    assert!(rows.picture().is_none());
}

/// The same in double precision, without rows, sums or vectors.
fn plainly(picture: &Picture, size: (u32, u32)) -> Vec<f64> {
    let (across, down) = (
        Axis::new(picture.width as usize, 0.0, f64::from(picture.width), size.0 as usize),
        Axis::new(picture.height as usize, 0.0, f64::from(picture.height), size.1 as usize),
    );
    let light = |x: usize, y: usize, channel: usize| {
        f64::from(LIGHT[usize::from(picture.pixels[(y * picture.width as usize + x) * 3 + channel])])
    };
    let mut made = Vec::new();
    for row in 0..down.len() {
        let (top, down) = down.at(row);
        for column in 0..across.len() {
            let (left, across) = across.at(column);
            for channel in 0..3 {
                let mut sum = 0.0;
                for (y, down) in down.iter().enumerate() {
                    for (x, across) in across.iter().enumerate() {
                        sum += f64::from(*down) * f64::from(*across) * light(left + x, top + y, channel);
                    }
                }
                made.push(sum);
            }
        }
    }
    made
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn rows_give_what_the_whole_gives(
        source in (1u32..40, 1u32..40), size in (1u32..50, 1u32..50), seed in any::<u32>(),
    ) {
        let pixels = (0..source.0 * source.1 * 3).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8);
        let picture = rgb(source.0, source.1, pixels.collect());
        let made = resample(&picture, whole(source.0, source.1), size).unwrap();
        let levels = Levels::get();
        for (is, wanted) in made.pixels.iter().zip(plainly(&picture, size)) {
            prop_assert!(is.abs_diff(levels.at(step(wanted as f32))) <= 1, "{} {}", is, wanted);
        }
    }
}
