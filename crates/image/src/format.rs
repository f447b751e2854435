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

/// The brands behind `ftyp`: major, minor version, then compatible ones, as far as the sniffed bytes go. HEIC names other
/// brands, and shares only `mif1` and `msf1`, which any picture in such a file may name.
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

    /// Whether animations are made in it.
    #[must_use]
    pub const fn is_animated(self) -> bool {
        matches!(self, Self::WebP)
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
        let table: [(&[u8], InputFormat); 8] = [
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF", InputFormat::Jpeg),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", InputFormat::Png),
            (b"GIF87a\x01\0\x01\0", InputFormat::Gif),
            (b"GIF89a\x01\0\x01\0", InputFormat::Gif),
            (b"RIFF\x10\0\0\0WEBPVP8 ", InputFormat::WebP),
            (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", InputFormat::Avif),
            (b"\0\0\0\x20ftypavis\0\0\0\0avismsf1", InputFormat::Avif),
            (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", InputFormat::Avif),
        ];
        for (bytes, expected) in table {
            assert_eq!(InputFormat::sniff(bytes), Some(expected), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_not_developed_is_no_image_here() {
        let table: [&[u8]; 20] = [
            b"",
            b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0", // ICO
            b"\0\0\x02\0\x01\0\x10\x10\0\0\x01\0\x20\0", // a cursor
            b"<svg xmlns=\"http://www.w3.org/2000/svg\">",
            b"<?xml version=\"1.0\"?><svg>",
            b"\xEF\xBB\xBF<svg>",
            b"BM\x36\0\x0C\0\0\0\0\0\x36\0\0\0",
            b"II\x2A\0\x08\0\0\0", // TIFF
            b"MM\0\x2A\0\0\0\x08",
            b"\xFF\x0A\xFA\x1F", // JPEG XL
            b"\0\0\0\x0CJXL \r\n\x87\n",
            b"\0\0\0\x0CjP  \r\n\x87\n", // JPEG 2000
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf",
            b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
            b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc",
            b"\0\0\0\x18ftypisom\0\0\0\0mp41",
            // The version is no brand.
            b"\0\0\0\x18ftypisomavif\0\0\0\0",
            b"RIFF\x10\0\0\0WAVEfmt ",
            b"GIF88a\x01\0\x01\0",
        ];
        for bytes in table {
            assert_eq!(InputFormat::sniff(bytes), None, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
