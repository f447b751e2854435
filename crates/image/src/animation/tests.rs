//! Files of each format made here, and what becomes of them looked at with the `image` crate's decoder of WebP.

use std::{borrow::Cow, io::Cursor};

use image::{AnimationDecoder as _, RgbaImage, codecs::webp::WebPDecoder};
use proptest::prelude::*;

use crate::{
    Cancel, Effort, Extras, ImageError, Limits, Settings, Transform, cost, develop,
    format::OutputFormat,
    options::parse_segment,
    probe,
    riff::{self, Chunks, Extended, flags, u24_bytes},
    why_original::WhyOriginal,
};

type Pixel = [u8; 4];

const RED: Pixel = [255, 0, 0, 255];
const GREEN: Pixel = [0, 200, 0, 255];
const BLUE: Pixel = [0, 0, 255, 255];
const CLEAR: Pixel = [0; 4];

/// Each frame has a left and a right half, 16 pixels across and 16 down.
const HALF: u32 = 16;

fn settings() -> Settings {
    let limits = Limits {
        max_pixels: 4_000_000,
        max_output_pixels: 1_000_000,
        max_animation_frames: 20,
        max_animation_pixels: 2_000_000,
    };
    Settings { limits, avif_encoder: crate::AvifEncoder::default() }
}

fn transform(options: &str) -> Transform {
    if options.is_empty() { Transform::default() } else { parse_segment(options).unwrap().canonical().0 }
}

fn moving(bytes: &[u8], options: &str) -> Result<Vec<u8>, ImageError> {
    let (found, transform) = (probe(bytes)?, transform(options));
    cost(&found, &transform, OutputFormat::WebP, &settings(), Effort::FirstView)?;
    develop(
        bytes,
        &found,
        &transform,
        OutputFormat::WebP,
        &settings(),
        Effort::FirstView,
        &Cancel::default(),
        &Extras::default(),
    )
    .map(|made| made.bytes)
}

/// A variant as another decoder sees it.
#[derive(Debug)]
struct Seen {
    frames: Vec<RgbaImage>,
    durations_ms: Vec<u32>,
}

fn seen(webp: &[u8]) -> Seen {
    let decoder = WebPDecoder::new(Cursor::new(webp)).unwrap();
    assert!(decoder.has_animation());
    let (mut frames, mut durations_ms) = (Vec::new(), Vec::new());
    for frame in decoder.into_frames() {
        let frame = frame.unwrap();
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        durations_ms.push(numerator / denominator);
        frames.push(frame.into_buffer());
    }
    Seen { frames, durations_ms }
}

fn loops(webp: &[u8]) -> u16 {
    let (_, anim) = Chunks::of_file(webp).find(|(kind, _)| *kind == b"ANIM").unwrap();
    u16::from_le_bytes([anim[4], anim[5]])
}

/// The middle of the left and of the right half of each frame.
fn halves(seen: &Seen) -> Vec<(Pixel, Pixel)> {
    let at = |frame: &RgbaImage, quarters: u32| frame.get_pixel(frame.width() * quarters / 4, frame.height() / 2).0;
    seen.frames.iter().map(|frame| (at(frame, 1), at(frame, 3))).collect()
}

fn assert_halves(webp: &[u8], expected: &[(Pixel, Pixel)], what: &str) {
    let found = halves(&seen(webp));
    let near = |is: Pixel, wanted: Pixel| {
        is[3].abs_diff(wanted[3]) <= 2 && (wanted[3] == 0 || is.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 12))
    };
    let alike = found.len() == expected.len()
        && found.iter().zip(expected).all(|(is, wanted)| near(is.0, wanted.0) && near(is.1, wanted.1));
    assert!(alike, "{what}: {found:?} instead of {expected:?}");
}

fn block(width: u32, pixel: Pixel) -> Vec<u8> {
    pixel.repeat((width * HALF) as usize)
}

/// A frame of a GIF: where it begins, how wide, its colour, how it goes away, and hundredths of a second.
struct GifFrame(u16, u16, Pixel, gif::DisposalMethod, u16);

