//! At each limit a picture is made; one pixel over it, it is refused with its reason.

use lightmeter_image::{ImageError, Limits, format::OutputFormat, why_original::WhyOriginal};

use super::{developed, files, limits};

const PIXELS: u64 = 24 * 16;

#[test]
fn a_source_at_the_limit_is_made_and_one_over_it_is_not() {
    for (what, file) in files::all(24, 16) {
        if what == "animated GIF" {
            continue;
        }
        let at = Limits { max_pixels: PIXELS, ..limits() };
        let made = developed(&file, "", OutputFormat::Png, at).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((made.width, made.height), (24, 16), "{what}");
        let over = developed(&file, "", OutputFormat::Png, Limits { max_pixels: PIXELS - 1, ..limits() }).unwrap_err();
        assert_eq!(over, ImageError::SourceTooLarge { width: 24, height: 16, limit: PIXELS - 1 }, "{what}");
        assert_eq!(over.why_original(), WhyOriginal::TooLarge);
    }
}

#[test]
fn a_variant_at_the_limit_is_made_and_one_over_it_is_not() {
    let output = Limits { max_output_pixels: PIXELS, ..limits() };
    for (what, file) in files::all(48, 32) {
        if what == "animated GIF" {
            continue;
        }
        for format in [OutputFormat::Avif, OutputFormat::WebP, OutputFormat::Jpeg, OutputFormat::Png] {
            let made = developed(&file, "w=24", format, output).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!((made.width, made.height), (24, 16), "{what}");
            let over = developed(&file, "w=25,h=16,fit=cover", format, output).unwrap_err();
            assert_eq!(over, ImageError::OutputTooLarge { width: 25, height: 16 }, "{what}");
            assert_eq!(over.why_original(), WhyOriginal::TooLarge);
        }
    }
}

#[test]
fn the_longest_side_of_a_format_is_made_and_one_over_it_is_not() {
    let (_, file) = files::all(24, 16).into_iter().find(|(what, _)| *what == "PNG").unwrap();
    for (format, side) in [(OutputFormat::WebP, 16_383), (OutputFormat::Jpeg, 65_500), (OutputFormat::Png, 65_535)] {
        let long = |side: u32| developed(&file, &format!("w={side},h=1,fit=cover"), format, limits());
        let made = long(side).unwrap_or_else(|error| panic!("{}: {error}", format.name()));
        assert_eq!((made.width, made.height), (side, 1));
        if side < 65_500 {
            assert_eq!(long(side + 1).unwrap_err(), ImageError::OutputTooLarge { width: side + 1, height: 1 });
        }
    }
}
