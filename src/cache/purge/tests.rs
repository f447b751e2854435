mod rules;

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

const START: UnixSeconds = UnixSeconds(1_700_000_000);
const SITE: &str = "shop";
const MANY: usize = 1_000;

/// So many microseconds after [`START`].
fn later(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START.0) + Duration::from_micros(micros)
}

fn open_at(directory: &Path, max_records: usize, now: SystemTime) -> Purges {
    Purges::open(directory, max_records, Entries::Perhaps, now).unwrap()
}

fn open(directory: &Path) -> Purges {
    open_at(directory, MANY, later(0))
}

fn open_new(directory: &Path) -> Purges {
    Purges::open(directory, MANY, Entries::None, later(0)).unwrap()
}

fn name(source: &str) -> SourceName<'_> {
    SourceName { scope: "shop https://shop.example/", source }
}

fn stamp(purges: &Purges) -> Stamp {
    Stamp::of(purges.now(), &HeaderMap::new())
}

fn tagged(purges: &Purges, keys: &'static str) -> Stamp {
    let field = (HeaderName::from_static("surrogate-key"), HeaderValue::from_static(keys));
    Stamp::of(purges.now(), &HeaderMap::from_iter([field]))
}

/// How an entry stands; another one each time, although it bears the same stamp.
fn standing(purges: &Purges, source: &str, stamp: &Stamp) -> Standing {
    purges.standing(name(source), &stamp.clone())
}

fn hard(purges: &Purges, what: What<'_>) -> Generation {
    purges.purge(SITE, &[what], Mode::Hard, START).unwrap()
}

#[test]
fn what_is_asked_for_after_a_purge_is_valid_and_what_was_before_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = stamp(&purges);
    assert_eq!(standing(&purges, "/a.jpg", &before), Standing::Valid);
    let generation = hard(&purges, What::Url("/a.jpg"));
    assert_eq!((purges.now(), standing(&purges, "/a.jpg", &before)), (generation, Standing::Gone));
    let after = stamp(&purges);
    assert_eq!(standing(&purges, "/a.jpg", &after), Standing::Valid);
    assert_eq!(standing(&purges, "/b.jpg", &before), Standing::Valid);
}

#[test]
fn an_entry_that_was_found_valid_is_held_against_the_next_purge() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let entry = stamp(&purges);
    for _ in 0..2 {
        assert_eq!(purges.standing(name("/a.jpg"), &entry), Standing::Valid);
    }
    hard(&purges, What::Url("/b.jpg"));
    for _ in 0..2 {
        assert_eq!(purges.standing(name("/a.jpg"), &entry), Standing::Valid);
    }
    hard(&purges, What::Url("/a.jpg"));
    for _ in 0..2 {
        assert_eq!(purges.standing(name("/a.jpg"), &entry), Standing::Gone);
    }
}

#[test]
fn several_things_are_purged_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = tagged(&purges, "red");
    let what = [What::Url("/a.jpg"), What::Prefix("/b/"), What::Tag(TagHash::of(b"red").unwrap())];
    let generation = purges.purge(SITE, &what, Mode::Soft, START).unwrap();
    assert_eq!((generation, purges.len()), (purges.now(), 3));
    for source in ["/a.jpg", "/b/c.jpg", "/d.jpg"] {
        assert_eq!(standing(&purges, source, &before), Standing::Stale { since: START });
    }
    assert_eq!(purges.purge(SITE, &[], Mode::Hard, START).unwrap(), generation);
}

