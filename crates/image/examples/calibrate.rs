//! Makes the table that `quality/predict.rs` holds.
//!
//! `calibrate measure DIRECTORY… > samples.csv` encodes each picture in each directory at two widths with each encoder at
//! several settings and scores what comes of it; `calibrate fit < samples.csv` prints the table by least squares, and how far
//! predictions for pictures that it was not made from are off. One thread; about ten seconds a picture.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool of developers: where it cannot go on it stops"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
};

use lightmeter_image::{
    AvifEncoder, Effort,
    format::OutputFormat,
    quality::{
        Content, INPUTS,
        specimen::{How, Specimen},
    },
};

const WIDTHS: [u32; 2] = [400, 1_000];

/// An encoder as the table names it, how it is called, and the settings that are tried.
struct Encoder {
    name: &'static str,
    format: OutputFormat,
    avif_encoder: AvifEncoder,
    first_view: &'static [f32],
    refined: &'static [f32],
    chroma: &'static [bool],
}

const ENCODERS: [Encoder; 4] = [
    Encoder {
        name: "Libaom",
        format: OutputFormat::Avif,
        avif_encoder: AvifEncoder::Libaom,
        first_view: &[12.0, 18.0, 24.0, 30.0, 36.0, 43.0, 50.0],
        refined: &[18.0, 26.0, 34.0, 43.0, 52.0],
        chroma: &[false, true],
    },
    Encoder {
        name: "Libwebp",
        format: OutputFormat::WebP,
        avif_encoder: AvifEncoder::Libaom,
        first_view: &[35.0, 50.0, 62.0, 72.0, 80.0, 88.0, 94.0],
        refined: &[45.0, 65.0, 78.0, 90.0],
        chroma: &[false],
    },
    Encoder {
        name: "Mozjpeg",
        format: OutputFormat::Jpeg,
        avif_encoder: AvifEncoder::Libaom,
        first_view: &[35.0, 50.0, 62.0, 72.0, 80.0, 87.0, 93.0],
        refined: &[45.0, 62.0, 76.0, 87.0],
        chroma: &[false, true],
    },
    Encoder {
        name: "Ravif",
        format: OutputFormat::Avif,
        avif_encoder: AvifEncoder::Ravif,
        first_view: &[40.0, 55.0, 68.0, 80.0],
        refined: &[45.0, 62.0, 78.0],
        // It has no other.
        chroma: &[true],
    },
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("measure") => arguments.for_each(|directory| measure(&directory)),
        Some("fit") => fit(),
        Some("lossless") => arguments.for_each(|directory| lossless(&directory)),
        _ => eprintln!("calibrate measure|lossless DIRECTORY… > samples.csv; calibrate fit < samples.csv"),
    }
}

fn measure(directory: &str) {
    each(directory, sweep);
}

/// What pictures take without loss, beside what they take in WebP and AVIF at 72 as a visitor would get it at first and later.
fn lossless(directory: &str) {
    each(directory, |specimen, name| {
        let (width, height) = specimen.size();
        let mut line = format!("{name},{width}x{height},{:?}", specimen.content());
        for (format, effort) in [
            (OutputFormat::WebP, Effort::FirstView),
            (OutputFormat::WebP, Effort::Refined),
            (OutputFormat::Png, Effort::FirstView),
            (OutputFormat::Png, Effort::Refined),
        ] {
            let how = How { format, avif_encoder: AvifEncoder::Libaom, effort, setting: None, full_chroma: true };
            let before = cpu_seconds();
            let len = specimen.encode(how).unwrap().len();
            line += &format!(",{format:?} {effort:?} {len} {:.3}", cpu_seconds() - before);
        }
        println!("{line},{}", specimen.features());
    });
}

fn each(directory: &str, act: impl Fn(&Specimen, &str)) {
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        for width in WIDTHS {
            match Specimen::of(&fs::read(&file).unwrap(), width) {
                // One that is narrower has been measured at its own width already.
                Ok(specimen) if width == WIDTHS[0] || specimen.size().0 > WIDTHS[0] => {
                    let name = file.file_name().unwrap().to_string_lossy().replace(',', "_");
                    act(&specimen, &name);
                }
                Ok(_) => {}
                Err(error) => eprintln!("{}: {error}", file.display()),
            }
        }
    }
}

