//! From a source to pictures of the sizes that are wanted: one decode, however many of them there are. Rows flow from the
//! decoder to each picture, so that what is held follows the results, not the source.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{
    cancel::Cancel,
    color::{self, Conversion, Converter},
    decode::Rows,
    error::ImageError,
    geometry::{Crop, Plan, plan},
    orientation,
    picture::{Picture, byte_count},
    probe::Probe,
    resample::{Needs, Resample},
    settings::Limits,
    transform::{Color, Transform},
};

/// What lies around a padded picture where nothing is asked for.
const WHITE: [u8; 3] = [255; 3];

/// How many rows go by between two looks at whether the work is still wanted.
const ROWS_BETWEEN_LOOKS: u32 = 64;

/// A picture as it is wanted, ready for any encoder.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub(super) picture: Picture,
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
) -> Result<Vec<Result<Rendered, ImageError>>, ImageError> {
    let (width, height) = (probe.width, probe.height);
    if probe.pixels() > limits.max_pixels {
        return Err(ImageError::SourceTooLarge { width, height, limit: limits.max_pixels });
    }
    let plans: Vec<_> = transforms.iter().map(|transform| plan(probe, transform, limits.max_output_pixels)).collect();
    // libjpeg reports errors by unwinding; in other decoders it would be a mistake of theirs. Nothing that was touched is
    // used again.
    let drawn = catch_unwind(AssertUnwindSafe(|| draw(bytes, probe, &plans, cancel)))
        .unwrap_or_else(|_| Err(ImageError::broken(probe.format, "the decoder gave up")))?;
    Ok(drawn
        .into_iter()
        .zip(transforms)
        .map(|(drawn, transform)| {
            drawn.and_then(|Drawn { sheet, plan, decode }| sheet.finish(&plan, transform, decode))
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
    transform: &Transform,
) -> Result<Picture, ImageError> {
    let mut rows = Rows::of(picture, colors.clone());
    let conversion = Conversion::of(colors);
    let mut sheet = Sheet::new(&rows, probe, plan, &conversion);
    while let Some(row) = rows.next()? {
        if sheet.push(row) == Needs::Nothing {
            break;
        }
    }
    Ok(sheet.finish(plan, transform, Duration::ZERO)?.picture)
}

type Planned = Result<Plan, ImageError>;

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

    /// Lays it upright, on its ground and canvas.
    fn finish(self, plan: &Plan, transform: &Transform, decode: Duration) -> Result<Rendered, ImageError> {
        let started = Instant::now();
        let picture = match self.rows {
            SheetRows::Whole(Picture { width, height, channels, pixels }) => {
                Picture::new(width, height, channels, pixels)
            }
            SheetRows::Resampled(resample) => resample.picture(),
        };
        let picture = picture.ok_or(ImageError::RowsMissing)?;
        let colored = color::to_srgb(picture, &self.colors);
        let upright = orientation::apply(plan.orientation, colored.without_idle_alpha());
        let background = transform.background.map(|Color { r, g, b, .. }| [r, g, b]);
        let grounded = match background {
            Some(background) => upright.flattened(background),
            None => upright,
        };
        let picture = match plan.canvas {
            Some(canvas) => grounded.on_canvas(canvas.size, canvas.at, background.unwrap_or(WHITE)),
            None => grounded,
        };
        Ok(Rendered { picture, decode, resize: self.resize + started.elapsed() })
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
