//! From a source to pictures of the sizes that are wanted: one decode, however many of them there are. Rows flow from the
//! decoder to each picture, so that what is held follows the results, not the source.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{
    analysis::analyze,
    cancel::Cancel,
    color::{self, Conversion, Converter},
    cost::trimmed_pixels,
    decode::Rows,
    error::ImageError,
    geometry::{Crop, Plan, plan},
    metadata::{self, Carried},
    orientation,
    picture::{Channels, Picture, byte_count},
    probe::Probe,
    resample::{Needs, Resample},
    settings::Limits,
    steps::{Aids, Extras, Steps},
    transform::Transform,
};

/// A picture as it is wanted, ready for any encoder.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub(super) picture: Picture,
    /// What of the source's metadata goes along.
    pub(super) carried: Carried,
    /// What decoding took, shared by all that was rendered with it.
    pub(super) decode: Duration,
    /// What it took from decoded rows to this picture.
    pub(super) resize: Duration,
}

impl Rendered {
    /// Pixels across and down.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        (self.picture.width, self.picture.height)
    }
}

/// Renders each transform of a source. The outer error is the source's, an inner one the transform's.
///
/// # Errors
/// [`ImageError`]
pub fn render(
    bytes: &[u8],
    probe: &Probe,
    transforms: &[&Transform],
    limits: &Limits,
    cancel: &Cancel,
    extras: &Extras<'_>,
) -> Result<Vec<Result<Rendered, ImageError>>, ImageError> {
    probe.check(limits)?;
    let drawn = catching(probe, || {
        let plans = transforms.iter().map(|transform| planned(bytes, probe, transform, limits, cancel));
        draw(bytes, probe, &plans.collect::<Result<Vec<_>, _>>()?, cancel)
    })?;
    let aids = Aids { extras, limits, cancel };
    Ok(drawn
        .into_iter()
        .zip(transforms)
        .map(|(drawn, transform)| {
            drawn
                .and_then(|Drawn { sheet, plan, decode }| sheet.finish(&plan, transform, decode, aids))
                .map(|rendered| Rendered { carried: metadata::of(bytes, probe, transform.metadata), ..rendered })
        })
        .collect())
}

/// Renders one transform of a source.
///
/// # Errors
/// [`ImageError`]
pub fn render_one(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    limits: &Limits,
    cancel: &Cancel,
    extras: &Extras<'_>,
) -> Result<Rendered, ImageError> {
    let rendered = render(bytes, probe, &[transform], limits, cancel, extras)?;
    rendered.into_iter().next().unwrap_or(Err(ImageError::RowsMissing))
}

/// Renders one frame of an animation.
///
/// # Errors
/// [`ImageError::RowsMissing`]
pub(super) fn render_frame(
    frame: &Picture,
    conversion: &Conversion,
    probe: &Probe,
    plan: &Plan,
    steps: &Steps<'_>,
) -> Result<Picture, ImageError> {
    let mut sheet = Sheet::new((frame.width, frame.height), frame.channels, probe, plan, conversion);
    let _ = frame.rows().map(|row| sheet.push(row)).find(|needs| *needs == Needs::Nothing);
    Ok(steps.take(sheet.picture()?))
}

type Planned = Result<Plan, ImageError>;

/// libjpeg reports errors by unwinding; in other decoders it would be a mistake of theirs. Nothing that was touched is used
/// again.
fn catching<T>(probe: &Probe, decode: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(ImageError::broken(probe.format, "the decoder gave up")))
}

