//! A picture as encoders get it, for those who calibrate and measure from outside: what it shows, and what any setting of any
//! encoder makes of it.

use super::{
    Content, Measured,
    aim::{Aim, Order, aim},
    features::Features,
    measure::Reference,
    predict,
};
use crate::{
    AvifEncoder, Cancel, Effort, Extras, ImageError, Limits,
    encode::{Chroma, Coding, Make, encode},
    format::OutputFormat,
    picture::{Channels, Picture},
    probe,
    render::render_one,
    transform::{Quality, Transform},
};

/// A picture as encoders get it.
pub struct Specimen {
    picture: Picture,
    features: Features,
    reference: Option<Reference>,
}

/// How a specimen is encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct How {
    /// To what.
    pub format: OutputFormat,
    /// By what.
    pub avif_encoder: AvifEncoder,
    /// How slowly.
    pub effort: Effort,
    /// The encoder's own setting; `None` is without loss.
    pub setting: Option<f32>,
    /// Whether colour keeps its full resolution where the format leaves a choice.
    pub full_chroma: bool,
}

impl Specimen {
    /// The picture in `bytes`, reduced to `width` if it is wider.
    ///
    /// # Errors
    /// As [`develop`] has them.
    pub fn of(bytes: &[u8], width: u32) -> Result<Self, ImageError> {
        let transform = Transform { width: Some(width), ..Transform::default() };
        let found = probe(bytes)?;
        let (limits, cancel, extras) = (Limits::DEFAULT, Cancel::default(), Extras::default());
        let picture = render_one(bytes, &found, &transform, &limits, &cancel, &extras)?.picture;
        Ok(Self { features: Features::of(&picture), reference: Reference::of(&picture), picture })
    }

    /// Pixels across and down.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        (self.picture.width, self.picture.height)
    }

    /// Whether something of it is transparent.
    #[must_use]
    pub fn has_alpha(&self) -> bool {
        self.picture.channels == Channels::Rgba
    }

    /// What kind it is taken for.
    #[must_use]
    pub fn content(&self) -> Content {
        Content::of(&Features::of(&self.picture))
    }

    /// What is known of it, as text.
    #[must_use]
    pub fn features(&self) -> String {
        format!("{:?}", self.features)
    }

    /// What predictions are made from.
    #[must_use]
    pub fn inputs(&self) -> [f32; predict::INPUTS] {
        predict::inputs(&self.features)
    }

    /// Encodes it.
    ///
    /// # Errors
    /// [`ImageError::NotEncoded`]
    pub fn encode(&self, how: How) -> Result<Vec<u8>, ImageError> {
        let How { format, avif_encoder, effort, setting, full_chroma } = how;
        let chroma = if full_chroma { Chroma::Full } else { Chroma::Halved };
        let coding = setting.map_or(Coding::Lossless, |setting| Coding::Lossy { setting, chroma });
        encode(&self.picture, &Make { format, coding, effort, avif_encoder, threads: 1 })
    }

    /// What a file of it scores.
    ///
    /// # Errors
    /// [`ImageError::NotEncoded`] where it is no file of it.
    pub fn score(&self, file: &[u8], format: OutputFormat) -> Result<f32, ImageError> {
        let reference = self.reference.as_ref().ok_or_else(|| ImageError::not_encoded(format, "not measurable"))?;
        reference.score(file, format)
    }

    /// Compares nothing, but makes all that comparing needs: for measuring what that takes.
    #[must_use]
    pub fn prepare(&self) -> bool {
        Reference::of(&self.picture).is_some()
    }

    /// Makes what a visitor gets for a target, and tells what was measured if it was.
    ///
    /// # Errors
    /// [`ImageError::NotEncoded`]
    pub fn aim(
        &self,
        target: u8,
        (format, avif_encoder): (OutputFormat, AvifEncoder),
        effort: Effort,
        first_view: Option<&[u8]>,
    ) -> Result<(Vec<u8>, Option<Measured>), ImageError> {
        let quality = Quality::Target(target);
        let order = Order { quality, format, avif_encoder, effort, threads: 1, first_view };
        let Aim { bytes, measured } = aim(&self.picture, &order)?;
        Ok((bytes, measured))
    }
}
