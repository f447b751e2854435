//! SSIMULACRA2: a line of tab-separated `reference picture width height` is answered by the score. Both files hold bare RGB
//! in sRGB, the reference with 16 bits a channel in the machine's order of bytes, the picture with 8.

use std::{
    fs,
    io::{BufRead as _, Write as _, stdin, stdout},
};

use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Reference};

fn main() {
    let mut kept: Option<(String, Ssimulacra2Reference)> = None;
    for line in stdin().lock().lines() {
        let line = line.expect("lines");
        let [path, picture, width, height] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("four fields, not {line:?}")
        };
        let (width, height): (u32, u32) = (width.parse().expect("a width"), height.parse().expect("a height"));
        if kept.as_ref().is_none_or(|(of, _)| of != path) {
            let bytes = fs::read(path).expect("a reference");
            let pixels = PixelSlice::new(&bytes, width, height, width as usize * 6, PixelDescriptor::RGB16_SRGB);
            let reference = Ssimulacra2Reference::new(&pixels.expect("its size")).expect("a reference");
            kept = Some((path.to_owned(), reference));
        }
        let bytes = fs::read(picture).expect("a picture");
        let pixels = PixelSlice::new(&bytes, width, height, width as usize * 3, PixelDescriptor::RGB8_SRGB);
        let (_, reference) = kept.as_ref().expect("set above");
        println!("{}", reference.compare(&pixels.expect("its size")).expect("a score"));
        stdout().flush().expect("an open pipe");
    }
}
