//! Disks that are full, fail, or have something else in the place of files.

use super::*;
use crate::cache::small_disk::SmallDisk;
use std::os::unix::fs::FileTypeExt as _;

#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let tier = open(dir.path(), MIB);
    for kind in ["a pipe", "a socket", "a directory"] {
        put(&tier, "a", b"body");
        let path = path(dir.path(), "a");
        fs::remove_file(&path).unwrap();
        match kind {
            "a pipe" => rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap(),
            "a socket" => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
            _ => fs::create_dir(&path).unwrap(),
        }
        let corrupt = tier.usage().corrupt;
        assert_eq!((get(&tier, "a"), tier.usage().corrupt), (None, corrupt + 1), "{kind}");
        assert_eq!(tier.contains(key("a")), Presence::No);
        assert!(!path.exists() || fs::metadata(&path).unwrap().file_type().is_dir(), "{kind}");
        assert!(!fs::metadata(&path).is_ok_and(|found| found.file_type().is_fifo()));
        let _ = fs::remove_dir(&path);
    }
}

#[test]
fn on_a_full_disk_entries_are_misses_it_is_let_alone_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::in_memory(8 << 20) else { return };
    let dir = disk.path().join("cache");
    let tier = open(&dir, 1 << 30);
    let body = vec![7; 100_000];
    let mut stored = Vec::new();
    let full = loop {
        let name = stored.len().to_string();
        match tier.put(key(&name), &name, b"meta", &body) {
            Ok(()) => stored.push(name),
            Err(error) => break error,
        }
    };
    assert_eq!((full.kind(), temp_files(&dir)), (io::ErrorKind::StorageFull, 0));
    assert!(stored.len() > 50, "{} entries", stored.len());
    // Let alone: what is refused is not even tried.
    let begun = Instant::now();
    assert!(tier.put(key("x"), "x", b"meta", b"small").is_err());
    assert!(begun.elapsed() < Duration::from_millis(200));
    // What is there is served, and what is served is right.
    assert!(stored.iter().filter_map(|name| get(&tier, name)).all(|found| found == body));
    // It makes room and tries again.
    let deadline = Instant::now() + Duration::from_secs(30);
    while tier.put(key("after"), "after", b"meta", &body).is_err() {
        assert!(Instant::now() < deadline, "it does not recover");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(tier.usage().evictions > 0);
    assert_eq!((get(&tier, "after"), counted(&tier)), (Some(body), on_disk(&dir)));
}

#[test]
fn a_disk_that_others_have_filled_is_used_again_when_there_is_room() {
    let Some(disk) = SmallDisk::in_memory(4 << 20) else { return };
    let dir = disk.path().join("cache");
    let tier = open(&dir, 1 << 30);
    let others = disk.path().join("others");
    let _ = fs::write(&others, vec![0; 5 << 20]);
    assert!(tier.put(key("a"), "a", b"meta", &[7; 100_000]).is_err());
    fs::remove_file(&others).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while tier.put(key("a"), "a", b"meta", &[7; 100_000]).is_err() {
        assert!(Instant::now() < deadline, "it does not recover");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(get(&tier, "a").map(|found| found.len()), Some(100_000));
}

#[test]
fn a_disk_that_cannot_be_read_gives_misses() {
    let Some(disk) = SmallDisk::in_file(16 << 20) else { return };
    let dir = disk.path().join("cache");
    let tier = open(&dir, 1 << 30);
    let names: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    names.iter().for_each(|name| put(&tier, name, &[7; 50_000]));
    rustix::fs::syncfs(File::open(&dir).unwrap()).unwrap();
    // The end of the disk breaks away, and nothing of it is in memory.
    disk.image.as_ref().unwrap().as_file().set_len(2 << 20).unwrap();
    for name in &names {
        let file = File::open(path(&dir, name)).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    let cannot_be_read = |name: &&String| {
        File::open(path(&dir, name)).and_then(|mut file| io::copy(&mut file, &mut io::sink())).is_err()
    };
    assert!(names.iter().any(|name| cannot_be_read(&name)), "all of it can be read");
    assert!(names.iter().filter_map(|name| get(&tier, name)).all(|found| found == [7; 50_000]));
}
