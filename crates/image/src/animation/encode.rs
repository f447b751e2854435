//! Animated WebP. Of each frame, libwebp encodes as a still picture what differs from the one before, with or without loss,
//! whichever has fewer bytes; the chunks around them are written here. The `webp` crate's encoder of animations holds all
//! frames at once, loses the last one's time and takes no options.

use webp::{Encoder, WebPConfig};

use super::{
    canvas::{Blend, Place},
    change::{Change, Cut, Grain},
    frames::Plays,
};
use crate::{
    error::ImageError,
    format::OutputFormat::WebP,
    picture::Picture,
    riff::{self, Chunks, Extended, flags, u24, u24_bytes},
    settings::Effort,
};

/// Where an `ANMF` chunk holds its frame's time: behind the chunk's header, place and size.
const DURATION_AT: usize = 8 + 12;

/// The longest time of a frame.
const MAX_DURATION_MS: u32 = (1 << 24) - 1;

/// So many frames go by before both ways are tried again, unless a frame changes little: trying both on all frames takes
/// twice the time where much changes, for no fewer bytes.
const TRY_BOTH_EVERY: u32 = 8;

/// A change is little up to this part of the canvas.
const LITTLE: u32 = 4;

/// An animation in the making.
pub(super) struct AnimationEncoder {
    size: (u32, u32),
    quality: u8,
    effort: Effort,
    /// What is seen at the end of the last frame.
    shown: Option<Picture>,
    /// All `ANMF` chunks.
    frames: Vec<u8>,
    /// Where the last one begins.
    last: usize,
    count: u32,
    coding: Coding,
}

/// How a frame is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Lossy,
    Lossless,
}

impl AnimationEncoder {
    pub(super) const fn new(size: (u32, u32), quality: u8, effort: Effort) -> Self {
        Self { size, quality, effort, shown: None, frames: Vec::new(), last: 0, count: 0, coding: Coding::Lossless }
    }

    /// Bytes so far.
    pub(super) const fn len(&self) -> usize {
        self.frames.len()
    }

    /// Takes a frame in. One that shows nothing new prolongs the last.
    ///
    /// # Errors
    /// [`ImageError::NotEncoded`]
    pub(super) fn add(&mut self, picture: Picture, duration_ms: u32) -> Result<(), ImageError> {
        if (picture.width, picture.height) != self.size {
            return Err(ImageError::not_encoded(WebP, "a frame has another size"));
        }
        let picture = picture.with_alpha();
        let Some(mut shown) = self.shown.take() else {
            let whole = Place { left: 0, top: 0, width: picture.width, height: picture.height };
            let cut = Cut::whole(&picture, whole);
            let (coding, payload) = self.smallest(&[(Coding::Lossy, &cut), (Coding::Lossless, &cut)])?;
            self.coding = coding;
            self.push(cut.place, cut.blend, duration_ms, &payload);
            self.shown = Some(picture);
            return Ok(());
        };
        let outcome = self.add_change(&mut shown, &picture, duration_ms);
        self.shown = Some(shown);
        outcome
    }

    fn add_change(&mut self, shown: &mut Picture, picture: &Picture, duration_ms: u32) -> Result<(), ImageError> {
        let tolerance = match self.coding {
            Coding::Lossy => lossy_tolerance(self.quality),
            Coding::Lossless => 0,
        };
        let Some(change) = Change::between(shown, picture, tolerance) else {
            self.prolong(duration_ms);
            return Ok(());
        };
        let is_little = change.pixels() * u64::from(LITTLE) <= u64::from(self.size.0) * u64::from(self.size.1);
        let tries_both = is_little || self.count.is_multiple_of(TRY_BOTH_EVERY);
        let tries = |coding| tries_both || self.coding == coding;
        let lossy = tries(Coding::Lossy).then(|| change.cut(Grain::Blocks));
        let lossless = tries(Coding::Lossless).then(|| change.cut(Grain::Pixels));
        let candidates: Vec<(Coding, &Cut)> = lossy
            .iter()
            .map(|cut| (Coding::Lossy, cut))
            .chain(lossless.iter().map(|cut| (Coding::Lossless, cut)))
            .collect();
        let (coding, payload) = self.smallest(&candidates)?;
        self.coding = coding;
        if let Some((_, cut)) = candidates.iter().find(|(candidate, _)| *candidate == coding) {
            self.push(cut.place, cut.blend, duration_ms, &payload);
            cut.show_on(shown, picture);
        }
        Ok(())
    }

