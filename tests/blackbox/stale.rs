//! What has expired: served at once while it is validated, standing in for an origin that fails, or refused (RFC 9111, 4.2.4;
//! RFC 5861), and what requests may ask of the cache.

use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{Answer, CHROMIUM, Edge, Gate, Origin, Reply, Setup, pictures, until, until_some};

fn coffee(cache_control: &str) -> Reply {
    let picture = Reply::jpeg(pictures::demo("coffee.jpg"));
    picture.timeless().header("cache-control", cache_control).header("etag", "\"v1\"")
}

async fn get(edge: &Edge) -> Answer {
    edge.get("/coffee.jpg").accept(CHROMIUM).await
}

async fn until_fresh(edge: &Edge) -> Answer {
    until_some("it is fresh again", async || {
        let answer = get(edge).await;
        (answer.is_hit() && answer.field("age") == "0").then_some(answer)
    })
    .await
}

#[tokio::test]
async fn what_may_be_used_while_it_is_validated_is_served_at_once_and_asked_for_once() {
    let reply = coffee("max-age=60, stale-while-revalidate=30");
    let origin = Origin::with("/coffee.jpg", reply.clone()).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let first = get(&edge).await;
    let slow = Gate::closed();
    origin.set("/coffee.jpg", reply.behind(&slow));
    edge.pass(70).await;
    for _ in 0..5 {
        let stale = get(&edge).await;
        assert_eq!((stale.status, &stale.body, stale.field("age").as_str()), (StatusCode::OK, &first.body, "70"));
        assert_eq!(stale.field("cache-status"), "lightmeter; hit; ttl=-10; detail=avif");
        assert_eq!(stale.max_age(), Some(60), "{stale:?}");
    }
    until("the origin is asked", async || origin.count("/coffee.jpg") == 2).await;
    assert_eq!(origin.last("/coffee.jpg").field("if-none-match"), "\"v1\"");
    assert_eq!(edge.metric("lightmeter_requests_total", &[("outcome", "stale")]).await, 5);
    slow.open();
    let fresh = until_fresh(&edge).await;
    assert_eq!((&fresh.body, origin.count("/coffee.jpg"), edge.encodes().await), (&first.body, 2, 1));
}

