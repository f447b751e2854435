//! What is read from options, and that it has one form.

use proptest::prelude::*;

use super::*;
use crate::transform::{Adjust, Color, CropBox, Length, Quality, Trim, Watermark};

fn canonical(segment: &str) -> Transform {
    parse_segment(segment).unwrap().canonical().0
}

#[test]
fn every_option_is_read_under_each_of_its_names() {
    let transform = canonical(
        "w=400,h=300,fit=cover,g=top,q=75,background=fa0,rotate=90,anim=false,trim=20;30;20;0,crop=10;0.25;640;.5,flip=h,\
         brightness=1.1,contrast=0.9,gamma=2,saturation=0,blur=2.5,sharpen=1,metadata=copyright,wm=/logo.png%3Fa=1,\
         wm-opacity=0.5,wm-position=ne,wm-scale=0.1",
    );
    assert_eq!(
        transform,
        Transform {
            width: Some(400),
            height: Some(300),
            fit: Fit::Cover,
            gravity: Gravity::At(Point { x_permille: 500, y_permille: 0 }),
            dpr: Dpr(100),
            quality: Some(Quality::Setting(75)),
            background: Some(Color { r: 0xFF, g: 0xAA, b: 0, alpha: 255 }),
            rotate: Rotation::Quarter,
            animation: Animation::FirstFrame,
            trim: Some(Trim::Sides { top: 20, right: 30, bottom: 20, left: 0 }),
            crop: Some(CropBox {
                left: Length::Pixels(10),
                top: Length::Fraction(25_000),
                width: Length::Pixels(640),
                height: Length::Fraction(50_000),
            }),
            flip: Flip::Horizontal,
            adjust: Adjust { brightness: Factor(110), contrast: Factor(90), gamma: Factor(200), saturation: Factor(0) },
            blur: Sigma(250),
            sharpen: Amount(100),
            watermark: Some(Box::new(Watermark {
                source: "/logo.png?a=1".to_owned(),
                opacity: 50,
                position: Point { x_permille: 1000, y_permille: 0 },
                scale_permille: 100,
            })),
            metadata: Metadata::Copyright,
        }
    );
    assert_eq!(canonical("width=400,height=300"), canonical("w=400,h=300"));
    for name in ["f", "fm", "format"] {
        let options = parse_segment(&format!("{name}=webp")).unwrap();
        assert_eq!(options.canonical().1, FormatChoice::Pinned(OutputFormat::WebP));
    }
}

#[test]
fn what_means_the_same_pixels_is_the_same_transform() {
    let table = [
        ("w=800", "w=400,dpr=2"),
        ("w=800", "w=800,fit=crop"),
        ("w=800", "w=800,gravity=top"),
        ("w=800,fit=contain", "w=800,fit=cover"),
        ("w=5", "w=5,q=auto"),
        ("q=70", "q=70,fit=cover"),
        ("q=70", "q=70,dpr=3"),
        ("w=10,h=10,fit=cover,g=0.5x0.5", "w=10,h=10,fit=cover"),
        ("w=10,background=fff", "w=10,background=%23ffffff"),
        ("w=10,background=fff", "background=ffffffff,w=10"),
        ("w=10", "w=10,background=transparent"),
        ("w=9,h=9,fit=pad,background=transparent", "w=9,h=9,fit=pad,background=ff00"),
        ("w=9,h=9,fit=pad", "w=9,h=9,fit=pad,g=auto"),
        ("w=9,h=9", "w=9,h=9,g=auto"),
        ("w=9,fit=crop", "w=9,g=auto"),
        ("rotate=180", "flip=hv"),
        ("rotate=180", "flip=vh"),
        ("rotate=0", "rotate=180,flip=hv"),
        ("rotate=270", "rotate=90,flip=hv"),
        ("flip=v", "flip=h,rotate=180"),
        ("flip=h", "flip=v,rotate=180"),
        ("flip=h,rotate=90", "rotate=270,flip=v"),
        ("w=5", "w=5,brightness=1,contrast=1.0,gamma=1.00,saturation=1.001"),
        ("w=5", "w=5,brightness=0,contrast=0,gamma=0"),
        ("w=5", "w=5,blur=0,sharpen=0.0"),
        ("w=5,blur=2", "blur=2.000,w=5"),
        ("w=5", "w=5,trim=0;0;0;0"),
        ("trim=auto", "trim=border"),
        ("trim=auto", "trim=10"),
        ("w=5", "w=5,crop=0;0;1.0;1.0"),
        ("w=5", "w=5,crop=0.0;.0;1.;1.000"),
        ("crop=0;0;1.0;90", "crop=0.0;0.0;1.0;90"),
        ("crop=0.25;0;0.75;90", "crop=0.25;0;0.9;90"),
        ("w=5", "w=5,metadata=none"),
        ("w=5", "w=5,wm-opacity=0.5,wm-position=c,wm-scale=1"),
        ("w=5", "w=5,wm=/a.png,wm-opacity=0"),
        ("wm=/a.png", "watermark=%2Fa.png,watermark-opacity=1,wm-position=bottom-right,wm-scale=.25"),
    ];
    for (one, other) in table {
        assert_eq!(canonical(one), canonical(other), "{one} and {other}");
    }
}

