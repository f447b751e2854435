//! Adds items to an AVIF file (ISO/IEC 23008-12, annex A): each is told of in `iinf`, found by `iloc` in a box of data at
//! the end, and said by `iref` to describe the picture. The box `meta` grows by that, and all places behind it shift.

use super::Carried;

/// The items of one file: kind, what stands behind it in `infe`, and content.
type Item = ([u8; 4], &'static [u8], Vec<u8>);

pub(super) fn into_avif(file: &[u8], carried: &Carried) -> Option<Vec<u8>> {
    let mut items: Vec<Item> = Vec::new();
    if let Some(exif) = &carried.exif {
        // How far behind this number the TIFF header begins.
        items.push((*b"Exif", b"\0", [&[0; 4], exif.as_slice()].concat()));
    }
    if let Some(xmp) = &carried.xmp {
        items.push((*b"mime", b"\0application/rdf+xml\0", xmp.clone()));
    }
    let meta = boxes(file)?.into_iter().find(|part| part.kind == *b"meta")?;
    let inner = file.get(meta.content.clone())?;
    let (version, children) = inner.split_at_checked(4)?;
    let parts = boxes(children)?;
    let content = |kind: &[u8; 4]| {
        let part = parts.iter().find(|part| part.kind == *kind)?;
        children.get(part.content.clone())
    };
    let picture = u16::from_be_bytes(*content(b"pitm")?.get(4..)?.first_chunk()?);
    let infos = Infos::read(content(b"iinf")?)?;
    let places = content(b"iloc")?;
    let growth = growth(&items, content(b"iref").is_some());
    let data_at = file.len() + growth + 8;

    let mut made = file.get(..meta.start)?.to_vec();
    let mut grown = version.to_vec();
    for part in &parts {
        let old = children.get(part.content.clone())?;
        match &part.kind {
            b"iinf" => push_box(&mut grown, *b"iinf", &infos.with(&items)?)?,
            b"iloc" => push_box(&mut grown, *b"iloc", &with_places(places, growth, &items, infos.next, data_at)?)?,
            b"iref" => push_box(&mut grown, *b"iref", &with_references(old, &items, infos.next, picture))?,
            kind => push_box(&mut grown, *kind, old)?,
        }
    }
    if content(b"iref").is_none() {
        push_box(&mut grown, *b"iref", &with_references(&[0; 4], &items, infos.next, picture))?;
    }
    push_box(&mut made, *b"meta", &grown)?;
    made.extend_from_slice(file.get(meta.content.end..)?);
    let data: Vec<u8> = items.into_iter().flat_map(|(_, _, content)| content).collect();
    (made.len() + 8 == data_at).then_some(())?;
    push_box(&mut made, *b"mdat", &data)?;
    Some(made)
}

struct Part {
    kind: [u8; 4],
    start: usize,
    content: std::ops::Range<usize>,
}

/// The boxes of a stretch, which they must fill.
fn boxes(bytes: &[u8]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let len = usize::try_from(u32::from_be_bytes(*bytes.get(start..)?.first_chunk()?)).ok()?;
        let kind = *bytes.get(start + 4..)?.first_chunk()?;
        let end = start.checked_add(len).filter(|end| len >= 8 && *end <= bytes.len())?;
        parts.push(Part { kind, start, content: start + 8..end });
        start = end;
    }
    Some(parts)
}

fn push_box(file: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) -> Option<()> {
    file.extend_from_slice(&u32::try_from(content.len() + 8).ok()?.to_be_bytes());
    file.extend_from_slice(&kind);
    file.extend_from_slice(content);
    Some(())
}

/// By how much `meta` grows: of each item an `infe`, a place and a reference.
fn growth(items: &[Item], has_references: bool) -> usize {
    let each = |item: &Item| (12 + 8 + item.1.len()) + (6 + 8) + (8 + 6);
    items.iter().map(each).sum::<usize>() + if has_references { 0 } else { 12 }
}

/// `iinf`: version 0, and boxes `infe`.
struct Infos<'a> {
    count: u16,
    rest: &'a [u8],
    /// The first id that is free.
    next: u16,
}

impl<'a> Infos<'a> {
    fn read(content: &'a [u8]) -> Option<Self> {
        let count = u16::from_be_bytes(*content.get(4..)?.first_chunk()?);
        let rest = content.get(6..)?;
        let ids = boxes(rest)?.into_iter().map(|part| {
            let info = rest.get(part.content)?;
            Some(u16::from_be_bytes(*info.get(4..)?.first_chunk()?))
        });
        let highest = ids.collect::<Option<Vec<u16>>>()?.into_iter().max()?;
        (content.first() == Some(&0)).then_some(Self { count, rest, next: highest.checked_add(1)? })
    }

    fn with(&self, items: &[Item]) -> Option<Vec<u8>> {
        let mut made = vec![0; 4];
        made.extend_from_slice(&(self.count + u16::try_from(items.len()).ok()?).to_be_bytes());
        made.extend_from_slice(self.rest);
        for ((kind, names, _), id) in items.iter().zip(self.next..) {
            let [high, low] = id.to_be_bytes();
            push_box(&mut made, *b"infe", &[&[2, 0, 0, 0, high, low, 0, 0], kind.as_slice(), names].concat())?;
        }
        Some(made)
    }
}

/// `iloc`: version 0, offsets and lengths of four bytes, no base.
fn with_places(content: &[u8], growth: usize, items: &[Item], next: u16, data_at: usize) -> Option<Vec<u8>> {
    (content.get(..6)? == [0, 0, 0, 0, 0x44, 0]).then_some(())?;
    let count = u16::from_be_bytes(*content.get(6..)?.first_chunk()?);
    let mut made = content.get(..6)?.to_vec();
    made.extend_from_slice(&(count + u16::try_from(items.len()).ok()?).to_be_bytes());
    let mut at = 8;
    for _ in 0..count {
        let head = content.get(at..at + 6)?;
        made.extend_from_slice(head);
        at += 6;
        for _ in 0..u16::from_be_bytes([head[4], head[5]]) {
            let offset = u32::from_be_bytes(*content.get(at..)?.first_chunk()?);
            made.extend_from_slice(&offset.checked_add(u32::try_from(growth).ok()?)?.to_be_bytes());
            made.extend_from_slice(content.get(at + 4..at + 8)?);
            at += 8;
        }
    }
    let mut offset = u32::try_from(data_at).ok()?;
    for ((_, _, data), id) in items.iter().zip(next..) {
        let len = u32::try_from(data.len()).ok()?;
        made.extend_from_slice(&id.to_be_bytes());
        made.extend_from_slice(&[0, 0, 0, 1]);
        made.extend_from_slice(&offset.to_be_bytes());
        made.extend_from_slice(&len.to_be_bytes());
        offset = offset.checked_add(len)?;
    }
    Some(made)
}

/// `iref`: version 0; each item describes (`cdsc`) the picture.
fn with_references(content: &[u8], items: &[Item], next: u16, picture: u16) -> Vec<u8> {
    let mut made = content.to_vec();
    let ids = items.iter().zip(next..).map(|(_, id)| id);
    for id in ids {
        made.extend_from_slice(&[0, 0, 0, 14]);
        made.extend_from_slice(b"cdsc");
        made.extend_from_slice(&id.to_be_bytes());
        made.extend_from_slice(&[0, 1]);
        made.extend_from_slice(&picture.to_be_bytes());
    }
    made
}
