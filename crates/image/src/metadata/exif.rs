//! What of an EXIF block goes along: all that is true of the variant, or only whose work it is.

use std::{collections::HashSet, io::Cursor};

use ::exif::{Field, In, Reader, Tag, Value, experimental::Writer};

use super::MAX_BYTES;

/// The largest block that is read; a preview, which is left out, may make it large.
const MAX_READ_BYTES: usize = 1 << 20;

/// The colour space sRGB.
const SRGB: u16 = 1;

/// Artist and copyright alone; `None` where neither is said.
pub(super) fn copyright(block: &[u8]) -> Option<Vec<u8>> {
    let fields = Reader::new().read_raw(bounded(block)?).ok()?;
    let wanted = [Tag::Artist, Tag::Copyright].into_iter().filter_map(|tag| fields.get_field(tag, In::PRIMARY));
    written(wanted.cloned())
}

/// Everything but the preview, as it holds for a variant of this size, which lies upright and is sRGB.
pub(super) fn whole(block: &[u8], size: (u32, u32)) -> Option<Vec<u8>> {
    let fields = Reader::new().read_raw(bounded(block)?).ok()?;
    let long = |pixels| Value::Long(vec![pixels]);
    let corrected = |field: &Field| {
        let value = match field.tag {
            Tag::Orientation => Value::Short(vec![1]),
            Tag::ColorSpace => Value::Short(vec![SRGB]),
            Tag::PixelXDimension | Tag::ImageWidth => long(size.0),
            Tag::PixelYDimension | Tag::ImageLength => long(size.1),
            _ => field.value.clone(),
        };
        Field { value, ..field.clone() }
    };
    written(fields.fields().filter(|field| field.ifd_num == In::PRIMARY).map(corrected))
}

fn bounded(block: &[u8]) -> Option<Vec<u8>> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    (block.len() <= MAX_READ_BYTES).then(|| block.to_vec())
}

/// A block of these fields, as far as each can be written. Many fields may point to the same bytes, so that a block can say
/// more than it is long: one that would become too large is given up before its fields are all read.
fn written(fields: impl Iterator<Item = Field>) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut seen = HashSet::new();
    let mut bytes = 0usize;
    for field in fields.filter(|field| !matches!(field.value, Value::Unknown(..))) {
        bytes += 12 + value_bytes(&field.value);
        if bytes > MAX_BYTES {
            return None;
        }
        if seen.insert(field.tag) {
            kept.push(field);
        }
    }
    if kept.is_empty() {
        return None;
    }
    let mut writer = Writer::new();
    kept.iter().for_each(|field| writer.push_field(field));
    let mut block = Cursor::new(Vec::new());
    writer.write(&mut block, false).ok()?;
    Some(block.into_inner()).filter(|block| block.len() <= MAX_BYTES)
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Byte(values) => values.len(),
        Value::Ascii(texts) => texts.iter().map(|text| text.len() + 1).sum(),
        Value::Short(values) => values.len() * 2,
        Value::Long(values) => values.len() * 4,
        Value::Rational(values) => values.len() * 8,
        Value::SByte(values) => values.len(),
        Value::Undefined(bytes, _) => bytes.len(),
        Value::SShort(values) => values.len() * 2,
        Value::SLong(values) => values.len() * 4,
        Value::SRational(values) => values.len() * 8,
        Value::Float(values) => values.len() * 4,
        Value::Double(values) => values.len() * 8,
        Value::Unknown(..) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fields: &[Field]) -> Vec<u8> {
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut block = Cursor::new(Vec::new());
        writer.write(&mut block, true).unwrap();
        block.into_inner()
    }

    fn field(tag: Tag, value: Value) -> Field {
        Field { tag, ifd_num: In::PRIMARY, value }
    }

    fn text(text: &str) -> Value {
        Value::Ascii(vec![text.as_bytes().to_vec()])
    }

    fn shown(block: &[u8], tag: Tag) -> Option<String> {
        let fields = Reader::new().read_raw(block.to_vec()).unwrap();
        fields.get_field(tag, In::PRIMARY).map(|field| field.display_value().to_string())
    }

    #[test]
    fn copyright_is_whose_work_it_is_and_nothing_else() {
        let source = block(&[
            field(Tag::Artist, text("Ada")),
            field(Tag::Copyright, text("2026 Ada")),
            field(Tag::Model, text("Camera")),
            field(Tag::GPSAltitudeRef, Value::Byte(vec![0])),
        ]);
        let kept = copyright(&source).unwrap();
        assert_eq!(shown(&kept, Tag::Artist).unwrap(), "\"Ada\"");
        assert_eq!(shown(&kept, Tag::Copyright).unwrap(), "\"2026 Ada\"");
        assert_eq!((shown(&kept, Tag::Model), shown(&kept, Tag::GPSAltitudeRef)), (None, None));
        assert_eq!(copyright(&block(&[field(Tag::Model, text("Camera"))])), None);
    }

    #[test]
    fn what_no_longer_holds_is_put_right() {
        let source = block(&[
            field(Tag::Orientation, Value::Short(vec![6])),
            field(Tag::ColorSpace, Value::Short(vec![0xFFFF])),
            field(Tag::PixelXDimension, Value::Short(vec![4000])),
            field(Tag::PixelYDimension, Value::Long(vec![3000])),
            field(Tag::Model, text("Camera")),
            field(Tag::GPSAltitudeRef, Value::Byte(vec![0])),
            Field { tag: Tag::ImageDescription, ifd_num: In::THUMBNAIL, value: text("preview") },
        ]);
        let kept = whole(&source, (40, 30)).unwrap();
        let fields = Reader::new().read_raw(kept.clone()).unwrap();
        let number = |tag| fields.get_field(tag, In::PRIMARY).unwrap().value.get_uint(0).unwrap();
        assert_eq!([number(Tag::Orientation), number(Tag::ColorSpace)], [1, 1]);
        assert_eq!([number(Tag::PixelXDimension), number(Tag::PixelYDimension)], [40, 30]);
        assert!(shown(&kept, Tag::Model).is_some() && shown(&kept, Tag::GPSAltitudeRef).is_some());
        assert!(fields.fields().all(|field| field.ifd_num == In::PRIMARY));
    }

    #[test]
    fn nonsense_and_what_is_too_large_count_as_none() {
        assert_eq!(whole(b"nonsense", (1, 1)), None);
        assert_eq!(copyright(b""), None);
        let large = |len| block(&[field(Tag::MakerNote, Value::Undefined(vec![0; len], 0))]);
        assert!(whole(&large(60_000), (1, 1)).is_some());
        assert_eq!(whole(&large(65_001), (1, 1)), None);
    }

    #[test]
    fn a_block_that_says_more_than_it_is_long_is_given_up() {
        // 1,000 fields, each of which points to the same 50,000 bytes.
        let (count, value) = (1_000u16, 50_000u32);
        let mut bytes = b"MM\0\x2a\0\0\0\x08".to_vec();
        bytes.extend_from_slice(&count.to_be_bytes());
        for tag in 0..count {
            bytes.extend_from_slice(&(0xC000 + tag).to_be_bytes());
            bytes.extend_from_slice(&[0, 7]);
            bytes.extend_from_slice(&value.to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes.resize(60_000, 0);
        assert_eq!(whole(&bytes, (1, 1)), None);
    }
}
