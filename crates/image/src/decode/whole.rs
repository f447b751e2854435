//! The rows of a picture that is there as a whole.

use crate::picture::Picture;

pub(super) struct Decoder {
    picture: Picture,
    at: usize,
}

impl Decoder {
    pub(super) fn new(picture: Picture) -> Self {
        Self { picture, at: 0 }
    }

    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let row_bytes = self.picture.width as usize * self.picture.channels.count();
        let row = self.picture.pixels.get(self.at..self.at + row_bytes)?;
        self.at += row_bytes;
        Some(row)
    }
}