#[test]
fn words_for_quality_are_targets_and_numbers_settings() {
    let quality = |value: &str| canonical(&format!("q={value}")).quality;
    assert_eq!(quality("72"), Some(Quality::Setting(72)));
    assert_eq!(quality("auto"), None);
    let targets = ["high", "medium-high", "medium-low", "low"].map(quality);
    assert_eq!(targets, [82, 72, 62, 50].map(|score| Some(Quality::Target(score))));
}

#[test]
fn what_means_other_pixels_is_another_transform() {
    let table = [
        ("w=9,h=9,fit=cover", "w=9,h=9,fit=cover,g=auto"),
        ("w=9,h=9,fit=pad", "w=9,h=9,fit=pad,background=transparent"),
        ("background=fff", "background=fff8"),
        ("flip=h", "flip=v"),
        ("flip=h,rotate=90", "flip=v,rotate=90"),
        ("saturation=0", "saturation=1"),
        ("blur=1", "blur=1.01"),
        ("crop=0;0;1;1", "crop=0;0;1.0;1.0"),
        ("crop=0;0;5;5", "trim=0;5;5;0"),
        ("trim=9", "trim=auto"),
        ("wm=/a.png", "wm=/b.png"),
        ("wm=/a.png", "wm=/a.png,wm-scale=1"),
        ("metadata=keep", "metadata=copyright"),
    ];
    for (one, other) in table {
        assert_ne!(canonical(one), canonical(other), "{one} and {other}");
    }
}

#[test]
fn a_watermark_is_a_path_or_a_url() {
    let source = |value: &str| canonical(&format!("wm={value}")).watermark.unwrap().source;
    let table = [
        ("/logo.png", "/logo.png"),
        ("%2Fa%2520b.png", "/a%20b.png"),
        ("%2Flogo.png%3Fv=3", "/logo.png?v=3"),
        ("https%3A%2F%2Fcdn.example%2Fa%252Cb.png", "https://cdn.example/a%2Cb.png"),
        ("/a%2Cb.png,w=4", "/a,b.png"),
        ("HTTP://cdn.example/a.png", "HTTP://cdn.example/a.png"),
    ];
    for (value, expected) in table {
        assert_eq!(source(value), expected, "{value}");
    }
    let long = format!("/{}", "a".repeat(2048));
    for refused in [
        "",
        "logo.png",
        "//cdn.example/a.png",
        "https:///a.png",
        "https://",
        "file:///etc/passwd",
        "/a%20b.png",
        "/a%23b",
        "/%C3%A4.png",
        "/a%0Ab",
        &long,
    ] {
        let error = parse_segment(&format!("wm={refused}")).unwrap_err().to_string();
        assert!(error.contains("\"watermark\""), "{refused} gave {error}");
    }
}