#[test]
fn a_purge_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = tagged(&purges, "red");
    hard(&purges, What::Url("/a.jpg"));
    hard(&purges, What::Prefix("/b/"));
    purges.purge(SITE, &[What::Tag(TagHash::of(b"red").unwrap())], Mode::Soft, START).unwrap();
    purges.purge("other", &[What::Everything], Mode::Hard, START).unwrap();
    let newest = purges.now();
    // As kill -9 would leave it: nothing is done at the end.
    std::mem::forget(purges);
    let purges = open(directory.path());
    assert_eq!(purges.now(), newest);
    assert_eq!(standing(&purges, "/a.jpg", &before), Standing::Gone);
    assert_eq!(standing(&purges, "/b/x.jpg", &before), Standing::Gone);
    assert_eq!(standing(&purges, "/c.jpg", &before), Standing::Stale { since: START });
    let of_other = SourceName { scope: "other https://shop.example/", source: "/c.jpg" };
    assert_eq!(purges.standing(of_other, &before), Standing::Gone);
    assert_eq!(standing(&purges, "/a.jpg", &stamp(&purges)), Standing::Valid);
}

#[test]
fn a_write_that_broke_off_leaves_all_purges_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let (before, path) = (stamp(&purges), directory.path().join("purges"));
    hard(&purges, What::Url("/a.jpg"));
    let whole = fs::read(&path).unwrap();
    hard(&purges, What::Url("/b.jpg"));
    let longer = fs::read(&path).unwrap();
    for len in whole.len()..longer.len() {
        fs::write(&path, &longer[..len]).unwrap();
        let purges = open(directory.path());
        assert_eq!(standing(&purges, "/a.jpg", &before), Standing::Gone);
        assert_eq!(standing(&purges, "/b.jpg", &before), Standing::Valid);
        // What comes next is written where the broken one was.
        hard(&purges, What::Url("/c.jpg"));
        let purges = open(directory.path());
        assert_eq!(standing(&purges, "/c.jpg", &before), Standing::Gone);
        assert_eq!(standing(&purges, "/b.jpg", &before), Standing::Valid);
    }
}

#[test]
fn where_the_purges_are_damaged_all_that_is_stored_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = stamp(&purges);
    hard(&purges, What::Url("/a.jpg"));
    hard(&purges, What::Url("/b.jpg"));
    let after = stamp(&purges);
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("purges")).unwrap();
    file.write_all_at(&[1], 60).unwrap();
    let purges = open(directory.path());
    for stored in [&before, &after, &Stamp::default()] {
        assert_eq!(standing(&purges, "/c.jpg", stored), Standing::Gone);
    }
    assert!(purges.now() > after.birth);
    let new = stamp(&purges);
    assert_eq!(standing(&purges, "/c.jpg", &new), Standing::Valid);
    // And so it stays.
    let purges = open(directory.path());
    assert_eq!(standing(&purges, "/c.jpg", &after), Standing::Gone);
    assert_eq!(standing(&purges, "/c.jpg", &new), Standing::Valid);
}

#[test]
fn where_the_purges_are_lost_all_that_is_stored_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    hard(&purges, What::Url("/a.jpg"));
    let stored = stamp(&purges);
    fs::remove_file(directory.path().join("purges")).unwrap();
    // However soon it starts again.
    let purges = open_at(directory.path(), MANY, later(2));
    assert_eq!(standing(&purges, "/b.jpg", &stored), Standing::Gone);
    assert_eq!(standing(&purges, "/b.jpg", &stamp(&purges)), Standing::Valid);
}

#[test]
fn an_entry_from_the_future_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let stored = stamp(&open_new(directory.path()));
    fs::remove_file(directory.path().join("purges")).unwrap();
    // The clock has gone back: what is counted now was counted before.
    let purges = open_at(directory.path(), MANY, later(0) - Duration::from_secs(60));
    assert!(purges.now() < stored.birth);
    assert_eq!(standing(&purges, "/b.jpg", &stored), Standing::Gone);
}

#[test]
fn what_was_stored_before_there_were_purges_can_be_purged() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let stored: Stamp = serde_json::from_str(r#"{"birth":0}"#).unwrap();
    assert_eq!(standing(&purges, "/a.jpg", &stored), Standing::Valid);
    hard(&purges, What::Everything);
    assert_eq!(standing(&purges, "/a.jpg", &stored), Standing::Gone);
}

