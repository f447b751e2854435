use super::*;
use crate::cache::{key::KeyHasher, small_disk::SmallDisk};
use std::time::Instant;

const DEADLINE: Duration = Duration::from_secs(30);

fn key(name: &str) -> CacheKey {
    KeyHasher::new().text(name).finish()
}

async fn body(cache: &Cache, name: &str) -> Option<StoredBody> {
    cache.body(key(name), || name.to_owned()).await
}

async fn put(cache: &Cache, name: &str) {
    cache.put_body(key(name), name.to_owned(), Bytes::copy_from_slice(name.as_bytes())).await;
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_keeps_nobody_waiting_for_what_is_in_memory() {
    let Some(disk) = SmallDisk::in_file(16 << 20) else { return };
    let cache = Arc::new(Cache::open(&disk.path().join("cache"), &config::Cache::default()).unwrap());
    until("all is known", || cache.is_disk_known()).await;
    put(&cache, "hot").await;
    put(&cache, "other").await;
    let frozen = disk.freeze();
    // More than there are turns to write, so that others wait for one.
    let writing: Vec<_> = (0..20)
        .map(|number| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { put(&cache, &number.to_string()).await })
        })
        .collect();
    until("they are in memory", || (0..20).all(|number| cache.surely_holds(key(&number.to_string())))).await;
    let begun = Instant::now();
    for _ in 0..100 {
        assert!(body(&cache, "hot").await.is_some() && body(&cache, "7").await.is_some());
    }
    cache.remove(key("hot")).await;
    assert!(body(&cache, "hot").await.is_none(), "what is forgotten is not found, though its file is there");
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert!(writing.iter().any(|writing| !writing.is_finished()), "nothing hung");
    drop(frozen);
    for writing in writing {
        writing.await.unwrap();
    }
    until("it goes on", || cache.disk_usage().entries > 8).await;
}

#[tokio::test]
async fn a_hit_in_memory_is_told_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path(), &config::Cache::default()).unwrap();
    put(&cache, "hot").await;
    assert!(!cache.disk.has_noted(key("hot")));
    assert!(body(&cache, "hot").await.is_some());
    assert!(cache.disk.has_noted(key("hot")));
}
