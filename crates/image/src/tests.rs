//! The pipeline as a whole: bytes in, bytes out, looked at with the `image` crate's own decoders where it has them.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage, codecs::jpeg::JpegEncoder};
use proptest::prelude::*;

use super::{
    Cancel, Developed, Effort, Extras, ImageError, Limits, Settings, cost, develop, exif::tests::block,
    format::OutputFormat, probe, render,
};
use crate::{AvifEncoder, Transform, options::parse_segment};

const SETTINGS: Settings = Settings {
    limits: Limits {
        max_pixels: 4_000_000,
        max_output_pixels: 1_000_000,
        max_animation_frames: 20,
        max_animation_pixels: 2_000_000,
    },
    avif_encoder: if cfg!(feature = "libaom") { AvifEncoder::Libaom } else { AvifEncoder::Ravif },
};

/// The formats that can be looked at again in this build.
const ALL: &[OutputFormat] = if cfg!(feature = "libaom") {
    &[OutputFormat::Avif, OutputFormat::WebP, OutputFormat::Jpeg, OutputFormat::Png]
} else {
    &[OutputFormat::WebP, OutputFormat::Jpeg, OutputFormat::Png]
};

/// Four quarters: red, green / blue, white.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => Rgb([220, 30, 30]),
        (false, true) => Rgb([30, 200, 30]),
        (true, false) => Rgb([30, 30, 220]),
        (false, false) => Rgb([250, 250, 250]),
    })
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95).encode_image(image).unwrap();
    bytes
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn with_exif(jpeg: &[u8], value: u8) -> Vec<u8> {
    let exif = block(value);
    let len = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &len, &exif, &jpeg[2..]].concat()
}

fn transform(options: &str) -> Transform {
    if options.is_empty() { Transform::default() } else { parse_segment(options).unwrap().canonical().0 }
}

fn developed(bytes: &[u8], options: &str, format: OutputFormat) -> Result<Developed, ImageError> {
    develop(
        bytes,
        &probe(bytes)?,
        &transform(options),
        format,
        &SETTINGS,
        Effort::FirstView,
        &Cancel::default(),
        &Extras::default(),
    )
}

/// Pixels as RGBA, by another decoder where there is one.
fn pixels(made: &Developed) -> RgbaImage {
    if let Ok(image) = image::load_from_memory(&made.bytes) {
        return image.into_rgba8();
    }
    let found = probe(&made.bytes).unwrap();
    let limits = Limits { max_pixels: u64::MAX, max_output_pixels: u64::MAX, ..Limits::default() };
    let rendered =
        render(&made.bytes, &found, &[&Transform::default()], &limits, &Cancel::default(), &Extras::default()).unwrap();
    let picture = rendered.into_iter().next().unwrap().unwrap().picture;
    let rgba = if picture.channels.count() == 4 {
        picture.pixels
    } else {
        picture.pixels.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect()
    };
    RgbaImage::from_raw(picture.width, picture.height, rgba).unwrap()
}

fn assert_near(pixel: Rgba<u8>, expected: [u8; 4], what: &str) {
    let near = pixel.0.iter().zip(expected).all(|(is, wanted)| is.abs_diff(wanted) <= 16);
    assert!(near, "{what}: {:?} instead of {expected:?}", pixel.0);
}

#[test]
fn each_format_is_made_in_the_right_size_and_colours() {
    let source = jpeg(&quarters(401, 301));
    for format in ALL.iter().copied() {
        let made = developed(&source, "w=101", format).unwrap();
        assert_eq!((made.width, made.height), (101, 76));
        let image = pixels(&made);
        assert_eq!(image.dimensions(), (101, 76));
        let name = format.name();
        assert_near(*image.get_pixel(20, 20), [220, 30, 30, 255], name);
        assert_near(*image.get_pixel(80, 20), [30, 200, 30, 255], name);
        assert_near(*image.get_pixel(20, 60), [30, 30, 220, 255], name);
        assert_near(*image.get_pixel(80, 60), [250, 250, 250, 255], name);
    }
}

#[test]
fn the_pure_rust_encoder_makes_the_same_picture() {
    let settings = Settings { avif_encoder: AvifEncoder::Ravif, ..SETTINGS };
    let source = jpeg(&quarters(120, 80));
    let found = probe(&source).unwrap();
    let made = develop(
        &source,
        &found,
        &transform("w=60"),
        OutputFormat::Avif,
        &settings,
        Effort::FirstView,
        &Cancel::default(),
        &Extras::default(),
    )
    .unwrap();
    if cfg!(feature = "libaom") {
        let image = pixels(&made);
        assert_eq!(image.dimensions(), (60, 40));
        assert_near(*image.get_pixel(10, 10), [220, 30, 30, 255], "red");
        assert_near(*image.get_pixel(50, 10), [30, 200, 30, 255], "green");
    }
}

