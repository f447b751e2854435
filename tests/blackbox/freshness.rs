//! Whose word on lifetimes holds: the origin's to all, its word to caches like this one (RFC 9213), the site's bounds; and
//! what one answer from the origin makes fresh.

use std::time::{Duration, Instant};

use futures_util::future::join;
use reqwest::{Method, StatusCode};

use crate::harness::{Answer, CHROMIUM, Edge, Gate, Origin, Reply, Setup, pictures, until};

fn coffee(fields: &[(&str, &str)]) -> Reply {
    let picture = Reply::jpeg(pictures::demo("coffee.jpg")).timeless();
    fields.iter().fold(picture, |reply, (name, value)| reply.header(name, value))
}

async fn get(edge: &Edge) -> Answer {
    edge.get("/coffee.jpg").accept(CHROMIUM).await
}

#[tokio::test]
async fn what_is_said_to_caches_like_this_one_holds_and_the_visitor_gets_what_is_said_to_all() {
    let said = [("cache-control", "no-store"), ("cdn-cache-control", "max-age=600")];
    let origin = Origin::with("/coffee.jpg", coffee(&said)).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    get(&edge).await;
    edge.pass(599).await;
    let hit = get(&edge).await;
    assert!(hit.is_hit(), "{hit:?}");
    assert_eq!(
        (hit.field("cache-control").as_str(), hit.field("cdn-cache-control").as_str()),
        ("no-store", "max-age=600")
    );
    edge.pass(1).await;
    assert!(!get(&edge).await.is_hit());
}

#[tokio::test]
async fn a_word_to_caches_that_is_not_valid_is_none() {
    let said = [("cache-control", "max-age=60"), ("cdn-cache-control", "max-age=600, &")];
    let origin = Origin::with("/coffee.jpg", coffee(&said)).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    get(&edge).await;
    edge.pass(60).await;
    assert!(!get(&edge).await.is_hit());
}

#[tokio::test]
async fn the_site_bounds_what_the_origin_gives() {
    let origin = Origin::with("/coffee.jpg", coffee(&[("cache-control", "max-age=0")])).await;
    origin.set("/long.jpg", coffee(&[("cache-control", "max-age=9000")]));
    origin.set("/never.jpg", coffee(&[("cache-control", "no-cache")]));
    let setup = Setup::at_standing_time(&origin).site("min_ttl", "'30s'").site("max_ttl", "'90s'");
    let edge = Edge::start(setup).await;
    let is_hit = async |path: &str| edge.get(path).await.is_hit();
    for path in ["/coffee.jpg", "/long.jpg", "/never.jpg"] {
        assert!(!is_hit(path).await);
    }
    edge.pass(29).await;
    assert!(is_hit("/coffee.jpg").await && is_hit("/long.jpg").await && !is_hit("/never.jpg").await);
    edge.pass(1).await;
    assert!(!is_hit("/coffee.jpg").await && is_hit("/long.jpg").await);
    edge.pass(60).await;
    assert!(!is_hit("/long.jpg").await);
}

#[tokio::test]
async fn one_304_makes_all_variants_fresh_and_nothing_is_made_again() {
    let reply = coffee(&[("cache-control", "max-age=60"), ("etag", "\"v1\"")]);
    let origin = Origin::with("/coffee.jpg", reply).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let paths = ["/coffee.jpg", "/coffee.jpg?w=200", "/coffee.jpg?w=100&f=webp"];
    let mut first = Vec::new();
    for path in paths {
        first.push(edge.get(path).accept(CHROMIUM).await);
    }
    let decodes = edge.metric("lightmeter_decodes_total", &[]).await;
    edge.pass(60).await;
    assert!(edge.get(paths[1]).accept(CHROMIUM).await.field("cache-status").contains("fwd=stale"));
    for (path, first) in paths.into_iter().zip(first) {
        let again = edge.get(path).accept(CHROMIUM).await;
        assert!(again.is_hit() && again.body == first.body && again.etag() == first.etag(), "{again:?}");
        assert_eq!(again.field("age"), "0");
    }
    assert_eq!((origin.count("/coffee.jpg"), edge.encodes().await), (2, 3));
    assert_eq!(edge.metric("lightmeter_decodes_total", &[]).await, decodes);
}

#[tokio::test]
async fn a_variant_is_known_by_its_tag_and_by_no_date() {
    let changed = "Sun, 06 Nov 1994 08:49:37 GMT";
    let origin = Origin::with("/coffee.jpg", coffee(&[("last-modified", changed)])).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let whole = get(&edge).await;
    assert!(!whole.has("last-modified"), "the original's date says nothing of what is made of it");
    let since = edge.get("/coffee.jpg").accept(CHROMIUM).header("if-modified-since", changed).await;
    assert_eq!((since.status, &since.body), (StatusCode::OK, &whole.body));
    let part = edge.get("/coffee.jpg").accept(CHROMIUM).header("range", "bytes=0-9").header("if-range", changed).await;
    assert_eq!((part.status, &part.body), (StatusCode::OK, &whole.body));
    let tagged =
        edge.get("/coffee.jpg").accept(CHROMIUM).header("range", "bytes=0-9").header("if-range", &whole.etag());
    assert_eq!(tagged.await.status, StatusCode::PARTIAL_CONTENT);
}

#[tokio::test]
async fn the_time_that_an_answer_took_counts_to_its_age() {
    let slow = Gate::closed();
    let origin = Origin::with("/coffee.jpg", coffee(&[("cache-control", "max-age=60")]).behind(&slow)).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let asked = Instant::now();
    let opened = async {
        until("the answer is late", async || asked.elapsed() > Duration::from_millis(1_500)).await;
        slow.open();
    };
    let (first, ()) = join(get(&edge), opened).await;
    assert!(first.field("age").parse::<u64>().unwrap() >= 1, "{first:?}");
}

#[tokio::test]
async fn head_tells_what_get_would_and_from_the_cache() {
    let origin = Origin::with("/coffee.jpg", coffee(&[("cache-control", "max-age=60")])).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    get(&edge).await;
    let hit = get(&edge).await;
    let head = edge.request(Method::HEAD, "/coffee.jpg").accept(CHROMIUM).await;
    for name in ["content-length", "content-type", "etag", "cache-control", "age", "vary", "cache-status"] {
        assert_eq!(head.field(name), hit.field(name), "{name}");
    }
    assert_eq!((head.body.len(), origin.count("/coffee.jpg")), (0, 1));
}
