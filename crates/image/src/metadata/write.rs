//! Puts metadata into files that were just encoded, one function a format; `None` where a file is not as the encoders here
//! make it, or cannot hold it.

use super::Carried;
use crate::{
    format::OutputFormat,
    riff::{self, Chunks, Extended, flags},
};

pub(super) fn into(format: OutputFormat, file: &[u8], carried: &Carried, size: (u32, u32)) -> Option<Vec<u8>> {
    match format {
        OutputFormat::Jpeg => into_jpeg(file, carried),
        OutputFormat::Png => into_png(file, carried),
        OutputFormat::WebP => into_webp(file, carried, size),
        OutputFormat::Avif => super::write_avif::into_avif(file, carried),
    }
}

/// Segments APP1, behind JFIF's.
fn into_jpeg(file: &[u8], carried: &Carried) -> Option<Vec<u8>> {
    let mut at = 2;
    if file.get(2..4)? == [0xFF, 0xE0] {
        at += 2 + usize::from(u16::from_be_bytes(*file.get(4..)?.first_chunk()?));
    }
    let (before, behind) = file.split_at_checked(at)?;
    let mut made = before.to_vec();
    let parts = [(b"Exif\0\0".as_slice(), &carried.exif), (b"http://ns.adobe.com/xap/1.0/\0", &carried.xmp)];
    for (name, part) in parts {
        let Some(part) = part else { continue };
        made.extend_from_slice(&[0xFF, 0xE1]);
        made.extend_from_slice(&u16::try_from(2 + name.len() + part.len()).ok()?.to_be_bytes());
        made.extend_from_slice(name);
        made.extend_from_slice(part);
    }
    made.extend_from_slice(behind);
    Some(made)
}

/// Chunks behind `IHDR`.
fn into_png(file: &[u8], carried: &Carried) -> Option<Vec<u8>> {
    const HEADER_END: usize = 8 + 25;
    let (before, behind) = file.split_at_checked(HEADER_END)?;
    let mut made = before.to_vec();
    let parts = [
        (*b"eXIf", b"".as_slice(), &carried.exif),
        // Not compressed, in no language.
        (*b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0", &carried.xmp),
    ];
    for (kind, name, part) in parts {
        let Some(part) = part else { continue };
        made.extend_from_slice(&u32::try_from(name.len() + part.len()).ok()?.to_be_bytes());
        let from = made.len();
        made.extend_from_slice(&kind);
        made.extend_from_slice(name);
        made.extend_from_slice(part);
        let checksum = crc32fast::hash(&made[from..]);
        made.extend_from_slice(&checksum.to_be_bytes());
    }
    made.extend_from_slice(behind);
    Some(made)
}

/// Chunks at the end, announced in the extended header (RFC 9649, 2.7).
fn into_webp(file: &[u8], carried: &Carried, size: (u32, u32)) -> Option<Vec<u8>> {
    let mut header = Extended { flags: 0, canvas: size };
    let mut chunks = Vec::with_capacity(file.len());
    for (kind, content) in Chunks::of_file(file) {
        match kind {
            b"VP8X" => header = Extended::read(content)?,
            b"VP8L" if content.get(4)? & 0x10 != 0 => header.flags |= flags::ALPHA,
            _ => {}
        }
        if kind != b"VP8X" {
            riff::push(&mut chunks, *kind, content);
        }
    }
    for (kind, flag, part) in [(*b"EXIF", flags::EXIF, &carried.exif), (*b"XMP ", flags::XMP, &carried.xmp)] {
        if let Some(part) = part {
            header.flags |= flag;
            riff::push(&mut chunks, kind, part);
        }
    }
    let mut all = Vec::with_capacity(chunks.len() + 18);
    riff::push(&mut all, *b"VP8X", &header.content());
    all.append(&mut chunks);
    Some(riff::webp(&all))
}