#[test]
fn where_a_purge_cannot_be_written_nothing_is_purged_and_the_next_one_writes_all() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = stamp(&purges);
    hard(&purges, What::Url("/a.jpg"));
    purges.journal.lock().unwrap().lose_file().unwrap();
    assert!(purges.purge(SITE, &[What::Url("/b.jpg")], Mode::Hard, START).is_err());
    assert_eq!(standing(&purges, "/b.jpg", &before), Standing::Valid);
    hard(&purges, What::Url("/c.jpg"));
    for purges in [purges, open(directory.path())] {
        assert_eq!(standing(&purges, "/a.jpg", &before), Standing::Gone);
        assert_eq!(standing(&purges, "/b.jpg", &before), Standing::Valid);
        assert_eq!(standing(&purges, "/c.jpg", &before), Standing::Gone);
    }
}

#[test]
fn the_file_does_not_grow_with_purges_of_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = stamp(&purges);
    let what = [What::Url("/a.jpg"); 700];
    for _ in 0..10 {
        purges.purge(SITE, &what, Mode::Hard, START).unwrap();
    }
    let len = fs::metadata(directory.path().join("purges")).unwrap().len();
    assert!(len < 3 * 700 * format::FRAME_BYTES as u64, "{len}");
    let newest = purges.now();
    let purges = open(directory.path());
    assert_eq!((purges.now(), purges.len()), (newest, 1));
    assert_eq!(standing(&purges, "/a.jpg", &before), Standing::Gone);
}

#[test]
fn a_bound_that_has_become_smaller_purges_too_much_and_nothing_too_little() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = stamp(&purges);
    for number in 0..20 {
        hard(&purges, What::Url(&format!("/{number}.jpg")));
    }
    let purges = open_at(directory.path(), 4, later(0));
    assert!(purges.len() <= 4);
    for number in 0..20 {
        assert_eq!(standing(&purges, &format!("/{number}.jpg"), &before), Standing::Gone);
    }
    let reopened = open_at(directory.path(), 4, later(0));
    assert_eq!((reopened.len(), reopened.now()), (purges.len(), purges.now()));
}

#[test]
fn what_is_on_its_way_may_be_concerned_by_a_purge_of_any_key_of_its_site() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    assert_eq!(purges.last(name("/a.jpg")), Generation::default());
    let by_url = hard(&purges, What::Url("/a.jpg"));
    assert_eq!((purges.last(name("/a.jpg")), purges.last(name("/b.jpg"))), (by_url, Generation::default()));
    let key = KeyHasher::new().text("work").finish();
    assert_ne!(purges.key_of_work(name("/a.jpg"), key), key);
    assert_eq!(purges.key_of_work(name("/b.jpg"), key), key);
    let what = What::Tag(TagHash::of(b"red").unwrap());
    let by_tag = purges.purge(SITE, &[what], Mode::Soft, START).unwrap();
    assert_eq!((purges.last(name("/a.jpg")), purges.last(name("/b.jpg"))), (by_tag, by_tag));
    purges.purge("other", &[What::Everything], Mode::Hard, START).unwrap();
    assert_eq!(purges.last(name("/a.jpg")), by_tag);
}

#[test]
fn what_is_made_after_a_hard_purge_knows_its_last_one() {
    let directory = tempfile::tempdir().unwrap();
    let purges = open_new(directory.path());
    let before = stamp(&purges);
    assert_eq!(purges.last_hard(name("/a.jpg"), &before), Generation::default());
    let generation = hard(&purges, What::Url("/a.jpg"));
    // The purge came while it was under way.
    assert_eq!(purges.last_hard(name("/a.jpg"), &before), Generation::default());
    purges.purge(SITE, &[What::Url("/a.jpg")], Mode::Soft, START).unwrap();
    hard(&purges, What::Url("/b.jpg"));
    assert_eq!(purges.last_hard(name("/a.jpg"), &stamp(&purges)), generation);
}
