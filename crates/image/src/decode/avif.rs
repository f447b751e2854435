//! AVIF: its boxes say where the AV1 data is, libaom decodes it, and the planes become RGB. More than 8 bits are reduced to
//! 8; high dynamic range is left alone.

use std::ops::Range;

use yuv::{
    YuvGrayImage, YuvPlanarImage, YuvRange, YuvStandardMatrix, gbr_to_rgb, yuv400_to_rgb, yuv420_to_rgb, yuv422_to_rgb,
    yuv444_to_rgb,
};

use super::{Decoder as AnyDecoder, Rows};
use crate::{
    aom::{self, Frame, Subsampling},
    color::ColorSpace,
    error::ImageError,
    format::InputFormat::Avif,
    picture::{Channels, byte_count},
    probe::avif::{CodePoints, Container},
};

/// Code points of ITU-T H.273.
mod code_points {
    pub(super) const PRIMARIES_BT2020: u32 = 9;
    pub(super) const PRIMARIES_DISPLAY_P3: u32 = 12;
    pub(super) const TRANSFER_PQ: u32 = 16;
    pub(super) const TRANSFER_HLG: u32 = 18;
    pub(super) const MATRIX_IDENTITY: u32 = 0;
    pub(super) const MATRIX_BT709: u32 = 1;
    pub(super) const MATRIX_UNSPECIFIED: u32 = 2;
    pub(super) const MATRIX_BT470BG: u32 = 5;
    pub(super) const MATRIX_BT601: u32 = 6;
    pub(super) const MATRIX_BT2020: u32 = 9;
}

/// How many rows become RGB at once. Even, so that halved chroma begins with a row of its own.
const STRIP: u32 = 16;

pub(super) struct Decoder {
    frame: Frame,
    alpha: Option<Frame>,
    /// The strip's pixels.
    strip: Vec<u8>,
    /// Which row the strip begins with.
    strip_at: u32,
    row: Vec<u8>,
    at: u32,
}

pub(super) fn open<'a>(bytes: &[u8]) -> Result<Rows<'a>, ImageError> {
    let container = Container::read(bytes)?;
    let mut frame = decode_frame(&container.color, container.size)?;
    if let Some(CodePoints { primaries, transfer, matrix, full_range }) = container.code_points {
        frame = Frame { primaries, transfer, matrix, full_range, ..frame };
    }
    let colors = color_space(&container, &frame)?;
    let alpha = container.alpha.as_ref().map(|alpha| decode_frame(alpha, container.size)).transpose()?;
    let channels = if alpha.is_some() { Channels::Rgba } else { Channels::Rgb };
    let size = container.size;
    let row = vec![0; byte_count(size.0, 1, channels.count())];
    let decoder = Decoder { frame, alpha, strip: Vec::new(), strip_at: 0, row, at: 0 };
    Ok(Rows { size, channels, colors, decoder: AnyDecoder::Avif(Box::new(decoder)) })
}

impl Decoder {
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ImageError> {
        if self.at == self.frame.height {
            return Ok(None);
        }
        if self.at.is_multiple_of(STRIP) {
            self.strip_at = self.at;
            self.strip = to_rgb(&self.frame, self.at..(self.at + STRIP).min(self.frame.height))?;
        }
        let row_bytes = byte_count(self.frame.width, 1, 3);
        let start = (self.at - self.strip_at) as usize * row_bytes;
        let pixels = &self.strip[start..start + row_bytes];
        let at = self.at as usize * self.frame.width as usize;
        self.at += 1;
        let Some(alpha) = &self.alpha else { return Ok(Some(pixels)) };
        join_alpha(pixels, &alpha.planes[0][at..], alpha.full_range, &mut self.row);
        Ok(Some(&self.row))
    }
}

fn decode_frame(data: &[u8], size: (u32, u32)) -> Result<Frame, ImageError> {
    aom::decode(data, size).map_err(|error| ImageError::broken(Avif, &error))
}

