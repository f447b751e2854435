//! Encodes a picture as good as was asked for: at a setting, or so that it scores what it shall.

use super::{
    Content,
    correct::{Scale, TOLERANCE, Try, chosen, next},
    features::Features,
    measure::{Reference, is_measurable},
    predict::predict,
    way::{LOSSLESS_WORTH, Way, effort, way},
};
use crate::{
    AvifEncoder, Effort,
    encode::{Chroma, Coding, Encoder, Make, encode},
    error::ImageError,
    format::OutputFormat,
    picture::Picture,
    transform::Quality,
};

/// What is ordered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) quality: Quality,
    pub(crate) format: OutputFormat,
    pub(crate) avif_encoder: AvifEncoder,
    pub(crate) effort: Effort,
    /// How many threads the encoder may use.
    pub(crate) threads: usize,
    /// What was made of the same picture at first, where it is made again: what that scores helps to foretell.
    pub(crate) first_view: Option<&'a [u8]>,
}

/// A file, and what was measured of it if it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aim {
    pub(crate) bytes: Vec<u8>,
    pub(crate) measured: Option<Measured>,
}

/// What a variant scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// SSIMULACRA2 against the picture that was encoded; 100 without loss.
    pub score: f32,
    /// The encoder's setting, in its own unit; `None` without loss.
    pub setting: Option<f32>,
    /// How often it was encoded before it was kept.
    pub tries: u8,
    /// What the first view scored, if there was one to measure.
    pub first_view: Option<f32>,
}

/// Encodes a picture. What is made for the first view is not measured: that takes longer than encoding does.
///
/// # Errors
/// As encoding has them.
pub(crate) fn aim(picture: &Picture, order: &Order<'_>) -> Result<Aim, ImageError> {
    let encoder = Encoder::of(order.format, order.avif_encoder);
    let features = Features::of(picture);
    let content = Content::of(&features);
    let job = Job { picture, order, encoder, effort: effort(encoder, content, order.effort) };
    let target = match order.quality {
        Quality::Setting(quality) => return job.at_setting(quality, content),
        Quality::Target(target) => f32::from(target),
    };
    match way(job.encoder, content, order.effort) {
        Way::Lossless => job.lossless(),
        Way::Lossy(chroma) => {
            let lossy = job.lossy(chroma, (content, &features), target)?;
            // Where halved colour keeps it from its target whatever the setting.
            let misses = lossy.measured.is_some_and(|measured| measured.score < target - 2.0 * TOLERANCE);
            match (misses, encoder) {
                (true, Encoder::Libwebp) => job.lossless(),
                (true, Encoder::Mozjpeg) => job.lossy(Chroma::Full, (Content::Graphic, &features), target),
                _ => Ok(lossy),
            }
        }
        Way::Either(chroma) => {
            let (whole, lossy) = (job.lossless()?, job.lossy(chroma, (content, &features), target)?);
            let worth = (lossy.bytes.len() as f64 * LOSSLESS_WORTH) as usize;
            let first_view = lossy.measured.and_then(|measured| measured.first_view);
            let measured = whole.measured.map(|measured| Measured { first_view, ..measured });
            Ok(if whole.bytes.len() <= worth { Aim { measured, ..whole } } else { lossy })
        }
    }
}

struct Job<'a> {
    picture: &'a Picture,
    order: &'a Order<'a>,
    encoder: Encoder,
    effort: Effort,
}

