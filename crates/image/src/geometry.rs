//! Sizes and cuts: which part of a source is kept, how large it becomes, and where it stands on a canvas.

use super::{analysis::Analysis, error::ImageError, orientation::Orientation, probe::Probe};
use crate::transform::{CropBox, Fit, Gravity, Point, Transform, Trim};

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

/// Plans a transform of a source, of which as much has been seen as the transform needs; what has not been seen is taken to
/// have no border and nothing in particular to see.
///
/// # Errors
/// [`ImageError::OutputTooLarge`] where the variant would have more pixels than allowed.
pub fn plan(
    probe: &Probe,
    transform: &Transform,
    analysis: &Analysis,
    max_output_pixels: u64,
) -> Result<Plan, ImageError> {
    plan_source((probe.width, probe.height), probe.orientation, transform, analysis, max_output_pixels)
}

/// Which parts of the width and the height of what is trimmed and cut out remain when it is fitted.
pub(super) fn cut_share(probe: &Probe, transform: &Transform, analysis: &Analysis) -> (f64, f64) {
    let part = Part::of((probe.width, probe.height), probe.orientation, transform, analysis);
    let Upright { crop, .. } = plan_upright(part.size(), transform, analysis);
    (crop.width / part.kept.width, crop.height / part.kept.height)
}

/// Plans a transform of a source of `size` that lies as `orientation` says. Width, height and gravity are meant as it lies in
/// the end; trimming and cutting out, upright and before it is flipped and turned.
///
/// # Errors
/// [`ImageError::OutputTooLarge`] where the variant would have more than `max_output_pixels`.
fn plan_source(
    size: (u32, u32),
    orientation: Orientation,
    transform: &Transform,
    analysis: &Analysis,
    max_output_pixels: u64,
) -> Result<Plan, ImageError> {
    let part = Part::of(size, orientation, transform, analysis);
    let Upright { crop, size: kept, canvas } = plan_upright(part.size(), transform, analysis);
    let crop = Crop { left: part.kept.left + crop.left, top: part.kept.top + crop.top, ..crop };
    let orientation = part.orientation;
    let crop = laid_back(crop, orientation.size(size), orientation);
    let plan = Plan { crop, size: orientation.size(kept), orientation, canvas };
    let (width, height) = plan.output_size();
    if u64::from(width) * u64::from(height) > max_output_pixels {
        return Err(ImageError::OutputTooLarge { width, height });
    }
    Ok(plan)
}

/// What is trimmed and cut out, in whole pixels of the source as it lies in the end.
struct Part {
    kept: Crop,
    orientation: Orientation,
}

impl Part {
    fn of(size: (u32, u32), orientation: Orientation, transform: &Transform, analysis: &Analysis) -> Self {
        let upright = orientation.size(size);
        let whole = Crop::whole(upright);
        let trimmed = match transform.trim {
            Some(Trim::Sides { top, right, bottom, left }) => without_sides(whole, [top, right, bottom, left]),
            Some(Trim::Border { .. }) => analysis.inside.map_or(whole, |inside| laid(inside, size, orientation)),
            None => whole,
        };
        let kept = transform.crop.and_then(|crop| cut_out(trimmed, crop)).unwrap_or(trimmed);
        let turn = Orientation::from(transform.flip).then(transform.rotate.into());
        Self { kept: laid(kept, upright, turn), orientation: orientation.then(turn) }
    }

    /// It is in whole pixels already.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn size(&self) -> (u32, u32) {
        ((self.kept.width.round() as u32).max(1), (self.kept.height.round() as u32).max(1))
    }
}

/// All of it where nothing would be left.
fn without_sides(whole: Crop, sides: [u16; 4]) -> Crop {
    let [top, right, bottom, left] = sides.map(f64::from);
    let (width, height) = (whole.width - left - right, whole.height - top - bottom);
    if width < 1.0 || height < 1.0 { whole } else { Crop { left, top, width, height } }
}

/// A rectangle of a part, in whole pixels, as far as it lies inside; `None` where it lies outside.
fn cut_out(part: Crop, CropBox { left, top, width, height }: CropBox) -> Option<Crop> {
    let (left, width) = stretch(left.along(part.width), width.along(part.width), part.width)?;
    let (top, height) = stretch(top.along(part.height), height.along(part.height), part.height)?;
    Some(Crop { left: part.left + left, top: part.top + top, width, height })
}

