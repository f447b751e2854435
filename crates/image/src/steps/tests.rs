//! The operations through the whole engine: PNG in, PNG out, so that pixels can be told exactly.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use crate::{
    AvifEncoder, Cancel, Effort, Extras, ImageError, Limits, Settings, Transform, develop, exif::tests::block,
    format::OutputFormat, options::parse_segment, probe, render::render, why_original::WhyOriginal,
};

const SETTINGS: Settings = Settings {
    limits: Limits {
        max_pixels: 4_000_000,
        max_output_pixels: 1_000_000,
        max_animation_frames: 20,
        max_animation_pixels: 2_000_000,
    },
    avif_encoder: AvifEncoder::Ravif,
};

fn transform(options: &str) -> Transform {
    parse_segment(options).unwrap().canonical().0
}

fn made_with(source: &[u8], options: &str, watermarks: &[(&str, &[u8])]) -> Result<RgbaImage, ImageError> {
    let (transform, extras) = (transform(options), Extras { watermarks });
    let (found, cancel) = (probe(source)?, Cancel::default());
    let made = develop(source, &found, &transform, OutputFormat::Png, &SETTINGS, Effort::FirstView, &cancel, &extras)?;
    Ok(image::load_from_memory(&made.bytes).unwrap().into_rgba8())
}

fn made(source: &[u8], options: &str) -> RgbaImage {
    made_with(source, options, &[]).unwrap()
}

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Each pixel's red is its column, its green its row.
fn places(width: u32, height: u32) -> Vec<u8> {
    let level = |at: u32| u8::try_from(at).unwrap();
    png(&DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| Rgb([level(x), level(y), 200]))))
}

/// A grey square in a white frame of 10 pixels, wider on the left by `more`.
fn framed(more: u32) -> RgbImage {
    RgbImage::from_fn(60 + more, 60, |x, y| {
        let inside = (10 + more..50 + more).contains(&x) && (10..50).contains(&y);
        if inside { Rgb([90; 3]) } else { Rgb([255; 3]) }
    })
}

fn at(image: &RgbaImage, x: u32, y: u32) -> (u8, u8) {
    let [column, row, ..] = image.get_pixel(x, y).0;
    (column, row)
}

#[test]
fn flips_and_turns_follow_each_other_as_they_should() {
    let source = places(40, 20);
    // Where the source's top left, then its top right corner comes to lie.
    let table = [
        ("flip=h", (40, 20), (39, 0), (0, 0)),
        ("flip=v", (40, 20), (0, 19), (39, 19)),
        ("flip=hv", (40, 20), (39, 19), (0, 19)),
        ("rotate=90", (20, 40), (19, 0), (19, 39)),
        ("flip=h,rotate=90", (20, 40), (19, 39), (19, 0)),
        ("flip=v,rotate=90", (20, 40), (0, 0), (0, 39)),
        ("flip=v,rotate=270", (20, 40), (19, 39), (19, 0)),
    ];
    for (options, size, left, right) in table {
        let image = made(&source, options);
        assert_eq!(image.dimensions(), size, "{options}");
        assert_eq!((at(&image, left.0, left.1), at(&image, right.0, right.1)), ((0, 0), (39, 0)), "{options}");
    }
}

#[test]
fn a_rectangle_is_cut_out_exactly() {
    let image = made(&places(40, 20), "crop=10;5;20;8");
    assert_eq!((image.dimensions(), at(&image, 0, 0), at(&image, 19, 7)), ((20, 8), (10, 5), (29, 12)));
    let image = made(&places(40, 20), "trim=1;2;3;4,crop=0.5;0.0;1.0;1.0,flip=h");
    assert_eq!((image.dimensions(), at(&image, 16, 0), at(&image, 0, 15)), ((17, 16), (21, 1), (37, 16)));
}

#[test]
fn a_border_is_trimmed_off_before_the_picture_is_fitted() {
    let source = png(&DynamicImage::ImageRgb8(framed(0)));
    let image = made(&source, "trim=auto");
    assert!(image.dimensions() == (40, 40) && image.pixels().all(|pixel| pixel.0 == [90, 90, 90, 255]));
    assert_eq!(made(&source, "trim=auto,w=20").dimensions(), (20, 20));
    assert_eq!(made(&source, "trim=200").dimensions(), (60, 60));
    let blank = png(&DynamicImage::ImageRgb8(RgbImage::from_pixel(30, 20, Rgb([7; 3]))));
    assert_eq!(made(&blank, "trim=auto").dimensions(), (30, 20));
}

#[test]
fn a_border_is_trimmed_off_a_jpeg_on_its_side() {
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 98).encode_image(&framed(20)).unwrap();
    let exif = block(6);
    let len = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let source = [&jpeg[..2], &[0xFF, 0xE1], &len, &exif, &jpeg[2..]].concat();
    assert_eq!(made(&source, "trim=0;0;0;0,w=80,h=80").dimensions(), (60, 80));
    let image = made(&source, "trim=20");
    let (width, height) = image.dimensions();
    assert!(width.abs_diff(40) <= 2 && height.abs_diff(40) <= 2, "{width} × {height}");
    assert!(image.get_pixel(20, 20).0[0].abs_diff(90) < 8);
}

