//! The file, as its users see it, and as crashes, power cuts and damage leave it.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    CounterError, CounterFile, Counters, Slot,
    format::{COUNT_OFFSET, HEADER_BYTES, SEGMENT_BYTES, SEGMENT_SLOTS, SLOT_BYTES},
};
use crate::billing::SiteId;

fn site(id: &str) -> SiteId {
    id.parse().unwrap()
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("counters");
    (home, path)
}

#[test]
fn what_a_killed_process_had_in_hand_counts_as_taken() {
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    let shop = counters.slot(&site("shop")).unwrap();
    shop.hand_over(100);
    shop.hand_over(30);
    assert_eq!(shop.settle(100, 7), 7);
    assert_eq!(shop.read().egress_bytes, 7);
    drop((shop, counters));
    for _ in 0..2 {
        let counters = CounterFile::open(&path).unwrap();
        assert_eq!(counters.slot(&site("shop")).unwrap().read().egress_bytes, 37, "once");
    }
}

/// Changes bytes of the file.
fn write_at(path: &Path, offset: usize, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset as u64).unwrap();
}

/// A file that has counted 7 bytes for the site "shop"; its node id.
fn counted(path: &Path) -> String {
    let counters = CounterFile::open(path).unwrap();
    counters.slot(&site("shop")).unwrap().add_egress(7);
    counters.node().to_owned()
}

#[test]
fn what_was_counted_is_there_after_a_restart() {
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    let node = counters.node().to_owned();
    let shop = counters.slot(&site("shop")).unwrap();
    assert_eq!(shop.add_egress(5), 5);
    assert_eq!(shop.add_egress(6), 11);
    shop.add_request(100);
    shop.add_request(0);
    drop((shop, counters));

    let counters = CounterFile::open(&path).unwrap();
    assert_eq!(counters.node(), node);
    let shop = counters.slot(&site("shop")).unwrap();
    assert_eq!(shop.read(), Counters { egress_bytes: 11, requests: 2, saved_bytes: 100 });
    assert_eq!(shop.add_egress(1), 12);
}

#[test]
fn each_site_has_a_slot_of_its_own_and_only_one() {
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    let (shop, blog) = (counters.slot(&site("shop")).unwrap(), counters.slot(&site("blog")).unwrap());
    shop.add_egress(1);
    blog.add_egress(10);
    counters.slot(&site("shop")).unwrap().add_egress(1);
    assert_eq!((shop.read().egress_bytes, blog.read().egress_bytes), (2, 10));
    let all: Vec<_> = counters.slots().iter().map(|slot| (slot.site().clone(), slot.read().egress_bytes)).collect();
    assert_eq!(all, [(site("blog"), 10), (site("shop"), 2)]);
}

#[test]
fn sites_that_are_gone_are_still_told_of() {
    let (_home, path) = home();
    counted(&path);
    let counters = CounterFile::open(&path).unwrap();
    let left = counters.slots();
    assert_eq!((left[0].site(), left[0].read().egress_bytes), (&site("shop"), 7));
}

#[test]
fn many_sites_have_slots_across_segments() {
    const SITES: u64 = 2 * SEGMENT_SLOTS as u64 + 3;
    let (_home, path) = home();
    let longest = "x".repeat(57);
    let name = |number: u64| site(&format!("{longest}-{number:05}"));
    let counters = CounterFile::open(&path).unwrap();
    let first = counters.slot(&name(0)).unwrap();
    for number in 0..SITES {
        counters.slot(&name(number)).unwrap().add_egress(number);
    }
    // It was mapped before the file grew.
    first.add_egress(1_000_000);
    drop(counters);
    let counters = CounterFile::open(&path).unwrap();
    assert_eq!(counters.slots().len() as u64, SITES);
    assert_eq!(counters.slot(&name(0)).unwrap().read().egress_bytes, 1_000_000);
    for number in 1..SITES {
        assert_eq!(counters.slot(&name(number)).unwrap().read().egress_bytes, number);
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), (HEADER_BYTES + 3 * SEGMENT_BYTES) as u64);
    assert_eq!(counters.slots().len() as u64, SITES, "no slot was made anew");
}

#[test]
fn threads_that_add_at_once_lose_nothing() {
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let slot = counters.slot(&site("shop")).unwrap();
                for _ in 0..50_000 {
                    slot.add_egress(3);
                    slot.add_request(2);
                }
            });
        }
    });
    let counted = counters.slot(&site("shop")).unwrap().read();
    assert_eq!(counted, Counters { egress_bytes: 600_000, requests: 200_000, saved_bytes: 400_000 });
}

#[test]
fn slots_are_on_disk_before_they_are_counted_in() {
    use std::os::unix::fs::MetadataExt as _;
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    counters.slot(&site("shop")).unwrap();
    let file = fs::metadata(&path).unwrap();
    assert!(file.blocks() * 512 >= file.len(), "{} blocks for {} bytes", file.blocks(), file.len());
}

