//! The canvas that an animation is drawn on. Every format says of a frame where it goes, how it is laid on what is there,
//! and what becomes of its place when the next one comes.

use std::time::Duration;

use crate::{
    overlay,
    picture::{Channels, Picture, byte_count},
};

/// Pixels to be drawn, RGBA and not premultiplied, rows without gaps. It may reach over the canvas, which cuts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) place: Place,
    pub(super) pixels: Vec<u8>,
    pub(super) blend: Blend,
    pub(super) dispose: Dispose,
    /// How long it is shown.
    pub(super) duration: Duration,
}

/// Where something is on a canvas, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// How a patch is laid on the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blend {
    /// What is there shows through.
    Over,
    /// It takes the place of what is there, transparency too.
    Replace,
}

/// What becomes of a patch's place after its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dispose {
    /// It stays.
    Keep,
    /// It becomes transparent.
    Clear,
    /// What was there before comes back.
    Restore,
}

/// The canvas, transparent at first.
#[derive(Debug)]
pub(super) struct Canvas {
    picture: Picture,
    after: Option<(Place, After)>,
}

#[derive(Debug)]
enum After {
    Clear,
    /// These pixels come back.
    Restore(Vec<u8>),
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let pixels = vec![0; byte_count(width, height, 4)];
        Self { picture: Picture { width, height, channels: Channels::Rgba, pixels }, after: None }
    }

    pub(super) const fn picture(&self) -> &Picture {
        &self.picture
    }

    pub(super) fn into_picture(self) -> Picture {
        self.picture
    }

    /// Clears away what the last patch leaves behind, then draws.
    pub(super) fn draw(&mut self, patch: &Patch) {
        match self.after.take() {
            Some((place, After::Clear)) => self.rows(place).for_each(|row| row.fill(0)),
            Some((place, After::Restore(pixels))) => {
                let len = place.width as usize * 4;
                self.rows(place).zip(pixels.chunks_exact(len)).for_each(|(row, before)| row.copy_from_slice(before));
            }
            None => {}
        }
        let Some(place) = self.inside(patch.place) else { return };
        self.after = match patch.dispose {
            Dispose::Keep => None,
            Dispose::Clear => Some((place, After::Clear)),
            Dispose::Restore => {
                let mut pixels = Vec::with_capacity(byte_count(place.width, place.height, 4));
                self.rows(place).for_each(|row| pixels.extend_from_slice(row));
                Some((place, After::Restore(pixels)))
            }
        };
        let blend = patch.blend;
        let len = place.width as usize * 4;
        let source = patch.pixels.chunks_exact(patch.place.width as usize * 4);
        for (row, over) in self.rows(place).zip(source) {
            match blend {
                Blend::Replace => row.copy_from_slice(&over[..len]),
                Blend::Over => lay_over(row, &over[..len]),
            }
        }
    }

    /// The part of a place that lies on the canvas.
    fn inside(&self, place: Place) -> Option<Place> {
        let width = place.width.min(self.picture.width.checked_sub(place.left)?);
        let height = place.height.min(self.picture.height.checked_sub(place.top)?);
        (width > 0 && height > 0).then_some(Place { width, height, ..place })
    }

    fn rows(&mut self, place: Place) -> impl Iterator<Item = &mut [u8]> {
        let columns = place.left as usize * 4..(place.left + place.width) as usize * 4;
        let row_len = self.picture.width as usize * 4;
        let rows = self.picture.pixels.chunks_exact_mut(row_len);
        let rows = rows.skip(place.top as usize).take(place.height as usize);
        rows.map(move |row| &mut row[columns.clone()])
    }
}

/// Most pixels of a patch hide all that is under them, or nothing.
fn lay_over(under: &mut [u8], over: &[u8]) {
    for (under, over) in under.as_chunks_mut().0.iter_mut().zip(over.as_chunks::<4>().0) {
        match over[3] {
            0 => {}
            u8::MAX => *under = *over,
            _ => *under = overlay::over(*over, *under),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 4] = [255, 0, 0, 255];
    const BLUE: [u8; 4] = [0, 0, 255, 255];
    const CLEAR: [u8; 4] = [0; 4];

    /// One row: columns `left` to `left + pixels`.
    fn patch(left: u32, pixels: &[[u8; 4]], blend: Blend, dispose: Dispose) -> Patch {
        let width = u32::try_from(pixels.len()).unwrap();
        Patch {
            place: Place { left, top: 0, width, height: 1 },
            pixels: pixels.concat(),
            blend,
            dispose,
            duration: Duration::ZERO,
        }
    }

    fn row_after(patches: &[Patch]) -> Vec<[u8; 4]> {
        let mut canvas = Canvas::new(3, 1);
        for patch in patches {
            canvas.draw(patch);
        }
        canvas.picture().pixels.chunks_exact(4).map(|pixel| pixel.try_into().unwrap()).collect()
    }

    #[test]
    fn a_patch_stays_or_is_cleared_or_gives_back_what_was_there() {
        let after = |dispose| {
            row_after(&[
                patch(0, &[RED; 3], Blend::Replace, Dispose::Keep),
                patch(1, &[BLUE], Blend::Over, dispose),
                patch(2, &[BLUE], Blend::Over, Dispose::Keep),
            ])
        };
        assert_eq!(after(Dispose::Keep), [RED, BLUE, BLUE]);
        assert_eq!(after(Dispose::Clear), [RED, CLEAR, BLUE]);
        assert_eq!(after(Dispose::Restore), [RED, RED, BLUE]);
    }

    #[test]
    fn what_a_patch_covers_shows_through_or_is_replaced() {
        let half = [0, 0, 255, 128];
        let on_red = |blend| {
            let row = row_after(&[
                patch(0, &[RED, RED, CLEAR], Blend::Replace, Dispose::Keep),
                patch(0, &[half, CLEAR, half], blend, Dispose::Keep),
            ]);
            [row[0], row[1], row[2]]
        };
        assert_eq!(on_red(Blend::Over), [[127, 0, 128, 255], RED, half]);
        assert_eq!(on_red(Blend::Replace), [half, CLEAR, half]);
    }

    #[test]
    fn two_transparent_pixels_add_up_as_porter_and_duff_say() {
        let row = row_after(&[
            patch(0, &[[200, 100, 0, 100]], Blend::Replace, Dispose::Keep),
            patch(0, &[[0, 100, 200, 100]], Blend::Over, Dispose::Keep),
        ]);
        // 100/255 over 100/255: 0.392 + 0.392 × 0.608 = 0.631; the upper one has 0.622 of it.
        assert_eq!(row[0], [76, 100, 124, 161]);
    }

    #[test]
    fn what_lies_outside_is_cut() {
        assert_eq!(row_after(&[patch(2, &[BLUE; 5], Blend::Over, Dispose::Restore)]), [CLEAR, CLEAR, BLUE]);
        assert_eq!(row_after(&[patch(9, &[BLUE], Blend::Over, Dispose::Clear)]), [CLEAR; 3]);
        assert_eq!(row_after(&[patch(1, &[], Blend::Over, Dispose::Keep)]), [CLEAR; 3]);
    }
}
