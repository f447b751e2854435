//! The test pictures that others carry, odd and broken ones among them: `tests/corpora/run.sh` brings them.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use lightmeter_image::{Effort, cost, format::OutputFormat, probe};

use super::{LIMITS, developed, finishes, settings, transform};

const JOBS: [(&str, OutputFormat); 4] = [
    ("", OutputFormat::Png),
    ("w=50", OutputFormat::WebP),
    ("w=64,h=64,fit=cover", OutputFormat::Jpeg),
    ("w=40,rotate=90", OutputFormat::Avif),
];

/// What the allocator holds back of earlier jobs, and stacks.
const SLACK_BYTES: u64 = 24 << 20;

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_under(&path, found) } else { found.push(path) }
    }
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() * 1024
}

/// Runs a job; gives how it ended, and how much more memory it took than it was admitted for.
fn run(bytes: &[u8], options: &str, format: OutputFormat, before: u64) -> (String, i64) {
    let admitted = match probe(bytes) {
        Ok(found) => cost(&found, &transform(options), format, &settings(LIMITS), Effort::FirstView)
            .map_or(0, lightmeter_image::Cost::total),
        Err(_) => 0,
    };
    // 5: the peak is forgotten.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let outcome = match developed(bytes, options, format, LIMITS) {
        Ok(_) => "a picture".to_owned(),
        Err(error) => error.why_original().name().to_owned(),
    };
    let taken = status("VmHWM").saturating_sub(before);
    (outcome, taken.cast_signed() - admitted.cast_signed())
}

#[test]
#[ignore = "needs the pictures: tests/corpora/run.sh"]
fn every_file_of_the_corpora_is_a_picture_or_an_error_within_its_memory() {
    let folder = PathBuf::from(env::var_os("CORPORA").expect("CORPORA names a folder"));
    let mut paths = Vec::new();
    files_under(&folder, &mut paths);
    paths.sort();
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    let mut beyond = Vec::new();
    let before = status("VmRSS");
    for path in &paths {
        let bytes = fs::read(path).unwrap();
        let results = finishes(&path.display().to_string(), move || {
            let held = before + bytes.len() as u64;
            JOBS.map(|(options, format)| run(&bytes, options, format, held))
        });
        for ((outcome, over), (options, format)) in results.into_iter().zip(JOBS) {
            *outcomes.entry(outcome).or_default() += 1;
            if over > SLACK_BYTES.cast_signed() {
                beyond.push(format!("{}: {options:?} to {}: {} MiB", path.display(), format.name(), over >> 20));
            }
        }
    }
    println!("{} files: {outcomes:?}", paths.len());
    assert!(paths.len() > 300, "only {} files", paths.len());
    assert!(beyond.is_empty(), "more memory than admitted: {beyond:#?}");
}
