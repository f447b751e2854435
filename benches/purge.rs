//! What purging costs with a million entries in the cache: the purge itself, written down and synced, and what each entry's
//! next look-up takes. Run once; medians.
#![allow(missing_docs, clippy::unwrap_used, reason = "a measurement that fails has no result")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use lightmeter::{
    cache::{
        object::{SourceFacts, SourceHead},
        purge::{Entries, Mode, Purges, Stamp, Standing, TagHash, What},
        tiers::Cache,
    },
    config::{self, ByteSize},
    http::{freshness::Freshness, time::UnixSeconds},
    image::format::InputFormat,
    request::key::{SourceName, SourceVersion},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENTRIES: usize = 1_000_000;
const RECORDS: usize = 100_000;
const PURGES: usize = 101;
const SITE: &str = "shop";
const SCOPE: &str = "shop https://shop.example/";
const NOW: UnixSeconds = UnixSeconds(1_772_323_200);

fn main() {
    println!("| what | entries | records | time |\n| --- | --- | --- | --- |");
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let cache = open(disk.path());
    purges("synced to the disk", cache.purges(), 0);
    let entries = fill(&cache);
    purges("synced to the disk", cache.purges(), ENTRIES);
    look_ups(&cache, &entries);
    many_records(cache.purges());
    purges("synced to the disk", cache.purges(), ENTRIES);
    look_ups(&cache, &entries);
    drop(cache);
    opening(disk.path());
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let cache = open(memory.path());
        purges("in a file system in memory", cache.purges(), 0);
        many_records(cache.purges());
        purges("in a file system in memory", cache.purges(), 0);
    }
}

fn open(directory: &Path) -> Cache {
    let limits = config::Cache { memory_bytes: ByteSize(4 << 30), ..config::Cache::default() };
    Cache::open(directory, &limits).unwrap()
}

struct Entry {
    source: String,
    head: Arc<SourceHead>,
}

impl Entry {
    fn name(&self) -> SourceName<'_> {
        SourceName { scope: SCOPE, source: &self.source }
    }
}

/// Heads with two surrogate keys each.
fn fill(cache: &Cache) -> Vec<Entry> {
    let entry = |number: usize| {
        let tags = format!("product-{} category-{}", number / 10, number % 100);
        let fields = [(http::HeaderName::from_static("surrogate-key"), tags.parse().unwrap())];
        let stamp = Stamp::of(cache.purges().now(), &fields.into_iter().collect());
        let head = Arc::new(SourceHead { stamp, ..head() });
        let entry = Entry { source: format!("/catalogue/{}/picture-{number}.jpg", number % 100), head };
        cache.show_head(entry.name().key(), Arc::clone(&entry.head));
        entry
    };
    (0..ENTRIES).map(entry).collect()
}

fn head() -> SourceHead {
    let freshness = Freshness {
        received_at: NOW,
        initial_age: 0,
        lifetime: 86_400,
        must_revalidate: false,
        stale_while_revalidate: 0,
        stale_if_error: 0,
    };
    let facts = SourceFacts {
        input: InputFormat::Jpeg,
        freshness,
        etag: None,
        last_modified: None,
        cache_control: String::new(),
        cdn_cache_control: None,
        no_transform: false,
    };
    let version = SourceVersion::of(b"x");
    SourceHead { facts, version, len: 1, verdict: None, stamp: Stamp::default(), purged_at: None }
}

/// Of what none of the entries is, so that all stay to be looked up.
fn purges(how: &str, purges: &Purges, entries: usize) {
    let tag = TagHash::of(b"gone").unwrap();
    for (what, site, purged) in [
        ("a URL", SITE, What::Url("/gone/7.jpg")),
        ("a prefix", SITE, What::Prefix("/gone/")),
        ("a surrogate key", SITE, What::Tag(tag)),
        ("a whole site", "another", What::Everything),
    ] {
        let median = median_of(PURGES, || {
            black_box(purges.purge(site, &[purged], Mode::Hard, NOW).unwrap());
        });
        report(&format!("purge {what}, {how}"), entries, purges.len(), median);
    }
}

/// URLs of a site that nobody looks up: they are only in the way.
fn many_records(purges: &Purges) {
    let missing = RECORDS - purges.len();
    let names: Vec<String> = (0..missing).map(|number| format!("/purged/{number}.jpg")).collect();
    for names in names.chunks(1_000) {
        let what: Vec<_> = names.iter().map(|name| What::Url(name)).collect();
        purges.purge(SITE, &what, Mode::Hard, NOW).unwrap();
    }
}

fn look_ups(cache: &Cache, entries: &[Entry]) {
    let purges = cache.purges();
    for (what, is_first) in [("the first look-up of each entry after a purge", true), ("each further look-up", false)] {
        if is_first {
            purges.purge(SITE, &[What::Url("/another.jpg")], Mode::Hard, NOW).unwrap();
        }
        let began = Instant::now();
        let valid = entries.iter().filter(|entry| purges.standing(entry.name(), &entry.head.stamp) == Standing::Valid);
        black_box(valid.count());
        report(what, ENTRIES, purges.len(), began.elapsed() / u32::try_from(ENTRIES).unwrap());
    }
}

fn opening(directory: &Path) {
    let open = || Purges::open(directory, RECORDS, Entries::Perhaps, SystemTime::now()).unwrap();
    let records = open().len();
    report("read the purges at a start", 0, records, median_of(11, || drop(open())));
}

fn median_of(count: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        run();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[count / 2]
}

fn report(what: &str, entries: usize, records: usize, time: Duration) {
    println!("| {what} | {entries} | {records} | {time:.1?} |");
}
