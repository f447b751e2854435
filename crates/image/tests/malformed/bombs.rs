//! Headers that promise more pixels than anybody would hold: refused before anything is allocated.

use lightmeter_image::{ImageError, format::OutputFormat, probe, why_original::WhyOriginal};

use super::{developed, files, limits};

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    let body = [kind.as_slice(), data].concat();
    [&length, body.as_slice(), &crc32(&body).to_be_bytes()].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    // An empty zlib stream.
    let data = [0x78, 0x9C, 0x03, 0, 0, 0, 0, 1];
    let chunks = [png_chunk(b"IHDR", &header), png_chunk(b"IDAT", &data), png_chunk(b"IEND", b"")].concat();
    [b"\x89PNG\r\n\x1a\n".as_slice(), &chunks].concat()
}

fn gif(side: u16) -> Vec<u8> {
    let side = side.to_le_bytes();
    let screen = [b"GIF89a".as_slice(), &side, &side, &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    let frame = [&[0x2C, 0, 0, 0, 0], side.as_slice(), &side, &[0, 2, 2, 0x4C, 1, 0, 0x3B]].concat();
    [screen, frame].concat()
}

fn webp(side: u32) -> Vec<u8> {
    // Lossless: a signature, then 14 bits each of width and height less one.
    let bits = ((side - 1) | (side - 1) << 14).to_le_bytes();
    let data = [&[0x2F], bits.as_slice(), &[0; 3]].concat();
    let length = u32::try_from(data.len()).unwrap();
    let chunk = [b"VP8L".as_slice(), &length.to_le_bytes(), &data].concat();
    [b"RIFF".as_slice(), &(length + 12).to_le_bytes(), b"WEBP", &chunk].concat()
}

/// A valid file in which the numbers behind a marker are replaced.
fn patched(kind: &str, marker: &[u8], skip: usize, numbers: &[u8]) -> Vec<u8> {
    let (_, mut file) = files::all(24, 16).into_iter().find(|(what, _)| *what == kind).unwrap();
    let at = file.windows(marker.len()).position(|window| window == marker).unwrap() + marker.len() + skip;
    file[at..at + numbers.len()].copy_from_slice(numbers);
    file
}

#[test]
fn a_decompression_bomb_is_refused_from_its_header() {
    let side = 65_500u16.to_be_bytes();
    let jpeg_sides = [side, side].concat();
    let avif_sides = [60_000u32.to_be_bytes(), 60_000u32.to_be_bytes()].concat();
    let bombs = [
        ("PNG", 30_000, png(30_000, 30_000)),
        ("GIF", 65_535, gif(u16::MAX)),
        ("WebP", 16_383, webp(16_383)),
        ("JPEG", 65_500, patched("JPEG", b"\xFF\xC0", 3, &jpeg_sides)),
        ("progressive JPEG", 65_500, patched("progressive JPEG", b"\xFF\xC2", 3, &jpeg_sides)),
        ("AVIF", 60_000, patched("AVIF", b"ispe", 4, &avif_sides)),
    ];
    for (what, side, bomb) in bombs {
        let found = probe(&bomb).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((found.width, found.height), (side, side), "{what}");
        let error = developed(&bomb, "w=10", OutputFormat::Png, limits()).unwrap_err();
        let expected = ImageError::SourceTooLarge { width: side, height: side, limit: limits().max_pixels };
        assert_eq!(error, expected, "{what}");
        assert_eq!(error.why_original(), WhyOriginal::TooLarge);
    }
}

#[test]
fn a_header_that_promises_what_is_allowed_and_has_no_pixels_is_broken_or_grey() {
    for (what, bomb) in [("PNG", png(9_000, 9_000)), ("GIF", gif(9_000)), ("WebP", webp(9_000))] {
        let made = developed(&bomb, "w=10", OutputFormat::Png, limits());
        assert!(
            made.as_ref().is_ok_and(|made| made.width == 10) || made.is_err_and(|error| error.is_of_source()),
            "{what}"
        );
    }
}
