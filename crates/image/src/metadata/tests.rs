//! Variants of each format, whose metadata is looked at with the `exif` crate's own readers of containers.

use std::io::Cursor;

use ::exif::{Exif, Field, In, Reader, Tag, Value, experimental::Writer};
use image::RgbImage;

use super::*;
use crate::{
    AvifEncoder, Cancel, Effort, Extras, Limits, Settings, Transform, develop, format::InputFormat, probe, riff,
};

const XMP: &[u8] = br#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>"#;

const ALL: &[OutputFormat] = if cfg!(feature = "libaom") {
    &[OutputFormat::Avif, OutputFormat::WebP, OutputFormat::Jpeg, OutputFormat::Png]
} else {
    &[OutputFormat::WebP, OutputFormat::Jpeg, OutputFormat::Png]
};

fn exif_block() -> Vec<u8> {
    let field = |tag, value| Field { tag, ifd_num: In::PRIMARY, value };
    let fields = [
        field(Tag::Orientation, Value::Short(vec![6])),
        field(Tag::Artist, Value::Ascii(vec![b"Ada".to_vec()])),
        field(Tag::Copyright, Value::Ascii(vec![b"2026 Ada".to_vec()])),
        field(Tag::PixelXDimension, Value::Short(vec![60])),
        field(Tag::GPSLatitudeRef, Value::Ascii(vec![b"N".to_vec()])),
    ];
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut block = Cursor::new(Vec::new());
    writer.write(&mut block, true).unwrap();
    block.into_inner()
}

/// A JPEG of 60 × 40 that carries everything, lying on its side.
fn source() -> Vec<u8> {
    let mut plain = Cursor::new(Vec::new());
    let picture = RgbImage::from_fn(60, 40, |x, _| image::Rgb([u8::try_from(x * 4).unwrap(), 90, 30]));
    picture.write_to(&mut plain, image::ImageFormat::Jpeg).unwrap();
    let carried = Carried { exif: Some(exif_block()), xmp: Some(XMP.to_vec()) };
    write::into(OutputFormat::Jpeg, &plain.into_inner(), &carried, (60, 40)).unwrap()
}

fn made(source: &[u8], format: OutputFormat, metadata: Metadata) -> Vec<u8> {
    let settings = Settings { limits: Limits::default(), avif_encoder: AvifEncoder::default() };
    let found = probe(source).unwrap();
    let (transform, cancel) = (Transform { metadata, ..Transform::default() }, Cancel::default());
    let effort = Effort::FirstView;
    develop(source, &found, &transform, format, &settings, effort, &cancel, &Extras::default()).unwrap().bytes
}

fn carry(
    source: &[u8],
    found: &Probe,
    metadata: Metadata,
    variant: Vec<u8>,
    format: OutputFormat,
    size: (u32, u32),
) -> Vec<u8> {
    of(source, found, metadata).put_into(variant, format, size)
}

fn read(file: &[u8]) -> Result<Exif, ::exif::Error> {
    Reader::new().read_from_container(&mut Cursor::new(file))
}

fn text(exif: &Exif, tag: Tag) -> Option<String> {
    exif.get_field(tag, In::PRIMARY).map(|field| field.display_value().to_string())
}

fn number(exif: &Exif, tag: Tag) -> u32 {
    exif.get_field(tag, In::PRIMARY).unwrap().value.get_uint(0).unwrap()
}

fn assert_decodes(file: &[u8], format: OutputFormat) {
    let found = probe(file).unwrap();
    assert_eq!((found.width, found.height), (40, 60), "{}", format.name());
    assert_eq!(found.orientation, crate::orientation::Orientation::UPRIGHT);
    let again = made(file, OutputFormat::Png, Metadata::None);
    let pixels = image::load_from_memory(&again).unwrap().to_rgb8();
    // Turned clockwise, what was on the left is at the top.
    assert!(pixels.get_pixel(20, 4).0[0] < 60 && pixels.get_pixel(20, 55).0[0] > 180, "{}", format.name());
    if format != OutputFormat::Avif {
        assert_eq!(image::load_from_memory(file).unwrap().width(), 40, "{}", format.name());
    }
}