fn color_space(container: &Container<'_>, frame: &Frame) -> Result<ColorSpace, ImageError> {
    if matches!(frame.transfer, code_points::TRANSFER_PQ | code_points::TRANSFER_HLG) {
        return Err(ImageError::Unsupported { what: "high dynamic range" });
    }
    Ok(match (&container.profile, frame.primaries) {
        (Some(profile), _) => ColorSpace::Icc(profile.clone()),
        (None, code_points::PRIMARIES_DISPLAY_P3) => ColorSpace::DisplayP3,
        (None, code_points::PRIMARIES_BT2020) => ColorSpace::Bt2020,
        (None, _) => ColorSpace::Srgb,
    })
}

/// The pixels of some rows, the first of which is even.
fn to_rgb(frame: &Frame, rows: Range<u32>) -> Result<Vec<u8>, ImageError> {
    let (width, height) = (frame.width, rows.end - rows.start);
    let mut pixels = vec![0; byte_count(width, height, 3)];
    let stride = width * 3;
    let range = if frame.full_range { YuvRange::Full } else { YuvRange::Limited };
    let (chroma_stride, chroma_height) = frame.chroma_size();
    let is_halved = chroma_height < frame.height;
    let chroma_rows = if is_halved { rows.start / 2..rows.end.div_ceil(2) } else { rows.clone() };
    let cut = |plane: usize, stride: u32, rows: &Range<u32>| {
        let all = &frame.planes[plane];
        let [start, end] = [rows.start, rows.end].map(|row| (row as usize * stride as usize).min(all.len()));
        &all[start..end]
    };
    let luma = cut(0, width, &rows);
    let gray = YuvGrayImage { y_plane: luma, y_stride: width, width, height };
    let planes = YuvPlanarImage {
        y_plane: luma,
        y_stride: width,
        u_plane: cut(1, chroma_stride, &chroma_rows),
        u_stride: chroma_stride,
        v_plane: cut(2, chroma_stride, &chroma_rows),
        v_stride: chroma_stride,
        width,
        height,
    };
    match (frame.subsampling, matrix(frame.matrix)?) {
        (Subsampling::Monochrome, matrix) => {
            yuv400_to_rgb(&gray, &mut pixels, stride, range, matrix.unwrap_or(YuvStandardMatrix::Bt601))
        }
        (Subsampling::Half, Some(matrix)) => yuv420_to_rgb(&planes, &mut pixels, stride, range, matrix),
        (Subsampling::HalfAcross, Some(matrix)) => yuv422_to_rgb(&planes, &mut pixels, stride, range, matrix),
        (Subsampling::Full, Some(matrix)) => yuv444_to_rgb(&planes, &mut pixels, stride, range, matrix),
        (Subsampling::Full, None) => gbr_to_rgb(&planes, &mut pixels, stride, range),
        (_, None) => return Err(ImageError::broken(Avif, "RGB planes of different sizes")),
    }
    .map_err(|error| ImageError::broken(Avif, &error))?;
    Ok(pixels)
}

/// The matrix of a code point; `None` where the planes are green, blue and red themselves.
fn matrix(code_point: u32) -> Result<Option<YuvStandardMatrix>, ImageError> {
    use code_points::{MATRIX_BT470BG, MATRIX_BT601, MATRIX_BT709, MATRIX_BT2020, MATRIX_IDENTITY, MATRIX_UNSPECIFIED};
    Ok(Some(match code_point {
        MATRIX_IDENTITY => return Ok(None),
        MATRIX_BT709 => YuvStandardMatrix::Bt709,
        MATRIX_UNSPECIFIED | MATRIX_BT470BG | MATRIX_BT601 => YuvStandardMatrix::Bt601,
        MATRIX_BT2020 => YuvStandardMatrix::Bt2020,
        _ => return Err(ImageError::Unsupported { what: "an AVIF with an uncommon colour matrix" }),
    }))
}

fn join_alpha(pixels: &[u8], alpha: &[u8], is_full_range: bool, row: &mut [u8]) {
    let pixels = pixels.as_chunks::<3>().0.iter().zip(alpha);
    for (joined, ([red, green, blue], alpha)) in row.as_chunks_mut::<4>().0.iter_mut().zip(pixels) {
        *joined = [*red, *green, *blue, if is_full_range { *alpha } else { widened(*alpha) }];
    }
}

/// A level of the limited range 16-235 in the full range.
fn widened(value: u8) -> u8 {
    let level = (u32::from(value.clamp(16, 235)) - 16) * 255 + 109;
    u8::try_from(level / 219).unwrap_or(u8::MAX)
}