/// Start and extent along a side; `None` where it begins beyond the edge.
fn stretch(start: f64, extent: f64, side: f64) -> Option<(f64, f64)> {
    if start >= side {
        return None;
    }
    let end = (start + extent).min(side).round().max(1.0);
    let start = start.round().min(end - 1.0);
    Some((start, end - start))
}

struct Upright {
    crop: Crop,
    size: (u32, u32),
    canvas: Option<Canvas>,
}

fn plan_upright(source: (u32, u32), transform: &Transform, analysis: &Analysis) -> Upright {
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
        Gravity::At(Point { x_permille, y_permille }) => {
            (f64::from(x_permille) / 1000.0, f64::from(y_permille) / 1000.0)
        }
        Gravity::Auto => analysis.focus.unwrap_or((0.5, 0.5)),
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
fn cut(source: (u32, u32), size: (u32, u32), scale: f64, point: (f64, f64)) -> Upright {
    let width = (f64::from(size.0) / scale).min(f64::from(source.0));
    let height = (f64::from(size.1) / scale).min(f64::from(source.1));
    let left = around(point.0, width, f64::from(source.0));
    let top = around(point.1, height, f64::from(source.1));
    Upright { crop: Crop { left, top, width, height }, size, canvas: None }
}

/// Where a stretch of `kept` begins that has the point at `part` of `whole` as near its middle as the edges allow.
fn around(part: f64, kept: f64, whole: f64) -> f64 {
    (part * whole - kept / 2.0).clamp(0.0, whole - kept)
}

fn placed(canvas: (u32, u32), size: (u32, u32), point: (f64, f64)) -> (u32, u32) {
    // Inside `free`, for the part is at most 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let along = |free: u32, part: f64| (f64::from(free) * part).round() as u32;
    (along(canvas.0 - size.0, point.0), along(canvas.1 - size.1, point.1))
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

/// The same part of a picture of `size` when it has been laid as `orientation` says.
fn laid(crop: Crop, size: (u32, u32), orientation: Orientation) -> Crop {
    let Crop { mut left, mut top, mut width, mut height } = crop;
    if orientation.transpose {
        (left, top, width, height) = (top, left, height, width);
    }
    let after = orientation.size(size);
    if orientation.flip_x {
        left = (f64::from(after.0) - left - width).max(0.0);
    }
    if orientation.flip_y {
        top = (f64::from(after.1) - top - height).max(0.0);
    }
    Crop { left, top, width, height }
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
        plan_source(source, Orientation::UPRIGHT, &transform, &Analysis::default(), ANY).unwrap()
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
        let plan = plan_source((500, 2000), Orientation::from_exif(6), &transform, &Analysis::default(), ANY).unwrap();
        assert_eq!((plan.crop.left, plan.crop.top, plan.crop.width, plan.crop.height), (0.0, 1000.0, 500.0, 1000.0));
        assert_eq!((plan.size, plan.output_size()), ((50, 100), (100, 50)));
    }

    fn kept(source: (u32, u32), exif: u32, options: &str, analysis: Analysis) -> ([f64; 4], (u32, u32)) {
        let transform = parse_segment(options).unwrap().canonical().0;
        let plan = plan_source(source, Orientation::from_exif(exif), &transform, &analysis, ANY).unwrap();
        let Crop { left, top, width, height } = plan.crop;
        ([left, top, width, height], plan.output_size())
    }

    #[test]
    fn what_is_trimmed_and_cut_out_is_fitted() {
        let table = [
            ("crop=120;80;640;400", [120.0, 80.0, 640.0, 400.0], (640, 400)),
            ("crop=120;80;640;400,w=320", [120.0, 80.0, 640.0, 400.0], (320, 200)),
            ("crop=120;80;640;480", [120.0, 80.0, 640.0, 420.0], (640, 420)),
            ("crop=0.5;0.5;0.5;0.5", [500.0, 250.0, 500.0, 250.0], (500, 250)),
            ("crop=900;0;640;100", [900.0, 0.0, 100.0, 100.0], (100, 100)),
            ("crop=0.99999;0;1;1.0", [999.0, 0.0, 1.0, 500.0], (1, 500)),
            ("crop=1000;0;10;10", [0.0, 0.0, 1000.0, 500.0], (1000, 500)),
            ("trim=10;20;30;40", [40.0, 10.0, 940.0, 460.0], (940, 460)),
            ("trim=250;0;250;0", [0.0, 0.0, 1000.0, 500.0], (1000, 500)),
            ("trim=10;20;30;40,crop=0.5;0;0.5;10", [510.0, 10.0, 470.0, 10.0], (470, 10)),
            ("trim=0;0;0;500,w=100,h=100,fit=cover,g=left", [500.0, 0.0, 500.0, 500.0], (100, 100)),
            ("trim=0;0;0;400,w=100,h=100,fit=cover,g=right", [500.0, 0.0, 500.0, 500.0], (100, 100)),
            ("crop=0;0;200;100,rotate=90", [0.0, 0.0, 200.0, 100.0], (100, 200)),
            ("crop=0;0;200;100,flip=h", [0.0, 0.0, 200.0, 100.0], (200, 100)),
            ("crop=0;0;200;100,flip=h,w=50,h=50,fit=cover,g=left", [100.0, 0.0, 100.0, 100.0], (50, 50)),
            ("trim=auto", [0.0, 0.0, 1000.0, 500.0], (1000, 500)),
        ];
        for (options, crop, size) in table {
            assert_eq!(kept((1000, 500), 1, options, Analysis::default()), (crop, size), "{options}");
        }
        // Stored 500 × 1000, turned clockwise to be upright: the top left corner is stored at the bottom left.
        let on_its_side = kept((500, 1000), 6, "crop=0;0;200;100", Analysis::default());
        assert_eq!(on_its_side, ([0.0, 800.0, 100.0, 200.0], (200, 100)));
    }

    #[test]
    fn what_was_seen_of_the_source_is_followed() {
        let inside = Some(Crop { left: 100.0, top: 50.0, width: 600.0, height: 300.0 });
        let seen = Analysis { inside, focus: None };
        assert_eq!(kept((1000, 500), 1, "trim=auto", seen), ([100.0, 50.0, 600.0, 300.0], (600, 300)));
        assert_eq!(kept((1000, 500), 6, "trim=auto", seen), ([100.0, 50.0, 600.0, 300.0], (300, 600)));
        assert_eq!(kept((1000, 500), 6, "trim=auto,crop=0;0;10;20", seen).0, [100.0, 340.0, 20.0, 10.0]);
        assert_eq!(kept((1000, 500), 1, "w=5", seen).0, [0.0, 0.0, 1000.0, 500.0]);
        let focus = Analysis { inside, focus: Some((0.75, 0.5)) };
        let cut = kept((1000, 500), 1, "w=50,h=50,fit=cover,g=auto", focus);
        assert_eq!(cut, ([500.0, 0.0, 500.0, 500.0], (50, 50)));
        let both = kept((1000, 500), 1, "trim=auto,w=50,h=50,fit=cover,g=auto", focus);
        assert_eq!(both, ([400.0, 50.0, 300.0, 300.0], (50, 50)));
    }

    #[test]
    fn more_output_pixels_than_allowed_are_refused() {
        let transform = parse_segment("w=200,h=200,fit=cover").unwrap().canonical().0;
        assert!(plan_source((10, 10), Orientation::UPRIGHT, &transform, &Analysis::default(), 40_000).is_ok());
        assert!(plan_source((10, 10), Orientation::UPRIGHT, &transform, &Analysis::default(), 39_999).is_err());
    }

    proptest! {
        #[test]
        fn what_is_kept_lies_inside_the_source(
            source in (1u32..3_000, 1u32..3_000),
            wanted in (1u32..3_000, 1u32..3_000),
            fit in prop::sample::select(vec!["scale-down", "contain", "cover", "crop", "pad"]),
            gravity in (0u16..=1000, 0u16..=1000),
            exif in 1u32..=8,
            part in "(crop=[0-9]{1,4};0[.][0-9]{1,5};[1-9][0-9]{0,3};0[.][1-9]{1,5},)?(trim=(auto|[0-9]{1,4};[0-9]{1,4};[0-9]{1,4};[0-9]{1,4}),)?(flip=(h|v|hv),)?(rotate=(90|180|270),)?",
            seen in (0.0f64..0.9, 0.0f64..0.9, 0.0f64..1.0, 0.0f64..1.0),
        ) {
            let options = format!("{part}w={},h={},fit={fit},g={}x{}", wanted.0, wanted.1, f64::from(gravity.0) / 1000.0, f64::from(gravity.1) / 1000.0);
            let transform = parse_segment(&options).unwrap().canonical().0;
            let (left, top) = ((f64::from(source.0) * seen.0).floor(), (f64::from(source.1) * seen.1).floor());
            let inside = Crop { left, top, width: f64::from(source.0) - left, height: f64::from(source.1) - top };
            let analysis = Analysis { inside: Some(inside), focus: Some((seen.2, seen.3)) };
            let plan = plan_source(source, Orientation::from_exif(exif), &transform, &analysis, ANY).unwrap();
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