#[test]
fn every_orientation_is_laid_upright_and_then_forgotten() {
    let corners = |made: &Developed| {
        let image = pixels(made);
        let (right, bottom) = (image.width() - 9, image.height() - 9);
        [(8, 8), (right, 8), (8, bottom), (right, bottom)].map(|(x, y)| {
            let [r, g, b, _] = image.get_pixel(x, y).0;
            match (r > 128, g > 128, b > 128) {
                (true, false, false) => 'r',
                (false, true, false) => 'g',
                (false, false, true) => 'b',
                _ => 'w',
            }
        })
    };
    let table = [
        (1, (64, 32), ['r', 'g', 'b', 'w']),
        (2, (64, 32), ['g', 'r', 'w', 'b']),
        (3, (64, 32), ['w', 'b', 'g', 'r']),
        (4, (64, 32), ['b', 'w', 'r', 'g']),
        (5, (32, 64), ['r', 'b', 'g', 'w']),
        (6, (32, 64), ['b', 'r', 'w', 'g']),
        (7, (32, 64), ['w', 'g', 'b', 'r']),
        (8, (32, 64), ['g', 'w', 'r', 'b']),
    ];
    for (value, size, expected) in table {
        let source = with_exif(&jpeg(&quarters(64, 32)), value);
        let made = developed(&source, "", OutputFormat::Jpeg).unwrap();
        assert_eq!(((made.width, made.height), corners(&made)), (size, expected), "orientation {value}");
        assert_eq!(probe(&made.bytes).unwrap().orientation, Default::default());
    }
}

#[test]
fn transparency_stays_where_the_format_has_it_and_lies_on_white_where_not() {
    let clear_left =
        RgbaImage::from_fn(80, 40, |x, _| if x < 40 { Rgba([9, 9, 9, 0]) } else { Rgba([200, 40, 40, 255]) });
    let source = encoded(&DynamicImage::ImageRgba8(clear_left), ImageFormat::Png);
    for format in ALL.iter().copied().filter(|format| *format != OutputFormat::Jpeg) {
        let image = pixels(&developed(&source, "w=40", format).unwrap());
        assert_eq!(image.get_pixel(8, 8).0[3], 0, "{}", format.name());
        assert_near(*image.get_pixel(32, 8), [200, 40, 40, 255], format.name());
    }
    let image = pixels(&developed(&source, "w=40", OutputFormat::Jpeg).unwrap());
    assert_near(*image.get_pixel(8, 8), [255, 255, 255, 255], "on white");
    let image = pixels(&developed(&source, "w=40,background=0000ff", OutputFormat::WebP).unwrap());
    assert_near(*image.get_pixel(8, 8), [0, 0, 255, 255], "on blue");
}

#[test]
fn every_kind_of_png_and_jpeg_is_read() {
    let gradient = |x: u32| u8::try_from(x * 4).unwrap();
    let kinds = [
        DynamicImage::ImageLuma8(image::GrayImage::from_fn(64, 8, |x, _| image::Luma([gradient(x)]))),
        DynamicImage::ImageLumaA8(image::GrayAlphaImage::from_fn(64, 8, |x, _| image::LumaA([gradient(x), 255]))),
        DynamicImage::ImageRgb16(image::ImageBuffer::from_fn(64, 8, |x, _| Rgb([u16::from(gradient(x)) * 257; 3]))),
        DynamicImage::ImageRgba16(image::ImageBuffer::from_fn(64, 8, |x, _| {
            let level = u16::from(gradient(x)) * 257;
            Rgba([level, level, level, u16::MAX])
        })),
        DynamicImage::ImageRgb8(RgbImage::from_fn(64, 8, |x, _| Rgb([gradient(x); 3]))),
    ];
    for kind in &kinds {
        let image = pixels(&developed(&encoded(kind, ImageFormat::Png), "", OutputFormat::Png).unwrap());
        assert_near(*image.get_pixel(50, 4), [200, 200, 200, 255], &format!("{:?}", kind.color()));
    }
    let gray = encoded(&kinds[0], ImageFormat::Jpeg);
    assert_near(
        *pixels(&developed(&gray, "", OutputFormat::Png).unwrap()).get_pixel(50, 4),
        [200, 200, 200, 255],
        "grey JPEG",
    );
}

