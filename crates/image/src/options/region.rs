//! `trim` and `crop`. Their numbers are separated by semicolons, which need no encoding in a path or a query.

use super::{MAX_SIDE, number::decimal};
use crate::transform::{CropBox, Length, Trim};

/// What `trim` takes.
pub(super) const TRIM: &str =
    "auto, a tolerance from 0 to 255, or top;right;bottom;left in pixels of the source such as 20;30;20;0";

/// What `crop` takes.
pub(super) const CROP: &str = "left;top;width;height inside the picture, each in whole pixels of the source or as a \
                               fraction with a point, such as 120;80;640;480 or 0.1;0.0;0.5;1.0";

/// How far from a border's colour a pixel may be, where nothing is said.
const USUAL_TOLERANCE: u8 = 10;

pub(super) fn trim(value: &str) -> Option<Trim> {
    if matches!(value, "auto" | "border") {
        return Some(Trim::Border { tolerance: USUAL_TOLERANCE });
    }
    if let Some([top, right, bottom, left]) = four(value) {
        let pixels = |value| whole(value).and_then(|pixels| u16::try_from(pixels).ok());
        return Some(Trim::Sides {
            top: pixels(top)?,
            right: pixels(right)?,
            bottom: pixels(bottom)?,
            left: pixels(left)?,
        });
    }
    whole(value).and_then(|tolerance| u8::try_from(tolerance).ok()).map(|tolerance| Trim::Border { tolerance })
}

pub(super) fn crop(value: &str) -> Option<CropBox> {
    let [left, top, width, height] = four(value)?.map(length);
    let (left, top) = (left?, top?);
    let (width, height) = (width?, height?);
    let outside = |start| start == Length::Fraction(Length::WHOLE);
    let empty = |stretch| matches!(stretch, Length::Pixels(0) | Length::Fraction(0));
    let inside = !outside(left) && !outside(top) && !empty(width) && !empty(height);
    inside.then_some(CropBox { left, top, width, height })
}

/// A number with a point is a fraction of 1, one without is in pixels.
fn length(value: &str) -> Option<Length> {
    if value.contains('.') {
        return decimal(value, 5).filter(|fraction| *fraction <= Length::WHOLE).map(Length::Fraction);
    }
    whole(value).map(Length::Pixels)
}

fn whole(value: &str) -> Option<u32> {
    let is_number = value.bytes().all(|digit| digit.is_ascii_digit());
    value.parse().ok().filter(|pixels| is_number && *pixels <= MAX_SIDE)
}

fn four(value: &str) -> Option<[&str; 4]> {
    let mut parts = value.split(';');
    let four = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(four)
}