#[test]
fn the_file_is_one_processs_at_a_time() {
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    assert!(matches!(CounterFile::open(&path), Err(CounterError::InUse(_))));
    drop(counters);
    assert!(CounterFile::open(&path).is_ok());
}

#[test]
fn a_full_file_goes_on_with_the_sites_that_it_has() {
    let (_home, path) = home();
    let counters = CounterFile::open_for(&path, 2).unwrap();
    let shop = counters.slot(&site("shop")).unwrap();
    counters.slot(&site("blog")).unwrap();
    assert!(matches!(counters.slot(&site("wiki")), Err(CounterError::Full { slots: 2, .. })));
    assert_eq!(shop.add_egress(4), 4);
    assert!(counters.slot(&site("blog")).is_ok());
    let wiki = Slot::unbacked(site("wiki"));
    assert_eq!((wiki.add_egress(4), wiki.add_egress(4)), (4, 8));
    assert_eq!(counters.slots().len(), 2);
}

#[test]
fn a_slot_outlives_the_file_and_counts_on_in_it() {
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    let slot = counters.slot(&site("shop")).unwrap();
    drop(counters);
    let counters = CounterFile::open(&path).unwrap();
    slot.add_egress(9);
    assert_eq!(counters.slot(&site("shop")).unwrap().read().egress_bytes, 9);
}

#[test]
fn what_is_flushed_is_in_the_file() {
    let (_home, path) = home();
    let counters = CounterFile::open(&path).unwrap();
    counters.slot(&site("shop")).unwrap().add_egress(0x0102_0304);
    counters.flush().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes[HEADER_BYTES + 64..HEADER_BYTES + 72], 0x0102_0304_u64.to_ne_bytes());
}

#[test]
fn a_damaged_file_is_put_aside_and_a_new_one_begun() {
    let second_slot = HEADER_BYTES + SLOT_BYTES;
    let table: [(&str, usize, &[u8]); 7] = [
        ("magic", 0, b"X"),
        ("version", 8, &9_u32.to_ne_bytes()),
        ("node id", 20, b"XXXX"),
        ("impossible count", usize::try_from(COUNT_OFFSET).unwrap(), &u64::MAX.to_ne_bytes()),
        ("more slots than there are", usize::try_from(COUNT_OFFSET).unwrap(), &600_u64.to_ne_bytes()),
        ("impossible length", HEADER_BYTES, &[64]),
        ("check", second_slot - 32, b"XXXXXXXX"),
    ];
    for (what, offset, bytes) in table {
        let (home, path) = home();
        let node = counted(&path);
        write_at(&path, offset, bytes);
        let damaged = fs::read(&path).unwrap();
        let counters = CounterFile::open(&path).unwrap();
        assert_ne!(counters.node(), node, "{what}");
        assert!(counters.slots().is_empty(), "{what}");
        assert_eq!(counters.slot(&site("shop")).unwrap().read(), Counters::default(), "{what}");
        assert_eq!(fs::read(home.path().join("counters.damaged-1")).unwrap(), damaged, "{what}");
    }
}

#[test]
fn one_sites_slot_copied_over_anothers_is_damage() {
    let (home, path) = home();
    counted(&path);
    CounterFile::open(&path).unwrap().slot(&site("blog")).unwrap();
    let bytes = fs::read(&path).unwrap();
    write_at(&path, HEADER_BYTES + SLOT_BYTES, &bytes[HEADER_BYTES..HEADER_BYTES + SLOT_BYTES]);
    assert!(CounterFile::open(&path).unwrap().slots().is_empty());
    assert!(home.path().join("counters.damaged-1").exists());
}

#[test]
fn a_file_cut_short_is_damage_however_short_it_is() {
    for (number, len) in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + SEGMENT_BYTES - 1].iter().enumerate() {
        let (home, path) = home();
        let node = counted(&path);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(*len as u64).unwrap();
        // Those put aside before stay.
        for earlier in 0..number {
            fs::write(home.path().join(format!("counters.damaged-{}", earlier + 1)), "earlier").unwrap();
        }
        let counters = CounterFile::open(&path).unwrap();
        assert_ne!(counters.node(), node);
        let aside = home.path().join(format!("counters.damaged-{}", number + 1));
        assert_eq!(fs::metadata(aside).unwrap().len(), *len as u64);
    }
}

#[test]
fn a_slot_half_made_by_a_process_that_was_killed_becomes_the_next_sites() {
    let (_home, path) = home();
    let node = counted(&path);
    CounterFile::open(&path).unwrap().slot(&site("blog")).unwrap().add_egress(1000);
    // As if the second slot's id had been written, and not yet that it is made.
    write_at(&path, usize::try_from(COUNT_OFFSET).unwrap(), &1_u64.to_ne_bytes());
    let counters = CounterFile::open(&path).unwrap();
    assert_eq!(counters.slots().len(), 1);
    assert_eq!(counters.slot(&site("wiki")).unwrap().read(), Counters::default());
    drop(counters);
    let counters = CounterFile::open(&path).unwrap();
    let all: Vec<_> = counters.slots().iter().map(|slot| slot.site().clone()).collect();
    assert_eq!(all, [site("shop"), site("wiki")]);
    assert_eq!(counters.node(), node);
}

