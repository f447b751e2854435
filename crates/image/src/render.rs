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
    decode::Rows,
    error::ImageError,
    geometry::{Crop, Plan, plan},
    metadata::{self, Carried},
    orientation,
    picture::{Picture, byte_count},
    probe::Probe,
    resample::{Needs, Resample},
    settings::Limits,
    steps::{Aids, Extras, Steps},
    transform::Transform,
};

/// How many rows go by between two looks at whether the work is still wanted.
const ROWS_BETWEEN_LOOKS: u32 = 64;

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
    let (width, height) = (probe.width, probe.height);
    if probe.pixels() > limits.max_pixels {
        return Err(ImageError::SourceTooLarge { width, height, limit: limits.max_pixels });
    }
    let drawn = catching(probe, || {
        let plans = planned(bytes, probe, transforms, limits, cancel)?;
        draw(bytes, probe, &plans, cancel)
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

/// Renders one frame of an animation.
///
/// # Errors
/// [`ImageError::RowsMissing`]
pub(super) fn render_frame(
    picture: Picture,
    colors: &color::ColorSpace,
    probe: &Probe,
    plan: &Plan,
    steps: &Steps<'_>,
) -> Result<Picture, ImageError> {
    let mut rows = Rows::of(picture, colors.clone());
    let conversion = Conversion::of(colors);
    let mut sheet = Sheet::new(&rows, probe, plan, &conversion);
    while let Some(row) = rows.next()? {
        if sheet.push(row) == Needs::Nothing {
            break;
        }
    }
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
    let analysis = catching(probe, || analyze(bytes, probe, transform, limits, cancel))?;
    plan(probe, transform, &analysis, limits.max_output_pixels)
}

/// Plans each transform, after a look at the source where it needs one.
fn planned(
    bytes: &[u8],
    probe: &Probe,
    transforms: &[&Transform],
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Vec<Planned>, ImageError> {
    let planned = |transform: &&Transform| {
        let analysis = analyze(bytes, probe, transform, limits, cancel)?;
        Ok(plan(probe, transform, &analysis, limits.max_output_pixels))
    };
    transforms.iter().map(planned).collect()
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
    let channels = rows.channels;
    let mut sheets: Vec<Result<Sheet, ImageError>> = plans
        .iter()
        .map(|plan| plan.as_ref().map(|plan| Sheet::new(&rows, probe, plan, &conversion)).map_err(Clone::clone))
        .collect();
    let mut decode = clock.lap();
    let mut gray_row = Vec::new();
    for at in 0u32.. {
        if at.is_multiple_of(ROWS_BETWEEN_LOOKS) {
            cancel.check()?;
        }
        let Some(mut row) = rows.next()? else { break };
        decode += clock.lap();
        if let Conversion::Gray(levels) = &conversion {
            gray_row.clear();
            color::push_gray(row, channels, levels, &mut gray_row);
            row = &gray_row;
        }
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
    colors: color::ColorSpace,
    resize: Duration,
}

enum SheetRows {
    /// As they are: neither cut nor resized.
    Whole(Picture),
    /// To their size.
    Resampled(Box<Resample>),
}

impl Sheet {
    fn new(rows: &Rows<'_>, probe: &Probe, plan: &Plan, conversion: &Conversion) -> Self {
        let (width, height) = rows.size;
        let crop = scaled(plan.crop, (probe.width, probe.height), rows.size);
        let is_whole = crop == Crop::whole(rows.size) && plan.size == rows.size;
        if is_whole {
            let pixels = Vec::with_capacity(byte_count(width, height, rows.channels.count()));
            let colors = if matches!(conversion, Conversion::Profile(_)) {
                rows.colors.clone()
            } else {
                color::ColorSpace::Srgb
            };
            let picture = Picture { width, height, channels: rows.channels, pixels };
            return Self { rows: SheetRows::Whole(picture), colors, resize: Duration::ZERO };
        }
        let converter = match conversion {
            Conversion::Profile(profile) => Converter::new(profile),
            Conversion::None | Conversion::Gray(_) => None,
        };
        let resample = Resample::new(rows.size, rows.channels, crop, plan.size, converter);
        Self { rows: SheetRows::Resampled(Box::new(resample)), colors: color::ColorSpace::Srgb, resize: Duration::ZERO }
    }

    fn push(&mut self, row: &[u8]) -> Needs {
        match &mut self.rows {
            SheetRows::Whole(picture) => {
                picture.pixels.extend_from_slice(row);
                Needs::More
            }
            SheetRows::Resampled(resample) => resample.push(row),
        }
    }

    /// The picture that its rows made, in sRGB.
    fn picture(self) -> Result<Picture, ImageError> {
        let picture = match self.rows {
            SheetRows::Whole(Picture { width, height, channels, pixels }) => {
                Picture::new(width, height, channels, pixels)
            }
            SheetRows::Resampled(resample) => resample.picture(),
        };
        let colored = color::to_srgb(picture.ok_or(ImageError::RowsMissing)?, &self.colors);
        Ok(colored.without_idle_alpha())
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
