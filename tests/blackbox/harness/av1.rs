//! Reads AVIF with rav1d, an AV1 decoder that shares nothing with the program's: finds the items by their locations, decodes
//! them, and turns the planes into RGB as the container's colour information says.

use image::{Rgba, RgbaImage};
use re_rav1d::dav1d::{Decoder, Picture, PixelLayout, PlanarImageComponent};

/// Whether these bytes begin as an AVIF does.
pub(crate) fn is_avif(bytes: &[u8]) -> bool {
    bytes.get(4..12) == Some(b"ftypavif")
}

/// Decodes the primary item, and the other one as its alpha.
pub(crate) fn decode_avif(file: &[u8]) -> Result<RgbaImage, String> {
    let meta = child(file, *b"meta").and_then(|meta| meta.get(4..)).ok_or("no meta box")?;
    let primary = child(meta, *b"pitm").and_then(|pitm| number(pitm, 4, 2)).ok_or("no primary item")?;
    let items = locations(child(meta, *b"iloc").ok_or("no item locations")?).ok_or("odd item locations")?;
    let bytes_of = |(offset, len): (usize, usize)| {
        let end = offset.checked_add(len).ok_or("an item is too long")?;
        file.get(offset..end).ok_or_else(|| "an item lies outside of the file".to_owned())
    };
    let color = items.iter().find(|(id, _)| *id == primary).ok_or("the primary item is nowhere")?;
    let color = decode_av1(bytes_of(color.1)?)?;
    let alpha = items.iter().find(|(id, _)| *id != primary).map(|item| decode_av1(bytes_of(item.1)?)).transpose()?;
    to_rgba(&color, alpha.as_ref(), Nclx::of(file)?)
}

fn decode_av1(data: &[u8]) -> Result<Picture, String> {
    let mut decoder = Decoder::new().map_err(|error| error.to_string())?;
    decoder.send_data(data.to_vec(), None, None, None).map_err(|error| error.to_string())?;
    loop {
        match decoder.get_picture() {
            Err(error) if error.is_again() => decoder.send_pending_data().map_err(|error| error.to_string())?,
            picture => return picture.map_err(|error| error.to_string()),
        }
    }
}

/// The content of the first box of a kind among those in `bytes`.
fn child(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let len = number(rest, 0, 4)?;
        let whole = rest.get(..len).filter(|_| len >= 8)?;
        if whole[4..8] == kind {
            return Some(&whole[8..]);
        }
        rest = &rest[len..];
    }
}

/// A big-endian number of `len` bytes at `at`.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    bytes.get(at..at + len).map(|digits| digits.iter().fold(0, |number, digit| number << 8 | usize::from(*digit)))
}

/// Each item's id, offset in the file and length; items in one piece only.
fn locations(iloc: &[u8]) -> Option<Vec<(usize, (usize, usize))>> {
    let version = iloc.first()?;
    let [sizes, bases] = [*iloc.get(4)?, *iloc.get(5)?];
    let (offset_size, length_size) = (usize::from(sizes >> 4), usize::from(sizes & 15));
    let (base_size, index_size) = (usize::from(bases >> 4), if *version == 0 { 0 } else { usize::from(bases & 15) });
    let mut at = 6;
    let mut take = |len: usize| {
        at += len;
        number(iloc, at - len, len)
    };
    let count = take(if *version < 2 { 2 } else { 4 })?;
    let mut items = Vec::new();
    for _ in 0..count {
        let id = take(if *version < 2 { 2 } else { 4 })?;
        if *version > 0 {
            take(2).filter(|method| *method == 0)?;
        }
        take(2)?;
        let base = take(base_size)?;
        take(2).filter(|extents| *extents == 1)?;
        take(index_size)?;
        let offset = base + take(offset_size)?;
        items.push((id, (offset, take(length_size)?)));
    }
    Some(items)
}

/// The colour information of the container, which counts more than the stream's (ISO 23000-22).
#[derive(Clone, Copy)]
struct Nclx {
    matrix: usize,
    full_range: bool,
}

impl Nclx {
    fn of(file: &[u8]) -> Result<Self, String> {
        // A reader may assume this where the container says nothing (MIAF, 7.3.6.4).
        const DEFAULT: Nclx = Nclx { matrix: 6, full_range: true };
        let Some(at) = file.windows(8).position(|window| window == b"colrnclx") else { return Ok(DEFAULT) };
        let [primaries, transfer, matrix] = [8, 10, 12].map(|offset| number(file, at + offset, 2));
        if (primaries, transfer) != (Some(1), Some(13)) {
            return Err(format!("primaries {primaries:?} and transfer {transfer:?} are not sRGB's"));
        }
        let full_range = file.get(at + 14).is_some_and(|flags| flags & 0x80 != 0);
        Ok(Self { matrix: matrix.unwrap_or_default(), full_range })
    }
}

fn to_rgba(color: &Picture, alpha: Option<&Picture>, nclx: Nclx) -> Result<RgbaImage, String> {
    let (width, height) = (color.width(), color.height());
    if color.bit_depth() != 8 || !matches!(nclx.matrix, 5 | 6) || !nclx.full_range {
        return Err(format!("{} bits, matrix {} are not read here", color.bit_depth(), nclx.matrix));
    }
    if alpha.is_some_and(|alpha| (alpha.width(), alpha.height()) != (width, height)) {
        return Err("alpha has another size".to_owned());
    }
    let luma = Samples::of(color, PlanarImageComponent::Y);
    let halved = u32::from(color.pixel_layout() == PixelLayout::I420);
    let chroma = match color.pixel_layout() {
        PixelLayout::I400 => None,
        PixelLayout::I420 | PixelLayout::I444 => {
            Some([PlanarImageComponent::U, PlanarImageComponent::V].map(|component| Samples::of(color, component)))
        }
        PixelLayout::I422 => return Err("4:2:2 is not read here".to_owned()),
    };
    let opacity = alpha.map(|alpha| Samples::of(alpha, PlanarImageComponent::Y));
    Ok(RgbaImage::from_fn(width, height, |x, y| {
        let luma = f32::from(luma.at(x, y));
        let differences =
            chroma.as_ref().map(|planes| [&planes[0], &planes[1]].map(|p| p.at(x >> halved, y >> halved)));
        let [blue_difference, red_difference] = differences.unwrap_or([128; 2]).map(|sample| f32::from(sample) - 128.0);
        let red = luma + 1.402 * red_difference;
        let green = luma - 0.344_136 * blue_difference - 0.714_136 * red_difference;
        let blue = luma + 1.772 * blue_difference;
        let [red, green, blue] = [red, green, blue].map(|sample| sample.round().clamp(0.0, 255.0) as u8);
        Rgba([red, green, blue, opacity.as_ref().map_or(255, |opacity| opacity.at(x, y))])
    }))
}

/// One plane.
struct Samples {
    samples: Vec<u8>,
    stride: u32,
}

impl Samples {
    fn of(picture: &Picture, component: PlanarImageComponent) -> Self {
        Self { samples: picture.plane(component).to_vec(), stride: picture.stride(component) }
    }

    fn at(&self, x: u32, y: u32) -> u8 {
        self.samples[(y * self.stride + x) as usize]
    }
}
