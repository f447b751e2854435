//! Sizes and cuts: which part of a source is kept, how large it becomes, and where it stands on a canvas.

use super::{error::ImageError, orientation::Orientation, probe::Probe};
use crate::transform::{Fit, Gravity, Point, Transform};

/// A rectangle of the source, in its pixels; the edges may lie between two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crop {
    /// Pixels from the left.
    pub left: f64,
    /// Pixels from the top.
    pub top: f64,
    /// Pixels across.
    pub width: f64,
    /// Pixels down.
    pub height: f64,
}

/// The canvas of a padded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Pixels across and down.
    pub size: (u32, u32),
    /// Where the picture stands on it, from left and top.
    pub at: (u32, u32),
}

/// What is done to a source as it is stored, before it is laid upright.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The part that is kept.
    pub crop: Crop,
    /// Its size after resizing, before it is laid upright.
    pub size: (u32, u32),
    /// How it is laid upright then.
    pub orientation: Orientation,
    /// What it is put on last.
    pub canvas: Option<Canvas>,
}

impl Crop {
    /// All of a picture.
    pub(super) fn whole((width, height): (u32, u32)) -> Self {
        Self { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) }
    }
}

impl Plan {
    /// The size of the variant.
    #[must_use]
    pub fn output_size(&self) -> (u32, u32) {
        self.canvas.map_or_else(|| self.orientation.size(self.size), |canvas| canvas.size)
    }

    /// The part of the source's pixels across or down, whichever is more, that must remain for the kept part to have as many
    /// as it needs; more than 1 where it is enlarged.
    #[must_use]
    pub fn needed(&self) -> f64 {
        let across = f64::from(self.size.0) / self.crop.width;
        let down = f64::from(self.size.1) / self.crop.height;
        across.max(down)
    }
}

/// Plans a transform of a source.
///
/// # Errors
/// [`ImageError::OutputTooLarge`] where the variant would have more pixels than allowed.
pub fn plan(probe: &Probe, transform: &Transform, max_output_pixels: u64) -> Result<Plan, ImageError> {
    plan_source((probe.width, probe.height), probe.orientation, transform, max_output_pixels)
}

/// Plans a transform of a source of `size` that lies as `orientation` says. Width, height and gravity are meant upright.
///
/// # Errors
/// [`ImageError::OutputTooLarge`] where the variant would have more than `max_output_pixels`.
fn plan_source(
    size: (u32, u32),
    orientation: Orientation,
    transform: &Transform,
    max_output_pixels: u64,
) -> Result<Plan, ImageError> {
    let orientation = orientation.then(transform.flip.into()).then(transform.rotate.into());
    let upright = orientation.size(size);
    let Upright { crop, size: kept, canvas } = plan_upright(upright, transform);
    let plan = Plan { crop: laid_back(crop, upright, orientation), size: orientation.size(kept), orientation, canvas };
    let (width, height) = plan.output_size();
    if u64::from(width) * u64::from(height) > max_output_pixels {
        return Err(ImageError::OutputTooLarge { width, height });
    }
    Ok(plan)
}

struct Upright {
    crop: Crop,
    size: (u32, u32),
    canvas: Option<Canvas>,
}

fn plan_upright(source: (u32, u32), transform: &Transform) -> Upright {
    let whole = Crop::whole(source);
    let ratio = |wanted: u32, given: u32| f64::from(wanted) / f64::from(given);
    let across = transform.width.map(|width| ratio(width, source.0));
    let down = transform.height.map(|height| ratio(height, source.1));
    let scaled = |scale: f64| Upright { crop: whole, size: scaled_size(source, scale), canvas: None };
    let (Some(across), Some(down)) = (across, down) else {
        let scale = across.or(down).unwrap_or(1.0);
        return scaled(if transform.fit == Fit::ScaleDown { scale.min(1.0) } else { scale });
    };
    let point = match transform.gravity {
        Gravity::At(point) => point,
        Gravity::Auto => Point::default(),
    };
    let box_size = (transform.width.unwrap_or(source.0), transform.height.unwrap_or(source.1));
    match transform.fit {
        Fit::ScaleDown => scaled(across.min(down).min(1.0)),
        Fit::Contain => scaled(across.min(down)),
        Fit::Pad => {
            let inside = scaled_size(source, across.min(down));
            let size = (inside.0.min(box_size.0), inside.1.min(box_size.1));
            let canvas = Canvas { size: box_size, at: placed(box_size, size, point) };
            Upright { crop: whole, size, canvas: Some(canvas) }
        }
        Fit::Cover => cut(source, box_size, across.max(down), point),
        Fit::Crop => {
            let scale = across.max(down).min(1.0);
            let fits = scaled_size(source, scale);
            cut(source, (box_size.0.min(fits.0), box_size.1.min(fits.1)), scale, point)
        }
    }
}