#[test]
fn gif_and_webp_and_avif_are_read() {
    let image = DynamicImage::ImageRgb8(quarters(64, 64));
    let mut sources = vec![
        (encoded(&image, ImageFormat::Gif), "GIF"),
        (encoded(&image, ImageFormat::WebP), "WebP, lossless"),
        (developed(&jpeg(&quarters(64, 64)), "", OutputFormat::WebP).unwrap().bytes, "WebP"),
    ];
    if cfg!(feature = "libaom") {
        sources.push((developed(&jpeg(&quarters(64, 64)), "q=95", OutputFormat::Avif).unwrap().bytes, "AVIF"));
    }
    for (source, what) in sources {
        let image = pixels(&developed(&source, "w=32", OutputFormat::Png).unwrap());
        assert_near(*image.get_pixel(5, 5), [220, 30, 30, 255], what);
        assert_near(*image.get_pixel(25, 25), [250, 250, 250, 255], what);
    }
}

#[test]
fn a_cmyk_jpeg_becomes_rgb() {
    let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_CMYK);
    encoder.set_size(16, 16);
    encoder.set_quality(95.0);
    let mut started = encoder.start_compress(Vec::new()).unwrap();
    // libjpeg writes Adobe's segment, whose reading is inverted: no light taken from red, all from the others.
    started.write_scanlines(&[255, 0, 0, 255].repeat(256)).unwrap();
    let source = started.finish().unwrap();
    let image = pixels(&developed(&source, "", OutputFormat::Png).unwrap());
    assert_near(*image.get_pixel(8, 8), [255, 0, 0, 255], "red");
}

#[test]
fn the_smallest_pictures_are_made_in_every_format() {
    for (width, height) in [(1, 1), (1, 7), (3, 1), (2, 2), (17, 5)] {
        let source = encoded(&DynamicImage::ImageRgb8(quarters(width, height)), ImageFormat::Png);
        for format in ALL.iter().copied() {
            let made = developed(&source, "", format).unwrap();
            assert_eq!(pixels(&made).dimensions(), (width, height), "{}", format.name());
        }
    }
}

#[test]
fn a_picture_at_the_limit_is_made_and_one_over_it_is_not() {
    let at_limit = jpeg(&quarters(2000, 2000));
    assert!(developed(&at_limit, "w=1000", OutputFormat::WebP).is_ok());
    let over = jpeg(&quarters(2001, 2000));
    assert!(matches!(developed(&over, "w=10", OutputFormat::WebP), Err(ImageError::SourceTooLarge { .. })));
    let output = developed(&at_limit, "w=1001,h=1000,fit=cover", OutputFormat::WebP);
    assert!(matches!(&output, Err(error) if !error.is_of_source()), "{output:?}");
    let wide = developed(&at_limit, "w=16384,h=1,fit=cover", OutputFormat::WebP);
    assert!(matches!(&wide, Err(ImageError::OutputTooLarge { .. })), "{wide:?}");
    assert!(developed(&at_limit, "w=16384,h=1,fit=cover", OutputFormat::Jpeg).is_ok());
}

#[test]
fn the_cost_of_a_large_source_follows_its_output_where_it_can_be_reduced_while_decoding() {
    let source = jpeg(&quarters(2000, 2000));
    let found = probe(&source).unwrap();
    let cost_of = |options: &str, format| {
        cost(&found, &transform(options), format, &SETTINGS, Effort::FirstView).unwrap().total()
    };
    let thumbnail = cost_of("w=200", OutputFormat::Jpeg);
    let whole = cost_of("w=1000", OutputFormat::Jpeg);
    assert!(thumbnail < 10 << 20 && thumbnail * 2 < whole, "{thumbnail} {whole}");
    assert!(cost_of("w=1000", OutputFormat::Avif) > cost_of("w=1000", OutputFormat::WebP));
}

/// White, but for a block of these columns.
fn block_on_white(width: u32, height: u32, columns: std::ops::Range<u32>) -> Vec<u8> {
    let picture =
        RgbImage::from_fn(width, height, |x, _| if columns.contains(&x) { Rgb([0; 3]) } else { Rgb([255; 3]) });
    encoded(&DynamicImage::ImageRgb8(picture), ImageFormat::Png)
}

#[test]
fn what_is_left_within_a_border_becomes_no_larger_than_it_is_admitted_for() {
    let (strip, block) = (block_on_white(400, 48, 195..204), block_on_white(400, 48, 180..220));
    for (source, options, size) in [
        (&strip, "w=300,trim=auto", Some((9, 48))),
        (&strip, "trim=auto", Some((9, 48))),
        (&strip, "w=300,h=300,trim=auto,fit=contain", Some((56, 300))),
        (&strip, "w=300,trim=auto,fit=contain", None),
        (&block, "w=300,trim=auto,fit=contain", Some((300, 360))),
    ] {
        let made = developed(source, options, OutputFormat::WebP);
        let admitted =
            cost(&probe(source).unwrap(), &transform(options), OutputFormat::WebP, &SETTINGS, Effort::FirstView);
        match size {
            Some((width, height)) => {
                let made = made.unwrap();
                assert_eq!((made.width, made.height), (width, height), "{options}");
                assert!(admitted.unwrap().own > u64::from(width * height) * 24, "{options}");
            }
            None => assert!(matches!(made, Err(ImageError::OutputTooLarge { .. })), "{options}"),
        }
    }
}

