//! How much of a picture a file kept: SSIMULACRA2 of what its decoder gives, against the picture that was encoded.

use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Reference};

use crate::{
    cancel::Cancel,
    error::ImageError,
    format::OutputFormat,
    picture::{Channels, Picture},
    probe::probe,
    render::render_one,
    settings::Limits,
    steps::Extras,
    transform::Transform,
};

/// A larger picture is measured in bands that lie evenly over it: measuring takes some 200 bytes a pixel.
const MAX_PIXELS: usize = 3 << 19;

/// The most bytes that measuring a picture of so many pixels takes, on one ground.
pub(crate) const fn measuring_bytes(pixels: u64) -> u64 {
    let measured = if pixels < MAX_PIXELS as u64 { pixels } else { MAX_PIXELS as u64 };
    measured * 200
}

/// Rows of a band. A multiple of what the coarsest of the score's scales makes one row of.
const BAND_ROWS: usize = 128;
/// What lies under transparent pixels, in turn: the worse score counts.
const GROUNDS: [[u8; 3]; 2] = [[0; 3], [255; 3]];

/// Whether files of a format can be measured in this build.
pub(crate) const fn is_measurable(format: OutputFormat) -> bool {
    cfg!(feature = "libaom") || !matches!(format, OutputFormat::Avif)
}

/// A picture, ready for comparing files with it.
pub(crate) struct Reference {
    size: (u32, u32),
    rows: Vec<usize>,
    /// On each ground; on one where nothing is transparent.
    grounded: Vec<([u8; 3], Ssimulacra2Reference)>,
}

impl Reference {
    /// Makes one of a picture; `None` where the measure has nothing to say of it.
    pub(crate) fn of(picture: &Picture) -> Option<Self> {
        let rows = measured_rows(picture.width as usize, picture.height as usize);
        let grounds = if picture.channels == Channels::Rgba { &GROUNDS[..] } else { &GROUNDS[..1] };
        let grounded = grounds.iter().map(|ground| {
            let pixels = seen(picture, &rows, *ground);
            Some((*ground, Ssimulacra2Reference::new(&slice(&pixels, picture.width)?).ok()?))
        });
        Some(Self { size: (picture.width, picture.height), grounded: grounded.collect::<Option<_>>()?, rows })
    }

    /// The score of a file: 100 is the picture itself, 90 is not told from it, 70 is good, 50 middling.
    ///
    /// # Errors
    /// [`ImageError::NotEncoded`] where the file is not what it should be.
    pub(crate) fn score(&self, file: &[u8], format: OutputFormat) -> Result<f32, ImageError> {
        let unlike = |cause: &str| ImageError::not_encoded(format, cause);
        let picture = decoded(file).map_err(|error| ImageError::not_encoded(format, &error))?;
        if (picture.width, picture.height) != self.size {
            return Err(unlike("what was encoded has another size"));
        }
        let scores = self.grounded.iter().map(|(ground, reference)| {
            let pixels = seen(&picture, &self.rows, *ground);
            reference.compare(&slice(&pixels, picture.width)?).ok()
        });
        let scores: Option<Vec<f64>> = scores.collect();
        let scores = scores.ok_or_else(|| unlike("what was encoded cannot be measured"))?;
        Ok(scores.into_iter().fold(100.0, f64::min) as f32)
    }
}

/// The whole picture in a file that this engine has made.
pub(crate) fn decoded(file: &[u8]) -> Result<Picture, ImageError> {
    let limits = Limits { max_pixels: u64::MAX, max_output_pixels: u64::MAX, ..Limits::DEFAULT };
    let transform = Transform::default();
    Ok(render_one(file, &probe(file)?, &transform, &limits, &Cancel::default(), &Extras::default())?.picture)
}