#[tokio::test]
async fn behind_its_window_what_is_stale_is_validated_first() {
    let origin = Origin::with("/coffee.jpg", coffee("max-age=60, stale-while-revalidate=30")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    get(&edge).await;
    edge.pass(90).await;
    let validated = get(&edge).await;
    assert!(validated.field("cache-status").contains("fwd=stale"), "{validated:?}");
    assert_eq!((validated.field("age").as_str(), origin.count("/coffee.jpg")), ("0", 2));
}

#[tokio::test]
async fn new_content_takes_the_place_of_what_was_served_meanwhile() {
    let origin = Origin::with("/coffee.jpg", coffee("max-age=60, stale-while-revalidate=30")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let old = get(&edge).await;
    let rocket = Reply::jpeg(pictures::demo("rocket.jpg")).timeless().header("cache-control", "max-age=600");
    origin.set("/coffee.jpg", rocket);
    edge.pass(70).await;
    assert_eq!(get(&edge).await.body, old.body);
    let new = until_some("the new picture is served", async || {
        let answer = get(&edge).await;
        (answer.body != old.body).then_some(answer)
    })
    .await;
    assert_eq!(new.picture().size(), (640, 427));
    assert_eq!(origin.count("/coffee.jpg"), 2);
}

#[tokio::test]
async fn what_a_soft_purge_has_made_stale_is_served_while_it_is_validated() {
    let origin = Origin::with("/coffee.jpg", coffee("max-age=600, stale-while-revalidate=30")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let first = get(&edge).await;
    edge.pass(100).await;
    edge.post("/sites/shop/purge", json!({ "everything": true, "mode": "soft" })).await.json();
    edge.pass(5).await;
    let stale = get(&edge).await;
    assert_eq!((&stale.body, stale.field("age").as_str()), (&first.body, "105"));
    assert_eq!(stale.field("cache-status"), "lightmeter; hit; ttl=-5; detail=avif");
    until_fresh(&edge).await;
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (2, 1));
}

#[tokio::test]
async fn what_is_stale_stands_in_for_as_long_as_the_origin_said() {
    let mut origin = Origin::with("/coffee.jpg", coffee("max-age=60, stale-if-error=30")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let first = get(&edge).await;
    origin.stop().await;
    edge.pass(89).await;
    let stale = get(&edge).await;
    assert_eq!((stale.status, &stale.body, stale.field("age").as_str()), (StatusCode::OK, &first.body, "89"));
    assert!(stale.field("cache-status").contains("fwd=stale; ttl=-29"), "{stale:?}");
    edge.pass(1).await;
    assert_eq!(get(&edge).await.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn where_the_origin_says_nothing_the_sites_window_holds() {
    let origin = Origin::with("/coffee.jpg", coffee("max-age=60")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin).site("stale_if_error", "'100s'")).await;
    let first = get(&edge).await;
    origin.set("/coffee.jpg", Reply::status(503, "broken"));
    edge.pass(159).await;
    assert_eq!(get(&edge).await.body, first.body);
    edge.pass(1).await;
    assert_eq!(get(&edge).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_must_be_validated_and_cannot_be_is_a_504() {
    let mut origin = Origin::start().await;
    let said = ["must-revalidate, max-age=60", "proxy-revalidate, max-age=60", "no-cache", "s-maxage=60"];
    for (number, said) in said.iter().enumerate() {
        origin
            .set(&format!("/{number}.jpg"), coffee(&format!("{said}, stale-if-error=600, stale-while-revalidate=600")));
    }
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    for number in 0..said.len() {
        assert_eq!(edge.get(&format!("/{number}.jpg")).await.status, StatusCode::OK);
    }
    origin.stop().await;
    edge.pass(70).await;
    for (number, said) in said.iter().enumerate() {
        let answer = edge.get(&format!("/{number}.jpg")).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{said}");
        assert!(answer.problem().contains("must be validated"), "{answer:?}");
    }
}

#[tokio::test]
async fn who_wants_only_what_is_cached_gets_it_or_a_504_and_the_origin_is_not_asked() {
    let origin = Origin::with("/coffee.jpg", coffee("max-age=60, stale-while-revalidate=30")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let only = async || edge.get("/coffee.jpg").accept(CHROMIUM).header("cache-control", "only-if-cached").await;
    let refused = only().await;
    assert_eq!((refused.status, origin.count("/coffee.jpg")), (StatusCode::GATEWAY_TIMEOUT, 0));
    assert!(refused.problem().contains("only-if-cached") && !refused.has("cache-status"), "{refused:?}");
    get(&edge).await;
    assert!(only().await.is_hit());
    edge.pass(100).await;
    assert_eq!((only().await.status, origin.count("/coffee.jpg")), (StatusCode::GATEWAY_TIMEOUT, 1));
}

#[tokio::test]
async fn a_visitor_who_wants_nothing_stored_gets_the_original_once_and_what_is_stored_already_as_it_is() {
    let origin = Origin::with("/coffee.jpg", coffee("max-age=60")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let discreet = async || edge.get("/coffee.jpg").accept(CHROMIUM).header("cache-control", "no-store").await;
    for asked in 1..3 {
        let original = discreet().await;
        assert_eq!((original.status, &original.body), (StatusCode::OK, &pictures::demo("coffee.jpg")));
        assert_eq!(original.field("cache-status"), "lightmeter; fwd=bypass; detail=no-store");
        assert_eq!(origin.count("/coffee.jpg"), asked);
    }
    let stored = get(&edge).await;
    assert_eq!((stored.content_type().as_str(), origin.count("/coffee.jpg")), ("image/avif", 3));
    assert_eq!(discreet().await.body, stored.body);
}

#[tokio::test]
async fn a_visitor_cannot_have_what_is_fresh_fetched_anew() {
    let origin = Origin::with("/coffee.jpg", coffee("max-age=60")).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    get(&edge).await;
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("cache-control", "max-age=0"),
        ("cache-control", "min-fresh=900"),
        ("pragma", "no-cache"),
    ] {
        assert!(edge.get("/coffee.jpg").accept(CHROMIUM).header(name, value).await.is_hit(), "{name}: {value}");
    }
    assert_eq!(origin.count("/coffee.jpg"), 1);
}
