//! What a start knows by the snapshot of the stop before.

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A directory with entries, closed in good order.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    NAMES.iter().for_each(|name| put(&tier, name, name.as_bytes()));
    drop(tier);
    dir
}

fn scanned(dir: &Path) -> Store {
    let store = Store::open(dir, MIB).unwrap();
    scan::scan(&store, &AtomicBool::new(false));
    store
}

fn known(dir: &Path) -> (u64, u64) {
    let usage = scanned(dir).usage();
    (usage.entries, usage.bytes)
}

/// Makes each file look as if it were too large for its entry: only who looks at it sees that.
fn grow_all(dir: &Path) {
    NAMES.iter().for_each(|name| File::options().write(true).open(path(dir, name)).unwrap().set_len(9_000).unwrap());
}

fn index_file(dir: &Path) -> PathBuf {
    dir.join("index")
}

#[test]
fn what_has_not_changed_is_known_without_being_looked_at() {
    let dir = closed();
    grow_all(dir.path());
    assert_eq!(known(dir.path()), (4, 4 * BLOCK));
    fs::remove_file(index_file(dir.path())).unwrap();
    assert_eq!(scanned(dir.path()).usage().bytes, 12 * BLOCK, "without it each is looked at");
}

#[test]
fn what_was_used_when_is_known_too() {
    let dir = closed();
    NAMES.iter().for_each(|name| set_modified(dir.path(), name, Duration::from_secs(86_400)));
    let hot = key("a");
    let before = Store::open(dir.path(), MIB).unwrap();
    scan::scan(&before, &AtomicBool::new(false));
    NAMES[1..].iter().for_each(|name| {
        let slot = super::index::Slot { key: key(name), blocks: 1, last_used: 1_000 };
        before.index().insert_slot(slot);
    });
    keeper::finish(&before);
    drop(before);
    let after = scanned(dir.path());
    for _ in 1..NAMES.len() {
        let victim = after.index().victim().unwrap();
        assert_ne!(victim, hot);
        after.index().remove(victim);
    }
}

#[test]
fn what_was_put_replaced_or_removed_after_it_is_found_out() {
    let dir = closed();
    let kept = fs::read(index_file(dir.path())).unwrap();
    let killed = open(dir.path(), MIB);
    put(&killed, "a", &[1; 9_000]);
    put(&killed, "new", b"new");
    killed.remove(key("b"));
    drop(killed);
    // As a kill leaves it: what the tier holds is newer than what was written down.
    fs::write(index_file(dir.path()), kept).unwrap();
    let after = open(dir.path(), MIB);
    assert_eq!(counted(&after), on_disk(dir.path()));
    let found = ["a", "b", "c", "d", "new"].map(|name| after.contains(key(name)) == Presence::Yes);
    assert_eq!(found, [true, false, true, true, true]);
    assert_eq!(get(&after, "a"), Some(vec![1; 9_000]));
}

#[test]
fn what_somebody_else_removed_or_put_there_meanwhile_is_found_out() {
    let dir = closed();
    fs::remove_file(path(dir.path(), "a")).unwrap();
    fs::remove_dir_all(path(dir.path(), "b").parent().unwrap()).unwrap();
    let after = open(dir.path(), MIB);
    assert_eq!((counted(&after), after.contains(key("a"))), (on_disk(dir.path()), Presence::No));
}

#[test]
fn a_damaged_snapshot_costs_reading_the_directory_and_nothing_else() {
    let dir = closed();
    let good = fs::read(index_file(dir.path())).unwrap();
    let damaged = (0..good.len()).step_by(good.len() / 20).map(|position| {
        let mut bytes = good.clone();
        bytes[position] ^= 0x10;
        bytes
    });
    let truncated = [0, 1, 100, good.len() / 2, good.len() - 1].map(|len| good[..len].to_vec());
    grow_all(dir.path());
    for bad in damaged.chain(truncated) {
        fs::write(index_file(dir.path()), &bad).unwrap();
        assert_eq!((known(dir.path()), on_disk(dir.path())), ((4, 12 * BLOCK), (4, 12 * BLOCK)));
    }
    fs::remove_file(index_file(dir.path())).unwrap();
    fs::create_dir(index_file(dir.path())).unwrap();
    assert_eq!(known(dir.path()), (4, 12 * BLOCK));
}

#[test]
fn a_leaf_that_has_just_changed_is_not_relied_on() {
    let dir = closed();
    let store = scanned(dir.path());
    store.put(key("a"), "a", b"", b"new").unwrap();
    let leaf = directory::leaf_of(key("a"));
    // The clock that stamps may not go on before the next change.
    let stamp = store.directory().stamp(leaf);
    assert!(!stamp.still_holds(stamp));
    std::thread::sleep(2 * directory::STAMP_STEP);
    let stamp = store.directory().stamp(leaf);
    assert!(stamp.still_holds(store.directory().stamp(leaf)));
}

#[test]
fn one_is_not_written_before_all_is_known() {
    let dir = closed();
    let before = fs::read(index_file(dir.path())).unwrap();
    let store = Store::open(dir.path(), MIB).unwrap();
    keeper::write_snapshot(&store).unwrap();
    assert_eq!(fs::read(index_file(dir.path())).unwrap(), before);
    let overlooked = scanned_with_a_leaf_that_cannot_be_read(store);
    keeper::write_snapshot(&overlooked).unwrap();
    assert_eq!(fs::read(index_file(dir.path())).unwrap(), before);
}

fn scanned_with_a_leaf_that_cannot_be_read(store: Store) -> Store {
    let leaf = store.directory().leaf_path((directory::LEAVES - 1) as u16);
    fs::create_dir_all(leaf.parent().unwrap()).unwrap();
    fs::write(&leaf, "no directory").unwrap();
    scan::scan(&store, &AtomicBool::new(false));
    assert!(store.is_complete());
    store
}

#[test]
fn at_a_limit_that_was_lowered_no_more_is_kept_though_nothing_is_read() {
    let dir = closed();
    let after = open(dir.path(), 2 * BLOCK);
    assert_eq!((counted(&after), on_disk(dir.path())), ((2, 2 * BLOCK), (2, 2 * BLOCK)));
}
