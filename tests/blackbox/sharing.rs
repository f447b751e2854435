//! What one visitor gets, or asks for, decides nothing for the others: neither what is stored nor who sees it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::StatusCode;

use crate::harness::{
    CHROMIUM, Edge, Gate, Origin, Reply, Setup, edge::Ending, pictures, pictures::Scan, reply::Content, until,
};

#[tokio::test]
async fn a_page_is_not_replaced_by_a_picture_that_somebody_asked_for_under_its_url() {
    let picture = pictures::demo("coffee.jpg");
    let as_picture = Reply::jpeg(picture.clone()).header("vary", "Accept").header("cache-control", "max-age=600");
    let origin = Origin::with("/item/5", as_picture).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    for path in ["/lm/w=100/item/5", "/item/5"] {
        let answer = edge.get(path).accept(CHROMIUM).await;
        assert_eq!((answer.detail().as_str(), answer.body), ("vary", picture.clone()), "{path}");
    }
    origin.set("/item/5", Reply::ok("text/html", "<p>the page").header("vary", "Accept"));
    let page = edge.get("/item/5").accept("text/html,*/*;q=0.8").header("cookie", "a=b").await;
    assert_eq!((page.content_type().as_str(), page.text().as_str()), ("text/html", "<p>the page"));
    assert_eq!(origin.last("/item/5").field("accept"), "text/html,*/*;q=0.8");
}

#[tokio::test]
async fn a_client_that_forbids_changes_gets_the_original_and_pins_it_for_nobody() {
    let original = pictures::demo("coffee.jpg");
    let reply = Reply::jpeg(original.clone()).header("cache-control", "max-age=600");
    let origin = Origin::with("/a.jpg", reply).await;
    let edge = Edge::start(Setup::of(&origin).site("first_view", "'always'")).await;
    for _ in 0..2 {
        let as_it_is = edge.get("/a.jpg?w=100").accept(CHROMIUM).header("cache-control", "no-transform").await;
        assert_eq!((as_it_is.detail().as_str(), &as_it_is.body), ("no-transform", &original));
        assert!(as_it_is.max_age().unwrap() <= 10, "{as_it_is:?}");
        assert_eq!(edge.get("/a.jpg?w=100").accept(CHROMIUM).await.content_type(), "image/avif");
    }
}

#[tokio::test]
async fn a_private_picture_is_asked_for_in_its_owners_name_and_stored_for_nobody() {
    let picture = pictures::demo("coffee.jpg");
    let private = Reply::jpeg(picture.clone()).header("cache-control", "private").header("set-cookie", "new=1");
    let origin = Origin::with("/avatar.jpg", private).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let own = edge.get("/avatar.jpg").accept(CHROMIUM).header("cookie", "session=1").await;
    assert_eq!((own.detail().as_str(), own.body), ("private", picture));
    assert_eq!(origin.last("/avatar.jpg").field("cookie"), "session=1");
    let stranger = edge.get("/avatar.jpg").accept(CHROMIUM).await;
    assert_eq!(origin.last("/avatar.jpg").field("cookie"), "");
    assert!(!stranger.has("set-cookie"), "a session that the cache was offered: {stranger:?}");
    assert_eq!(edge.encodes().await, 0);
}

#[tokio::test]
async fn all_get_an_original_whole_that_proves_too_large_only_on_its_way() {
    let original = pictures::noise_png(400, 400);
    let pieces = original.chunks(9_999).map(Bytes::copy_from_slice).collect();
    let gate = Gate::closed();
    let origin = Origin::with("/chunked.png", Reply::of(Content::Chunked(pieces)).behind(&gate)).await;
    let setup = Setup::of(&origin).set("origin.max_body_bytes", "'100KiB'").site("first_view", "'always'");
    let edge = Edge::start(setup).await;
    let views = (0..20).map(|_| edge.get("/chunked.png").accept(CHROMIUM).into_future());
    let (answers, ()) = tokio::join!(join_all(views), async { gate.open() });
    for answer in answers {
        assert_eq!((answer.status, answer.detail().as_str()), (StatusCode::OK, "too-large"));
        assert_eq!(answer.body, original);
    }
}

#[tokio::test]
async fn nobody_gets_the_beginning_alone_of_what_proves_too_large_on_its_way() {
    let original = pictures::noise_png(400, 400);
    let gate = Gate::closed();
    let (beginning, rest) = (original.slice(..50_000), original.slice(50_000..));
    let origin = Origin::with("/chunked.png", Reply::of(Content::GatedChunks(beginning, gate.clone(), rest))).await;
    let setup = Setup::of(&origin).set("origin.max_body_bytes", "'100KiB'").site("first_view", "'original'");
    let edge = Edge::start(setup).await;
    let views = (0..6).map(|_| edge.get("/chunked.png").accept(CHROMIUM).into_future());
    let (answers, ()) = tokio::join!(join_all(views), async {
        until("it is asked for", async || origin.count("/chunked.png") > 0).await;
        // As long as the others may need to join.
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open();
    });
    for answer in answers {
        assert_eq!((answer.status, answer.body), (StatusCode::OK, original.clone()));
    }
}

#[tokio::test]
async fn a_site_that_moves_to_another_origin_takes_nothing_of_the_old_one_along() {
    let (old, new) = (Origin::start().await, Origin::start().await);
    for (origin, name) in [(&old, "coffee.jpg"), (&new, "rocket.jpg")] {
        origin.set("/logo.jpg", Reply::jpeg(pictures::demo(name)).header("cache-control", "max-age=600"));
    }
    let edge = Edge::start(Setup::of(&old).site("first_view", "'always'")).await;
    let before = edge.get("/logo.jpg").accept(CHROMIUM).await;
    let moved = Setup::of(&new).site("first_view", "'always'");
    let edge = edge.restart_with(Ending::Stopped, moved).await;
    let after = edge.get("/logo.jpg").accept(CHROMIUM).await;
    assert!(!after.is_hit() && before.body != after.body);
    crate::harness::assert_looks_like(&after.picture(), &pictures::demo("rocket.jpg"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_on_content_that_was_replaced_is_not_served_as_the_new() {
    let old = pictures::large_jpeg(3000, 2000, 1, Scan::Baseline);
    let origin = Origin::with("/a.jpg", Reply::jpeg(old).header("cache-control", "no-cache")).await;
    let edge = Edge::start(Setup::of(&origin).site("first_view", "'always'")).await;
    let (first, second) = tokio::join!(edge.get("/a.jpg").accept(CHROMIUM), async {
        edge.until_metric("lightmeter_memory_budget_in_use_bytes", &[("part", "codecs")], |bytes| bytes > 0).await;
        let new = Reply::jpeg(pictures::demo("rocket.jpg")).header("cache-control", "no-cache");
        origin.set("/a.jpg", new);
        edge.get("/a.jpg").accept(CHROMIUM).await
    });
    assert_eq!(first.picture().size(), (3000, 2000));
    assert_eq!(origin.count("/a.jpg"), 2);
    assert_eq!(second.picture().size(), (640, 427), "{second:?}");
}