/// Which rows are measured: all, or bands.
fn measured_rows(width: usize, height: usize) -> Vec<usize> {
    let most_rows = (MAX_PIXELS / width.max(1)).max(BAND_ROWS);
    if height <= most_rows {
        return (0..height).collect();
    }
    let bands = most_rows / BAND_ROWS;
    let between = height - BAND_ROWS;
    let starts = (0..bands).map(|band| if bands == 1 { between / 2 } else { between * band / (bands - 1) });
    starts.flat_map(|start| start..start + BAND_ROWS).collect()
}

/// The measured rows as they look on a ground.
fn seen(picture: &Picture, rows: &[usize], ground: [u8; 3]) -> Vec<u8> {
    let channels = picture.channels;
    let row_bytes = picture.width as usize * channels.count();
    let mut pixels = Vec::with_capacity(rows.len() * row_bytes);
    for row in rows {
        pixels.extend_from_slice(&picture.pixels[row * row_bytes..][..row_bytes]);
    }
    let height = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    Picture { width: picture.width, height, channels, pixels }.flattened(ground).pixels
}

fn slice(pixels: &[u8], width: u32) -> Option<PixelSlice<'_>> {
    let stride = width as usize * 3;
    let rows = u32::try_from(pixels.len() / stride.max(1)).ok()?;
    PixelSlice::new(pixels, width, rows, stride, PixelDescriptor::RGB8_SRGB).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AvifEncoder, Effort,
        encode::{Coding, Make, encode},
    };

    fn as_png(picture: &Picture) -> Vec<u8> {
        let (coding, effort, avif_encoder) = (Coding::Lossless, Effort::FirstView, AvifEncoder::default());
        encode(picture, &Make { format: OutputFormat::Png, coding, effort, avif_encoder, threads: 1 }).unwrap()
    }

    fn picture(channels: Channels, change: u8) -> Picture {
        let bytes = 96 * 64 * channels.count();
        let pixels = (0..bytes).map(|at| (at * at / 97 % 199) as u8 ^ if at % 7 == 0 { change } else { 0 }).collect();
        Picture::new(96, 64, channels, pixels).unwrap()
    }

    #[test]
    fn the_picture_itself_scores_a_hundred_and_a_worse_one_less() {
        let reference = Reference::of(&picture(Channels::Rgb, 0)).unwrap();
        let score = |change| reference.score(&as_png(&picture(Channels::Rgb, change)), OutputFormat::Png).unwrap();
        assert_eq!(score(0), 100.0);
        assert!(score(8) < 99.9 && score(64) < score(8), "{} {}", score(8), score(64));
    }

    #[test]
    fn what_is_seen_on_one_ground_only_counts() {
        let clear = |level: u8| Picture::new(32, 32, Channels::Rgba, [0, 0, 0, level].repeat(32 * 32)).unwrap();
        let reference = Reference::of(&clear(0)).unwrap();
        // On black it cannot be seen.
        let score = reference.score(&as_png(&clear(200)), OutputFormat::Png).unwrap();
        assert!(score < 50.0, "{score}");
    }

    #[test]
    fn another_size_and_another_thing_are_no_score() {
        let reference = Reference::of(&picture(Channels::Rgb, 0)).unwrap();
        let other = Picture::new(8, 8, Channels::Rgb, vec![0; 192]).unwrap();
        assert!(reference.score(&as_png(&other), OutputFormat::Png).is_err());
        assert!(reference.score(b"nothing", OutputFormat::Png).is_err());
    }

    #[test]
    fn large_pictures_are_measured_in_bands_over_all_of_their_height() {
        assert_eq!(measured_rows(1_000, 1_000).len(), 1_000);
        for (width, height) in [(4_000, 3_000), (16_000, 20_000), (30, 65_000), (60_000, 400)] {
            let rows = measured_rows(width, height);
            assert!(rows.len() * width <= MAX_PIXELS.max(BAND_ROWS * width), "{width}x{height}");
            assert!(rows.iter().all(|row| *row < height));
            let whole = rows.len() == BAND_ROWS || rows.first() == Some(&0) && rows.last() == Some(&(height - 1));
            assert!(whole, "{width}x{height}");
        }
    }
}