fn sweep(specimen: &Specimen, name: &str) {
    let (content, (width, height)) = (specimen.content(), specimen.size());
    for encoder in &ENCODERS {
        for full_chroma in encoder.chroma.iter().copied() {
            let unused = match content {
                Content::Photograph => full_chroma && encoder.chroma.len() == 2,
                Content::Mixed => false,
                Content::Graphic | Content::Lettering => !full_chroma && encoder.chroma.len() == 2,
            } || encoder.format == OutputFormat::Jpeg && specimen.has_alpha();
            let slow = encoder.name == "Ravif" && width > WIDTHS[0];
            for (effort, settings) in [(Effort::FirstView, encoder.first_view), (Effort::Refined, encoder.refined)] {
                for setting in settings.iter().filter(|_| !unused && !slow) {
                    let how = How {
                        format: encoder.format,
                        avif_encoder: encoder.avif_encoder,
                        effort,
                        setting: Some(*setting),
                        full_chroma,
                    };
                    let before = cpu_seconds();
                    let file = specimen.encode(how).unwrap();
                    let encoded = cpu_seconds();
                    let score = specimen.score(&file, encoder.format).unwrap();
                    let scored = cpu_seconds();
                    let chroma = if full_chroma { "Full" } else { "Halved" };
                    let inputs = specimen.inputs().map(|input| format!("{input:.5}")).join(",");
                    println!(
                        "{name},{width}x{height},{content:?},{},{effort:?},{chroma},{setting},{},{score:.3},{:.5},{:.5},{inputs}",
                        encoder.name,
                        file.len(),
                        encoded - before,
                        scored - encoded,
                    );
                }
            }
        }
    }
    std::io::stdout().flush().unwrap();
}

/// What this thread has used.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

struct Sample {
    picture: String,
    specimen: String,
    setting: f64,
    score: f64,
    inputs: Vec<f64>,
}

/// How many numbers a model has.
const UNKNOWNS: usize = 4 + INPUTS;

fn fit() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let mut groups: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<f64>().unwrap();
        // As the engine keeps them.
        let (kind, chroma) = match (fields[3], fields[2]) {
            (_, "Photograph") | ("Mozjpeg", "Mixed") => ("Photograph", "Halved"),
            _ => ("Drawn", "Full"),
        };
        if matches!(fields[3], "Libaom" | "Mozjpeg") && fields[5] != chroma {
            continue;
        }
        let of = format!("(Encoder::{}, Effort::{}, Kind::{kind})", fields[3], fields[4]);
        groups.entry(of).or_default().push(Sample {
            picture: fields[0].to_owned(),
            specimen: format!("{} {}", fields[0], fields[1]),
            setting: number(6),
            score: number(8),
            inputs: (11..11 + INPUTS).map(number).collect(),
        });
    }
    println!("const MODELS: [Model; {}] = [", groups.len());
    for (of, samples) in &groups {
        let model = least_squares(samples.iter());
        let rounded = |number: &f64| format!("{number:.4}");
        println!("    Model {{");
        println!("        of: {of},");
        println!("        at_72: {},", rounded(&model[0]));
        println!("        per_point: {},", rounded(&model[1]));
        println!("        per_point_and_gradient: {},", rounded(&model[2]));
        println!("        per_point_squared: {},", rounded(&model[3]));
        println!("        weights: [{}],", model[4..].iter().map(rounded).collect::<Vec<_>>().join(", "));
        println!("    }},");
    }
    println!("];");
    for (of, samples) in &groups {
        let off = errors(samples, 72.0);
        if off.is_empty() {
            continue;
        }
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        let spread = (off.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / off.len() as f64).sqrt();
        let at = |part: f64| off[(part * (off.len() - 1) as f64).round() as usize];
        let within = off.iter().filter(|error| error.abs() <= 3.0).count() * 100 / off.len();
        eprintln!(
            "{of}: {} samples; at 72, pictures left out: {} pictures, mean {mean:+.1}, spread {spread:.1}, 5 % {:+.1}, median {:+.1}, 95 % {:+.1}, within 3 points {within} %",
            samples.len(),
            off.len(),
            at(0.05),
            at(0.5),
            at(0.95),
        );
    }
}