    /// The file.
    pub(super) fn finish(self, plays: Plays) -> Vec<u8> {
        let has_alpha = self.shown.is_some() && holds_alpha(&self.frames);
        let alpha = if has_alpha { flags::ALPHA } else { 0 };
        let mut chunks = Vec::with_capacity(self.frames.len() + 32);
        if self.count == 1 {
            // What does not move is a still picture, without the frame around it.
            riff::push(&mut chunks, *b"VP8X", &Extended { flags: alpha, canvas: self.size }.content());
            chunks.extend_from_slice(self.frames.get(8 + 16..).unwrap_or_default());
        } else {
            let header = Extended { flags: flags::ANIMATION | alpha, canvas: self.size };
            riff::push(&mut chunks, *b"VP8X", &header.content());
            let loops: u16 = match plays {
                Plays::Forever => 0,
                Plays::Times(plays) => plays,
            };
            // The background is transparent; browsers do not look at it.
            let [low, high] = loops.to_le_bytes();
            riff::push(&mut chunks, *b"ANIM", &[0, 0, 0, 0, low, high]);
            chunks.extend_from_slice(&self.frames);
        }
        riff::webp(&chunks)
    }

    fn push(&mut self, place: Place, blend: Blend, duration_ms: u32, payload: &[u8]) {
        let mut content = Vec::with_capacity(16 + payload.len());
        for number in [place.left / 2, place.top / 2, place.width - 1, place.height - 1] {
            content.extend_from_slice(&u24_bytes(number));
        }
        content.extend_from_slice(&u24_bytes(duration_ms.min(MAX_DURATION_MS)));
        content.push(match blend {
            Blend::Over => 0,
            Blend::Replace => 2,
        });
        content.extend_from_slice(payload);
        self.last = self.frames.len();
        self.count += 1;
        riff::push(&mut self.frames, *b"ANMF", &content);
    }

    fn prolong(&mut self, duration_ms: u32) {
        let at = self.last + DURATION_AT;
        let Some(before) = u24(&self.frames, at) else { return };
        let together = before.saturating_add(duration_ms).min(MAX_DURATION_MS);
        self.frames[at..at + 3].copy_from_slice(&u24_bytes(together));
    }

    fn smallest(&self, candidates: &[(Coding, &Cut)]) -> Result<(Coding, Vec<u8>), ImageError> {
        let mut best: Option<(Coding, Vec<u8>)> = None;
        for (coding, cut) in candidates {
            let payload = self.encode(*coding, cut)?;
            if best.as_ref().is_none_or(|(_, least)| payload.len() < least.len()) {
                best = Some((*coding, payload));
            }
        }
        best.ok_or_else(|| ImageError::not_encoded(WebP, "there is nothing to encode"))
    }

    /// A frame's picture as the chunks `ALPH`, `VP8 ` or `VP8L`.
    fn encode(&self, coding: Coding, cut: &Cut) -> Result<Vec<u8>, ImageError> {
        let config = self.config(coding)?;
        let file = Encoder::from_rgba(&cut.pixels, cut.place.width, cut.place.height)
            .encode_advanced(&config)
            .map_err(|error| ImageError::not_encoded(WebP, &format!("{error:?}")))?;
        let mut payload = Vec::with_capacity(file.len());
        for (kind, content) in Chunks::of_file(&file).filter(|(kind, _)| *kind != b"VP8X") {
            riff::push(&mut payload, *kind, content);
        }
        Ok(payload)
    }

    fn config(&self, coding: Coding) -> Result<WebPConfig, ImageError> {
        let mut config =
            WebPConfig::new().map_err(|()| ImageError::not_encoded(WebP, "libwebp has another version"))?;
        match coding {
            Coding::Lossy => {
                config.quality = f32::from(self.quality);
                config.method = if self.effort == Effort::FirstView { 2 } else { 4 };
            }
            Coding::Lossless => {
                config.lossless = 1;
                // Here it is effort.
                (config.method, config.quality) = if self.effort == Effort::FirstView { (1, 25.0) } else { (4, 75.0) };
            }
        }
        Ok(config)
    }
}

/// Whether any frame has pixels that are not opaque, or may have.
fn holds_alpha(frames: &[u8]) -> bool {
    Chunks::of_content(frames).any(|(_, frame)| {
        Chunks::of_content(frame.get(16..).unwrap_or_default()).any(|(kind, content)| match kind {
            b"ALPH" => true,
            // Behind the signature and two sides of 14 bits.
            b"VP8L" => content.get(4).is_some_and(|byte| byte & 0x10 != 0),
            _ => false,
        })
    })
}

/// By how many levels a channel may differ from what is shown before it is drawn anew, where it is coded with loss anyway:
/// what libwebp's own encoder of animations takes, 4 at quality 80.
fn lossy_tolerance(quality: u8) -> u8 {
    let share = (f32::from(quality) / 100.0).sqrt();
    // Between 0 and 31.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let levels = (31.0 * (1.0 - share) + share) as u8;
    levels
}
