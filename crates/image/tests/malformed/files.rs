//! Small valid files of every format and kind, to begin from.

use std::io::Cursor;

use image::{
    DynamicImage, Frame, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder},
};
use lightmeter_image::format::OutputFormat;
use mozjpeg::{ColorSpace, Compress};

use super::{developed, limits};

pub(crate) fn picture(width: u32, height: u32) -> RgbImage {
    let level = |value: u32| u8::try_from(value % 256).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([level(x * 11), level(y * 13), level((x ^ y) * 7)]))
}

fn with_alpha(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let [r, g, b] = picture(width, height).get_pixel(x, y).0;
        Rgba([r, g, b, if x % 3 == 0 { 0 } else { 200 }])
    })
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn baseline(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(image).unwrap();
    bytes
}

fn libjpeg(colors: ColorSpace, samples: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    let mut encoder = Compress::new(colors);
    encoder.set_size(width as usize, height as usize);
    encoder.set_quality(90.0);
    encoder.set_progressive_mode();
    let mut started = encoder.start_compress(Vec::new()).unwrap();
    started.write_scanlines(samples).unwrap();
    started.finish().unwrap()
}

fn animated_gif(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.encode_frames((0..3).map(|_| Frame::new(with_alpha(width, height)))).unwrap();
    drop(encoder);
    bytes
}

/// Each file with what it is.
pub(crate) fn all(width: u32, height: u32) -> Vec<(&'static str, Vec<u8>)> {
    let rgb = picture(width, height);
    let rgba = DynamicImage::ImageRgba8(with_alpha(width, height));
    let jpeg = baseline(&rgb);
    let made = |source: &[u8], format| developed(source, "q=90", format, limits()).unwrap().bytes;
    let fine = ImageBuffer::from_fn(width, height, |x, y| Luma([u16::try_from((x * 997 + y * 1009) % 65536).unwrap()]));
    let png = encoded(&rgba, ImageFormat::Png);
    vec![
        ("progressive JPEG", libjpeg(ColorSpace::JCS_RGB, rgb.as_raw(), (width, height))),
        ("CMYK JPEG", libjpeg(ColorSpace::JCS_CMYK, rgba.as_bytes(), (width, height))),
        ("grey JPEG", encoded(&DynamicImage::ImageRgb8(rgb.clone()).grayscale(), ImageFormat::Jpeg)),
        ("PNG", encoded(&DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Png)),
        ("PNG of 16 bits", encoded(&DynamicImage::ImageLuma16(fine), ImageFormat::Png)),
        ("GIF", encoded(&DynamicImage::ImageRgb8(rgb), ImageFormat::Gif)),
        ("animated GIF", animated_gif(width, height)),
        ("lossless WebP with alpha", encoded(&rgba, ImageFormat::WebP)),
        ("lossy WebP", made(&jpeg, OutputFormat::WebP)),
        ("lossy WebP with alpha", made(&png, OutputFormat::WebP)),
        ("AVIF", made(&jpeg, OutputFormat::Avif)),
        ("AVIF with alpha", made(&png, OutputFormat::Avif)),
        ("PNG with alpha", png),
        ("JPEG", jpeg),
    ]
}
