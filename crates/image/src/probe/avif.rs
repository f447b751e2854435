//! AVIF's boxes (ISO/IEC 23008-12, AV1 Image File Format): which bytes are the picture, which its alpha, and what is said
//! of both. Grids, cropped and premultiplied pictures are left as they are.

use std::borrow::Cow;

use super::Probe;
use crate::{color::read_profile, error::ImageError, format::InputFormat::Avif, orientation::Orientation};

const ALPHA_NAMES: [&[u8]; 2] = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"];

/// What a file says of its picture.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    /// The picture's AV1 data.
    pub(crate) color: Cow<'a, [u8]>,
    /// Its alpha's, a grey picture of the same size.
    pub(crate) alpha: Option<Cow<'a, [u8]>>,
    /// Its size.
    pub(crate) size: (u32, u32),
    /// How it is laid upright.
    pub(crate) orientation: Orientation,
    /// What its colours mean, where the file says so beside the AV1 data, which it overrides.
    pub(crate) profile: Option<Vec<u8>>,
    /// The same by code points.
    pub(crate) code_points: Option<CodePoints>,
    /// Whether there is a sequence of pictures too.
    pub(crate) animated: bool,
}

/// What colours mean, by the code points of ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodePoints {
    pub(crate) primaries: u32,
    pub(crate) transfer: u32,
    pub(crate) matrix: u32,
    pub(crate) full_range: bool,
}

/// Of items, references, associations, properties and extents so many each are taken in; a still picture has a handful.
/// Each takes more memory than it has bytes, and some are looked for in others, so that their number is squared.
const MAX_PARTS: usize = 256;

pub(super) fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let container = Container::read(bytes)?;
    Ok(Probe {
        format: Avif,
        width: container.size.0,
        height: container.size.1,
        orientation: container.orientation,
        animated: container.animated,
        frames: 1,
        // The decoder's frame and its blocks' modes, the planes in 8 bits, and colour without alpha beside the whole.
        whole_bytes_per_pixel: 20,
        table_bytes: 0,
        pixel_bytes: if container.alpha.is_some() { 4 } else { 3 },
    })
}

/// The EXIF block and the XMP packet that describe the picture.
pub(crate) fn metadata(bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let Some(boxes) = Boxes::read(bytes) else { return (None, None) };
    let describing = |wanted: &[u8; 4]| {
        let items = boxes.kinds.iter().filter(|(_, kind)| kind == wanted).map(|(item, _)| *item);
        items.filter(|item| boxes.references.contains(&(*b"cdsc", *item, boxes.primary))).find_map(|item| {
            let content = boxes.content(bytes, item)?;
            Some(content.into_owned())
        })
    };
    let exif = describing(b"Exif").and_then(|content| {
        // How far behind this number the TIFF header begins.
        let (before, block) = content.split_first_chunk::<4>()?;
        block.get(usize::try_from(u32::from_be_bytes(*before)).ok()?..).map(<[u8]>::to_vec)
    });
    let xmp = describing(b"mime").filter(|content| content.windows(9).any(|part| part == b"x:xmpmeta"));
    (exif, xmp)
}

impl<'a> Container<'a> {
    /// Reads the boxes.
    ///
    /// # Errors
    /// [`ImageError::Broken`] or [`ImageError::Unsupported`]
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, ImageError> {
        Boxes::read(bytes).ok_or_else(|| ImageError::broken(Avif, "its boxes cannot be read"))?.container(bytes)
    }
}

/// The boxes that matter, as far as they stand in the file.
#[derive(Debug, Default)]
struct Boxes<'a> {
    animated: bool,
    primary: u32,
    kinds: Vec<(u32, [u8; 4])>,
    locations: Vec<Location>,
    properties: Vec<(&'a [u8], &'a [u8])>,
    associations: Vec<(u32, usize)>,
    /// Kind, from, to.
    references: Vec<([u8; 4], u32, u32)>,
    data: &'a [u8],
}

#[derive(Debug)]
struct Location {
    item: u32,
    in_data_box: bool,
    extents: Vec<(u64, u64)>,
}

