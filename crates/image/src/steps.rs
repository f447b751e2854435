//! What is done to a picture that has its size, step by step in this order: laid upright, flipped and turned; brightness,
//! contrast, gamma and saturation; blur; sharpening; background and canvas; watermark.

use super::{
    adjust,
    cancel::Cancel,
    error::ImageError,
    geometry::Plan,
    ground::on_ground,
    orientation,
    overlay::{overlay, room},
    picture::Picture,
    probe::probe,
    render::render_one,
    settings::Limits,
};
use crate::transform::{Animation, Fit, Transform, Watermark};

/// The most pixels of a watermark.
const MAX_WATERMARK_PIXELS: u64 = 2_000_000;

/// Files that transforms name beside the source. One that is named and missing is an error: a picture without its watermark must
/// never be taken for the variant that has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras<'a> {
    /// Watermarks by what names them, [`Watermark::source`].
    pub watermarks: &'a [(&'a str, &'a [u8])],
}

/// What the steps are told beside the plan and the transform.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aids<'a> {
    pub(super) extras: &'a Extras<'a>,
    pub(super) limits: &'a Limits,
    pub(super) cancel: &'a Cancel,
}

/// The steps of a transform, ready to be taken with one picture or, frame by frame, with many.
pub(super) struct Steps<'a> {
    plan: &'a Plan,
    transform: &'a Transform,
    mark: Option<(Picture, &'a Watermark)>,
}

impl<'a> Steps<'a> {
    /// Gets the watermark ready, if there is one.
    ///
    /// # Errors
    /// [`ImageError::Watermark`], [`ImageError::Cancelled`]
    pub(super) fn new(plan: &'a Plan, transform: &'a Transform, aids: Aids<'_>) -> Result<Self, ImageError> {
        let mark = match transform.watermark.as_deref() {
            Some(watermark) => Some((mark(plan.output_size(), watermark, aids)?, watermark)),
            None => None,
        };
        Ok(Self { plan, transform, mark })
    }

    /// Takes all steps with a picture that has the plan's size.
    pub(super) fn take(&self, picture: Picture) -> Picture {
        let Self { plan, transform, mark } = self;
        let upright = orientation::apply(plan.orientation, picture);
        let toned = adjust::tone(upright, transform.adjust);
        let blurred = adjust::blur(toned, transform.blur);
        let sharpened = adjust::sharpen(blurred, transform.sharpen);
        let grounded = on_ground(sharpened, transform.background, plan.canvas);
        match mark {
            Some((mark, watermark)) => overlay(grounded, mark, watermark),
            None => grounded,
        }
    }
}

/// The watermark in the size that it has on a picture of `size`: rendered by the engine as any source is.
fn mark(size: (u32, u32), watermark: &Watermark, aids: Aids<'_>) -> Result<Picture, ImageError> {
    let Aids { extras, limits, cancel } = aids;
    let failed = |cause: String| ImageError::Watermark { cause };
    let file = extras.watermarks.iter().find(|(source, _)| *source == watermark.source);
    let (_, bytes) = file.ok_or_else(|| failed("it is missing".to_owned()))?;
    let found = probe(bytes).map_err(|error| failed(error.to_string()))?;
    if found.pixels() > MAX_WATERMARK_PIXELS {
        return Err(failed(format!("it has more than {MAX_WATERMARK_PIXELS} pixels")));
    }
    let (width, height) = room(size, watermark);
    let fitted = Transform {
        width: Some(width),
        height: Some(height),
        fit: Fit::Contain,
        animation: Animation::FirstFrame,
        ..Transform::default()
    };
    match render_one(bytes, &found, &fitted, limits, cancel, &Extras::default()) {
        Ok(rendered) => Ok(rendered.picture),
        Err(ImageError::Cancelled) => Err(ImageError::Cancelled),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
