//! Runs the engine for the comparison in `benches/peers`: a line of tab-separated `source width format quality effort output`
//! is a job, answered by `CPU-µs wall-µs stage-µs bytes`, where the stage is all that comes before encoding; `peak` is
//! answered by the most memory that was resident, in KiB. `default` is the engine's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be measured has no result")]

use std::{
    fs,
    io::{BufRead as _, Write as _, stdin, stdout},
    time::{Duration, Instant},
};

use lightmeter_image::{
    Cancel, Effort, Extras, Settings, develop, format::OutputFormat, options::parse_segment, probe,
};
use rustix::time::{ClockId, clock_gettime};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    for line in stdin().lock().lines() {
        let line = line.expect("lines");
        let answer = if line == "peak" { peak() } else { run(&line) };
        println!("{answer}");
        stdout().flush().expect("an open pipe");
    }
}

fn run(line: &str) -> String {
    let [source, width, format, quality, effort, output] = line.split('\t').collect::<Vec<_>>()[..] else {
        panic!("six fields, not {line:?}")
    };
    let bytes = fs::read(source).expect("a source");
    let quality = if quality == "default" { String::new() } else { format!(",q={quality}") };
    let (transform, _) = parse_segment(&format!("w={width}{quality}")).expect("options").canonical();
    let effort = if effort == "refined" { Effort::Refined } else { Effort::FirstView };
    let settings = Settings::default();
    let (cpu, wall) = (cpu_time(), Instant::now());
    let found = probe(&bytes).expect("a picture");
    let made = develop(
        &bytes,
        &found,
        &transform,
        output_format(format),
        &settings,
        effort,
        &Cancel::default(),
        &Extras::default(),
    )
    .expect("a variant");
    let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
    fs::write(output, &made.bytes).expect("written");
    let stage = wall.saturating_sub(made.stages.encode);
    format!("{} {} {} {}", cpu.as_micros(), wall.as_micros(), stage.as_micros(), made.bytes.len())
}

fn output_format(name: &str) -> OutputFormat {
    match name {
        "avif" => OutputFormat::Avif,
        "webp" => OutputFormat::WebP,
        "jpeg" => OutputFormat::Jpeg,
        "png" => OutputFormat::Png,
        _ => panic!("no format {name:?}"),
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below 10^9"))
}

fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").to_owned()
}
