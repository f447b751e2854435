//! PNG by the `png` crate: with a palette where there are no more than 256 colours, as grey where there is no other.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

use super::palette::Indexed;
use crate::{
    encode::Make,
    error::ImageError,
    format::OutputFormat::Png,
    picture::{Channels, Picture},
    settings::Effort,
};

pub(super) fn encode(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    let compression = match make.effort {
        Effort::FirstView => Compression::Balanced,
        Effort::Refined => Compression::High,
    };
    let file = match (Indexed::of(picture), gray(picture)) {
        (Some(indexed), None) => write(picture, compression, &Pixels::indexed(&indexed)),
        // Of many levels of grey the differences say more than their numbers.
        (Some(indexed), Some(_)) if indexed.bits < 8 => write(picture, compression, &Pixels::indexed(&indexed)),
        (_, Some(levels)) => write(picture, compression, &Pixels::gray(&levels)),
        (None, None) => write(picture, compression, &Pixels::plain(picture)),
    };
    file.map_err(|error| ImageError::not_encoded(Png, &error))
}

/// The levels of a picture that has nothing but grey.
fn gray(picture: &Picture) -> Option<Vec<u8>> {
    let is_gray = picture.channels == Channels::Rgb
        && picture.pixels.as_chunks().0.iter().all(|[red, green, blue]: &[u8; 3]| red == green && green == blue);
    is_gray.then(|| picture.pixels.iter().step_by(3).copied().collect())
}

/// Pixels as they are written.
struct Pixels<'a> {
    color: ColorType,
    depth: BitDepth,
    filter: Filter,
    /// Colours and alphas.
    palette: Option<(&'a [u8], &'a [u8])>,
    rows: &'a [u8],
}

impl<'a> Pixels<'a> {
    fn plain(picture: &'a Picture) -> Self {
        let color = match picture.channels {
            Channels::Rgb => ColorType::Rgb,
            Channels::Rgba => ColorType::Rgba,
        };
        Self { color, depth: BitDepth::Eight, filter: Filter::Adaptive, palette: None, rows: &picture.pixels }
    }

    fn gray(levels: &'a [u8]) -> Self {
        let (color, depth) = (ColorType::Grayscale, BitDepth::Eight);
        Self { color, depth, filter: Filter::Adaptive, palette: None, rows: levels }
    }

    /// Differences of numbers of colours say nothing: they are not filtered.
    fn indexed(indexed: &'a Indexed) -> Self {
        let Indexed { colors, alphas, bits, rows } = indexed;
        let depth = match bits {
            1 => BitDepth::One,
            2 => BitDepth::Two,
            4 => BitDepth::Four,
            _ => BitDepth::Eight,
        };
        let palette = Some((colors.as_slice(), alphas.as_slice()));
        Self { color: ColorType::Indexed, depth, filter: Filter::NoFilter, palette, rows }
    }
}

fn write(picture: &Picture, compression: Compression, pixels: &Pixels<'_>) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, picture.width, picture.height);
    encoder.set_color(pixels.color);
    encoder.set_depth(pixels.depth);
    encoder.set_compression(compression);
    encoder.set_filter(pixels.filter);
    if let Some((colors, alphas)) = pixels.palette {
        encoder.set_palette(colors.to_vec());
        if !alphas.is_empty() {
            encoder.set_trns(alphas.to_vec());
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels.rows)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AvifEncoder, encode::Coding, format::OutputFormat};

    fn file(picture: &Picture) -> Vec<u8> {
        let make = Make {
            format: OutputFormat::Png,
            coding: Coding::Lossless,
            effort: Effort::FirstView,
            avif_encoder: AvifEncoder::default(),
            threads: 1,
        };
        encode(picture, &make).unwrap()
    }

    #[test]
    fn few_colours_make_a_palette_and_come_back_as_they_were() {
        for (channels, color) in [(Channels::Rgb, [7, 8, 9, 255]), (Channels::Rgba, [7, 8, 9, 120])] {
            let pixel = |at: usize| if at.is_multiple_of(3) { color } else { [200, 0, at as u8 % 9, 255] };
            let pixels = (0..33 * 7).flat_map(|at| pixel(at)[..channels.count()].to_vec()).collect();
            let picture = Picture::new(33, 7, channels, pixels).unwrap();
            let file = file(&picture);
            // The colour type stands in the header: 3 is a palette.
            assert_eq!(file[25], 3);
            let read = image::load_from_memory(&file).unwrap();
            let read = if channels == Channels::Rgb { read.to_rgb8().into_raw() } else { read.to_rgba8().into_raw() };
            assert_eq!(read, picture.pixels);
        }
    }

    #[test]
    fn many_levels_of_grey_are_written_as_such_and_black_and_white_in_bits() {
        for (levels, color_type) in [(200u32, 0), (2, 3)] {
            let pixels = (0..400u32).flat_map(|at| [(at % levels) as u8; 3]).collect();
            let picture = Picture::new(20, 20, Channels::Rgb, pixels).unwrap();
            let file = file(&picture);
            assert_eq!(file[25], color_type);
            assert_eq!(image::load_from_memory(&file).unwrap().to_rgb8().into_raw(), picture.pixels);
        }
    }

    #[test]
    fn many_colours_are_written_one_by_one() {
        let pixels = (0..400u32).flat_map(|at| [(at % 251) as u8, (at / 7) as u8, 3]).collect();
        let picture = Picture::new(20, 20, Channels::Rgb, pixels).unwrap();
        let file = file(&picture);
        assert_eq!(file[25], 2);
        assert_eq!(image::load_from_memory(&file).unwrap().to_rgb8().into_raw(), picture.pixels);
    }
}
