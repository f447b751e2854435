//! The test pictures that others carry, odd and broken ones among them: `tests/corpora/run.sh` brings them.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lightmeter_image::{Effort, cost, format::OutputFormat, probe};

use super::{developed, finishes, limits, settings, transform};

const JOBS: [(&str, OutputFormat); 4] = [
    ("", OutputFormat::Png),
    ("w=50", OutputFormat::WebP),
    ("w=64,h=64,fit=cover", OutputFormat::Jpeg),
    ("w=40,rotate=90", OutputFormat::Avif),
];

/// What the allocator holds back of the earlier jobs of a file, code and stacks.
const SLACK_BYTES: i64 = 16 << 20;

/// Names the file to the process that works on it.
const FILE: &str = "CORPORA_FILE";

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

/// Runs a job; gives how it ended, and how much more memory the process has taken than the job was admitted for.
fn run(bytes: &[u8], options: &str, format: OutputFormat, before: u64) -> (String, i64) {
    let admitted = match probe(bytes) {
        Ok(found) => cost(&found, &transform(options), format, &settings(limits()), Effort::FirstView)
            .map_or(0, lightmeter_image::Cost::total),
        Err(_) => 0,
    };
    let outcome = match developed(bytes, options, format, limits()) {
        Ok(_) => "picture".to_owned(),
        Err(error) => error.why_original().name().to_owned(),
    };
    let taken = status("VmHWM").saturating_sub(before);
    (outcome, taken.cast_signed() - admitted.cast_signed())
}

/// One file in a process of its own, so that a codec that crashes names its file, and no memory is left over from another.
#[test]
#[ignore = "is run by the test below"]
fn one_file() {
    let Some(path) = env::var_os(FILE) else { return };
    let bytes = fs::read(path).unwrap();
    let before = status("VmRSS");
    for (job, (options, format)) in JOBS.into_iter().enumerate() {
        // 5: the peak is forgotten.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let (outcome, over) = run(&bytes, options, format, before);
        println!("\nOUTCOME {job} {outcome} {over}");
    }
}

fn in_a_process(path: &Path) -> String {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "corpora::one_file", "--ignored", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let said = finishes(&path.display().to_string(), move || {
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        said
    });
    let ended = child.wait().unwrap();
    assert!(ended.success(), "{}: {ended}\n{said}", path.display());
    said
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
    for path in &paths {
        let said = in_a_process(path);
        let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("OUTCOME ")).collect();
        assert_eq!(lines.len(), JOBS.len(), "{}: {said}", path.display());
        for line in lines {
            let [job, outcome, over] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
            if over.parse::<i64>().unwrap() > SLACK_BYTES {
                beyond.push(format!("{} {:?} {over}", path.display(), JOBS[job.parse::<usize>().unwrap()]));
            }
        }
    }
    println!("{} files: {outcomes:?}", paths.len());
    assert!(paths.len() > 300, "only {} files", paths.len());
    assert!(beyond.is_empty(), "more memory than admitted: {beyond:#?}");
}
