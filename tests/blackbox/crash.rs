//! `kill -9` while it writes: whatever is served after the next start is right, and nothing is left behind that takes room.

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::harness::{
    CHROMIUM, CURL, Edge, Origin, Reply, SAFARI_15, Setup, assert_looks_like, disk, edge::Ending, pictures,
    pictures::Scan, until,
};

const SOURCES: u32 = 18;
const ROUNDS: usize = 5;
const DISK_BYTES: u64 = 2 << 20;

/// Asks for one picture; `Some` says that a whole response came, which is checked.
async fn view(edge: &Edge, number: u32, round: usize) -> Option<()> {
    let width = 120 + 40 * u32::try_from(round).unwrap() + number;
    let accept = [CHROMIUM, SAFARI_15, CURL][number as usize % 3];
    let answer = edge.get(&format!("/{number}.jpg?w={width}")).accept(accept).attempt().await?;
    let seen = answer.picture();
    assert_eq!(seen.size().0, width, "{:?}", answer.headers);
    assert_looks_like(&seen, &source(number));
    Some(())
}

fn source(number: u32) -> bytes::Bytes {
    pictures::jpeg(480, 320, number, Scan::Baseline)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_writes_it_serves_no_wrong_byte_and_leaves_nothing_behind() {
    let origin = Origin::start().await;
    for number in 0..SOURCES {
        origin.set(&format!("/{number}.jpg"), Reply::jpeg(source(number)));
    }
    let setup = Setup::of(&origin).set("cache.disk_bytes", &DISK_BYTES.to_string());
    let mut edge = Edge::start(setup).await;
    for round in 0..ROUNDS {
        let mut views: FuturesUnordered<_> = (0..SOURCES).map(|number| view(&edge, number, round)).collect();
        // Each round dies at another point: after one response, after some, after most.
        for _ in 0..=round * 4 {
            views.next().await;
        }
        drop(views);
        edge = edge.restart(Ending::Killed).await;
        assert_clean(&edge).await;
        for earlier in 0..=round {
            let views: FuturesUnordered<_> = (0..SOURCES).map(|number| view(&edge, number, earlier)).collect();
            assert_eq!(views.filter_map(async |seen| seen).count().await, SOURCES as usize);
        }
    }
    assert_eq!(edge.metric("lightmeter_cache_corrupt_total", &[]).await, 0, "a file was not whole");
}

/// Nothing half written, and what is counted is what is there.
async fn assert_clean(edge: &Edge) {
    let data_dir = edge.data_dir();
    until("nothing half written is left", async || disk::leftovers(&data_dir).is_empty()).await;
    until("all that is on disk is counted, and nothing else", async || {
        let counted = edge.metric("lightmeter_cache_bytes", &[("tier", "disk")]).await;
        counted == disk::bytes_taken(&data_dir) && counted <= DISK_BYTES
    })
    .await;
}

#[tokio::test]
async fn what_was_written_before_a_kill_is_a_hit_after_it() {
    let mut origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let before = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    until("it is on disk", async || disk::entries(&edge.data_dir()).len() == 3).await;
    origin.stop().await;
    let edge = edge.restart(Ending::Killed).await;
    let after = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert!(after.is_hit() && after.body == before.body, "{after:?}");
}
