//! How even quality is: makes each picture in the directories given at two widths in each format, as for the first view and
//! as refined, and prints how the scores lie about the target, how far formats are apart, what it takes, and the bytes.
//!
//! `evenness TARGET DIRECTORY…`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool of developers: where it cannot go on it stops"
)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use lightmeter_image::{
    AvifEncoder, Effort,
    format::OutputFormat::{self, Avif, Jpeg, WebP},
    quality::{Content, specimen::Specimen},
};

#[derive(Default)]
struct Tally {
    first: Vec<f64>,
    refined: Vec<f64>,
    tries: u32,
    lossless: u32,
    bytes: (usize, usize),
    cpu_seconds: (f64, f64),
    megapixels: f64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let target: u8 = arguments.next().and_then(|text| text.parse().ok()).expect("evenness TARGET DIRECTORY…");
    let mut tallies: BTreeMap<(String, OutputFormat), Tally> = BTreeMap::new();
    let (mut spreads, mut refined_spreads) = (Vec::new(), Vec::new());
    for directory in arguments {
        let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (file, width) in files.iter().flat_map(|file| [(file, 600), (file, 1_200)]) {
            let Ok(specimen) = Specimen::of(&fs::read(file).unwrap(), width) else { continue };
            if width == 600 || specimen.size().0 > 600 {
                let scores = all_formats(&specimen, &file.display().to_string(), target, &mut tallies);
                if specimen.content() == Content::Photograph {
                    spreads.push(spread(scores.iter().map(|(first, _)| *first)));
                    refined_spreads.push(spread(scores.iter().map(|(_, refined)| *refined)));
                }
            }
        }
    }
    println!(
        "| kind, format | pictures | first view: 5 %, median, 95 %, within 3 | refined: least, 5 %, median, 95 % | tries | without loss | bytes refined ÷ first | CPU s/MP: first, refined |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((kind, format), mut tally) in tallies {
        tally.first.sort_by(f64::total_cmp);
        tally.refined.sort_by(f64::total_cmp);
        let at = |scores: &[f64], part: f64| scores[(part * (scores.len() - 1) as f64).round() as usize];
        let (first, refined) = (&tally.first, &tally.refined);
        let count = first.len();
        let within = first.iter().filter(|score| (**score - f64::from(target)).abs() <= 3.0).count() * 100 / count;
        println!(
            "| {kind}, {format:?} | {count} | {:.1}, {:.1}, {:.1}, {within} % | {:.1}, {:.1}, {:.1}, {:.1} | {:.2} | {} | {:.2} | {:.3}, {:.3} |",
            at(first, 0.05),
            at(first, 0.5),
            at(first, 0.95),
            refined[0],
            at(refined, 0.05),
            at(refined, 0.5),
            at(refined, 0.95),
            f64::from(tally.tries) / count as f64,
            tally.lossless,
            tally.bytes.1 as f64 / tally.bytes.0 as f64,
            tally.cpu_seconds.0 / tally.megapixels,
            tally.cpu_seconds.1 / tally.megapixels,
        );
    }
    for (name, mut spreads) in [("first view", spreads), ("refined", refined_spreads)] {
        spreads.sort_by(f64::total_cmp);
        let at = |part: f64| spreads[(part * (spreads.len() - 1) as f64).round() as usize];
        println!("photographs, best format less worst, {name}: median {:.1}, 95 % {:.1}", at(0.5), at(0.95));
    }
}

/// Scores of a picture in each format, of the first view and refined.
fn all_formats(
    specimen: &Specimen,
    name: &str,
    target: u8,
    tallies: &mut BTreeMap<(String, OutputFormat), Tally>,
) -> Vec<(f64, f64)> {
    let (width, height) = specimen.size();
    let mut scores = Vec::new();
    for format in [Avif, WebP, Jpeg] {
        if format == Jpeg && specimen.has_alpha() {
            continue;
        }
        let how = (format, AvifEncoder::Libaom);
        let before = cpu_seconds();
        let (first, _) = specimen.aim(target, how, Effort::FirstView, None).unwrap();
        let made = cpu_seconds();
        let (refined, measured) = specimen.aim(target, how, Effort::Refined, Some(&first)).unwrap();
        let again = cpu_seconds();
        let measured = measured.unwrap();
        let first_score = f64::from(measured.first_view.unwrap_or_else(|| specimen.score(&first, format).unwrap()));
        let score = f64::from(measured.score);
        if score < f64::from(target) - 3.0 {
            println!("below: {name} {width}x{height} {format:?} {measured:?}");
        }
        let tally = tallies.entry((format!("{:?}", specimen.content()), format)).or_default();
        tally.first.push(first_score);
        tally.refined.push(score);
        tally.tries += u32::from(measured.tries);
        tally.lossless += u32::from(measured.setting.is_none());
        tally.bytes = (tally.bytes.0 + first.len(), tally.bytes.1 + refined.len());
        tally.cpu_seconds.0 += made - before;
        tally.cpu_seconds.1 += again - made;
        tally.megapixels += f64::from(width) * f64::from(height) / 1e6;
        scores.push((first_score, score));
    }
    scores
}

fn spread(scores: impl Iterator<Item = f64>) -> f64 {
    let (low, high) = scores.fold((f64::MAX, f64::MIN), |(low, high), score| (low.min(score), high.max(score)));
    high - low
}

/// What this thread has used.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}
