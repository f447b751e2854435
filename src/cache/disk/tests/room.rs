//! Eviction goes on behind the back of whoever puts.

use super::*;

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn there_is_some_before_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let (limit, margin) = (1_u64 << 14, 256);
    let tier = open(dir.path(), limit * BLOCK);
    let body = vec![1; 63 * 4_096];
    (0..limit / 64 - 3).for_each(|number| put(&tier, &number.to_string(), &body));
    assert_eq!((tier.usage().bytes, tier.usage().evictions), ((limit - 192) * BLOCK, 0));
    (0..2).for_each(|number| put(&tier, &format!("more {number}"), &body));
    until("it has made room", || tier.usage().bytes <= (limit - margin) * BLOCK);
    assert!(tier.usage().evictions > 0);
}

#[test]
fn a_put_that_finds_none_in_time_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody keeps this one.
    let store = Store::open(dir.path(), 4 * BLOCK).unwrap();
    (0..4).for_each(|number| store.put(key(&number.to_string()), "", b"", b"body").unwrap());
    let begun = Instant::now();
    let error = store.put(key("more"), "more", b"", b"body").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!((store.usage().entries, temp_files(dir.path())), (4, 0));
}

#[test]
fn what_is_served_from_memory_is_not_the_first_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), MIB).unwrap();
    for (number, name) in ["hot", "b", "c"].into_iter().enumerate() {
        let slot = super::index::Slot { key: key(name), blocks: 1, last_used: 1_000 + number as u32 };
        store.index().insert_slot(slot);
    }
    assert_eq!(store.index().victim(), Some(key("hot")));
    store.uses.note(key("hot"));
    keeper::note_uses(&store);
    assert_eq!(store.index().victim(), Some(key("b")));
}

#[test]
fn the_limit_holds_while_most_is_unseen_and_no_more_goes_than_comes() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 1_000 * BLOCK;
    let before = open(dir.path(), limit);
    (0..1_000).for_each(|number| put(&before, &number.to_string(), b"body"));
    drop(before);
    fs::remove_file(dir.path().join("index")).unwrap();
    let tier = DiskTier::open(dir.path(), limit).unwrap();
    let mut most = 0;
    for number in 0..200 {
        put(&tier, &format!("new {number}"), b"body");
        if number % 20 == 0 {
            most = most.max(on_disk(dir.path()).0);
        }
    }
    wait_for_the_scan(&tier);
    // The first few are put before anything is known.
    assert!(most <= 1_060, "{most} entries where there is room for 1000");
    assert_agrees(&tier, dir.path(), "in the end");
    assert!(counted(&tier).0 >= 940, "{} entries are left of 1000", counted(&tier).0);
}

#[test]
fn files_that_are_not_seen_yet_have_their_room() {
    const ENTRIES: u64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let before = open(dir.path(), MIB * 4);
    (0..ENTRIES).for_each(|number| put(&before, &number.to_string(), b"body"));
    drop(before);
    // Nobody makes room in this one.
    let store = Store::open(dir.path(), ENTRIES * BLOCK).unwrap();
    for leaf in 0..(directory::LEAVES / 2) as u16 {
        scan::read_leaf(&store, leaf, None, &AtomicBool::new(false)).unwrap();
        store.index().survey().leaf_read();
    }
    let fit = (0..ENTRIES).take_while(|number| store.put(key(&format!("new {number}")), "", b"", b"body").is_ok());
    assert!(fit.count() < 100, "there is room beside what is seen, not beside all");
}

#[test]
fn an_entry_that_is_forgotten_is_gone_at_once_and_its_file_soon() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    put(&tier, "a", b"body");
    assert!(tier.forget(key("a")) && !tier.forget(key("b")));
    assert_eq!((get(&tier, "a"), tier.contains(key("a"))), (None, Presence::No));
    until("its file is gone", || !path(dir.path(), "a").exists());
    put(&tier, "a", b"again");
    assert_eq!(get(&tier, "a"), Some(b"again".to_vec()));
}

#[test]
fn an_entry_that_was_forgotten_before_it_was_seen_is_not_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path(), MIB), "a", b"body");
    let store = Store::open(dir.path(), MIB).unwrap();
    assert!(store.forget(key("a")));
    assert!(store.contains(key("a")) == Presence::No && store.get(key("a"), "a").is_none());
    scan::scan(&store, &AtomicBool::new(false));
    assert_eq!(store.usage(), Usage::default());
    assert!(store.remove_doomed(key("a")) && on_disk(dir.path()) == (0, 0));
}
