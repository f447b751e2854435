//! Sites share the codecs: what one floods them with, it waits for itself.

use futures_util::future::join_all;

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, pictures, request::Request};

const FLOOD: usize = 16;

/// Two sites in front of one origin, on one core. The first has many slow pictures, the second one.
async fn origin_and_setup() -> (Origin, Setup) {
    let origin = Origin::start().await;
    let slow = pictures::large_jpeg(1500, 1000, 3, pictures::Scan::Baseline);
    for number in 0..FLOOD {
        origin.set(&format!("/{number}.jpg"), Reply::jpeg(pictures::with_comment(&slow, &number.to_string())));
    }
    origin.set("/one.jpg", Reply::jpeg(pictures::small_jpeg(5)));
    let setup = Setup::of(&origin).set("images.threads", "1").with_site("other", &["other.test"], &origin.url());
    (origin, setup)
}

fn flood(edge: &Edge) -> Vec<Request> {
    (0..FLOOD).map(|number| edge.get(&format!("/{number}.jpg?f=avif")).accept(CHROMIUM)).collect()
}

#[tokio::test]
async fn a_flood_of_one_site_does_not_hold_up_another_sites_picture() {
    let (_origin, setup) = origin_and_setup().await;
    let edge = Edge::start(setup.set("images.max_queue", "256")).await;
    let flood = join_all(flood(&edge).into_iter().map(IntoFuture::into_future));
    let other = async {
        edge.until_metric("lightmeter_queue_depth", &[], |depth| depth >= FLOOD as u64 - 4).await;
        let answer = edge.get("/one.jpg").host("other.test").accept(CHROMIUM).await;
        (answer, edge.metric("lightmeter_queue_depth", &[]).await)
    };
    let (_, (answer, still_waiting)) = tokio::join!(flood, other);
    assert_eq!(answer.content_type(), "image/avif", "{:?}", answer.headers);
    assert!(still_waiting >= FLOOD as u64 / 2, "the flood was nearly over: {still_waiting} waited");
}

#[tokio::test]
async fn one_site_cannot_fill_the_line() {
    let (_origin, setup) = origin_and_setup().await;
    let edge = Edge::start(setup.set("images.max_queue", "8")).await;
    let flood = join_all(flood(&edge).into_iter().map(IntoFuture::into_future));
    let other = async {
        edge.until_metric("lightmeter_queue_depth", &[], |depth| depth == 2).await;
        edge.get("/one.jpg").host("other.test").accept(CHROMIUM).await
    };
    let (flooded, other) = tokio::join!(flood, other);
    let busy = flooded.iter().filter(|answer| answer.detail() == "busy").count();
    assert!(busy > 0 && busy < FLOOD, "{busy} of {FLOOD} were turned away");
    assert_eq!(other.content_type(), "image/avif", "{:?}", other.headers);
}