#[test]
fn a_transform_is_printed_as_options() {
    let table = [
        ("q=75", "quality=75"),
        ("q=medium-low", "quality=medium-low"),
        ("w=400,h=300,fit=cover,g=top,dpr=1.5", "width=600,height=450,fit=cover,gravity=0.5x0"),
        ("w=4,h=3,fit=crop,g=auto", "width=4,height=3,fit=crop,gravity=auto"),
        ("background=fa0,rotate=90,anim=false", "background=ffaa00ff,rotate=90,anim=false"),
        ("trim=auto,crop=10;0.25;1.0;.333", "trim=10,crop=10;0.25;1.0;0.333"),
        ("trim=1;2;3;4,flip=v", "rotate=180,trim=1;2;3;4,flip=h"),
        ("sharpen=10,blur=0.05,gamma=1.1,saturation=0", "gamma=1.1,saturation=0,blur=0.05,sharpen=10"),
        (
            "wm-scale=1,wm=/a.png%3Fb,wm-opacity=.5,wm-position=c",
            "watermark=%2Fa.png%3Fb,watermark-opacity=0.5,watermark-position=0.5x0.5,watermark-scale=1",
        ),
    ];
    for (segment, printed) in table {
        assert_eq!(canonical(segment).to_string(), printed);
    }
    assert_eq!(Transform::default().to_string(), "");
    assert_eq!(Operations(&canonical("w=4,rotate=90,blur=2")).to_string(), "blur=2");
}

#[test]
fn a_malformed_option_is_named() {
    let table = [
        ("w=0", "width"),
        ("w=-5", "width"),
        ("w=4.5", "width"),
        ("w=70000", "width"),
        ("h=abc", "height"),
        ("fit=squeeze", "fit"),
        ("g=1.2x0.5", "gravity"),
        ("q=0", "quality"),
        ("q=101", "quality"),
        ("q=best", "quality"),
        ("f=bmp", "format"),
        ("dpr=0", "dpr"),
        ("dpr=99", "dpr"),
        ("background=red", "background"),
        ("background=+ff", "background"),
        ("background=12345", "background"),
        ("g=face", "gravity"),
        ("trim=256", "trim"),
        ("trim=1;2;3", "trim"),
        ("trim=1;2;3;4;5", "trim"),
        ("trim=1;2;3;-4", "trim"),
        ("trim=1.5;2;3;4", "trim"),
        ("crop=10;10;0;10", "crop"),
        ("crop=10;10;0.0;10", "crop"),
        ("crop=1.0;0;10;10", "crop"),
        ("crop=0;0;1.1;10", "crop"),
        ("crop=0;0;10", "crop"),
        ("crop=0;0;+10;10", "crop"),
        ("crop=0;0;70000;10", "crop"),
        ("flip=x", "flip"),
        ("brightness=11", "brightness"),
        ("contrast=-1", "contrast"),
        ("gamma=dark", "gamma"),
        ("saturation=", "saturation"),
        ("blur=251", "blur"),
        ("sharpen=10.01", "sharpen"),
        ("metadata=all", "metadata"),
        ("wm=logo.png", "watermark"),
        ("wm-opacity=1.01", "watermark-opacity"),
        ("wm-position=auto", "watermark-position"),
        ("wm-scale=0", "watermark-scale"),
        ("wm=/a,watermark=/a", "watermark"),
        ("rotate=45", "rotate"),
        ("anim=1", "anim"),
        ("wdith=5", "wdith"),
        ("w=5,width=6", "width"),
    ];
    for (segment, name) in table {
        let message = parse_segment(segment).unwrap_err().to_string();
        assert!(message.contains(&format!("{name:?}")), "{segment} gave {message}");
    }
    for segment in ["", "w", "w=5,", "%FF=1"] {
        assert!(parse_segment(segment).is_err(), "{segment:?}");
    }
}

