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

/// What a source says of itself, or a variant carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// A TIFF structure, without `Exif\0\0` before it.
    exif: Option<Vec<u8>>,
    /// A packet.
    xmp: Option<Vec<u8>>,
}

/// What of its metadata a source gives to a variant.
pub(crate) fn of(source: &[u8], probe: &Probe, wanted: Metadata) -> Carried {
    match wanted {
        Metadata::None => Carried::default(),
        Metadata::Copyright => {
            let found = read::found(source, probe.format);
            Carried { exif: found.exif.as_deref().and_then(exif::copyright), xmp: None }
        }
        Metadata::Keep => read::found(source, probe.format),
    }
}

impl Carried {
    /// Puts it into a variant, which is a file of `format` with `size` pixels across and down. What cannot be read counts as
    /// none.
    pub(crate) fn put_into(&self, variant: Vec<u8>, format: OutputFormat, size: (u32, u32)) -> Vec<u8> {
        let exif = self.exif.as_deref().and_then(|block| exif::whole(block, size));
        let fitted = Self { exif, xmp: self.xmp.as_deref().and_then(xmp::whole) };
        if fitted == Self::default() {
            return variant;
        }
        write::into(format, &variant, &fitted, size).unwrap_or(variant)
    }
}

#[cfg(test)]
mod tests;
