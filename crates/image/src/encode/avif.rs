//! AVIF by libaom.

use avif_serialize::{
    Aviffy,
    constants::{ColorPrimaries, MatrixCoefficients, TransferCharacteristics},
};
use yuv::{
    YuvChromaSubsampling, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420,
    rgb_to_yuv444, rgba_to_yuv420, rgba_to_yuv444,
};

use crate::{
    aom::{self, EncoderSettings, Frame, Subsampling},
    encode::{Chroma, Coding, Make},
    error::ImageError,
    format::OutputFormat::Avif,
    picture::{Channels, Picture},
    settings::Effort,
};

pub(super) fn encode(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    let (width, height) = (picture.width, picture.height);
    let (quantizer, subsampling) = match make.coding {
        Coding::Lossy { setting, chroma: Chroma::Halved } => (quantizer(setting), Subsampling::Half),
        Coding::Lossy { setting, chroma: Chroma::Full } => (quantizer(setting), Subsampling::Full),
        Coding::Lossless => (0, Subsampling::Full),
    };
    let speed = match make.effort {
        Effort::FirstView => 9,
        Effort::Refined => 6,
    };
    let settings = EncoderSettings { quantizer, speed, threads: make.threads };
    let encode_frame =
        |frame: &Frame| aom::encode(frame, settings).map_err(|error| ImageError::not_encoded(Avif, &error));
    let color =
        encode_frame(&color_frame(picture, subsampling).map_err(|error| ImageError::not_encoded(Avif, &error))?)?;
    let alpha = match picture.channels {
        Channels::Rgb => None,
        Channels::Rgba => Some(encode_frame(&alpha_frame(picture))?),
    };
    let halved = subsampling == Subsampling::Half;
    Ok(Aviffy::new()
        .set_color_primaries(ColorPrimaries::Bt709)
        .set_transfer_characteristics(TransferCharacteristics::Srgb)
        .set_matrix_coefficients(MatrixCoefficients::Bt601)
        .set_full_color_range(true)
        .set_chroma_subsampling((halved, halved))
        .set_seq_profile(if halved { 0 } else { 1 })
        .to_vec(&color, alpha.as_deref(), width, height, 8))
}

/// The nearest quantizer that there is.
fn quantizer(setting: f32) -> u32 {
    setting.round().clamp(0.0, 63.0) as u32
}

fn color_frame(picture: &Picture, subsampling: Subsampling) -> Result<Frame, YuvError> {
    let (width, height) = (picture.width, picture.height);
    let chroma = match subsampling {
        Subsampling::Full => YuvChromaSubsampling::Yuv444,
        _ => YuvChromaSubsampling::Yuv420,
    };
    let mut planes = YuvPlanarImageMut::<u8>::alloc(width, height, chroma);
    let convert = match (picture.channels, subsampling) {
        (Channels::Rgb, Subsampling::Full) => rgb_to_yuv444,
        (Channels::Rgb, _) => rgb_to_yuv420,
        (Channels::Rgba, Subsampling::Full) => rgba_to_yuv444,
        (Channels::Rgba, _) => rgba_to_yuv420,
    };
    let stride = width * if picture.channels == Channels::Rgb { 3 } else { 4 };
    convert(
        &mut planes,
        &picture.pixels,
        stride,
        YuvRange::Full,
        YuvStandardMatrix::Bt601,
        YuvConversionMode::Balanced,
    )?;
    let planes = [planes.y_plane, planes.u_plane, planes.v_plane].map(owned);
    Ok(frame(picture, subsampling, planes))
}

fn owned(store: yuv::BufferStoreMut<'_, u8>) -> Vec<u8> {
    match store {
        yuv::BufferStoreMut::Owned(samples) => samples,
        yuv::BufferStoreMut::Borrowed(samples) => samples.to_vec(),
    }
}

fn alpha_frame(picture: &Picture) -> Frame {
    let alpha = picture.pixels.iter().skip(3).step_by(4).copied().collect();
    frame(picture, Subsampling::Monochrome, [alpha, Vec::new(), Vec::new()])
}

/// sRGB in the code points of ITU-T H.273, full range.
const fn frame(picture: &Picture, subsampling: Subsampling, planes: [Vec<u8>; 3]) -> Frame {
    Frame {
        width: picture.width,
        height: picture.height,
        subsampling,
        planes,
        full_range: true,
        primaries: 1,
        transfer: 13,
        matrix: 6,
    }
}