#[test]
fn nothing_goes_along_unless_it_is_asked_for() {
    for format in ALL.iter().copied() {
        let file = made(&source(), format, Metadata::None);
        assert!(read(&file).is_err(), "{}", format.name());
        assert!(!file.windows(9).any(|part| part == b"x:xmpmeta"));
    }
}

#[test]
fn copyright_alone_goes_along_in_every_format() {
    for format in ALL.iter().copied() {
        let file = made(&source(), format, Metadata::Copyright);
        let exif = read(&file).unwrap();
        assert_eq!(text(&exif, Tag::Artist).unwrap(), "\"Ada\"", "{}", format.name());
        assert_eq!(text(&exif, Tag::Copyright).unwrap(), "\"2026 Ada\"");
        assert_eq!(exif.fields().count(), 2);
        assert!(!file.windows(9).any(|part| part == b"x:xmpmeta"));
        assert_decodes(&file, format);
    }
}

#[test]
fn everything_goes_along_in_every_format_and_says_what_is_true() {
    for format in ALL.iter().copied() {
        let file = made(&source(), format, Metadata::Keep);
        let exif = read(&file).unwrap();
        assert_eq!(
            [number(&exif, Tag::Orientation), number(&exif, Tag::PixelXDimension)],
            [1, 40],
            "{}",
            format.name()
        );
        assert_eq!(text(&exif, Tag::GPSLatitudeRef).unwrap(), "N");
        let said = String::from_utf8(read::found(&file, InputFormat::sniff(&file).unwrap()).xmp.unwrap()).unwrap();
        assert!(said.contains("tiff:Orientation=\"1\""), "{said}");
        assert_decodes(&file, format);
    }
}

#[test]
fn it_is_found_in_every_format_again() {
    for first in ALL.iter().copied() {
        let between = made(&source(), first, Metadata::Keep);
        let file = made(&between, OutputFormat::Jpeg, Metadata::Copyright);
        assert_eq!(text(&read(&file).unwrap(), Tag::Artist).unwrap(), "\"Ada\"", "{}", first.name());
    }
}

#[test]
fn a_transparent_picture_stays_so() {
    let clear = image::RgbaImage::from_fn(40, 60, |_, y| image::Rgba([200, 30, 30, if y < 30 { 0 } else { 255 }]));
    let mut png = Cursor::new(Vec::new());
    clear.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let carried = Carried { exif: Some(exif_block()), xmp: Some(XMP.to_vec()) };
    for format in ALL.iter().copied().filter(|format| *format != OutputFormat::Jpeg) {
        let plain = made(png.get_ref(), format, Metadata::None);
        let file = write::into(format, &plain, &carried, (40, 60)).unwrap();
        let again = made(&file, OutputFormat::Png, Metadata::None);
        // This block says that it lies on its side: a decoder that looks at it turns it.
        let pixels = image::load_from_memory(&again).unwrap().to_rgba8();
        let alphas = [pixels.get_pixel(5, 5).0[3], pixels.get_pixel(pixels.width() - 5, pixels.height() - 5).0[3]];
        assert!(alphas.contains(&0) && alphas.contains(&255), "{} {alphas:?}", format.name());
    }
    // A lossless WebP has no other sign of it than the header that is put before it.
    let lossless = webp::Encoder::from_rgba(clear.as_raw(), 40, 60).encode_lossless();
    let file = write::into(OutputFormat::WebP, &lossless, &carried, (40, 60)).unwrap();
    let (_, header) = riff::Chunks::of_file(&file).next().unwrap();
    assert_eq!(header[0], riff::flags::ALPHA | riff::flags::EXIF | riff::flags::XMP);
}

#[test]
fn a_file_that_is_no_file_of_its_format_is_left_alone() {
    let carried = Carried { exif: Some(exif_block()), xmp: None };
    for format in ALL.iter().copied().filter(|format| *format != OutputFormat::WebP) {
        assert_eq!(write::into(format, b"x", &carried, (1, 1)), None, "{}", format.name());
    }
    let (source, found) = (source(), probe(&source()).unwrap());
    let kept = carry(&source, &found, Metadata::Keep, b"x".to_vec(), OutputFormat::Avif, (1, 1));
    assert_eq!(kept, b"x");
}
