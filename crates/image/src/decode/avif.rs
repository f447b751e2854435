//! AVIF: its boxes say where the AV1 data is, libaom decodes it, and the planes become RGB. More than 8 bits are reduced to
//! 8; high dynamic range is left alone.

use yuv::{
    YuvGrayImage, YuvPlanarImage, YuvRange, YuvStandardMatrix, gbr_to_rgb, yuv400_to_rgb, yuv420_to_rgb, yuv422_to_rgb,
    yuv444_to_rgb,
};

use super::Decoded;
use crate::{
    aom::{self, Frame, Subsampling},
    color::ColorSpace,
    error::ImageError,
    format::InputFormat::Avif,
    picture::{Channels, Picture, byte_count},
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

pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, ImageError> {
    let container = Container::read(bytes)?;
    let mut frame = decode_frame(&container.color, container.size)?;
    if let Some(CodePoints { primaries, transfer, matrix, full_range }) = container.code_points {
        frame = Frame { primaries, transfer, matrix, full_range, ..frame };
    }
    let colors = color_space(&container, &frame)?;
    let pixels = to_rgb(&frame)?;
    drop(frame);
    let (width, height) = container.size;
    let (channels, pixels) = match &container.alpha {
        None => (Channels::Rgb, pixels),
        Some(alpha) => (Channels::Rgba, with_alpha(&pixels, &decode_frame(alpha, container.size)?)),
    };
    let picture = Picture::new(width, height, channels, pixels)
        .ok_or_else(|| ImageError::broken(Avif, "it has another size than it says"))?;
    Ok(Decoded { picture, colors })
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

fn to_rgb(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let Frame { width, height, .. } = *frame;
    let mut pixels = vec![0; byte_count(width, height, 3)];
    let stride = width * 3;
    let range = if frame.full_range { YuvRange::Full } else { YuvRange::Limited };
    let [luma, first, second] = &frame.planes;
    let gray = YuvGrayImage { y_plane: luma, y_stride: width, width, height };
    let chroma_stride = frame.chroma_size().0;
    let planes = YuvPlanarImage {
        y_plane: luma,
        y_stride: width,
        u_plane: first,
        u_stride: chroma_stride,
        v_plane: second,
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

fn with_alpha(pixels: &[u8], alpha: &Frame) -> Vec<u8> {
    let level = |value: u8| if alpha.full_range { value } else { widened(value) };
    let mut joined = Vec::with_capacity(pixels.len() / 3 * 4);
    for (pixel, value) in pixels.chunks_exact(3).zip(&alpha.planes[0]) {
        joined.extend_from_slice(pixel);
        joined.push(level(*value));
    }
    joined
}

/// A level of the limited range 16-235 in the full range.
fn widened(value: u8) -> u8 {
    let level = (u32::from(value.clamp(16, 235)) - 16) * 255 + 109;
    u8::try_from(level / 219).unwrap_or(u8::MAX)
}
