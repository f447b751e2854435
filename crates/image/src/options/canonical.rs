//! One form for all that means the same pixels.

use super::{FormatChoice, MAX_SIDE, Options};
use crate::transform::{Adjust, Color, CropBox, Dpr, Factor, Fit, Flip, Gravity, Length, Rotation, Transform, Trim};

impl Options {
    /// The result in canonical form: what cannot change a pixel is put back to its default, and what can be said in several
    /// ways is said in one.
    #[must_use]
    pub fn canonical(self) -> (Transform, FormatChoice) {
        let Transform { width, height, fit, gravity, dpr, background, rotate, flip, trim, crop, adjust, .. } =
            self.transform;
        let fit = needed_fit(width, height, fit);
        let (rotate, flip) = folded(rotate, flip);
        let transform = Transform {
            width: scaled(width, dpr),
            height: scaled(height, dpr),
            fit,
            gravity: needed_gravity(fit, gravity),
            dpr: Dpr::default(),
            background: background.and_then(|color| needed_background(fit, color)),
            rotate,
            flip,
            trim: trim.filter(|trim| *trim != Trim::Sides { top: 0, right: 0, bottom: 0, left: 0 }),
            crop: crop.and_then(needed_crop),
            adjust: needed_adjust(adjust),
            watermark: self.watermark.finish(),
            ..self.transform
        };
        (transform, self.format)
    }
}

/// `dpr` is multiplied in.
fn scaled(side: Option<u32>, dpr: Dpr) -> Option<u32> {
    side.map(|side| (side.saturating_mul(u32::from(dpr.0)).saturating_add(50) / 100).clamp(1, MAX_SIDE))
}

fn needed_fit(width: Option<u32>, height: Option<u32>, fit: Fit) -> Fit {
    match (width, height) {
        (None, None) => Fit::ScaleDown,
        (Some(_), Some(_)) => fit,
        // With one side free there is nothing to cut or to fill: only whether it may be enlarged remains.
        _ if matches!(fit, Fit::Crop | Fit::ScaleDown) => Fit::ScaleDown,
        _ => Fit::Contain,
    }
}

/// Gravity matters where something is cut off or placed; what there is to see, only where something is cut off.
fn needed_gravity(fit: Fit, gravity: Gravity) -> Gravity {
    match (fit, gravity) {
        (Fit::ScaleDown | Fit::Contain, _) | (Fit::Pad, Gravity::Auto) => Gravity::default(),
        (Fit::Cover | Fit::Crop | Fit::Pad, gravity) => gravity,
    }
}

/// Nothing under a picture is no background; around one it is not the usual white.
fn needed_background(fit: Fit, color: Color) -> Option<Color> {
    match color.alpha {
        0 => (fit == Fit::Pad).then_some(Color::TRANSPARENT),
        _ => Some(color),
    }
}

/// Top and bottom exchanged are left and right exchanged and half a turn.
fn folded(rotate: Rotation, flip: Flip) -> (Rotation, Flip) {
    let half_more = match rotate {
        Rotation::None => Rotation::Half,
        Rotation::Quarter => Rotation::ThreeQuarter,
        Rotation::Half => Rotation::None,
        Rotation::ThreeQuarter => Rotation::Quarter,
    };
    match flip {
        Flip::None | Flip::Horizontal => (rotate, flip),
        Flip::Vertical => (half_more, Flip::Horizontal),
        Flip::Both => (half_more, Flip::None),
    }
}

fn needed_crop(crop: CropBox) -> Option<CropBox> {
    let start = |length| if length == Length::Fraction(0) { Length::Pixels(0) } else { length };
    let (left, top) = (start(crop.left), start(crop.top));
    let (width, height) = (within(left, crop.width), within(top, crop.height));
    let is_all = |start, stretch| start == Length::Pixels(0) && stretch == Length::Fraction(Length::WHOLE);
    (!is_all(left, width) || !is_all(top, height)).then_some(CropBox { left, top, width, height })
}

/// What reaches beyond the edge does not count.
fn within(start: Length, stretch: Length) -> Length {
    match (start, stretch) {
        (Length::Fraction(start), Length::Fraction(stretch)) => {
            Length::Fraction(stretch.min(Length::WHOLE.saturating_sub(start)))
        }
        _ => stretch,
    }
}

/// 0 stands for nothing asked, but for saturation, where it is grey.
fn needed_adjust(adjust: Adjust) -> Adjust {
    let needed = |factor: Factor| if factor.0 == 0 { Factor::NEUTRAL } else { factor };
    Adjust {
        brightness: needed(adjust.brightness),
        contrast: needed(adjust.contrast),
        gamma: needed(adjust.gamma),
        saturation: adjust.saturation,
    }
}