impl<'a> Boxes<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut boxes = Self::default();
        let mut found = false;
        for (kind, content) in Children(bytes) {
            match kind {
                b"ftyp" => boxes.animated = content.chunks_exact(4).any(|brand| brand == b"avis"),
                b"meta" => {
                    found = true;
                    for (kind, content) in Children(content.get(4..)?) {
                        boxes.take(kind, content)?;
                    }
                }
                _ => {}
            }
        }
        found.then_some(boxes)
    }

    fn take(&mut self, kind: &[u8], content: &'a [u8]) -> Option<()> {
        match kind {
            b"pitm" => {
                let (version, mut reader) = versioned(content)?;
                self.primary = reader.item(version >= 1)?;
            }
            b"iinf" => self.take_item_infos(content)?,
            b"iloc" => self.take_locations(content)?,
            b"iprp" => {
                for (kind, content) in Children(content) {
                    match kind {
                        b"ipco" => self.properties = Children(content).take(MAX_PARTS).collect(),
                        b"ipma" => self.take_associations(content)?,
                        _ => {}
                    }
                }
            }
            b"iref" => self.take_references(content)?,
            b"idat" => self.data = content,
            _ => {}
        }
        Some(())
    }

    fn take_item_infos(&mut self, content: &'a [u8]) -> Option<()> {
        let (version, mut reader) = versioned(content)?;
        reader.item(version >= 1)?;
        for (kind, content) in Children(reader.0) {
            let (version, mut reader) = versioned(content)?;
            if kind == b"infe" && version >= 2 {
                let item = reader.item(version >= 3)?;
                reader.take(2)?;
                if self.kinds.len() == MAX_PARTS {
                    return None;
                }
                self.kinds.push((item, *reader.take(4)?.first_chunk()?));
            }
        }
        Some(())
    }

    fn take_locations(&mut self, content: &[u8]) -> Option<()> {
        let (version, mut reader) = versioned(content)?;
        let [offset_size, length_size] = nibbles(reader.number(1)?);
        let [base_size, index_size] = nibbles(reader.number(1)?);
        let index_size = if version == 0 { 0 } else { index_size };
        for _ in 0..reader.item(version >= 2)? {
            let item = reader.item(version >= 2)?;
            let method = if version == 0 { 0 } else { reader.number(2)? & 0xF };
            reader.take(2)?;
            let base = reader.number(base_size)?;
            let mut extents = Vec::new();
            for _ in 0..reader.number(2)? {
                // These may take no bytes of the file at all, so that its size does not bound them.
                if extents.len() == MAX_PARTS || self.locations.len() == MAX_PARTS {
                    return None;
                }
                reader.take(index_size)?;
                extents.push((base.checked_add(reader.number(offset_size)?)?, reader.number(length_size)?));
            }
            if method <= 1 {
                self.locations.push(Location { item, in_data_box: method == 1, extents });
            }
        }
        Some(())
    }

    fn take_associations(&mut self, content: &[u8]) -> Option<()> {
        let flags = content.get(3)?;
        let (version, mut reader) = versioned(content)?;
        for _ in 0..reader.number(4)? {
            let item = reader.item(version >= 1)?;
            for _ in 0..reader.number(1)? {
                let index = if flags & 1 == 1 { reader.number(2)? & 0x7FFF } else { reader.number(1)? & 0x7F };
                if self.associations.len() == MAX_PARTS {
                    return None;
                }
                self.associations.push((item, usize::try_from(index).ok()?));
            }
        }
        Some(())
    }

    fn take_references(&mut self, content: &'a [u8]) -> Option<()> {
        let (version, reader) = versioned(content)?;
        for (kind, content) in Children(reader.0) {
            let mut reader = Reader(content);
            let from = reader.item(version >= 1)?;
            for _ in 0..reader.number(2)? {
                if self.references.len() == MAX_PARTS {
                    return None;
                }
                self.references.push((*kind.first_chunk()?, from, reader.item(version >= 1)?));
            }
        }
        Some(())
    }

    fn container(&self, bytes: &'a [u8]) -> Result<Container<'a>, ImageError> {
        let broken = |cause| ImageError::broken(Avif, &cause);
        let unsupported = |what| Err(ImageError::Unsupported { what });
        let picture = self.primary;
        if self.kinds.iter().any(|(item, kind)| *item == picture && kind != b"av01") {
            return unsupported("an AVIF made of several pictures");
        }
        if self.property(picture, b"clap").is_some() {
            return unsupported("an AVIF with a clean aperture");
        }
        let alpha = self.alpha_of(picture);
        if self.references.iter().any(|(kind, from, _)| kind == b"prem" && *from == picture) {
            return unsupported("an AVIF with premultiplied alpha");
        }
        let mut size = Reader(self.property(picture, b"ispe").and_then(|size| size.get(4..)).unwrap_or_default());
        let mut side = || size.number(4).and_then(|side| u32::try_from(side).ok()).ok_or_else(|| broken("no size"));
        Ok(Container {
            color: self.content(bytes, picture).ok_or_else(|| broken("its picture lies outside the file"))?,
            alpha: match alpha {
                None => None,
                Some(item) => Some(self.content(bytes, item).ok_or_else(|| broken("its alpha lies outside the file"))?),
            },
            size: (side()?, side()?),
            orientation: self.orientation(picture),
            profile: self.profile(picture),
            code_points: self.code_points(picture),
            animated: self.animated,
        })
    }

    fn alpha_of(&self, picture: u32) -> Option<u32> {
        let auxiliary = self.references.iter().filter(|(kind, _, to)| kind == b"auxl" && *to == picture);
        auxiliary.map(|(_, from, _)| *from).find(|item| {
            let name = self.property(*item, b"auxC").and_then(|content| content.get(4..)).unwrap_or_default();
            ALPHA_NAMES.iter().any(|alpha| name.strip_prefix(*alpha).is_some_and(|rest| rest.first() == Some(&0)))
        })
    }

    fn orientation(&self, item: u32) -> Orientation {
        let first_byte = |kind| self.property(item, kind).and_then(|content| content.first().copied());
        let turned = first_byte(b"irot").map_or(Orientation::UPRIGHT, Orientation::counter_clockwise);
        match first_byte(b"imir").map(|axis| axis & 1) {
            None => turned,
            Some(0) => turned.then(Orientation::from_exif(4)),
            Some(_) => turned.then(Orientation::from_exif(2)),
        }
    }

    fn profile(&self, item: u32) -> Option<Vec<u8>> {
        let colors = self.properties_of(item).filter(|(kind, _)| *kind == b"colr");
        colors.map(|(_, content)| content).find_map(|content| {
            let icc = content.strip_prefix(b"prof").or_else(|| content.strip_prefix(b"rICC"))?;
            read_profile(icc)
        })
    }

    fn code_points(&self, item: u32) -> Option<CodePoints> {
        let mut colors = self.properties_of(item).filter(|(kind, _)| *kind == b"colr");
        let (_, content) = colors.find(|(_, content)| content.starts_with(b"nclx"))?;
        let mut reader = Reader(&content[4..]);
        let mut number = || reader.number(2).and_then(|number| u32::try_from(number).ok());
        let (primaries, transfer, matrix) = (number()?, number()?, number()?);
        Some(CodePoints { primaries, transfer, matrix, full_range: reader.number(1)? & 0x80 != 0 })
    }

    fn property(&self, item: u32, wanted: &[u8; 4]) -> Option<&'a [u8]> {
        self.properties_of(item).find(|(kind, _)| *kind == wanted).map(|(_, content)| content)
    }

    /// Kinds and contents of an item's properties.
    fn properties_of(&self, item: u32) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let indices = self.associations.iter().filter(move |(owner, _)| *owner == item).map(|(_, index)| *index);
        indices.filter_map(|index| self.properties.get(index.checked_sub(1)?).copied())
    }

    fn content(&self, bytes: &'a [u8], item: u32) -> Option<Cow<'a, [u8]>> {
        let location = self.locations.iter().find(|location| location.item == item)?;
        let space = if location.in_data_box { self.data } else { bytes };
        let slice = |(offset, len): &(u64, u64)| -> Option<&'a [u8]> {
            let from = usize::try_from(*offset).ok()?;
            // A length of 0 is all the rest.
            let to = if *len == 0 { space.len() } else { from.checked_add(usize::try_from(*len).ok()?)? };
            space.get(from..to)
        };
        match location.extents.as_slice() {
            [] => None,
            [extent] => slice(extent).map(Cow::Borrowed),
            extents => {
                let mut whole = Vec::new();
                for extent in extents {
                    let part = slice(extent)?;
                    // Extents that overlap would make much out of little.
                    if whole.len() + part.len() > space.len() {
                        return None;
                    }
                    whole.extend_from_slice(part);
                }
                Some(Cow::Owned(whole))
            }
        }
    }
}

