//! How what kind of picture is best kept in what format: rules from what was measured (`docs/performance.md`).

use super::content::Content::{self, Graphic, Lettering, Mixed, Photograph};
use crate::{
    encode::{Chroma, Encoder},
    settings::Effort,
};

/// How a picture is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// With all its pixels.
    Lossless,
    /// As good as it shall be.
    Lossy(Chroma),
    /// With all its pixels if that hardly takes more bytes ([`LOSSLESS_WORTH`]), else as good as it shall be.
    Either(Chroma),
}

/// How many times the bytes it may take to keep every pixel: letters show what a score of 72 leaves out.
pub(crate) const LOSSLESS_WORTH: f64 = 1.25;

/// How to keep a picture.
pub(crate) const fn way(encoder: Encoder, content: Content, effort: Effort) -> Way {
    match (encoder, content, effort) {
        (Encoder::Png, ..) | (Encoder::Libwebp, Lettering, Effort::FirstView) => Way::Lossless,
        (Encoder::Libwebp, Lettering | Graphic, Effort::Refined) => Way::Either(Chroma::Halved),
        (Encoder::Libwebp, ..) | (_, Photograph, _) | (Encoder::Mozjpeg, Mixed, _) => Way::Lossy(Chroma::Halved),
        (_, Lettering | Graphic | Mixed, _) => Way::Lossy(Chroma::Full),
    }
}

/// How much time its encoder takes at least. What libaom does for graphics (palettes, copies within the picture) it leaves out
/// at its fastest: there it takes two to three times the bytes.
pub(crate) const fn effort(encoder: Encoder, content: Content, effort: Effort) -> Effort {
    match (encoder, content) {
        (Encoder::Libaom, Graphic | Lettering) => Effort::Refined,
        _ => effort,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Effort::{FirstView, Refined};

    #[test]
    fn graphics_keep_all_their_colour_and_letters_all_their_pixels() {
        let table = [
            (Encoder::Libwebp, Lettering, FirstView, Way::Lossless),
            (Encoder::Libwebp, Lettering, Refined, Way::Either(Chroma::Halved)),
            (Encoder::Libwebp, Graphic, FirstView, Way::Lossy(Chroma::Halved)),
            (Encoder::Libwebp, Graphic, Refined, Way::Either(Chroma::Halved)),
            (Encoder::Libwebp, Photograph, Refined, Way::Lossy(Chroma::Halved)),
            (Encoder::Libaom, Photograph, FirstView, Way::Lossy(Chroma::Halved)),
            (Encoder::Libaom, Mixed, FirstView, Way::Lossy(Chroma::Full)),
            (Encoder::Libaom, Graphic, FirstView, Way::Lossy(Chroma::Full)),
            (Encoder::Mozjpeg, Mixed, FirstView, Way::Lossy(Chroma::Halved)),
            (Encoder::Mozjpeg, Lettering, FirstView, Way::Lossy(Chroma::Full)),
            (Encoder::Png, Photograph, FirstView, Way::Lossless),
        ];
        for (encoder, content, effort, expected) in table {
            assert_eq!(way(encoder, content, effort), expected, "{encoder:?} {content:?} {effort:?}");
        }
    }

    #[test]
    fn no_graphic_is_made_at_the_fastest_speed_of_libaom() {
        assert_eq!(effort(Encoder::Libaom, Graphic, FirstView), Refined);
        assert_eq!(effort(Encoder::Libaom, Photograph, FirstView), FirstView);
        assert_eq!(effort(Encoder::Libwebp, Graphic, FirstView), FirstView);
    }
}
