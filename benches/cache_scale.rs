//! The disk tier with many entries: how quickly they are stored, found after a start, served and evicted, and what each takes
//! in memory. `make cache-scale` runs it; by itself it measures nothing, since it fills gigabytes.
//!
//! Each number of entries has a directory of its own, under `CACHE_SCALE_DIR`, that is removed at the end; each measurement
//! runs in a process of its own, on the program's allocator, so that no other's memory is in it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that fails has no result"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use lightmeter::{
    cache::{
        disk::DiskTier,
        key::{CacheKey, KeyHasher},
        tiers::Cache,
    },
    config,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// With header, key and meta, a file of one block.
const BODY_BYTES: usize = 2_000;
const BLOCK_BYTES: u64 = 4_096;

/// How many entries are asked for.
const GETS: u64 = 20_000;

fn main() {
    let Some(root) = env::var_os("CACHE_SCALE_DIR").map(PathBuf::from) else {
        println!("the disk tier with many entries is measured by `make cache-scale`");
        return;
    };
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "step") {
        let entries: u64 = arguments[at + 2].parse().unwrap();
        return step(&arguments[at + 1], &root.join(entries.to_string()), entries);
    }
    fs::create_dir_all(&root).unwrap();
    let sizes = env::var("CACHE_SCALE_ENTRIES")
        .map_or_else(|_| SIZES.to_vec(), |sizes| sizes.split(',').map(|entries| entries.parse().unwrap()).collect());
    for entries in sizes {
        println!("\n{entries} entries of {BODY_BYTES} bytes\n");
        for name in ["fill", "start", "start cold", "scan", "scan cold", "serve", "memory", "evict"] {
            run(name, entries);
        }
        fs::remove_dir_all(root.join(entries.to_string())).unwrap();
    }
}

/// Runs a step in a process of its own, from a page cache that knows nothing of the files where it is a cold one.
fn run(name: &str, entries: u64) {
    let is_cold = name.ends_with("cold");
    if is_cold && !drop_page_cache() {
        println!("{name}: not measured, only root may empty the page cache");
        return;
    }
    let step = name.split(' ').next().unwrap();
    let begun = Instant::now();
    let output = Command::new(env::current_exe().unwrap()).args(["step", step, &entries.to_string()]).output().unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    print!("{name} ({took:.2} s in all): {}", String::from_utf8_lossy(&output.stdout));
}

fn drop_page_cache() -> bool {
    let _ = Command::new("sync").status();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

fn step(name: &str, dir: &Path, entries: u64) {
    match name {
        "fill" => fill(dir, entries),
        "start" => start(dir, entries),
        "scan" => {
            fs::remove_file(dir.join("index")).unwrap();
            start(dir, entries);
        }
        "serve" => serve(dir, entries),
        "memory" => memory(dir),
        "evict" => evict(dir, entries),
        _ => panic!("{name} is no step"),
    }
}

fn key(number: u64) -> (CacheKey, String) {
    let text = format!("variant\nshop\n/pictures/{number}.jpg\nw=800");
    (KeyHasher::new().text(&text).finish(), text)
}

fn body(number: u64) -> Vec<u8> {
    let mut body = vec![0; BODY_BYTES];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut body);
    body
}

fn open(dir: &Path, entries: u64) -> DiskTier {
    DiskTier::open(dir, entries * BLOCK_BYTES * 2).unwrap()
}

fn until_known(tier: &DiskTier) {
    while !tier.is_known() {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn fill(dir: &Path, entries: u64) {
    let tier = open(dir, entries);
    until_known(&tier);
    let begun = Instant::now();
    for number in 0..entries {
        let (key, text) = key(number);
        tier.put(key, &text, b"{\"format\":\"avif\"}", &body(number)).unwrap();
    }
    let took = begun.elapsed();
    let closing = Instant::now();
    drop(tier);
    println!(
        "{:.0} puts a second, closed in {:.0} ms",
        entries as f64 / took.as_secs_f64(),
        closing.elapsed().as_secs_f64() * 1e3
    );
}

/// How long it takes until entries are served, and until all are known; what they take in memory then.
fn start(dir: &Path, entries: u64) {
    let wanted = key(entries / 2);
    // What a tier takes by itself is not the entries'.
    let beside = tempfile::tempdir_in(dir.parent().unwrap()).unwrap();
    let empty = open(beside.path(), 1_000);
    until_known(&empty);
    let before = status("RssAnon:");
    let begun = Instant::now();
    let tier = open(dir, entries);
    let opened = begun.elapsed();
    assert!(tier.get(wanted.0, &wanted.1).is_some());
    let served = begun.elapsed();
    until_known(&tier);
    let known = begun.elapsed();
    assert_eq!(tier.usage().entries, entries);
    // What the start alone took goes back to the system.
    std::thread::sleep(Duration::from_secs(2));
    let resident = status("RssAnon:").saturating_sub(before);
    println!(
        "opened in {:.1} ms, first entry after {:.1} ms, all known after {:.0} ms; {:.0} bytes of memory an entry",
        opened.as_secs_f64() * 1e3,
        served.as_secs_f64() * 1e3,
        known.as_secs_f64() * 1e3,
        resident as f64 / entries as f64,
    );
}

fn serve(dir: &Path, entries: u64) {
    let tier = open(dir, entries);
    until_known(&tier);
    let times = timed((0..GETS).map(|number| {
        let wanted = key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries);
        let tier = &tier;
        move || assert!(tier.get(wanted.0, &wanted.1).is_some())
    }));
    let absent = timed((0..GETS).map(|number| {
        let (absent, text) = key(entries + number);
        let tier = &tier;
        move || assert!(tier.get(absent, &text).is_none())
    }));
    println!("from disk, page cache warm: {times}; one that is not there: {absent}");
}

/// Hits in memory over a disk tier of that size.
fn memory(dir: &Path) {
    let limits = config::Cache { disk_bytes: config::ByteSize(u64::MAX >> 20), ..config::Cache::default() };
    let cache = Cache::open(dir, &limits).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    while !cache.is_disk_known() {
        std::thread::sleep(Duration::from_micros(200));
    }
    let names: Vec<_> = (0..GETS).map(|number| key(u64::MAX - number)).collect();
    for (key, text) in &names {
        runtime.block_on(cache.put_body(*key, text.clone(), Bytes::from(body(0))));
    }
    let times = timed(names.iter().map(|(key, _)| {
        let (cache, runtime) = (&cache, &runtime);
        move || assert!(runtime.block_on(cache.body(*key, || unreachable!("memory has it"))).is_some())
    }));
    for (key, _) in &names {
        runtime.block_on(cache.remove(*key));
    }
    println!("from memory: {times}");
}

/// Half of the room is taken away: half of the entries go.
fn evict(dir: &Path, entries: u64) {
    let begun = Instant::now();
    let tier = DiskTier::open(dir, entries / 2 * BLOCK_BYTES).unwrap();
    until_known(&tier);
    let took = begun.elapsed();
    let evicted = tier.usage().evictions;
    println!("{:.0} evictions a second ({evicted}, the start included)", evicted as f64 / took.as_secs_f64());
}

fn timed<W: FnOnce()>(works: impl Iterator<Item = W>) -> String {
    let mut times: Vec<_> = works
        .map(|work| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000].as_secs_f64() * 1e6;
    format!("{:.1} µs (median), {:.1} µs (99 %)", at(500), at(990))
}

/// A line of this process's status, in bytes.
fn status(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