fn gif_of(frames: &[GifFrame], repeat: Option<gif::Repeat>) -> Vec<u8> {
    let palette = [0, 0, 0, 255, 0, 0, 0, 200, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(Vec::new(), 32, 16, &palette).unwrap();
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).unwrap();
    }
    for GifFrame(left, width, pixel, dispose, delay) in frames {
        let index = [CLEAR, RED, GREEN, BLUE].iter().position(|known| known == pixel).unwrap();
        let frame = gif::Frame {
            left: *left,
            width: *width,
            height: 16,
            delay: *delay,
            dispose: *dispose,
            transparent: Some(0),
            buffer: Cow::Owned(vec![u8::try_from(index).unwrap(); usize::from(*width) * 16]),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    encoder.into_inner().unwrap()
}

fn two_frames() -> [GifFrame; 2] {
    use gif::DisposalMethod::Keep;
    [GifFrame(0, 32, RED, Keep, 10), GifFrame(16, 16, BLUE, Keep, 20)]
}

#[test]
fn a_gif_keeps_what_each_frame_leaves_behind() {
    use gif::DisposalMethod::{Any, Background, Keep, Previous};
    let table = [(Any, (RED, BLUE)), (Keep, (RED, BLUE)), (Background, (RED, CLEAR)), (Previous, (RED, RED))];
    for (dispose, right) in table {
        let source = gif_of(
            &[GifFrame(0, 32, RED, Keep, 10), GifFrame(16, 16, BLUE, dispose, 10), GifFrame(0, 16, GREEN, Keep, 10)],
            None,
        );
        let expected = [(RED, RED), (RED, BLUE), (GREEN, right.1)];
        assert_halves(&moving(&source, "").unwrap(), &expected, &format!("{dispose:?}"));
        assert_halves(&moving(&source, "w=16").unwrap(), &expected, &format!("{dispose:?}, resized"));
    }
}

#[test]
fn what_a_gif_leaves_transparent_shows_what_is_below_or_nothing() {
    use gif::DisposalMethod::Keep;
    let source = gif_of(
        &[GifFrame(0, 16, RED, Keep, 10), GifFrame(0, 32, CLEAR, Keep, 10), GifFrame(16, 16, BLUE, Keep, 10)],
        None,
    );
    let made = moving(&source, "").unwrap();
    assert_halves(&made, &[(RED, CLEAR), (RED, BLUE)], "transparent");
    assert_eq!(seen(&made).durations_ms, [200, 100]);
    assert_halves(&moving(&source, "background=00c800").unwrap(), &[(RED, GREEN), (RED, BLUE)], "on green");
}

#[test]
fn times_and_repetitions_stay() {
    use gif::DisposalMethod::Keep;
    let frames = [
        GifFrame(0, 32, RED, Keep, 7),
        GifFrame(0, 32, GREEN, Keep, 0),
        GifFrame(0, 32, BLUE, Keep, 1),
        GifFrame(0, 32, RED, Keep, 2),
        GifFrame(0, 32, GREEN, Keep, u16::MAX),
    ];
    let made = moving(&gif_of(&frames, Some(gif::Repeat::Infinite)), "").unwrap();
    assert_eq!(seen(&made).durations_ms, [70, 100, 100, 20, 655_350]);
    assert_eq!(loops(&made), 0);
    let plays = |repeat| loops(&moving(&gif_of(&frames, repeat), "").unwrap());
    assert_eq!((plays(None), plays(Some(gif::Repeat::Finite(4)))), (1, 5));
    assert_eq!(plays(Some(gif::Repeat::Finite(u16::MAX))), 0);
}

#[test]
fn a_frame_that_shows_nothing_new_prolongs_the_one_before() {
    use gif::DisposalMethod::Keep;
    let again = || GifFrame(0, 32, RED, Keep, 10);
    let source = gif_of(&[again(), again(), GifFrame(16, 16, BLUE, Keep, 30), GifFrame(16, 16, BLUE, Keep, 5)], None);
    assert_eq!(seen(&moving(&source, "").unwrap()).durations_ms, [200, 350]);
    let all_the_same = moving(&gif_of(&[again(), again()], None), "").unwrap();
    assert_eq!(
        (probe(&all_the_same).unwrap().animated, image::load_from_memory(&all_the_same).unwrap().width()),
        (false, 32)
    );
}

/// A frame of an APNG: where it begins, how wide, its colour, how it comes and goes, and its time as a fraction.
struct PngFrame(u32, u32, Pixel, png::BlendOp, png::DisposeOp, (u16, u16));

fn apng_of(frames: &[PngFrame], plays: u32, default: Option<Pixel>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 32, 16);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(u32::try_from(frames.len()).unwrap(), plays).unwrap();
    if default.is_some() {
        encoder.set_sep_def_img(true).unwrap();
    }
    let mut writer = encoder.write_header().unwrap();
    if let Some(pixel) = default {
        writer.write_image_data(&block(32, pixel)).unwrap();
    }
    for PngFrame(left, width, pixel, blend, dispose, (numerator, denominator)) in frames {
        writer.set_frame_dimension(*width, 16).unwrap();
        writer.set_frame_position(*left, 0).unwrap();
        writer.set_blend_op(*blend).unwrap();
        writer.set_dispose_op(*dispose).unwrap();
        writer.set_frame_delay(*numerator, *denominator).unwrap();
        writer.write_image_data(&block(*width, *pixel)).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

#[test]
fn an_apng_keeps_how_each_frame_comes_and_goes() {
    use png::{
        BlendOp::{Over, Source},
        DisposeOp::{Background, None, Previous},
    };
    let half_blue = [0, 0, 255, 128];
    let on_red = [127, 0, 128, 255];
    let table = [
        (Over, None, on_red, on_red),
        (Over, Background, on_red, CLEAR),
        (Over, Previous, on_red, RED),
        (Source, None, half_blue, half_blue),
        (Source, Background, half_blue, CLEAR),
        (Source, Previous, half_blue, RED),
    ];
    for (blend, dispose, during, after) in table {
        let source = apng_of(
            &[
                PngFrame(0, 32, RED, Source, None, (1, 10)),
                PngFrame(16, 16, half_blue, blend, dispose, (1, 10)),
                PngFrame(0, 16, GREEN, Source, None, (1, 10)),
            ],
            0,
            Option::None,
        );
        let expected = [(RED, RED), (RED, during), (GREEN, after)];
        assert_halves(&moving(&source, "").unwrap(), &expected, &format!("{blend:?} {dispose:?}"));
        assert_halves(&moving(&source, "w=16").unwrap(), &expected, &format!("{blend:?} {dispose:?}, resized"));
    }
}

fn two_png_frames() -> [PngFrame; 2] {
    use png::{BlendOp::Source, DisposeOp::None};
    [PngFrame(0, 32, RED, Source, None, (1, 10)), PngFrame(16, 16, BLUE, Source, None, (1, 10))]
}

#[test]
fn fractions_of_a_second_do_not_drift() {
    use png::{BlendOp::Source, DisposeOp::None};
    let frame = |pixel, delay| PngFrame(0, 32, pixel, Source, None, delay);
    let source = apng_of(
        &[frame(RED, (1, 60)), frame(GREEN, (1, 60)), frame(BLUE, (1, 60)), frame(RED, (5, 0))],
        3,
        Option::None,
    );
    let made = moving(&source, "").unwrap();
    assert_eq!((seen(&made).durations_ms, loops(&made)), (vec![17, 16, 17, 50], 3));
}

#[test]
fn a_default_picture_that_is_no_frame_is_never_shown() {
    for (default, first) in [(Some(GREEN), RED), (None, RED)] {
        let source = apng_of(&two_png_frames(), 0, default);
        assert_halves(&moving(&source, "").unwrap(), &[(RED, RED), (RED, BLUE)], "moving");
        assert_eq!(still_pixel(&source), first);
    }
}

fn still_pixel(source: &[u8]) -> Pixel {
    let transform = transform("anim=false");
    let found = probe(source).unwrap();
    let made = develop(
        source,
        &found,
        &transform,
        OutputFormat::Png,
        &settings(),
        Effort::FirstView,
        &Cancel::default(),
        &Extras::default(),
    )
    .unwrap();
    image::load_from_memory(&made.bytes).unwrap().to_rgba8().get_pixel(24, 8).0
}

/// A frame of a WebP: where it begins, how wide, its colour, its flags (2: replaces, 1: is cleared), milliseconds.
struct WebPFrame(u32, u32, Pixel, u8, u32);

fn webp_of(frames: &[WebPFrame], loops: u16) -> Vec<u8> {
    let mut chunks = Vec::new();
    let canvas = Extended { flags: flags::ANIMATION | flags::ALPHA, canvas: (32, 16) };
    riff::push(&mut chunks, *b"VP8X", &canvas.content());
    let [low, high] = loops.to_le_bytes();
    riff::push(&mut chunks, *b"ANIM", &[255, 255, 255, 255, low, high]);
    for WebPFrame(left, width, pixel, flags, duration_ms) in frames {
        let pixels = block(*width, *pixel);
        let file = webp::Encoder::from_rgba(&pixels, *width, HALF).encode_lossless();
        let mut content: Vec<u8> = Vec::new();
        for number in [left / 2, 0, width - 1, HALF - 1, *duration_ms] {
            content.extend(u24_bytes(number));
        }
        content.push(*flags);
        for (kind, chunk) in Chunks::of_file(&file).filter(|(kind, _)| *kind != b"VP8X") {
            riff::push(&mut content, *kind, chunk);
        }
        riff::push(&mut chunks, *b"ANMF", &content);
    }
    riff::webp(&chunks)
}

#[test]
fn a_webp_keeps_how_each_frame_comes_and_goes() {
    let half_blue = [0, 0, 255, 128];
    let on_red = [127, 0, 128, 255];
    let table = [(0, on_red, on_red), (1, on_red, CLEAR), (2, half_blue, half_blue), (3, half_blue, CLEAR)];
    for (flags, during, after) in table {
        let source = webp_of(
            &[WebPFrame(0, 32, RED, 2, 40), WebPFrame(16, 16, half_blue, flags, 50), WebPFrame(0, 16, GREEN, 0, 60)],
            7,
        );
        let made = moving(&source, "").unwrap();
        assert_halves(&made, &[(RED, RED), (RED, during), (GREEN, after)], &format!("flags {flags}"));
        assert_eq!((seen(&made).durations_ms, loops(&made)), (vec![40, 50, 60], 7));
    }
}

/// The same two frames in each format: red, then blue on its right half.
fn one_of_each() -> [Vec<u8>; 3] {
    [
        gif_of(&two_frames(), None),
        apng_of(&two_png_frames(), 0, None),
        webp_of(&[WebPFrame(0, 32, RED, 0, 40), WebPFrame(16, 16, BLUE, 0, 50)], 0),
    ]
}

#[test]
fn the_first_frame_alone_is_a_still_picture_of_any_format() {
    for source in one_of_each() {
        assert_eq!(still_pixel(&source), RED);
    }
}

#[test]
fn the_first_frame_alone_is_admitted_with_its_canvas() {
    for source in one_of_each() {
        let found = probe(&source).unwrap();
        let admitted = |width, height| {
            let found = crate::Probe { width, height, ..found.clone() };
            let transform = transform("w=10,anim=false");
            cost(&found, &transform, OutputFormat::Jpeg, &settings(), Effort::FirstView).unwrap().decoding
        };
        assert!(admitted(1_000, 1_000) - admitted(1, 1) > 19_000_000);
    }
}

#[test]
fn every_frame_is_cut_turned_and_padded_as_a_still_picture_is() {
    let source = gif_of(&two_frames(), None);
    let sizes = [
        ("w=16", (16, 8)),
        ("w=8,h=8,fit=cover,g=right", (8, 8)),
        ("rotate=90", (16, 32)),
        ("w=32,h=32,fit=pad", (32, 32)),
    ];
    for (options, size) in sizes {
        let made = seen(&moving(&source, options).unwrap());
        assert!(made.frames.iter().all(|frame| frame.dimensions() == size), "{options}");
        assert_eq!(made.frames.len(), 2, "{options}");
    }
    assert_halves(
        &moving(&source, "w=8,h=8,fit=cover,g=right").unwrap(),
        &[(RED, RED), (BLUE, BLUE)],
        "the right half",
    );
    let turned = seen(&moving(&source, "rotate=90").unwrap());
    assert!(turned.frames[1].get_pixel(8, 24).0[2] > 200 && turned.frames[1].get_pixel(8, 8).0[0] > 200);
    let padded = seen(&moving(&source, "w=32,h=32,fit=pad,background=00c800").unwrap());
    assert!(padded.frames[1].get_pixel(4, 2).0[1] > 180);
}

#[test]
fn nothing_but_webp_moves() {
    let source = gif_of(&two_frames(), None);
    let found = probe(&source).unwrap();
    for format in [OutputFormat::Avif, OutputFormat::Jpeg, OutputFormat::Png] {
        let made = develop(
            &source,
            &found,
            &Transform::default(),
            format,
            &settings(),
            Effort::FirstView,
            &Cancel::default(),
            &Extras::default(),
        );
        let priced = cost(&found, &Transform::default(), format, &settings(), Effort::FirstView);
        let error = made.unwrap_err();
        assert_eq!((error.why_original(), error.is_of_source(), priced), (WhyOriginal::Animated, false, Err(error)));
    }
}

#[test]
fn an_animation_at_the_limits_is_made_and_one_over_them_is_not() {
    let source = gif_of(&two_frames(), None);
    let found = probe(&source).unwrap();
    let made = |options: &str, frames, pixels| {
        let limits = Limits { max_animation_frames: frames, max_animation_pixels: pixels, ..settings().limits };
        let settings = Settings { limits, ..settings() };
        let transform = transform(options);
        let developed = develop(
            &source,
            &found,
            &transform,
            OutputFormat::WebP,
            &settings,
            Effort::FirstView,
            &Cancel::default(),
            &Extras::default(),
        );
        let priced = cost(&found, &transform, OutputFormat::WebP, &settings, Effort::FirstView).map(drop);
        assert_eq!(developed.clone().map(drop), priced);
        developed.map(drop).map_err(|error| (error.why_original(), error.is_of_source()))
    };
    let too_large = Err((WhyOriginal::TooLarge, false));
    assert_eq!(made("", 2, 2 * 32 * 16), Ok(()));
    assert_eq!(made("", 1, 2 * 32 * 16), too_large);
    assert_eq!(made("", 2, 2 * 32 * 16 - 1), too_large);
    // An enlarged one counts as it becomes.
    assert_eq!(made("w=64,fit=contain", 2, 2 * 64 * 32), Ok(()));
    assert_eq!(made("w=64,fit=contain", 2, 2 * 64 * 32 - 1), too_large);
    assert_eq!(made("anim=false", 1, 1), Ok(()));
}

#[test]
fn a_canvas_over_the_limit_of_a_picture_is_not_made_however_few_frames_it_has() {
    let too_large = |source: &[u8], options: &str| {
        let limits = Limits { max_pixels: 32 * 16 - 1, ..settings().limits };
        let settings = Settings { limits, ..settings() };
        let (found, transform) = (probe(source).unwrap(), transform(options));
        let made = develop(
            source,
            &found,
            &transform,
            OutputFormat::WebP,
            &settings,
            Effort::FirstView,
            &Cancel::default(),
            &Extras::default(),
        );
        matches!(made, Err(ImageError::SourceTooLarge { .. }))
    };
    for source in [webp_of(&[WebPFrame(0, 32, RED, 0, 40)], 0), webp_of(&[], 0)] {
        for options in ["", "trim=10", "anim=false"] {
            assert!(too_large(&source, options), "{options}");
        }
    }
}

#[test]
fn an_animation_without_a_frame_is_broken() {
    let source = webp_of(&[], 0);
    assert_eq!(probe(&source).unwrap().frames, 1, "as if it had one: its canvas counts");
    assert!(matches!(moving(&source, ""), Err(ImageError::Broken { .. })));
}

#[test]
fn a_file_that_breaks_off_shows_the_frames_that_came() {
    for source in &one_of_each() {
        let (mut whole, mut one, mut none) = (0, 0, 0);
        for end in 0..=source.len() {
            match moving(&source[..end], "") {
                Ok(made) if probe(&made).unwrap().animated => whole += 1,
                Ok(_) => one += 1,
                Err(error) => {
                    assert!(error.is_of_source(), "{error}");
                    none += 1;
                }
            }
        }
        assert!(whole > 0 && one > 0 && none > 0, "{:?}: {whole} {one} {none}", &source[..4]);
    }
}

#[test]
fn a_frame_that_cannot_be_ends_the_animation() {
    use gif::DisposalMethod::Keep;
    let good = || GifFrame(0, 32, RED, Keep, 10);
    let table = [
        ("larger than the screen", GifFrame(0, 40, BLUE, Keep, 10), vec![(RED, RED)]),
        ("outside it", GifFrame(500, 16, BLUE, Keep, 10), vec![(RED, RED), (GREEN, RED)]),
        ("reaching over it", GifFrame(24, 16, BLUE, Keep, 10), vec![(RED, RED), (RED, BLUE), (GREEN, BLUE)]),
    ];
    for (what, odd, expected) in table {
        let made = moving(&gif_of(&[good(), odd, GifFrame(0, 16, GREEN, Keep, 10)], None), "").unwrap();
        if expected.len() == 1 {
            assert!(!probe(&made).unwrap().animated, "{what}");
        } else {
            assert_halves(&made, &expected, what);
        }
    }
}

#[test]
fn frames_of_no_size_are_survived() {
    let mut source = gif_of(&two_frames(), None);
    let second = source.iter().rposition(|byte| *byte == 0x2C).unwrap();
    source[second + 5..second + 9].fill(0);
    assert!(moving(&source, "").is_ok());
    let webp = webp_of(&[WebPFrame(0, 32, RED, 0, 40), WebPFrame(16, 16, BLUE, 0, 50)], 0);
    for frame in [8, 9, 15] {
        let mut bytes = webp.clone();
        let at = bytes.windows(4).rposition(|kind| kind == b"ANMF").unwrap() + 8;
        bytes[at + frame] = 0xFF;
        let _ = moving(&bytes, "");
    }
}

#[test]
fn one_that_grows_beyond_its_source_is_given_up() {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    // A tiny source that shows a large picture of a different colour in each frame would not stay so; noise in full does.
    let noise = |seed: u8| {
        let pixels: Vec<u8> = (0..400u32 * 400)
            .map(|at| {
                let mut hasher = DefaultHasher::new();
                (at, seed).hash(&mut hasher);
                u8::try_from(hasher.finish() % 2).unwrap()
            })
            .collect();
        gif::Frame { width: 400, height: 400, buffer: Cow::Owned(pixels), delay: 10, ..gif::Frame::default() }
    };
    let mut encoder = gif::Encoder::new(Vec::new(), 400, 400, &[0, 0, 0, 255, 255, 255]).unwrap();
    for seed in 0..8 {
        encoder.write_frame(&noise(seed)).unwrap();
    }
    let source = encoder.into_inner().unwrap();
    assert_eq!(
        moving(&source, "w=600,fit=contain,q=100"),
        Err(ImageError::AnimationTooLarge { frames: 8, pixels: 8 * 360_000 })
    );
    assert_eq!(moving(&source, "w=490,fit=contain,q=100"), Err(ImageError::NotSmaller));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn flipped_bytes_are_an_animation_or_an_error_never_a_panic(
        kind in 0usize..3,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = match kind {
            0 => gif_of(&two_frames(), Some(gif::Repeat::Infinite)),
            1 => apng_of(&two_png_frames(), 0, None),
            _ => webp_of(&[WebPFrame(0, 32, RED, 0, 40), WebPFrame(16, 16, BLUE, 1, 50)], 0),
        };
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = moving(&bytes, "w=20");
        let _ = moving(&bytes, "anim=false");
    }
}