/// Cuts out of the source what fills `size` at `scale`.
fn cut(source: (u32, u32), size: (u32, u32), scale: f64, point: Point) -> Upright {
    let width = (f64::from(size.0) / scale).min(f64::from(source.0));
    let height = (f64::from(size.1) / scale).min(f64::from(source.1));
    let left = around(point.x_permille, width, f64::from(source.0));
    let top = around(point.y_permille, height, f64::from(source.1));
    Upright { crop: Crop { left, top, width, height }, size, canvas: None }
}

/// Where a stretch of `kept` begins that has the point at `permille` of `whole` as near its middle as the edges allow.
fn around(permille: u16, kept: f64, whole: f64) -> f64 {
    let point = f64::from(permille) / 1000.0 * whole;
    (point - kept / 2.0).clamp(0.0, whole - kept)
}

fn placed(canvas: (u32, u32), size: (u32, u32), point: Point) -> (u32, u32) {
    let along = |free: u32, permille: u16| {
        let pixels = (u64::from(free) * u64::from(permille) + 500) / 1000;
        u32::try_from(pixels).unwrap_or(free)
    };
    (along(canvas.0 - size.0, point.x_permille), along(canvas.1 - size.1, point.y_permille))
}

fn scaled_size((width, height): (u32, u32), scale: f64) -> (u32, u32) {
    let side = |side: u32| {
        let pixels = (f64::from(side) * scale).round().clamp(1.0, f64::from(u32::MAX));
        // Inside u32 by the line above.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let pixels = pixels as u32;
        pixels
    };
    (side(width), side(height))
}

