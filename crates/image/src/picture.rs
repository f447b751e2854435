//! Pixels in memory: 8 bits a channel, rows without gaps.

use std::borrow::Cow;

/// Which channels a picture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha (not premultiplied).
    Rgba,
}

impl Channels {
    /// Bytes a pixel.
    pub(super) const fn count(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// A decoded picture. `pixels` holds `width × height` pixels exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: Channels,
    pub(super) pixels: Vec<u8>,
}

/// Bytes of `width × height` pixels of `bytes_each`.
pub(super) const fn byte_count(width: u32, height: u32, bytes_each: usize) -> usize {
    width as usize * height as usize * bytes_each
}

impl Picture {
    /// A picture of these pixels; `None` where their number does not fit the size.
    pub(super) fn new(width: u32, height: u32, channels: Channels, pixels: Vec<u8>) -> Option<Self> {
        let fits = width > 0 && height > 0 && pixels.len() == byte_count(width, height, channels.count());
        fits.then_some(Self { width, height, channels, pixels })
    }

    /// Its rows, from top to bottom.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.pixels.chunks_exact(self.width as usize * self.channels.count())
    }

    /// It with an alpha channel, which hides nothing where there was none.
    pub(super) fn with_alpha(self) -> Self {
        if self.channels == Channels::Rgba {
            return self;
        }
        let pixels = self.pixels.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, u8::MAX]).collect();
        Self { channels: Channels::Rgba, pixels, ..self }
    }

    /// Drops an alpha channel that hides nothing: it costs bytes and time in every encoder.
    pub(super) fn without_idle_alpha(self) -> Self {
        let opaque = self.channels == Channels::Rgba && self.pixels.chunks_exact(4).all(|pixel| pixel[3] == u8::MAX);
        if opaque { self.flattened([0; 3]) } else { self }
    }

    /// Puts it on a background of one colour.
    pub(super) fn flattened(self, background: [u8; 3]) -> Self {
        if self.channels == Channels::Rgb {
            return self;
        }
        let mut pixels = Vec::with_capacity(byte_count(self.width, self.height, 3));
        for pixel in self.pixels.chunks_exact(4) {
            for (channel, ground) in background.iter().enumerate() {
                pixels.push(blend(pixel[channel], *ground, pixel[3]));
            }
        }
        Self { channels: Channels::Rgb, pixels, ..self }
    }

    /// It on a background, where it has alpha; itself where not.
    pub(super) fn on_ground(&self, background: [u8; 3]) -> Cow<'_, Self> {
        match self.channels {
            Channels::Rgb => Cow::Borrowed(self),
            Channels::Rgba => Cow::Owned(self.clone().flattened(background)),
        }
    }

    /// Puts it on a canvas of `width × height` at (`left`, `top`); what does not fit is an error of the caller's, and cut.
    pub(super) fn on_canvas(&self, (width, height): (u32, u32), (left, top): (u32, u32), background: [u8; 3]) -> Self {
        let bytes_each = self.channels.count();
        let ground = [background[0], background[1], background[2], u8::MAX];
        let mut pixels = ground[..bytes_each].repeat(width as usize * height as usize);
        let row_pixels = self.width.min(width.saturating_sub(left)) as usize;
        let rows = self.pixels.chunks_exact(self.width as usize * bytes_each);
        for (row, y) in rows.zip(top..height) {
            let start = (y as usize * width as usize + left as usize) * bytes_each;
            pixels[start..start + row_pixels * bytes_each].copy_from_slice(&row[..row_pixels * bytes_each]);
        }
        Self { width, height, channels: self.channels, pixels }
    }
}

/// `over` upon `under`, rounded to the nearest.
fn blend(over: u8, under: u8, alpha: u8) -> u8 {
    let (over, under, alpha) = (u32::from(over), u32::from(under), u32::from(alpha));
    let mixed = (over * alpha + under * (255 - alpha) + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alpha_that_hides_nothing_is_dropped() {
        let opaque = Picture::new(2, 1, Channels::Rgba, vec![1, 2, 3, 255, 4, 5, 6, 255]).unwrap();
        assert_eq!(opaque.without_idle_alpha().pixels, [1, 2, 3, 4, 5, 6]);
        let clear = Picture::new(1, 1, Channels::Rgba, vec![1, 2, 3, 254]).unwrap();
        assert_eq!(clear.clone().without_idle_alpha(), clear);
    }

    #[test]
    fn a_background_shows_through() {
        let picture = Picture::new(3, 1, Channels::Rgba, vec![9, 9, 9, 0, 9, 9, 9, 255, 0, 0, 0, 128]).unwrap();
        assert_eq!(picture.flattened([255, 255, 255]).pixels, [255, 255, 255, 9, 9, 9, 127, 127, 127]);
    }

    #[test]
    fn a_canvas_surrounds_the_picture() {
        let picture = Picture::new(1, 1, Channels::Rgb, vec![1, 2, 3]).unwrap();
        let canvas = picture.on_canvas((2, 2), (1, 0), [7, 7, 7]);
        assert_eq!(canvas.pixels, [7, 7, 7, 1, 2, 3, 7, 7, 7, 7, 7, 7]);
    }

    #[test]
    fn pixels_that_do_not_fit_the_size_are_no_picture() {
        assert!(Picture::new(2, 2, Channels::Rgb, vec![0; 11]).is_none());
        assert!(Picture::new(0, 2, Channels::Rgb, vec![]).is_none());
    }
}
