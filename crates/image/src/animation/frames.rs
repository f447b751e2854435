//! An animation's frames as they are seen: whole canvases, one after another, each with its time. One canvas is in memory,
//! never all of them.

use std::time::Duration;

use super::{apng, canvas::Canvas, canvas::Patch, gif, webp};
use crate::{error::ImageError, format::InputFormat, picture::Picture, probe::Probe};

/// A frame that asks to be shown for no longer than this is shown for `SHORT_AS`: so do browsers, since old pictures ask
/// for no time at all.
const SHORT: Duration = Duration::from_millis(10);
const SHORT_AS: Duration = Duration::from_millis(100);

/// How often an animation is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plays {
    /// Again and again.
    Forever,
    /// So often; at least once.
    Times(u16),
}

impl Plays {
    /// So often; more than can be said in WebP is for ever.
    pub(super) fn times(plays: u32) -> Self {
        u16::try_from(plays).map_or(Self::Forever, |plays| Self::Times(plays.max(1)))
    }
}

/// The frames of a file.
pub(super) struct Frames<'a> {
    source: Source<'a>,
    canvas: Canvas,
    seen: u32,
    /// When the next frame begins.
    clock: Duration,
}

enum Source<'a> {
    Gif(Box<gif::Patches<'a>>),
    Png(Box<apng::Patches<'a>>),
    WebP(webp::Patches<'a>),
}

impl<'a> Frames<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`ImageError::Broken`], and [`ImageError::Unsupported`] for a format whose animations are not read.
    pub(super) fn of(bytes: &'a [u8], probe: &Probe) -> Result<Self, ImageError> {
        let source = match probe.format {
            InputFormat::Gif => Source::Gif(Box::new(gif::Patches::of(bytes)?)),
            InputFormat::Png => Source::Png(Box::new(apng::Patches::of(bytes)?)),
            InputFormat::WebP => Source::WebP(webp::Patches::of(bytes, (probe.width, probe.height))),
            InputFormat::Jpeg | InputFormat::Avif => return Err(ImageError::Unsupported { what: "moving AVIF" }),
        };
        Ok(Self { source, canvas: Canvas::new(probe.width, probe.height), seen: 0, clock: Duration::ZERO })
    }

    /// The next canvas and how many milliseconds it is shown; `None` behind the last, and where a file breaks off behind
    /// its first frame.
    ///
    /// # Errors
    /// [`ImageError::Broken`] where there is no first frame.
    pub(super) fn next(&mut self) -> Result<Option<(&Picture, u32)>, ImageError> {
        let patch = match self.next_patch() {
            Ok(Some(patch)) => patch,
            Ok(None) if self.seen == 0 => return Err(self.without_frames()),
            Ok(None) => return Ok(None),
            Err(error) if self.seen == 0 => return Err(error),
            Err(_) => return Ok(None),
        };
        self.seen += 1;
        self.canvas.draw(&patch);
        let duration_ms = self.advance(patch.duration);
        Ok(Some((self.canvas.picture(), duration_ms)))
    }

    /// The last canvas.
    pub(super) fn into_picture(self) -> Picture {
        self.canvas.into_picture()
    }

    /// How often it is played; known once the first frame was read.
    pub(super) fn plays(&self) -> Plays {
        match &self.source {
            Source::Gif(patches) => patches.plays(),
            Source::Png(patches) => patches.plays(),
            Source::WebP(patches) => patches.plays(),
        }
    }

    fn next_patch(&mut self) -> Result<Option<Patch>, ImageError> {
        match &mut self.source {
            Source::Gif(patches) => patches.next(),
            Source::Png(patches) => patches.next(),
            Source::WebP(patches) => patches.next(),
        }
    }

    /// Whole milliseconds that do not drift from the sum of what was asked for.
    fn advance(&mut self, asked: Duration) -> u32 {
        let before = whole_ms(self.clock);
        self.clock += if asked <= SHORT { SHORT_AS } else { asked };
        u32::try_from(whole_ms(self.clock) - before).unwrap_or(u32::MAX)
    }

    fn without_frames(&self) -> ImageError {
        let format = match self.source {
            Source::Gif(_) => InputFormat::Gif,
            Source::Png(_) => InputFormat::Png,
            Source::WebP(_) => InputFormat::WebP,
        };
        ImageError::broken(format, "it has no frame")
    }
}

fn whole_ms(time: Duration) -> u128 {
    (time.as_micros() + 500) / 1000
}
