mod room;
mod snapshots;
mod trouble;

use super::*;
use crate::cache::key::KeyHasher;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 4_096;

fn key(name: &str) -> CacheKey {
    KeyHasher::new().text(name).finish()
}

/// Opened and read through.
fn open(dir: &Path, max_bytes: u64) -> DiskTier {
    let tier = DiskTier::open(dir, max_bytes).unwrap();
    wait_for_the_scan(&tier);
    tier
}

fn wait_for_the_scan(tier: &DiskTier) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while tier.contains(key("never stored")) == Presence::Unknown {
        assert!(Instant::now() < deadline, "the scan does not end");
        std::thread::yield_now();
    }
}

fn put(tier: &DiskTier, name: &str, body: &[u8]) {
    tier.put(key(name), name, b"meta", body).unwrap();
}

fn get(tier: &DiskTier, name: &str) -> Option<Vec<u8>> {
    tier.get(key(name), name).map(|entry| {
        assert_eq!(entry.meta, b"meta");
        match entry.body {
            DiskBody::Whole(bytes) => bytes.to_vec(),
            DiskBody::File { file, offset, len } => read_body(&file, offset, len),
        }
    })
}

fn read_body(file: &File, offset: u64, len: u64) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let mut body = vec![0; len as usize];
    file.read_exact_at(&mut body, offset).unwrap();
    body
}

fn path(dir: &Path, name: &str) -> PathBuf {
    let name = key(name).to_string();
    dir.join(&name[..1]).join(&name[1..3]).join(&name)
}

/// Entries and bytes as a reader of the directory sees them.
fn on_disk(dir: &Path) -> (u64, u64) {
    let files = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let leaves =
        files(dir.to_owned()).filter(|path| path.is_dir() && path.file_name().unwrap() != "tmp").flat_map(files);
    leaves.flat_map(files).fold((0, 0), |(entries, bytes), file| {
        (entries + 1, bytes + fs::metadata(file).unwrap().len().div_ceil(BLOCK) * BLOCK)
    })
}

fn temp_files(dir: &Path) -> usize {
    fs::read_dir(dir.join("tmp")).unwrap().count()
}

/// Waits until what is counted is what is there: eviction goes on behind the puts.
fn assert_agrees(tier: &DiskTier, dir: &Path, when: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (found, expected) = ((counted(tier), temp_files(dir)), (on_disk(dir), 0));
        if found == expected && found.0 == counted(tier) {
            return;
        }
        assert!(Instant::now() < deadline, "{when}: {found:?} counted, {expected:?} there");
        std::thread::yield_now();
    }
}

fn counted(tier: &DiskTier) -> (u64, u64) {
    (tier.usage().entries, tier.usage().bytes)
}

#[test]
fn what_is_put_is_got_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    assert_eq!((get(&tier, "a"), tier.contains(key("a"))), (None, Presence::No));
    put(&tier, "a", b"body");
    assert_eq!((get(&tier, "a"), tier.contains(key("a"))), (Some(b"body".to_vec()), Presence::Yes));
    tier.remove(key("a"));
    assert_eq!((get(&tier, "a"), tier.contains(key("a"))), (None, Presence::No));
    assert_eq!((tier.usage(), on_disk(dir.path())), (Usage::default(), (0, 0)));
}

#[test]
fn a_restart_finds_the_entries() {
    let dir = tempfile::tempdir().unwrap();
    let before = open(dir.path(), MIB);
    for name in ["a", "b", "c"] {
        put(&before, name, name.as_bytes());
    }
    let usage = before.usage();
    drop(before);
    let after = open(dir.path(), MIB);
    assert_eq!(after.usage(), usage);
    assert_eq!(get(&after, "b"), Some(b"b".to_vec()));
    assert_eq!((after.contains(key("c")), after.contains(key("d"))), (Presence::Yes, Presence::No));
}

#[test]
fn entries_are_served_before_the_scan_has_seen_them() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path(), MIB), "a", b"body");
    let store = Store::open(dir.path(), MIB).unwrap();
    assert_eq!(store.contains(key("a")), Presence::Unknown);
    assert!(store.get(key("a"), "a").is_some());
    assert!(store.get(key("b"), "b").is_none());
}

