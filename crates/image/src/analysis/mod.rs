//! What has to be seen of a source before a transform of it can be planned: where its border ends (`trim=auto`, in `border`),
//! and where there is the most to see (`gravity=auto`, in `saliency`). It costs a decode of its own, which for `gravity=auto`
//! is reduced where the decoder can.

mod border;
mod saliency;

use self::border::{Border, Found};
use super::{
    cancel::Cancel,
    decode::Rows,
    error::ImageError,
    geometry::{self, Crop},
    probe::Probe,
    render,
    settings::Limits,
};
use crate::transform::{Fit, Gravity, Transform, Trim};

/// The longer side of the small picture in which what there is to see is looked for.
const SMALL_SIDE: u32 = 256;

/// What was seen of a source; by default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Analysis {
    /// What is left without its border, in pixels of the source as it is stored.
    pub(super) inside: Option<Crop>,
    /// The point with the most to see around it, as parts of the width and the height of what is trimmed and cut out, as it
    /// lies in the end.
    pub(super) focus: Option<(f64, f64)>,
}

/// Whether a transform can only be planned when its source has been seen.
#[must_use]
pub const fn needs_analysis(transform: &Transform) -> bool {
    matches!(transform.trim, Some(Trim::Border { .. })) || matches!(transform.gravity, Gravity::Auto)
}

/// Looks at a source as far as a transform needs it. Call it inside `catch_unwind`, as [`Rows::open`].
///
/// # Errors
/// [`ImageError`]
pub(super) fn analyze(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Analysis, ImageError> {
    let inside = match transform.trim {
        Some(Trim::Border { tolerance }) => inside_border(bytes, probe, tolerance, cancel)?,
        Some(Trim::Sides { .. }) | None => None,
    };
    let without_focus = Analysis { inside, focus: None };
    let focus = match transform.gravity {
        Gravity::Auto => focus(bytes, probe, transform, &without_focus, limits, cancel)?,
        Gravity::At(_) => None,
    };
    Ok(Analysis { inside, focus })
}

fn inside_border(bytes: &[u8], probe: &Probe, tolerance: u8, cancel: &Cancel) -> Result<Option<Crop>, ImageError> {
    // A reduction would blur the edge over several pixels of the source.
    let mut rows = Rows::open(bytes, probe, 1.0)?;
    let mut border = Border::new(rows.channels, tolerance);
    for at in 0u32.. {
        cancel.check_row(at)?;
        let Some(row) = rows.next()? else { break };
        border.push(row);
    }
    Ok(border.found().map(|Found { left, top, right, bottom }| Crop {
        left: left.into(),
        top: top.into(),
        width: (right - left).into(),
        height: (bottom - top).into(),
    }))
}

fn focus(
    bytes: &[u8],
    probe: &Probe,
    transform: &Transform,
    analysis: &Analysis,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Option<(f64, f64)>, ImageError> {
    let share = geometry::cut_share(probe, transform, analysis);
    if share.0 >= 1.0 && share.1 >= 1.0 {
        return Ok(None);
    }
    let small = Transform {
        width: Some(SMALL_SIDE),
        height: Some(SMALL_SIDE),
        fit: Fit::ScaleDown,
        trim: transform.trim,
        crop: transform.crop,
        flip: transform.flip,
        rotate: transform.rotate,
        ..Transform::default()
    };
    let plan = geometry::plan(probe, &small, analysis, limits.max_output_pixels)?;
    let picture = render::draw_one(bytes, probe, &plan, cancel)?;
    Ok(Some(saliency::focus(&picture, share)))
}