#[test]
fn a_slot_that_a_power_cut_took_back_is_no_damage() {
    let (_home, path) = home();
    let node = counted(&path);
    CounterFile::open(&path).unwrap().slot(&site("blog")).unwrap();
    write_at(&path, HEADER_BYTES + SLOT_BYTES, &[0; SLOT_BYTES]);
    let counters = CounterFile::open(&path).unwrap();
    assert_eq!(counters.node(), node);
    assert_eq!(counters.slots().len(), 1);
    counters.slot(&site("blog")).unwrap().add_egress(2);
    drop(counters);
    let counters = CounterFile::open(&path).unwrap();
    assert_eq!(counters.slot(&site("blog")).unwrap().read().egress_bytes, 2);
    assert_eq!(counters.slot(&site("shop")).unwrap().read().egress_bytes, 7);
}

#[test]
fn a_file_left_half_made_is_made_anew() {
    let (home, path) = home();
    fs::write(home.path().join("counters.new"), "LMC").unwrap();
    assert!(CounterFile::open(&path).unwrap().slots().is_empty());
    assert!(!home.path().join("counters.damaged-1").exists());
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let (home, path) = home();
    let elsewhere = home.path().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(matches!(CounterFile::open(&path), Err(CounterError::Unusable { .. })));
    assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
}

/// Set for the process that is killed: the file that it counts in.
const KILLED_COUNTS_IN: &str = "LIGHTMETER_TEST_COUNTERS";
const STEP: u64 = 1_000_003;

#[test]
fn a_killed_process_loses_nothing_that_it_counted() {
    if let Some(path) = std::env::var_os(KILLED_COUNTS_IN) {
        return count_until_killed(Path::new(&path));
    }
    let (_home, path) = home();
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "meter::counters::tests::a_killed_process_loses_nothing_that_it_counted", "--nocapture"])
        .env(KILLED_COUNTS_IN, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(killed.stdout.take().unwrap());
    let mut text = String::new();
    while text.matches('\n').count() < 500 {
        assert_ne!(told.read_line(&mut text).unwrap(), 0, "it ended by itself:\n{text}");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    told.read_to_string(&mut text).unwrap();

    let whole_lines = text.rsplit_once('\n').unwrap().0;
    let last: u64 = whole_lines.rsplit_once("counted ").unwrap().1.parse().unwrap();
    let counters = CounterFile::open(&path).unwrap();
    let counted = counters.slot(&site("shop")).unwrap().read().egress_bytes;
    assert!(last > 100 * STEP);
    assert!((last..=last + STEP).contains(&counted), "told {last}, found {counted}");
}

/// Adds, and tells what it has added, until it is killed or nobody listens any more.
fn count_until_killed(path: &Path) {
    let counters = CounterFile::open(path).unwrap();
    let slot = counters.slot(&site("shop")).unwrap();
    let mut out = std::io::stdout();
    loop {
        let counted = slot.add_egress(STEP);
        out.write_all(format!("counted {counted}\n").as_bytes()).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Egress(u8, u32),
    Request(u8, u32),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..6, any::<u32>()).prop_map(|(site, bytes)| Step::Egress(site, bytes)),
        4 => (0_u8..6, any::<u32>()).prop_map(|(site, saved)| Step::Request(site, saved)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_are_sums_whatever_is_done_in_between(steps in prop::collection::vec(step(), 1..40)) {
        let (_home, path) = home();
        let mut counters = CounterFile::open(&path).unwrap();
        let mut sums: BTreeMap<SiteId, Counters> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Egress(number, bytes) => {
                    let site = site(&format!("site-{number}"));
                    let now = counters.slot(&site).unwrap().add_egress(bytes.into());
                    let sum = sums.entry(site).or_default();
                    sum.egress_bytes += u64::from(bytes);
                    prop_assert_eq!(now, sum.egress_bytes);
                }
                Step::Request(number, saved) => {
                    let site = site(&format!("site-{number}"));
                    counters.slot(&site).unwrap().add_request(saved.into());
                    let sum = sums.entry(site).or_default();
                    sum.requests += 1;
                    sum.saved_bytes += u64::from(saved);
                }
                Step::Reopen => {
                    drop(counters);
                    counters = CounterFile::open(&path).unwrap();
                }
            }
        }
        let counted: BTreeMap<_, _> = counters.slots().iter().map(|slot| (slot.site().clone(), slot.read())).collect();
        prop_assert_eq!(counted, sums);
    }
}