#[test]
fn the_interesting_part_is_kept() {
    let scene = |left: u32| {
        let inside = move |x: u32, y: u32| (left..left + 60).contains(&x) && (20..80).contains(&y);
        let picture = RgbImage::from_fn(300, 100, |x, y| match (inside(x, y), (x / 4 + y / 4) % 2) {
            (true, 0) => Rgb([250, 30, 30]),
            (true, _) => Rgb([30, 30, 30]),
            (false, _) => Rgb([160, 165, 170]),
        });
        png(&DynamicImage::ImageRgb8(picture))
    };
    let is_subject = |pixel: &Rgba<u8>| pixel.0[2] < 60;
    let subject = |image: &RgbaImage| image.pixels().filter(|pixel| is_subject(pixel)).count();
    for left in [0, 120, 230] {
        let source = scene(left);
        let whole = subject(&made(&source, "w=300,h=100,fit=cover"));
        let found = made(&source, "w=100,h=100,fit=cover,g=auto");
        assert_eq!(found.dimensions(), (100, 100));
        assert!(subject(&found) * 100 > whole * 98, "{left}: {} of {whole}", subject(&found));
        let turned = made(&source, "w=100,h=100,fit=crop,g=auto,rotate=90");
        assert!(subject(&turned) * 100 > whole * 98, "{left}, turned: {} of {whole}", subject(&turned));
    }
}

#[test]
fn steps_come_in_their_order() {
    let source = png(&DynamicImage::ImageRgba8(RgbaImage::from_pixel(20, 20, Rgba([100, 100, 100, 0]))));
    // The background is laid under it when its light has been changed already.
    let image = made(&source, "brightness=0.5,background=c8c8c8,w=30,h=20,fit=pad");
    assert!(image.pixels().all(|pixel| pixel.0 == [200, 200, 200, 255]));
    let image = made(&source, "w=30,h=20,fit=pad,background=transparent");
    assert!(image.pixels().all(|pixel| pixel.0[3] == 0));
}

#[test]
fn a_watermark_lies_on_the_picture_in_its_size() {
    let source = png(&DynamicImage::ImageRgb8(RgbImage::from_pixel(80, 60, Rgb([0; 3]))));
    let mark = png(&DynamicImage::ImageRgba8(RgbaImage::from_fn(40, 20, |x, _| {
        Rgba([200, 200, 200, if x < 20 { 255 } else { 0 }])
    })));
    let marks: &[(&str, &[u8])] = &[("/other.png", &[]), ("/logo.png", &mark)];
    let image = made_with(&source, "wm=/logo.png,wm-opacity=0.5", marks).unwrap();
    assert_eq!(image.dimensions(), (80, 60));
    // A quarter of 80 across, half as high, at the bottom right; its right half is transparent.
    let lit: Vec<_> = image.enumerate_pixels().filter(|(.., pixel)| pixel.0[0] > 90).map(|(x, y, _)| (x, y)).collect();
    let (first, last) = (lit.first().unwrap(), lit.last().unwrap());
    assert_eq!((first, last.1), (&(60, 50), 59));
    assert!((68..=70).contains(&last.0), "{last:?}");
    assert_eq!(image.get_pixel(62, 55).0[..3], [100; 3]);
    let image = made_with(&source, "wm=/logo.png,wm-scale=1,w=40,wm-position=n", marks).unwrap();
    assert_eq!((image.get_pixel(5, 5).0[0], image.get_pixel(5, 25).0[0], image.get_pixel(35, 5).0[0]), (200, 0, 0));
}

#[test]
fn a_watermark_that_cannot_be_had_is_an_error_that_passes() {
    let source = places(40, 20);
    let half = &places(10, 10)[..40];
    for marks in [&[][..], &[("/b.png", half)], &[("/a.png", half)], &[("/a.png", b"no picture".as_slice())]] {
        let error = made_with(&source, "wm=/a.png", marks).unwrap_err();
        assert!(matches!(error, ImageError::Watermark { .. }) && !error.is_of_source(), "{error}");
        assert!(error.why_original() == WhyOriginal::Watermark && error.why_original().is_passing());
    }
}

#[test]
fn one_source_is_rendered_for_many_each_with_its_own_steps() {
    let (source, cancel) = (png(&DynamicImage::ImageRgb8(framed(0))), Cancel::default());
    let transforms = ["trim=auto", "brightness=0.5", "wm=/a.png", "w=2000,fit=contain"].map(transform);
    let wanted: Vec<_> = transforms.iter().collect();
    let found = probe(&source).unwrap();
    let rendered = render(&source, &found, &wanted, &SETTINGS.limits, &cancel, &Extras::default()).unwrap();
    let sizes: Vec<_> = rendered.iter().map(|one| one.as_ref().map(crate::Rendered::size).ok()).collect();
    assert_eq!(sizes, [Some((40, 40)), Some((60, 60)), None, None]);
}