/// Plans one transform, after a look at the source where it needs one.
///
/// # Errors
/// [`ImageError`]
pub(super) fn plan_seen(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Plan, ImageError> {
    catching(probe, || planned(bytes, probe, transform, limits, cancel))?
}

/// The outer error is the source's, the inner one the transform's. Call it inside `catch_unwind`, as [`Rows::open`].
fn planned(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Planned, ImageError> {
    let analysis = analyze(bytes, probe, transform, limits, cancel)?;
    // No larger than it is admitted for, whatever was cut off.
    let max_pixels = trimmed_pixels(probe, transform, limits).unwrap_or(limits.max_output_pixels);
    Ok(plan(probe, transform, &analysis, max_pixels))
}

/// Decodes for one picture, which stays as the source lies but for the plan's orientation: no further steps are taken. Call it
/// inside `catch_unwind`, as [`Rows::open`].
pub(super) fn draw_one(bytes: &[u8], probe: &Probe, plan: &Plan, cancel: &Cancel) -> Result<Picture, ImageError> {
    let drawn = draw(bytes, probe, &[Ok(*plan)], cancel)?.into_iter().next();
    let Drawn { sheet, plan, .. } = drawn.unwrap_or(Err(ImageError::RowsMissing))?;
    Ok(orientation::apply(plan.orientation, sheet.picture()?))
}

/// A picture whose rows have all come.
struct Drawn {
    sheet: Sheet,
    plan: Plan,
    decode: Duration,
}

fn draw(
    bytes: &[u8],
    probe: &Probe,
    plans: &[Planned],
    cancel: &Cancel,
) -> Result<Vec<Result<Drawn, ImageError>>, ImageError> {
    let mut clock = Stopwatch::started();
    let needed = plans.iter().flatten().map(Plan::needed).fold(0.0, f64::max);
    let mut rows = Rows::open(bytes, probe, needed)?;
    let conversion = Conversion::of(&rows.colors);
    let (size, channels) = (rows.size, rows.channels);
    let sheet = |plan: &Plan| Sheet::new(size, channels, probe, plan, &conversion);
    let mut sheets: Vec<Result<Sheet, ImageError>> =
        plans.iter().map(|plan| plan.as_ref().map(sheet).map_err(Clone::clone)).collect();
    let mut decode = clock.lap();
    for at in 0u32.. {
        cancel.check_row(at)?;
        let Some(row) = rows.next()? else { break };
        decode += clock.lap();
        let mut wanted = false;
        for sheet in sheets.iter_mut().flatten() {
            wanted |= sheet.push(row) == Needs::More;
            sheet.resize += clock.lap();
        }
        if !wanted {
            break;
        }
    }
    let drawn =
        |(sheet, plan): (Result<Sheet, ImageError>, &Planned)| Ok(Drawn { sheet: sheet?, plan: plan.clone()?, decode });
    Ok(sheets.into_iter().zip(plans).map(drawn).collect())
}

/// Where rows go.
struct Sheet {
    rows: SheetRows,
    channels: Channels,
    conversion: Conversion,
    resize: Duration,
}

enum SheetRows {
    /// As they are, neither cut nor resized: they are converted together in the end.
    Whole(Picture),
    /// To their size. Grey is converted before, in a row of its own, and colours on their way out.
    Resampled(Box<Resample>, Vec<u8>),
}

impl Sheet {
    /// For rows of a picture of `size`, perhaps a reduction of the source.
    fn new(size: (u32, u32), channels: Channels, probe: &Probe, plan: &Plan, conversion: &Conversion) -> Self {
        let (width, height) = size;
        let crop = scaled(plan.crop, (probe.width, probe.height), size);
        let is_whole = crop == Crop::whole(size) && plan.size == size;
        let rows = if is_whole {
            let pixels = Vec::with_capacity(byte_count(width, height, channels.count()));
            SheetRows::Whole(Picture { width, height, channels, pixels })
        } else {
            let converter = match conversion {
                Conversion::Profile(profile) => Converter::new(profile),
                Conversion::None | Conversion::Gray(_) => None,
            };
            let resample = Resample::new(size, channels, crop, plan.size, converter);
            SheetRows::Resampled(Box::new(resample), Vec::new())
        };
        Self { rows, channels, conversion: conversion.clone(), resize: Duration::ZERO }
    }

    fn push(&mut self, row: &[u8]) -> Needs {
        match (&mut self.rows, &self.conversion) {
            (SheetRows::Whole(picture), _) => {
                picture.pixels.extend_from_slice(row);
                Needs::More
            }
            (SheetRows::Resampled(resample, gray), Conversion::Gray(levels)) => {
                gray.clear();
                gray.extend_from_slice(row);
                color::regray(gray, self.channels, levels);
                resample.push(gray)
            }
            (SheetRows::Resampled(resample, _), _) => resample.push(row),
        }
    }

    /// The picture that its rows made, in sRGB.
    fn picture(self) -> Result<Picture, ImageError> {
        let picture = match self.rows {
            SheetRows::Whole(Picture { width, height, channels, pixels }) => {
                let whole = Picture::new(width, height, channels, pixels);
                whole.map(|whole| color::to_srgb(whole, &self.conversion))
            }
            SheetRows::Resampled(resample, _) => resample.picture(),
        };
        Ok(picture.ok_or(ImageError::RowsMissing)?.without_idle_alpha())
    }

    /// Takes the steps that come after its size.
    fn finish(
        self,
        plan: &Plan,
        transform: &Transform,
        decode: Duration,
        aids: Aids<'_>,
    ) -> Result<Rendered, ImageError> {
        let started = Instant::now();
        let resize = self.resize;
        let steps = Steps::new(plan, transform, aids)?;
        let picture = steps.take(self.picture()?);
        Ok(Rendered { picture, carried: Carried::default(), decode, resize: resize + started.elapsed() })
    }
}

/// A part of the source in the pixels of a reduction of it.
fn scaled(crop: Crop, source: (u32, u32), reduced: (u32, u32)) -> Crop {
    if source == reduced {
        return crop;
    }
    let across = f64::from(reduced.0) / f64::from(source.0);
    let down = f64::from(reduced.1) / f64::from(source.1);
    let (left, top) = (crop.left * across, crop.top * down);
    // Rounding must not reach over the edge.
    let width = (crop.width * across).min(f64::from(reduced.0) - left);
    let height = (crop.height * down).min(f64::from(reduced.1) - top);
    Crop { left, top, width, height }
}

/// Tells how long each of alternating stages takes.
struct Stopwatch(Instant);

impl Stopwatch {
    fn started() -> Self {
        Self(Instant::now())
    }

    /// The time since the last lap.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{color::ColorSpace, options::parse_segment};

    /// A GIF of 8 × 8 whose pixels nobody looks at.
    const HEADER: &[u8] = b"GIF89a\x08\0\x08\0\0\0\0";

    #[test]
    fn a_frame_of_grey_is_converted_whether_or_not_it_is_resized() {
        let profile = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let conversion = Conversion::of(&ColorSpace::Icc(profile));
        let frame = Picture::new(8, 8, Channels::Rgb, vec![50; 8 * 8 * 3]).unwrap();
        let probe = crate::probe(HEADER).unwrap();
        let (extras, limits, cancel) = (Extras::default(), Limits::DEFAULT, Cancel::default());
        for options in ["w=8", "w=4"] {
            let transform = parse_segment(options).unwrap().canonical().0;
            let plan = plan(&probe, &transform, &Default::default(), 1_000).unwrap();
            let aids = Aids { extras: &extras, limits: &limits, cancel: &cancel };
            let steps = Steps::new(&plan, &transform, aids).unwrap();
            let made = render_frame(&frame, &conversion, &probe, &plan, &steps).unwrap();
            // Level 50 of 255 in light, and not by sRGB's curve.
            assert!(made.pixels.iter().all(|level| level.abs_diff(122) <= 1), "{options}: {:?}", &made.pixels[..3]);
        }
    }
}
