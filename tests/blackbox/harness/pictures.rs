//! What the edge is given: photographs of the demo, and pictures made here that are large, odd or broken on purpose.

use std::path::PathBuf;

use bytes::Bytes;
use image::{
    ExtendedColorType, ImageEncoder as _, RgbImage,
    codecs::{
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
};

/// One of the demo's pictures; `demo/LICENSE.md` says where they are from.
pub(crate) fn demo(name: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("demo/pictures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// How a JPEG lies in its file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    Baseline,
    Progressive,
}

/// Pixels with slopes, edges and noise, tinted by `number`: two numbers below 27 look different at a glance.
pub(crate) fn pixels(width: u32, height: u32, number: u32) -> RgbImage {
    let tint = [number % 3, number / 3 % 3, number / 9 % 3].map(|third| third * 90);
    let mut noise = 0x9E37_79B9_u32.wrapping_add(number);
    RgbImage::from_fn(width, height, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let slope = [x * 48 / width, y * 48 / height, (x / 16 + y / 16) % 2 * 12];
        let grain = noise >> 29;
        image::Rgb([0, 1, 2].map(|channel| (tint[channel] + slope[channel] + grain) as u8))
    })
}

/// A JPEG of [`pixels`].
pub(crate) fn jpeg(width: u32, height: u32, number: u32, scan: Scan) -> Bytes {
    encode_jpeg(&pixels(width, height, number), scan)
}

/// A JPEG that costs little to develop.
pub(crate) fn small_jpeg(number: u32) -> Bytes {
    jpeg(96, 64, number, Scan::Baseline)
}

/// A large JPEG, of equal tiles, since the pixels of so many others take their time.
pub(crate) fn large_jpeg(width: u32, height: u32, number: u32, scan: Scan) -> Bytes {
    encode_jpeg(&tiled(width, height, number), scan)
}

/// The same as a PNG.
pub(crate) fn large_png(width: u32, height: u32, number: u32) -> Bytes {
    let mut file = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up);
    encoder.write_image(tiled(width, height, number).as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
    file.into()
}

/// The same as a WebP without loss.
pub(crate) fn large_webp(width: u32, height: u32, number: u32) -> Bytes {
    let mut file = Vec::new();
    let pixels = tiled(width, height, number);
    WebPEncoder::new_lossless(&mut file).encode(&pixels, width, height, ExtendedColorType::Rgb8).unwrap();
    file.into()
}

fn tiled(width: u32, height: u32, number: u32) -> RgbImage {
    let tile = pixels(width.min(500), height.min(500), number);
    let rows: Vec<Vec<u8>> = tile
        .rows()
        .map(|row| row.flat_map(|pixel| pixel.0).collect::<Vec<u8>>())
        .map(|row| row.iter().copied().cycle().take(width as usize * 3).collect())
        .collect();
    let samples: Vec<u8> = rows.iter().cycle().take(height as usize).flatten().copied().collect();
    RgbImage::from_raw(width, height, samples).unwrap()
}

fn encode_jpeg(pixels: &RgbImage, scan: Scan) -> Bytes {
    let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    encoder.set_fastest_defaults();
    if scan == Scan::Progressive {
        encoder.set_progressive_mode();
    }
    encoder.set_size(pixels.width() as usize, pixels.height() as usize);
    encoder.set_quality(90.0);
    let mut started = encoder.start_compress(Vec::new()).unwrap();
    started.write_scanlines(pixels.as_raw()).unwrap();
    started.finish().unwrap().into()
}

/// The same JPEG with a comment: other bytes, the same pixels.
pub(crate) fn with_comment(jpeg: &[u8], comment: &str) -> Bytes {
    let len = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xFE], &len, comment.as_bytes(), &jpeg[2..]].concat().into()
}

/// The same JPEG, said by EXIF to lie as `orientation` says.
pub(crate) fn with_orientation(jpeg: &[u8], orientation: u8) -> Bytes {
    let tiff =
        [&b"Exif\0\0MM\0\x2A\0\0\0\x08"[..], &[0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]]
            .concat();
    let len = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &len, &tiff, &jpeg[2..]].concat().into()
}

/// A PNG of noise, which no format makes smaller without loss: about 3 bytes a pixel.
pub(crate) fn noise_png(width: u32, height: u32) -> Bytes {
    let mut state = 1_u64;
    let samples = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    let samples: Vec<u8> = samples.take((width * height * 3) as usize).collect();
    png(&samples, width, height, ExtendedColorType::Rgb8)
}

/// A PNG that is clear on its left half and of a grainy red on its right.
pub(crate) fn half_clear_png(width: u32, height: u32) -> Bytes {
    let grain = pixels(width, height, 0);
    let pixel = |(x, _, grain): (u32, u32, &image::Rgb<u8>)| {
        let noise = grain[0] % 16;
        if x < width / 2 { [0, 0, 0, 0] } else { [220 + noise, 30 + noise, 30 - noise, 255] }
    };
    let samples: Vec<u8> = grain.enumerate_pixels().flat_map(pixel).collect();
    png(&samples, width, height, ExtendedColorType::Rgba8)
}

fn png(samples: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Bytes {
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(samples, width, height, color).unwrap();
    file.into()
}

/// A PNG whose header says so many pixels, with hardly any behind it.
pub(crate) fn png_header_of(width: u32, height: u32) -> Bytes {
    let mut file = half_clear_png(8, 8).to_vec();
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file.into()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}