#[test]
fn the_scan_takes_nothing_in_twice_and_nothing_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["replaced", "removed", "left"] {
        put(&open(dir.path(), MIB), name, b"old");
    }
    let store = Store::open(dir.path(), MIB).unwrap();
    store.put(key("replaced"), "replaced", b"meta", &[0; 5_000]).unwrap();
    store.remove(key("removed"));
    store.take_in(key("removed"), 0);
    scan::scan(&store, &AtomicBool::new(false));
    assert_eq!((store.usage().entries, store.usage().bytes), (2, 3 * BLOCK));
    assert_eq!(on_disk(dir.path()), (2, 3 * BLOCK));
}

#[test]
fn a_scan_that_is_stopped_rules_nothing_out() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path(), MIB), "a", b"body");
    let store = Store::open(dir.path(), MIB).unwrap();
    scan::scan(&store, &AtomicBool::new(true));
    assert_eq!(store.contains(key("a")), Presence::Unknown);
}

#[test]
fn a_damaged_file_is_a_miss_and_removed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    put(&tier, "a", b"body");
    let path = path(dir.path(), "a");
    let good = fs::read(&path).unwrap();
    let flipped = (0..good.len()).map(|position| {
        let mut bytes = good.clone();
        bytes[position] ^= 0x10;
        bytes
    });
    let truncated = (0..good.len()).map(|len| good[..len].to_vec());
    for (count, bad) in flipped.chain(truncated).enumerate() {
        put(&tier, "a", b"body");
        fs::write(&path, &bad).unwrap();
        assert_eq!(get(&tier, "a"), None, "{bad:?}");
        assert!(!path.exists());
        assert_eq!((counted(&tier), tier.usage().corrupt), ((0, 0), count as u64 + 1));
    }
}

#[test]
fn swapped_files_are_misses() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    put(&tier, "a", b"body of a");
    put(&tier, "b", b"body of b");
    fs::copy(path(dir.path(), "a"), path(dir.path(), "b")).unwrap();
    assert_eq!((get(&tier, "b"), tier.usage().corrupt), (None, 1));
    assert_eq!(get(&tier, "a"), Some(b"body of a".to_vec()));
}

#[test]
fn a_file_that_was_replaced_is_not_taken_for_the_one_that_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), MIB).unwrap();
    store.put(key("a"), "a", b"", b"old").unwrap();
    let old = store.directory().open_entry(key("a")).unwrap();
    assert!(store.directory().holds(key("a"), &old));
    store.put(key("a"), "a", b"", b"new").unwrap();
    assert!(!store.directory().holds(key("a"), &old));
}

#[test]
fn an_entry_stored_for_another_full_key_is_a_miss_and_makes_way() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    put(&tier, "a", b"body");
    assert!(tier.get(key("a"), "collides with a").is_none());
    assert_eq!((tier.contains(key("a")), tier.usage()), (Presence::No, Usage::default()));
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    put(&tier, "a", b"body");
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(path(dir.path(), "a"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, path(dir.path(), "a")).unwrap();
    assert_eq!((get(&tier, "a"), tier.usage().corrupt), (None, 1));
    assert!(elsewhere.exists() && !path(dir.path(), "a").exists());
}

#[test]
fn a_file_that_somebody_deleted_is_a_miss_and_no_longer_counted() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    put(&tier, "a", b"body");
    fs::remove_dir_all(dir.path().join(&key("a").to_string()[..1])).unwrap();
    fs::remove_dir(dir.path().join("tmp")).unwrap();
    assert_eq!((get(&tier, "a"), tier.usage()), (None, Usage::default()));
    put(&tier, "a", b"again");
    assert_eq!(get(&tier, "a"), Some(b"again".to_vec()));
}

#[test]
fn what_was_left_half_written_is_removed_and_never_counted() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), MIB));
    fs::write(dir.path().join("tmp/1-1-0"), [0; 100_000]).unwrap();
    let tier = open(dir.path(), MIB);
    assert_eq!((temp_files(dir.path()), tier.usage()), (0, Usage::default()));
}

#[test]
fn the_scan_leaves_alone_what_is_being_written_and_what_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path(), MIB), "a", b"body");
    let foreign = path(dir.path(), "a").with_file_name("README");
    fs::write(&foreign, "not an entry").unwrap();
    let store = Store::open(dir.path(), MIB).unwrap();
    let writing = store.directory().write_temp(&[b"half"]).unwrap();
    scan::scan(&store, &AtomicBool::new(false));
    assert_eq!((temp_files(dir.path()), store.usage().entries), (1, 1));
    assert!(foreign.exists());
    drop(writing);
    assert_eq!(temp_files(dir.path()), 0);
}

