//! What an encoder is told.

use crate::{
    AvifEncoder,
    format::OutputFormat::{self, Avif, Jpeg, Png, WebP},
    settings::Effort,
};

/// What an encoder is told beside the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Make {
    pub(crate) format: OutputFormat,
    pub(crate) coding: Coding,
    pub(crate) effort: Effort,
    pub(crate) avif_encoder: AvifEncoder,
    /// How many threads it may use, at least one. Only AVIF can use more than one.
    pub(crate) threads: usize,
}

/// What of a picture an encoder keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Coding {
    /// What the setting leaves of it; PNG leaves everything.
    Lossy {
        /// In the encoder's own unit: the quality 0-100 of WebP, JPEG and ravif, libaom's quantizer, from 63, the coarsest, to 0.
        setting: f32,
        /// Where the format leaves a choice.
        chroma: Chroma,
    },
    /// Every pixel. JPEG and ravif have no such thing and come as close as they can.
    Lossless,
}

/// At which resolution colour is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chroma {
    /// Half of it each way (4:2:0): for photographs nobody sees it.
    Halved,
    /// All of it (4:4:4): coloured text and lines need it.
    Full,
}

/// An encoder: quality is a matter of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Encoder {
    Libaom,
    Ravif,
    Libwebp,
    Mozjpeg,
    Png,
}

impl Encoder {
    /// The one that makes a format in this build.
    pub(crate) const fn of(format: OutputFormat, avif: AvifEncoder) -> Self {
        match (format, avif) {
            (Avif, AvifEncoder::Libaom) if cfg!(feature = "libaom") => Self::Libaom,
            (Avif, _) => Self::Ravif,
            (WebP, _) => Self::Libwebp,
            (Jpeg, _) => Self::Mozjpeg,
            (Png, _) => Self::Png,
        }
    }

    /// Its setting for a quality of 1-100 on the common scale, which is JPEG's and WebP's own; for AVIF it is what looks
    /// like theirs at 80.
    pub(crate) fn setting(self, quality: u8) -> f32 {
        let quality = f32::from(quality.clamp(1, 100));
        match self {
            Self::Libaom if quality <= 80.0 => 55.0 - ((quality - 1.0) * 30.0 / 79.0).floor(),
            Self::Libaom => ((100.0 - quality) * 25.0 / 20.0).floor(),
            Self::Ravif if quality <= 80.0 => (quality * 0.875).max(1.0),
            Self::Ravif => 70.0 + (quality - 80.0) * 1.5,
            Self::Libwebp | Self::Mozjpeg | Self::Png => quality,
        }
    }

    /// The resolution of colour at a quality on the common scale.
    pub(crate) const fn chroma(self, quality: u8) -> Chroma {
        match self {
            Self::Libaom | Self::Ravif if quality >= 95 => Chroma::Full,
            Self::Mozjpeg if quality >= 90 => Chroma::Full,
            _ => Chroma::Halved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_quality_never_quantizes_more() {
        let quantizer = |quality| Encoder::Libaom.setting(quality);
        assert_eq!([1, 80, 100].map(quantizer), [55.0, 25.0, 0.0]);
        assert!((1..100).all(|quality| quantizer(quality) >= quantizer(quality + 1)));
        assert_eq!([1, 80, 100].map(|quality| Encoder::Ravif.setting(quality)), [1.0, 70.0, 100.0]);
    }

    #[test]
    fn the_best_qualities_keep_all_colour() {
        assert_eq!([94, 95].map(|quality| Encoder::Libaom.chroma(quality)), [Chroma::Halved, Chroma::Full]);
        assert_eq!([89, 90].map(|quality| Encoder::Mozjpeg.chroma(quality)), [Chroma::Halved, Chroma::Full]);
    }
}