/// The same part in a source that still lies as it is stored.
fn laid_back(crop: Crop, upright: (u32, u32), orientation: Orientation) -> Crop {
    let Crop { mut left, mut top, width, height } = crop;
    if orientation.flip_x {
        left = (f64::from(upright.0) - left - width).max(0.0);
    }
    if orientation.flip_y {
        top = (f64::from(upright.1) - top - height).max(0.0);
    }
    if orientation.transpose {
        Crop { left: top, top: left, width: height, height: width }
    } else {
        Crop { left, top, width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::parse_segment;
    use proptest::prelude::*;

    const ANY: u64 = u64::MAX;

    fn planned(source: (u32, u32), options: &str) -> Plan {
        let transform = parse_segment(options).unwrap().canonical().0;
        plan_source(source, Orientation::UPRIGHT, &transform, ANY).unwrap()
    }

    #[test]
    fn each_fit_gives_its_size() {
        let table = [
            ((1000, 500), "w=400", (400, 200)),
            ((1000, 500), "h=100", (200, 100)),
            ((1000, 500), "w=2000", (1000, 500)),
            ((1000, 500), "w=2000,fit=contain", (2000, 1000)),
            ((1000, 500), "w=400,h=400", (400, 200)),
            ((1000, 500), "w=400,h=400,fit=cover", (400, 400)),
            ((1000, 500), "w=2000,h=2000,fit=cover", (2000, 2000)),
            ((1000, 500), "w=2000,h=2000,fit=crop", (1000, 500)),
            ((1000, 500), "w=200,h=2000,fit=crop", (200, 500)),
            ((1000, 500), "w=400,h=400,fit=crop", (400, 400)),
            ((1000, 500), "w=400,h=400,fit=pad", (400, 400)),
            ((1000, 500), "rotate=90", (500, 1000)),
            ((1000, 500), "rotate=90,w=100", (100, 200)),
            ((3, 1000), "w=1", (1, 333)),
            ((1, 60_000), "h=1", (1, 1)),
        ];
        for (source, options, expected) in table {
            assert_eq!(planned(source, options).output_size(), expected, "{source:?} {options}");
        }
    }

    #[test]
    fn gravity_says_what_is_kept() {
        let kept = |options| {
            let Crop { left, top, width, height } = planned((1000, 500), options).crop;
            (left, top, width, height)
        };
        assert_eq!(kept("w=100,h=100,fit=cover"), (250.0, 0.0, 500.0, 500.0));
        assert_eq!(kept("w=100,h=100,fit=cover,g=left"), (0.0, 0.0, 500.0, 500.0));
        assert_eq!(kept("w=100,h=100,fit=cover,g=0.7x0.5"), (450.0, 0.0, 500.0, 500.0));
        assert_eq!(kept("w=100,h=100,fit=cover,g=0.9x0.5"), (500.0, 0.0, 500.0, 500.0));
        assert_eq!(planned((1000, 500), "w=400,h=400,fit=pad,g=top").canvas.unwrap().at, (0, 0));
        assert_eq!(planned((1000, 500), "w=400,h=400,fit=pad").canvas.unwrap().at, (0, 100));
    }

    #[test]
    fn a_picture_on_its_side_is_cut_as_it_is_seen() {
        let transform = parse_segment("w=100,h=50,fit=cover,g=left").unwrap().canonical().0;
        // Stored 500 × 1000 and turned clockwise: 1000 × 500 upright, whose left edge is stored at the bottom.
        let plan = plan_source((500, 2000), Orientation::from_exif(6), &transform, ANY).unwrap();
        assert_eq!((plan.crop.left, plan.crop.top, plan.crop.width, plan.crop.height), (0.0, 1000.0, 500.0, 1000.0));
        assert_eq!((plan.size, plan.output_size()), ((50, 100), (100, 50)));
    }

    #[test]
    fn more_output_pixels_than_allowed_are_refused() {
        let transform = parse_segment("w=200,h=200,fit=cover").unwrap().canonical().0;
        assert!(plan_source((10, 10), Orientation::UPRIGHT, &transform, 40_000).is_ok());
        assert!(plan_source((10, 10), Orientation::UPRIGHT, &transform, 39_999).is_err());
    }

    proptest! {
        #[test]
        fn what_is_kept_lies_inside_the_source(
            source in (1u32..3_000, 1u32..3_000),
            wanted in (1u32..3_000, 1u32..3_000),
            fit in prop::sample::select(vec!["scale-down", "contain", "cover", "crop", "pad"]),
            gravity in (0u16..=1000, 0u16..=1000),
            exif in 1u32..=8,
        ) {
            let options = format!("w={},h={},fit={fit},g={}x{}", wanted.0, wanted.1, f64::from(gravity.0) / 1000.0, f64::from(gravity.1) / 1000.0);
            let transform = parse_segment(&options).unwrap().canonical().0;
            let plan = plan_source(source, Orientation::from_exif(exif), &transform, ANY).unwrap();
            let Crop { left, top, width, height } = plan.crop;
            prop_assert!(left >= 0.0 && top >= 0.0 && width > 0.0 && height > 0.0);
            prop_assert!(left + width <= f64::from(source.0) + 1e-6 && top + height <= f64::from(source.1) + 1e-6);
            let (across, down) = plan.output_size();
            prop_assert!(across >= 1 && down >= 1);
            if let Some(canvas) = plan.canvas {
                let kept = plan.orientation.size(plan.size);
                prop_assert!(canvas.at.0 + kept.0 <= canvas.size.0 && canvas.at.1 + kept.1 <= canvas.size.1);
            }
            if matches!(fit, "scale-down" | "crop") {
                let upright = plan.orientation.size(source);
                prop_assert!(across <= upright.0 && down <= upright.1, "enlarged");
            }
        }
    }
}
