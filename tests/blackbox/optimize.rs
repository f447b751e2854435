//! `lightmeter optimize`: the image engine over files, without a server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{decode, pictures};

/// A library of three pictures in two directories, and a text.
fn library() -> (TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let library = root.path().join("library");
    fs::create_dir_all(library.join("deep")).unwrap();
    for (from, to) in [("coffee.jpg", "coffee.jpg"), ("rocket.jpg", "deep/rocket.jpg"), ("map.png", "deep/map.png")] {
        fs::write(library.join(to), pictures::demo(from)).unwrap();
    }
    fs::write(library.join("notes.txt"), "no picture").unwrap();
    let output = root.path().join("out");
    (root, library, output)
}

fn optimize(library: &Path, output: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lightmeter"))
        .arg("optimize")
        .arg(library)
        .arg("-o")
        .arg(output)
        .args(["--effort", "first-view", "--json"])
        .args(more)
        .output()
        .unwrap()
}

fn report(ran: &Output) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)))
}

fn all_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_library_is_made_smaller_and_left_as_it_was() {
    let (_root, library, output) = library();
    let contents =
        |root: &Path| -> Vec<_> { all_files(root).iter().map(|file| fs::read(root.join(file)).unwrap()).collect() };
    let before = contents(&library);
    let ran = optimize(&library, &output, &["--options", "w=300"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(contents(&library), before);
    let made: Vec<_> = all_files(&output).iter().map(|file| file.to_str().unwrap().to_owned()).collect();
    assert_eq!(
        made,
        [
            ".lightmeter-optimize.jsonl",
            "coffee.jpg.avif",
            "coffee.jpg.webp",
            "deep/map.png.avif",
            "deep/map.png.webp",
            "deep/rocket.jpg.avif",
            "deep/rocket.jpg.webp",
        ]
    );
    let picture = decode(&fs::read(output.join("deep/rocket.jpg.webp")).unwrap());
    assert_eq!((picture.format, picture.size().0), ("webp", 300));
    let report = report(&ran);
    let bytes = |file: &str| fs::metadata(output.join(file)).unwrap().len();
    let webp = ["coffee.jpg.webp", "deep/map.png.webp", "deep/rocket.jpg.webp"].map(bytes).iter().sum::<u64>();
    assert_eq!(report["formats"]["webp"]["bytes_after"], webp);
    assert_eq!((&report["sources"], &report["skipped"]), (&3.into(), &0.into()));
}

#[test]
fn a_second_run_does_what_is_missing_and_no_more() {
    let (_root, library, output) = library();
    let first = report(&optimize(&library, &output, &["--format", "webp"]));
    fs::remove_file(output.join("coffee.jpg.webp")).unwrap();
    fs::write(library.join("deep/rocket.jpg"), pictures::demo("camera.jpg")).unwrap();
    // Cut off in the middle of a line, as by a power cut.
    let notes = output.join(".lightmeter-optimize.jsonl");
    let text = fs::read_to_string(&notes).unwrap();
    fs::write(&notes, format!("{text}{{\"source\":\"deep/ma")).unwrap();
    let map = output.join("deep/map.png.webp");
    let made_at = fs::metadata(&map).unwrap().modified().unwrap();
    let second = report(&optimize(&library, &output, &["--format", "webp"]));
    assert_eq!((&first["skipped"], &second["skipped"]), (&0.into(), &1.into()));
    assert_eq!(fs::metadata(&map).unwrap().modified().unwrap(), made_at);
    assert!(output.join("coffee.jpg.webp").is_file());
    assert_eq!(report(&optimize(&library, &output, &["--format", "webp"]))["skipped"], 3);
    assert_eq!(report(&optimize(&library, &output, &["--format", "webp", "--options", "w=100"]))["skipped"], 0);
}

#[test]
fn a_broken_picture_is_told_of_and_stops_nothing() {
    let (_root, library, output) = library();
    fs::write(library.join("broken.jpg"), b"\xFF\xD8\xFF\xE0nonsense").unwrap();
    let ran = optimize(&library, &output, &[]);
    assert_eq!(ran.status.code(), Some(1));
    let report = report(&ran);
    assert!(report["failed"][0]["path"].as_str().unwrap().ends_with("broken.jpg"), "{report}");
    assert_eq!(report["formats"]["avif"]["variants"], 3);
}

#[test]
fn a_source_is_never_written_over() {
    let (_root, library, _) = library();
    let ran = optimize(&library.join("coffee.jpg"), &library, &["--format", "original", "--options", "w=50"]);
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(fs::read(library.join("coffee.jpg")).unwrap(), pictures::demo("coffee.jpg"));
}