#[test]
fn eviction_keeps_the_bytes_under_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), 20 * BLOCK);
    for number in 0..100 {
        put(&tier, &number.to_string(), &vec![1; (number * 397) % 20_000]);
        assert!(tier.usage().bytes <= 20 * BLOCK);
        assert_agrees(&tier, dir.path(), &number.to_string());
    }
    assert_eq!(tier.usage().evictions + tier.usage().entries, 100);
    assert!(tier.usage().bytes > 14 * BLOCK, "much more is evicted than need be");
}

#[test]
fn a_large_entry_makes_room_among_many_small_ones() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), 300 * BLOCK);
    for number in 0..300 {
        put(&tier, &number.to_string(), b"small");
    }
    put(&tier, "large", &vec![1; 299 * 4_096]);
    assert_eq!(tier.usage(), Usage { entries: 1, bytes: 300 * BLOCK, evictions: 300, corrupt: 0 });
    assert!(get(&tier, "large").is_some());
}

#[test]
fn after_a_restart_without_a_snapshot_the_files_say_what_was_not_used_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let before = open(dir.path(), 4 * BLOCK);
    for (name, hours_ago) in [("a", 3), ("b", 4), ("c", 1), ("d", 2)] {
        put(&before, name, b"body");
        set_modified(dir.path(), name, Duration::from_secs(hours_ago * 3_600));
    }
    drop(before);
    fs::remove_file(dir.path().join("index")).unwrap();
    let after = open(dir.path(), 4 * BLOCK);
    put(&after, "e", b"body");
    put(&after, "f", b"body");
    let left = ["a", "b", "c", "d", "e", "f"].map(|name| after.contains(key(name)) == Presence::Yes);
    assert_eq!(left, [false, false, true, true, true, true]);
}

#[test]
fn use_is_noted_in_the_file_for_the_next_start_but_not_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    for (minutes_ago, noted) in [(10, false), (120, true)] {
        put(&tier, "a", b"body");
        set_modified(dir.path(), "a", Duration::from_secs(minutes_ago * 60));
        let _ = get(&tier, "a");
        let age = fs::metadata(path(dir.path(), "a")).unwrap().modified().unwrap().elapsed().unwrap();
        assert_eq!(age < Duration::from_secs(60), noted, "{minutes_ago} minutes ago");
    }
}

fn set_modified(dir: &Path, name: &str, ago: Duration) {
    File::open(path(dir, name)).unwrap().set_modified(SystemTime::now() - ago).unwrap();
}

#[test]
fn a_limit_that_was_lowered_is_kept_once_the_directory_is_read_through() {
    let dir = tempfile::tempdir().unwrap();
    let before = open(dir.path(), MIB);
    for number in 0..100 {
        put(&before, &number.to_string(), b"body");
    }
    drop(before);
    let after = open(dir.path(), 30 * BLOCK);
    assert_eq!((counted(&after), on_disk(dir.path())), ((30, 30 * BLOCK), (30, 30 * BLOCK)));
}

#[test]
fn a_replaced_entry_is_not_counted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    for len in [100_000, 10, 50_000] {
        put(&tier, "a", &vec![1; len]);
        assert_eq!(counted(&tier), on_disk(dir.path()));
        assert_eq!(get(&tier, "a").unwrap().len(), len);
    }
}

#[test]
fn an_entry_larger_than_the_tier_is_refused_and_costs_none() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), 4 * BLOCK);
    put(&tier, "a", b"body");
    let error = tier.put(key("b"), "b", b"", &vec![0; 4 * 4_096]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!((counted(&tier), get(&tier, "a").is_some()), ((1, BLOCK), true));
}

#[test]
fn a_put_that_fails_leaves_nothing_behind_and_the_old_entry_whole() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    put(&tier, "a", b"old");
    let in_the_way = dir.path().join(&key("b").to_string()[..1]);
    assert!(!in_the_way.exists());
    fs::write(&in_the_way, "no directory").unwrap();
    assert!(tier.put(key("b"), "b", b"", b"body").is_err());
    assert!(tier.put(key("a"), "a", &vec![0; 2 << 20], b"new").is_err());
    fs::remove_file(in_the_way).unwrap();
    assert_eq!((temp_files(dir.path()), counted(&tier)), (0, (1, BLOCK)));
    assert_eq!((get(&tier, "a"), get(&tier, "b")), (Some(b"old".to_vec()), None));
}

