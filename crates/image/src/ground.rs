//! What lies behind a picture: a background, a canvas around it, each perhaps translucent.

use super::{
    geometry::Canvas,
    overlay::over,
    picture::{Channels, Picture},
};
use crate::transform::Color;

/// What lies around a padded picture where nothing is asked for.
const WHITE: Color = Color { r: 255, g: 255, b: 255, alpha: 255 };

/// Puts a picture on a background, if one is asked for, and then on a canvas, if it has one.
pub(super) fn on_ground(picture: Picture, background: Option<Color>, canvas: Option<Canvas>) -> Picture {
    let grounded = match background {
        Some(color) => on_background(picture, color),
        None => picture,
    };
    match canvas {
        Some(canvas) => on_canvas(grounded, canvas, background.unwrap_or(WHITE)),
        None => grounded,
    }
}

fn on_background(mut picture: Picture, Color { r, g, b, alpha }: Color) -> Picture {
    if alpha == u8::MAX {
        return picture.flattened([r, g, b]);
    }
    if picture.channels == Channels::Rgba && alpha > 0 {
        for pixel in picture.pixels.as_chunks_mut::<4>().0 {
            *pixel = over(*pixel, [r, g, b, alpha]);
        }
    }
    picture
}

fn on_canvas(picture: Picture, canvas: Canvas, Color { r, g, b, alpha }: Color) -> Picture {
    if alpha == u8::MAX {
        return picture.on_canvas(canvas.size, canvas.at, [r, g, b]);
    }
    let with_alpha = picture.with_alpha();
    let row_bytes = canvas.size.0 as usize * 4;
    let mut pixels = [r, g, b, alpha].repeat(canvas.size.0 as usize * canvas.size.1 as usize);
    for (row, onto) in with_alpha.rows().zip(pixels.chunks_exact_mut(row_bytes).skip(canvas.at.1 as usize)) {
        let onto = onto.iter_mut().skip(canvas.at.0 as usize * 4);
        onto.zip(row).for_each(|(onto, level)| *onto = *level);
    }
    Picture { width: canvas.size.0, height: canvas.size.1, channels: Channels::Rgba, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANVAS: Option<Canvas> = Some(Canvas { size: (2, 2), at: (1, 0) });

    fn color(r: u8, g: u8, b: u8, alpha: u8) -> Option<Color> {
        Some(Color { r, g, b, alpha })
    }

    #[test]
    fn a_canvas_may_be_transparent() {
        let picture = Picture::new(1, 1, Channels::Rgb, vec![1, 2, 3]).unwrap();
        let padded = on_ground(picture.clone(), Some(Color::TRANSPARENT), CANVAS);
        assert_eq!(padded.pixels, [0, 0, 0, 0, 1, 2, 3, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
        let white = on_ground(picture, None, CANVAS);
        assert_eq!(white.pixels, [255, 255, 255, 1, 2, 3, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn a_translucent_background_lies_under_the_picture_once() {
        let picture = Picture::new(1, 1, Channels::Rgba, vec![255, 0, 0, 0]).unwrap();
        let padded = on_ground(picture, color(0, 0, 200, 100), CANVAS);
        assert_eq!(padded.pixels, [0, 0, 200, 100].repeat(4));
    }
}