impl Job<'_> {
    fn encode(&self, coding: Coding) -> Result<Vec<u8>, ImageError> {
        let Order { format, avif_encoder, threads, .. } = *self.order;
        encode(self.picture, &Make { format, coding, effort: self.effort, avif_encoder, threads })
    }

    fn at_setting(&self, quality: u8, content: Content) -> Result<Aim, ImageError> {
        let chroma = if content == Content::Photograph { self.encoder.chroma(quality) } else { Chroma::Full };
        let setting = self.encoder.setting(quality);
        Ok(Aim { bytes: self.encode(Coding::Lossy { setting, chroma })?, measured: None })
    }

    fn lossless(&self) -> Result<Aim, ImageError> {
        let bytes = self.encode(Coding::Lossless)?;
        let measured = Measured { score: 100.0, setting: None, tries: 1, first_view: None };
        Ok(Aim { bytes, measured: Some(measured) })
    }

    fn lossy(&self, chroma: Chroma, (content, features): (Content, &Features), target: f32) -> Result<Aim, ImageError> {
        let foretold = |target| predict((self.encoder, self.effort, content), features, target);
        let measurable = self.order.effort == Effort::Refined && is_measurable(self.order.format);
        let reference = if measurable { Reference::of(self.picture) } else { None };
        let Some(reference) = reference else {
            let (setting, _) = foretold(target);
            return Ok(Aim { bytes: self.encode(Coding::Lossy { setting, chroma })?, measured: None });
        };
        // A first view that cannot be read tells nothing.
        let first_view = self.order.first_view.and_then(|file| reference.score(file, self.order.format).ok());
        // By how much the first was off, this one would be too: it is the same picture.
        let off = first_view.map_or(0.0, |score| (target - score).clamp(-15.0, 15.0));
        let (setting, scale) = foretold(target + off);
        self.corrected(&reference, (setting, chroma), target, &scale, first_view)
    }

    fn corrected(
        &self,
        reference: &Reference,
        (mut setting, chroma): (f32, Chroma),
        target: f32,
        scale: &Scale,
        first_view: Option<f32>,
    ) -> Result<Aim, ImageError> {
        let (mut files, mut tries) = (Vec::new(), Vec::new());
        loop {
            let bytes = self.encode(Coding::Lossy { setting, chroma })?;
            tries.push(Try { setting, score: reference.score(&bytes, self.order.format)? });
            files.push(bytes);
            match next(target, &tries, scale) {
                Some(another) => setting = another,
                None => break,
            }
        }
        let kept = chosen(target, &tries).unwrap_or(0);
        let Try { setting, score } = tries[kept];
        let count = u8::try_from(tries.len()).unwrap_or(u8::MAX);
        let measured = Measured { score, setting: Some(setting), tries: count, first_view };
        Ok(Aim { bytes: files.swap_remove(kept), measured: Some(measured) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Cancel, Extras, Limits, Settings, develop,
        format::OutputFormat::{Avif, Jpeg, Png, WebP},
        options::parse_segment,
        picture::Channels,
        probe,
        quality::{TOLERANCE, measure::decoded},
        refine,
    };

    const SETTINGS: Settings = Settings { limits: Limits::DEFAULT, avif_encoder: AvifEncoder::Libaom };
    const PHOTOGRAPH: &[u8] = include_bytes!("../../../../demo/pictures/coffee.jpg");

    fn order(format: OutputFormat, effort: Effort) -> Order<'static> {
        let avif_encoder = AvifEncoder::Libaom;
        Order { quality: Quality::Target(72), format, avif_encoder, effort, threads: 1, first_view: None }
    }

    /// Rows of upright strokes, as letters are.
    fn letters() -> Picture {
        let pixels = (0..300 * 200u32).flat_map(|at| [if at / 300 % 16 < 8 && at % 300 % 7 == 0 { 0 } else { 255 }; 3]);
        Picture::new(300, 200, Channels::Rgb, pixels.collect()).unwrap()
    }

    #[test]
    fn a_photograph_reaches_its_target_in_every_format() {
        let found = probe(PHOTOGRAPH).unwrap();
        let asked = parse_segment("w=300").unwrap().canonical().0;
        let cancel = Cancel::default();
        for target in [60, 72] {
            let transform = crate::Transform { quality: Some(Quality::Target(target)), ..asked.clone() };
            for format in [Avif, WebP, Jpeg].into_iter().filter(|format| is_measurable(*format)) {
                let first = develop(
                    PHOTOGRAPH,
                    &found,
                    &transform,
                    format,
                    &SETTINGS,
                    Effort::FirstView,
                    &cancel,
                    &Extras::default(),
                )
                .unwrap();
                assert_eq!(first.quality, None, "nobody waits for measuring");
                let refined = refine(
                    PHOTOGRAPH,
                    &found,
                    &transform,
                    format,
                    &SETTINGS,
                    &first.bytes,
                    &cancel,
                    &Extras::default(),
                )
                .unwrap();
                let measured = refined.quality.unwrap();
                let off = (measured.score - f32::from(target)).abs();
                assert!(off <= TOLERANCE, "{format:?} for {target}: {measured:?}");
                assert!((measured.first_view.unwrap() - f32::from(target)).abs() < 10.0, "{format:?}: {measured:?}");
            }
        }
    }

    #[test]
    fn letters_keep_every_pixel() {
        let picture = letters();
        for (format, effort) in [(WebP, Effort::FirstView), (WebP, Effort::Refined), (Png, Effort::FirstView)] {
            let Aim { bytes, measured } = aim(&picture, &order(format, effort)).unwrap();
            assert_eq!(decoded(&bytes).unwrap(), picture, "{format:?} {effort:?}");
            assert_eq!(measured.map(|measured| (measured.score, measured.setting)), Some((100.0, None)));
        }
    }

    #[test]
    fn a_setting_is_a_setting() {
        let picture = letters();
        let settled = Order { quality: Quality::Setting(50), ..order(WebP, Effort::Refined) };
        let Aim { bytes, measured } = aim(&picture, &settled).unwrap();
        assert_eq!(measured, None);
        assert_ne!(decoded(&bytes).unwrap(), picture);
    }

    #[test]
    fn a_first_view_that_cannot_be_read_does_not_matter() {
        let picture = letters();
        let again = Order { first_view: Some(b"nothing"), ..order(Jpeg, Effort::Refined) };
        assert_eq!(aim(&picture, &again).unwrap().measured.unwrap().first_view, None);
    }
}
