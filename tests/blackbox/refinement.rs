//! A first-view AVIF is made again, smaller, when nothing else wants the codecs.

use crate::harness::{
    CHROMIUM, Edge, Origin, Reply, SAFARI_15, Setup, assert_looks_like, edge::Ending, pictures, until_some,
};

#[tokio::test]
async fn an_idle_edge_replaces_a_first_view_with_fewer_bytes() {
    let original = pictures::demo("raccoon.jpg");
    let mut origin = Origin::with("/raccoon.jpg", Reply::jpeg(original.clone())).await;
    let edge = Edge::start(Setup::of(&origin).set("images.refine", "true")).await;
    let first = edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).await;
    let webp = edge.get("/raccoon.jpg?w=600").accept(SAFARI_15).await;
    let refined = until_some("it is replaced", async || {
        let answer = edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).await;
        (answer.etag() != first.etag()).then_some(answer)
    })
    .await;
    assert!(refined.body.len() < first.body.len(), "{} → {} bytes", first.body.len(), refined.body.len());
    assert!(refined.is_hit());
    assert_looks_like(&refined.picture(), &original);
    assert_eq!(edge.get("/raccoon.jpg?w=600").accept(SAFARI_15).await.etag(), webp.etag(), "only AVIF is refined");
    let conditional = edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).header("if-none-match", &first.etag()).await;
    assert_eq!(conditional.status.as_u16(), 200, "the first view's tag is out of date");
    assert_eq!(edge.metric("lightmeter_refinements_total", &[]).await, 1);
    assert_eq!(origin.count("/raccoon.jpg"), 1);
    origin.stop().await;
    let edge = edge.restart(Ending::Stopped).await;
    assert_eq!(edge.get("/raccoon.jpg?w=600").accept(CHROMIUM).await.etag(), refined.etag(), "it was not stored");
}
