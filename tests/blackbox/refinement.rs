//! A first view is made again, smaller or nearer to its target, when nothing else wants the codecs.

use crate::harness::{
    CHROMIUM, Edge, Origin, Reply, SAFARI_15, Setup, assert_looks_like, edge::Ending, pictures, pictures::Scan,
    until_some,
};

#[tokio::test]
async fn an_idle_edge_replaces_a_first_view_with_fewer_bytes() {
    let original = pictures::demo("raccoon.jpg");
    let mut origin = Origin::with("/raccoon.jpg", Reply::jpeg(original.clone())).await;
    let edge = Edge::start(Setup::of(&origin).set("images.refine", "true")).await;
    let first = edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).await;
    let webp = edge.get("/raccoon.jpg?w=600&q=70").accept(SAFARI_15).await;
    let refined = until_some("it is replaced", async || {
        let answer = edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).await;
        (answer.etag() != first.etag()).then_some(answer)
    })
    .await;
    assert!(refined.body.len() < first.body.len(), "{} → {} bytes", first.body.len(), refined.body.len());
    assert!(refined.is_hit());
    assert_looks_like(&refined.picture(), &original);
    let later = edge.get("/raccoon.jpg?w=600&q=70").accept(SAFARI_15).await;
    assert_eq!(later.etag(), webp.etag(), "at a fixed quality only AVIF is refined");
    let conditional = edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).header("if-none-match", &first.etag()).await;
    assert_eq!(conditional.status.as_u16(), 200, "the first view's tag is out of date");
    assert_eq!(edge.metric("lightmeter_refinements_total", &[]).await, 1);
    assert_eq!(origin.count("/raccoon.jpg"), 1);
    origin.stop().await;
    let edge = edge.restart(Ending::Stopped).await;
    assert_eq!(edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).await.etag(), refined.etag(), "it was not stored");
}

#[tokio::test]
async fn what_is_refined_was_measured_and_is_near_its_target() {
    let origin = Origin::with("/raccoon.jpg", Reply::jpeg(pictures::demo("raccoon.jpg"))).await;
    let edge = Edge::start(Setup::of(&origin).set("images.refine", "true")).await;
    for format in ["avif", "webp", "jpeg"] {
        edge.get(&format!("/raccoon.jpg?w=400&f={format}")).await;
        let measured = async |view: &str| {
            let labels = [("format", format), ("view", view)];
            edge.metric("lightmeter_quality_score_count", &labels).await
        };
        until_some("it is measured", async || (measured("kept").await == 1).then_some(())).await;
        assert_eq!(measured("first").await, 1, "{format}");
        let up_to = async |score: &str| {
            let labels = [("format", format), ("view", "kept"), ("le", score)];
            edge.metric("lightmeter_quality_score_bucket", &labels).await
        };
        assert_eq!((up_to("69").await, up_to("75").await), (0, 1), "{format}");
    }
}

#[tokio::test]
async fn a_picture_that_is_too_large_to_be_refined_keeps_no_other_from_it() {
    let origin = Origin::with("/raccoon.jpg", Reply::jpeg(pictures::demo("raccoon.jpg"))).await;
    origin.set("/large.jpg", Reply::jpeg(pictures::large_jpeg(3000, 2000, 1, Scan::Baseline)));
    let setup = Setup::of(&origin).set("images.refine", "true").set("images.memory_budget", "'512MiB'");
    let edge = Edge::start(setup.site("first_view", "'always'")).await;
    for path in ["/large.jpg", "/raccoon.jpg?w=200"] {
        assert_eq!(edge.get(path).accept(CHROMIUM).await.detail(), "avif", "{path}");
    }
    edge.until_metric("lightmeter_refinements_total", &[], |refined| refined == 1).await;
}
