//! What a job really takes at its peak, beside what it is admitted for (`image::cost`): each in a process of its own, whose
//! peak resident memory is read before and after.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails has no result"
)]

use std::{env, fs, process::Command};

use image::{ExtendedColorType, ImageEncoder as _, RgbImage, codecs::png::PngEncoder};
use lightmeter::{
    image::AvifEncoder,
    image::{Cancel, Effort, Extras, Limits, Settings, cost, develop, format::OutputFormat, probe},
    request::{Transform, options::parse_segment},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Source, options, output, effort, AVIF encoder.
const JOBS: [[&str; 5]; 17] = [
    ["jpeg", "", "avif", "first-view", "libaom"],
    ["jpeg", "", "avif", "refined", "libaom"],
    ["jpeg", "", "avif", "first-view", "ravif"],
    ["jpeg", "", "webp", "first-view", "libaom"],
    ["jpeg", "", "webp", "refined", "libaom"],
    ["jpeg", "", "jpeg", "first-view", "libaom"],
    ["jpeg", "", "png", "first-view", "libaom"],
    ["jpeg", "w=1200", "avif", "first-view", "libaom"],
    ["jpeg", "w=1200", "avif", "refined", "libaom"],
    ["jpeg", "w=1200", "webp", "first-view", "libaom"],
    ["jpeg", "w=400", "webp", "first-view", "libaom"],
    ["jpeg", "rotate=90", "webp", "first-view", "libaom"],
    ["progressive", "w=400", "webp", "first-view", "libaom"],
    ["png", "w=1200", "webp", "first-view", "libaom"],
    ["rgba", "w=1200", "webp", "first-view", "libaom"],
    ["webp", "w=1200", "webp", "first-view", "libaom"],
    ["avif", "w=1200", "webp", "first-view", "libaom"],
];

const SIDE: (u32, u32) = (4000, 3000);

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "job") {
        let [source, options, output, effort, encoder] = &arguments[at + 1..at + 6] else {
            panic!("five arguments are needed")
        };
        return run(source, options, output, effort, encoder);
    }
    println!(
        "| 12 MP source | options | output | admitted for | peak | peak / admitted |\n| --- | --- | --- | --- | --- | --- |"
    );
    for job in JOBS {
        let status = Command::new(env::current_exe().unwrap()).arg("job").args(job).status().unwrap();
        assert!(status.success(), "{job:?}");
    }
}

fn run(source: &str, options: &str, output: &str, effort: &str, encoder: &str) {
    let settings = Settings {
        limits: Limits::default(),
        avif_encoder: if encoder == "ravif" { AvifEncoder::Ravif } else { AvifEncoder::Libaom },
    };
    let transform =
        if options.is_empty() { Transform::default() } else { parse_segment(options).unwrap().canonical().0 };
    let output_format = match output {
        "avif" => OutputFormat::Avif,
        "webp" => OutputFormat::WebP,
        "jpeg" => OutputFormat::Jpeg,
        _ => OutputFormat::Png,
    };
    let effort_made = if effort == "refined" { Effort::Refined } else { Effort::FirstView };
    let bytes = fs::read(source_file(source)).unwrap();
    let found = probe(&bytes).unwrap();
    let admitted = cost(&found, &transform, output_format, &settings, effort_made).unwrap().total();
    let before = resident("VmRSS:");
    develop(&bytes, &found, &transform, output_format, &settings, effort_made, &Cancel::default(), &Extras::default())
        .unwrap();
    let peak = resident("VmHWM:") - before;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "| {source} | {options} | {output}, {effort}, {encoder} | {:.0} MiB | {:.0} MiB | {:.2} |",
        mib(admitted),
        mib(peak),
        peak as f64 / admitted as f64
    );
}

/// A file of the wanted kind, made once in a process of its own, so that making it is not in any peak.
fn source_file(kind: &str) -> std::path::PathBuf {
    let path = env::temp_dir().join(format!("lightmeter-memory-bench.{kind}"));
    if !path.exists() {
        if env::var_os("MAKE").is_none() {
            let status = Command::new(env::current_exe().unwrap())
                .env("MAKE", "1")
                .args(["job", kind, "w=1", "jpeg", "first-view", "libaom"])
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap();
            assert!(status.success());
        } else {
            fs::write(&path, make_source(kind)).unwrap();
        }
    }
    path
}

fn make_source(kind: &str) -> Vec<u8> {
    // Waves and a little noise, as a photograph has them.
    let picture = RgbImage::from_fn(SIDE.0, SIDE.1, |x, y| {
        let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)) >> 28;
        let wave = |a: f32| (127.0 + 100.0 * ((x as f32 / a).sin() * (y as f32 / (a * 1.3)).cos())) as u8;
        image::Rgb([wave(91.0), wave(133.0), wave(57.0)].map(|level| level.saturating_add(noise as u8)))
    });
    let jpeg = |progressive: bool| {
        let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
        encoder.set_fastest_defaults();
        encoder.set_size(SIDE.0 as usize, SIDE.1 as usize);
        encoder.set_quality(90.0);
        if progressive {
            encoder.set_progressive_mode();
        }
        let mut started = encoder.start_compress(Vec::new()).unwrap();
        started.write_scanlines(picture.as_raw()).unwrap();
        started.finish().unwrap()
    };
    let settings = Settings { limits: Limits::default(), avif_encoder: AvifEncoder::Libaom };
    let same_size = |format| {
        let bytes = jpeg(false);
        let found = probe(&bytes).unwrap();
        develop(
            &bytes,
            &found,
            &Transform::default(),
            format,
            &settings,
            Effort::FirstView,
            &Cancel::default(),
            &Extras::default(),
        )
        .unwrap()
        .bytes
    };
    match kind {
        "jpeg" => jpeg(false),
        "progressive" => jpeg(true),
        "webp" => same_size(OutputFormat::WebP),
        "avif" => same_size(OutputFormat::Avif),
        "png" => {
            let mut bytes = Vec::new();
            PngEncoder::new(&mut bytes).write_image(picture.as_raw(), SIDE.0, SIDE.1, ExtendedColorType::Rgb8).unwrap();
            bytes
        }
        _ => {
            let clear = image::DynamicImage::ImageRgb8(picture).into_rgba8();
            let raw: Vec<u8> = clear.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[0]]).collect();
            let mut bytes = Vec::new();
            PngEncoder::new(&mut bytes).write_image(&raw, SIDE.0, SIDE.1, ExtendedColorType::Rgba8).unwrap();
            bytes
        }
    }
}

/// A line of this process's status, in bytes.
fn resident(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
