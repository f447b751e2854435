//! Runs `oximg` as a library: a line of tab-separated `source width format quality effort output` is a job (`effort` means
//! nothing here), answered by `CPU-µs wall-µs stage-µs bytes`; `peak` is answered by the most memory that was resident, in KiB.

use std::{
    fs,
    io::{BufRead as _, Write as _, stdin, stdout},
    time::{Duration, Instant},
};

use oximg::pipeline::{ImageFormat, Params, process};
use rustix::time::{ClockId, clock_gettime};

fn main() {
    for line in stdin().lock().lines() {
        let line = line.expect("lines");
        let answer = if line == "peak" { peak() } else { run(&line) };
        println!("{answer}");
        stdout().flush().expect("an open pipe");
    }
}

fn run(line: &str) -> String {
    let [source, width, format, quality, _, output] = line.split('\t').collect::<Vec<_>>()[..] else {
        panic!("six fields, not {line:?}")
    };
    let bytes = fs::read(source).expect("a source");
    let params = Params {
        max_width: width.parse().expect("a width"),
        output: ImageFormat::from_token(format),
        quality: if quality == "default" { 80.0 } else { quality.parse().expect("a quality") },
        webp_quality: (quality != "default").then(|| quality.parse().expect("a quality")),
        ..Params::default()
    };
    let (cpu, wall) = (cpu_time(), Instant::now());
    let (made, _) = process(&bytes, &params).expect("a picture");
    let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
    fs::write(output, &made).expect("written");
    format!("{} {} 0 {}", cpu.as_micros(), wall.as_micros(), made.len())
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
