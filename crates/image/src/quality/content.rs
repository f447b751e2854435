//! Whether a picture is a photograph or was drawn, from what it shows.

use super::features::Features;

/// What kind of picture it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Taken by a camera, or like it: hardly two neighbours are alike.
    Photograph,
    /// Some of both: a screenshot with photographs in it, a drawing with shades.
    Mixed,
    /// Flat graphics, icons, screenshots, drawn or reduced with soft edges: most neighbours are alike.
    Graphic,
    /// A graphic of few colours with sharp edges: a screenshot, line art or text at the size at which it was drawn.
    Lettering,
}

impl Content {
    /// Tells by the share of neighbours that are exactly alike, colours and edges. Measured over 141 pictures
    /// (`docs/performance.md`): no photograph but one on plain ground had more than a third of its neighbours alike; of the two
    /// below the last bound of colours that were made both ways, keeping every pixel took fewer bytes than a score of 72.
    pub(crate) fn of(features: &Features) -> Self {
        let Features { same, colors, edges, .. } = *features;
        match () {
            () if same >= 0.8 && colors < 0.01 && edges >= 0.02 => Self::Lettering,
            () if same >= 0.6 && colors < 0.2 => Self::Graphic,
            () if same >= 0.35 => Self::Mixed,
            () => Self::Photograph,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Channels, Picture};

    fn content(pixel: impl Fn(u32, u32) -> u8) -> Content {
        let pixels = (0..200 * 200).flat_map(|at| [pixel(at % 200, at / 200); 3]).collect();
        Content::of(&Features::of(&Picture::new(200, 200, Channels::Rgb, pixels).unwrap()))
    }

    #[test]
    fn letters_shades_and_noise_are_told_apart() {
        // Rows of upright strokes.
        assert_eq!(content(|x, y| if y % 16 < 8 && x % 7 == 0 { 0 } else { 255 }), Content::Lettering);
        // One disc with a soft edge on plain ground.
        let disc = |x: u32, y: u32| {
            let away = f64::from((x.abs_diff(100)).pow(2) + (y.abs_diff(100)).pow(2)).sqrt();
            (255.0 - (away - 60.0).clamp(0.0, 20.0) * 10.0) as u8
        };
        assert_eq!(content(disc), Content::Graphic);
        assert_eq!(content(|x, y| (x * x / 9 + y * y * 3 + x * y * 7 % 31) as u8), Content::Photograph);
        // Half noise, half plain.
        assert_eq!(content(|x, y| if x < 100 { 90 } else { (x * 31 + y * y * 17) as u8 }), Content::Mixed);
    }
}
