//! The disk tier as it is found after a restart: whole, damaged, or full.

use crate::harness::{
    CHROMIUM, CURL, Edge, Origin, Reply, SAFARI_15, Setup, assert_looks_like, disk, edge::Ending, pictures,
    pictures::Scan, until,
};

async fn until_written(edge: &Edge, entries: usize) {
    until("all is on disk", async || disk::entries(&edge.data_dir()).len() == entries).await;
}

#[tokio::test]
async fn a_damaged_variant_is_made_again_of_the_stored_original() {
    let original = pictures::demo("coffee.jpg");
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(original.clone())).await;
    let mut edge = Edge::start(Setup::of(&origin)).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    for permille in [0, 30, 500, 1000] {
        until_written(&edge, 3).await;
        for file in disk::entries_with(&edge.data_dir(), b"ftypavif") {
            disk::flip_bit(&file, permille);
        }
        edge = edge.restart(Ending::Stopped).await;
        let again = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        assert!(!again.is_hit(), "damage at {permille} ‰ was not found: {again:?}");
        assert_looks_like(&again.picture(), &original);
        assert_eq!((&again.body, again.etag()), (&first.body, first.etag()));
        assert_eq!(edge.metric("lightmeter_cache_corrupt_total", &[]).await, 1);
    }
    assert_eq!(origin.count("/coffee.jpg"), 1, "the stored original was whole");
}

#[tokio::test]
async fn with_every_file_damaged_all_is_fetched_and_made_again() {
    let original = pictures::demo("coffee.jpg");
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(original.clone())).await;
    let mut edge = Edge::start(Setup::of(&origin)).await;
    for round in 1..=3 {
        for accept in [CHROMIUM, SAFARI_15, CURL] {
            let answer = edge.get("/coffee.jpg").accept(accept).await;
            assert_looks_like(&answer.picture(), &original);
            assert!(answer.body.len() < original.len());
        }
        assert_eq!(origin.count("/coffee.jpg"), round);
        until_written(&edge, 5).await;
        for file in disk::entries(&edge.data_dir()) {
            match round {
                1 => disk::flip_bit(&file, 700),
                _ => disk::truncate(&file),
            }
        }
        edge = edge.restart(Ending::Stopped).await;
    }
}

#[tokio::test]
async fn a_file_in_the_place_of_another_is_not_served_for_it() {
    let origin = Origin::start().await;
    origin.set("/a.jpg", Reply::jpeg(pictures::demo("coffee.jpg")));
    origin.set("/b.jpg", Reply::jpeg(pictures::demo("rocket.jpg")));
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = [edge.get("/a.jpg").accept(CHROMIUM).await, edge.get("/b.jpg").accept(CHROMIUM).await];
    until_written(&edge, 6).await;
    let variants = disk::entries_with(&edge.data_dir(), b"ftypavif");
    let [one, other] = variants.as_slice() else { panic!("{variants:?}") };
    let (first_bytes, second_bytes) = (std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
    std::fs::write(one, second_bytes).unwrap();
    std::fs::write(other, first_bytes).unwrap();
    let edge = edge.restart(Ending::Stopped).await;
    for (path, before) in ["/a.jpg", "/b.jpg"].into_iter().zip(&first) {
        assert_eq!(edge.get(path).accept(CHROMIUM).await.body, before.body, "{path}");
    }
}

#[tokio::test]
async fn a_large_original_comes_from_disk_whole_and_in_parts() {
    let original = pictures::noise_png(1000, 700);
    assert!(original.len() > 2 << 20, "it must not fit where bodies are held in memory");
    let mut origin = Origin::with("/noise.png", Reply::png(original.clone())).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.get("/lm/f=png/noise.png").await;
    origin.stop().await;
    let edge = edge.restart(Ending::Stopped).await;
    let whole = edge.get("/lm/f=png/noise.png").await;
    assert!(whole.is_hit() && whole.body == original, "{:?}", whole.headers);
    let part = edge.get("/lm/f=png/noise.png").header("range", "bytes=1500000-1800000").await;
    assert_eq!((part.status.as_u16(), part.body), (206, original.slice(1_500_000..=1_800_000)));
}

#[tokio::test]
async fn the_disk_stays_within_its_bound_and_everything_is_served_all_the_same() {
    const BOUND: u64 = 256 << 10;
    let origin = Origin::start().await;
    let setup = Setup::of(&origin).set("cache.disk_bytes", "'256KiB'").set("cache.memory_bytes", "'64KiB'");
    let edge = Edge::start(setup).await;
    let sources: Vec<_> = (0..16).map(|number| pictures::jpeg(400, 300, number, Scan::Baseline)).collect();
    for (number, source) in sources.iter().enumerate() {
        origin.set(&format!("/{number}.jpg"), Reply::jpeg(source.clone()));
    }
    for width in [100, 200, 300] {
        for (number, source) in sources.iter().enumerate() {
            let seen = edge.picture(&format!("/{number}.jpg?w={width}"), CURL).await;
            assert_eq!(seen.size().0, width);
            assert_looks_like(&seen, source);
            assert!(disk::bytes_taken(&edge.data_dir()) <= BOUND);
        }
    }
    assert!(edge.metric("lightmeter_cache_evictions_total", &[("tier", "disk")]).await > 0, "the bound was not met");
    until("what is counted is what is there", async || {
        edge.metric("lightmeter_cache_bytes", &[("tier", "disk")]).await == disk::bytes_taken(&edge.data_dir())
    })
    .await;
}
