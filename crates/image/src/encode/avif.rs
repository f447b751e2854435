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
    develop::{Detail, Make},
    error::ImageError,
    format::OutputFormat::Avif,
    picture::{Channels, Picture},
    settings::Effort,
};

pub(super) fn encode(picture: &Picture, make: &Make) -> Result<Vec<u8>, ImageError> {
    let (width, height) = (picture.width, picture.height);
    let subsampling =
        if make.detail == Detail::Edges || make.quality >= 95 { Subsampling::Full } else { Subsampling::Half };
    let speed = match make.effort {
        Effort::FirstView => 9,
        Effort::Refined => 6,
    };
    let settings = EncoderSettings { quantizer: quantizer(make.quality), speed };
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

/// libaom's quantizer for a quality on the common scale. 25 looks like JPEG's and WebP's 80, 0 is without loss.
fn quantizer(quality: u8) -> u32 {
    let quality = u32::from(quality.clamp(1, 100));
    if quality <= 80 { 55 - (quality - 1) * 30 / 79 } else { (100 - quality) * 25 / 20 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_quality_never_quantizes_more() {
        assert_eq!((quantizer(1), quantizer(80), quantizer(100)), (55, 25, 0));
        assert!((1..100).all(|quality| quantizer(quality) >= quantizer(quality + 1)));
    }
}