proptest! {
    #[test]
    fn no_segment_panics(segment in "\\PC{0,60}") {
        let _ = parse_segment(&segment);
    }

    #[test]
    fn canonical_options_are_read_as_themselves(options in any_options()) {
        let (transform, _) = parse_segment(&options).unwrap().canonical();
        let printed = transform.to_string();
        let again = if printed.is_empty() { Transform::default() } else { canonical(&printed) };
        prop_assert_eq!(&again, &transform, "{} printed as {}", options, printed);
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn the_order_of_options_makes_no_difference((options, shuffled) in any_options().prop_flat_map(|options| {
        let pairs: Vec<String> = options.split(',').map(str::to_owned).collect();
        (Just(options), Just(pairs).prop_shuffle())
    })) {
        prop_assert_eq!(canonical(&options), canonical(&shuffled.join(",")));
    }

    #[test]
    fn canonical_sides_stay_in_bounds(w in 1u32..=MAX_SIDE, dpr in 10u16..=800) {
        let options = parse_segment(&format!("w={w},dpr={}.{:02}", dpr / 100, dpr % 100)).unwrap();
        let width = options.canonical().0.width.unwrap();
        prop_assert!((1..=MAX_SIDE).contains(&width));
    }
}

/// Some of all options, each with one of its values.
fn any_options() -> impl Strategy<Value = String> {
    let hundredths = |max: u32| (0..=max).prop_map(|number| format!("{}.{:02}", number / 100, number % 100)).boxed();
    let permille = |min: u32| (min..=1000).prop_map(|number| format!("{}.{:03}", number / 1000, number % 1000)).boxed();
    let words = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned).boxed();
    let pixels = (1..=MAX_SIDE).prop_map(|side| side.to_string()).boxed();
    let point = (permille(0), permille(0)).prop_map(|(x, y)| format!("{x}x{y}")).boxed();
    let length = prop_oneof![
        (1u32..5_000).prop_map(|side| side.to_string()),
        (1u32..100_000).prop_map(|part| format!("0.{part:05}")),
        Just("1.0".to_owned())
    ];
    let start = prop_oneof![
        (0u32..5_000).prop_map(|side| side.to_string()),
        (0u32..100_000).prop_map(|part| format!("0.{part:05}"))
    ];
    let crop =
        (start.clone(), start, length.clone(), length).prop_map(|(l, t, w, h)| format!("{l};{t};{w};{h}")).boxed();
    let sides = proptest::array::uniform4(0u16..=u16::MAX).prop_map(|[t, r, b, l]| format!("{t};{r};{b};{l}"));
    let trim =
        prop_oneof![Just("auto".to_owned()), any::<u8>().prop_map(|tolerance| tolerance.to_string()), sides].boxed();
    let source = "(/|https://cdn\\.example/)[a-z0-9.?&=%,~+-]{0,20}".prop_map(|source| escaped(&source)).boxed();
    let each = vec![
        ("width", pixels.clone()),
        ("h", pixels),
        ("fit", words(&["scale-down", "contain", "cover", "crop", "pad"])),
        ("gravity", prop_oneof![point.clone(), Just("auto".to_owned())].boxed()),
        ("q", words(&["1", "72", "100", "high", "low", "auto"])),
        ("dpr", words(&["0.1", "1", "1.5", "2", "8"])),
        (
            "background",
            prop_oneof!["[0-9a-f]{3}|[0-9a-f]{4}|[0-9a-f]{6}|[0-9a-f]{8}", Just("transparent".to_owned())].boxed(),
        ),
        ("rotate", words(&["0", "90", "180", "270"])),
        ("flip", words(&["h", "v", "hv"])),
        ("anim", words(&["true", "false"])),
        ("metadata", words(&["none", "copyright", "keep"])),
        ("trim", trim),
        ("crop", crop),
        ("brightness", hundredths(1_000)),
        ("contrast", hundredths(1_000)),
        ("gamma", hundredths(1_000)),
        ("saturation", hundredths(1_000)),
        ("blur", hundredths(25_000)),
        ("sharpen", hundredths(1_000)),
        ("wm", source),
        ("wm-opacity", hundredths(100)),
        ("wm-position", point),
        ("wm-scale", permille(1)),
    ];
    let each: Vec<_> =
        each.into_iter().map(|(name, value)| value.prop_map(move |value| format!("{name}={value}"))).collect();
    let all = each.len();
    (each, proptest::collection::vec(any::<bool>(), all), 0..all).prop_map(|(pairs, kept, one)| {
        let some = pairs.into_iter().zip(kept).enumerate().filter(|(at, (_, kept))| *kept || *at == one);
        some.map(|(_, (pair, _))| pair).collect::<Vec<_>>().join(",")
    })
}

fn escaped(source: &str) -> String {
    percent_encoding::utf8_percent_encode(source, percent_encoding::NON_ALPHANUMERIC).to_string()
}
