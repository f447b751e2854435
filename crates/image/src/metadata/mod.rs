//! What is said of a picture beside its pixels, taken from the source into the variant where it is asked for: `exif` and
//! `xmp` say what of each goes along, `read` and `write` where each format keeps them. A colour profile never goes along,
//! since a variant's pixels are sRGB; nor do IPTC blocks and comments.

mod exif;
mod read;
mod write;
mod write_avif;
mod xmp;

use crate::{format::OutputFormat, probe::Probe, transform::Metadata};

/// The most bytes of EXIF, and of XMP, that a variant carries: what one segment of a JPEG holds. What would be more is left
/// out as a whole.
const MAX_BYTES: usize = 65_000;

/// What a variant carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Carried {
    /// A TIFF structure, without `Exif\0\0` before it.
    exif: Option<Vec<u8>>,
    /// A packet.
    xmp: Option<Vec<u8>>,
}

/// Puts into a variant, which is a file of `format` with `size` pixels across and down, what `metadata` says of its source's
/// metadata. What cannot be read counts as none.
#[must_use]
pub fn carry(
    source: &[u8],
    probe: &Probe,
    metadata: Metadata,
    variant: Vec<u8>,
    format: OutputFormat,
    size: (u32, u32),
) -> Vec<u8> {
    let found = match metadata {
        Metadata::None => return variant,
        Metadata::Copyright | Metadata::Keep => read::found(source, probe.format),
    };
    let carried = match metadata {
        Metadata::Keep => Carried {
            exif: found.exif.as_deref().and_then(|block| exif::whole(block, size)),
            xmp: found.xmp.as_deref().and_then(xmp::whole),
        },
        _ => Carried { exif: found.exif.as_deref().and_then(exif::copyright), xmp: None },
    };
    if carried == Carried::default() {
        return variant;
    }
    write::into(format, &variant, &carried, size).unwrap_or(variant)
}

#[cfg(test)]
mod tests;
