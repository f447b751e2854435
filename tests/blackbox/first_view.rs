//! `first_view`: what the first visitor gets while the variant is being made, and what caches behind us may do with it.

use crate::harness::{CHROMIUM, Edge, Gate, Origin, Reply, Setup, assert_looks_like, pictures, reply::Content, until};

/// An origin that holds the second half of a photograph back.
async fn halting_origin(gate: &Gate) -> (Origin, bytes::Bytes) {
    let original = pictures::demo("coffee.jpg");
    let half = original.len() / 2;
    let content = Content::Gated(original.slice(..half), gate.clone(), original.slice(half..));
    (Origin::with("/coffee.jpg", Reply::of(content).header("cache-control", "max-age=600")).await, original)
}

async fn until_a_variant(edge: &Edge) {
    until("the next view gets the variant", async || {
        edge.get("/coffee.jpg").accept(CHROMIUM).await.content_type() == "image/avif"
    })
    .await;
}

#[tokio::test]
async fn original_never_waits_and_the_next_view_gets_the_variant() {
    let gate = Gate::closed();
    let (origin, original) = halting_origin(&gate).await;
    let edge = Edge::start(Setup::of(&origin).site("first_view", "'original'")).await;
    // The head is there although the original is not: it streams.
    let response = edge.get("/coffee.jpg").accept(CHROMIUM).head().await;
    let headers = response.headers().clone();
    assert_eq!((response.status().as_u16(), &headers["content-type"]), (200, &"image/jpeg".try_into().unwrap()));
    gate.open();
    assert_eq!(response.bytes().await.unwrap(), original);
    until_a_variant(&edge).await;
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (1, 1));
}

#[tokio::test]
async fn an_original_that_stands_in_says_so_and_may_be_kept_for_a_moment_only() {
    let gate = Gate::closed();
    gate.open();
    let (origin, original) = halting_origin(&gate).await;
    let edge = Edge::start(Setup::of(&origin).site("first_view", "'original'").site("fallback_ttl", "'7s'")).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!((&first.body, first.detail().as_str()), (&original, "deadline"));
    assert_eq!((first.max_age(), first.field("vary").as_str()), (Some(7), "Accept, Save-Data"));
    assert!(!first.has("age"), "its age would use the short lifetime up: {first:?}");
    until_a_variant(&edge).await;
    let variant = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!(variant.max_age(), Some(600), "the variant has the original's lifetime");
}

#[tokio::test]
async fn a_deadline_that_passes_gives_the_original_and_the_work_goes_on() {
    let gate = Gate::closed();
    let (origin, original) = halting_origin(&gate).await;
    let edge = Edge::start(Setup::of(&origin).site("first_view", "'50ms'")).await;
    let response = edge.get("/coffee.jpg").accept(CHROMIUM).head().await;
    let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
    assert!(status.ends_with("detail=deadline"), "{status}");
    gate.open();
    assert_eq!(response.bytes().await.unwrap(), original);
    until_a_variant(&edge).await;
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (1, 1));
}

#[tokio::test]
async fn a_deadline_that_suffices_gives_the_variant_at_once() {
    let gate = Gate::closed();
    gate.open();
    let (origin, original) = halting_origin(&gate).await;
    let edge = Edge::start(Setup::of(&origin).site("first_view", "'30s'")).await;
    let first = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    assert_eq!((first.content_type().as_str(), first.is_hit()), ("image/avif", false));
    assert_looks_like(&first.picture(), &original);
}

#[tokio::test]
async fn always_waits_for_the_variant_however_late_the_original() {
    let gate = Gate::closed();
    let (origin, _) = halting_origin(&gate).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let view = edge.get("/coffee.jpg").accept(CHROMIUM).into_future();
    let opened = async {
        until("the origin was asked", async || origin.count("/coffee.jpg") == 1).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(view, opened);
    assert_eq!((answer.content_type().as_str(), answer.detail().as_str()), ("image/avif", "avif"));
}

#[tokio::test]
async fn when_the_line_is_full_originals_are_served_and_hits_go_on() {
    let origin = Origin::start().await;
    let small = pictures::demo("coffee.jpg");
    origin.set("/hit.jpg", Reply::jpeg(small.clone()));
    let large = pictures::large_jpeg(3000, 2000, 3, pictures::Scan::Baseline);
    for number in 0..12 {
        origin.set(&format!("/{number}.jpg"), Reply::jpeg(pictures::with_comment(&large, &number.to_string())));
    }
    let setup = Setup::of(&origin).set("images.threads", "1").set("images.max_queue", "1");
    let edge = Edge::start(setup).await;
    edge.get("/hit.jpg").accept(CHROMIUM).await;
    let views = futures_util::future::join_all(
        (0..12).map(|number| edge.get(&format!("/{number}.jpg?w=1500&f=avif")).into_future()),
    );
    let hits = async {
        edge.until_metric("lightmeter_queue_depth", &[], |depth| depth > 0).await;
        assert!(edge.get("/hit.jpg").accept(CHROMIUM).await.is_hit());
    };
    let (answers, ()) = tokio::join!(views, hits);
    let busy: Vec<_> = answers.iter().filter(|answer| answer.detail() == "busy").collect();
    assert!(!busy.is_empty() && busy.len() < answers.len(), "{} of 12 were turned away", busy.len());
    for answer in busy {
        assert_eq!((answer.status.as_u16(), answer.max_age()), (200, Some(10)));
        assert_eq!(answer.picture().size(), (3000, 2000));
    }
}
