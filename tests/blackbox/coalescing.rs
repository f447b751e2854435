//! Many who want the same thing at once cost no more than one, and none of them stops the others.

use std::time::Duration;

use futures_util::future::join_all;

use crate::harness::{
    CHROMIUM, Edge, Gate, Origin, Reply, SAFARI_15, Setup, assert_looks_like, pictures, raw::Raw, reply::Content,
    setup::HOST, until,
};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: {CHROMIUM}\r\n\r\n")
}

async fn until_connected(edge: &Edge, count: u64) {
    edge.until_metric("lightmeter_connections", &[], |open| open >= count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_first_views_at_once_are_one_fetch_and_one_encode() {
    let original = pictures::demo("coffee.jpg");
    let gate = Gate::closed();
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(original.clone()).behind(&gate)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let views = join_all((0..100).map(|_| edge.get("/coffee.jpg").accept(CHROMIUM).into_future()));
    let opened = async {
        until_connected(&edge, 100).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, opened);
    assert_looks_like(&answers[0].picture(), &original);
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), answer.content_type().as_str()), (200, "image/avif"));
        assert_eq!((&answer.body, answer.etag()), (&answers[0].body, answers[0].etag()));
    }
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_a_hundred_goes_away_and_the_others_get_the_picture() {
    let original = pictures::demo("coffee.jpg");
    let gate = Gate::closed();
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(original.clone()).behind(&gate)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let first = Raw::send(edge.http, get("/coffee.jpg")).await;
    until("the first has asked the origin", async || origin.count("/coffee.jpg") == 1).await;
    let views = join_all((0..99).map(|_| edge.get("/coffee.jpg").accept(CHROMIUM).into_future()));
    let killed = async {
        until_connected(&edge, 100).await;
        drop(first);
        edge.until_metric("lightmeter_connections", &[], |open| open <= 99).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, killed);
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), answer.content_type().as_str()), (200, "image/avif"));
        assert_eq!(answer.body, answers[0].body);
    }
    assert_looks_like(&answers[0].picture(), &original);
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_variants_of_one_source_at_once_are_one_fetch_and_one_decode() {
    let original = pictures::demo("rocket.jpg");
    let gate = Gate::closed();
    let content = Content::Gated(original.slice(..1000), gate.clone(), original.slice(1000..));
    let origin = Origin::with("/rocket.jpg", Reply::of(content)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let wanted: Vec<(u32, &str, &str)> =
        [100, 200, 300].into_iter().flat_map(|width| [(width, CHROMIUM, "avif"), (width, SAFARI_15, "webp")]).collect();
    let views = join_all(
        wanted
            .iter()
            .map(|(width, accept, _)| edge.get(&format!("/rocket.jpg?w={width}")).accept(accept).into_future()),
    );
    let opened = async {
        until_connected(&edge, 6).await;
        // As long as what they ask may take to be read.
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, opened);
    for ((width, _, format), answer) in wanted.iter().zip(&answers) {
        let seen = answer.picture();
        assert_eq!((seen.format, seen.size().0), (*format, *width));
        assert_looks_like(&seen, &original);
    }
    assert_eq!((origin.count("/rocket.jpg"), edge.encodes().await), (1, 6));
    assert_eq!(edge.metric("lightmeter_decodes_total", &[]).await, 1);
}

#[tokio::test]
async fn an_original_comes_in_although_its_only_visitor_went_away() {
    let gate = Gate::closed();
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).behind(&gate)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let only = Raw::send(edge.http, get("/coffee.jpg")).await;
    until("it has asked the origin", async || origin.count("/coffee.jpg") == 1).await;
    drop(only);
    edge.until_metric("lightmeter_connections", &[], |open| open == 0).await;
    gate.open();
    edge.until_metric("lightmeter_cache_entries", &[("tier", "disk")], |entries| entries == 2).await;
    assert_eq!(edge.get("/coffee.jpg").accept(CHROMIUM).await.picture().format, "avif");
    assert_eq!(origin.count("/coffee.jpg"), 1, "it was fetched again");
}

#[tokio::test]
async fn a_variant_is_made_although_its_only_visitor_went_away() {
    let original = pictures::demo("coffee.jpg");
    let gate = Gate::closed();
    let content = Content::Gated(original.slice(..1000), gate.clone(), original.slice(1000..));
    let origin = Origin::with("/coffee.jpg", Reply::of(content)).await;
    let edge = Edge::start(Setup::of(&origin).site("first_view", "'original'")).await;
    let mut only = Raw::send(edge.http, get("/coffee.jpg")).await;
    assert_eq!(only.status().await, 200);
    drop(only);
    edge.until_metric("lightmeter_connections", &[], |open| open == 0).await;
    gate.open();
    until("the variant is made for nobody", async || edge.encodes().await == 1).await;
    until("the next one finds it", async || edge.get("/coffee.jpg").accept(CHROMIUM).await.is_hit()).await;
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_wait_for_a_fetch_that_fails_are_told_and_the_next_one_is_served() {
    let gate = Gate::closed();
    let origin = Origin::with("/late.jpg", Reply::status(500, "no").behind(&gate)).await;
    let edge = Edge::start(Setup::of(&origin).set("origin.failure_ttl", "'1s'")).await;
    let views = join_all((0..20).map(|_| edge.get("/late.jpg").into_future()));
    let opened = async {
        until_connected(&edge, 20).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(views, opened);
    assert!(answers.iter().all(|answer| answer.status.as_u16() == 500), "{answers:?}");
    assert_eq!(origin.count("/late.jpg"), 1);
    origin.set("/late.jpg", Reply::jpeg(pictures::demo("coffee.jpg")));
    until("the failure is forgotten", async || edge.get("/late.jpg").await.status.is_success()).await;
}
