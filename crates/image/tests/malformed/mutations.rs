//! Valid files that are cut short, or in which bytes are changed, one after the other.

use lightmeter_image::format::OutputFormat;

use super::{developed, files, finishes, limits};

/// So many places of a file are tried, evenly spread; smaller files have them all.
const PLACES: usize = 400;

fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(PLACES))
}

fn try_all(what: &'static str, files: Vec<Vec<u8>>) {
    finishes(what, move || {
        for file in files {
            let _ = developed(&file, "w=12", OutputFormat::Jpeg, limits());
            let _ = developed(&file, "w=12", OutputFormat::WebP, limits());
        }
    });
}

#[test]
fn a_file_cut_short_anywhere_is_a_picture_or_an_error() {
    for (what, file) in files::all(24, 16) {
        try_all(what, places(file.len()).map(|end| file[..end].to_vec()).collect());
    }
}

#[test]
fn a_file_with_a_byte_changed_anywhere_is_a_picture_or_an_error() {
    for (what, file) in files::all(24, 16) {
        let changed = |at: usize, change: fn(u8) -> u8| {
            let mut file = file.clone();
            file[at] = change(file[at]);
            file
        };
        let changes: [fn(u8) -> u8; 4] = [|byte| !byte, |byte| byte.wrapping_add(1), |_| 0, |byte| byte ^ 0x80];
        try_all(what, places(file.len()).flat_map(|at| changes.map(|change| changed(at, change))).collect());
    }
}

#[test]
fn a_file_that_misses_or_repeats_a_part_is_a_picture_or_an_error() {
    for (what, file) in files::all(24, 16) {
        let part = file.len().div_ceil(16);
        let missing = |at: usize| [&file[..at], &file[(at + part).min(file.len())..]].concat();
        let repeated = |at: usize| [&file[..(at + part).min(file.len())], &file[at..]].concat();
        try_all(what, places(file.len()).flat_map(|at| [missing(at), repeated(at)]).collect());
    }
}
