//! Where each format keeps metadata.

use super::Carried;
use crate::{
    format::InputFormat,
    probe::{jpeg, png, webp},
};

/// The keyword of PNG's text that is XMP, and that the text is not compressed, in no language.
const PNG_XMP: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";

/// What a source carries, as it stands there.
pub(super) fn found(source: &[u8], format: InputFormat) -> Carried {
    let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
    match format {
        InputFormat::Jpeg => Carried { exif: owned(jpeg::exif(source)), xmp: owned(jpeg::xmp(source)) },
        InputFormat::Png => {
            let chunk = |wanted: &[u8; 4], beginning: &[u8]| {
                let mut chunks = png::Chunks::of(source).filter(|(kind, _)| *kind == wanted);
                chunks.find_map(|(_, content)| content.strip_prefix(beginning))
            };
            Carried { exif: owned(chunk(b"eXIf", b"")), xmp: owned(chunk(b"iTXt", PNG_XMP)) }
        }
        InputFormat::WebP => {
            Carried { exif: owned(webp::chunk(source, b"EXIF")), xmp: owned(webp::chunk(source, b"XMP ")) }
        }
        #[cfg(feature = "libaom")]
        InputFormat::Avif => {
            let (exif, xmp) = crate::probe::avif::metadata(source);
            Carried { exif, xmp }
        }
        #[cfg(not(feature = "libaom"))]
        InputFormat::Avif => Carried::default(),
        InputFormat::Gif => Carried::default(),
    }
}