#[test]
fn a_large_body_comes_as_a_file_that_outlives_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), 8 * MIB);
    let body: Vec<u8> = (0..=WHOLE_BODY_BYTES).map(|position| (position % 251) as u8).collect();
    put(&tier, "limit", &body[1..]);
    put(&tier, "large", &body);
    assert!(matches!(tier.get(key("limit"), "limit").unwrap().body, DiskBody::Whole(bytes) if bytes == body[1..]));
    let DiskBody::File { file, offset, len } = tier.get(key("large"), "large").unwrap().body else { panic!("whole") };
    put(&tier, "large", b"another");
    tier.remove(key("large"));
    assert_eq!(read_body(&file, offset, len), body);
}

#[test]
fn a_directory_that_is_in_use_is_refused_by_name_until_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let first = DiskTier::open(dir.path(), MIB).unwrap();
    let error = DiskTier::open(dir.path(), MIB).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    drop(first);
    assert!(DiskTier::open(dir.path(), MIB).is_ok());
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = DiskTier::open(&file, MIB).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

/// Whatever many do at once, no wrong bytes come and the count stays right.
mod at_once {
    use super::*;

    const THREADS: u64 = 4;

    /// In memory where the system has that: the quicker the files, the closer the races.
    fn quick_dir() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    #[test]
    fn on_a_few_keys_that_evict_each_other() {
        let dir = quick_dir();
        let tier = open(dir.path(), 12 * BLOCK);
        for round in 0..1_000 {
            hammer(&tier, round, 8);
            assert_agrees(&tier, dir.path(), &format!("round {round}"));
        }
        assert!(tier.usage().evictions > 100, "nothing was put to the test");
        assert_eq!(tier.usage().corrupt, 0);
    }

    #[test]
    fn from_the_start_of_a_scan_on() {
        let dir = quick_dir();
        for round in 0..20 {
            let tier = DiskTier::open(dir.path(), 12 * BLOCK).unwrap();
            hammer(&tier, round, 50);
            wait_for_the_scan(&tier);
            assert_agrees(&tier, dir.path(), &format!("round {round}"));
            assert_eq!(tier.usage().corrupt, 0);
        }
    }

    #[test]
    fn where_entries_are_removed_as_the_scan_takes_them_in() {
        let dir = quick_dir();
        let names: Vec<_> = (0..64).map(|number| number.to_string()).collect();
        for round in 0..100 {
            let store = Store::open(dir.path(), MIB).unwrap();
            names.iter().for_each(|name| store.put(key(name), name, b"", b"body").unwrap());
            drop(store);
            let store = Store::open(dir.path(), MIB).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| names.iter().for_each(|name| store.take_in(key(name), 0)));
                scope.spawn(|| names.iter().for_each(|name| store.remove(key(name))));
            });
            assert_eq!((store.usage(), on_disk(dir.path())), (Usage::default(), (0, 0)), "round {round}");
        }
    }

    fn hammer(tier: &DiskTier, round: u64, steps: u64) {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    (0..steps).for_each(|number| step(tier, (round * THREADS + thread) * steps + number));
                });
            }
        });
    }

    fn step(tier: &DiskTier, seed: u64) {
        let [action, name, size, ..] = *blake3::hash(&seed.to_le_bytes()).as_bytes();
        let name = format!("entry {}", name % 4);
        match action % 8 {
            0..4 => {
                let body = vec![size; usize::from(size) * 100];
                if let Err(error) = tier.put(key(&name), &name, &[size], &body) {
                    // What others write at the same time may be all that there is room for.
                    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                }
            }
            4 => tier.store.take_in(key(&name), 0),
            5..7 => {
                if let Some(DiskEntry { meta, body: DiskBody::Whole(body) }) = tier.get(key(&name), &name) {
                    assert_eq!(body, vec![meta[0]; usize::from(meta[0]) * 100]);
                }
            }
            _ => tier.remove(key(&name)),
        }
    }
}