const fn nibbles(byte: u64) -> [usize; 2] {
    [(byte >> 4 & 0xF) as usize, (byte & 0xF) as usize]
}

/// The version of a full box, and what stands behind version and flags.
fn versioned(content: &[u8]) -> Option<(u8, Reader<'_>)> {
    Some((*content.first()?, Reader(content.get(4..)?)))
}

/// Boxes one after another: kind and content. It ends at the first that does not fit.
struct Children<'a>(&'a [u8]);

impl<'a> Iterator for Children<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = Reader(self.0);
        let short = reader.number(4)?;
        let kind = reader.take(4)?;
        let (header, len) = match short {
            0 => (8, self.0.len() as u64),
            1 => (16, reader.number(8)?),
            len => (8, len),
        };
        let whole = self.0.get(..usize::try_from(len).ok()?)?;
        let content = whole.get(header..)?;
        self.0 = &self.0[whole.len()..];
        Some((kind, content))
    }
}

/// Reads big-endian numbers one after another.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of 0 to 8 bytes.
    fn number(&mut self, len: usize) -> Option<u64> {
        let bytes = self.take(len)?;
        (len <= 8).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// An item's id, or a count of items: four bytes or two.
    fn item(&mut self, long: bool) -> Option<u32> {
        u32::try_from(self.number(if long { 4 } else { 2 })?).ok()
    }
}
