//! Cuts a part out of a picture and brings it to its size: Lanczos, in premultiplied alpha.

use std::fmt::Display;

use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image, images::ImageRef};

use super::{
    error::ImageError,
    geometry::Crop,
    picture::{Channels, Picture},
};

/// Cuts and resizes; `crop` is given in the pixels of a source of `source` size, of which `picture` may be a reduction.
///
/// # Errors
/// [`ImageError::NotResized`] where the sizes are beyond what can be resized.
pub(super) fn resize(
    picture: Picture,
    source: (u32, u32),
    crop: Crop,
    size: (u32, u32),
) -> Result<Picture, ImageError> {
    let across = f64::from(picture.width) / f64::from(source.0);
    let down = f64::from(picture.height) / f64::from(source.1);
    let (left, top, width, height) = (crop.left * across, crop.top * down, crop.width * across, crop.height * down);
    let whole = left == 0.0 && top == 0.0 && width == f64::from(picture.width) && height == f64::from(picture.height);
    if whole && size == (picture.width, picture.height) {
        return Ok(picture);
    }
    let pixel_type = match picture.channels {
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba => PixelType::U8x4,
    };
    let given = ImageRef::new(picture.width, picture.height, &picture.pixels, pixel_type)
        .map_err(|error| not_resized(&error))?;
    let mut made = Image::new(size.0, size.1, pixel_type);
    // Rounding must not reach over the edge.
    let (left, top) = (left.max(0.0), top.max(0.0));
    let (width, height) = (width.min(f64::from(picture.width) - left), height.min(f64::from(picture.height) - top));
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(left, top, width, height)
        .use_alpha(true);
    Resizer::new().resize(&given, &mut made, &options).map_err(|error| not_resized(&error))?;
    Picture::new(size.0, size.1, picture.channels, made.into_vec())
        .ok_or_else(|| not_resized(&"it came out in another size"))
}

fn not_resized(cause: &impl Display) -> ImageError {
    ImageError::NotResized { cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(width: u32, height: u32) -> Crop {
        Crop { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) }
    }

    #[test]
    fn a_picture_of_the_right_size_is_left_alone() {
        let picture = Picture::new(2, 1, Channels::Rgb, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(resize(picture.clone(), (2, 1), whole(2, 1), (2, 1)).unwrap(), picture);
    }

    #[test]
    fn a_part_is_cut_out_in_the_pixels_of_the_source() {
        let row = [[0; 3], [0; 3], [200; 3], [200; 3]].concat();
        let reduced = Picture::new(4, 2, Channels::Rgb, row.repeat(2)).unwrap();
        let half = |left| Crop { left, width: 40.0, ..whole(80, 40) };
        let level = |left| resize(reduced.clone(), (80, 40), half(left), (1, 1)).unwrap().pixels[0];
        // The filter reaches a little over the edge of the cut, as it does in a picture that is cut after it was resized.
        assert!(level(40.0) > 180 && level(0.0) < 20, "{} {}", level(40.0), level(0.0));
    }

    #[test]
    fn what_is_transparent_does_not_bleed_its_colour() {
        let pixels = [[255, 0, 0, 255], [0, 255, 0, 0]].concat();
        let picture = Picture::new(2, 1, Channels::Rgba, pixels).unwrap();
        let blended = resize(picture, (2, 1), whole(2, 1), (1, 1)).unwrap().pixels;
        assert_eq!(blended[..3], [255, 0, 0]);
        assert!((120..=135).contains(&blended[3]), "{blended:?}");
    }
}
