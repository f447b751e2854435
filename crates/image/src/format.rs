//! The image formats that are understood (in) and made (out), and how a format is told from the first bytes.

use serde::{Deserialize, Serialize};

/// A format that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// JPEG (ITU-T T.81).
    Jpeg,
    /// PNG, with or without animation.
    Png,
    /// GIF87a or GIF89a.
    Gif,
    /// WebP, lossy or lossless.
    WebP,
    /// AVIF: AV1 in an ISO base media file.
    Avif,
}

/// A format that can be made. The order is the one in which formats are preferred where a client likes them equally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// `image/avif`
    Avif,
    /// `image/webp`
    WebP,
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
}

/// How many leading bytes [`InputFormat::sniff`] needs to decide.
pub const SNIFF_BYTES: usize = 32;

impl InputFormat {
    /// Tells the format from the first bytes of a file; 32 bytes suffice. `None`: not an image that can be developed.
    #[must_use]
    pub fn sniff(head: &[u8]) -> Option<Self> {
        match head {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] => is_avif(brands).then_some(Self::Avif),
            _ => None,
        }
    }

    /// Whether bytes may be the first of a file that can be developed; no byte yet may be.
    #[must_use]
    pub fn may_begin(head: &[u8]) -> bool {
        const BEGINNINGS: [&[u8]; 4] = [b"\xFF\xD8\xFF", b"\x89PNG", b"GIF8", b"RIFF"];
        let agrees = |beginning: &[u8]| head.iter().zip(beginning).all(|(is, wanted)| is == wanted);
        BEGINNINGS.into_iter().any(agrees)
            || head.get(4..).is_none_or(|behind| b"ftyp".iter().zip(behind).all(|(a, b)| a == b))
                && head.first().is_none_or(|byte| *byte == 0)
    }

    /// The media type of the original.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Avif => "image/avif",
        }
    }

    /// The format that an original is made into again where the client takes nothing newer. GIF has no encoder here:
    /// PNG holds whatever a still GIF holds.
    #[must_use]
    pub const fn same_output(self) -> OutputFormat {
        match self {
            Self::Jpeg => OutputFormat::Jpeg,
            Self::Png | Self::Gif => OutputFormat::Png,
            Self::WebP => OutputFormat::WebP,
            Self::Avif => OutputFormat::Avif,
        }
    }
}

/// The brands behind `ftyp`: major, minor version, then compatible ones, as far as the sniffed bytes go.
fn is_avif(brands: &[u8]) -> bool {
    brands.chunks_exact(4).enumerate().any(|(position, brand)| position != 1 && (brand == b"avif" || brand == b"avis"))
}

impl OutputFormat {
    /// The value of `Content-Type`.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Avif => "image/avif",
            Self::WebP => "image/webp",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// The longest side that the format holds, in pixels.
    #[must_use]
    pub const fn max_side(self) -> u32 {
        match self {
            Self::Avif => 65_536,
            Self::WebP => 16_383,
            Self::Jpeg => 65_535,
            Self::Png => i32::MAX.cast_unsigned(),
        }
    }

    /// The short name used in options, metrics, logs and `Cache-Status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avif => "avif",
            Self::WebP => "webp",
            Self::Jpeg => "jpeg",
            Self::Png => "png",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_become_an_image_is_told_by_its_first_byte() {
        for beginning in [&b""[..], b"\xFF", b"\xFF\xD8", b"\x89P", b"GIF", b"RIFF____", b"\0", b"\0\0\0\x20ft"] {
            assert!(InputFormat::may_begin(beginning), "{beginning:?}");
        }
        for beginning in [&b"<"[..], b"{\"a\"", b"\xFF\xD9", b"GIB", b"\0\0\0\x20mo", b"data: x"] {
            assert!(!InputFormat::may_begin(beginning), "{beginning:?}");
        }
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let table: [(&[u8], Option<InputFormat>); 9] = [
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF", Some(InputFormat::Jpeg)),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some(InputFormat::Png)),
            (b"GIF89a\x01\0\x01\0", Some(InputFormat::Gif)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some(InputFormat::WebP)),
            (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", Some(InputFormat::Avif)),
            (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", Some(InputFormat::Avif)),
            (b"\0\0\0\x18ftypisom\0\0\0\0mp41", None),
            (b"<svg xmlns=", None),
            (b"", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(InputFormat::sniff(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