#[test]
fn tables_that_a_small_file_makes_large_are_admitted() {
    let admitted = |source: &[u8]| {
        let transform = transform("w=10");
        cost(&probe(source).unwrap(), &transform, OutputFormat::Jpeg, &SETTINGS, Effort::FirstView).unwrap().decoding
    };
    let small = encoded(&DynamicImage::ImageRgb8(quarters(512, 512)), ImageFormat::WebP);
    // Its size as it says it, and bytes that might be codes of 20 bits.
    let padding = vec![0; 40_000 - small.len()];
    let content = [&small[20..], &padding[..]].concat();
    let mut chunks = Vec::new();
    super::riff::push(&mut chunks, *b"VP8L", &content);
    let large = super::riff::webp(&chunks);
    let codes = (content.len() as u64) * 8 / 20 * (6 << 10);
    assert!(admitted(&small) < codes / 4, "{}", admitted(&small));
    assert!(admitted(&large) > codes, "{} of {codes}", admitted(&large));
}

#[cfg(feature = "libaom")]
#[test]
fn a_thin_picture_takes_what_libaom_has_around_it() {
    let admitted = |options: &str| {
        let source = probe(&jpeg(&quarters(1000, 1000))).unwrap();
        cost(&source, &transform(options), OutputFormat::Avif, &SETTINGS, Effort::FirstView).unwrap().own
    };
    let difference = admitted("w=900,h=1,fit=cover").abs_diff(admitted("w=9,h=100,fit=cover"));
    assert!(difference > 160 * (900 - 109) * 16, "{difference}");
}

#[test]
fn broken_pictures_are_errors_of_the_source() {
    let images = [
        jpeg(&quarters(64, 64)),
        encoded(&DynamicImage::ImageRgb8(quarters(64, 64)), ImageFormat::Png),
        encoded(&DynamicImage::ImageRgb8(quarters(64, 64)), ImageFormat::Gif),
        encoded(&DynamicImage::ImageRgb8(quarters(64, 64)), ImageFormat::WebP),
        developed(&jpeg(&quarters(64, 64)), "", OutputFormat::Avif).unwrap().bytes,
    ];
    for bytes in images {
        for end in [16, bytes.len() / 4] {
            let result = developed(&bytes[..end], "", OutputFormat::Jpeg);
            assert!(result.as_ref().is_err_and(ImageError::is_of_source), "{:?}", &bytes[..4]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bytes_are_a_picture_or_an_error_never_a_panic(kind in 0usize..5, flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let image = DynamicImage::ImageRgb8(quarters(40, 30));
        let mut bytes = match kind {
            0 => jpeg(&quarters(40, 30)),
            1 => encoded(&image, ImageFormat::Png),
            2 => encoded(&image, ImageFormat::Gif),
            3 => encoded(&image, ImageFormat::WebP),
            _ => developed(&jpeg(&quarters(40, 30)), "", OutputFormat::Avif).unwrap().bytes,
        };
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = developed(&bytes, "w=20", OutputFormat::Jpeg);
    }
}

#[test]
fn work_that_is_not_wanted_any_more_stops() {
    let source = jpeg(&quarters(400, 300));
    let found = probe(&source).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let stopped = develop(
        &source,
        &found,
        &transform("w=100"),
        OutputFormat::WebP,
        &SETTINGS,
        Effort::FirstView,
        &cancel,
        &Extras::default(),
    );
    assert_eq!(stopped.unwrap_err(), ImageError::Cancelled);
}

#[test]
fn what_is_rendered_together_is_what_is_rendered_alone() {
    let source = jpeg(&quarters(400, 300));
    let found = probe(&source).unwrap();
    let wanted = ["", "w=180", "w=100,h=100,fit=cover", "w=60,rotate=90"].map(transform);
    let render = |wanted: &[&Transform]| {
        render(&source, &found, wanted, &SETTINGS.limits, &Cancel::default(), &Extras::default()).unwrap()
    };
    let together = render(&wanted.each_ref());
    for (wanted, together) in wanted.iter().zip(together) {
        let alone = render(&[wanted]).remove(0).unwrap().picture;
        let together = together.unwrap().picture;
        assert_eq!((together.width, together.height), (alone.width, alone.height));
        // Alone it may be reduced while it is decoded.
        let differing = together.pixels.iter().zip(&alone.pixels).filter(|(one, other)| one.abs_diff(**other) > 12);
        assert!(differing.count() * 50 < together.pixels.len(), "{wanted:?}");
    }
}
