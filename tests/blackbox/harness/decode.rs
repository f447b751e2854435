//! Looks at delivered bytes with decoders that the program does not use, and compares pictures by eye, in numbers.

use image::{DynamicImage, ImageFormat, RgbaImage, imageops::FilterType};

use super::av1;

/// A picture as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `avif`, `webp`, `jpeg`, `png` or `gif`.
    pub(crate) format: &'static str,
    pub(crate) pixels: RgbaImage,
}

impl Seen {
    pub(crate) fn size(&self) -> (u32, u32) {
        self.pixels.dimensions()
    }
}

/// Decodes a file by what its bytes are.
pub(crate) fn decode(bytes: &[u8]) -> Seen {
    try_decode(bytes).unwrap_or_else(|problem| panic!("{} bytes are no whole picture: {problem}", bytes.len()))
}

/// Likewise; what is wrong where it cannot be decoded.
pub(crate) fn try_decode(bytes: &[u8]) -> Result<Seen, String> {
    if av1::is_avif(bytes) {
        return Ok(Seen { format: "avif", pixels: av1::decode_avif(bytes)? });
    }
    let format = image::guess_format(bytes).map_err(|error| error.to_string())?;
    let name = match format {
        ImageFormat::Jpeg => "jpeg",
        ImageFormat::Png => "png",
        ImageFormat::WebP => "webp",
        ImageFormat::Gif => "gif",
        other => return Err(format!("{other:?} was not expected")),
    };
    let picture = image::load_from_memory_with_format(bytes, format).map_err(|error| error.to_string())?;
    Ok(Seen { format: name, pixels: picture.to_rgba8() })
}

/// Fails unless `seen` looks like `source` brought to its size.
pub(crate) fn assert_looks_like(seen: &Seen, source: &[u8]) {
    let source = decode(source).pixels;
    let (width, height) = seen.size();
    let expected = DynamicImage::from(source).resize_exact(width, height, FilterType::CatmullRom).to_rgba8();
    let difference = difference(&seen.pixels, &expected);
    assert!(difference < BOUND, "a {} of {:?} is off by {difference:.1} a sample", seen.format, seen.size());
}

/// What lossy coding at ordinary quality stays far below, and exchanged colours or a wrong picture far above.
const BOUND: f64 = 9.0;

/// The mean absolute difference of the red, green and blue samples, each weighed by its alpha.
pub(crate) fn difference(one: &RgbaImage, other: &RgbaImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let samples = one.pixels().zip(other.pixels()).flat_map(|(a, b)| {
        let laid_on_white =
            |sample: u8, alpha: u8| (f64::from(sample) * f64::from(alpha) + 255.0 * f64::from(255 - alpha)) / 255.0;
        (0..3).map(move |channel| (laid_on_white(a[channel], a[3]) - laid_on_white(b[channel], b[3])).abs())
    });
    samples.sum::<f64>() / (f64::from(one.width()) * f64::from(one.height()) * 3.0)
}