/// By how many points each picture's score would be off at the setting foretold from the others.
fn errors(samples: &[Sample], target: f64) -> Vec<f64> {
    const PARTS: usize = 8;
    let mut pictures: Vec<&str> = samples.iter().map(|sample| sample.picture.as_str()).collect();
    pictures.sort_unstable();
    pictures.dedup();
    let part = |picture: &str| pictures.iter().position(|name| *name == picture).unwrap() % PARTS;
    let mut off = Vec::new();
    for left_out in 0..PARTS {
        let model = least_squares(samples.iter().filter(|sample| part(&sample.picture) != left_out));
        let mut curves: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
        for sample in samples.iter().filter(|sample| part(&sample.picture) == left_out) {
            curves.entry(&sample.specimen).or_default().push(sample);
        }
        off.extend(curves.values().filter_map(|curve| {
            let row = row(target, &curve[0].inputs);
            let setting: f64 = model.iter().zip(row).map(|(factor, input)| factor * input).sum();
            // A picture that reaches the target nowhere on its curve says nothing of predictions.
            let (low, high) = curve
                .iter()
                .fold((f64::MAX, f64::MIN), |(low, high), sample| (low.min(sample.score), high.max(sample.score)));
            if low > target || high < target { None } else { Some(interpolated(curve, setting)? - target) }
        }));
    }
    off.sort_by(f64::total_cmp);
    off
}

/// The score at a setting between those that were tried; that of the last beyond them.
fn interpolated(curve: &[&Sample], setting: f64) -> Option<f64> {
    let mut sorted = curve.to_vec();
    sorted.sort_by(|one, other| one.setting.total_cmp(&other.setting));
    let pair = sorted.windows(2).find(|pair| setting <= pair[1].setting).or_else(|| sorted.windows(2).last())?;
    let part = ((setting - pair[0].setting) / (pair[1].setting - pair[0].setting)).clamp(0.0, 1.0);
    Some(pair[0].score + part * (pair[1].score - pair[0].score))
}

fn row(score: f64, inputs: &[f64]) -> Vec<f64> {
    let points = score - 72.0;
    let mut row = vec![1.0, points, points * inputs[0], points * points];
    row.extend_from_slice(inputs);
    row
}

/// Settings by scores and inputs. Scores near 72 count most; a little weight of all factors against each other keeps those
/// small that few pictures would decide.
fn least_squares<'s>(samples: impl Iterator<Item = &'s Sample>) -> Vec<f64> {
    let mut matrix = vec![vec![0.0; UNKNOWNS + 1]; UNKNOWNS];
    for sample in samples.filter(|sample| (40.0..92.0).contains(&sample.score)) {
        let weight = (-((sample.score - 70.0) / 14.0).powi(2)).exp();
        let row = row(sample.score, &sample.inputs);
        for (line, one) in matrix.iter_mut().zip(&row) {
            for (place, other) in line.iter_mut().zip(row.iter().chain([&sample.setting])) {
                *place += weight * one * other;
            }
        }
    }
    for (at, line) in matrix.iter_mut().enumerate().skip(4) {
        line[at] += 0.3;
    }
    solve(matrix)
}

/// Gauss's elimination, the largest first.
fn solve(mut matrix: Vec<Vec<f64>>) -> Vec<f64> {
    let size = matrix.len();
    for column in 0..size {
        let largest = (column..size).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()));
        matrix.swap(column, largest.unwrap());
        let pivot = matrix[column].clone();
        for (line, row) in matrix.iter_mut().enumerate() {
            if line != column && pivot[column].abs() > 1e-12 {
                let factor = row[column] / pivot[column];
                row.iter_mut().zip(&pivot).for_each(|(place, value)| *place -= factor * value);
            }
        }
    }
    (0..size).map(|at| matrix[at][size] / matrix[at][at]).collect()
}
