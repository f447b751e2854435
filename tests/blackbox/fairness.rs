//! Sites share the codecs, and the memory for what is on its way in: what one floods them with, it waits for itself.

use futures_util::future::join_all;

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, pictures, reply::Content, request::Request, wait::until};

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

/// Two sites with 6 MiB for originals on their way in and 2 MiB for what passes, in front of an origin that announces so much
/// for the first one, in four parts, and sends next to nothing of it. What it has for the other is all there.
async fn beside_a_stalling_origin(end: &str, memory: u64) -> (Origin, Edge) {
    let origin = Origin::start().await;
    let Reply { headers, content: Content::Whole(whole), .. } = Reply::fit_for(end) else { panic!("it is whole") };
    for number in 0..4 {
        let content = Content::Stalled(whole.slice(..whole.len() / 2), memory / 4 - 1);
        origin.set(&format!("/{number}{end}"), Reply::of(content).fields(&headers).max_age(60));
    }
    origin.set(&format!("/quick{end}"), Reply::fit_for(end).max_age(60));
    let setup = Setup::of(&origin).set("images.memory_budget", "'32MiB'").set("origin.total_timeout", "'60s'");
    let edge = Edge::start(setup.with_site("other", &["other.test"], &origin.url())).await;
    (origin, edge)
}

/// Has the first site's four on their way in while the other's is asked for.
async fn while_they_stall<T>(origin: &Origin, edge: &Edge, end: &str, other: impl Future<Output = T>) -> T {
    let paths = || (0..4).map(|number| format!("/{number}{end}"));
    let stalled = join_all(paths().map(|path| edge.get(&path).into_future()));
    let other = async {
        until("all four are asked for", async || paths().all(|path| origin.count(&path) == 1)).await;
        other.await
    };
    tokio::select! {
        _ = stalled => panic!("they never end"),
        answer = other => answer,
    }
}

#[tokio::test]
async fn originals_that_do_not_come_do_not_keep_another_sites_picture_from_being_developed() {
    let (origin, edge) = beside_a_stalling_origin(".jpg", 6 << 20).await;
    let view = edge.get("/quick.jpg").host("other.test").accept(CHROMIUM);
    let answer = while_they_stall(&origin, &edge, ".jpg", view.into_future()).await;
    assert_eq!(answer.content_type(), "image/avif", "{:?}", answer.headers);
}

#[tokio::test]
async fn pages_that_do_not_come_do_not_keep_another_sites_page_from_being_stored() {
    let (origin, edge) = beside_a_stalling_origin(".html", 2 << 20).await;
    let views = async {
        edge.get("/quick.html").host("other.test").await;
        edge.get("/quick.html").host("other.test").await
    };
    let answer = while_they_stall(&origin, &edge, ".html", views).await;
    assert!(answer.is_hit(), "{:?}", answer.headers);
}
